"""Candles as integer columns: aggregation, the candle still open; and what a market has to offer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, Self

import numpy as np

from nt_run.demo.noise import Ints
from nt_run.demo.text import CSV_MARKS, JSON_MARKS, Rows, write_rows
from nt_run.klines import bar_numbers, bar_openings
from nt_run.model import FundingRate, Interval

Kind = Literal["klines", "markPriceKlines"]
"""Last-price klines and mark-price klines, by the name the exchange uses in both protocols."""

_COLUMNS = (
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "quote_volume",
    "trades",
    "taker_volume",
    "taker_quote_volume",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candles:
    """Klines of one length in columns of equal size, by ascending open time.

    Prices are scaled by 10^decimals[0], base volumes by 10^decimals[1], quote volumes by 10^decimals[2].
    """

    interval: Interval
    decimals: tuple[int, int, int]
    open_time: Ints
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: Ints
    quote_volume: Ints
    trades: Ints
    taker_volume: Ints
    taker_quote_volume: Ints

    def __len__(self) -> int:
        return len(self.open_time)

    def between(self, start_ms: int, end_ms: int) -> Self:
        """Return the candles that open in `[start_ms, end_ms)`."""
        first, last = np.searchsorted(self.open_time, (start_ms, max(start_ms, end_ms)))
        return _mapped(self, lambda column: column[first:last])

    def aggregate(self, interval: Interval) -> Self:
        """Return candles of an interval that is made of the present one; only what is there is aggregated."""
        if interval == self.interval or not len(self):
            return replace(self, interval=interval)
        slots = bar_numbers(interval, self.open_time)
        starts = np.flatnonzero(np.diff(slots, prepend=slots[0] - 1))
        ends = np.append(starts[1:], len(slots)) - 1
        return replace(
            self,
            interval=interval,
            open_time=bar_openings(interval, slots[starts]),
            open=self.open[starts],
            high=np.maximum.reduceat(self.high, starts),
            low=np.minimum.reduceat(self.low, starts),
            close=self.close[ends],
            volume=np.add.reduceat(self.volume, starts),
            quote_volume=np.add.reduceat(self.quote_volume, starts),
            trades=np.add.reduceat(self.trades, starts),
            taker_volume=np.add.reduceat(self.taker_volume, starts),
            taker_quote_volume=np.add.reduceat(self.taker_quote_volume, starts),
        )

    def as_of(self, now_ms: int) -> Self:
        """Return what could be seen at `now_ms`: a candle still open has traded at its opening price only."""
        seen = self.between(0, now_ms)
        if not len(seen) or self.interval.end(int(seen.open_time[-1])) <= now_ms:
            return seen
        seen = _mapped(seen, np.copy)
        opened = int(seen.open_time[-1])
        elapsed, length = now_ms - opened, self.interval.end(opened) - opened
        for column in (seen.high, seen.low, seen.close):
            column[-1] = seen.open[-1]
        for column in (seen.volume, seen.taker_volume, seen.trades):
            column[-1] = column[-1] * elapsed // length
        seen.quote_volume[-1] = self._quote(int(seen.volume[-1]), int(seen.open[-1]))
        seen.taker_quote_volume[-1] = self._quote(int(seen.taker_volume[-1]), int(seen.open[-1]))
        return seen

    def _quote(self, volume: int, price: int) -> int:
        """Return a volume at a price in the scale of quote volumes; digits beyond it are dropped."""
        exponents = self.decimals
        return volume * price * 10 ** exponents[2] // 10 ** (exponents[0] + exponents[1])

    def json_rows(self) -> Rows:
        """Return the rows as the REST protocol writes them, each followed by a comma."""
        return self._rows(JSON_MARKS)

    def csv_rows(self) -> Rows:
        """Return the rows as the archive writes them, each followed by a line break."""
        return self._rows(CSV_MARKS)

    def _rows(self, marks: Sequence[bytes]) -> Rows:
        price, quantity, quote = self.decimals
        columns = (
            (self.open_time, 0),
            (self.open, price),
            (self.high, price),
            (self.low, price),
            (self.close, price),
            (self.volume, quantity),
            (bar_openings(self.interval, bar_numbers(self.interval, self.open_time) + 1) - 1, 0),
            (self.quote_volume, quote),
            (self.trades, 0),
            (self.taker_volume, quantity),
            (self.taker_quote_volume, quote),
        )
        return write_rows(self.open_time, columns, marks)


def _mapped[Frame: Candles](candles: Frame, change: Callable[[Ints], Ints]) -> Frame:
    return replace(candles, **{name: change(getattr(candles, name)) for name in _COLUMNS})


class Market(Protocol):
    """What the exchange serves for one symbol, whether synthetic or recorded."""

    @property
    def symbol(self) -> str:
        """The exchange's name of the contract."""
        ...

    @property
    def interval(self) -> Interval:
        """The shortest candles there are."""
        ...

    @property
    def start_ms(self) -> int:
        """Open time of the first candle."""
        ...

    @property
    def now_ms(self) -> int:
        """The moment the market is seen at, unless the exchange is given another clock."""
        ...

    @property
    def funding_hours(self) -> int:
        """Hours between two settlements."""
        ...

    def candles(self, kind: Kind, start_ms: int, end_ms: int) -> Candles:
        """Return the shortest candles that open in `[start_ms, end_ms)`, complete ones, whatever the clock says."""
        ...

    def funding(self, start_ms: int, end_ms: int) -> Sequence[FundingRate]:
        """Return the settlements whose raw time lies in `[start_ms, end_ms)`, ascending."""
        ...
