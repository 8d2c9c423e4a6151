"""Which part of a chart is shown: all of it, a trade, or a range of times. Pure: no screen."""

from dataclasses import dataclass
from typing import NamedTuple

from nt_run.chart.bars import Bars
from nt_run.chart.view import ChartData
from nt_run.errors import ChartError
from nt_run.model import TimeRange, format_time

LEAST_SLOTS = 40
"""Less than this is no picture of a market; finplot itself goes no closer than 20."""


@dataclass(frozen=True, slots=True)
class Focus:
    """What to show first: a trade by its number, counted from 1 in order of entry, or a range; all if neither."""

    trade: int | None = None
    times: TimeRange | None = None


class Span(NamedTuple):
    """A stretch of the time axis, in slots; it may reach beyond the ends."""

    left: float
    right: float


def whole_span(bars: Bars) -> Span:
    """Return the stretch of all bars."""
    return Span(-0.5, bars.slots - 0.5)


def trade_span(data: ChartData, number: int) -> Span:
    """Return the stretch of a trade with as much before and after it as it is long.

    Raises:
        ChartError: The run has no trade of that number.
    """
    trades = data.trades
    if not 1 <= number <= len(trades.entry_slot):
        count = len(trades.entry_slot)
        raise ChartError(
            f"There is no trade {number}: {data.title} · {data.subtitle} has {count or 'none'}"
            + (f", numbered from 1 to {count} in order of entry." if count else ".")
        )
    start, end = float(trades.entry_slot[number - 1]), float(trades.exit_slot[number - 1])
    return _at_least(Span(start - (end - start + 1), end + (end - start + 1)))


def range_span(bars: Bars, times: TimeRange) -> Span:
    """Return the stretch of a range of times, cut to what there is.

    Raises:
        ChartError: There is no bar in it.
    """
    left, right = bars.place(times.start_ms), bars.place(times.end_ms)
    if right <= 0 or left >= bars.slots:
        ends = " → ".join(format_time(bars.time_ms(place)) for place in (0, bars.slots))
        raise ChartError(f"The range has no bar of this chart, which goes from {ends} UTC.")
    return _at_least(Span(max(left, 0) - 0.5, min(right, bars.slots) - 0.5))


def find_span(data: ChartData, focus: Focus) -> Span:
    """Return the stretch a focus asks for.

    Raises:
        ChartError: There is no such trade, or no bar in the range.
    """
    if focus.trade is not None:
        return trade_span(data, focus.trade)
    return whole_span(data.bars) if focus.times is None else range_span(data.bars, focus.times)


def next_trade(data: ChartData, current: int | None, span: Span, step: int) -> int | None:
    """Return the number of the trade after (`step` 1) or before (−1) the current one; `None` if there is none.

    Without a current trade, that is the first one entered inside the visible `span` or after it, or the last one
    entered before its end.
    """
    entries = data.trades.entry_slot
    if current is not None:
        number = current + step
    elif step > 0:
        number = int(entries.searchsorted(span.left)) + 1
    else:
        number = int(entries.searchsorted(span.right, side="right"))
    return number if 1 <= number <= len(entries) else None


def _at_least(span: Span) -> Span:
    missing = max(LEAST_SLOTS - (span.right - span.left), 0.0)
    return Span(span.left - missing / 2, span.right + missing / 2)
