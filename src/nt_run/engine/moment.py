"""Orders of one moment: sent, and neither filled nor resting yet, so that no position and no list shows them."""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

from nautilus_trader.model import OrderSide, OrderType, Price
from nautilus_trader.trading import Strategy

ZERO = Decimal(0)


class Moment:
    """Remembers the orders a strategy sends; the engine deals with them once its callback has returned."""

    def __init__(self) -> None:
        self._sent: list[Any] = []
        self._now_ns = 0
        self._read_clock: Callable[[], int] | None = None

    def release(self) -> None:
        """Let go of the clock, which must be freed on the thread it was made on."""
        self._read_clock = None
        self._sent.clear()

    def add(self, strategy: Strategy, order: Any) -> None:  # noqa: ANN401 - the engine's orders share no base
        """Remember an order that may pass."""
        now_ns = self._now(strategy)
        if now_ns != self._now_ns:
            self._sent, self._now_ns = [], now_ns
        self._sent.append(order)

    def drop(self, count: int) -> None:
        """Forget the last orders: they were refused after all."""
        del self._sent[len(self._sent) - count :]

    def coming(self, strategy: Strategy) -> list[Any]:
        """Return the orders that are on their way now."""
        if not self._sent or self._now(strategy) != self._now_ns:
            return []
        cache: Any = strategy.cache
        # To ask for an order copies it with all its events, so only those are asked for that matter.
        ids = [(each.client_order_id, each) for each in self._sent]
        there = [each for each in ids if not cache.is_order_closed(each[0]) and not cache.is_order_open(each[0])]
        # The first of an order list are not in the cache yet while its others are looked at.
        return [cache.order(order_id) or order for order_id, order in there]

    def _now(self, strategy: Strategy) -> int:
        # The strategy's clock is guarded, and made anew each time it is asked for.
        if self._read_clock is None:
            self._read_clock = strategy.clock.timestamp_ns
        return self._read_clock()


def signed(order: Any) -> Decimal:  # noqa: ANN401 - as above
    """Return the quantity of an order, below zero for a sale."""
    quantity: Decimal = order.quantity.as_decimal()
    return quantity if order.side == OrderSide.BUY else -quantity


def held_after(held: Decimal, coming: Iterable[Any]) -> Decimal:
    """Return the position that market orders on their way make of the one that is held; both signed."""
    for order in coming:
        if order.order_type == OrderType.MARKET:
            change = signed(order)
            if not order.is_reduce_only:
                held += change
            elif held * change < 0:
                held += max(change, -held) if change < 0 else min(change, -held)
    return held


def resting(strategy: Strategy, order: Any, side: OrderSide | None = None) -> list[Any]:  # noqa: ANN401 - as above
    """Return the open orders beside one, of a side or of both, but for those whose cancellation is on its way."""
    cache: Any = strategy.cache
    if not cache.orders_open_count():
        return []
    own = order.client_order_id
    return [each for each in cache.orders_open(side=side) if each.client_order_id != own and not each.is_pending_cancel]


def waiting(strategy: Strategy, order: Any, coming: Sequence[Any]) -> list[Any]:  # noqa: ANN401 - as above
    """Return the other orders of an order's side that wait for a price and may add to the position."""
    there = [each for each in coming if each.order_type != OrderType.MARKET and each.side == order.side]
    return [each for each in [*there, *resting(strategy, order, order.side)] if not each.is_reduce_only]


def stated_price(order: Any) -> Price | None:  # noqa: ANN401 - as above
    """Return the limit of an order, else its trigger; `None` for a market order."""
    for name in ("price", "trigger_price"):
        stated = getattr(order, name, None)
        if stated is not None:
            return stated
    return None
