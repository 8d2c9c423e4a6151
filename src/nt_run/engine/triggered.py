"""What an order and its events tell about its side, its trigger and its limit."""

from decimal import Decimal
from typing import Any

from nautilus_trader.model import OrderSide, OrderTriggered, OrderType

from nt_run.model import Side

_TOUCHED = {OrderType.MARKET_IF_TOUCHED, OrderType.LIMIT_IF_TOUCHED}


def side_of(order: Any) -> Side:  # noqa: ANN401 - the engine's order types share no base
    """Return on which side an order is."""
    return Side.BUY if order.side == OrderSide.BUY else Side.SELL


def rises(order: Any) -> bool:  # noqa: ANN401 - as above
    """Return whether an order with a trigger waits for a rising price."""
    return (order.side == OrderSide.BUY) != (order.order_type in _TOUCHED)


def is_beyond_limit(order: Any, price: Decimal) -> bool:  # noqa: ANN401 - the engine's order types share no base
    """Return whether a limit order may not fill at a price."""
    limit: Decimal = order.price.as_decimal()
    return price > limit if order.side == OrderSide.BUY else price < limit


def level(order: Any, now_ns: int) -> Decimal:  # noqa: ANN401 - as above
    """Return the price that an order waits for in the bar that ends at `now_ns`.

    That is its trigger, or the limit at which it rests since it was triggered.
    """
    trigger: Decimal | None = (stop := getattr(order, "trigger_price", None)) and stop.as_decimal()
    if trigger is None:
        return order.price.as_decimal()
    since = order.ts_triggered if getattr(order, "price", None) is not None else None
    rests = since is not None and (since < now_ns or is_beyond_limit(order, trigger))
    return order.price.as_decimal() if rests else trigger


def triggered_since(order: Any) -> int:  # noqa: ANN401 - as above
    """Return since when (ns) an order has had its trigger: the engine also changes quantities, of reduce-only ones."""
    since, trigger = 0, None
    for event in order.events():
        told = getattr(event, "trigger_price", None)
        if told is not None and told != trigger:
            since, trigger = event.ts_event, told
    return since


def repriced(order: Any) -> Any | None:  # noqa: ANN401 - as above
    """Return the event that last gave an order another limit after it was triggered, `None` if there is none.

    Where the new limit was marketable at once, that event has no trigger price; else it has the old one again.
    """
    price, triggered, last = None, False, None
    for event in order.events():
        triggered = triggered or isinstance(event, OrderTriggered)
        told = getattr(event, "price", None)
        if told is not None and told != price:
            price, last = told, event if triggered else None
    return last
