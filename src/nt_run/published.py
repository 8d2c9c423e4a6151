"""What the market data in the cache has of a kept run's range, to hold the run against. Opens no connection."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nt_run.data.ingest import merge_klines
from nt_run.data.loader import MarketData
from nt_run.errors import DataError, NtRunError
from nt_run.inputs import open_market
from nt_run.klines import Klines
from nt_run.margin import MarginRules
from nt_run.margining import load_brackets
from nt_run.matching import replaced
from nt_run.model import FundingRate, TimeRange, parse_time
from nt_run.results import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What is known from elsewhere than the run; `None` where nothing is."""

    settlements: Sequence[FundingRate] | None = None
    marks: Klines | None = None
    """Mark klines of the run's interval; looked for only where they decided on liquidation."""
    detail_marks: Klines | None = None
    """The same of the finer bars."""
    brackets: MarginRules | None = None
    """The table that a run of this configuration would use now."""


def read_published(run: Run, cache_dir: Path) -> Published:
    """Return what the cache has of a run's range."""
    try:
        with open_market(run.config, cache_dir=cache_dir, offline=True) as market:
            return Published(
                settlements=_settlements(market, run),
                marks=_marks(market, run),
                detail_marks=_detail_marks(market, run),
                brackets=_brackets(market, run),
            )
    except DataError:
        return Published(settlements=None if run.config.funding else ())


def _settlements(market: MarketData, run: Run) -> Sequence[FundingRate] | None:
    if not run.config.funding:
        return ()
    span, least = run.klines.range, float(run.config.min_completeness)
    held = TimeRange(span.start_ms + 1, span.end_ms + 1)
    with suppress(DataError):
        return market.load_settlements(run.config.symbol, held, min_completeness=least).rates
    return None


def _marks(market: MarketData, run: Run) -> Klines | None:
    if run.marks is None:
        return None
    interval, span = run.klines.interval, run.klines.range
    with suppress(DataError):
        return market.load_mark_klines(run.config.symbol, interval, span, min_completeness=0.0).klines
    return None


def _detail_marks(market: MarketData, run: Run) -> Klines | None:
    fine, load = run.detail, market.load_mark_klines
    if fine is None or run.detail_marks is None:
        return None
    bars = run.klines.open_times()[replaced(run.klines, fine)].tolist()
    spans = [TimeRange(start, run.klines.interval.end(start)) for start in bars]
    with suppress(DataError):
        parts = [load(run.config.symbol, fine.interval, span, min_completeness=0.0).klines for span in spans]
        return merge_klines(parts, f"{run.config.symbol} {fine.interval} mark price")
    return None


def _brackets(market: MarketData, run: Run) -> MarginRules | None:
    # A file of brackets may be gone, or allow less leverage now.
    with suppress(NtRunError):
        return load_brackets(market, run.config, parse_time(str(run.config.end))).rules
    return None
