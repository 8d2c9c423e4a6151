"""Where a trailing stop may have filled inside one bar, and whether it must have. Pure.

Its trigger follows the price, as far as the bar's extreme in the position's favour. A bar does not tell in which steps
the price went there, so the stop may have filled anywhere between two triggers: the one the bar began with, and the one
at that extreme. It need not have where the other extreme may have come first and the close is not beyond the last one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from nt_run.model import Side
from nt_run.outcomes import NO_EXIT, Span, total
from nt_run.resting import RestingOrder, Trailing

_BPS = Decimal(10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """One trailing stop in one bar that may have filled it, from `first` to `last` (quote asset)."""

    order: RestingOrder
    first: Decimal
    last: Decimal
    certain: bool
    """Whether every path through the bar fills it, unless another order comes first."""

    @property
    def prices(self) -> dict[str, Decimal]:
        """The two bounds of its fill, by a name of each."""
        return {f"{self.order.order_id} first": self.first, f"{self.order.order_id} last": self.last}

    @property
    def moved(self) -> RestingOrder:
        """The order as the bar leaves it if it does not fill it."""
        return replace(self.order, trigger=self.last)


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
    return Trail(order=order, first=further(begun, near), last=last, certain=certain)


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
        found = [path for path in found if not trail.certain or total(path) >= quantity] + stopped
    return found


def _followed(trailing: Trailing, price: Decimal, tick: Decimal, *, up: bool) -> Decimal:
    """Return the trigger that follows a price, on the tick."""
    offset = {"price": Decimal(1), "ticks": tick, "basis_points": price / _BPS}[trailing.unit] * trailing.offset
    wanted = price - offset if up else price + offset
    return (wanted / tick).to_integral_value(ROUND_FLOOR if up else ROUND_CEILING) * tick


def _beyond(price: Decimal, trigger: Decimal, *, up: bool) -> bool:
    """Tell whether a price has not yet come to the trigger."""
    return price > trigger if up else price < trigger
