"""`nt-run data …`: the market data in the cache. Heavy modules are imported inside the commands."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from nt_run.import_cli import data_check, data_import
from nt_run.options import (
    CACHE,
    CacheDir,
    Days,
    Demo,
    End,
    Intervals,
    Json,
    KeptRun,
    MinCompleteness,
    Quiet,
    Start,
    Symbols,
    Timerange,
    Verbose,
    option,
    overrides,
)

data_app = typer.Typer(help="Market data in the cache.", no_args_is_help=True)
data_app.command("import")(data_import)
data_app.command("check")(data_check)


@data_app.command("get")
def data_get(
    ctx: typer.Context,
    *,
    symbol: Symbols = None,
    interval: Intervals = None,
    start: Start = None,
    end: End = None,
    timerange: Timerange = None,
    days: Days = None,
    min_completeness: MinCompleteness = None,
    kind: Annotated[
        str | None, option("--kind", help="One or several: klines,funding,mark (klines,funding).", metavar="KINDS")
    ] = None,
    demo: Demo = None,
    json: Json = False,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Fetch what a range needs into the cache.

    Its klines, funding rates and mark price klines, and today's rules.
    """
    from nt_run import fetching, listing, tables  # noqa: PLC0415
    from nt_run.config import load_config  # noqa: PLC0415
    from nt_run.progress import ProgressDisplay  # noqa: PLC0415

    settings = load_config(None, overrides({**ctx.params, "symbol": None, "interval": None}))
    with ProgressDisplay(quiet=quiet, verbose=verbose) as progress:
        came = fetching.fetch_all(settings, symbol, interval, cache_dir, progress, kinds=kind)
    if json:
        tables.print_json(came)
    else:
        listing.print_data(came["fetched"], demo=settings.demo)
    _refuse_failed(came["failed"], len(came["fetched"]))


