"""Small markets, and runs of small strategies over them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, cast

import numpy as np
import polars as pl
import pytest
from nautilus_trader.model import Bar, OrderSide, Price, Quantity
from nautilus_trader.trading import Strategy, StrategyConfig

from nt_run.ambiguity import Ambiguity, Booked, ambiguity_object, find_ambiguities
from nt_run.engine.run import EngineInput, EngineOutput, run_engine
from nt_run.klines import SCHEMA, Exponents, Klines
from nt_run.matching import MatchBars
from nt_run.model import Fees, FundingRate, Interval
from nt_run.outcomes import Costs
from nt_run.sizing import SizingRules
from nt_run.specs import InstrumentSpecs
from nt_run.twofold import check_ambiguous

SLOT = 1_704_096_000_000
"""2024-01-01 08:00 UTC, a funding slot."""


def to_klines(rows: list[tuple[Any, ...]], start: int, interval: str, exponents: Exponents) -> Klines:
    """Rows of (open, high, low, close, volume) as decimal text."""
    step = Interval(interval).ms
    scale = [exponents.price] * 4 + [exponents.quantity]
    whole = [[int(Decimal(str(cell)).scaleb(by)) for cell, by in zip(row, scale, strict=True)] for row in rows]
    columns = dict(zip(("open", "high", "low", "close", "volume"), zip(*whole, strict=True), strict=True))
    zeros = [0] * len(rows)
    frame = pl.DataFrame(
        {
            "open_time": [start + step * number for number in range(len(rows))],
            **{name: list(values) for name, values in columns.items()},
            **dict.fromkeys(("quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume"), zeros),
        }
    )
    frame = frame.with_columns(pl.col("open_time").cast(pl.Datetime("ms", "UTC"))).cast(pl.Schema(SCHEMA))
    return Klines("BTCUSDT", Interval(interval), exponents, frame.select(list(SCHEMA)))


@pytest.fixture
def make_klines() -> Callable[..., Klines]:
    """Klines of given rows; the last one closes at a funding slot unless `start` says otherwise."""

    def make(
        rows: list[tuple[Any, ...]],
        *,
        start: int | None = None,
        interval: str = "1m",
        exponents: Exponents | None = None,
    ) -> Klines:
        if start is None:
            start = SLOT - len(rows) * Interval(interval).ms
        return to_klines(rows, start, interval, exponents or Exponents(1, 3, 4))

    return make


@pytest.fixture
def random_market() -> Callable[..., Klines]:
    """A deterministic random walk of `bars` bars, tick-exact, that starts at 40,000.0."""

    def make(bars: int, seed: int = 1, interval: str = "1m", sigma: float = 0.0007) -> Klines:
        # Integer arithmetic from one generator: the same on every machine.
        draws = np.random.default_rng(seed).integers(-1000, 1001, bars)
        close = 400_000 + np.cumsum((draws * (400_000 * sigma / 577)).astype(np.int64))
        close = np.maximum(close, 1000)
        opened = np.concatenate([[400_000], close[:-1]])
        reach = np.abs(draws) // 10
        rows = np.stack([opened, np.maximum(opened, close) + reach, np.minimum(opened, close) - reach, close], axis=1)
        cells = [(*(Decimal(int(cell)) / 10 for cell in row), 100) for row in rows]
        return to_klines(cells, SLOT - 60 * 60_000, interval, Exponents(1, 3, 4))

    return make


class Scripted(Strategy):
    """Sends prepared orders: `script[n]` is called at the close of bar n, counting from 0."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(StrategyConfig())
        self.own = config
        self.number = -1
        self.bars: list[Bar] = []

    def on_start(self) -> None:
        cast("Any", self).subscribe_bars(self.own["bar_type"])

    def on_bar(self, bar: Bar) -> None:
        self.number += 1
        self.bars.append(bar)
        for act in self.own["script"].get(self.number, ()):
            act(self, bar)

    def amount(self, quantity: str) -> Quantity:
        decimals = cast("Any", self.cache).instrument(self.own["instrument_id"]).size_precision
        return Quantity.from_decimal_dp(Decimal(quantity), decimals)

    def price(self, price: str) -> Price:
        decimals = cast("Any", self.cache).instrument(self.own["instrument_id"]).price_precision
        return Price.from_decimal_dp(Decimal(price), decimals)


