"""Refuses single orders that a run's own rules forbid, in a way the strategy can live with.

The engine's cache takes no events from outside, and its own way to deny an order (an execution algorithm) keeps the
cache locked while the strategy is told. So a forbidden order is sent with the same quantity written in more decimals
than the instrument has: the engine's risk check denies it as it denies any order, the order ends denied in the cache,
and the strategy's `on_order_denied` is called. The reason it gives is replaced by ours.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, cast

from nautilus_trader.model import OrderDenied
from nautilus_trader.trading import Strategy

type Gate = Callable[[Strategy, Any], str | None]
"""Asked with the strategy and each order it sends: why the order is refused, `None` if it may pass."""

_FINEST = Decimal(1).scaleb(-15)
"""Finer than any instrument's step, and within the sixteen decimals of the engine's numbers."""
_TOLD = ("on_order_denied", "on_order_event")


class Refusals:
    """Asks the gates about each order one strategy sends; `reasons` is why each refused order was, by client order id.

    An order list is refused as a whole if a gate refuses its first order, the entry that the others depend on. What the
    engine sends itself for `close_position`, `close_all_positions` and `market_exit` passes no gate.
    """

    def __init__(self, gates: Sequence[Gate]) -> None:
        self.reasons: dict[str, str] = {}
        self._gates = tuple(gates)
        self._put_in: list[str] = []

    def install(self, strategy: Strategy) -> None:
        """Put the gates before `submit_order` and `submit_order_list`; does nothing without a gate."""
        if not self._gates:
            return
        self._put(strategy, "submit_order", self._submit_order(strategy))
        self._put(strategy, "submit_order_list", self._submit_order_list(strategy))
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
            submit(self._refused(order) if self._forbids(strategy, order) else order, *args, **kwargs)

        return submit_order

    def _submit_order_list(self, strategy: Strategy) -> Callable[..., None]:
        submit: Callable[..., None] = cast("Any", strategy).submit_order_list

        def submit_order_list(orders: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
            first, *rest = orders
            if self._forbids(strategy, first):
                orders = [self._refused(first), *rest]
            submit(orders, *args, **kwargs)

        return submit_order_list

    def _forbids(self, strategy: Strategy, order: Any) -> bool:  # noqa: ANN401 - the engine's orders share no base
        for gate in self._gates:
            if reason := gate(strategy, order):
                self.reasons[order.client_order_id.value] = reason
                return True
        return False

    def _refused(self, order: Any) -> Any:  # noqa: ANN401 - as above
        """Return a copy of the order that the engine denies."""
        fields: dict[str, Any] = order.to_dict()
        finer = str(order.quantity.as_decimal().quantize(_FINEST))
        return cast("Any", type(order)).from_dict({**fields, "quantity": finer})

    def _told(self, callback: Callable[[Any], object]) -> Callable[[Any], object]:
        def told(event: Any) -> object:  # noqa: ANN401 - any order event
            if isinstance(event, OrderDenied) and (reason := self.reasons.get(event.client_order_id.value)):
                event = _explained(event, reason)
            return callback(event)

        return told


def _explained(event: OrderDenied, reason: str) -> OrderDenied:
    return OrderDenied(
        event.trader_id,
        event.strategy_id,
        event.instrument_id,
        event.client_order_id,
        reason,
        event.event_id,
        event.ts_event,
        event.ts_init,
    )
