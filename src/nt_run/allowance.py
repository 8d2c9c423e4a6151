"""What the exchange allowed a kept run: how large a position, and a stop that liquidation does not come before. Pure.

The brackets bound a position when an order is sent: all that is held, and all that still waits on its side, at the
price of that order. Like `replay`, this shares no line with the engine and the books.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise

import numpy as np

from nt_run.held import Course, Held, MarginTerms
from nt_run.matching import MatchBars
from nt_run.model import LIQUIDATION, MS, Fill, Violation
from nt_run.resting import RestingOrder

CHECK = "margin"
ZERO = Decimal(0)
_SLACK = Decimal("1e-6")
"""Quote asset."""
_NEAR = Decimal("0.001")
"""Of a notional: less left at a stop, or less lacking, leaves open which comes first."""

type Lives = Mapping[str, Sequence[RestingOrder]]
"""The stretches of each order that rested, by its id."""


def lives_of(orders: Sequence[RestingOrder]) -> Lives:
    """Return the stretches of each order that rested."""
    lives: dict[str, list[RestingOrder]] = {}
    for order in orders:
        lives.setdefault(order.order_id, []).append(order)
    return lives


def check_sizes(course: Course, lives: Lives, bars: MatchBars, most: Decimal) -> list[Violation]:
    """Return the positions that were larger than the brackets allowed when the last of their orders was sent.

    Args:
        course: What was held.
        lives: The orders that rested.
        bars: The run's own bars: a market order counted at the last close of them.
        most: The largest notional at the run's leverage, in the quote asset; it may be infinite.
    """
    found: list[Violation] = []
    largest = max((abs(held.position) for held in course.before), default=ZERO)
    dearest = max(
        [Decimal(int(bars.close.max())).scaleb(-bars.exponent), *(one.level for life in lives.values() for one in life)]
    )
    if largest * dearest <= most:
        return found
    latest: tuple[int, Decimal] | None = None
    for number, fill in _fills(course):
        held, after = course.before[number].position, course.before[number + 1].position
        if abs(after) <= abs(held) and held * after >= 0:
            latest = latest if after else None
            continue
        sent = _sent(fill, lives, bars)
        if sent is None:
            continue
        if latest is None or held * after <= 0 or sent[0] > latest[0]:
            latest = sent
        elif sent[0] == latest[0]:
            latest = min(sent, latest)
        notional = abs(after) * latest[1]
        if notional > most + _SLACK:
            told = (f"at most {most.normalize():f}", f"{notional.normalize():f}")
            found.append(Violation(CHECK, "notional of a position, by the leverage brackets", fill.time_ns, *told))
    return found


def count_beyond(
    course: Course, orders: Sequence[RestingOrder], bars: MatchBars, terms: MarginTerms
) -> tuple[int, int]:
    """Return how many trades of one entry and one exit surely had a stop that liquidation comes before, and may have.

    A trade's stop is the one sent with its fill, for its whole quantity; where there is none it may have had any.
    """
    stops: dict[int, list[RestingOrder]] = {}
    for order in orders:
        if order.is_stop:
            stops.setdefault(order.sent_ns, []).append(order)
    sure = possible = 0
    for (number, entry), (leave, _) in pairwise(_fills(course)):
        held = course.before[number + 1].position
        entered = course.before[number].position * held <= 0
        if not (held and entered and course.before[leave + 1].position * held <= 0):
            continue
        stop = next((one for one in stops.get(entry.time_ns, ()) if _protects(one, held)), None)
        price = _close(bars, entry.time_ns)
        if stop is None or stop.trigger is None or price is None:
            possible += 1
            continue
        notional = abs(held) * price
        opened = Held(held, price, notional / terms.leverage, course.before[number + 1].cash)
        left = opened.left(stop.trigger, terms)
        sure += left < -_NEAR * notional
        possible += left <= _NEAR * notional
    return sure, possible


def _fills(course: Course) -> Iterator[tuple[int, Fill]]:
    return ((number, each) for number, each in enumerate(course.events) if isinstance(each, Fill))


def _sent(fill: Fill, lives: Lives, bars: MatchBars) -> tuple[int, Decimal] | None:
    """Return when an order was sent or last changed, and the price it counted at; `None` where that is not known."""
    if fill.order_type == LIQUIDATION:
        return None
    if life := lives.get(fill.order_id):
        return life[-1].sent_ns, min(each.level for each in life)
    price = _close(bars, fill.time_ns)
    return None if price is None else (fill.time_ns, price)


def _protects(stop: RestingOrder, held: Decimal) -> bool:
    return stop.side.sign * held < 0 and stop.quantity == abs(held)


def _close(bars: MatchBars, time_ns: int) -> Decimal | None:
    """Return the last close at a time."""
    row = int(np.searchsorted(bars.closed, time_ns // MS, side="right")) - 1
    return None if row < 0 else bars.price("close", row)
