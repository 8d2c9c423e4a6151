"""Holds each order a strategy sends to the exchange's filters, as the exchange would on arrival."""

from decimal import Decimal
from typing import Any, cast

from nautilus_trader.model import BarType, ClientOrderId, CryptoPerpetual, OrderSide, OrderStatus, OrderType
from nautilus_trader.trading import Strategy

from nt_run.filters import MANY_ALGO_ORDERS, MANY_ORDERS, MARKET_TOO_LARGE, OrderTerms, find_breach
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
_NEVER_REST = frozenset({OrderType.MARKET, OrderType.MARKET_TO_LIMIT})
_PRICES = ("trigger_price", "activation_price")


class FilterGate:
    """A gate (`nt_run.engine.refuse.Gate`) that knows the contract's filters and the strategy's open orders.

    `first_open` stands for the last price until the first bar has closed. MIN_NOTIONAL, and what has more decimals than
    the contract, is left to the engine, which refuses it itself.
    """

    def __init__(
        self, specs: InstrumentSpecs, instrument: CryptoPerpetual, bar_type: BarType, first_open: Decimal
    ) -> None:
        self._specs = specs
        self._tick = instrument.price_increment.as_decimal()
        self._bar_type = bar_type
        self._first_open = first_open
        self._largest = specs.market_max_quantity
        self._resting: dict[str, bool] = {}
        """Orders that passed and may still rest: by client order id, whether they wait for a trigger."""
        # Then the engine's own checks of minimum and decimals say all there is to say of a market order's other rules.
        self._simple = (
            specs.step_size == specs.market_step_size == Decimal(1).scaleb(-instrument.size_precision)
            and specs.market_min_quantity <= specs.min_quantity
            and specs.market_max_quantity <= specs.max_quantity
        )

    def __call__(self, strategy: Strategy, order: Any) -> str | None:  # noqa: ANN401 - the engine's orders share no base
        """Return why the exchange would refuse an order, `None` if it would not."""
        kind = order.order_type
        if self._simple and kind == OrderType.MARKET:
            return MARKET_TOO_LARGE if order.quantity.as_decimal() > self._largest else None
        terms = order_terms(order)
        reason = find_breach(terms, self._specs, tick=self._tick, last=self._last(strategy))
        if reason is None and kind not in _NEVER_REST:
            reason = self._too_many(strategy, order.client_order_id.value, waits=bool(terms.triggers))
        return reason

    def _last(self, strategy: Strategy) -> Decimal:
        bar = cast("Any", strategy).cache.bar(self._bar_type)
        return bar.close.as_decimal() if bar is not None else self._first_open

    def _too_many(self, strategy: Strategy, order_id: str, *, waits: bool) -> str | None:
        if order_id in self._resting:
            return None  # a change of an order that rests already
        specs = self._specs
        for limit, reason, counts in (
            (specs.max_orders, MANY_ORDERS, lambda: len(self._resting)),
            (specs.max_algo_orders if waits else None, MANY_ALGO_ORDERS, lambda: sum(self._resting.values())),
        ):
            if limit is not None and counts() >= limit:
                # Only now is it worth asking which of them are still there.
                self._forget_closed(strategy)
                if counts() >= limit:
                    return reason
        self._resting[order_id] = waits
        return None

    def _forget_closed(self, strategy: Strategy) -> None:
        find: Any = strategy.cache.order
        now_ns = strategy.clock.timestamp_ns()
        self._resting = {
            order_id: waits
            for order_id, waits in self._resting.items()
            if _may_rest(find(ClientOrderId(order_id)), now_ns)
        }


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


def _may_rest(order: Any, now_ns: int) -> bool:  # noqa: ANN401 - as above
    if order is None or order.is_closed:
        return False
    # What the strategy sends is on its way until its callback returns; later, it was part of a list that was refused.
    return order.status != OrderStatus.INITIALIZED or order.ts_init >= now_ns
