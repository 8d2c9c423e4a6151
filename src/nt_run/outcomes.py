"""Which exits of a position one bar allows, and what each would have fetched. Pure.

A bar tells that the price was at its open, its high, its low and its close, not in which order it was at the two in the
middle. An exit above and an exit below the price are both inside many a bar; which came first decides the trade.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import permutations
from typing import Literal

from nt_run.execution import Execution
from nt_run.model import LIQUIDATION, Fees, Fill, Side
from nt_run.resting import RestingOrder

ZERO = Decimal(0)
NO_EXIT: Mapping[str, Decimal] = {}
"""The path that leaves a position open."""

type Reach = Literal["at once", "certain", "possible", "never"]
type Direction = Literal[1, -1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What an exit is charged: fees as fractions of notional, and slippage, whose ticks are `tick`.

    `execution` also says whether an order at market fills at the close or at the next open.
    """

    fees: Fees
    execution: Execution
    tick: Decimal

    def fetched(self, order: RestingOrder, price: Decimal) -> Decimal:
        """Return what one unit fetches where `order` meets the market's `price`, net of fee; negative for a buy."""
        return self.net(order.side, price, makes=True) if order.makes else self.at_market(order.side, price)

    def at_market(self, side: Side, price: Decimal) -> Decimal:
        """Return what one unit fetches at the market's `price`, slipped, net of the taker fee; negative for a buy."""
        return self.net(side, self.execution.slippage.worse(price, side, tick=self.tick), makes=False)

    def net(self, side: Side, price: Decimal, *, makes: bool) -> Decimal:
        """Return what one unit fetches at exactly `price`, net of fee."""
        return -side.sign * price - price * (self.fees.maker if makes else self.fees.taker)


@dataclass(frozen=True, slots=True, kw_only=True)
class Threat:
    """A position that left by an order of its own in a bar that also reached its liquidation price.

    Mark prices decide on liquidation and last prices on orders, so which came first is not known: of the whole
    `quantity` at `price`, with `charge` in the quote asset, it may have been.
    """

    order_id: str
    """Of the fill by which it left."""
    quantity: Decimal
    price: Decimal
    charge: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The prices of one bar from the moment a position was open.

    `start` is where the position was from then on: the bar's open, or the price of an entry inside the bar, which the
    price came to in the direction `approach` (0 for the open).
    """

    start: Decimal
    approach: Literal[1, 0, -1]
    high: Decimal
    low: Decimal
    close: Decimal

    def reach(self, order: RestingOrder) -> Reach:
        """Return whether the price came to an exit after the position was open.

        The extreme on the far side of an entry comes after it, the other one perhaps before; the close always after.
        """
        direction, level = heading(order), order.level
        if direction * (level - self.start) <= 0:
            return "at once"
        extreme = self.high if direction > 0 else self.low
        if direction * (extreme - level) < 0:
            return "never"
        if self.approach in {0, direction} or direction * (self.close - level) >= 0:
            return "certain"
        return "possible"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exits:
    """The exits a bar allows: those that fill at once, and by direction those it reaches, the nearest first.

    `certain` are the directions of which the bar leaves no doubt.
    """

    at_once: Sequence[RestingOrder]
    reached: Mapping[Direction, Sequence[RestingOrder]]
    certain: frozenset[Direction]

    def paths(self, quantity: Decimal) -> Iterator[dict[str, Decimal]]:
        """Yield what each path the bar allows takes out of a position, by order id; what is left stays open."""
        for length in range(len(self.certain), len(self.reached) + 1):
            for path in permutations(self.reached, length):
                if self.certain <= set(path):
                    yield _taken(quantity, [*self.at_once, *(order for way in path for order in self.reached[way])])


def find_exits(span: Span, orders: Sequence[RestingOrder]) -> Exits:
    """Return which of the orders, all on the exit side, a bar reaches."""
    reach = {order.order_id: span.reach(order) for order in orders}
    reached: dict[Direction, list[RestingOrder]] = {}
    for order in sorted(orders, key=lambda each: abs(each.level - span.start)):
        if reach[order.order_id] in {"certain", "possible"}:
            reached.setdefault(heading(order), []).append(order)
    return Exits(
        at_once=[order for order in orders if reach[order.order_id] == "at once"],
        reached=reached,
        certain=frozenset(way for way, there in reached.items() if reach[there[0].order_id] == "certain"),
    )


def heading(order: RestingOrder) -> Direction:
    """Return in which direction the price comes to an order: up to a buy stop and a sell limit."""
    return 1 if (order.side is Side.BUY) == order.is_stop else -1


def part_of(group: Sequence[Fill], names: set[str], most: Decimal) -> list[Fill]:
    """Return the fills of some orders, as far as they reduce a position of the quantity `most`."""
    made: list[Fill] = []
    for fill in group:
        if fill.order_id in names and (part := min(fill.quantity, most)):
            made.append(fill if part == fill.quantity else replace(fill, quantity=part))
            most -= part
    return made


def total(taken: Mapping[str, Decimal]) -> Decimal:
    """Return how much a path takes out of a position."""
    return sum(taken.values(), ZERO)


def worth(taken: Mapping[str, Decimal], fetched: Mapping[str, Decimal]) -> Decimal:
    """Return what a path fetches, at so much a unit by the names of its ends."""
    return sum((quantity * fetched[name] for name, quantity in taken.items()), ZERO)


def alike(one: Mapping[str, Decimal], other: Mapping[str, Decimal], fetched: Mapping[str, Decimal]) -> bool:
    """Return whether two ends take out the same quantity for the same money."""
    return total(one) == total(other) and worth(one, fetched) == worth(other, fetched)


def named(taken: Mapping[str, Decimal], exits: Sequence[RestingOrder], quantity: Decimal) -> str:
    """Return how a position of a quantity ended: `stop`, `target`, `open`, or several of them."""
    kinds = {order.order_id: "stop" if order.is_stop else "target" for order in exits}
    names = [kinds.get(name, LIQUIDATION) for name in taken]
    return " and ".join(dict.fromkeys([*names, "open"] if total(taken) < quantity else names))


def _taken(quantity: Decimal, orders: Sequence[RestingOrder]) -> dict[str, Decimal]:
    taken: dict[str, Decimal] = {}
    left = quantity
    for order in orders:
        if part := min(left, order.quantity):
            taken[order.order_id] = part
            left -= part
    return taken
