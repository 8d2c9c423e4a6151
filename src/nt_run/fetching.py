"""Bringing market data into a cache: one symbol in one interval, or several, one after another.

Every function returns one plain object, as `--json` prints it.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from nt_run.config import RunConfig
from nt_run.data.loader import MarketData
from nt_run.data.ranges import to_grid
from nt_run.errors import DataError, NotTradableError, SourceError, StoreError, UnknownSymbolError
from nt_run.inputs import CACHE, KINDS, each_series, kinds_in, load_range, open_market
from nt_run.model import Interval, TimeRange, format_iso, format_time
from nt_run.progress import ProgressDisplay
from nt_run.summary import data_object, exchange_warning


def fetch_all(
    config: RunConfig,
    symbols: str | None,
    intervals: str | None,
    cache_dir: Path,
    progress: ProgressDisplay,
    *,
    kinds: str | None = None,
) -> dict[str, Any]:
    """Bring every symbol in every interval into the cache; one that fails does not stop the others.

    Returns:
        What came of each, see `fetch`, and which failed for what reason.

    Raises:
        UsageError: A symbol, an interval or a kind is none.
        DataError: Only one was asked for, and it failed.
    """
    chosen, configs = kinds_in(kinds, KINDS[:2]), each_series(config, symbols, intervals)
    fetched: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []
    for one in configs:
        several = len(configs) > 1
        try:
            fetched.append(fetch(one, kinds=chosen, cache_dir=cache_dir, progress=progress, closed_only=several))
        except DataError as exc:
            if not several:
                raise
            failed.append({"symbol": one.symbol, "interval": one.interval, "reason": str(exc)})
    return {"demo": config.demo, "fetched": fetched, "failed": failed}


def fetch(
    config: RunConfig,
    *,
    kinds: Collection[str] = KINDS[:2],
    cache_dir: Path | str = CACHE,
    progress: ProgressDisplay | None = None,
    closed_only: bool = False,
) -> dict[str, Any]:
    """Bring a range of some kinds of data into the cache, trading rules too, and return what is there.

    A contract that is no longer listed has no rules any more; the archive may still have its data.

    Args:
        config: Names symbol, interval, range and `min_completeness`.
        kinds: Some of `KINDS`.
        cache_dir: The cache.
        progress: Where progress is shown.
        closed_only: A last bar that ends behind the range and has not closed is left out, and a range without a bar is
            none to fetch; both are told. Else they are errors.

    Raises:
        DataError: Something is missing, wrong or out of reach, or no source knows the symbol.
    """
    symbol, interval, least = config.symbol, Interval(config.interval), float(config.min_completeness)
    with open_market(config, cache_dir=Path(cache_dir), offline=False, progress=progress) as market:
        time_range = load_range(market, config)
        unlisted, warnings = _keep_rules(market, symbol)
        bars, told = _closed_bars(market, interval, time_range) if closed_only else (time_range, [])
        wanted = kinds if bars else set(kinds) - {"klines", "mark"}
        bars = bars or time_range
        try:
            klines = market.load_klines(symbol, interval, bars, min_completeness=least) if "klines" in wanted else None
            mark = market.load_mark_klines(symbol, interval, bars, min_completeness=least) if "mark" in wanted else None
            # The settlement at the end is not of the range, but of a run over it.
            held = TimeRange(time_range.start_ms, time_range.end_ms + 1)
            settled = "funding" in wanted
            # With their mark prices, so that a run offline charges what one online would.
            funding = market.load_settlements(symbol, held, min_completeness=least) if settled else None
        except UnknownSymbolError as exc:
            raise unlisted or exc from exc
    warnings += [*told, *(text for one in (klines, mark, funding) if one for text in one.warnings), *market.remarks()]
    return {
        "symbol": symbol,
        "interval": config.interval,
        "demo": config.demo,
        "start": format_iso(time_range.start_ms),
        "end": format_iso(time_range.end_ms),
        "rows": len(klines.klines) if klines else None,
        "funding_rates": sum(rate.slot_ms < time_range.end_ms for rate in funding.rates) if funding else None,
        "data": data_object(klines.certificate) if klines else None,
        # Mark prices have no volume: all of them would be one run without any.
        "mark": data_object(mark.certificate) | {"zero_volume_runs": []} if mark else None,
        "warnings": [*exchange_warning(config), *warnings],
    }


def _closed_bars(market: MarketData, interval: Interval, asked: TimeRange) -> tuple[TimeRange | None, list[str]]:
    """The part of a range whose bars have closed, `None` without a bar, and what to tell of it.

    Only a last bar that ends behind the range is left out: a range of the future stays one, to be refused.
    """
    grid = to_grid(asked, interval)
    if grid is None:
        return None, [f"No {interval} bar opens in {asked}: none was fetched."]
    closed = market.closed_until(interval, grid.end_ms)
    if closed >= grid.end_ms or interval.end(closed) < grid.end_ms or grid.end_ms <= asked.end_ms:
        return asked, []
    if closed <= grid.start_ms:
        return None, [f"No {interval} bar that opens in {asked} has closed yet: none was fetched."]
    told = f"The {interval} bar of {format_time(closed)} has not closed yet and was not fetched."
    return TimeRange(asked.start_ms, closed), [told]


def _keep_rules(market: MarketData, symbol: str) -> tuple[UnknownSymbolError | None, list[str]]:
    """Keep today's trading rules; what stands in the way of a backtest is told and does not stop the data."""
    try:
        return None, market.load_specs(symbol).warnings
    except SourceError as exc:
        return None, [f"No trading rules are kept, a backtest needs them: {exc.source} {exc.reason}."]
    except StoreError as exc:
        # A cache that cannot be written to may have all the data all the same.
        return None, [f"Today's trading rules could not be kept: {exc.path} {exc.reason}."]
    except (UnknownSymbolError, NotTradableError) as exc:
        told = (
            f"{exc} A backtest needs trading rules of the time it was listed: see --specs-at and nt-run specs import."
        )
        return (exc if isinstance(exc, UnknownSymbolError) else None), [told]
