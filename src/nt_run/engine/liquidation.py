"""Follows the open position and closes it where the exchange would.

Where a bar to come can liquidate it, an actor beside the strategy gets each execution bar once the engine has matched
it and before the strategy sees its own bar. If the deciding extreme has crossed the liquidation price, the strategy's
open orders are cancelled and a reduce-only market order closes the position at exactly that price, rounded to the tick
against the trader:

- isolated: the position's margin is lost, whole. Its margin is notional ÷ leverage of what was opened, less its share
  of what was closed, with the funding of the position since. What the loss of price leaves of it is charged.
- cross: the whole balance stands behind the position. The liquidation fee × notional is charged, as far as there is
  equity: it never falls below zero.
"""

from collections.abc import Callable, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, cast

from nautilus_trader.backtest import BacktestEngine
from nautilus_trader.model import Bar, BarType, CryptoPerpetual, OrderFilled, OrderSide, OrderType, Quantity
from nautilus_trader.trading import Strategy

from nt_run.engine.bars import execution_type_name
from nt_run.engine.guard import Guard
from nt_run.engine.instrument import ensure_currency
from nt_run.engine.lookout import Lookout
from nt_run.engine.sequel import Sequel
from nt_run.engine.triggered import level
from nt_run.engine.venue import VENUE
from nt_run.engine.watcher import Watcher
from nt_run.liquidation import Extremes, Liquidation, MarginPlan, closing_terms
from nt_run.margin import liquidation_price
from nt_run.model import Settlement, Side
from nt_run.outcomes import Threat
from nt_run.specs import InstrumentSpecs

type Force = Callable[[str, Decimal, Decimal, Decimal], None]
"""Takes a client order id, and the price, the whole charge and the quantity its fill will have."""

ZERO = Decimal(0)
_NEVER = 1 << 62
"""No price of a bar comes near it."""


