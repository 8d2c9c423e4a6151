"""`nt-run runs`: the runs that were kept. Heavy modules are imported inside the commands."""

from pathlib import Path
from typing import Annotated

import typer

from nt_run.options import CACHE, CacheDir, Json, KeptRun, Offline, OneRun, Plot, Quiet, Verbose, option

runs_app = typer.Typer(help="Runs kept in the cache.", no_args_is_help=True)


@runs_app.command("list")
def runs_list(
    *,
    symbol: Annotated[str | None, option("--symbol", help="Those of one symbol.", metavar="NAME")] = None,
    strategy: Annotated[
        str | None, option("--strategy", help="Those whose strategy's name has this in it.", metavar="NAME")
    ] = None,
    interval: Annotated[str | None, option("--interval", help="Those of one interval.", metavar="NAME")] = None,
    tag: Annotated[list[str] | None, option("--tag", help="Those with a tag (repeatable).", metavar="NAME")] = None,
    demo: Annotated[
        bool | None, typer.Option("--demo/--no-demo", help="Those of the synthetic market, or those of the real one.")
    ] = None,
    sort: Annotated[
        str | None, option("--sort", help="By a figure such as sharpe or net, smallest first.", metavar="NAME")
    ] = None,
    reverse: Annotated[bool, option("--reverse", help="The other way round.")] = False,
    limit: Annotated[int | None, typer.Option("--limit", help="Only the last N of them.", metavar="N", min=1)] = None,
    json: Json = False,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """List kept runs, oldest first."""
    from nt_run import history, runs_listing, terminal  # noqa: PLC0415

    choice = history.choice(symbol=symbol, strategy=strategy, interval=interval, tags=tag or (), demo=demo)
    found, damaged = history.run_rows(cache_dir / "runs")
    if damaged and not quiet:
        typer.echo(f"Passed over {len(damaged)} damaged: {', '.join(damaged)}", err=True)
    rows = history.chosen(found, choice, sort, reverse=reverse)[-(limit or len(found)) :]
    if json:
        terminal.print_json({"runs": rows})
    else:
        runs_listing.print_runs(rows, found=found, runs=cache_dir / "runs", by=sort)


@runs_app.command("show")
def runs_show(
    run: KeptRun = None,
    *,
    plot: Plot = None,
    json: Json = False,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Print the report of a kept run again.

    With its note and tags; on a terminal with equity and drawdown drawn.
    """
    from nt_run import report  # noqa: PLC0415
    from nt_run.annotations import shown_annotations  # noqa: PLC0415
    from nt_run.folders import find_run  # noqa: PLC0415
    from nt_run.results import load_run  # noqa: PLC0415

    folder = find_run(run, cache_dir / "runs")
    kept = load_run(folder, cache_dir / "runs")
    report.show_run(kept.summary, kept.equity, plot=plot, json=json, notes=shown_annotations(folder))


@runs_app.command("note")
def runs_note(
    run: OneRun,
    text: Annotated[str, typer.Argument(help="The note, in place of the one before; '' for none.")],
    *,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Write a note beside a kept run.

    The run stays as it was.
    """
    from nt_run.annotations import write_note  # noqa: PLC0415
    from nt_run.folders import find_run  # noqa: PLC0415

    folder = find_run(run, cache_dir / "runs")
    note = write_note(folder, text).note
    typer.echo(f"{folder.name}: {note or 'no note'}")


@runs_app.command("tag")
def runs_tag(
    run: OneRun,
    names: Annotated[list[str] | None, typer.Argument(help="Tags to add.", metavar="NAME…")] = None,
    *,
    remove: Annotated[
        list[str] | None, option("--remove", help="A tag to take away (repeatable).", metavar="NAME")
    ] = None,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Tag a kept run, or say which tags it has.

    `nt-run runs list --tag NAME` finds it again.
    """
    from nt_run.annotations import write_tags  # noqa: PLC0415
    from nt_run.folders import find_run  # noqa: PLC0415

    folder = find_run(run, cache_dir / "runs")
    tags = write_tags(folder, names or (), remove or ()).tags
    typer.echo(f"{folder.name}: {' '.join(tags) or 'no tag'}")


@runs_app.command("diff")
def runs_diff(
    a: Annotated[str | None, typer.Argument(help="A run; the one before the latest if left out.", metavar="A")] = None,
    b: Annotated[str | None, typer.Argument(help="Another one; the latest if left out.", metavar="B")] = None,
    *,
    json: Json = False,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Say in what two runs differ.

    In configuration, data, rules, versions and results, and in which trade they part.
    """
    from nt_run import diff_report, tables  # noqa: PLC0415
    from nt_run.differences import compare_runs  # noqa: PLC0415
    from nt_run.folders import find_pair  # noqa: PLC0415
    from nt_run.results import load_run  # noqa: PLC0415

    one, other = (load_run(folder, cache_dir / "runs") for folder in find_pair(a, b, cache_dir / "runs"))
    (tables.print_json if json else diff_report.print_diff)(compare_runs(one, other))


@runs_app.command("replay")
def runs_replay(
    run: KeptRun = None,
    *,
    offline: Offline = False,
    json: Json = False,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Run a kept run again and compare.

    From its own configuration; ends with 8 unless it comes out identical, and says where it did not.
    """
    import sys  # noqa: PLC0415
    from contextlib import redirect_stdout  # noqa: PLC0415

    from nt_run import diff_report, tables  # noqa: PLC0415
    from nt_run.progress import ProgressDisplay  # noqa: PLC0415
    from nt_run.rerun import refuse_difference, replay_run  # noqa: PLC0415

    with ProgressDisplay(quiet=quiet, verbose=verbose) as progress, redirect_stdout(sys.stderr):
        compared = replay_run(run, cache_dir=cache_dir, offline=offline, progress=progress)
    if json:
        tables.print_json(compared)
    else:
        diff_report.print_diff(compared, replayed=True)
    refuse_difference(compared)


@runs_app.command("rm")
def runs_rm(
    runs: Annotated[list[str], typer.Argument(help="Run ids, starts of ids, or latest.", metavar="RUN…")],
    *,
    yes: Annotated[bool, option("--yes", help="Do not ask.")] = False,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Delete kept runs, after asking."""
    from nt_run.errors import UsageError  # noqa: PLC0415
    from nt_run.folders import find_run, remove_run  # noqa: PLC0415

    folders = list(dict.fromkeys(find_run(run, cache_dir / "runs") for run in runs))
    for folder in folders:
        typer.echo(folder.name)
    if not yes and not _may_ask():
        raise UsageError("Nothing was deleted: there is nobody to ask. Add --yes if you mean it.")
    if not yes and not typer.confirm(f"Delete {'this run' if len(folders) == 1 else f'these {len(folders)} runs'}?"):
        typer.echo("Nothing was deleted.")
        return
    for folder in folders:
        remove_run(folder, cache_dir / "runs")


def _may_ask() -> bool:
    import sys  # noqa: PLC0415

    return sys.stdin.isatty()


@runs_app.command("export")
def runs_export(
    run: KeptRun = None,
    *,
    form: Annotated[str, option("--format", help="csv, parquet, json or xlsx (csv).", metavar="NAME")] = "csv",
    to: Annotated[Path, option("--to", help="Folder to write to (this one).", metavar="DIR")] = Path(),
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Write a kept run for other programs.

    Its trades, fills, funding, equity and bars; a workbook (xlsx) has no bars.
    """
    from nt_run.exports import export_run  # noqa: PLC0415
    from nt_run.results import load_run  # noqa: PLC0415

    files, remarks = export_run(load_run(run, cache_dir / "runs"), form, to)
    typer.echo("\n".join(map(str, files)))
    for remark in () if quiet else remarks:
        typer.echo(remark, err=True)
