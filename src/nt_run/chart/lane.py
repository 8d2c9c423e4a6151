"""Trades too many for markers on the candles: a lane between candles and volume with their entries and results."""

from typing import override

import numpy as np
from PyQt6 import QtCore, QtGui

from nt_run.chart import theme
from nt_run.chart.crowd import Crowd, Detail
from nt_run.chart.items import VOLUME, Item, Pane, View
from nt_run.chart.levels import Floats
from nt_run.chart.qt import SMOOTH, colour, draw_lines, pen
from nt_run.chart.view import Fills, Trades

_RESULTS_PX = 26.0
_ENTRY_PX = 8.0
"""Height of an entry's tick, up for a buy or down for a sale."""
_GAP_PX = 6.0
_LEAST_RESULTS_PX = 10.0
_RESULTS_SHARE = 0.08
"""In low panes results have this share of the height."""
_BIN_PX = 2.0


class Lane(Item):
    """Entries as ticks up and down, and under them the net result of what was closed, per two pixels."""

    def __init__(self, pane: Pane, fills: Fills, trades: Trades, crowd: Crowd) -> None:
        super().__init__(pane, 20)
        self._fills, self._trades, self._crowd = fills, trades, crowd

    def height_px(self, detail: Detail, pane_px: float) -> float:
        """Return how much room the lane takes in a pane so high, gaps included; 0 where there is none."""
        if detail >= Detail.ARROWS:
            return 0.0
        entries = 2 * _ENTRY_PX + _GAP_PX if detail == Detail.ENTRIES else 0.0
        return _GAP_PX + _results_px(pane_px) + entries

    @override
    def draw(self, painter: QtGui.QPainter, view: View) -> None:
        sight = self._crowd.between(view.left, view.right, view.size_px)
        if sight.detail >= Detail.ARROWS:
            return
        matrix = painter.transform()
        bottom = matrix.m22() * (view.bottom + VOLUME * view.height) + matrix.dy() - _GAP_PX
        origin = matrix.m11() * view.left + matrix.dx()
        painter.save()
        painter.resetTransform()
        painter.setRenderHint(SMOOTH, False)
        exits = matrix.m11() * self._trades.exit_slot[sight.trades].astype(np.float64) + matrix.dx() - origin
        self._draw_results(painter, origin, exits, sight.trades, (bottom, _results_px(view.height_px)), view)
        if sight.detail == Detail.ENTRIES:
            opens = np.flatnonzero(self._fills.opens[sight.fills]) + sight.fills.start
            x = matrix.m11() * self._fills.slot[opens].astype(np.float64) + matrix.dx()
            middle = bottom - _results_px(view.height_px) - _GAP_PX - _ENTRY_PX
            self._draw_entries(painter, x, self._fills.sign[opens].astype(np.float64), middle)
            painter.setPen(pen(theme.GRID, 1, 70))
            painter.drawLine(QtCore.QPointF(origin, middle), QtCore.QPointF(origin + view.width_px, middle))
        painter.restore()

    def _draw_results(
        self,
        painter: QtGui.QPainter,
        origin: float,
        exits: Floats,
        shown: slice,
        stand: tuple[float, float],
        view: View,
    ) -> None:
        """Draw bars on a base line, `stand` being where it is and how high the highest bar is."""
        base, highest = stand
        bins = int(view.width_px / _BIN_PX) + 1
        inside = (exits >= 0) & (exits <= view.width_px)
        place = (exits[inside] / _BIN_PX).astype(np.int64)
        net: Floats = np.bincount(place, self._trades.pnl[shown][inside], bins).astype(np.float64)
        # The root keeps small results visible beside the largest.
        height = highest * (np.abs(net) / (float(np.abs(net).max()) or 1.0)) ** 0.6
        middle = origin + _BIN_PX * (np.arange(bins, dtype=np.float64) + 0.5)
        for name, side in ((theme.RISE, net > 0), (theme.FALL, net < 0)):
            painter.setPen(QtGui.QPen(colour(name), _BIN_PX))
            bottom = np.full(int(side.sum()), base)
            draw_lines(painter, middle[side], bottom, middle[side], bottom - np.maximum(height[side], 2.0))
        painter.setPen(pen(theme.GRID, 1, 70))
        painter.drawLine(QtCore.QPointF(origin, base), QtCore.QPointF(origin + view.width_px, base))

    def _draw_entries(self, painter: QtGui.QPainter, x: Floats, sign: Floats, middle: float) -> None:
        for name, side in ((theme.BUY, 1.0), (theme.SELL, -1.0)):
            at = np.round(x[sign == side])
            painter.setPen(QtGui.QPen(colour(name), 2))
            draw_lines(painter, at, np.full_like(at, middle), at, np.full_like(at, middle - side * _ENTRY_PX))


def _results_px(pane_px: float) -> float:
    return min(_RESULTS_PX, max(_RESULTS_SHARE * pane_px, _LEAST_RESULTS_PX))
