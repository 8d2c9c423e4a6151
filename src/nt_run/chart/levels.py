"""Level of detail: what a screen a few thousand pixels wide needs of half a million bars. Pure numpy.

Bars are addressed by row; `slots` are their places on the time axis, counted in intervals from the first bar, so that
a hole keeps its width.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nt_run.intervals import INTERVALS

type Floats = npt.NDArray[np.float64]
type Ints = npt.NDArray[np.int64]
type Flags = npt.NDArray[np.bool_]

MIN_CANDLE_PX = 3.0
"""Narrower than this a candle is a smear: the next coarser level is drawn."""
BLOCK = 512
"""Rows per block of the range minimum: about the square root of the half million rows of a year of minutes."""

_DAY = INTERVALS["1d"]
_WEEK = 7 * _DAY
_MONDAY = 4 * _DAY
"""1970-01-05 was the first Monday."""
SPANS: dict[str, int] = {
    **{name: ms for name, ms in INTERVALS.items() if name not in {"6h", "12h", "1M"}},
    "4w": 4 * _WEEK,
    "12w": 12 * _WEEK,
}
"""Lengths of coarser candles by name, in milliseconds."""


@dataclass(frozen=True, slots=True)
class Level:
    """Candles of one length.

    `first` and `last` are the rows a candle is made of, both inclusive; `factor` is its length in intervals.
    """

    name: str
    factor: int
    first: Ints
    last: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def place(self, row: int) -> int:
        """Return the place of the candle the bar in a row belongs to."""
        return int(np.searchsorted(self.first, row, side="right")) - 1


class Pyramid:
    """Candles of every useful length, aligned to the clock (weeks to Mondays), each built when first asked for.

    Args:
        open_ms: Open times, strictly increasing, milliseconds, shape (n,).
        ohlcv: Open, high, low, close and volume, shape (n,) each.
        interval: Name and length in milliseconds of the bars themselves.
    """

    def __init__(self, open_ms: Ints, ohlcv: tuple[Floats, Floats, Floats, Floats, Floats], interval: str) -> None:
        self._times = open_ms
        self._ohlcv = ohlcv
        base = INTERVALS[interval]
        self._names = {1: interval} | {ms // base: name for name, ms in SPANS.items() if ms > base and ms % base == 0}
        self._base = base
        self._factors = np.array(sorted(self._names), dtype=np.int64)
        self._levels: dict[int, Level] = {}

    def level(self, factor: int) -> Level:
        """Return the candles that are `factor` intervals long.

        Raises:
            KeyError: There is no such level.
        """
        if factor not in self._levels:
            self._levels[factor] = self._build(factor)
        return self._levels[factor]

    def pick(self, visible: float, width_px: float) -> int:
        """Return the smallest factor that gives a candle `MIN_CANDLE_PX` when `visible` slots fill `width_px`."""
        need = visible * MIN_CANDLE_PX / max(width_px, 1.0)
        place = int(np.searchsorted(self._factors, need - 1e-9))
        return int(self._factors[min(place, len(self._factors) - 1)])

    def _build(self, factor: int) -> Level:
        opens, highs, lows, closes, volumes = self._ohlcv
        name = self._names[factor]
        rows = np.arange(len(self._times), dtype=np.int64)
        if factor == 1 or not len(rows):
            return Level(name, factor, rows, rows, opens, highs, lows, closes, volumes)
        span = factor * self._base
        group = (self._times - (_MONDAY if span % _WEEK == 0 else 0)) // span
        first = np.flatnonzero(np.r_[True, group[1:] != group[:-1]]).astype(np.int64)
        last = np.r_[first[1:], len(rows)] - 1
        return Level(
            name,
            factor,
            first,
            last,
            opens[first],
            np.maximum.reduceat(highs, first),
            np.minimum.reduceat(lows, first),
            closes[last],
            np.add.reduceat(volumes, first),
        )


class Extremes:
    """Smallest and largest value of any range of rows in O(√n); NaN are skipped."""

    def __init__(self, lows: Floats, highs: Floats) -> None:
        self._lows, self._highs = lows, highs
        starts = np.arange(0, len(lows), BLOCK)
        self._block_lows = np.fmin.reduceat(lows, starts) if len(lows) else lows
        self._block_highs = np.fmax.reduceat(highs, starts) if len(highs) else highs

    def of(self, start: int, stop: int) -> tuple[float, float]:
        """Return (lowest, highest) of rows `[start, stop)`; NaN when there is nothing but NaN."""
        if start >= stop:
            return float("nan"), float("nan")
        first, last = -(-start // BLOCK), stop // BLOCK
        if last <= first:
            return float(np.fmin.reduce(self._lows[start:stop])), float(np.fmax.reduce(self._highs[start:stop]))
        edges = [slice(start, first * BLOCK), slice(last * BLOCK, stop)]
        lows = np.concatenate([self._block_lows[first:last], *(self._lows[edge] for edge in edges)])
        highs = np.concatenate([self._block_highs[first:last], *(self._highs[edge] for edge in edges)])
        return float(np.fmin.reduce(lows)), float(np.fmax.reduce(highs))


def envelope(values: Floats, start: int, stop: int, size: int) -> Ints:
    """Return the rows of `[start, stop)` that draw the same picture: per bin of `size` rows its extremes, in order.

    The first and the last row are always among them, and so are the smallest and the largest value. Bins are counted
    from row 0, so that panning does not make the curve flicker. NaN never win.
    """
    if size <= 1 or stop - start <= 2 * size:
        return np.arange(start, stop, dtype=np.int64)
    inner_start, inner_stop = -(-start // size) * size, stop // size * size
    table = values[inner_start:inner_stop].reshape(-1, size)
    offsets = inner_start + size * np.arange(len(table), dtype=np.int64)
    low = offsets + np.where(np.isnan(table), np.inf, table).argmin(axis=1)
    high = offsets + np.where(np.isnan(table), -np.inf, table).argmax(axis=1)
    picked = np.stack([np.minimum(low, high), np.maximum(low, high)], axis=1).ravel()
    head, tail = np.arange(start, inner_start), np.arange(inner_stop, stop)
    edges = np.array([start, stop - 1])
    return np.unique(np.concatenate([edges, head, picked, tail])).astype(np.int64)
