"""Sizes each entry of a strategy by the run's rules, and keeps the record of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from nautilus_trader.indicators import AverageTrueRange, MovingAverageType
from nautilus_trader.model import Bar, BarType, Currency, InstrumentId, OrderSide, Price, Quantity
from nautilus_trader.trading import Strategy

from nt_run.asked import AskedRisk
from nt_run.engine.account import account_equity
from nt_run.engine.estimator import Estimator
from nt_run.errors import SizingError, UsageError
from nt_run.model import Denial, Fees
from nt_run.sizing import BY_STOP, BelowMinimumError, Sized, SizingRules, size_position, to_step
from nt_run.specs import InstrumentSpecs


@dataclass(slots=True)
class SizingRecord:
    """What was sized in a run. Shares are fractions of the equity at entry, as in `Sized`."""

    first: Sized | None = None
    largest: Sized | None = None
    """The entry with the largest share."""
    entries: int = 0
    capped: dict[str, int] = field(default_factory=dict[str, int])
    """How many entries were cut, by what."""
    rounded: int = 0
    """How many entries the step moved."""
    denials: list[Denial] = field(default_factory=list[Denial])
    asked: list[AskedRisk] = field(default_factory=list[AskedRisk])
    """Every entry that was sized by its stop, in time order."""

    def add(self, sized: Sized) -> None:
        """Count one entry."""
        self.entries += 1
        self.rounded += sized.rounded
        self.first = self.first or sized
        if self.largest is None or sized.actual_share > self.largest.actual_share:
            self.largest = sized
        if sized.capped_by:
            self.capped[sized.capped_by] = self.capped.get(sized.capped_by, 0) + 1


class EntrySizer:
    """Answers a strategy's two questions: where does the stop go, and how much may be bought or sold.

    Equity is balance plus unrealised profit at the entry price, less the fee of closing what is open; with
    `compound = false` it is the starting balance for the whole run, and `notional` then sizes once, at the open of the
    first bar.
    """

    def __init__(
        self,
        rules: SizingRules,
        specs: InstrumentSpecs,
        fees: Fees,
        *,
        balance: Decimal,
        first_open: Decimal,
        precisions: tuple[int, int],
        estimator: Estimator,
    ) -> None:
        self.record = SizingRecord()
        self._rules = rules
        self._estimator = estimator
        self._specs = specs
        self._fees = fees
        self._balance = balance
        self._first_open = first_open
        self._price_decimals, self._size_decimals = precisions
        self._currency = Currency.from_str(specs.quote_asset)
        self._instrument_id = InstrumentId.from_str(specs.instrument_id)
        self._strategy: Strategy | None = None
        self._atr: AverageTrueRange | None = None
        self._fixed: tuple[Sized, Quantity] | None = None

    def hooks(self, bar_type: BarType) -> dict[str, Callable[..., None]]:
        """Return what is to be called ahead of the strategy's callbacks: its account, and the ATR's bars.

        The ATR is not registered with the strategy, whose own warm-up must not depend on the sizing method.
        """

        def follow(_strategy: Strategy, bar: Bar) -> None:
            if self._atr is not None and bar.bar_type == bar_type:
                self._atr.handle_bar(bar)

        return {"on_start": self.bind} | ({"on_bar": follow} if self._rules.method == "atr" else {})

    def bind(self, strategy: Strategy) -> None:
        """Give the sizer its account; called before the strategy's `on_start`."""
        self._strategy = strategy
        if self._rules.method == "atr":
            self._atr = AverageTrueRange(self._rules.atr_period, MovingAverageType.Wilder)

    def release(self) -> None:
        """Let go of what must be freed on the thread it was made on: the strategy and the ATR."""
        self._strategy = None
        self._atr = None

    def stop_price(self, side: OrderSide, price: Price) -> Price | None:
        """Return the protective stop the sizing rules ask for at an entry `side` at `price`.

        `None` where they ask for none: always for `notional`, for `stop` without `stop_distance`, and for `atr` until
        the ATR has seen enough bars. Rounded to the tick towards the price, so that the risk is never larger.
        """
        entry = price.as_decimal()
        if self._atr is not None and self._atr.initialized:
            distance = Decimal(str(self._atr.value)) * self._rules.atr_multiple
        elif self._rules.method == "stop" and self._rules.stop_distance is not None:
            distance = entry * self._rules.stop_distance
        else:
            return None
        long = side == OrderSide.BUY
        wanted = entry - distance if long else entry + distance
        # Distances too small or too large for a stop still give one: a tick away, and above zero.
        tick = self._specs.tick_size
        stop = to_step(wanted, tick, ROUND_CEILING if long else ROUND_FLOOR)
        stop = max(min(stop, entry - tick), tick) if long else max(stop, entry + tick)
        return Price.from_decimal_dp(stop, self._price_decimals)

    def quantity(self, price: Price, stop_price: Price | None = None) -> Quantity | None:
        """Return how much to buy or sell at `price`, with its protective stop at `stop_price`.

        `None` means the exchange or the account would refuse the order: it is counted in `record.denials`, and the
        strategy should not enter.

        Raises:
            BelowMinimumError: The very first entry of the run is too small.
            SizingError: The method needs a stop and neither strategy nor rules have one.
        """
        if self._rules.method == "notional" and not self._rules.compound:
            return self._fixed_quantity()
        if self._rules.method == "atr" and stop_price is None:
            return self._deny("sizing: the ATR has not seen enough bars")
        estimate = {"volatility": self._estimator.volatility, "kelly": self._estimator.kelly}.get(self._rules.method)
        estimated = estimate() if estimate is not None else None
        if estimate is not None and not estimated:
            kelly = self._rules.method == "kelly"
            return self._deny("sizing: the trades so far show no edge" if kelly else "sizing: volatility not known yet")
        equity = self.equity(price)
        if equity <= 0:
            return self._deny("sizing: no equity left")
        stop = stop_price.as_decimal() if stop_price is not None else None
        try:
            sized = self._size(equity, price.as_decimal(), stop, estimated)
        except BelowMinimumError as exc:
            if self.record.first is None:
                raise
            return self._deny(f"sizing: below {exc.limit}")
        self.record.add(sized)
        if stop is not None and self._rules.method in BY_STOP:
            self._note_risk(sized, stop)
        return self._quantity(sized)

    def equity(self, price: Price) -> Decimal:
        """Return the equity to size with, in the quote asset, as if all that is open were closed at `price`.

        The taker fee of closing it is taken off: a position turned round pays it before the new one opens.
        """
        if not self._rules.compound:
            return self._balance
        strategy = self._bound()
        portfolio: Any = strategy.portfolio
        position: Decimal = portfolio.net_position(self._instrument_id)
        closing = abs(position) * price.as_decimal() * self._fees.taker
        return account_equity(strategy, self._instrument_id, self._currency, price) - closing

    def trade_size(self) -> Decimal:
        """Return the one size, at the first bar's open, of a strategy that does not size entries.

        Raises:
            BelowMinimumError: It is below what the exchange accepts.
            SizingError: The method needs a stop, which such a strategy does not name.
        """
        return self._fixed_size()[0].quantity

    def _fixed_quantity(self) -> Quantity:
        sized, quantity = self._fixed_size()
        self.record.add(sized)
        return quantity

    def _fixed_size(self) -> tuple[Sized, Quantity]:
        if self._fixed is None:
            sized = self._size(self._balance, self._first_open)
            self._fixed = sized, self._quantity(sized)
        return self._fixed

    def _size(
        self, equity: Decimal, price: Decimal, stop: Decimal | None = None, estimate: Decimal | None = None
    ) -> Sized:
        return size_position(
            self._rules, self._specs, self._fees, equity=equity, price=price, stop_price=stop, estimate=estimate
        )

    def _quantity(self, sized: Sized) -> Quantity:
        return Quantity.from_decimal_dp(sized.quantity, self._size_decimals)

    def _note_risk(self, sized: Sized, stop: Decimal) -> None:
        asked = AskedRisk(
            time_ns=self._bound().clock.timestamp_ns() if self._strategy is not None else 0,
            quantity=sized.quantity,
            price=sized.price,
            stop_price=stop,
            asked=sized.equity * sized.asked_share,
        )
        self.record.asked.append(asked)

    def _deny(self, reason: str) -> None:
        self.record.denials.append(Denial(time_ns=self._bound().clock.timestamp_ns(), reason=reason))

    def _bound(self) -> Strategy:
        if self._strategy is None:
            raise SizingError("The sizer was asked before the run had started; ask it in on_bar, not in __init__.")
        return self._strategy


def check_atr(rules: SizingRules, bars: int) -> None:
    """Refuse sizing by an ATR that would never have seen enough bars.

    Raises:
        UsageError: The range has fewer bars than the ATR needs.
    """
    if rules.method == "atr" and rules.atr_period > bars:
        raise UsageError(
            f"Sizing by 'atr' could never size an entry: the ATR needs {rules.atr_period} bars, the range has {bars}. "
            "Choose a longer range or a smaller sizing.atr_period."
        )
