"""Protections in the engine: watch equity, end trading, refuse entries. Exits always pass."""
# pyright: reportUnknownMemberType=false
# Nautilus' stubs leave the dictionaries of its own methods untyped.

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from nautilus_trader.model import (
    Bar,
    BarType,
    ClientOrderId,
    CryptoPerpetual,
    OrderSide,
    OrderType,
    PositionClosed,
    Price,
    Quantity,
)
from nautilus_trader.trading import Strategy

from nt_run.engine.account import account_equity
from nt_run.engine.refuse import Gate
from nt_run.model import MS, Interval
from nt_run.protection import EquityWatch, ProtectionRules
from nt_run.sizing import split_quantity
from nt_run.specs import InstrumentSpecs


class Protector:
    """Holds one strategy to the rules; does nothing, bar by bar, unless one is asked for."""

    def __init__(
        self,
        rules: ProtectionRules,
        specs: InstrumentSpecs,
        instrument: CryptoPerpetual,
        interval: Interval,
        balance: Decimal,
    ) -> None:
        self.watch = EquityWatch(rules, balance)
        self._rules = rules
        self._specs = specs
        self._currency = instrument.quote_currency
        self._size_decimals = instrument.size_precision
        self._instrument_id = instrument.id
        self._bar_ns = interval.ms * MS
        self._close: Price | None = None
        self._exits: list[tuple[ClientOrderId, Decimal]] = []
        """Market orders that were let pass to close a position, and their signed quantity; some may be on their way."""

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
                    self._close_position(strategy)

        return {"on_bar": on_bar, "on_position_closed": self._closed}

    def _closed(self, strategy: Strategy, event: PositionClosed) -> None:
        result: Any = event.realized_pnl
        loss = result.as_decimal() if result is not None else Decimal(0)
        if loss >= 0 or self._close is None:
            return
        if self.watch.lost(event.ts_event, self._equity(strategy, self._close), loss, self._bar_ns):
            # What rests could enter by itself; an exit has nothing left to close.
            strategy.cancel_all_orders(self._instrument_id)

    def _close_position(self, strategy: Strategy) -> None:
        held = self._held(strategy)
        most = min(self._specs.market_max_quantity, self._specs.max_quantity)
        side = OrderSide.SELL if held > 0 else OrderSide.BUY
        for part in split_quantity(abs(held), most, self._specs.market_step_size):
            quantity = Quantity.from_decimal_dp(part, self._size_decimals)
            order = strategy.order_factory.market(self._instrument_id, side, quantity, reduce_only=True)
            strategy.submit_order(order)

    def _gate(self, strategy: Strategy, order: Any) -> str | None:  # noqa: ANN401 - the engine's orders share no base
        reason = self.watch.reason(strategy.clock.timestamp_ns())
        if reason is None:
            return None
        signed = order.quantity.as_decimal() * (1 if order.side == OrderSide.BUY else -1)
        held = self._held(strategy) + self._on_the_way(strategy)
        if not order.is_reduce_only and (held * signed >= 0 or abs(signed) > abs(held)):
            return reason
        if order.order_type == OrderType.MARKET:
            self._exits.append((order.client_order_id, signed))
        return None

    def _held(self, strategy: Strategy) -> Decimal:
        return strategy.portfolio.net_position(self._instrument_id)  # pyright: ignore[reportReturnType]

    def _on_the_way(self, strategy: Strategy) -> Decimal:
        """Return the signed quantity of the exits that have not been filled yet: two of them would turn a position."""
        if self._exits:
            find: Any = strategy.cache.order
            known = [(find(order_id), signed) for order_id, signed in self._exits]
            self._exits = [(order.client_order_id, signed) for order, signed in known if order and not order.is_closed]
        return sum((signed for _, signed in self._exits), Decimal(0))

    def _equity(self, strategy: Strategy, price: Price) -> Decimal:
        return account_equity(strategy, self._instrument_id, self._currency, price)
