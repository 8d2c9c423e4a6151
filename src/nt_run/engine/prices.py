"""Decides the price of each taker fill: the next open, slippage, or a price forced by another part of the engine.

The engine asks a fill model for an order book each time an order is about to fill, and fills it whole against a book
of one level. No book leaves the engine's own price: a limit order's own, a stop's trigger or the open behind a gap,
the close for a market order. An empty book makes it reject a market order, and the strategy is told; a limit order
rests on.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from nautilus_trader.common import Clock
from nautilus_trader.execution import FillModel
from nautilus_trader.model import (
    BookOrder,
    BookType,
    CryptoPerpetual,
    LiquiditySide,
    OrderBook,
    OrderSide,
    OrderType,
    Price,
    Quantity,
)

from nt_run.engine.foreseen import AsksMargin, Foreseen
from nt_run.engine.inside import Origin
from nt_run.engine.triggered import is_beyond_limit, repriced, rises, side_of, triggered_since
from nt_run.execution import Execution
from nt_run.matching import MatchBars
from nt_run.model import MS

CROSSED = "stop price already crossed by the market"
NO_NEXT_OPEN = "no next open: sent at the close of the last bar"
GONE_BY_OPEN = "liquidated: the position it was for is gone by the next open"
_MARKET = {OrderType.MARKET, OrderType.MARKET_TO_LIMIT}
TRIGGERED_MARKETS = {OrderType.STOP_MARKET, OrderType.MARKET_IF_TOUCHED, OrderType.TRAILING_STOP_MARKET}
TRIGGERED_LIMITS = {OrderType.STOP_LIMIT, OrderType.LIMIT_IF_TOUCHED, OrderType.TRAILING_STOP_LIMIT}
_LIMITS = {OrderType.LIMIT, *TRIGGERED_LIMITS}
_LEVEL = 10**12
"""Quantity of the book's one level in base units: more than any position."""


