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

from nt_run.engine.moment import Moment

type Waits = Callable[[Any, Callable[[], object]], bool]
"""Asked with each order before the gates are, and with what sends it: whether that is called later instead."""
type Gate = Callable[[Strategy, Any], str | None]
"""Asked with the strategy and each order it sends: why the order is refused, `None` if it may pass."""

_FINEST = Decimal(1).scaleb(-15)
"""Finer than any instrument's step, and within the sixteen decimals of the engine's numbers."""
_EXIT = "MARKET_EXIT"
"""What the engine marks the orders of `market_exit` with."""
_KEPT_AS = "_refusals"
_TOLD = ("on_order_denied", "on_order_modify_rejected", "on_order_event")


class Refusals:
    """Asks the gates about each order one strategy sends or changes, and tells `moment` which of them may pass.

    `reasons` is why each refused order was, by client order id; `changes` why the last change of an order was. An order
    list is refused as a whole, by its first order, if a gate refuses one of its orders.
    """

    def __init__(self, gates: Sequence[Gate], moment: Moment) -> None:
        self.reasons: dict[str, str] = {}
        self.changes: dict[str, str] = {}
        self._gates, self._moment = tuple(gates), moment
        self._waits: Waits | None = None
        self._cls: type[Strategy] | None = None
        self._put_in: list[str] = []

    def install(self, strategy: Strategy, waits: Waits | None) -> None:
        """Put the gates between the strategy and the engine, and `waits` before them."""
        self._waits = waits
        self._cls = cls = type(strategy)
        make = cast("Callable[..., type[Strategy]]", type(cls))
        space = {"__slots__": (), "__module__": cls.__module__, "__doc__": cls.__doc__}
        strategy.__class__ = make(cls.__name__, (cls, _Gated), space)
        self._put(strategy, _KEPT_AS, self)
        for name in _TOLD:
            if getattr(cast("Any", cls), name) is not getattr(Strategy, name):
                self._put(strategy, name, self._told(getattr(strategy, name)))

    def release(self, strategy: Strategy) -> None:
        """Undo `install`, so that the strategy can be freed at once."""
        for name in self._put_in:
            delattr(strategy, name)
        self._put_in.clear()
        self._waits = None
        self._moment.release()
        if self._cls is not None:
            strategy.__class__ = self._cls

    def waits(self, order: Any, send: Callable[[], object]) -> bool:  # noqa: ANN401 - the engine's orders share no base
        """Tell whether an order is to wait until `send` is called."""
        return self._waits is not None and self._waits(order, send)

    def forbids(self, strategy: Strategy, order: Any) -> str | None:  # noqa: ANN401 - the engine's orders share no base
        """Return why an order is refused, `None` if it may pass."""
        for gate in self._gates:
            if reason := gate(strategy, order):
                return reason
        return None

    def passed(self, strategy: Strategy, order: Any) -> Any:  # noqa: ANN401 - as above
        """Return the order as it is, or a copy that the engine denies."""
        if reason := self.forbids(strategy, order):
            return self.refused(order, reason)
        self._moment.add(strategy, order)
        return order

    def passed_list(self, strategy: Strategy, orders: Sequence[Any]) -> Sequence[Any]:
        """Return the orders of a list as they are, or so that the engine denies them all."""
        for number, order in enumerate(orders):
            if reason := self.forbids(strategy, order):
                self._moment.drop(number)
                return [self.refused(orders[0], reason), *orders[1:]]
            self._moment.add(strategy, order)
        return orders

    def refused(self, order: Any, reason: str) -> Any:  # noqa: ANN401 - as above
        """Return a copy of the order that the engine denies."""
        self.reasons[order.client_order_id.value] = reason
        return _copy(order, {"quantity": str(order.quantity.as_decimal().quantize(_FINEST))})

    def change(
        self,
        strategy: Strategy,
        order_id: ClientOrderId,
        quantity: Quantity | None = None,
        price: Price | None = None,
        trigger_price: Price | None = None,
    ) -> "_Change":
        """Return a change of an order as it is, or one that the engine rejects."""
        self.changes.pop(order_id.value, None)
        order: Any = strategy.cache.order(order_id)
        wanted = {"quantity": quantity, "price": price, "trigger_price": trigger_price}
        given = {name: str(value) for name, value in wanted.items() if value is not None}
        if order is not None and (reason := self.forbids(strategy, _copy(order, given))):
            self.changes[order_id.value] = reason
            amount = quantity if quantity is not None else order.quantity
            quantity = Quantity.from_decimal(amount.as_decimal().quantize(_FINEST))
        return order_id, quantity, price, trigger_price

    def _put(self, strategy: Strategy, name: str, value: object) -> None:
        if name not in vars(strategy):
            self._put_in.append(name)
        setattr(strategy, name, value)

    def _told(self, callback: Callable[[Any], object]) -> Callable[[Any], object]:
        def told(event: Any) -> object:  # noqa: ANN401 - any order event
            known = self.reasons if isinstance(event, OrderDenied) else self.changes
            if isinstance(event, OrderDenied | OrderModifyRejected) and (
                reason := known.get(event.client_order_id.value)
            ):
                event = _explained(event, reason)
            return callback(event)

        return told


