"""Follows the open position bar by bar and closes it where the exchange would.

An actor beside the strategy gets each execution bar once the engine has matched it and before the strategy sees its
own bar. If the deciding extreme has crossed the liquidation price, the strategy's open orders are cancelled and a
reduce-only market order closes the position at exactly that price, rounded to the tick against the trader:

- isolated: the position's margin is lost, whole. Its margin is notional ÷ leverage of what was opened, less its share
  of what was closed, with the funding of the position since. What the loss of price leaves of it is charged.
- cross: the whole balance stands behind the position. The liquidation fee × notional is charged, as far as there is
  equity: it never falls below zero.
"""

from collections.abc import Callable, Sequence
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal
from typing import Any, cast

from nautilus_trader.model import Bar, CryptoPerpetual, OrderFilled, OrderSide, OrderType, Quantity
from nautilus_trader.trading import Strategy

from nt_run.engine.instrument import ensure_currency
from nt_run.engine.venue import VENUE
from nt_run.liquidation import Extremes, Liquidation, MarginPlan
from nt_run.margin import liquidation_price
from nt_run.model import Settlement, Side
from nt_run.outcomes import Threat
from nt_run.sizing import to_step
from nt_run.specs import InstrumentSpecs

type Force = Callable[[str, Decimal, Decimal, Decimal], None]
"""Takes a client order id, and the price, the whole charge and the quantity its fill will have."""

