"""Whether all positions of a run stay clear of liquidation: found from its fills, for many bars at once.

To follow a position from order to order costs more than the engine itself, and most never come near their liquidation
price. So a run is first made without: what it holds is looked at afterwards, in floats and on the safe side.
"""

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from nt_run.liquidation import Extremes, MarginPlan
from nt_run.margin import ZERO
from nt_run.model import MS, Fill, Settlement

_NEAR = 1e-6
"""Floats are trusted where what is left of the margin is more than this share of the position, and a cent."""
_CENT = 0.01


class Clearance:
    """Goes through a run that liquidates nothing, stretch by stretch in time order.

    Args:
        plan: How positions are margined.
        extremes: What decides on liquidation, a row for each bar that orders are matched on.
        leverage: Margin is notional ÷ this.
        balance: Starting balance, quote asset.
        settlements: All of the run, in time order.
    """

    def __init__(
        self,
        plan: MarginPlan,
        extremes: Extremes,
        *,
        leverage: Decimal,
        balance: Decimal,
        settlements: Sequence[Settlement],
    ) -> None:
        brackets, scale = plan.rules.brackets, 10.0**extremes.exponent
        self._cross = plan.mode == "cross"
        self._caps = np.array([float(bracket.cap) for bracket in brackets[:-1]])
        self._rates, self._cums = (
            np.array([float(getattr(one, name)) for one in brackets]) for name in ("rate", "cum")
        )
        self._ends = extremes.closed * MS
        # One more than there are, where the last stretch ends.
        self._low, self._high = (np.append(side, side[-1:]) / scale for side in (extremes.low, extremes.high))
        self._leverage = float(leverage)
        self._due = [(one.time_ns, float(one.rate * one.price)) for one in settlements]
        self._settled = 0
        self._position, self._entry, self._margin, self._cash = ZERO, 0.0, 0.0, float(balance)
        self._since = 0
        self._held: list[tuple[float, float, float, float]] = []
        """Position, entry, wallet, and the price of the fill it ended with."""
        self._times: list[tuple[int, int]] = []
        """From when until when (ns) each was held."""

    def holds(self, fills: Sequence[Fill], until_ns: int, position: Decimal) -> bool:
        """Tell whether no bar up to a time, nor the one behind it, comes near to liquidating what was held.

        Args:
            fills: Those since the last time, in time order.
            until_ns: The end of the last bar that was matched.
            position: What the engine holds then, signed.
        """
        for fill in fills:
            self._settle(fill.time_ns)
            self._note(fill.time_ns, float(fill.price))
            self._fill(fill)
        self._settle(until_ns)
        self._note(until_ns)
        near = bool(self._held) and self._is_near()
        self._held, self._times = [], []
        return position == self._position and not near

    def _settle(self, until_ns: int) -> None:
        while self._settled < len(self._due) and self._due[self._settled][0] <= until_ns:
            time_ns, paid = self._due[self._settled]
            self._settled += 1
            if self._position:
                self._note(time_ns)
                self._margin -= float(self._position) * paid
                self._cash -= float(self._position) * paid

    def _note(self, time_ns: int, price: float = np.nan) -> None:
        if self._position:
            wallet = self._cash if self._cross else min(self._margin, self._cash)
            self._held.append((float(self._position), self._entry, wallet, price))
            self._times.append((self._since, time_ns))
        self._since = time_ns

    def _fill(self, fill: Fill) -> None:
        signed = fill.side.sign * fill.quantity
        price, before = float(fill.price), self._position
        self._position = after = before + signed
        self._cash -= float(fill.fee)
        if before * signed < 0:
            part = -before if before * after < 0 else signed
            self._cash += float(part) * (self._entry - price)
            self._margin *= 1 + float(part / before)
            if before * after >= 0:
                return
            before, signed = ZERO, after
        held, more = abs(float(before)), abs(float(signed))
        self._entry = (held * self._entry + more * price) / (held + more)
        self._margin = (self._margin if held else 0.0) + more * price / self._leverage

    def _is_near(self) -> bool:
        position, entry, wallet, price = np.array(self._held).T
        rows, last = np.searchsorted(self._ends, np.array(self._times)), len(self._ends)
        # What is sent at a close may meet the open of the bar behind it.
        bounds = np.column_stack((np.minimum(rows[:, 0], last - 1), np.minimum(rows[:, 1] + 2, last))).ravel()
        low, high = np.minimum.reduceat(self._low, bounds)[::2], np.maximum.reduceat(self._high, bounds)[::2]
        worst = np.where(position > 0, np.fmin(low, price), np.fmax(high, price))
        notional: NDArray[np.float64] = np.abs(position) * worst
        tier: NDArray[np.int64] = np.searchsorted(self._caps, notional, side="left")
        left = wallet + position * (worst - entry) - (notional * self._rates[tier] - self._cums[tier])
        sure = _NEAR * (notional + np.abs(wallet) + np.abs(position) * entry) + _CENT
        return bool((left <= sure).any())
