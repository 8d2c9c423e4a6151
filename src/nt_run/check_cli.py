"""`nt-run check`: is a strategy's backtest honest? Heavy modules are imported inside the command."""

from typing import Annotated

import typer

from nt_run.options import (
    CACHE,
    CacheDir,
    Days,
    Demo,
    End,
    Interval,
    Json,
    Offline,
    Params,
    Quiet,
    Settings,
    Start,
    Symbol,
    Timerange,
    Verbose,
    option,
    overrides,
)


def check(
    ctx: typer.Context,
    target: Annotated[
        str,
        typer.Argument(help="A strategy (as for backtest --strategy), a TOML file, or a kept run.", metavar="STRATEGY"),
    ],
    *,
    symbol: Symbol = None,
    interval: Interval = None,
    start: Start = None,
    end: End = None,
    timerange: Timerange = None,
    days: Days = None,
    param: Params = None,
    set_: Settings = None,
    times: Annotated[int, option("--times", help="Moments after which the future is replaced (5).", metavar="K")] = 5,
    seed: Annotated[int, option("--seed", help="Which moments, and which noise (1).", metavar="N")] = 1,
    offline: Offline = False,
    demo: Demo = None,
    json: Json = False,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Test whether a strategy knows the future.

    And whether it does the same twice, and depends on where the range starts.
    """
    import sys  # noqa: PLC0415
    from contextlib import redirect_stdout  # noqa: PLC0415

    from nt_run import check, check_report, tables, verdict  # noqa: PLC0415
    from nt_run.progress import ProgressDisplay  # noqa: PLC0415

    settings = check.checked_config(target, overrides(ctx.params), cache_dir / "runs")
    with ProgressDisplay(quiet=quiet, verbose=verbose) as progress, redirect_stdout(sys.stderr):
        result = check.check(settings, times=times, seed=seed, cache_dir=cache_dir, offline=offline, progress=progress)
    (tables.print_json if json else check_report.print_check)(result)
    verdict.refuse_dishonest(result)
