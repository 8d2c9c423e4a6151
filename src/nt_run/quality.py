"""Checks of klines: oddities, prices off the tick, two sources side by side. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import polars as pl

from nt_run.errors import UsageError
from nt_run.klines import DAY_MS, OPTIONAL, PRICES, SCHEMA, Klines
from nt_run.model import Interval


def count_oddities(klines: Klines) -> dict[str, int]:
    """Return how many rows look odd though the exchange does send such rows; rules that no row breaks are left out.

    `trades_without_volume`: trades are counted and nothing was traded. `price_outside_range`: quote volume ÷ volume,
    the average price, is not between low and high. The limits allow for one unit in the last place of quote volume.
    `partly_unknown`: an imported row without quote volume, number of trades or taker volumes.
    """
    own = klines.exponents
    scale = 10.0 ** (own.price + own.quantity - own.quote)
    quote = pl.col("quote_volume") * scale
    slack = scale + quote * 1e-12  # one unit in the last place, and the error of the float product
    volume = pl.col("volume").cast(pl.Float64)
    low, high = pl.col("low") * volume, pl.col("high") * volume
    counts = klines.frame.select(
        trades_without_volume=((pl.col("volume") == 0) & (pl.col("trades") != 0)).sum(),
        price_outside_range=((pl.col("volume") > 0) & ((quote < low - slack) | (quote > high + slack))).sum(),
        partly_unknown=pl.any_horizontal(pl.col(OPTIONAL).is_null()).sum(),
    ).row(0, named=True)
    return {name: int(count) for name, count in counts.items() if count}


def observed_tick(klines: Klines) -> Decimal:
    """Return the greatest common divisor of all prices: the coarsest tick size the data can have moved in.

    One price off the tick, such as a print of an order older than the tick size, makes it finer.
    """
    divisor = 0
    for name in PRICES:
        values = klines.frame[name].to_numpy()
        while len(values):
            divisor = int(np.gcd.reduce(np.append(values[:64], divisor)))
            values = values[values % divisor != 0]
    return Decimal(divisor).scaleb(-klines.exponents.price)


@dataclass(frozen=True, slots=True, kw_only=True)
class OffTick:
    """Rows of one UTC day with a price that is no multiple of the tick size."""

    day_ms: int
    first_ms: int
    """Open time of the first such row."""
    off: int
    rows: int


def find_off_tick(klines: Klines, tick_size: Decimal) -> list[OffTick]:
    """Return the days with prices off the tick, in time order.

    This finds rows of another market in a file without a second source, where that market moves in finer steps: spot
    BTCUSDT moves in 0.01 and the perpetual in 0.10, so nine of ten spot prices are off. It cannot find them where both
    move alike, nor the one spot row in ten thousand whose four prices happen to be on the tick. Prices from before a
    change of tick size are off too and are right: many days in a row at the beginning of a range say so.
    """
    digits = max(0, -int(tick_size.normalize().as_tuple().exponent) - klines.exponents.price)
    step = int(tick_size.scaleb(klines.exponents.price + digits))
    off = pl.any_horizontal(pl.col(name) * 10**digits % step != 0 for name in PRICES)
    opened = pl.col("open_time").dt.epoch("ms")
    days = (
        klines.frame.lazy()
        .select(opened=opened, day=opened // DAY_MS * DAY_MS, off=off)
        .group_by("day", maintain_order=True)
        .agg(pl.col("opened").filter("off").first(), pl.col("off").sum(), rows=pl.len())
        .filter(pl.col("off") > 0)
        .collect()
    )
    return [
        OffTick(day_ms=day, first_ms=first, off=count, rows=rows)
        for day, first, count, rows in days.select("day", "opened", "off", "rows").iter_rows()
    ]


def aggregate(klines: Klines, interval: Interval) -> Klines:
    """Return klines of a coarser interval; a bar that is not complete in the finer ones is left out.

    Raises:
        UsageError: `interval` is not a multiple of the klines' own.
    """
    if interval.ms % klines.interval.ms:
        raise UsageError(f"Klines of {klines.interval} cannot be put together to {interval}.")
    sums = ("volume", "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume")
    frame = (
        klines.frame.lazy()
        .group_by(pl.col("open_time").dt.truncate(f"{interval.ms}ms"), maintain_order=True)
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            *(pl.when(pl.col(name).null_count() == 0).then(pl.col(name).sum()) for name in sums),
            bars=pl.len(),
        )
        .filter(pl.col("bars") == interval.ms // klines.interval.ms)
        .select(list(SCHEMA))
        .collect()
    )
    return Klines(klines.symbol, interval, klines.exponents, frame)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How two sources of the same klines agree.

    `disagreeing` maps the open time (ms) of a bar to the columns in which the sources differ, in time order.
    """

    interval: Interval
    compared: int
    disagreeing: Mapping[int, Sequence[str]]


def compare_klines(one: Klines, other: Klines, *, volume_tolerance: float = 0.0) -> Comparison:
    """Compare two sources bar by bar, the finer one put together to the interval of the coarser.

    Prices are compared exactly, volume within a relative tolerance. This finds rows of another market and rows that
    were corrected later. It cannot say which of the two sources is wrong, it tells the time of a wrong bar only as
    precisely as the coarser interval, and it compares only bars that both have and the finer one has completely.
    """
    interval = max(one.interval, other.interval, key=lambda each: each.ms)
    columns = (*PRICES, "volume")
    both = one.exponents.widest(other.exponents)
    left, right = (
        aggregate(each, interval).frame.select(
            "open_time", *(pl.col(name) * 10 ** (both.of(name) - each.exponents.of(name)) for name in columns)
        )
        for each in (one, other)
    )
    joined = left.join(right, on="open_time", suffix="_other", maintain_order="left")
    allowed = pl.max_horizontal("volume", "volume_other").cast(pl.Float64) * volume_tolerance
    differs = joined.select(
        pl.col("open_time").dt.epoch("ms"),
        *(pl.col(name) != pl.col(f"{name}_other") for name in PRICES),
        (pl.col("volume") - pl.col("volume_other")).abs().cast(pl.Float64).gt(allowed).alias("volume"),
    ).filter(pl.any_horizontal(columns))
    return Comparison(
        interval=interval,
        compared=joined.height,
        disagreeing={
            int(row["open_time"]): tuple(name for name in columns if row[name]) for row in differs.iter_rows(named=True)
        },
    )
