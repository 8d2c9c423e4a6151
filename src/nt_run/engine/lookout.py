"""Which bars can liquidate a position: found for many at once, so that the others need not be looked at one by one.

Between two fills and two settlements the liquidation price stands still, and whether one of the bars in between crosses
it is one comparison of arrays. A look at each bar as the engine delivers it costs more than the engine itself.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np

from nt_run.liquidation import Extremes
from nt_run.model import MS

MOST_ROWS = 512
"""Bars searched at a time: a position seldom lives longer, and one comparison of so many costs a few microseconds."""


class Lookout:
    """Searches the bars that orders are matched on, in stretches without a settlement.

    A stretch begins at the first bar that ends at a settlement of `due_ns` or after it, and has at most `MOST_ROWS`.
    """

    def __init__(self, extremes: Extremes, due_ns: Sequence[int]) -> None:
        self._low, self._high = extremes.low, extremes.high
        self._ends = extremes.closed * MS
        settled = np.searchsorted(self._ends, np.asarray(due_ns, dtype=np.int64))
        starts = np.union1d(settled, np.arange(0, len(self._ends), MOST_ROWS))
        self._starts: list[int] = starts[starts < len(self._ends)].tolist()

    def __len__(self) -> int:
        return len(self._ends)

    def row(self, time_ns: int) -> int:
        """Return the bar that a time belongs to: the first that ends at it or after it."""
        return bisect_left(self._ends, time_ns)

    def end(self, row: int) -> int:
        """Return when a bar ends, in ns."""
        return int(self._ends[row])

    def next_start(self, row: int) -> int:
        """Return the first bar of the stretch after the one of `row`; the number of bars where that is the last."""
        following = bisect_right(self._starts, row)
        return self._starts[following] if following < len(self._starts) else len(self)

    def is_crossed(self, row: int, limit: int, *, long: bool) -> bool:
        """Tell whether the deciding extreme of a bar is at a scaled liquidation price or beyond it."""
        return bool(self._low[row] <= limit if long else self._high[row] >= limit)

    def is_crossed_from(self, row: int, limit: int, *, long: bool) -> bool:
        """Tell the same of any bar from `row` to the end of its stretch."""
        rows = slice(row, self.next_start(row))
        return bool((self._low[rows] <= limit).any() if long else (self._high[rows] >= limit).any())
