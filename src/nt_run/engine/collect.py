"""What the engine booked → our values, in time order and to the last digit.

Everything is read from the cache after the run: the fill of an order sent at the very end is booked, but never
delivered to a callback.
"""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from nautilus_trader.common import Cache
from nautilus_trader.model import LiquiditySide, OrderDenied, OrderFilled, OrderRejected, OrderSide, OrderSubmitted

from nt_run.model import Denial, Fill, Liquidity, Side

_SIDES = {OrderSide.BUY: Side.BUY, OrderSide.SELL: Side.SELL}
_LIQUIDITY = {LiquiditySide.MAKER: Liquidity.MAKER, LiquiditySide.TAKER: Liquidity.TAKER}


def collect_orders(cache: Cache) -> tuple[list[Fill], list[Denial]]:
    """Return the fills and the refused orders of a run, each in the order in which they happened."""
    fills: list[tuple[int, int, Fill]] = []
    denials: list[tuple[int, int, Denial]] = []
    # One by one: a list of all orders is a copy of them all, with their events.
    for order_id in cache.client_order_ids():
        order: Any = cache.order(order_id)
        last = order.last_event
        events: Iterable[Any] = (last,) if _is_whole(order, last) else order.events()
        for event in events:
            if isinstance(event, OrderFilled):
                fills.append((event.ts_event, _number(event.trade_id.value), _fill(event)))
            elif reason := _refusal(event, last):
                denial = Denial(time_ns=event.ts_event, reason=reason)
                denials.append((event.ts_event, _number(event.client_order_id.value), denial))
    # The cache has no order of its own; trade ids and order ids count up.
    fills.sort(key=lambda item: item[:2])
    denials.sort(key=lambda item: item[:2])
    return [item[2] for item in fills], [item[2] for item in denials]


def collect_funding(cache: Cache) -> dict[int, Decimal]:
    """Return the funding the engine booked, in the quote asset, by the time in ns it booked it."""
    booked: dict[int, Decimal] = {}
    for position in (*cache.position_snapshots(), *cache.positions()):
        for change in position.adjustments():
            if change.pnl_change is not None:
                booked[change.ts_event] = booked.get(change.ts_event, Decimal(0)) + change.pnl_change.as_decimal()
    return booked


def plain_reason(reason: str) -> str:
    """Return a reason without the ids and amounts of one order, so that equal reasons can be counted.

    `NOTIONAL_BELOW_MINIMUM: min=5.00 USDT, notional=0.99 USDT` → `notional below minimum`.
    """
    head = reason.split(":", 1)[0]
    if head.isupper():
        return head.replace("_", " ").lower()
    return re.sub(r"\b(?:O-)?\d[\d\-.]*", "…", reason)


def _refusal(event: object, last: object) -> str | None:
    """Return why an order was refused if `event` says so; `last` is the order's last event."""
    if isinstance(event, OrderDenied | OrderRejected):
        return plain_reason(event.reason)
    if isinstance(event, OrderSubmitted) and isinstance(last, OrderSubmitted):
        # The engine skips fills it does not like with no more than a warning in its log.
        return "left without an answer by the engine"
    return None


def _is_whole(order: Any, event: Any) -> bool:  # noqa: ANN401 - the engine's order types share no base
    """Return whether one fill filled the order, so that its other events need not be looked at."""
    return isinstance(event, OrderFilled) and event.last_qty == order.quantity


def _fill(event: OrderFilled) -> Fill:
    commission = event.commission
    return Fill(
        time_ns=event.ts_event,
        order_id=event.client_order_id.value,
        side=_SIDES[event.order_side],
        quantity=event.last_qty.as_decimal(),
        price=event.last_px.as_decimal(),
        fee=commission.as_decimal() if commission is not None else Decimal(0),
        liquidity=_LIQUIDITY[event.liquidity_side],
        order_type=event.order_type.name.lower(),
    )


def _number(name: str) -> int:
    return int(name.rsplit("-", 1)[-1])
