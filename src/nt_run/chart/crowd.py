"""Which trades of a run are visible, and how much of each there is room for. Pure: no screen."""

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from nt_run.chart import theme
from nt_run.chart.view import Fills, Trades


class Detail(IntEnum):
    """What is drawn of trades, from little to much; what is more includes markers and lines on the candles."""

    RESULTS = 0
    """Net results by time of exit, in a lane below the candles."""
    ENTRIES = 1
    """The lane has a tick for each entry as well."""
    ARROWS = 2
    """Markers at the prices paid, lines from entry to exit, no lane."""
    LABELS = 3
    """And the PnL of each trade."""


class Sight(NamedTuple):
    """The visible rows of trades and fills, how many trades that is, and what is drawn of them."""

    trades: slice
    fills: slice
    number: int
    detail: Detail


class Crowd:
    """The trades of a run."""

    def __init__(self, fills: Fills, trades: Trades) -> None:
        self._fills = fills.slot
        self._entries = trades.entry_slot
        # Trades are in order of entry, and one of them ends before the next begins: exits are in order too.
        self._exits = np.maximum.accumulate(trades.exit_slot) if len(trades.exit_slot) else trades.exit_slot

    def between(self, left: float, right: float, size_px: tuple[float, float]) -> Sight:
        """Return what is visible of them when the slots from `left` to `right` fill a pane of this width and height."""
        start = int(np.searchsorted(self._exits, left))
        trades = slice(start, max(int(np.searchsorted(self._entries, right)), start))
        fills = slice(*(int(place) for place in np.searchsorted(self._fills, (left, right))))
        count = max(trades.stop - trades.start, (fills.stop - fills.start + 1) // 2)
        return Sight(trades, fills, count, _detail(count, *size_px))


def _detail(count: int, width_px: float, height_px: float) -> Detail:
    if count <= min(theme.LABELLED_TRADES, width_px / theme.LABEL_ROOM_PX):
        return Detail.LABELS
    if count <= min(theme.ARROWED_TRADES, width_px / theme.ARROW_ROOM_PX):
        return Detail.ARROWS
    has_room = count <= width_px / theme.TICK_ROOM_PX and height_px >= theme.LOW_PX
    return Detail.ENTRIES if has_room else Detail.RESULTS
