"""Protections in the engine: watch equity, end trading, refuse entries. Exits always pass."""
# pyright: reportUnknownMemberType=false
# Nautilus' stubs leave the dictionaries of its own methods untyped.

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from nautilus_trader.model import Bar, BarType, CryptoPerpetual, OrderSide, PositionClosed, Price
from nautilus_trader.trading import Strategy

from nt_run.engine.account import account_equity
from nt_run.engine.refuse import Gate
from nt_run.model import MS, Interval
from nt_run.protection import EquityWatch, ProtectionRules


class Protector:
    """Holds one strategy to the rules; does nothing, bar by bar, unless one is asked for."""

    def __init__(
        self, rules: ProtectionRules, instrument: CryptoPerpetual, interval: Interval, balance: Decimal
    ) -> None:
        self.watch = EquityWatch(rules, balance)
        self._rules = rules
        self._currency = instrument.quote_currency
        self._instrument_id = instrument.id
        self._bar_ns = interval.ms * MS
        self._close: Price | None = None

    @property
    def gates(self) -> list[Gate]:
        """What is asked about each order."""
        return [self._gate] if self._rules.asked else []

    def hooks(self, bar_type: BarType) -> dict[str, Callable[..., None]]:
        """Return what is to be called ahead of the strategy's callbacks."""
        if not self._rules.asked:
            return {}

        def on_bar(strategy: Strategy, bar: Bar) -> None:
            if bar.bar_type == bar_type:
                self._close = bar.close
                if self.watch.close(bar.ts_event, self._equity(strategy, bar.close)):
                    strategy.cancel_all_orders(self._instrument_id)
                    strategy.close_all_positions(self._instrument_id)

        return {"on_bar": on_bar, "on_position_closed": self._closed}

    def _closed(self, strategy: Strategy, event: PositionClosed) -> None:
        result: Any = event.realized_pnl
        loss = result.as_decimal() if result is not None else Decimal(0)
        if loss >= 0 or self._close is None:
            return
        if self.watch.lost(event.ts_event, self._equity(strategy, self._close), loss, self._bar_ns):
            # What rests could enter by itself; an exit has nothing left to close.
            strategy.cancel_all_orders(self._instrument_id)

    def _gate(self, strategy: Strategy, order: Any) -> str | None:  # noqa: ANN401 - the engine's orders share no base
        reason = self.watch.reason(strategy.clock.timestamp_ns())
        if reason is None or order.is_reduce_only:
            return None
        held: Decimal = strategy.portfolio.net_position(self._instrument_id)  # pyright: ignore[reportAssignmentType]
        signed = order.quantity.as_decimal() * (1 if order.side == OrderSide.BUY else -1)
        closes = held * signed < 0 and abs(signed) <= abs(held)
        return None if closes else reason

    def _equity(self, strategy: Strategy, price: Price) -> Decimal:
        return account_equity(strategy, self._instrument_id, self._currency, price)
