"""Mark prices of settlements whose rows have none: the archive's never do, and REST's old ones do not.

The mark price at a settlement is the one that the mark price kline opens at which begins then.
"""

from dataclasses import replace
from decimal import Decimal

from nt_run.data.kline_loader import KlineLoader
from nt_run.data.kline_store import KlineStore
from nt_run.data.loaded import LoadedFunding
from nt_run.data.sources import Sources
from nt_run.errors import DataError
from nt_run.model import FundingRate, Interval, TimeRange

HOURS = Interval("1h")
"""Settlements are at full hours; of longer bars, some settlements of contracts that settle more often open none."""


def with_mark_prices(loaded: LoadedFunding, marks: KlineStore, sources: Sources) -> LoadedFunding:
    """Return settlements each with its own mark price, or else with that of the mark kline of an hour that opens then.

    Where there is neither, it has none; what could not be had is among the warnings.

    Args:
        loaded: The settlements.
        marks: Where the hourly mark klines of the contract are kept.
        sources: Asked for those that the store lacks.
    """
    slots = [rate.slot_ms for rate in loaded.rates if rate.mark_price is None]
    if not slots:
        return loaded
    start, end = min(slots), max(slots) + HOURS.ms
    warnings = list(loaded.warnings)
    try:
        # The last settlement may be of this minute, and its hour not over.
        closed = end if sources.offline else min(end, sources.closed_until(HOURS, end))
        if start < closed:
            KlineLoader(marks, sources).load(TimeRange(start, closed), 0.0)
    except DataError as exc:
        warnings.append(f"{marks.symbol} funding: mark prices are lacking: {str(exc).splitlines()[0]}")
    return replace(loaded, rates=_priced(loaded.rates, marks, TimeRange(start, end)), warnings=warnings)


def _priced(rates: list[FundingRate], marks: KlineStore, span: TimeRange) -> list[FundingRate]:
    hours = marks.read(span)
    exponent = -hours.exponents.price
    times, opens = hours.open_times().tolist(), hours.frame["open"].to_list()
    prices = {time: Decimal(price).scaleb(exponent) for time, price in zip(times, opens, strict=True)}
    return [replace(rate, mark_price=prices.get(rate.slot_ms)) if rate.mark_price is None else rate for rate in rates]
