"""The time axis of a chart.

A place on it is a slot: whole intervals since the first bar opened, so that holes keep their width. An event belongs to
the bar that closes at or after it, as fills are stamped with the close of the bar that caused them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from nt_run.chart.levels import Pyramid
from nt_run.klines import bar_numbers
from nt_run.model import Interval

if TYPE_CHECKING:
    from nt_run.chart.levels import Floats, Ints


@dataclass(frozen=True, slots=True)
class Bars:
    """One row per bar; `slot` is its place on the time axis, of `slots` places in all."""

    interval: Interval
    open_ms: Ints
    slot: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    @property
    def slots(self) -> int:
        """How many places the time axis has: bars and holes."""
        return int(self.slot[-1]) + 1

    def pyramid(self) -> Pyramid:
        """Return the candles of every length that can be drawn of the bars; a volume that is not known is none."""
        ohlcv = (self.open, self.high, self.low, self.close, np.nan_to_num(self.volume))
        return Pyramid(self.open_ms, ohlcv, self.interval.name)

    def time_ms(self, slot: float) -> int:
        """Return when the bar at `slot` opens, in milliseconds; works for holes and beyond the ends too."""
        number = self.interval.number(int(self.open_ms[0])) + math.floor(slot)
        start = self.interval.opening(number)
        return start + round((slot - math.floor(slot)) * (self.interval.opening(number + 1) - start))

    def place(self, time_ms: int) -> float:
        """Return the slot of a time, as a fraction inside its bar."""
        start, end = self.interval.floor(time_ms), self.interval.end(time_ms)
        number = self.interval.number(time_ms) - self.interval.number(int(self.open_ms[0]))
        return number + (time_ms - start) / (end - start)

    def row(self, slot: float) -> int:
        """Return the row of the bar at `slot`, or of the nearest bar before it; the first row when there is none."""
        return max(int(np.searchsorted(self.slot, math.floor(slot), side="right")) - 1, 0)


def slots_of(times: pl.Series, bars: Bars) -> Ints:
    """Return the slot of each moment: that of the bar that closes at or after it, inside the axis."""
    time_ns = times.cast(pl.Datetime("ns", "UTC")).dt.epoch("ns").fill_null(0).to_numpy().astype(np.int64)
    # What happens at the end of a bar belongs to it, not to the next one.
    slot = bar_numbers(bars.interval, (time_ns - 1) // 1_000_000) - bars.interval.number(int(bars.open_ms[0]))
    return np.clip(slot, 0, bars.slots - 1)
