"""The kline frame: schema, exponents, gaps, and what is certified about the klines of a run.

A kline is keyed by its open time. Prices and volumes are integers scaled by a power of ten taken from the source's
own text, so nothing is ever rounded; floats appear only where statistics begin.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

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

OPTIONAL = ("quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume")
"""Columns that an imported file may lack: null there is unknown, never zero. The exchange's own rows have them all."""

DAY_MS = 86_400_000
_FEW = 32
_THREADS = 4
_NO_ROWS = pl.DataFrame(schema=SCHEMA)
_EPOCH_MONTH = 1970 * 12


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

    def widest(self, other: "Exponents") -> "Exponents":
        """Return the exponents that hold the values of both."""
        return Exponents(max(self.price, other.price), max(self.quantity, other.quantity), max(self.quote, other.quote))


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
        times = self.open_times()
        return TimeRange(int(times[0]), self.interval.end(int(times[-1])))

    def open_times(self) -> NDArray[np.int64]:
        """Return the open times in milliseconds."""
        return self.frame["open_time"].to_numpy().view(np.int64)

    def close_times(self) -> NDArray[np.int64]:
        """Return when each bar ends, in milliseconds: when the next one opens, if there is no hole."""
        if self.interval.is_month:
            return bar_openings(self.interval, bar_numbers(self.interval, self.open_times()) + 1)
        return self.open_times() + self.interval.ms

    def within(self, time_range: TimeRange) -> "Klines":
        """Return the klines that open in `time_range`."""
        first, last = np.searchsorted(self.open_times(), (time_range.start_ms, time_range.end_ms))
        return Klines(self.symbol, self.interval, self.exponents, self.frame[int(first) : int(last)])

    def column(self, name: str) -> NDArray[Any]:
        """Return one column as floats (the shortest float of the exact decimal); `trades` stays whole.

        What is unknown is NaN.

        In numpy, because polars divides by multiplying with the reciprocal, which is off by one digit now and then.
        """
        scaled = self.frame[name].to_numpy()
        return scaled if name == "trades" else scaled / 10.0 ** self.exponents.of(name)

    def floats(self) -> pl.DataFrame:
        """Return the frame with prices and volumes as floats, as `column` makes them."""
        scaled = (*PRICES, *QUANTITIES, *QUOTES)
        # One piece of memory, touched for the first time by the threads that fill it.
        values = np.empty((len(scaled), len(self)))

        def divide(at: int) -> None:
            ints = self.frame[scaled[at]].to_numpy()
            np.divide(ints, 10.0 ** self.exponents.of(scaled[at]), out=values[at])

        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(divide, range(len(scaled))))
        floats: dict[str, NDArray[np.float64]] = dict(zip(scaled, values, strict=True))
        if self.frame["trades"].null_count():
            floats["trades"] = self.frame["trades"].to_numpy()
        return pl.DataFrame([pl.Series(name, floats[name]) if name in floats else self.frame[name] for name in SCHEMA])


def bar_numbers(interval: Interval, times_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers of the bars that are open at some times; see `Interval.number`."""
    if interval.is_month:
        return times_ms.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64) + _EPOCH_MONTH
    return (times_ms - interval.offset_ms) // interval.ms


def bar_openings(interval: Interval, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return when the bars of some numbers open, in milliseconds."""
    if interval.is_month:
        return (numbers - _EPOCH_MONTH).astype("datetime64[M]").astype("datetime64[ms]").astype(np.int64)
    return numbers * interval.ms + interval.offset_ms


def no_klines(symbol: str, interval: Interval) -> Klines:
    """Return klines without a row, the neutral element of `merge_klines`."""
    return Klines(symbol, interval, Exponents(0, 0, 0), _NO_ROWS)


GapStatus = Literal["unverified", "confirmed_absent"]


@dataclass(frozen=True, slots=True)
class Gap:
    """A hole: no kline opens in `range` although the grid has places for it."""

    range: TimeRange
    status: GapStatus = "unverified"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataCertificate:
    """What a run can say about the klines it was given.

    `sources` maps a kind of source to its share of the rows (fractions, together 1). `fingerprint` is the sha256 over
    (day, content hash) of the range. `zero_volume_runs` are ranges in which nothing traded.
    """

    sources: Mapping[str, float]
    fingerprint: str
    expected: int
    loaded: int
    gaps: Sequence[Gap]
    zero_volume_runs: Sequence[TimeRange]

    @property
    def completeness(self) -> float:
        """Share of the expected bars that are there, 0 to 1."""
        return self.loaded / self.expected if self.expected else 1.0


def find_gaps(klines: Klines, expected: TimeRange) -> list[Gap]:
    """Return the holes of `klines` inside `expected`, in time order."""
    interval = klines.interval
    first, last = (interval.number(interval.ceil(edge)) for edge in (expected.start_ms, expected.end_ms))
    numbers = bar_numbers(interval, klines.within(expected).open_times())
    edges = np.concatenate([[first - 1], numbers, [last]])
    holes = np.flatnonzero(np.diff(edges) > 1)
    return [Gap(TimeRange(interval.opening(int(edges[at]) + 1), interval.opening(int(edges[at + 1])))) for at in holes]


def tight_exponents(klines: Klines) -> Exponents:
    """Return `tight_decimals` of all columns; what is unknown needs none."""
    columns = {name: klines.frame[name] for name in (*PRICES, *QUANTITIES, *QUOTES)}
    known = {name: each.fill_null(0) if each.null_count() else each for name, each in columns.items()}
    columns = {name: each.to_numpy() for name, each in known.items()}
    return tight_decimals(columns, klines.exponents)


def tightened(klines: Klines) -> Klines:
    """Return the same values at the fewest decimals that hold them."""
    tight = tight_exponents(klines)
    spare = {name: klines.exponents.of(name) - tight.of(name) for name in SCHEMA}
    divided = [pl.col(name) // 10**digits for name, digits in spare.items() if digits]
    return Klines(klines.symbol, klines.interval, tight, klines.frame.with_columns(divided)) if divided else klines


def tight_decimals(columns: Mapping[str, NDArray[np.int64]], own: Exponents) -> Exponents:
    """Return the fewest decimals that hold every value: BTCUSDT's text has 2, its prices of 2025 need 1.

    Args:
        columns: Values by the names of `SCHEMA`.
        own: The decimals they are scaled by.
    """

    def needed(names: tuple[str, ...], exponent: int) -> int:
        for drop in range(1, exponent + 1):
            # Nearly always one of the first values says no; only if none does are all of them worth the division.
            if any(np.any(columns[name][:_FEW] % 10**drop) for name in names) or any(
                np.any(columns[name] % 10**drop) for name in names
            ):
                return exponent - drop + 1
        return 0

    return Exponents(needed(PRICES, own.price), needed(QUANTITIES, own.quantity), needed(QUOTES, own.quote))


def find_zero_volume_runs(klines: Klines) -> list[TimeRange]:
    """Return the ranges of consecutive bars in which nothing traded: outages, or a contract nobody wants."""
    still = klines.open_times()[klines.frame["volume"].to_numpy() == 0]
    if not len(still):
        return []
    interval = klines.interval
    breaks = np.flatnonzero(np.diff(bar_numbers(interval, still)) != 1)
    firsts = still[np.concatenate([[0], breaks + 1])]
    lasts = still[np.concatenate([breaks, [len(still) - 1]])]
    return [TimeRange(int(first), interval.end(int(last))) for first, last in zip(firsts, lasts, strict=True)]
