"""What became of a position that stayed open, or would have become of one that did not. Pure."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice

import numpy as np

from nt_run.matching import MatchBars
from nt_run.model import MS, Fill, FundingPayment, Liquidity, Side
from nt_run.outcomes import ZERO, Costs, Direction, Span, heading
from nt_run.resting import RestingOrder
from nt_run.trails import carried, find_trails, may_fill

_LOOK = 512
"""Bars looked at first when an exit is searched; twice as many each time after."""


def span_of(bars: MatchBars, row: int) -> Span:
    """Return a bar as a position that was open at its open saw it."""
    opened, high, low, close = (bars.price(name, row) for name in ("open", "high", "low", "close"))
    return Span(start=opened, approach=0, high=high, low=low, close=close)


@dataclass(frozen=True, slots=True)
class Aftermath:
    """A run after each of its bars; fills and payments in time order."""

    bars: MatchBars
    fills: Sequence[Fill]
    payments: Sequence[FundingPayment]
    costs: Costs

    def booked(self, side: Side, row: int, first: int, held: Decimal) -> Decimal:
        """Return what one unit of a position fetched in the end, with the funding after a bar.

        What is still open is valued at the last close.

        Args:
            side: Of the position.
            row: The bar.
            first: The first fill to look at.
            held: The signed position before it.
        """
        left, closed, worth = side.sign * held, ZERO, ZERO
        since = until = int(self.bars.closed[row]) * MS
        while first < len(self.fills) and left > 0:
            fill = self.fills[first]
            first, until = first + 1, fill.time_ns
            if fill.side is side:
                left += fill.quantity
                continue
            part = min(left, fill.quantity)
            net = self.costs.net(fill.side, fill.price, makes=fill.liquidity is Liquidity.MAKER)
            charged = fill.liquidation * part / fill.quantity
            closed, worth, left = closed + part, worth + part * net - charged, left - part
        if left > 0:
            until = int(self.bars.closed[-1]) * MS
            closed, worth = closed + left, worth + left * self._at_the_end(side)
        if not closed:
            return side.sign * self.bars.price("close", row)
        return worth / closed + self._funding(since, until)

    def followed(
        self, exits: Sequence[RestingOrder], side: Side, row: int, start: Decimal, until: int
    ) -> list[Decimal]:
        """Return what one unit may fetch that stays open after a bar, without funding: the least and the most.

        It leaves at the first later bar that must fill one of its exits, in one before that may, or stays to the last
        close. The strategy may leave at market before: at any close, or next open, up to the bar `until`.

        Args:
            exits: What rests on. Of those that do not trail, the nearest each way from `start` comes first.
            side: Of the position.
            row: The bar.
            start: Where the price was when the position was open inside the bar.
            until: The last bar at whose end it may be closed at market.
        """
        trails = [order for order in exits if order.trailing and order.trigger is not None]
        nearest: dict[Direction, RestingOrder] = {}
        for order in sorted(exits, key=lambda each: abs(each.level - start), reverse=True):
            if not order.trailing:
                nearest[heading(order)] = order
        values: list[Decimal] = []
        at = row + 1
        while (found := self._next_reaching(at, nearest, trails)) is not None:
            trails = self._carried(trails, at, found)
            ends, certain = self._ends_in(found, [*nearest.values(), *trails])
            values += ends
            if certain:
                break
            at, trails = found + 1, self._carried(trails, found, found + 1)
        else:
            found = len(self.bars)
            values.append(self._at_the_end(side))
        values += self._at_market(side, row, found, until)
        return [min(values), max(values)]

    def next_opening(self, first: int, held: Decimal) -> int:
        """Return the bar in which the run opens or adds to a position again, its last one if it does not.

        Args:
            first: The first fill to look at.
            held: The signed position before it.
        """
        for fill in islice(self.fills, first, None):
            signed = fill.side.sign * fill.quantity
            if held * signed >= 0 or abs(signed) > abs(held):
                return min(int(np.searchsorted(self.bars.closed, -(-fill.time_ns // MS))), len(self.bars) - 1)
            held += signed
        return len(self.bars) - 1

    def _ends_in(self, row: int, exits: Sequence[RestingOrder]) -> tuple[list[Decimal], bool]:
        """Return what a unit held at a bar's open may fetch inside, and whether it must leave."""
        span = span_of(self.bars, row)
        gapped = [order for order in exits if span.reach(order) == "at once"]
        if gapped:
            return [self.costs.fetched(order, span.start if order.is_stop else order.level) for order in gapped], True
        reached = [order for order in exits if not order.trailing and span.reach(order) == "certain"]
        values = [self.costs.fetched(order, order.level) for order in reached]
        trails = find_trails(span, exits, self.costs.tick)
        values += [self.costs.fetched(trail.order, price) for trail in trails for price in (trail.first, trail.last)]
        return values, bool(reached) or any(trail.certain for trail in trails)

    def _carried(self, trails: Sequence[RestingOrder], row: int, end: int) -> list[RestingOrder]:
        """Return trailing stops as the bars from a row to before another leave them."""
        if not trails or row == end:
            return list(trails)
        high, low = (
            Decimal(int(found)).scaleb(-self.bars.exponent)
            for found in (self.bars.high[row:end].max(), self.bars.low[row:end].min())
        )
        return [carried(order, high=high, low=low, tick=self.costs.tick) for order in trails]

    def _next_reaching(
        self, row: int, exits: Mapping[Direction, RestingOrder], trails: Sequence[RestingOrder]
    ) -> int | None:
        """Return the next bar that may fill an exit; one too early where a trailing stop comes close to it."""
        bars, size = self.bars, _LOOK
        scaled = {way: float(order.level.scaleb(bars.exponent)) for way, order in exits.items()}
        above, below = scaled.get(1, np.inf), scaled.get(-1, -np.inf)
        while row < len(bars):
            here = slice(row, row + size)
            reached = (bars.high[here] >= above) | (bars.low[here] <= below)
            for order in trails:
                reached |= may_fill(order, bars.high[here], bars.low[here], self.costs.tick, bars.exponent)
            hits = np.flatnonzero(reached)
            if len(hits):
                return row + int(hits[0])
            trails = self._carried(trails, row, row + size)
            row, size = row + size, size * 2
        return None

    def _at_market(self, side: Side, row: int, end: int, until: int) -> list[Decimal]:
        """Return the least and the most one unit fetches at market at the end of a bar of the run, before row `end`."""
        ends = self.bars.ends
        # The first of them is always near enough.
        first = row if ends is None else row + int(ends[row:].argmax())
        rows = np.arange(row, min(end, max(until, first) + 1))
        rows = rows if ends is None else rows[ends[rows]]
        ahead = self.costs.execution.fill == "next-open"
        prices = self.bars.open[rows[rows + 1 < len(self.bars)] + 1] if ahead else self.bars.close[rows]
        found = {int(price) for price in (prices.min(), prices.max())} if len(prices) else set[int]()
        away = Side.SELL if side is Side.BUY else Side.BUY
        return [self.costs.at_market(away, Decimal(price).scaleb(-self.bars.exponent)) for price in found]

    def _at_the_end(self, side: Side) -> Decimal:
        return side.sign * self.bars.price("close", len(self.bars) - 1)

    def _funding(self, since_ns: int, until_ns: int) -> Decimal:
        """Return what one unit was paid after a moment, up to and including another."""
        first = bisect_right(self.payments, since_ns, key=lambda each: each.time_ns)
        end = bisect_right(self.payments, until_ns, key=lambda each: each.time_ns)
        return sum((each.amount / abs(each.position) for each in self.payments[first:end] if each.position), ZERO)
