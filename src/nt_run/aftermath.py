"""What became of a position that stayed open, or would have become of one that did not. Pure."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from nt_run.matching import MatchBars
from nt_run.model import MS, Fill, FundingPayment, Liquidity, Side
from nt_run.outcomes import ZERO, Costs, Direction, heading
from nt_run.resting import RestingOrder

_LOOK = 512
"""Bars looked at first when an exit is searched; twice as many each time after."""


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

    def followed(self, exits: Sequence[RestingOrder], side: Side, row: int, start: Decimal) -> list[Decimal]:
        """Return what one unit may fetch that stays open after a bar, without funding: one value, or two if unclear.

        It leaves at the first later bar that reaches its nearest exits, seen from `start`, or stays to the last close.
        """
        nearest: dict[Direction, RestingOrder] = {}
        for order in sorted(exits, key=lambda each: abs(each.level - start), reverse=True):
            nearest[heading(order)] = order
        found = self._next_reaching(row + 1, nearest)
        if found is None:
            return [self._at_the_end(side)]
        opened = self.bars.price("open", found)
        extremes: dict[Direction, Decimal] = {1: self.bars.price("high", found), -1: self.bars.price("low", found)}
        for way, order in nearest.items():
            if way * (opened - order.level) >= 0:
                return [self.costs.fetched(order, opened if order.is_stop else order.level)]
        reached = [order for way, order in nearest.items() if way * (extremes[way] - order.level) >= 0]
        return [self.costs.fetched(order, order.level) for order in reached]

    def _next_reaching(self, row: int, exits: Mapping[Direction, RestingOrder]) -> int | None:
        bars, size = self.bars, _LOOK
        scaled = {way: float(order.level.scaleb(bars.exponent)) for way, order in exits.items()}
        above, below = scaled.get(1, np.inf), scaled.get(-1, -np.inf)
        while row < len(bars):
            here = slice(row, row + size)
            hits = np.flatnonzero((bars.high[here] >= above) | (bars.low[here] <= below))
            if len(hits):
                return row + int(hits[0])
            row, size = row + size, size * 2
        return None

    def _at_the_end(self, side: Side) -> Decimal:
        return side.sign * self.bars.price("close", len(self.bars) - 1)

    def _funding(self, since_ns: int, until_ns: int) -> Decimal:
        """Return what one unit was paid after a moment, up to and including another."""
        first = bisect_right(self.payments, since_ns, key=lambda each: each.time_ns)
        end = bisect_right(self.payments, until_ns, key=lambda each: each.time_ns)
        return sum((each.amount / abs(each.position) for each in self.payments[first:end] if each.position), ZERO)
