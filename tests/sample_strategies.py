"""Small strategies for the tests of `nt-run check`: clean ones, and ones that look ahead. Not a test."""

import datetime as dt
import random
from collections.abc import Callable
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Any

import polars as pl
from nautilus_trader.indicators import (
    AverageTrueRange,
    BollingerBands,
    RelativeStrengthIndex,
    SimpleMovingAverage,
    WeightedMovingAverage,
)
from nautilus_trader.model import Bar, BarType, InstrumentId, OrderSide
from nautilus_trader.trading import Strategy, StrategyConfig

from nt_run import load_klines
from nt_run.strategies.sizer import Sizer

CLOSE = pl.col("close")
MINUTE = 60_000_000_000


@dataclass(frozen=True, kw_only=True)
class TargetConfig(StrategyConfig):
    instrument_id: InstrumentId
    bar_type: BarType
    sizer: Sizer


@dataclass(frozen=True, kw_only=True)
class VectorConfig(TargetConfig):
    history: pl.DataFrame


class Target(Strategy):
    """Long where `wanted` says 1, short at −1, flat at 0, and as it is at `None`."""

    def __init__(self, config: TargetConfig) -> None:
        super().__init__(config)
        self.own = config
        self.prepare()

    def prepare(self) -> None:
        pass

    def follow(self, *indicators: Any) -> None:
        for indicator in indicators:
            self.register_indicator_for_bars(self.own.bar_type, indicator)

    def begin(self) -> None:
        pass

    def on_start(self) -> None:
        self.begin()
        self.subscribe_bars(self.own.bar_type)

    def wanted(self, bar: Bar) -> int | None:
        raise NotImplementedError

    def on_bar(self, bar: Bar) -> None:
        wanted = self.wanted(bar)
        instrument = self.own.instrument_id
        held = self.portfolio.net_position(instrument)
        sign = (held > 0) - (held < 0)
        if wanted is None or wanted == sign:
            return
        if sign:
            self.close_all_positions(instrument)
        elif quantity := self.own.sizer.quantity(bar.close):
            side = OrderSide.BUY if wanted > 0 else OrderSide.SELL
            self.submit_order(self.order_factory.market(instrument, side, quantity))


class Vector(Target):
    """A target worked out for the whole history at once, from an expression over its rows."""

    @staticmethod
    def signal() -> pl.Expr:
        raise NotImplementedError

    def __init__(self, config: VectorConfig) -> None:
        super().__init__(config)

    def prepare(self) -> None:
        rows = self.table().with_columns(target=self.signal())
        # A bar is stamped with its close: a minute after its open time.
        closes = rows["open_time"].dt.epoch("ns") + MINUTE
        self.targets = dict(zip(closes, rows["target"], strict=True))

    def table(self) -> pl.DataFrame:
        return self.own.history

    def wanted(self, bar: Bar) -> int | None:
        return self.targets[bar.ts_event]


def vector(signal: Callable[[], pl.Expr]) -> type[Vector]:
    """A class of its own, found in this module under the function's name."""
    return type(signal.__name__, (Vector,), {"signal": staticmethod(signal), "__module__": __name__})


def sign_of(value: pl.Expr) -> pl.Expr:
    return value.sign().cast(pl.Int8)


def day() -> pl.Expr:
    return pl.col("open_time").dt.date()


# Clean: bar by bar.


class AboveAverage(Target):
    def begin(self) -> None:
        self.average = SimpleMovingAverage(50)
        self.follow(self.average)

    def wanted(self, bar: Bar) -> int | None:
        return int(bar.close.as_double() > self.average.value) if self.average.initialized else None


class WeightedCross(Target):
    def begin(self) -> None:
        self.fast, self.slow = WeightedMovingAverage(10), WeightedMovingAverage(40)
        self.follow(self.fast, self.slow)

    def wanted(self, bar: Bar) -> int | None:
        return (1 if self.fast.value > self.slow.value else -1) if self.slow.initialized else None


