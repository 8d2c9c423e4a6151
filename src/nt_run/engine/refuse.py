"""Refuses single orders that a run's own rules forbid, in a way the strategy can live with.

The engine's cache takes no events from outside, and its own way to deny an order (an execution algorithm) keeps the
cache locked while the strategy is told. So a forbidden order is sent with the same quantity written in more decimals
than the instrument has: the engine's risk check denies it as it denies any order, the order ends denied in the cache,
and the strategy's `on_order_denied` is called. The reason it gives is replaced by ours. A forbidden change of an order
is sent in the same way: the engine rejects it, the order stays as it was, and `on_order_modify_rejected` is called.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

from nautilus_trader.model import (
    ClientId,
    ClientOrderId,
    InstrumentId,
    OrderDenied,
    OrderModifyRejected,
    OrderSide,
    Position,
    PositionSide,
    Price,
    Quantity,
    TimeInForce,
)
from nautilus_trader.trading import Strategy

type Gate = Callable[[Strategy, Any], str | None]
"""Asked with the strategy and each order it sends: why the order is refused, `None` if it may pass."""

_FINEST = Decimal(1).scaleb(-15)
"""Finer than any instrument's step, and within the sixteen decimals of the engine's numbers."""
_EXIT = "MARKET_EXIT"
"""What the engine marks the orders of `market_exit` with."""
_TOLD = ("on_order_denied", "on_order_modify_rejected", "on_order_event")


class Refusals:
    """Asks the gates about each order one strategy sends or changes.

    `reasons` is why each refused order was, by client order id; `changes` why the last change of an order was. An order
    list is refused as a whole, by its first order, if a gate refuses one of its orders.

    The engine's own `close_position`, `close_all_positions` and `market_exit` send their orders past Python. The first
    two are done here in the same way, order by order; the third asks first, and is left to the engine if all may pass.
    """

    def __init__(self, gates: Sequence[Gate]) -> None:
        self.reasons: dict[str, str] = {}
        self.changes: dict[str, str] = {}
        self._gates = tuple(gates)
        self._put_in: list[str] = []

    def install(self, strategy: Strategy) -> None:
        """Put the gates before what submits and changes orders; does nothing without a gate."""
        if not self._gates:
            return
        self._put(strategy, "submit_order", self._submit_order(strategy))
        self._put(strategy, "submit_order_list", self._submit_order_list(strategy))
        self._put(strategy, "modify_order", self._modify_order(strategy))
        self._put(strategy, "modify_orders", self._modify_orders(strategy))
        for name, stand_in in (
            ("close_position", self._close_position(strategy)),
            ("close_all_positions", _close_all_positions(strategy)),
            ("market_exit", self._market_exit(strategy)),
        ):
            if getattr(cast("Any", type(strategy)), name) is getattr(Strategy, name):
                self._put(strategy, name, stand_in)
        for name in _TOLD:
            if getattr(cast("Any", type(strategy)), name) is not getattr(Strategy, name):
                self._put(strategy, name, self._told(getattr(strategy, name)))

    def release(self, strategy: Strategy) -> None:
        """Undo `install`, so that the strategy can be freed at once."""
        for name in self._put_in:
            delattr(strategy, name)
        self._put_in.clear()

    def _put(self, strategy: Strategy, name: str, value: object) -> None:
        if name not in vars(strategy):
            self._put_in.append(name)
        setattr(strategy, name, value)

    def _submit_order(self, strategy: Strategy) -> Callable[..., None]:
        submit: Callable[..., None] = cast("Any", strategy).submit_order

        def submit_order(order: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
            if reason := self._forbids(strategy, order):
                order = self._refused(order, reason)
            submit(order, *args, **kwargs)

        return submit_order

    def _submit_order_list(self, strategy: Strategy) -> Callable[..., None]:
        submit: Callable[..., None] = cast("Any", strategy).submit_order_list

        def submit_order_list(orders: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
            first, *rest = orders
            reasons = (self._forbids(strategy, order) for order in (first, *rest))
            if reason := next(filter(None, reasons), None):
                orders = [self._refused(first, reason), *rest]
            submit(orders, *args, **kwargs)

        return submit_order_list

    def _modify_order(self, strategy: Strategy) -> Callable[..., None]:
        modify: Callable[..., None] = cast("Any", strategy).modify_order

        def modify_order(
            client_order_id: ClientOrderId,
            quantity: Quantity | None = None,
            price: Price | None = None,
            trigger_price: Price | None = None,
            *args: Any,  # noqa: ANN401 - passed on
            **kwargs: Any,  # noqa: ANN401 - passed on
        ) -> None:
            change = self._change(strategy, client_order_id, quantity, price, trigger_price)
            modify(*change, *args, **kwargs)

        return modify_order

    def _modify_orders(self, strategy: Strategy) -> Callable[..., None]:
        modify: Callable[..., None] = cast("Any", strategy).modify_orders

        def modify_orders(updates: Sequence[_Change], *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
            modify([self._change(strategy, *update) for update in updates], *args, **kwargs)

        return modify_orders

    def _close_position(self, strategy: Strategy) -> Callable[..., None]:
        def close_position(
            position: Position,
            client_id: ClientId | None = None,
            tags: Sequence[str] | None = None,
            time_in_force: TimeInForce | None = None,
            reduce_only: bool | None = None,  # noqa: FBT001 - the engine's own signature
            quote_quantity: bool | None = None,  # noqa: FBT001 - as above
            params: dict[str, Any] | None = None,
        ) -> None:
            if not position.is_closed:
                order = _closing(
                    strategy,
                    position,
                    tags=tags,
                    time_in_force=time_in_force,
                    reduce_only=reduce_only is not False,
                    quote_quantity=quote_quantity,
                )
                cast("Any", strategy).submit_order(order, position.id, client_id, params)

        return close_position

    def _market_exit(self, strategy: Strategy) -> Callable[[], None]:
        leave: Callable[[], None] = cast("Any", strategy).market_exit

        def market_exit() -> None:
            held: list[Position] = cast("Any", strategy).cache.positions_open(strategy_id=strategy.strategy_id)
            closing = [_closing(strategy, position, tags=[_EXIT], reduce_only=True) for position in held]
            refused = [order for order in closing if self._forbids(strategy, order)]
            if not refused:
                leave()
                return
            for position, order in zip(held, closing, strict=True):
                cast("Any", strategy).cancel_all_orders(position.instrument_id)
                cast("Any", strategy).submit_order(order, position.id)

        return market_exit

    def _change(
        self,
        strategy: Strategy,
        order_id: ClientOrderId,
        quantity: Quantity | None,
        price: Price | None,
        trigger_price: Price | None,
    ) -> "_Change":
        """Return a change of an order as it is, or one that the engine rejects."""
        self.changes.pop(order_id.value, None)
        order: Any = strategy.cache.order(order_id)
        wanted = {"quantity": quantity, "price": price, "trigger_price": trigger_price}
        given = {name: str(value) for name, value in wanted.items() if value is not None}
        if order is not None and (reason := self._forbids(strategy, _copy(order, given))):
            self.changes[order_id.value] = reason
            amount = quantity if quantity is not None else order.quantity
            quantity = Quantity.from_decimal(amount.as_decimal().quantize(_FINEST))
        return order_id, quantity, price, trigger_price

    def _forbids(self, strategy: Strategy, order: Any) -> str | None:  # noqa: ANN401 - the engine's orders share no base
        for gate in self._gates:
            if reason := gate(strategy, order):
                return reason
        return None

    def _refused(self, order: Any, reason: str) -> Any:  # noqa: ANN401 - as above
        """Return a copy of the order that the engine denies."""
        self.reasons[order.client_order_id.value] = reason
        return _copy(order, {"quantity": str(order.quantity.as_decimal().quantize(_FINEST))})

    def _told(self, callback: Callable[[Any], object]) -> Callable[[Any], object]:
        def told(event: Any) -> object:  # noqa: ANN401 - any order event
            known = self.reasons if isinstance(event, OrderDenied) else self.changes
            if isinstance(event, OrderDenied | OrderModifyRejected) and (
                reason := known.get(event.client_order_id.value)
            ):
                event = _explained(event, reason)
            return callback(event)

        return told


type _Change = tuple[ClientOrderId, Quantity | None, Price | None, Price | None]
"""Of which order, and its new quantity, price and trigger price."""


def _close_all_positions(strategy: Strategy) -> Callable[..., None]:
    def close_all_positions(
        instrument_id: InstrumentId,
        position_side: PositionSide | None = None,
        *args: Any,  # noqa: ANN401 - passed on
        **kwargs: Any,  # noqa: ANN401 - passed on
    ) -> None:
        held: list[Position] = cast("Any", strategy).cache.positions_open(
            instrument_id=instrument_id, strategy_id=strategy.strategy_id, side=position_side
        )
        for position in held:
            cast("Any", strategy).close_position(position, *args, **kwargs)

    return close_all_positions


def _closing(strategy: Strategy, position: Position, **terms: Any) -> Any:  # noqa: ANN401 - as above
    """Return the order the engine would close the position with."""
    away = OrderSide.SELL if position.side == PositionSide.LONG else OrderSide.BUY
    return strategy.order_factory.market(position.instrument_id, away, position.quantity, **terms)


def _copy(order: Any, fields: Mapping[str, str]) -> Any:  # noqa: ANN401 - as above
    return cast("Any", type(order)).from_dict({**order.to_dict(), **fields})


def _explained(event: OrderDenied | OrderModifyRejected, reason: str) -> OrderDenied | OrderModifyRejected:
    return cast("Any", type(event)).from_dict({**cast("Any", event).to_dict(), "reason": reason})