class PriceModel(FillModel):
    """Prices the taker fills of one run whose orders are matched on `bars`.

    `references` holds, by client order id, the market's price of each fill priced here; why an order was not filled
    goes to `reasons`.
    """

    def __init__(
        self,
        bars: MatchBars,
        instrument: CryptoPerpetual,
        execution: Execution,
        *,
        tick: Decimal,
        reasons: dict[str, str],
    ) -> None:
        self.references: dict[str, Decimal] = {}
        self.makers: set[str] = set()
        """Ids of triggered limit orders that rested in the book, whatever the engine takes them for."""
        self._reasons = reasons
        self._execution = execution
        self._tick = tick
        self._grid = instrument.price_increment.as_decimal()
        self._instrument = instrument
        self._size = Quantity.from_decimal_dp(Decimal(_LEVEL), instrument.size_precision)
        self._bars = bars
        self._forced: dict[str, Decimal] = {}
        self._waiting: dict[str, int] = {}
        """Limit orders that were marketable when they were sent and are not by the next open: until when (ms)."""
        self._read_clock: Callable[[], int] | None = None
        self.liquidation: Foreseen | None = None
        """An order that the liquidation of the position comes before never fills."""
        self.inside: Mapping[str, Origin] | None = None
        """The entries of stops that may come to be inside a bar; `None` where the engine rejects those."""
        self.margin: AsksMargin | None = None
        """What is asked about each order that waited."""

    def start(self, clock: Clock) -> None:
        """Take the clock of the engine: the time of the bar that is being matched."""
        self._read_clock = clock.timestamp_ns

    def release(self) -> None:
        """Let go of the clock, which must be freed on the thread it was made on."""
        self._read_clock = self.liquidation = self.margin = None

    def force(self, order_id: str, price: Decimal) -> None:
        """Fill the order of this client order id at exactly `price`, a multiple of the instrument's increment."""
        self._forced[order_id] = price

    def waits(self, order: Any, send: Callable[[], object]) -> bool:  # noqa: ANN401 - the engine's order types share no base
        """Tell whether an entry at the next open comes behind a liquidation; then `send` is called once that is booked.

        What only reduces the position is left to be refused.
        """
        if self.liquidation is None or order.order_type not in _MARKET or order.is_reduce_only:
            return False
        if self._execution.fill == "close" or (row := self._row_from(self._now_ms())) == len(self._bars):
            return False
        return self.liquidation.comes_ahead(row, self._bars.price("open", row), self._now_ns(), send)

    def is_limit_filled(self) -> bool:
        """Answer the engine: a touched limit order always fills."""
        return True

    def is_slipped(self) -> bool:
        """Answer the engine: it adds no slippage of its own."""
        return False

    def fill_limit_inside_spread(self) -> bool:
        """Answer the engine: bars have no spread."""
        return False

    def get_orderbook_for_fill_simulation(
        self,
        _instrument: object,
        _order: Any,  # noqa: ANN401 - the engine's order types share no base
        _best_bid: Price | None = None,
        _best_ask: Price | None = None,
    ) -> OrderBook | None:
        """Return the book that fills the order at its price, an empty one to refuse it, `None` to leave it."""
        order_id = _order.client_order_id.value
        if (forced := self._forced.pop(order_id, None)) is not None:
            return self._book(forced)
        new = _order.order_type in TRIGGERED_MARKETS and self.inside is not None and self._is_new(_order)
        if self._is_refused(_order, new=new):
            return self._empty_book()
        if _order.order_type in _LIMITS:
            return self._limit_book(_order, _best_bid)
        if new:
            return self._book(self._slipped(_order, self._met_inside(_order)))
        reference = None if self._execution.plain else self._reference(_order, _best_bid)
        if reference is not None:
            return self._book(self._slipped(_order, reference))
        return self._empty_book() if order_id in self._reasons else None

    def _is_refused(self, order: Any, *, new: bool) -> bool:  # noqa: ANN401 - as above
        if self.liquidation is not None and self._is_too_late(order, self.liquidation):
            # It rests on, and is cancelled as the position is closed.
            return True
        if new and self._is_crossed(order):
            self._reasons[order.client_order_id.value] = CROSSED
            return True
        return self.margin is not None and self._lacks_margin(order, self.margin)

    def _limit_book(self, order: Any, market: Price | None) -> OrderBook | None:  # noqa: ANN401 - as above
        """Return the book of a limit order: its own price if it rested, else that of a taker with a limit.

        One that is marketable when it is sent or changed meets the market that a market order would. One with a trigger
        meets it where it is triggered, not at an extreme that the bar reaches later.
        """
        order_id, triggered = order.client_order_id.value, order.order_type != OrderType.LIMIT
        if self._rests(order):
            if self._waiting.get(order_id, -1) >= self._now_ms():
                return self._empty_book()
            if order.liquidity_side == LiquiditySide.MAKER and not triggered:
                return self._bettered(order)
            self.makers.add(order_id)
            return self._bettered(order) or self._book(order.price.as_decimal())
        if triggered and repriced(order) is None:
            reference = self._triggered(order)
        elif market is None or (self._execution.plain and not triggered):
            return None
        else:
            reference = market.as_decimal() if self._execution.fill == "close" else self._next_open(order)
        if reference is None or is_beyond_limit(order, reference):
            self._reasons.pop(order_id, None)  # it rests, and was not refused
            self._waiting[order_id] = self._now_ms()
            return self._empty_book()
        self.makers.discard(order_id)
        return self._book(self._slipped(order, reference))

    def _rests(self, order: Any) -> bool:  # noqa: ANN401 - as above
        """Tell whether a limit order has come to rest: to the engine a triggered or changed one stays what it was."""
        now_ns = self._now_ms() * MS
        if order.order_type == OrderType.LIMIT:
            waited_ns = self._waiting.get(order.client_order_id.value, -1) * MS
            return order.liquidity_side == LiquiditySide.MAKER or order.ts_last <= waited_ns < now_ns
        if (changed := repriced(order)) is not None:
            return changed.trigger_price is not None or changed.ts_event < now_ns
        return order.ts_triggered < now_ns or is_beyond_limit(order, self._triggered(order))

    def _bettered(self, order: Any) -> OrderBook | None:  # noqa: ANN401 - as above
        """Return the open for a limit order that it jumped over, where its own price would take all of a margin.

        Such a position came to be behind the same gap, and never stood through it. Otherwise the price is the order's.
        """
        row, price = self._row_from(self._now_ms()) - 1, order.price.as_decimal()
        if self.liquidation is None or row < 0 or not self.liquidation.takes_all(side_of(order), price):
            return None
        opened = self._bars.price("open", row)
        if is_beyond_limit(order, opened) or opened == price:
            return None
        self.references[order.client_order_id.value] = opened
        return self._book(opened)

    def _slipped(self, order: Any, reference: Decimal) -> Decimal:  # noqa: ANN401 - as above
        """Return what a taker pays where the market's price is `reference`: never more than its limit, if it has one.

        The reference is kept for the books.
        """
        side = side_of(order)
        self.references[order.client_order_id.value] = reference
        paid = self._execution.slippage.worse(reference, side, tick=self._tick, grid=self._grid)
        return order.price.as_decimal() if order.order_type in _LIMITS and is_beyond_limit(order, paid) else paid

    def _is_too_late(self, order: Any, foreseen: Foreseen) -> bool:  # noqa: ANN401 - as above
        if order.order_type in _MARKET:
            return False
        now_ms = self._now_ms()
        row = self._row_from(now_ms) - 1
        return row >= 0 and foreseen.comes_first(order, self._bars.price("open", row), now_ms * MS)

    def _is_new(self, order: Any) -> bool:  # noqa: ANN401 - as above
        """Tell whether an order came to be at the end of the bar, or inside it."""
        return order.ts_accepted is None or order.ts_accepted >= self._now_ms() * MS

    def _is_crossed(self, order: Any) -> bool:  # noqa: ANN401 - as above
        """Tell whether the market was beyond a new stop from the beginning."""
        origin, trigger = (self.inside or {}).get(order.client_order_id.value), order.trigger_price.as_decimal()
        return origin is None or (trigger <= origin.price if rises(order) else trigger >= origin.price)

    def _met_inside(self, order: Any) -> Decimal:  # noqa: ANN401 - as above
        """Return where a new stop is triggered: behind a gap that jumped over its entry, too, at the open."""
        origin, trigger = (self.inside or {}).get(order.client_order_id.value), order.trigger_price.as_decimal()
        row = self._row_from(self._now_ms()) - 1
        if origin is None or not origin.better or row < 0:
            return trigger
        opened = self._bars.price("open", row)
        return max(opened, trigger) if rises(order) else min(opened, trigger)

    def _lacks_margin(self, order: Any, margin: AsksMargin) -> bool:  # noqa: ANN401 - as above
        if order.order_type in _LIMITS:
            return margin.refuses(order, order.price.as_decimal())
        return order.order_type in TRIGGERED_MARKETS and margin.refuses(order, self._triggered(order))

    def _reference(self, order: Any, market: Price | None) -> Decimal | None:  # noqa: ANN401 - as above
        """Return the market's price of a taker's fill; `None` for all other orders and for a refused one."""
        kind = order.order_type
        if kind in _MARKET and market is not None:
            if self._execution.fill == "close":
                return market.as_decimal()
            return self._next_open(order)
        if kind in TRIGGERED_MARKETS and self._execution.slippage:
            return self._triggered(order)
        return None

    def _next_open(self, order: Any) -> Decimal | None:  # noqa: ANN401 - as above
        """Return the open that an order sent now meets; `None`, with the reason, where it meets none."""
        if (row := self._row_from(self._now_ms())) == len(self._bars):
            self._reasons[order.client_order_id.value] = NO_NEXT_OPEN
            return None
        opened = self._bars.price("open", row)
        if self.liquidation is not None and self.liquidation.is_gone_by_open(row, opened, self._now_ns()):
            # The next look at the bars closes the position, and the order would open another one.
            self._reasons[order.client_order_id.value] = GONE_BY_OPEN
            return None
        return opened

    def _triggered(self, order: Any) -> Decimal:  # noqa: ANN401 - as above
        """Return the trigger, or the open where the bar opened beyond it.

        Only an order that stood unchanged before the bar met its open: one changed inside it (a trailing stop that
        followed, the stop of an entry that filled there) is stamped with the bar's own time.
        """
        trigger: Decimal = order.trigger_price.as_decimal()
        now_ms = self._now_ms()
        row = self._row_from(now_ms) - 1
        inside = order.ts_last >= now_ms * MS and triggered_since(order) >= now_ms * MS
        if inside or row < 0:
            return trigger
        opened = self._bars.price("open", row)
        return max(opened, trigger) if rises(order) else min(opened, trigger)

    def _row_from(self, time_ms: int) -> int:
        # For one time, faster than numpy's own search.
        return bisect_left(self._bars.opened, time_ms)

    def _now_ms(self) -> int:
        return -(-self._now_ns() // MS)

    def _now_ns(self) -> int:
        if self._read_clock is None:
            raise RuntimeError("the price model was not given the engine's clock")
        return self._read_clock()

    def _empty_book(self) -> OrderBook:
        return OrderBook(self._instrument.id, BookType.L2_MBP)

    def _book(self, price: Decimal) -> OrderBook:
        book = self._empty_book()
        level = Price.from_decimal_dp(price, self._instrument.price_precision)
        book.add(BookOrder(OrderSide.SELL, level, self._size, 1), 0, 0, 0)
        book.add(BookOrder(OrderSide.BUY, level, self._size, 2), 0, 0, 0)
        return book
