"""The engine's events of one order → the stretches in which it rested."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Literal

from nautilus_trader.model import OrderSide, OrderType, TrailingOffsetType

from nt_run.model import Side
from nt_run.resting import RestingOrder, Trailing

_NEVER_REST = {OrderType.MARKET, OrderType.MARKET_TO_LIMIT}
_ENDS = {
    "OrderCanceled": "cancelled",
    "OrderExpired": "expired",
    "OrderRejected": "rejected",
    "OrderUpdated": "modified",
    "OrderTriggered": "triggered",
}
_GOES_ON = {"modified", "triggered"}
_UNITS: dict[Any, Literal["price", "ticks", "basis_points"]] = {
    TrailingOffsetType.PRICE: "price",
    TrailingOffsetType.TICKS: "ticks",
    TrailingOffsetType.BASIS_POINTS: "basis_points",
}


def may_rest(order: Any) -> bool:  # noqa: ANN401 - the engine's order types share no base
    """Return whether orders of this type wait for a price."""
    return order.order_type not in _NEVER_REST


def lifetimes(order: Any, *, refused: bool = False, born: bool = False) -> list[RestingOrder]:  # noqa: ANN401 - as above
    """Return the stretches in which an order rested, in time order; empty if it never reached the market.

    One that was `refused` when it was triggered ends in being cancelled, and is told as what it is.

    A rejected order has one of no length: a stop that the market had crossed by the time its entry filled. So has one
    that was `born`: its entry filled, and so did its sibling before the engine accepted it.
    """
    made: list[RestingOrder] = []
    fields: dict[str, Any] = {
        "order_id": order.client_order_id.value,
        "side": Side.BUY if order.side == OrderSide.BUY else Side.SELL,
        "order_type": order.order_type.name.lower(),
        "trailing": _trailing(order),
    }
    since: int | None = None
    filled = Decimal(0)
    events: Iterable[Any] = order.events()
    for event in events:
        kind, time_ns = type(event).__name__, event.ts_event
        if kind == "OrderInitialized":
            fields |= {"sent_ns": time_ns, **_terms(event)}
        elif kind == "OrderAccepted":
            since = time_ns
        elif kind == "OrderFilled":
            filled += event.last_qty.as_decimal()
            if since is None and fields["trigger"] is not None:
                # The engine accepts no stop that fills as it comes to be.
                since = time_ns
            if since is not None and filled >= fields["quantity"]:
                made.append(RestingOrder(**fields, since_ns=since, until_ns=time_ns, ended="filled"))
                since = None
        elif (ended := _ENDS.get(kind)) and (since is not None or born or ended == "rejected"):
            began = time_ns if since is None else since
            ended = "refused" if refused and ended == "cancelled" else ended
            made.append(RestingOrder(**fields, since_ns=began, until_ns=time_ns, ended=ended))
            since = time_ns if ended in _GOES_ON else None
            fields["sent_ns"] = time_ns
        fields |= _changes(kind, event, fields)
    if since is not None:
        made.append(RestingOrder(**fields, since_ns=since, until_ns=None, ended="open"))
    return made


def _changes(kind: str, event: Any, fields: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - as above
    """Return what an event changes of an order's terms."""
    if kind == "OrderTriggered":
        return {"trigger": None}
    if kind != "OrderUpdated":
        return {}
    # The engine tells the old trigger of a triggered order again with each later change.
    told = {name: value for name, value in _terms(event).items() if fields[name] is not None}
    return {name: value for name, value in told.items() if value is not None}


def _trailing(order: Any) -> Trailing | None:  # noqa: ANN401 - as above
    if order.order_type != OrderType.TRAILING_STOP_MARKET or order.trailing_offset_type not in _UNITS:
        return None
    return Trailing(order.trailing_offset, _UNITS[order.trailing_offset_type])


def _terms(event: Any) -> dict[str, Decimal | None]:  # noqa: ANN401 - events share no base
    price, trigger = getattr(event, "price", None), getattr(event, "trigger_price", None)
    return {
        "quantity": event.quantity.as_decimal(),
        "price": price.as_decimal() if price is not None else None,
        "trigger": trigger.as_decimal() if trigger is not None else None,
    }
