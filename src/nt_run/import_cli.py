"""`nt-run data import` and `data check`: klines of one's own, and cross-checks. Heavy modules are imported inside."""

from pathlib import Path
from typing import Annotated

import typer

from nt_run.options import (
    CACHE,
    CacheDir,
    Demo,
    Interval,
    Intervals,
    Json,
    Offline,
    Quiet,
    Symbol,
    Symbols,
    Verbose,
    option,
)


def data_import(
    file: Annotated[Path, typer.Argument(help="CSV (zipped, too), Parquet or feather.", metavar="FILE")],
    *,
    symbol: Symbol = None,
    interval: Interval = None,
    check_only: Annotated[bool, option("--check-only", help="Check the file and store nothing.")] = False,
    accept: Annotated[
        bool, option("--accept-suspicious", help="Store rows that look like another market's; cached rows stay.")
    ] = False,
    offline: Offline = False,
    demo: Demo = None,
    json: Json = False,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Bring klines of your own file into the cache.

    Once compared with the exchange.
    """
    from nt_run import data_listing, tables, upkeep  # noqa: PLC0415
    from nt_run.config import load_config  # noqa: PLC0415
    from nt_run.data.importing import ImportOrder  # noqa: PLC0415
    from nt_run.progress import ProgressDisplay  # noqa: PLC0415

    order = ImportOrder(path=file, symbol=symbol, interval=interval, accept=accept, store=not check_only)
    with ProgressDisplay(quiet=quiet, verbose=verbose) as progress:
        taken = upkeep.imported(load_config(None, {"demo": demo}), cache_dir, order, progress, offline=offline)
    (tables.print_json if json else data_listing.print_imported)(taken)


def data_check(
    *,
    symbol: Symbols = None,
    interval: Intervals = None,
    offline: Offline = False,
    demo: Demo = None,
    json: Json = False,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Compare cached klines with a second source.

    Or with mark prices; ends with 8 if some look like another market's.
    """
    from nt_run import data_listing, tables, upkeep  # noqa: PLC0415
    from nt_run.config import load_config  # noqa: PLC0415
    from nt_run.errors import CheckFailedError  # noqa: PLC0415
    from nt_run.progress import ProgressDisplay  # noqa: PLC0415

    settings, chosen = load_config(None, {"demo": demo}), upkeep.selection(symbol, interval)
    with ProgressDisplay(quiet=quiet, verbose=verbose) as progress:
        found = upkeep.cross_checked(settings, chosen, cache_dir, progress, offline=offline)
    (tables.print_json if json else data_listing.print_cross_checked)(found)
    if not found["sound"]:
        raise CheckFailedError("Some klines look like another market's. Compare their source with the exchange.")
