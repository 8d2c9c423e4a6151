"""Turns a position round with one order, as the exchange does.

At the exchange the part of an order that closes needs no margin, and frees some for the part that opens. The engine
asks for the margin of the whole order, beside that of what rests. Where the account does not have that free, a market
order that only closes is sent reduce-only, and one that turns the position in two: a reduce-only one that closes, and
once it is filled the strategy's own for the rest, both at the same moment. So is one sent right behind a close.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, cast

from nautilus_trader.model import BarType, OrderSide, OrderType, Price, Quantity
from nautilus_trader.trading import Strategy

from nt_run.engine.account import account_equity
from nt_run.engine.instrument import ensure_currency
from nt_run.engine.moment import Moment, signed
from nt_run.engine.venue import VENUE
from nt_run.filters import TURN_TOO_LARGE
from nt_run.model import Fees
from nt_run.specs import InstrumentSpecs

type Send = Callable[[Strategy, Any], object]


class Reversals:
    """Splits the market orders of one strategy that turn its position round and would be denied for margin."""

    def __init__(self, specs: InstrumentSpecs, fees: Fees, leverage: Decimal, bar_type: BarType) -> None:
        self._specs, self._fees, self._leverage = specs, fees, leverage
        self._bar_type = bar_type
        self._currency = ensure_currency(specs.quote_asset)
        self._rest: dict[str, tuple[Any, Send]] = {}
        """By the order that closes: the order that waits for it, and what sends that."""
        self._moment = Moment()
        self._coming: list[Any] = []
        """What was on its way when an order was last looked at."""

    def hooks(self, _bar_type: BarType) -> dict[str, Callable[..., None]]:
        """Return what is to be called ahead of the strategy's callbacks."""
        return {
            "on_order_filled": self._closed,
            "on_order_rejected": self._not_closed,
            "on_order_denied": self._not_closed,
        }

    def excess(self, strategy: Strategy, order: Any) -> Decimal | None:  # noqa: ANN401 - the engine's orders share no base
        """Return how much of a market order opens behind the position it closes, if the engine would deny the whole.

        Nothing (zero) opens where it only closes. `None` for every other order, and for one that the engine may judge
        as it is.
        """
        if order.order_type != OrderType.MARKET:
            return None
        self._coming = self._moment.note(strategy, order)
        if order.is_reduce_only or order.is_quote_quantity or self._rest:
            return None
        held: Decimal = cast("Any", strategy.portfolio).net_position(order.instrument_id)
        held += sum(signed(each) for each in self._coming)
        quantity: Decimal = order.quantity.as_decimal()
        bar = cast("Any", strategy).cache.bar(self._bar_type)
        if not held or (held > 0) == (order.side == OrderSide.BUY) or bar is None:
            return None
        price, rest = bar.close.as_decimal(), max(quantity - abs(held), Decimal(0))
        small = rest < self._specs.min_quantity or rest * price < self._specs.min_notional
        return None if (rest and small) or self._has_free(strategy, quantity * price) else rest

    def keeps_back(self, strategy: Strategy, order: Any, send: Send) -> bool:  # noqa: ANN401 - as above
        """Tell whether a market order waits for the close sent just before it, whose margin it needs.

        The exchange has filled the first by the time it looks at the second. `send` is called with it then.
        """
        if order.order_type != OrderType.MARKET or order.is_reduce_only or order.is_quote_quantity:
            return False
        held: Decimal = cast("Any", strategy.portfolio).net_position(order.instrument_id)
        left = held + sum(signed(each) for each in self._coming)
        bar = cast("Any", strategy).cache.bar(self._bar_type)
        if self._rest or not self._coming or bar is None or held * signed(order) >= 0 or left * signed(order) < 0:
            return False
        if self._has_free(strategy, order.quantity.as_decimal() * bar.close.as_decimal()):
            return False
        self._rest[self._coming[-1].client_order_id.value] = order, send
        return True

    def refusal(self, strategy: Strategy, order: Any, rest: Decimal) -> str | None:  # noqa: ANN401 - as above
        """Return why the exchange refuses an order of which `rest` opens; `None` if the account can bear that."""
        close: Price = cast("Any", strategy).cache.bar(self._bar_type).close
        price, closing = close.as_decimal(), order.quantity.as_decimal() - rest
        equity = account_equity(strategy, order.instrument_id, self._currency, close)
        left = equity - closing * price * self._fees.taker
        return TURN_TOO_LARGE if rest * price > left * self._leverage else None

    def split(self, strategy: Strategy, order: Any, rest: Decimal, send: Send) -> Any:  # noqa: ANN401 - as above
        """Return the order that closes, to be sent now; `send` is called with the other once it is filled."""
        size: Quantity = order.quantity
        closing = Quantity.from_decimal_dp(size.as_decimal() - rest, size.precision)
        first = strategy.order_factory.market(
            order.instrument_id, order.side, closing, reduce_only=True, tags=order.tags
        )
        fields = {**order.to_dict(), "quantity": str(Quantity.from_decimal_dp(rest, size.precision))}
        self._rest[first.client_order_id.value] = cast("Any", type(order)).from_dict(fields), send
        return first

    def _has_free(self, strategy: Strategy, notional: Decimal) -> bool:
        account: Any = strategy.cache.account_for_venue(VENUE)
        return account.balance_free(self._currency).as_decimal() * self._leverage >= notional

    def _closed(self, strategy: Strategy, event: Any) -> None:  # noqa: ANN401 - an order's fill or rejection
        if waiting := self._rest.pop(event.client_order_id.value, None):
            order, send = waiting
            send(strategy, order)

    # What keeps the first order from filling keeps the second, which the strategy is to hear.
    _not_closed = _closed
