"""Which bars of a kept run leave open what came first, counted anew from fills, orders that rested and bars. Pure.

Surely one is a bar through which a position was held, that it left in by a stop, a target or its liquidation, and that
also came to an order of the other direction. The report must list it. It may list others as well, of entries inside a
bar and of trailing stops; of each it lists there must be the stop and the target, inside the bar. Like `replay`, this
shares no line with the engine and the books.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any

from nt_run.matching import MatchBars
from nt_run.model import LIQUIDATION, MS, Fill, Side, Violation, parse_time
from nt_run.resting import RestingOrder

CHECK = "orders"
ZERO = Decimal(0)


def check_ambiguous(
    ambiguity: Mapping[str, Any] | None, fills: Sequence[Fill], orders: Sequence[RestingOrder], bars: MatchBars
) -> list[Violation]:
    """Return the ambiguous bars a report does not list, and what it lists of others without a reason.

    Args:
        ambiguity: `ambiguity` of a report; `None` where it has none.
        fills: All fills of the run, in time order.
        orders: One for each stretch in which an order did not change.
        bars: What they were matched on.
    """
    listed: Sequence[Mapping[str, Any]] = () if ambiguity is None else ambiguity["listed"]
    known = {parse_time(row["start"]) for row in listed}
    found = [
        Violation(CHECK, "ambiguous bar", int(bars.closed[row]) * MS, f"listed: it came to {first} and {other}", "not")
        for row, first, other in _twofold(fills, orders, bars)
        if int(bars.opened[row]) not in known
    ]
    by_level: dict[Decimal, list[RestingOrder]] = {}
    for order in orders if listed else ():
        by_level.setdefault(order.level, []).append(order)
    for row in listed:
        found += _check_row(row, by_level, bars)
    return found


def _check_row(
    row: Mapping[str, Any], by_level: Mapping[Decimal, Sequence[RestingOrder]], bars: MatchBars
) -> Iterator[Violation]:
    """Yield which end of a listed bar is none: no order of that level rested, or the bar did not come to it."""
    start, end = (parse_time(row[name]) * MS for name in ("start", "end"))
    at = bars.ending_at(end)
    if at is None or int(bars.opened[at]) * MS != start:
        yield Violation(CHECK, "ambiguous bar listed", start, "a bar of the run", f"{row['start']} to {row['end']}")
        return
    low, high = bars.price("low", at), bars.price("high", at)
    away = Side.SELL if row["side"] == "long" else Side.BUY
    for name in ("stop", "target"):
        if row[name] is None:
            continue
        level = Decimal(row[name])
        there = [
            each
            for each in by_level.get(level, ())
            if each.side is away and each.is_stop == (name == "stop") and _rests(each, start, end)
        ]
        if not there or not (low <= level <= high or any(_trails(each) for each in there)):
            told = (f"an order between {low:f} and {high:f}", f"{level:f}")
            yield Violation(CHECK, f"{name} of an ambiguous bar listed", start, *told)


def _twofold(fills: Sequence[Fill], orders: Sequence[RestingOrder], bars: MatchBars) -> Iterator[tuple[int, str, str]]:
    """Yield the row of each bar that surely is ambiguous, with what was booked and what also lies inside."""
    if not orders:
        return
    coming, active, come, held = sorted(orders, key=lambda each: each.since_ns), list[RestingOrder](), 0, ZERO
    for time_ns, group in groupby(fills, key=lambda each: each.time_ns):
        moment = list(group)
        # What leaves at market leaves at the close.
        row = bars.ending_at(time_ns) if any(each.order_type != "market" for each in moment) else None
        if held and row is not None:
            opened_ns = int(bars.opened[row]) * MS
            while come < len(coming) and coming[come].since_ns <= opened_ns:
                active.append(coming[come])
                come += 1
            active = [each for each in active if each.until_ns is None or each.until_ns >= time_ns]
            exits = [each for each in active if each.side.sign * held < 0 and not _trails(each)]
            if (ends := _ends(moment, exits, held, bars, row)) is not None:
                yield row, *ends
        held += sum((each.side.sign * each.quantity for each in moment), ZERO)


def _ends(
    moment: Sequence[Fill], exits: Sequence[RestingOrder], held: Decimal, bars: MatchBars, row: int
) -> tuple[str, str] | None:
    """Return the exit that was booked and one that lies inside the bar as well, if not both could be had."""
    inside, left = {each.order_id: each for each in exits if _is_inside(each, bars, row)}, held
    for fill in moment:
        if left * held <= 0:
            # What else filled is of another position.
            break
        left += fill.side.sign * fill.quantity
        first, forced = inside.get(fill.order_id), fill.order_type == LIQUIDATION
        if fill.side.sign * held > 0 or (first is None and not forced):
            continue
        up = held < 0 if first is None else _rises(first)
        for other in inside.values():
            if _rises(other) != up and fill.quantity + other.quantity > abs(held):
                return f"{fill.price:f}" if first is None else f"{first.level:f}", f"{other.level:f}"
    return None


def _is_inside(order: RestingOrder, bars: MatchBars, row: int) -> bool:
    """Return whether a bar came to an order after its open, which had not passed it."""
    if _rises(order):
        return bars.price("open", row) < order.level <= bars.price("high", row)
    return bars.price("low", row) <= order.level < bars.price("open", row)


def _rises(order: RestingOrder) -> bool:
    """Return whether the price comes to an order from below: to a buy stop and a sell limit."""
    return (order.side is Side.BUY) == order.is_stop


def _trails(order: RestingOrder) -> bool:
    return order.order_type.startswith("trailing")


def _rests(order: RestingOrder, start_ns: int, end_ns: int) -> bool:
    return order.since_ns <= end_ns and (order.until_ns is None or order.until_ns >= start_ns)
