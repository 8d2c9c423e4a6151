"""Orders of one moment: sent, and neither filled nor resting yet, so that no position and no list shows them."""

from typing import Any, cast

from nautilus_trader.model import ClientOrderId, OrderSide
from nautilus_trader.trading import Strategy


class Moment:
    """Remembers the orders a strategy sends; the engine deals with them once its callback has returned."""

    def __init__(self) -> None:
        self._sent: list[ClientOrderId] = []
        self._now_ns = 0

    def note(self, strategy: Strategy, order: Any) -> list[Any]:  # noqa: ANN401 - the engine's orders share no base
        """Remember an order, and return those sent before it that are still on their way."""
        before, now_ns = self._sent, strategy.clock.timestamp_ns()
        if now_ns != self._now_ns:
            before, self._now_ns = [], now_ns
        self._sent = [*before, order.client_order_id]
        find: Any = cast("Any", strategy).cache.order
        known = (find(order_id) for order_id in before)
        return [each for each in known if each is not None and not each.is_closed and not each.is_open]


def signed(order: Any) -> Any:  # noqa: ANN401 - as above
    """Return the quantity of an order, below zero for a sale."""
    quantity = order.quantity.as_decimal()
    return quantity if order.side == OrderSide.BUY else -quantity
