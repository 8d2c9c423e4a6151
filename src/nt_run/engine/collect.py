"""What the engine booked → our values, in time order and to the last digit.

Everything is read from the cache and not from callbacks: the fill of an order sent at the very end is booked, but
never delivered.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any

from nautilus_trader.common import Cache
from nautilus_trader.model import (
    LiquiditySide,
    OrderCanceled,
    OrderDenied,
    OrderFilled,
    OrderModifyRejected,
    OrderPendingCancel,
    OrderRejected,
    OrderSide,
    OrderSubmitted,
    TimeInForce,
)
from nautilus_trader.trading import Strategy

from nt_run.engine.lifetimes import lifetimes, may_rest
from nt_run.engine.refuse import Refusals
from nt_run.filters import FOUND_NOTHING, MODIFICATION
from nt_run.model import LIQUIDATION, BookedTrade, Denial, Fill, Liquidity, SentOrder, Side
from nt_run.resting import RestingOrder

_SIDES = {OrderSide.BUY: Side.BUY, OrderSide.SELL: Side.SELL}
_KEPT_S = 30 * 86_400
"""Simulated seconds for which a strategy still finds its closed orders in the engine's cache."""
_LIQUIDITY = {LiquiditySide.MAKER: Liquidity.MAKER, LiquiditySide.TAKER: Liquidity.TAKER}
_ACTIONS = {"OrderInitialized": "new", "OrderUpdated": "modified", "OrderCanceled": "cancelled"}

_AT_ONCE = {getattr(TimeInForce, name): told for name, told in FOUND_NOTHING.items()}
_SENTENCES = (
    (re.compile("^POST_ONLY .* would have been a TAKER"), "post-only order would have taken"),
    (re.compile("^STOP_.* stop px of .* was in the market"), "stop price already crossed by the market"),
    (re.compile(" trigger px of .* was in the market"), "trigger price already crossed by the market"),
    (re.compile("^No market for "), "no market for it: there was none yet, or its position was liquidated first"),
    (re.compile("^Contingent order .* already closed"), "its entry or its sibling had ended"),
    (re.compile(" activation px of .* was in the market"), "activation price already crossed by the market"),
    (
        re.compile("^Reduce-only order .* would have increased position"),
        "reduce-only order would have increased the position",
    ),
)