def buy(quantity: str) -> Callable[[Scripted, Bar], None]:
    """A market buy."""
    return market(OrderSide.BUY, quantity)


def sell(quantity: str) -> Callable[[Scripted, Bar], None]:
    """A market sell."""
    return market(OrderSide.SELL, quantity)


def market(side: OrderSide, quantity: str) -> Callable[[Scripted, Bar], None]:
    def act(strategy: Scripted, bar: Bar) -> None:
        order = strategy.order_factory.market(strategy.own["instrument_id"], side, strategy.amount(quantity))
        cast("Any", strategy).submit_order(order)

    return act


def equity_of(output: EngineOutput, klines: Klines, balance: Decimal) -> Decimal:
    """Equity by exact arithmetic over the fills and payments alone."""
    position = sum((fill.side.sign * fill.quantity for fill in output.fills), Decimal(0))
    cash = sum((-fill.side.sign * fill.quantity * fill.price - fill.fee for fill in output.fills), balance)
    close = Decimal(int(klines.frame["close"][-1])).scaleb(-klines.exponents.price)
    return cash + sum((payment.amount for payment in output.payments), Decimal(0)) + position * close


def ambiguities(output: EngineOutput, bars: MatchBars, costs: Costs) -> list[Ambiguity]:
    """What is ambiguous in a run; an audit must not miss any of it, nor find a reason lacking."""
    names = ("resting", "fills", "payments", "threats")
    found = find_ambiguities(Booked(bars=bars, costs=costs, **{name: getattr(output, name) for name in names}))
    told = ambiguity_object(found, bars=len(bars), net=Decimal(0), balance=Decimal(0))
    assert check_ambiguous(told, output.fills, output.resting, bars) == []
    return found


@dataclass
class Source:
    """A strategy class with fixed fields, in place of a resolved one."""

    cls: type[Strategy]
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    accepts: frozenset[str] = frozenset({"instrument_id", "bar_type"})
    name: str = "test"
    built: list[Strategy] = field(default_factory=list[Strategy])

    def build(self, fields: Mapping[str, object]) -> Strategy:
        strategy = self.cls({**self.fields, **fields})
        self.built.append(strategy)
        return strategy


@pytest.fixture
def run(btc: InstrumentSpecs, fees: Fees) -> Callable[..., EngineOutput]:
    """Run a strategy class over klines: 100,000 USDT, no leverage, specs of BTCUSDT.

    Small markets trade around 100 and not at bitcoin's price, so prices have no bounds here and market orders no more
    than the others; `test_filters.py` has them all.
    """
    unbounded = {"min_price": None, "price_multiplier_up": None, "price_multiplier_down": None}
    wide = replace(btc, market_max_quantity=btc.max_quantity, **unbounded)

    def go(klines: Klines, source: Any, **changes: Any) -> EngineOutput:
        if isinstance(source, dict):
            source = Source(Scripted, {"script": source})
        given: dict[str, Any] = {
            "specs": wide,
            "klines": klines,
            "funding": [],
            "fees": fees,
            "sizing": SizingRules(),
            "balance": Decimal(100_000),
            "strategy": source,
            "params": {},
        }
        return run_engine(EngineInput(**(given | changes)))

    return go


@pytest.fixture
def kit() -> Any:
    """The helpers of this file, for tests, which cannot import it."""

    class Kit:
        Source = Source
        Scripted = Scripted
        SLOT = SLOT
        BUY = OrderSide.BUY
        SELL = OrderSide.SELL
        buy = staticmethod(buy)
        sell = staticmethod(sell)
        equity_of = staticmethod(equity_of)
        ambiguities = staticmethod(ambiguities)

        @staticmethod
        def rate(rate: str, mark: str | None = None, slot: int = SLOT) -> FundingRate:
            mark_price = Decimal(mark) if mark is not None else None
            return FundingRate(time_ms=slot + 7, slot_ms=slot, rate=Decimal(rate), mark_price=mark_price)

    return Kit