ZERO = Decimal(0)
_CENT = Decimal("1e-8")
_NEVER = 1 << 62


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
        self._low, self._high = extremes.low.tolist(), extremes.high.tolist()
        self._scale = Decimal(1).scaleb(extremes.exponent)
        self._row, self._seen_ns = -1, 0
        self._due = [(one.time_ns, one.rate * one.price) for one in settlements]
        self._settled = 0
        self._position, self._entry, self._margin, self._cash = ZERO, ZERO, ZERO, balance
        self._fresh = False
        """Whether `_limit` is that of the position as it is."""
        self._exact: Decimal | None = None
        self._limit = 0
        """Liquidation price in the extremes' scale, on the side where crossing it is a comparison of integers."""
        self._strategy: Strategy | None = None

    def hooks(self) -> dict[str, Callable[..., None]]:
        """Return what is to be called ahead of the strategy's callbacks."""
        return {"on_start": self._bind, "on_order_filled": self._filled}

    def release(self) -> None:
        """Let go of the strategy and of what forces its fills, which must be freed on the thread they were made on."""
        self._strategy = self._force = None

    def look(self, bar: Bar) -> None:
        """Close the position if the bar just matched took it beyond its liquidation price."""
        self._row, self._seen_ns = self._row + 1, bar.ts_event
        if self._position and self._is_crossed(self._row, bar.ts_event):
            self._liquidate(bar.ts_event)

    def comes_first(self, order: Any, opened: Decimal, now_ns: int) -> bool:  # noqa: ANN401 - any order of the engine
        """Tell whether the bar that is matched liquidates the position before it reaches a resting order.

        Inside the bar the path is open, high, low, close: a long meets what is above the open first, and what lies
        between the open and its liquidation price; a short only the latter. A bar that opens beyond the liquidation
        price meets nothing before it.
        """
        row = self._row + 1
        # What fills once the bar was looked at is not matched against a path any more.
        if not self._position or now_ns <= self._seen_ns or row >= len(self._low):
            return False
        if not self._is_crossed(row, now_ns) or self._exact is None:
            return False
        price: Decimal = (getattr(order, "trigger_price", None) or order.price).as_decimal()
        if self._position > 0:
            return opened <= self._exact or price < self._exact
        return opened >= self._exact or price > self._exact or price < opened

    def is_gone_by_open(self, row: int, opened: Decimal) -> bool:
        """Tell whether the position is liquidated by the time the bar `row`, yet to come, opens at `opened`.

        The gap from the last close to that open counts: the price went through all of it.
        """
        if not self._position or row >= len(self._low):
            return False
        if any(self._is_crossed(between, self._seen_ns) for between in range(self._row + 1, row)):
            return True
        if not self._is_crossed(row, self._seen_ns) or self._exact is None:
            return False
        return opened <= self._exact if self._position > 0 else opened >= self._exact

    def _is_crossed(self, row: int, now_ns: int) -> bool:
        """Tell whether the extreme of a bar that ends at `now_ns` is at the liquidation price or beyond it."""
        self._settle(now_ns)
        if not self._fresh:
            self._find_limit()
        return self._low[row] <= self._limit if self._position > 0 else self._high[row] >= self._limit

    def _bind(self, strategy: Strategy) -> None:
        self._strategy = strategy

    def _settle(self, until_ns: int) -> None:
        """Book the settlements up to a time on the position as it was: before the fills of that moment."""
        while self._settled < len(self._due) and self._due[self._settled][0] <= until_ns:
            amount = -self._position * self._due[self._settled][1]
            self._settled += 1
            if amount:
                self._margin += amount
                self._cash += amount
                self._fresh = False

    def _filled(self, _strategy: Strategy, event: OrderFilled) -> None:
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
            self._position += sign * part
            left -= part
        if left:
            held = abs(self._position)
            self._entry = (held * self._entry + left * price) / (held + left)
            self._margin = (self._margin if held else ZERO) + left * price / self._leverage
            self._position += sign * left
        commission = event.commission
        self._cash -= commission.as_decimal() if commission is not None else ZERO
        self._fresh = False

    def _note_threat(self, event: OrderFilled) -> None:
        """Remember an exit of the strategy's own in a bar that reaches the liquidation price."""
        row, now_ns = self._row + 1, event.ts_event
        # What fills once the bar was looked at is not matched against a path any more.
        if now_ns <= self._seen_ns or row >= len(self._low) or not self._is_crossed(row, now_ns) or self._exact is None:
            return
        price, _, charge = self._terms(self._exact, self._cash)
        order_id = event.client_order_id.value
        self.threats.append(Threat(order_id=order_id, quantity=abs(self._position), price=price, charge=charge))

    def _wallet(self) -> Decimal:
        """Return what stands behind the position, its unrealised profit aside."""
        return self._cash if self._plan.mode == "cross" else min(self._margin, self._cash)

    def _find_limit(self) -> None:
        side = Side.BUY if self._position > 0 else Side.SELL
        price = liquidation_price(side, abs(self._position), self._entry, self._wallet(), self._plan.rules)
        self._exact, self._fresh = price, True
        if price is None:
            self._limit = -1 if side is Side.BUY else _NEVER
            return
        rounding = ROUND_FLOOR if side is Side.BUY else ROUND_CEILING
        self._limit = int((price * self._scale).to_integral_value(rounding))

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
        self.events.append(
            Liquidation(
                time_ns=time_ns,
                order_id=order_id,
                side=Side.BUY if self._position > 0 else Side.SELL,
                quantity=quantity,
                entry_price=self._entry,
                price=price,
                lost=charge - profit,
            )
        )
        # The base class's own: the exchange asks none of the gates that a strategy's orders pass.
        cast("Any", Strategy).submit_order(strategy, order)

    def _terms(self, exact: Decimal, cash: Decimal) -> tuple[Decimal, Decimal, Decimal]:
        """Return the price of a liquidation, the profit it realises and what is charged for it (quote asset).

        Where a tick is worth more than the maintenance margin, the price is rounded in the trader's favour: he never
        loses more than what stands behind the position.
        """
        tick = self._specs.tick_size
        against, other = (ROUND_FLOOR, ROUND_CEILING) if self._position > 0 else (ROUND_CEILING, ROUND_FLOOR)
        behind = cash if self._plan.mode == "cross" else min(self._margin, cash)
        price = max(to_step(exact, tick, against), tick)
        if behind + self._position * (price - self._entry) < 0:
            price = max(to_step(exact, tick, other), tick)
        profit = self._position * (price - self._entry)
        left = max(behind + profit, ZERO)
        if self._plan.mode == "cross":
            rate = max(self._specs.liquidation_fee or ZERO, ZERO)
            left = min(left, abs(self._position) * price * rate)
        return price, profit, left.quantize(_CENT, ROUND_DOWN)

    def _engine_cash(self, strategy: Strategy) -> Decimal:
        """Return the balance as the engine has it, whose roundings ours does not follow."""
        account: Any = cast("Any", strategy).cache.account_for_venue(VENUE)
        return account.balance_total(ensure_currency(self._specs.quote_asset)).as_decimal()