class OrderCollector:
    """Takes fills and refusals out of the engine's cache while the run goes on, so that old orders may leave it.

    `refusals` tells why the run itself refused an order or a change of it, where the engine gives another reason. By
    client order id, `references` is the market's price of a fill, `liquidated` the plain fee of a liquidation; `makers`
    made the market, whatever the engine says. With `keep_sent` also what the strategy asked for is kept, which costs a
    look at every event of every order.
    """

    def __init__(
        self,
        refusals: Refusals,
        references: Mapping[str, Decimal] | None = None,
        liquidated: Mapping[str, Decimal] | None = None,
        makers: Collection[str] | None = None,
        *,
        keep_sent: bool = False,
    ) -> None:
        self._refusals = refusals
        self.makers: Collection[str] = () if makers is None else makers
        self._references: Mapping[str, Decimal] = {} if references is None else references
        self._liquidated: Mapping[str, Decimal] = {} if liquidated is None else liquidated
        self._sent: list[tuple[int, int, SentOrder]] | None = [] if keep_sent else None
        self._fills: list[tuple[int, int, Fill]] = []
        self._denials: list[tuple[int, int, Denial]] = []
        self._resting: list[tuple[int, int, RestingOrder]] = []
        self._taken: set[str] = set()
        self.rejected: set[str] = set()
        """The ids of orders the engine's exchange rejected."""
        self.in_parts = False
        """Whether an order filled in parts, or a market order not at all."""

    @property
    def fills(self) -> int:
        """Fills taken so far."""
        return len(self._fills)

    def fills_after(self, count: int) -> list[Fill]:
        """Return what was taken after the first `count` fills, in the order in which it happened."""
        return [item[2] for item in sorted(self._fills[count:], key=lambda item: item[:2])]

    def hooks(self) -> dict[str, Callable[..., None]]:
        """Return what is to be called ahead of the strategy's callbacks."""
        return {"on_order_modify_rejected": self.note_change_rejected}

    def note_change_rejected(self, _strategy: Strategy, event: OrderModifyRejected) -> None:
        """Count a change of an order that was refused; called as it is rejected. The order stays as it was."""
        order_id = event.client_order_id.value
        reason = MODIFICATION + self._refusals.changes.get(order_id, plain_reason(event.reason))
        denial = Denial(time_ns=event.ts_event, reason=reason, entry=False)
        self._denials.append((event.ts_event, _number(order_id), denial))

    def take_closed(self, cache: Cache, now_ns: int) -> None:
        """Take what closed since the last time; orders closed for `_KEPT_S` leave the engine's cache.

        An order and its events take some five kilobytes in the engine, and a year of minutes makes tens of thousands.
        """
        closed: Any = cache.client_order_ids_closed()
        for order_id in closed:
            if order_id.value not in self._taken:
                self._taken.add(order_id.value)
                self._take(cache, cache.order(order_id))
        if not self.in_parts and cache.orders_open_count():
            open_orders: Any = cache.orders_open()
            self.in_parts = any(order.filled_qty.as_decimal() for order in open_orders)
        self.in_parts = self.in_parts or bool(cache.orders_inflight_count())
        cache.purge_closed_orders(now_ns, _KEPT_S)

    def finish(self, cache: Cache) -> tuple[list[Fill], list[Denial]]:
        """Take the rest, and return all fills and refused orders, each in the order in which they happened."""
        # One by one: a list of all orders is a copy of them all, with their events.
        for order_id in cache.client_order_ids():
            if order_id.value not in self._taken:
                self._take(cache, cache.order(order_id))
        # The cache has no order of its own; trade ids and order ids count up.
        self._fills.sort(key=lambda item: item[:2])
        self._denials.sort(key=lambda item: item[:2])
        return [item[2] for item in self._fills], [item[2] for item in self._denials]

    @property
    def sent(self) -> list[SentOrder]:
        """What the strategy asked for, in time order; empty unless it was to be kept. Complete after `finish`."""
        return [item[2] for item in sorted(self._sent or [], key=lambda item: item[:2])]

    @property
    def resting(self) -> list[RestingOrder]:
        """Orders that rested, by the time from which they did. Complete after `finish`."""
        return [item[2] for item in sorted(self._resting, key=lambda item: item[:2])]

    def _take(self, cache: Cache, order: Any) -> None:  # noqa: ANN401 - the engine's order types share no base
        if self._sent is not None:
            number = _number(order.client_order_id.value)
            self._sent += [(asked.time_ns, number, asked) for asked in sent_orders(order)]
        if may_rest(order):
            number = _number(order.client_order_id.value)
            refused = order.client_order_id.value in self._refusals.reasons
            lives = lifetimes(order, refused=refused, born=_is_born(cache, order))
            self._resting += [(each.since_ns, number, each) for each in lives]
        last = order.last_event
        whole = _is_whole(order, last)
        self.in_parts = self.in_parts or not (whole or self._is_unfilled(order, last))
        events: Iterable[Any] = (last,) if whole else order.events()
        for event in events:
            if isinstance(event, OrderFilled):
                self._fills.append((event.ts_event, _number(event.trade_id.value), self._fill(event)))
                continue
            if isinstance(event, OrderRejected):
                self.rejected.add(event.client_order_id.value)
            if reason := self._reason(order, event, last):
                denial = Denial(time_ns=event.ts_event, reason=reason, entry=not order.is_reduce_only)
                self._denials.append((event.ts_event, _number(event.client_order_id.value), denial))

    def _reason(self, order: Any, event: Any, last: object) -> str | None:  # noqa: ANN401 - the engine's orders and events
        """Return why an order was refused if `event` says so; `last` is the order's last event."""
        ours = self._refusals.reasons.get(event.client_order_id.value)
        if ours is not None and isinstance(event, OrderCanceled):
            return ours
        told = _refusal(event, last) or _not_at_once(order, event)
        return told and (ours or told)

    def _is_unfilled(self, order: Any, last: object) -> bool:  # noqa: ANN401 - the engine's order types share no base
        """Return whether an order was refused, or waited in vain."""
        refused = isinstance(last, OrderDenied) or order.client_order_id.value in self._refusals.reasons
        return refused or (may_rest(order) and not order.filled_qty.as_decimal())

    def _fill(self, event: OrderFilled) -> Fill:
        commission = event.commission.as_decimal() if event.commission is not None else Decimal(0)
        price = event.last_px.as_decimal()
        order_id = event.client_order_id.value
        plain = self._liquidated.get(order_id)
        return Fill(
            time_ns=event.ts_event,
            order_id=order_id,
            side=_SIDES[event.order_side],
            quantity=event.last_qty.as_decimal(),
            price=price,
            reference=self._references.get(order_id, price),
            fee=commission if plain is None else plain,
            liquidity=Liquidity.MAKER if order_id in self.makers else _LIQUIDITY[event.liquidity_side],
            order_type=event.order_type.name.lower() if plain is None else LIQUIDATION,
            liquidation=Decimal(0) if plain is None else commission - plain,
        )