class Liquidator:
    """Watches the position of one strategy; `events` is what it closed, in time order.

    `extremes` has a row for each bar that orders are matched on.
    """

    def __init__(
        self,
        plan: MarginPlan,
        extremes: Extremes,
        specs: InstrumentSpecs,
        instrument: CryptoPerpetual,
        *,
        leverage: Decimal,
        balance: Decimal,
        settlements: Sequence[Settlement],
        force: Force,
    ) -> None:
        self.events: list[Liquidation] = []
        self.threats: list[Threat] = []
        self._plan = plan
        self._specs = specs
        self._instrument = instrument
        self._leverage = leverage
        self._force: Force | None = force
        self._lookout = Lookout(extremes, [one.time_ns for one in settlements])
        self._watcher = Watcher()
        self._bar_type = BarType.from_str(execution_type_name(specs.instrument_id))
        self._scale = Decimal(1).scaleb(extremes.exponent)
        self._due = [(one.time_ns, one.rate * one.price) for one in settlements]
        self._settled = 0
        self._position, self._entry, self._margin, self._cash = ZERO, ZERO, ZERO, balance
        self._paid = ZERO  # of funding, for what is left of the position
        self._fresh = False
        """Whether `_limit` is that of the position as it is."""
        self._exact: Decimal | None = None
        self._limit = 0
        self._next = 0
        """The bar it is woken ahead of."""
        self._strategy: Strategy | None = None
        self._sequel = Sequel()

    def hooks(self) -> dict[str, Callable[..., None]]:
        """Return what is to be called ahead of the strategy's callbacks."""
        return {"on_start": self._bind, "on_order_filled": self._filled}

    def install(self, engine: BacktestEngine, guard: Guard) -> None:
        """Put the watcher beside the strategy."""
        watcher = self._watcher
        watcher.bar_type = self._bar_type
        watcher.begin, watcher.wake = guard.wrap(self._wake_later), guard.wrap(self._wake)
        watcher.look = guard.wrap(self._look)
        engine.add_actor(watcher)

    def release(self) -> None:
        """Let go of the strategy and of what forces its fills, which must be freed on the thread they were made on."""
        self._strategy = self._force = None
        self._watcher.release()
        self._sequel.clear()

    def comes_first(self, order: Any, opened: Decimal, now_ns: int) -> bool:  # noqa: ANN401 - any order of the engine
        """Tell whether the bar that is matched liquidates the position before it reaches a resting order.

        Inside the bar the path is open, high, low, close: a long meets what is above the open first, and what lies
        between the open and its liquidation price; a short only the latter. A bar that opens beyond the liquidation
        price meets nothing before it.
        """
        exact = self._crossed_in_matching(now_ns)
        if exact is None:
            return False
        price = level(order, now_ns)
        if self._position > 0:
            return opened <= exact or price < exact
        return opened >= exact or price > exact or price < opened

    def is_gone_by_open(self, row: int, opened: Decimal, now_ns: int) -> bool:
        """Tell whether the position is liquidated by the time the bar `row`, yet to come, opens at `opened`.

        The gap from the last close to that open counts: the price went through all of it.
        """
        if not self._position or row >= len(self._lookout):
            return False
        begun = self._lookout.row(now_ns)
        first = begun + 1 if self._is_matched(now_ns) else begun
        if any(self._is_crossed(between, now_ns) for between in range(first, row)):
            return True
        if not self._is_crossed(row, now_ns) or self._exact is None:
            return False
        return opened <= self._exact if self._position > 0 else opened >= self._exact

    def comes_ahead(self, row: int, opened: Decimal, now_ns: int, send: Callable[[], object]) -> bool:
        """Liquidate now if an order sent at a close meets the open of the bar `row` behind the end of the position.

        Then `send` is called once that has been booked, and finds the account that is left.
        """
        done = self._lookout.row(now_ns)
        if done >= row or self._lookout.end(done) != now_ns or not self._is_matched(now_ns):
            return False
        if self._sequel.order_id is None:
            if not self.is_gone_by_open(row, opened, now_ns):
                return False
            self._sequel.ahead = True
            self._liquidate(now_ns)
        self._sequel.add(send)
        return True

    def takes_all(self, side: Side, price: Decimal) -> bool:
        """Tell whether an order that reduces the position would do so at its liquidation price or beyond it."""
        if self._position * side.sign >= 0:
            return False
        self._find_limit()
        return self._exact is not None and side.sign * (price - self._exact) >= 0

    def _wake_later(self, row: int = 0) -> None:
        """Ask to be woken ahead of the first bar of the next stretch."""
        self._next = self._lookout.next_start(row)
        if self._next < len(self._lookout):
            self._watcher.wake_at(self._lookout.end(self._next) - 1)

    def _wake(self) -> None:
        row = self._next
        self._settle(self._lookout.end(row))
        self._look_out(row)
        self._wake_later(row)

    def _look_out(self, row: int) -> None:
        """Watch the bars if one of this stretch, from `row` on, liquidates the position."""
        crossed = self._position and self._lookout.is_crossed_from(row, self._find_limit(), long=self._position > 0)
        self._watcher.watch(on=bool(crossed))

    def _look(self, bar: Bar) -> None:
        """Close the position if the bar just matched took it beyond its liquidation price."""
        if self._position and self._is_crossed(self._lookout.row(bar.ts_event), bar.ts_event):
            self._liquidate(bar.ts_event)

    def _is_crossed(self, row: int, now_ns: int) -> bool:
        """Tell whether the extreme of a bar is at the liquidation price that holds at `now_ns`, or beyond it."""
        self._settle(now_ns)
        return self._lookout.is_crossed(row, self._find_limit(), long=self._position > 0)

    def _is_matched(self, now_ns: int) -> bool:
        """Tell whether orders were matched on the bar of this time, so that what fills now is not inside it."""
        if self._strategy is None:
            return False
        bar = cast("Any", self._strategy).cache.bar(self._bar_type)
        return bar is not None and bar.ts_event >= now_ns

    def _crossed_in_matching(self, now_ns: int) -> Decimal | None:
        """Return the exact liquidation price if the bar orders are being matched on reaches it."""
        row = self._lookout.row(now_ns)
        if not self._position or row >= len(self._lookout) or not self._is_crossed(row, now_ns):
            return None
        return None if self._is_matched(now_ns) else self._exact

    def _bind(self, strategy: Strategy) -> None:
        self._strategy = strategy

    def _settle(self, until_ns: int) -> None:
        """Book the settlements up to a time on the position as it was: before the fills of that moment."""
        while self._settled < len(self._due) and self._due[self._settled][0] <= until_ns:
            amount = -self._position * self._due[self._settled][1]
            self._settled += 1
            if amount:
                self._margin, self._paid = self._margin + amount, self._paid - amount
                self._cash += amount
                self._fresh = False

    def _filled(self, strategy: Strategy, event: OrderFilled) -> None:
        self._settle(event.ts_event)
        price = event.last_px.as_decimal()
        left = event.last_qty.as_decimal()
        sign = 1 if event.order_side == OrderSide.BUY else -1
        if self._position * sign < 0:
            if event.order_type != OrderType.MARKET:
                self._note_threat(event)
            part = min(left, abs(self._position))
            self._cash -= sign * part * (price - self._entry)
            self._margin -= self._margin * part / abs(self._position)
            self._paid -= self._paid * part / abs(self._position)
            self._position += sign * part
            left -= part
        if left:
            held = abs(self._position)
            self._entry = (held * self._entry + left * price) / (held + left)
            self._margin = (self._margin if held else ZERO) + left * price / self._leverage
            self._paid = self._paid if held else ZERO
            self._position += sign * left
        commission = event.commission
        self._cash -= commission.as_decimal() if commission is not None else ZERO
        self._fresh = False
        self._look_out(self._lookout.row(event.ts_event))
        self._sequel.booked(strategy, event.client_order_id, self._instrument.id)

    def _note_threat(self, event: OrderFilled) -> None:
        """Remember an exit of the strategy's own in a bar that reaches the liquidation price."""
        if (exact := self._crossed_in_matching(event.ts_event)) is None:
            return
        price, _, charge = self._terms(exact, self._cash)
        order_id = event.client_order_id.value
        self.threats.append(Threat(order_id=order_id, quantity=abs(self._position), price=price, charge=charge))

    def _wallet(self) -> Decimal:
        """Return what stands behind the position, its unrealised profit aside."""
        return self._cash if self._plan.mode == "cross" else min(self._margin, self._cash)

    def _find_limit(self) -> int:
        """Return the liquidation price scaled, rounded to the side where crossing it is a comparison of integers."""
        if not self._fresh:
            side = Side.BUY if self._position > 0 else Side.SELL
            price = liquidation_price(side, abs(self._position), self._entry, self._wallet(), self._plan.rules)
            self._exact, self._fresh = price, True
            self._limit = self._scaled(price, side)
        return self._limit

    def _scaled(self, price: Decimal | None, side: Side) -> int:
        if price is None:
            return -1 if side is Side.BUY else _NEVER
        rounding = ROUND_FLOOR if side is Side.BUY else ROUND_CEILING
        return min(int((price * self._scale).to_integral_value(rounding)), _NEVER)

    def _liquidate(self, time_ns: int) -> None:
        strategy, instrument, quantity = self._strategy, self._instrument, abs(self._position)
        if strategy is None or self._exact is None or self._force is None:
            return
        cast("Any", strategy).cancel_all_orders(instrument.id)
        away = OrderSide.SELL if self._position > 0 else OrderSide.BUY
        size = Quantity.from_decimal_dp(quantity, instrument.size_precision)
        order = strategy.order_factory.market(instrument.id, away, size, reduce_only=True)
        order_id = order.client_order_id.value
        cash = self._engine_cash(strategy)
        price, profit, charge = self._terms(self._exact, cash)
        self._force(order_id, price, charge, quantity)
        self._sequel.order_id = order_id
        self.events.append(
            Liquidation(
                time_ns=time_ns,
                order_id=order_id,
                side=Side.BUY if self._position > 0 else Side.SELL,
                quantity=quantity,
                entry_price=self._entry,
                price=price,
                lost=charge - profit + self._paid,
            )
        )
        # The base class's own: the exchange asks none of the gates that a strategy's orders pass.
        cast("Any", Strategy).submit_order(strategy, order)

    def _terms(self, exact: Decimal, cash: Decimal) -> tuple[Decimal, Decimal, Decimal]:
        cross = self._plan.mode == "cross"
        behind = cash if cross else min(self._margin, cash)
        rate = max(self._specs.liquidation_fee or ZERO, ZERO) if cross else None
        return closing_terms(self._position, self._entry, behind, exact, tick=self._specs.tick_size, fee_rate=rate)

    def _engine_cash(self, strategy: Strategy) -> Decimal:
        """Return the balance as the engine has it, whose roundings ours does not follow."""
        account: Any = cast("Any", strategy).cache.account_for_venue(VENUE)
        return account.balance_total(ensure_currency(self._specs.quote_asset)).as_decimal()
