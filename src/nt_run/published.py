"""What the market data in the cache has of a kept run's range, to hold the run against. Opens no connection."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nt_run.data.ingest import merge_klines
from nt_run.data.kline_store import KlineStore
from nt_run.data.loader import MarketData
from nt_run.data.snapshots import SnapshotStore
from nt_run.data.then_and_now import Beside, Kept, put_beside
from nt_run.errors import DataError, NtRunError
from nt_run.inputs import open_market
from nt_run.klines import Klines
from nt_run.margin import MarginRules
from nt_run.margining import load_brackets
from nt_run.matching import replaced
from nt_run.model import FundingRate, TimeRange, parse_time
from nt_run.results import Run
from nt_run.rule_changes import RULES, at_time
from nt_run.specs import RANGE, find_symbol, parse_symbol_specs
from nt_run.summary import specs_object

_OF_THE_RUN = {"as_of", "source", "maker_fee", "taker_fee", "fee_source"}
"""What of a run's rules is not the exchange's about the contract."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What is known from elsewhere than the run; `None` where nothing is."""

    klines: Beside | None = None
    """What the cache says of the run's klines."""
    detail: Beside | None = None
    """The same of the finer ones."""
    rules: Mapping[str, Any] | None = None
    """The contract's trading rules by the answer that the run names, with what the run undid or applied of them."""
    unsure: Sequence[str] = ()
    """Of these the ones of which other changes are known now than the run knew."""
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
            rules, unsure = _rules(market, run)
            return Published(
                klines=_beside(market, run, run.klines, whole=True),
                detail=None if run.detail is None else _beside(market, run, run.detail, whole=False),
                rules=rules,
                unsure=unsure,
                settlements=_settlements(market, run),
                marks=_marks(market, run),
                detail_marks=_detail_marks(market, run),
                brackets=_brackets(market, run),
            )
    except DataError:
        return Published(settlements=None if run.config.funding else ())


def _beside(market: MarketData, run: Run, klines: Klines, *, whole: bool) -> Beside | None:
    asked = run.config.time_range(0) if whole else klines.range
    # The later one, for the machine's clock may be behind the exchange's.
    made = max(parse_time(time) for time in (run.summary["created"], run.specs["as_of"]))
    with suppress(DataError):
        store = KlineStore(market.root, run.config.symbol, klines.interval, repair=False)
        return put_beside(Kept(klines=klines, asked=asked, whole=whole, made_ms=made), store)
    return None


def _rules(market: MarketData, run: Run) -> tuple[Mapping[str, Any] | None, Sequence[str]]:
    """Return the rules by the answer the run names, as `specs_object` tells them, and which of them are not sure."""
    told, store = run.specs, SnapshotStore(market.root, repair=False)
    with suppress(DataError):
        answer = next((one for one in store.all() if one.file == told.get("snapshot")), None)
        if answer is None:
            return None, ()
        entry = find_symbol(store.read(answer), run.config.symbol)
        specs, unsure = parse_symbol_specs(entry, as_of_ms=answer.fetched_at_ms, source=answer.file), ()
        if told.get("at") == RANGE:
            start, known = run.config.time_range(0).start_ms, parse_time(told["as_of"])
            specs, changed = at_time(specs, market.changes, known, start)
            unsure = () if [str(one) for one in changed] == told.get("changes") else RULES
        rules = specs_object(specs, run.config.trading_fees())
        return {name: value for name, value in rules.items() if name not in _OF_THE_RUN}, unsure
    return None, ()


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