class OutsideBands(Target):
    def begin(self) -> None:
        self.bands = BollingerBands(30, 2.0)
        self.follow(self.bands)

    def wanted(self, bar: Bar) -> int | None:
        if not self.bands.initialized:
            return None
        close = bar.close.as_double()
        return -1 if close > self.bands.upper else 1 if close < self.bands.lower else None


class Oversold(Target):
    def begin(self) -> None:
        self.rsi = RelativeStrengthIndex(14)
        self.follow(self.rsi)

    def wanted(self, bar: Bar) -> int | None:
        if not self.rsi.initialized:
            return None
        return 1 if self.rsi.value < 30 else 0 if self.rsi.value > 50 else None


class CalmOnly(Target):
    def begin(self) -> None:
        self.range, self.average = AverageTrueRange(20), SimpleMovingAverage(60)
        self.follow(self.range, self.average)

    def wanted(self, bar: Bar) -> int | None:
        if not self.average.initialized:
            return None
        return int(bar.high.as_double() - bar.low.as_double() < self.range.value)


class HourOfDay(Target):
    """Long from 08:00 to 16:00 UTC."""

    def wanted(self, bar: Bar) -> int | None:
        return int(8 <= dt.datetime.fromtimestamp(bar.ts_event / 1e9, dt.UTC).hour < 16)


class Inside(Target):
    """Long after three rising bars, flat after a falling one."""

    def prepare(self) -> None:
        self.last: list[float] = []

    def wanted(self, bar: Bar) -> int | None:
        self.last = [*self.last[-3:], bar.close.as_double()]
        if len(self.last) < 4:
            return None
        rising = all(a < b for a, b in zip(self.last, self.last[1:], strict=False))
        return 1 if rising else 0 if self.last[-1] < self.last[-2] else None


class SeededCoin(Target):
    """A coin of the time, the same each time."""

    def wanted(self, bar: Bar) -> int | None:
        return random.Random(bar.ts_event).choice((None, None, None, 0, 1, -1))


class RestingLimits(Target):
    """Buys a little below each fifteenth minute's close, and gives up after five."""

    def on_bar(self, bar: Bar) -> None:
        minute = bar.ts_event // MINUTE % 15
        instrument = self.own.instrument_id
        if minute == 0 and self.portfolio.is_net_flat(instrument):
            price = self.cache.instrument(instrument).next_bid_price(bar.close.as_double() * 0.9995)
            if quantity := self.own.sizer.quantity(price):
                self.submit_order(self.order_factory.limit(instrument, OrderSide.BUY, quantity, price))
        if minute == 5:
            self.cancel_all_orders(instrument)
            self.close_all_positions(instrument)


class StopAtFill(Target):
    """Enters each fourth hour, with a stop where the fill says."""

    def wanted(self, bar: Bar) -> int | None:
        return 1 if bar.ts_event // MINUTE % 240 == 0 else None

    def on_position_opened(self, event: Any) -> None:
        stop = self.cache.instrument(event.instrument_id).next_bid_price(event.avg_px_open * 0.998)
        make = self.order_factory.stop_market
        self.submit_order(make(event.instrument_id, OrderSide.SELL, event.quantity, stop, reduce_only=True))


