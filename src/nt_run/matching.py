"""The bars orders are matched on: those of the run, some of them replaced by finer ones. Pure."""

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from nt_run.klines import PRICES, Klines, bar_numbers, bar_openings
from nt_run.model import MS, TimeRange


@dataclass(frozen=True, slots=True)
class MatchBars:
    """Bars in time order, one row each; prices are integers scaled by 10^exponent, times UTC ms."""

    opened: NDArray[np.int64]
    closed: NDArray[np.int64]
    open: NDArray[np.int64]
    high: NDArray[np.int64]
    low: NDArray[np.int64]
    close: NDArray[np.int64]
    exponent: int
    ends: NDArray[np.bool_] | None = None
    """Which of them end a bar of the run, where the strategy can act; `None` if all do."""

    def __len__(self) -> int:
        return len(self.opened)

    def price(self, column: str, row: int) -> Decimal:
        """Return one price of a bar, exact."""
        return Decimal(int(getattr(self, column)[row])).scaleb(-self.exponent)

    def ending_at(self, time_ns: int) -> int | None:
        """Return the row of the bar that ends at a time, `None` if none does."""
        row = int(np.searchsorted(self.closed, -(-time_ns // MS)))
        return row if row < len(self) and int(self.closed[row]) * MS == time_ns else None


@dataclass(frozen=True, slots=True)
class MarkExtremes:
    """Lowest and highest mark price of some bars: `open_time`, `low` and `high`, scaled by 10^`exponent`."""

    frame: pl.DataFrame
    exponent: int

    def at(
        self, opened: NDArray[np.int64], exponent: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return which of the bars that opened at some times (ms) are known, and their lows and highs at `exponent`."""
        starts = self.frame["open_time"].dt.epoch("ms").to_numpy()
        if not len(starts):
            rows = at = np.zeros(0, dtype=np.int64)
        else:
            near = np.minimum(np.searchsorted(starts, opened), len(starts) - 1)
            rows = np.flatnonzero(starts[near] == opened)
            at = near[rows]
        scale = 10 ** (exponent - self.exponent)
        return rows, self.frame["low"].to_numpy()[at] * scale, self.frame["high"].to_numpy()[at] * scale


def mark_extremes(marks: Klines | None, opened: NDArray[np.int64]) -> MarkExtremes | None:
    """Return the extremes of the mark klines that open at some times (ms); `None` without any mark klines."""
    if marks is None:
        return None
    rows = pl.Series(is_among(marks.open_times(), opened))
    return MarkExtremes(marks.frame.filter(rows).select("open_time", "low", "high"), marks.exponents.price)


def is_among(times: NDArray[np.int64], known: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which of some times are among the known ones, which are in order: `np.isin` would sort them once more."""
    if not len(known):
        return np.zeros(len(times), dtype=np.bool_)
    return known[np.minimum(np.searchsorted(known, times), len(known) - 1)] == times


def match_bars(klines: Klines, fine: Klines | None = None) -> MatchBars:
    """Return the bars of `klines`, with those of `fine` in the place of the bars they make up."""
    if fine is None:
        opened, high, low, close = (klines.frame[name].to_numpy() for name in PRICES)
        return MatchBars(klines.open_times(), klines.close_times(), opened, high, low, close, klines.exponents.price)
    kept = klines.frame.filter(pl.Series(~replaced(klines, fine)))
    parts = (Klines(klines.symbol, klines.interval, klines.exponents, kept), fine)
    exponent = max(part.exponents.price for part in parts)
    scales = [10 ** (exponent - part.exponents.price) for part in parts]

    starts = np.concatenate([part.open_times() for part in parts])
    order = np.argsort(starts)

    def joined(name: str) -> NDArray[np.int64]:
        scaled = [part.frame[name].to_numpy() * scale for part, scale in zip(parts, scales, strict=True)]
        return np.concatenate(scaled)[order]

    ends = np.concatenate([part.close_times() for part in parts])
    opened, high, low, close = (joined(name) for name in PRICES)
    last = is_among(ends[order], klines.close_times())
    return MatchBars(starts[order], ends[order], opened, high, low, close, exponent, last)


def replaced(klines: Klines, fine: Klines) -> NDArray[np.bool_]:
    """Return for each row of `klines` whether bars of `fine` stand in its place."""
    places = bar_openings(klines.interval, np.unique(bar_numbers(klines.interval, fine.open_times())))
    return is_among(klines.open_times(), places)


def disagreement(klines: Klines, fine: Klines, bar: TimeRange) -> str | None:
    """Return how the finer bars of one bar contradict it, in words; `None` if they make up exactly this bar."""
    parts = fine.within(bar)
    if (found := len(parts)) != (wanted := bar.bars(fine.interval)):
        return f"{found} of {wanted} bars are there"
    whole = klines.within(bar)
    opened, high, low, close = (parts.frame[name].to_numpy() for name in PRICES)
    for name, value in zip(PRICES, (opened[0], high.max(), low.min(), close[-1]), strict=True):
        ours, theirs = _decimal(whole, whole.frame[name].to_numpy()[0]), _decimal(parts, value)
        if ours != theirs:
            return f"{name} is {theirs:f} instead of {ours:f}"
    return None


def _decimal(klines: Klines, value: int) -> Decimal:
    return Decimal(int(value)).scaleb(-klines.exponents.price)
