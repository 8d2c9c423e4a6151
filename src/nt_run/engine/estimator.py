"""Follows closes and closed trades for the sizing methods that estimate; never sees more than the strategy."""

from collections import deque
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from nautilus_trader.model import Bar, BarType, PositionClosed
from nautilus_trader.trading import Strategy

from nt_run.estimates import kelly_share, realised_volatility
from nt_run.model import Interval
from nt_run.sizing import SizingRules


class Estimator:
    """What is known at entry: the volatility of the last bars, and the edge of the trades so far."""

    def __init__(self, rules: SizingRules, interval: Interval) -> None:
        self._rules = rules
        self._interval = interval
        self._closes: deque[float] = deque(maxlen=rules.volatility_period + 1)
        self._returns: list[Decimal] = []

    def hooks(self, bar_type: BarType) -> dict[str, Callable[..., None]]:
        """Return what is to be called ahead of the strategy's callbacks, for the methods that need it."""

        def follow(_strategy: Strategy, bar: Bar) -> None:
            if bar.bar_type == bar_type:
                self._closes.append(bar.close.as_double())

        if self._rules.method == "volatility":
            return {"on_bar": follow}
        return {"on_position_closed": self._closed} if self._rules.method == "kelly" else {}

    def volatility(self) -> Decimal | None:
        """Return the annualised volatility of the last `volatility_period` bars; `None` until there are so many."""
        if len(self._closes) <= self._rules.volatility_period:
            return None
        return realised_volatility(list(self._closes), self._interval.ms)

    def kelly(self) -> Decimal:
        """Return the share of equity to put into a position: `kelly_start` until there are `kelly_trades` trades."""
        if len(self._returns) < self._rules.kelly_trades:
            return self._rules.kelly_start
        return kelly_share(self._returns, self._rules.fraction, self._rules.kelly_cap)

    def _closed(self, _strategy: Strategy, event: PositionClosed) -> None:
        result: Any = event.realized_pnl
        notional = event.peak_quantity.as_decimal() * Decimal(str(event.avg_px_open))
        if result is not None and notional:
            self._returns.append(result.as_decimal() / notional)