class _Gated(Strategy):
    """What sends and changes orders, behind a strategy's own class and before the engine's: `super()` ends here.

    The engine's own `close_position`, `close_all_positions` and `market_exit` send their orders past Python. The first
    two are done here in the same way, order by order; the third asks first, and is left to the engine if all may pass.
    """

    __slots__ = ()

    def submit_order(self, order: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        refusals = _of(self)
        if not refusals.waits(order, lambda: _Gated.submit_order(self, order, *args, **kwargs)):
            cast("Any", super()).submit_order(refusals.passed(self, order), *args, **kwargs)

    def submit_order_list(self, orders: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        refusals, whole = _of(self), [*orders]
        if not refusals.waits(whole[0], lambda: _Gated.submit_order_list(self, whole, *args, **kwargs)):
            cast("Any", super()).submit_order_list(refusals.passed_list(self, whole), *args, **kwargs)

    def modify_order(
        self,
        client_order_id: ClientOrderId,
        quantity: Quantity | None = None,
        price: Price | None = None,
        trigger_price: Price | None = None,
        *args: Any,  # noqa: ANN401 - passed on
        **kwargs: Any,  # noqa: ANN401 - passed on
    ) -> None:
        change = _of(self).change(self, client_order_id, quantity, price, trigger_price)
        cast("Any", super()).modify_order(*change, *args, **kwargs)

    def modify_orders(self, updates: Sequence["_Change"], *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        refusals = _of(self)
        cast("Any", super()).modify_orders([refusals.change(self, *each) for each in updates], *args, **kwargs)

    def close_position(
        self,
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
                self,
                position,
                tags=tags,
                time_in_force=time_in_force,
                reduce_only=reduce_only is not False,
                quote_quantity=quote_quantity,
            )
            _Gated.submit_order(self, order, position.id, client_id, params)

    def close_all_positions(
        self,
        instrument_id: InstrumentId,
        position_side: PositionSide | None = None,
        *args: Any,  # noqa: ANN401 - passed on
        **kwargs: Any,  # noqa: ANN401 - passed on
    ) -> None:
        held: list[Position] = cast("Any", self).cache.positions_open(
            instrument_id=instrument_id, strategy_id=self.strategy_id, side=position_side
        )
        for position in held:
            _Gated.close_position(self, position, *args, **kwargs)

    def market_exit(self) -> None:
        held: list[Position] = cast("Any", self).cache.positions_open(strategy_id=self.strategy_id)
        closing = [_closing(self, position, tags=[_EXIT], reduce_only=True) for position in held]
        if not any(_of(self).forbids(self, order) for order in closing):
            cast("Any", super()).market_exit()
            return
        for position, order in zip(held, closing, strict=True):
            cast("Any", self).cancel_all_orders(position.instrument_id)
            _Gated.submit_order(self, order, position.id)


def _of(strategy: Strategy) -> Refusals:
    return vars(strategy)[_KEPT_AS]


type _Change = tuple[ClientOrderId, Quantity | None, Price | None, Price | None]
"""Of which order, and its new quantity, price and trigger price."""


def _closing(strategy: Strategy, position: Position, **terms: Any) -> Any:  # noqa: ANN401 - as above
    """Return the order the engine would close the position with."""
    away = OrderSide.SELL if position.side == PositionSide.LONG else OrderSide.BUY
    return strategy.order_factory.market(position.instrument_id, away, position.quantity, **terms)


def _copy(order: Any, fields: Mapping[str, object]) -> Any:  # noqa: ANN401 - as above
    return cast("Any", type(order)).from_dict({**order.to_dict(), **fields})


def _explained(event: OrderDenied | OrderModifyRejected, reason: str) -> OrderDenied | OrderModifyRejected:
    return cast("Any", type(event)).from_dict({**cast("Any", event).to_dict(), "reason": reason})