class Timer(Target):
    """Turns each hour, by an alert of its clock."""

    def begin(self) -> None:
        hour = 60 * MINUTE
        first = -(-self.clock.timestamp_ns() // hour) * hour
        self.due = 0
        self.clock.set_timer("hour", dt.timedelta(hours=1), dt.datetime.fromtimestamp(first / 1e9, dt.UTC),
                             callback=self.on_hour)  # fmt: skip

    def on_hour(self, event: Any) -> None:
        self.due = 1 if event.ts_event // (60 * MINUTE) % 2 else -1

    def wanted(self, bar: Bar) -> int | None:
        return self.due


# Clean: vectorised.


@vector
def PastReturn() -> pl.Expr:
    return sign_of(CLOSE - CLOSE.shift(30))


@vector
def RollingAverage() -> pl.Expr:
    return sign_of(CLOSE - CLOSE.rolling_mean(100))


@vector
def RollingScore() -> pl.Expr:
    score = (CLOSE - CLOSE.rolling_mean(120)) / CLOSE.rolling_std(120)
    return pl.when(score.abs() > 2).then(-sign_of(score))


@vector
def Expanding() -> pl.Expr:
    """Against the highest and lowest of the day so far."""
    high, low = pl.col("high").cum_max().over(day()), pl.col("low").cum_min().over(day())
    return sign_of(CLOSE - (high + low) / 2)


@vector
def YesterdaysHigh() -> pl.Expr:
    """Above the high of the 1,440 bars before this one."""
    return (pl.col("high").rolling_max(1440).shift(1) < CLOSE).cast(pl.Int8)


@vector
def Exponential() -> pl.Expr:
    return sign_of(CLOSE.ewm_mean(span=12, adjust=False) - CLOSE.ewm_mean(span=26, adjust=False))


@vector
def VolumeSurge() -> pl.Expr:
    return (pl.col("volume") > 2 * pl.col("volume").rolling_median(60)).cast(pl.Int8)


@vector
def ForwardFilled() -> pl.Expr:
    """The sign of the last bar that moved by more than a thousandth."""
    move = CLOSE / CLOSE.shift(1) - 1
    return sign_of(pl.when(move.abs() > 0.001).then(move).forward_fill())


CLEAN = (
    "AboveAverage", "WeightedCross", "OutsideBands", "Oversold", "CalmOnly", "HourOfDay", "Inside", "SeededCoin",
    "RestingLimits", "StopAtFill", "Timer", "PastReturn", "RollingAverage", "RollingScore", "Expanding",
    "YesterdaysHigh", "Exponential", "VolumeSurge", "ForwardFilled",
)  # fmt: skip


# They look ahead.


@vector
def NegativeShift() -> pl.Expr:
    return sign_of(CLOSE.shift(-1) - CLOSE)


@vector
def FarNegativeShift() -> pl.Expr:
    return sign_of(CLOSE.shift(-60) - CLOSE)


@vector
def CentredWindow() -> pl.Expr:
    return sign_of(CLOSE - CLOSE.rolling_mean(21, center=True))


@vector
def DaysHighAtItsOpen() -> pl.Expr:
    """Long from the day's first bar on where the day's high will be one per cent above it."""
    high, opened = pl.col("high").max().over(day()), pl.col("open").first().over(day())
    return (high > opened * 1.01).cast(pl.Int8)


@vector
def WholeSample() -> pl.Expr:
    score = (CLOSE - CLOSE.mean()) / CLOSE.std()
    return pl.when(score.abs() > 1).then(-sign_of(score)).otherwise(0)


@vector
def WholeSampleQuantile() -> pl.Expr:
    """A threshold 'trained' on everything: volume among the top twentieth."""
    pressure = pl.col("volume") * CLOSE.pct_change().abs()
    return (pressure > pressure.quantile(0.95)).cast(pl.Int8)


@vector
def BackwardFilled() -> pl.Expr:
    """The sign of the next bar that moves by more than a thousandth."""
    move = CLOSE / CLOSE.shift(1) - 1
    return sign_of(pl.when(move.abs() > 0.001).then(move).backward_fill())


@vector
def HourJoinedToItsMinutes() -> pl.Expr:
    """The hour's close, known to all its minutes: what a careless resample and join make."""
    return sign_of(CLOSE.last().over(pl.col("open_time").dt.truncate("1h")) - CLOSE)


@vector
def BestMinuteOfTheDay() -> pl.Expr:
    return (pl.col("low") == pl.col("low").min().over(day())).cast(pl.Int8)


@vector
def ShareOfTheSample() -> pl.Expr:
    """Turns at every tenth of the sample, whose length nobody knows before it ends."""
    return (pl.int_range(pl.len()) * 10 // pl.len() % 2).cast(pl.Int8)


class LoadsTheFuture(Vector):
    """Asks for the klines by itself, up to the end of the range."""

    def table(self) -> pl.DataFrame:
        first, last = self.own.history["open_time"][0], self.own.history["open_time"][-1]
        end = last + dt.timedelta(minutes=1)
        return load_klines("BTCUSDT", "1m", first.isoformat(), end.isoformat(), demo=True, offline=True).floats()

    @staticmethod
    def signal() -> pl.Expr:
        return sign_of(CLOSE.shift(-5) - CLOSE)


class LimitAtTheNextLow(Vector):
    """Buys each tenth minute at the low of the bar to come, and leaves five minutes later, knowing nothing."""

    @staticmethod
    def signal() -> pl.Expr:
        return pl.col("low").shift(-1)

    def on_bar(self, bar: Bar) -> None:
        minute, low = bar.ts_event // MINUTE % 10, self.targets[bar.ts_event]
        instrument = self.own.instrument_id
        if minute == 0 and low and self.portfolio.is_net_flat(instrument):
            price = self.cache.instrument(instrument).next_bid_price(low)
            if quantity := self.own.sizer.quantity(bar.close):
                self.submit_order(self.order_factory.limit(instrument, OrderSide.BUY, quantity, price))
        if minute == 5:
            self.cancel_all_orders(instrument)
            self.close_all_positions(instrument)


PEEKING = (
    "NegativeShift", "FarNegativeShift", "CentredWindow", "DaysHighAtItsOpen", "WholeSample", "WholeSampleQuantile",
    "BackwardFilled", "HourJoinedToItsMinutes", "BestMinuteOfTheDay", "LoadsTheFuture",
    "ShareOfTheSample", "LimitAtTheNextLow",
)  # fmt: skip


# Not the same twice, or from another start.


class Coin(Target):
    """A coin nobody seeded."""

    def wanted(self, bar: Bar) -> int | None:
        return random.choice((None, None, 0, 1))


class SetOrder(Target):
    """Depends on the order of a set of texts, which differs from process to process."""

    def wanted(self, bar: Bar) -> int | None:
        # Of 26 letters, so that two processes hardly ever agree by chance.
        letters = list(set(ascii_lowercase))
        return 1 if letters[bar.ts_event // MINUTE % len(letters)] < "n" else 0


class FirstOfASet(Target):
    """Depends on which of two texts comes first in a set: two processes agree half of the time."""

    def wanted(self, bar: Bar) -> int | None:
        minute = bar.ts_event // MINUTE // 30 % 2
        return minute if next(iter({"long", "short"})) == "long" else 1 - minute


class CountsFromTheStart(Target):
    """Turns each hundred bars, counted from wherever the range starts."""

    def prepare(self) -> None:
        self.number = 0

    def wanted(self, bar: Bar) -> int | None:
        self.number += 1
        return self.number // 100 % 2


class AlwaysInByCount(Target):
    """Turns from long to short and back each hundred bars, counted from wherever the range starts; never flat."""

    def prepare(self) -> None:
        self.number = 0

    def on_bar(self, bar: Bar) -> None:
        self.number += 1
        if self.number % 100 == 1 and (quantity := self.own.sizer.quantity(bar.close)):
            side = OrderSide.BUY if self.number // 100 % 2 else OrderSide.SELL
            self.close_all_positions(self.own.instrument_id)
            self.submit_order(self.order_factory.market(self.own.instrument_id, side, quantity))


class BuyAndHold(Target):
    def wanted(self, bar: Bar) -> int | None:
        return 1


class Idle(Target):
    def wanted(self, bar: Bar) -> int | None:
        return None
