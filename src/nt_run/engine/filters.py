"""Holds each order a strategy sends to the exchange's filters, as the exchange would on arrival."""

from decimal import Decimal
from typing import Any, cast

from nautilus_trader.model import BarType, CryptoPerpetual, OrderSide, OrderType, TimeInForce
from nautilus_trader.trading import Strategy

from nt_run.engine.moment import Moment, resting, stated_price
from nt_run.filters import (
    MANY_ALGO_ORDERS,
    MANY_ORDERS,
    MARKET_TOO_LARGE,
    NOTIONAL_TOO_SMALL,
    QUOTE_QUANTITY,
    OrderTerms,
    find_breach,
)
from nt_run.model import Side
from nt_run.specs import InstrumentSpecs

_AT_MARKET = frozenset(
    {
        OrderType.MARKET,
        OrderType.MARKET_TO_LIMIT,
        OrderType.STOP_MARKET,
        OrderType.MARKET_IF_TOUCHED,
        OrderType.TRAILING_STOP_MARKET,
    }
)
_STOP_LIMITS = frozenset({OrderType.STOP_LIMIT, OrderType.TRAILING_STOP_LIMIT})
_AT_ONCE = frozenset({TimeInForce.IOC, TimeInForce.FOK})
NOT_SIMULATED = (
    "a stop-limit order that is IOC or FOK is not simulated: send it good-till-cancel, or a stop-market order"
)
"""Triggered beyond its limit, it rests in the engine, where the exchange would end it."""
_NEVER_REST = frozenset({OrderType.MARKET, OrderType.MARKET_TO_LIMIT})
_PRICES = ("trigger_price", "activation_price")


class FilterGate:
    """A gate (`nt_run.engine.refuse.Gate`) that knows the contract's filters and the strategy's open orders.

    `first_open` stands for the last price until the first bar has closed. MIN_NOTIONAL of market orders, and what has
    more decimals than the contract, is left to the engine, which refuses it itself.
    """

    def __init__(
        self,
        specs: InstrumentSpecs,
        instrument: CryptoPerpetual,
        bar_type: BarType,
        moment: Moment,
        first_open: Decimal,
    ) -> None:
        self._specs = specs
        self._tick = instrument.price_increment.as_decimal()
        self._bar_type = bar_type
        self._moment = moment
        self._first_open = first_open
        self._largest = specs.market_max_quantity
        # Then the engine's own checks of minimum and decimals say all there is to say of a market order's other rules.
        self._simple = (
            specs.step_size == specs.market_step_size == Decimal(1).scaleb(-instrument.size_precision)
            and specs.market_min_quantity <= specs.min_quantity
            and specs.market_max_quantity <= specs.max_quantity
        )

    def __call__(self, strategy: Strategy, order: Any) -> str | None:  # noqa: ANN401 - the engine's orders share no base
        """Return why the exchange would refuse an order, `None` if it would not."""
        if order.is_quote_quantity:
            return QUOTE_QUANTITY
        kind = order.order_type
        if self._simple and kind == OrderType.MARKET:
            return MARKET_TOO_LARGE if order.quantity.as_decimal() > self._largest else None
        if kind in _STOP_LIMITS and order.time_in_force in _AT_ONCE:
            return NOT_SIMULATED
        terms = order_terms(order)
        reason = find_breach(terms, self._specs, tick=self._tick, last=self._last(strategy))
        if reason is not None or kind in _NEVER_REST:
            return reason
        # The engine would refuse it only once the callback has returned, and until then it would count as open.
        price = None if order.is_reduce_only else stated_price(order)
        if price is not None and terms.quantity * price.as_decimal() < self._specs.min_notional:
            return NOTIONAL_TOO_SMALL
        return self._too_many(strategy, order, waits=bool(terms.triggers))

    def _last(self, strategy: Strategy) -> Decimal:
        bar = cast("Any", strategy).cache.bar(self._bar_type)
        return bar.close.as_decimal() if bar is not None else self._first_open

    def _too_many(self, strategy: Strategy, order: Any, *, waits: bool) -> str | None:  # noqa: ANN401 - as above
        limits = self._specs.max_orders, self._specs.max_algo_orders if waits else None
        least = min((limit for limit in limits if limit is not None), default=None)
        coming = [each for each in self._moment.coming(strategy) if each.order_type not in _NEVER_REST]
        cache: Any = strategy.cache
        if least is None or cache.orders_open_count() + len(coming) < least:
            return None
        there = [*resting(strategy, order), *coming]
        if limits[0] is not None and len(there) >= limits[0]:
            return MANY_ORDERS
        stops = sum(bool(order_terms(each).triggers) for each in there)
        return MANY_ALGO_ORDERS if limits[1] is not None and stops >= limits[1] else None


def order_terms(order: Any) -> OrderTerms:  # noqa: ANN401 - the engine's orders share no base
    """Return what the filters look at in an engine's order."""
    kind = order.order_type
    limit = getattr(order, "price", None)
    stated = [getattr(order, name, None) for name in _PRICES]
    return OrderTerms(
        side=Side.BUY if order.side == OrderSide.BUY else Side.SELL,
        quantity=order.quantity.as_decimal(),
        at_market=kind in _AT_MARKET,
        limit=limit.as_decimal() if limit is not None else None,
        triggers=[price.as_decimal() for price in stated if price is not None],
    )
