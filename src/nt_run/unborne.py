"""What a kept run opened by orders that waited, against the margin it had; and what it refused for want of it. Pure.

The exchange asks for margin as a trigger is met. An order that opens there needs notional ÷ leverage of what is free,
or of what is left of the equity where it closes another position first. Open profit and loss are free with cross margin
only. A limit order had its margin set aside as it was sent, of which fees and open losses take nothing. Like `replay`,
this shares no line with the engine and the books.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from nt_run.held import Course, Held, MarginTerms
from nt_run.matching import MatchBars
from nt_run.model import MS, TRIGGERED, Fill, Side, Violation
from nt_run.resting import RestingOrder

CHECK = "margin"
ZERO = Decimal(0)
_WAITED = TRIGGERED | {"limit"}
_FEES = 4
"""Taker fees on its notional that may be lacking of what was set aside for a limit order."""
_NEAR = Decimal("0.001")
"""Of a notional: what a bar's order of events and roundings may make of the margin."""


def check_borne(
    course: Course, orders: Sequence[RestingOrder], bars: MatchBars, terms: MarginTerms, most: Decimal
) -> list[Violation]:
    """Return the orders that waited and opened beyond the account's margin, and those refused in spite of it.

    Args:
        course: What was held.
        orders: The orders that rested.
        bars: The run's own bars.
        terms: What positions were margined by.
        most: The largest notional the brackets allow at the run's leverage, in the quote asset; it may be infinite.
    """
    found: list[Violation] = []
    for number, fill in enumerate(course.events):
        if isinstance(fill, Fill) and fill.order_type in _WAITED:
            opened, borne = _opens(course.before[number], fill.side, fill.quantity, fill.reference, terms)
            if fill.order_type == "limit":
                isolated = _opens(course.before[number], fill.side, fill.quantity, fill.reference, terms, cross=False)
                borne = max(borne, isolated[1]) + _FEES * terms.taker * terms.leverage * opened
            if opened > borne + _NEAR * opened:
                told = (f"at most {max(borne, ZERO):.2f}", f"{opened:.2f}")
                found.append(Violation(CHECK, f"notional that {fill.order_id} opened", fill.time_ns, *told))
    times = np.array([event.time_ns for event in course.events], dtype=np.int64)
    for order in orders:
        if order.ended == "refused":
            found += _check_refused(order, course, times, bars, terms, most)
    return found


def _check_refused(
    order: RestingOrder,
    course: Course,
    times: NDArray[np.int64],
    bars: MatchBars,
    terms: MarginTerms,
    most: Decimal,
) -> Iterator[Violation]:
    """Hold a refused order against the bar it was triggered in, and what the account was during it."""
    until = order.until_ns or 0
    row = int(np.searchsorted(bars.closed, -(-until // MS)))
    if row >= len(bars) or not _came(order, bars.price("low", row), bars.price("high", row)):
        yield Violation(CHECK, f"refusal of {order.order_id}", until, "as the market comes to it", "without that")
        return
    # What else happened in that bar may have come first or last.
    first = int(np.searchsorted(times, int(bars.opened[row]) * MS))
    last = int(np.searchsorted(times, until, side="right"))
    dearest = max(order.level, bars.price("high", row))
    for held in course.before[first : last + 1]:
        opened, borne = _opens(held, order.side, order.quantity, dearest, terms)
        after = abs(held.position + order.side.sign * order.quantity) * dearest
        if order.order_type == "limit":
            borne = min(borne, _opens(held, order.side, order.quantity, dearest, terms, cross=False)[1])
        if opened and (opened > borne - _NEAR * opened or after > most):
            return
    yield Violation(CHECK, f"refusal of {order.order_id}", until, "where margin lacks", "with enough of it")


def _came(order: RestingOrder, low: Decimal, high: Decimal) -> bool:
    """Tell whether the market of a bar came to an order, or was beyond its trigger, or better than its limit."""
    rises = order.is_stop == (order.side is Side.BUY)
    return high >= order.level if rises else low <= order.level


def _opens(
    held: Held, side: Side, quantity: Decimal, price: Decimal, terms: MarginTerms, *, cross: bool | None = None
) -> tuple[Decimal, Decimal]:
    """Return the notional an order opens at a price, and the largest the account bears."""
    if held.position * side.sign < 0:
        closes = min(abs(held.position), quantity)
        free = held.cash + held.profit(price) - closes * price * terms.taker
        return (quantity - closes) * price, free * terms.leverage
    if terms.mode == "cross" if cross is None else cross:
        return quantity * price, (held.cash + held.profit(price)) * terms.leverage - abs(held.position) * price
    return quantity * price, (held.cash - held.margin) * terms.leverage
