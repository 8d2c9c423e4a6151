"""The orders of a kept run that rested, held against its fills and the bars.

An order that rested filled where the market came to its price, at that price, or at the open behind a gap; and where
the market came to its price it filled. Like `compliance`, this shares nothing with the engine and the books.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import pairwise

import numpy as np

from nt_run.matching import MatchBars
from nt_run.model import LIQUIDATION, MS, Fill, Liquidity, Side, Violation, format_time
from nt_run.resting import RestingOrder

CHECK = "orders"
ZERO = Decimal(0)
_AT_ONCE = frozenset({"market", "market_to_limit", LIQUIDATION})
"""What never rests."""
_GOES_ON = frozenset({"modified", "triggered"})
_ENDS = _GOES_ON | {"filled", "cancelled", "expired", "rejected", "refused", "open"}
_LAST = np.iinfo(np.int64).max

type _Wrong = Iterator[tuple[str, int, str, str]]
"""What, when (ns), expected, found."""
type _Told = Iterator[tuple[str, str, str]]


def check_orders(
    orders: Sequence[RestingOrder], fills: Sequence[Fill], bars: MatchBars, *, tick: Decimal, step: Decimal
) -> list[Violation]:
    """Return what is wrong with the orders that rested, and with the fills they led to.

    Args:
        orders: One for each stretch in which an order did not change.
        fills: All fills of the run, in time order.
        bars: What they were matched on.
        tick: Of the contract, in the quote asset.
        step: Of the contract, in the base asset.
    """
    lives: dict[str, list[RestingOrder]] = {}
    for order in orders:
        lives.setdefault(order.order_id, []).append(order)
    made: dict[str, list[Fill]] = {}
    for fill in fills:
        if fill.order_type not in _AT_ONCE:
            made.setdefault(fill.order_id, []).append(fill)
    found: list[Violation] = []
    for order_id in made.keys() | lives.keys():
        life, filled = lives.get(order_id, []), made.get(order_id, [])
        told = [*_check_life(life), *_check_filled(life, filled), *_check_fills(life, filled, bars)]
        found += [Violation(CHECK, f"{what} of {order_id}", time, ours, theirs) for what, time, ours, theirs in told]
    for order in orders:
        found += [
            Violation(CHECK, f"{what} of {order.order_id}", order.since_ns, ours, theirs)
            for what, ours, theirs in _check_terms(order, tick, step)
        ]
    return sorted([*found, *_unfilled(orders, bars)], key=lambda each: each.time_ns or 0)


def _check_life(life: Sequence[RestingOrder]) -> _Wrong:
    """Hold the stretches of one order against each other."""
    for before, after in pairwise(life):
        same = [(each.side, each.order_type) for each in (before, after)]
        if same[0] != same[1] or before.until_ns != after.since_ns or before.ended not in _GOES_ON:
            yield "stretch", after.since_ns, "what follows the one before", f"one that {before.ended} before"
    if life and life[-1].ended in _GOES_ON:
        yield "stretch", life[-1].until_ns or 0, "one that follows", "none"


def _check_filled(life: Sequence[RestingOrder], fills: Sequence[Fill]) -> _Wrong:
    """Hold the quantity and the end of one order against its fills."""
    if not life:
        yield "stretch", fills[0].time_ns, f"one that {fills[0].side}s {fills[0].quantity:f}", "none"
        return
    last, filled = life[-1], sum((fill.quantity for fill in fills), ZERO)
    if filled > last.quantity or (last.ended == "filled") != (filled == last.quantity):
        due = f"{last.quantity:f}" if last.ended == "filled" else f"less than {last.quantity:f}"
        yield "quantity filled", last.since_ns, due, f"{filled:f}"
    if last.ended == "filled" and fills and fills[-1].time_ns != last.until_ns:
        yield "end", fills[-1].time_ns, "when it filled", _time(last.until_ns)


def _check_fills(life: Sequence[RestingOrder], fills: Sequence[Fill], bars: MatchBars) -> _Wrong:
    """Hold each fill of one order against the stretch in which it happened."""
    for fill in fills if life else ():
        at = [each for each in life if each.since_ns <= fill.time_ns <= (each.until_ns or _LAST)]
        if not at:
            yield "stretch", fill.time_ns, "one that was open when it filled", "none"
            continue
        order = at[-1]
        if (fill.side, fill.order_type) != (order.side, order.order_type):
            yield "side and type", fill.time_ns, f"{fill.side} {fill.order_type}", f"{order.side} {order.order_type}"
        rested = order.trigger is None and order.price is not None and order.since_ns < fill.time_ns
        if rested and fill.liquidity is not Liquidity.MAKER:
            yield "liquidity", fill.time_ns, "maker: it rested in the book", fill.liquidity
        if (told := _wrong_price(order, fill, bars)) is not None:
            yield "price", fill.time_ns, told, f"{fill.reference:f}"


def _wrong_price(order: RestingOrder, fill: Fill, bars: MatchBars) -> str | None:
    """Return at which price an order had to fill, if it did not."""
    off = order.side.sign * (fill.reference - order.level)
    if not off:
        return None
    if order.trigger is not None:
        # A stop behind a gap gets the open, which is worse, one that waits for a better price a better one.
        row = bars.ending_at(fill.time_ns)
        opened = None if row is None else bars.price("open", row)
        return None if fill.reference == opened and (off > 0) == order.is_stop else f"{order.level:f}"
    # A limit that the market had passed when it was sent takes at the market's price. One that closes a position which
    # came to be behind a gap may meet the open with it.
    row = bars.ending_at(fill.time_ns)
    at_open = row is not None and fill.reference == bars.price("open", row)
    return None if off < 0 and (fill.time_ns == order.since_ns or at_open) else f"{order.level:f}"


def _check_terms(order: RestingOrder, tick: Decimal, step: Decimal) -> _Told:
    """Hold one stretch against itself and the filters."""
    until = _LAST if order.until_ns is None else order.until_ns
    if not order.sent_ns <= order.since_ns <= until:
        yield "times", "sent, since, until", " … ".join(map(_time, (order.sent_ns, order.since_ns, order.until_ns)))
    if order.ended not in _ENDS or (order.ended == "open") != (order.until_ns is None):
        yield "end", "one of an order", f"{order.ended} {_time(order.until_ns)}"
    if order.quantity <= 0 or order.quantity % step:
        yield "quantity off the step", f"a multiple of {step:f}", f"{order.quantity:f}"
    for name, price in (("price", order.price), ("trigger", order.trigger)):
        if price is not None and (price <= 0 or price % tick):
            yield f"{name} off the tick", f"a multiple of {tick:f}", f"{price:f}"
    if order.price is None and order.trigger is None:
        yield "price", "one to wait for", "none"


def _unfilled(orders: Sequence[RestingOrder], bars: MatchBars) -> list[Violation]:
    """Return the orders to the price of which a bar came while they rested, without filling them."""
    opened, closed = bars.opened * MS, bars.closed * MS
    first = np.searchsorted(opened, [each.since_ns for each in orders])
    # What ends an order inside a bar may come before its price, so that bar tells nothing.
    last = np.searchsorted(closed, [_LAST if each.until_ns is None else each.until_ns for each in orders])
    found: list[Violation] = []
    for number in np.flatnonzero(first < last).tolist():
        order, span = orders[number], slice(int(first[number]), int(last[number]))
        up = order.is_stop == (order.side is Side.BUY)
        level = int(order.level.scaleb(bars.exponent).to_integral_value())
        reached = bars.high[span] >= level if up else bars.low[span] <= level
        if reached.any():
            row = span.start + int(np.argmax(reached))
            price = bars.price("high" if up else "low", row)
            told = (f"a fill at {order.level:f}: the {'high' if up else 'low'} was {price:f}", "none")
            found.append(Violation(CHECK, f"missed fill of {order.order_id}", int(closed[row]), *told))
    return found


def _time(time_ns: int | None) -> str:
    return "never" if time_ns is None else format_time(time_ns // MS)