def collect_trades(cache: Cache) -> list[BookedTrade]:
    """Return every position of the run, closed or open, with what the engine says it has realised."""
    booked: list[BookedTrade] = []
    for position in (*cache.position_snapshots(), *cache.positions()):
        pnl = position.realized_pnl
        booked.append(
            BookedTrade(
                entry_time_ns=position.ts_opened,
                exit_time_ns=position.ts_closed,
                pnl=pnl.as_decimal() if pnl is not None else Decimal(0),
            )
        )
    return booked


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
    for pattern, sentence in _SENTENCES:
        if pattern.search(reason):
            return sentence
    head = reason.split(":", 1)[0]
    if head.isupper():
        return head.replace("_", " ").lower()
    return re.sub(r"\b(?:O-)?\d[\d\-.]*", "…", reason)


def sent_orders(order: Any) -> list[SentOrder]:  # noqa: ANN401 - the engine's order types share no base
    """Return what became of one order by its strategy's word: sent, modified, cancelled, in that order."""
    asked: list[SentOrder] = []
    events: Iterable[Any] = order.events()
    for event in events:
        if action := _ACTIONS.get(type(event).__name__):
            price, trigger = getattr(event, "price", None), getattr(event, "trigger_price", None)
            asked.append(
                SentOrder(
                    time_ns=event.ts_event,
                    action=action,
                    side=_SIDES[order.side],
                    order_type=order.order_type.name.lower(),
                    quantity=getattr(event, "quantity", order.quantity).as_decimal(),
                    price=price.as_decimal() if price is not None else None,
                    trigger=trigger.as_decimal() if trigger is not None else None,
                )
            )
    return asked


def _refusal(event: object, last: object) -> str | None:
    """Return why an order was refused if `event` says so; `last` is the order's last event."""
    if isinstance(event, OrderDenied | OrderRejected):
        return plain_reason(event.reason)
    if isinstance(event, OrderSubmitted) and isinstance(last, OrderSubmitted):
        # The engine skips fills it does not like with no more than a warning in its log.
        return "left without an answer by the engine"
    return None


def _not_at_once(order: Any, event: object) -> str | None:  # noqa: ANN401 - the engine's order types share no base
    """Return why an order that must not rest ended without a fill, if `event` is that end.

    The strategy's own cancellation, of one that waits for its trigger, is announced by an event before.
    """
    force = _AT_ONCE.get(order.time_in_force)
    if force is None or not isinstance(event, OrderCanceled):
        return None
    announced = any(isinstance(each, OrderPendingCancel) for each in order.events())
    return None if announced else force


def _is_born(cache: Cache, order: Any) -> bool:  # noqa: ANN401 - the engine's order types share no base
    """Return whether the entry of an order has filled, where it never was accepted."""
    if order.parent_order_id is None or order.ts_accepted is not None:
        return False
    parent = cache.order(order.parent_order_id)
    return parent is not None and bool(parent.filled_qty.as_decimal())


def _is_whole(order: Any, event: Any) -> bool:  # noqa: ANN401 - the engine's order types share no base
    """Return whether one fill filled the order, so that its other events need not be looked at."""
    return isinstance(event, OrderFilled) and event.last_qty == order.quantity


def _number(name: str) -> int:
    return int(name.rsplit("-", 1)[-1])
