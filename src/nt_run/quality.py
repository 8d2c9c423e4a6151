"""Checks of klines: oddities, the tick they move in, two sources side by side. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from nt_run.errors import UsageError
from nt_run.klines import OPTIONAL, PRICES, SCHEMA, Klines, bar_numbers, bar_openings
from nt_run.model import Interval
from nt_run.steps import divisor


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
    found = 0
    for name in PRICES:
        found = divisor(klines.frame[name].to_numpy(), found)
    return Decimal(found).scaleb(-klines.exponents.price)


def aggregate(klines: Klines, interval: Interval) -> Klines:
    """Return klines of a coarser interval; a bar that is not complete in the finer ones is left out.

    Raises:
        UsageError: `interval` is not a multiple of the klines' own.
    """
    if not interval.is_made_of(klines.interval):
        raise UsageError(f"Klines of {klines.interval} cannot be put together to {interval}.")
    if interval == klines.interval:
        return klines  # each is complete as it is, also a month of less than 31 days
    sums = ("volume", "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume")
    numbers = bar_numbers(interval, klines.open_times())
    opened, ended = bar_openings(interval, numbers), bar_openings(interval, numbers + 1)
    frame = (
        klines.frame.lazy()
        .with_columns(open_time=pl.Series(opened).cast(pl.Datetime("ms", "UTC")), ended=pl.Series(ended))
        .group_by("open_time", maintain_order=True)
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            *(pl.when(pl.col(name).null_count() == 0).then(pl.col(name).sum()) for name in sums),
            bars=pl.len(),
            length=pl.col("ended").first() - pl.col("open_time").first().dt.epoch("ms"),
        )
        .filter(pl.col("bars") == pl.col("length") // klines.interval.ms)
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
