"""The kline frame: schema, ingest invariants, gaps.

A kline is keyed by its open time. Prices and volumes are integers scaled by a power of ten taken from the source's
own text, so nothing is ever rounded; floats appear only where statistics begin.
"""

from dataclasses import dataclass
from typing import Literal

import polars as pl

from nt_run.model import Interval, TimeRange

PRICES = ("open", "high", "low", "close")
QUANTITIES = ("volume", "taker_buy_volume")
QUOTES = ("quote_volume", "taker_buy_quote_volume")

SCHEMA: dict[str, pl.DataType] = {
    "open_time": pl.Datetime("ms", "UTC"),
    "open": pl.Int64(),
    "high": pl.Int64(),
    "low": pl.Int64(),
    "close": pl.Int64(),
    "volume": pl.Int64(),
    "quote_volume": pl.Int64(),
    "trades": pl.Int64(),
    "taker_buy_volume": pl.Int64(),
    "taker_buy_quote_volume": pl.Int64(),
}
"""Columns in order. Prices scale by 10^price, base volumes by 10^quantity, quote volumes by 10^quote."""


@dataclass(frozen=True, slots=True)
class Exponents:
    """Decimals of the integer columns: BTCUSDT is (2, 3, 5) in the exchange's text."""

    price: int
    quantity: int
    quote: int

    def of(self, column: str) -> int:
        """Return the exponent of a column; 0 for `trades`."""
        if column in PRICES:
            return self.price
        if column in QUANTITIES:
            return self.quantity
        return self.quote if column in QUOTES else 0


@dataclass(frozen=True, slots=True)
class Klines:
    """Klines of one symbol and interval: `frame` has the columns of `SCHEMA`, strictly increasing in open time."""

    symbol: str
    interval: Interval
    exponents: Exponents
    frame: pl.DataFrame

    def __len__(self) -> int:
        return self.frame.height

    @property
    def range(self) -> TimeRange:
        """From the first open time to the last close, `[start, end)`."""
        times = self.frame["open_time"].dt.epoch("ms")
        return TimeRange(int(times[0]), int(times[-1]) + self.interval.ms)

    def floats(self) -> pl.DataFrame:
        """Return the frame with prices and volumes as floats (the shortest float of the exact decimal)."""
        columns = [
            (pl.col(name).cast(pl.Float64) / 10.0 ** self.exponents.of(name)).alias(name)
            if self.exponents.of(name)
            else pl.col(name)
            for name in SCHEMA
        ]
        return self.frame.select(columns)


GapStatus = Literal["unverified", "confirmed_absent"]


@dataclass(frozen=True, slots=True)
class Gap:
    """A hole: no kline opens in `range` although the grid has places for it."""

    range: TimeRange
    status: GapStatus = "unverified"


def find_gaps(klines: Klines, expected: TimeRange) -> list[Gap]:
    """Return the holes of `klines` inside `expected`, in time order."""
    step = klines.interval.ms
    first = -(-expected.start_ms // step) * step
    last = -(-expected.end_ms // step) * step
    times = klines.frame["open_time"].dt.epoch("ms")
    inside = times.filter((times >= first) & (times < last))
    edges = pl.concat([pl.Series([first - step]), inside, pl.Series([last])])
    jumps = pl.DataFrame({"from": edges[:-1] + step, "to": edges[1:]}).filter(pl.col("from") < pl.col("to"))
    return [Gap(TimeRange(start, end)) for start, end in jumps.iter_rows()]