@data_app.command("list")
def data_list(
    *,
    symbol: Symbols = None,
    interval: Intervals = None,
    json: Json = False,
    demo: Demo = None,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """List the market data in the cache."""
    from nt_run import listing, tables, upkeep  # noqa: PLC0415
    from nt_run.config import load_config  # noqa: PLC0415

    series = upkeep.listed(load_config(None, {"demo": demo}), upkeep.selection(symbol, interval), cache_dir)
    if json:
        tables.print_json({"demo": bool(demo), "series": series})
        return
    listing.print_series(series, cache_dir, demo=bool(demo))


@data_app.command("coverage")
def data_coverage(
    *,
    symbol: Symbols = None,
    interval: Intervals = None,
    demo: Demo = None,
    json: Json = False,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Show month by month what is complete, short, absent or open."""
    from nt_run import data_listing, tables, upkeep  # noqa: PLC0415
    from nt_run.config import load_config  # noqa: PLC0415

    settings = load_config(None, {"demo": demo})
    series = upkeep.covered(settings, upkeep.selection(symbol, interval), cache_dir)
    if json:
        tables.print_json({"demo": settings.demo, "series": series})
    else:
        data_listing.print_coverage(series, demo=settings.demo)


@data_app.command("verify")
def data_verify(
    *,
    symbol: Symbols = None,
    interval: Intervals = None,
    remote: Annotated[bool, option("--remote", help="Also ask the archive whether it has replaced files.")] = False,
    demo: Demo = None,
    json: Json = False,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Check every byte and every rule.

    Ends with 8 if something is wrong.
    """
    from nt_run import data_listing, tables, upkeep  # noqa: PLC0415
    from nt_run.config import load_config  # noqa: PLC0415
    from nt_run.errors import CheckFailedError  # noqa: PLC0415

    settings = load_config(None, {"demo": demo})
    found = upkeep.verified(settings, upkeep.selection(symbol, interval), cache_dir, remote=remote)
    (tables.print_json if json else data_listing.print_verified)(found)
    if not found["sound"]:
        raise CheckFailedError(data_listing.advice(found["problems"]))


@data_app.command("repair")
def data_repair(
    *,
    symbol: Symbols = None,
    interval: Intervals = None,
    prefer: Annotated[
        str | None,
        option("--prefer", help="Whose rows to use where two disagree: archive, rest or import.", metavar="SOURCE"),
    ] = None,
    remote: Annotated[bool, option("--remote", help="Also take over what the archive has replaced.")] = False,
    demo: Demo = None,
    json: Json = False,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Fetch again what is wrong, and only that.

    Ends with 8 if something is left.
    """
    from nt_run import data_listing, tables, upkeep  # noqa: PLC0415
    from nt_run.config import load_config  # noqa: PLC0415
    from nt_run.errors import CheckFailedError  # noqa: PLC0415
    from nt_run.formats import counted  # noqa: PLC0415
    from nt_run.progress import ProgressDisplay  # noqa: PLC0415

    settings, chosen = load_config(None, {"demo": demo}), upkeep.selection(symbol, interval)
    with ProgressDisplay(quiet=quiet, verbose=verbose) as progress:
        mended = upkeep.repaired(settings, chosen, cache_dir, progress, prefer=prefer, remote=remote)
    (tables.print_json if json else data_listing.print_repaired)(mended)
    if mended["left"] or mended["failed"]:
        raise CheckFailedError(f"Not repaired: {counted(len(mended['failed']) or len(mended['left']), 'problem')}.")


@data_app.command("prune")
def data_prune(
    *,
    symbol: Symbols = None,
    interval: Intervals = None,
    before: Annotated[
        str | None,
        option("--before", help="Also the files of years, months and days that ended by then.", metavar="TIME"),
    ] = None,
    delete: Annotated[bool, option("--delete", help="Delete what is listed.")] = False,
    demo: Demo = None,
    json: Json = False,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """List what could be deleted, or delete it.

    Files set aside or replaced, and old data.
    """
    from nt_run import data_listing, tables, upkeep  # noqa: PLC0415
    from nt_run.config import load_config  # noqa: PLC0415

    settings = load_config(None, {"demo": demo})
    waste = upkeep.pruned(settings, upkeep.selection(symbol, interval), cache_dir, before=before, delete=delete)
    (tables.print_json if json else data_listing.print_pruned)(waste)


@data_app.command("export")
def data_export(
    ctx: typer.Context,
    target: Annotated[Path, typer.Argument(help="The folder to write to.", metavar="FOLDER")],
    *,
    symbol: Symbols = None,
    interval: Intervals = None,
    kind: Annotated[
        str | None, option("--kind", help="One or several: klines,funding,mark (klines).", metavar="KINDS")
    ] = None,
    start: Start = None,
    end: End = None,
    timerange: Timerange = None,
    days: Annotated[str | None, option("--days", help="The last days of what is cached.", metavar="N")] = None,
    form: Annotated[
        str, option("--format", help="csv, parquet (floats) or archive (the archive's own).", metavar="FORM")
    ] = "csv",
    overwrite: Annotated[bool, option("--overwrite", help="Also over files that hold something else.")] = False,
    demo: Demo = None,
    json: Json = False,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Write cached market data to files.

    Klines, mark price klines and funding rates of a range, or all of the newest without a hole.
    """
    from nt_run import data_listing, exporting, tables  # noqa: PLC0415
    from nt_run.config import load_config  # noqa: PLC0415
    from nt_run.data.export import Target  # noqa: PLC0415

    settings = load_config(None, overrides({**ctx.params, "symbol": None, "interval": None}))
    to = Target(target, overwrite=overwrite)
    written = exporting.exported(settings, symbol, interval, cache_dir, to, form=form, kinds=kind)
    (tables.print_json if json else data_listing.print_exported)(written)
    data_listing.tell_lacking(written["exported"])
    _refuse_failed(written["failed"], len(written["exported"]))


@data_app.command("certificate")
def data_certificate(
    run: KeptRun = None,
    *,
    json: Json = False,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Derive a kept run's data certificate again.

    Ends with 8 if it differs.
    """
    from nt_run import certificates, data_listing, tables  # noqa: PLC0415
    from nt_run.errors import CheckFailedError  # noqa: PLC0415

    found = certificates.certificate(run, cache_dir)
    (tables.print_json if json else data_listing.print_certificate)(found)
    if not found["same"]:
        raise CheckFailedError(f"The data of {found['run_id']} differ in {', '.join(found['differ'])}.")


def _refuse_failed(failed: Sequence[Mapping[str, str]], done: int) -> None:
    """Say at the end which of several series failed, and why."""
    from nt_run.errors import SeriesFailedError  # noqa: PLC0415

    if failed:
        names = (" ".join(each for each in (one["symbol"], one["interval"], one.get("kind")) if each) for one in failed)
        raise SeriesFailedError(dict(zip(names, (one["reason"] for one in failed), strict=True)), done)
