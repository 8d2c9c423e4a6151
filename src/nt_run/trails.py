"""Where a trailing stop may have filled inside one bar, and whether it must have. Pure.

Its trigger follows the price, as far as the bar's extreme in the position's favour. A bar does not tell in which steps
the price went there, so the stop may have filled anywhere between two triggers: the one the bar began with, and the one
at that extreme. It need not have where the other extreme may have come first and the close is not beyond the last one;
then it rests on, with the trigger it has come to.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from nt_run.model import Side
from nt_run.outcomes import NO_EXIT, ZERO, Span, total
from nt_run.resting import RestingOrder, Trailing
from nt_run.specs import decimals

_BPS = Decimal(10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """One trailing stop in one bar that may have filled it, from `first` to `last` (quote asset)."""

    order: RestingOrder
    first: Decimal
    last: Decimal
    least: Decimal
    """The trigger it has come to at least where the bar does not fill it; `last` at most."""
    certain: bool
    """Whether every path through the bar fills it, unless another order comes first."""

    @property
    def prices(self) -> dict[str, Decimal]:
        """The two bounds of its fill, by a name of each."""
        return {f"{self.order.order_id} first": self.first, f"{self.order.order_id} last": self.last}

    @property
    def moved(self) -> list[RestingOrder]:
        """The order as the bar leaves it if it does not fill it: with the least trigger, and with the last."""
        return [replace(self.order, trigger=trigger) for trigger in dict.fromkeys((self.least, self.last))]


def find_trails(span: Span, orders: Iterable[RestingOrder], tick: Decimal) -> list[Trail]:
    """Return those of the exits of a position that trail and that the bar may have filled; a gap leaves no doubt."""
    return [trail for order in orders if order.trailing and (trail := _find_trail(span, order, order.trailing, tick))]


def _find_trail(span: Span, order: RestingOrder, trailing: Trailing, tick: Decimal) -> Trail | None:
    trigger = order.trigger
    # A sale's trigger is below the price and follows it up.
    up = order.side is Side.SELL
    if trigger is None or not _beyond(span.start, trigger, up=up):
        return None
    further = max if up else min
    far, near = (span.high, span.low) if up else (span.low, span.high)
    begun = further(trigger, _followed(trailing, span.start, tick, up=up))
    last = further(begun, _followed(trailing, far, tick, up=up))
    if _beyond(near, last, up=up):
        return None
    met = not _beyond(span.close, last, up=up)
    certain = not _beyond(span.close, begun, up=up) or (not span.approach and (met or not _beyond(near, begun, up=up)))
    # The extreme may have come before an entry on the way from it, where the order did not rest yet.
    after = span.approach in {0, 1 if up else -1}
    least = last if after else further(begun, _followed(trailing, span.close, tick, up=up))
    return Trail(order=order, first=further(begun, near), last=last, least=least, certain=certain)


def carried(order: RestingOrder, *, high: Decimal, low: Decimal, tick: Decimal) -> RestingOrder:
    """Return an order as prices up to `high` and down to `low` leave it: its trigger follows, if it trails."""
    if order.trailing is None or order.trigger is None:
        return order
    up = order.side is Side.SELL
    followed = _followed(order.trailing, high if up else low, tick, up=up)
    return replace(order, trigger=max(order.trigger, followed) if up else min(order.trigger, followed))


def may_fill(
    order: RestingOrder, high: NDArray[np.int64], low: NDArray[np.int64], tick: Decimal, exponent: int
) -> NDArray[np.bool_]:
    """Return which bars come to where a trailing stop was before them, or follows to in them; at most a tick too many.

    Args:
        order: The stop, as the bars find it.
        high: Their high prices, scaled by 10^`exponent`.
        low: Their low prices.
        tick: The contract's tick size, in the quote asset.
        exponent: Of the prices.
    """
    if order.trailing is None or order.trigger is None:
        return np.zeros(len(high), dtype=np.bool_)
    # Turned over, a stop of a short is one of a long.
    sign = -order.side.sign
    far, near = (high, low) if sign > 0 else (-low, -high)
    furthest = np.maximum.accumulate(far)
    each = {"price": Decimal(1), "ticks": tick, "basis_points": ZERO}[order.trailing.unit]
    fixed = float((each * order.trailing.offset).scaleb(exponent))
    share = float(order.trailing.offset / _BPS) if order.trailing.unit == "basis_points" else 0.0
    trigger, slack = (float(value.scaleb(exponent)) for value in (sign * order.trigger, tick))
    return near <= np.maximum(trigger, furthest - fixed - share * abs(furthest)) + slack


def with_trails(
    paths: Sequence[Mapping[str, Decimal]], trails: Sequence[Trail], quantity: Decimal, *, gapped: bool
) -> list[Mapping[str, Decimal]]:
    """Return the paths through a bar, each with and without its trailing stops; what they take is named as in `prices`.

    `gapped` says that the bar opened beyond another exit, which then came first in any case.
    """
    found: list[Mapping[str, Decimal]] = list(paths)
    for trail in trails:
        before: list[Mapping[str, Decimal]] = found if gapped else [NO_EXIT, *found]
        stopped: list[Mapping[str, Decimal]] = [
            {**path, name: min(trail.order.quantity, left)}
            for path in before
            if (left := quantity - total(path)) > 0
            for name in trail.prices
        ]
        found += stopped
    certain = [trail.prices for trail in trails if trail.certain]
    return [path for path in found if total(path) >= quantity or all(path.keys() & prices for prices in certain)]


def _followed(trailing: Trailing, price: Decimal, tick: Decimal, *, up: bool) -> Decimal:
    """Return the trigger that follows a price: to the nearest price of the contract's decimals, as the engine does."""
    offset = {"price": Decimal(1), "ticks": tick, "basis_points": price / _BPS}[trailing.unit] * trailing.offset
    return round(price - offset if up else price + offset, decimals(tick))


def _beyond(price: Decimal, trigger: Decimal, *, up: bool) -> bool:
    """Tell whether a price has not yet come to the trigger."""
    return price > trigger if up else price < trigger
