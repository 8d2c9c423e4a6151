"""`nt-run chart`: runs as window, picture or page. Heavy modules are imported inside the command."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nt_run.errors import UsageError
from nt_run.options import CACHE, CacheDir, Quiet, Verbose, option

if TYPE_CHECKING:
    from nt_run.chart.draw import Picture
    from nt_run.chart.focus import Focus

chart_app = typer.Typer()


@chart_app.command("chart")
def chart_command(
    ctx: typer.Context,
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="Run ids, their starts, or folders; several are compared. The latest if left out."),
    ] = None,
    *,
    save: Annotated[
        Path | None, option("--save", help="Write a picture, no screen needed.", metavar="FILE.png")
    ] = None,
    size: Annotated[str | None, option("--size", help="Its width and height (1920x1080).", metavar="WxH")] = None,
    scale: Annotated[
        float | None, option("--scale", help="Its pixels per pixel of that size (1).", metavar="F")
    ] = None,
    html: Annotated[
        Path | None, option("--html", help="Write a page, self-contained and without a screen.", metavar="FILE.html")
    ] = None,
    trade: Annotated[int | None, option("--trade", help="Show this trade, counted from 1.", metavar="N")] = None,
    range_: Annotated[
        tuple[str, str] | None, option("--range", help="Show this range (UTC, the end excluded).", metavar="START END")
    ] = None,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Show kept runs in a window, or write a picture or a page.

    Without a display a page is written. The window's keys: press ? in it.
    """
    from nt_run.chart.draw import draw, draw_comparison  # noqa: PLC0415
    from nt_run.results import load_run  # noqa: PLC0415

    _check_flags(ctx.params)
    focus, png = _focus(trade, range_), _picture(save, size, scale)
    kept = [load_run(name, cache_dir / "runs") for name in runs or [None]]
    if len(kept) > 1:
        written = draw_comparison(kept, png=png, page=html, focus=focus)
    else:
        written = draw(kept[0], png=png, page=html, focus=focus)
    if save is None and html is None and written:
        typer.echo(f"There is no display here. The chart is a page: {written[0]}")
    elif not quiet:
        typer.echo("\n".join(f"Saved {path}" for path in written), err=True, nl=bool(written))


def _check_flags(params: dict[str, Any]) -> None:
    """Refuse flags that do not go together.

    Raises:
        UsageError: One of them would be without effect.
    """
    picture = [flag for flag in ("size", "scale") if params[flag] is not None]
    if picture and params["save"] is None:
        raise UsageError(f"--{picture[0]} is the {picture[0]} of a picture. Name it, too: --save FILE.png")
    if params["trade"] is not None and params["range_"] is not None:
        raise UsageError("--trade and --range both say what to show. Give one of them.")
    if len(params["runs"] or ()) > 1 and params["trade"] is not None:
        raise UsageError(f"--trade is for one run, and {len(params['runs'])} were named.")


def _focus(trade: int | None, times: tuple[str, str] | None) -> "Focus | None":
    from nt_run.chart.focus import Focus  # noqa: PLC0415
    from nt_run.model import TimeRange, parse_time  # noqa: PLC0415

    if trade is None and times is None:
        return None
    return Focus(trade, None if times is None else TimeRange(parse_time(times[0]), parse_time(times[1])))


def _picture(path: Path | None, size: str | None, scale: float | None) -> "Picture | None":
    from nt_run.chart.draw import Picture  # noqa: PLC0415
    from nt_run.chart.scene import PICTURE_SIZE  # noqa: PLC0415

    if path is None:
        return None
    return Picture(path, PICTURE_SIZE if size is None else _parse_size(size), 1.0 if scale is None else scale)


def _parse_size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,6})[x×](\d{1,6})", text.strip(), re.ASCII)
    if match is None:
        raise UsageError(f"{text!r} is not the size of a picture. Write 1920x1080.")
    return int(match[1]), int(match[2])
