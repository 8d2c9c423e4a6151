"""What is drawn in the lower panes: the position, funding payments and where they were made."""

from typing import override

import numpy as np
from PyQt6 import QtCore, QtGui

from nt_run.chart import theme
from nt_run.chart.items import Item, Pane, View, pieces
from nt_run.chart.levels import Floats, Ints
from nt_run.chart.qt import NO_PEN, SMOOTH, colour, draw_polyline, draw_rects, pen
from nt_run.chart.view import Funding

_STEP_MEAN = 8
"""From this many bars per pixel on, a position is drawn as its mean: extremes would be a solid block."""
_DIAMOND_PX = 4.5
_MAX_DIAMONDS = 120
"""More of them on the screen would be a row of dots that says nothing."""


class Steps(Item):
    """A signed position: filled steps, the colour of its side; its mean per pixel when zoomed out."""

    def __init__(self, pane: Pane, values: Floats) -> None:
        super().__init__(pane, 2)
        self._values = np.nan_to_num(values)

    @override
    def draw(self, painter: QtGui.QPainter, view: View) -> None:
        bars = max(int((view.stop - view.start) / max(view.width_px, 1.0)), 1)
        first = np.arange(view.start, view.stop, bars, dtype=np.int64)
        counts = np.diff(np.r_[first, view.stop])
        values = self._values[: view.stop]
        x = self.pane.bars.slot[first].astype(np.float64) - 0.5
        painter.setRenderHint(SMOOTH, False)
        painter.setPen(NO_PEN)
        for name, sign, extreme in ((theme.BUY, 1, np.maximum), (theme.SELL, -1, np.minimum)):
            height = extreme.reduceat(values, first)
            if bars > _STEP_MEAN:
                height = np.add.reduceat(values, first) / counts
            side = height * sign > 0
            painter.setBrush(colour(name, 95))
            draw_rects(painter, x[side], np.zeros(int(side.sum())), counts[side].astype(float), height[side])
        if bars == 1:
            painter.setPen(pen(theme.TEXT, 1, 170))
            for rows in pieces(self.pane.bars.slot, first):
                edges = np.repeat(self.pane.bars.slot[rows].astype(float), 2) + np.tile((-0.5, 0.5), len(rows))
                draw_polyline(painter, edges, np.repeat(values[rows], 2))
        painter.setPen(pen(theme.GRID, 1, 90))
        painter.drawLine(QtCore.QPointF(view.left, 0), QtCore.QPointF(view.right, 0))


class Payments(Item):
    """Funding payments as bars, the largest per three pixels when zoomed out."""

    def __init__(self, pane: Pane, funding: Funding) -> None:
        super().__init__(pane, 2)
        self._funding = funding

    @override
    def draw(self, painter: QtGui.QPainter, view: View) -> None:
        start, stop = np.searchsorted(self._funding.slot, (view.left, view.right))
        slots, amounts = self._funding.slot[start:stop].astype(float), self._funding.amount[start:stop]
        wide = max(3.0 * view.per_px, 0.8)
        bins = np.floor(slots / wide)
        first = np.flatnonzero(np.diff(bins, prepend=-1.0))
        left = bins[first] * wide if wide > 1 else slots[first] - wide / 2
        painter.setRenderHint(SMOOTH, False)
        painter.setPen(NO_PEN)
        for name, extreme in ((theme.RISE, np.maximum), (theme.FALL, np.minimum)):
            heights: Floats = extreme(extreme.reduceat(amounts, first), 0.0) if len(first) else amounts
            painter.setBrush(colour(name, 190))
            draw_rects(painter, left, np.zeros_like(left), np.full_like(left, wide), heights)
        painter.setPen(pen(theme.GRID, 1, 90))
        painter.drawLine(QtCore.QPointF(view.left, 0), QtCore.QPointF(view.right, 0))


class Diamonds(Item):
    """Where funding was settled, on a curve; gone when there would be too many."""

    def __init__(self, pane: Pane, funding: Funding, values: Floats) -> None:
        super().__init__(pane, 6)
        self._slots = funding.slot
        self._values = values

    def between(self, left: float, right: float) -> Ints:
        """Return the slots of those that are drawn."""
        start, stop = (int(place) for place in np.searchsorted(self._slots, (left, right)))
        return self._slots[start : stop if stop - start <= _MAX_DIAMONDS else start]

    @override
    def draw(self, painter: QtGui.QPainter, view: View) -> None:
        shown = self.between(view.left, view.right)
        to_px = painter.transform()
        painter.save()
        painter.resetTransform()
        painter.setRenderHint(SMOOTH)
        painter.setPen(QtGui.QPen(colour(theme.BACKGROUND), 1))
        painter.setBrush(colour(theme.FUNDING))
        for slot in shown:
            centre = to_px.map(QtCore.QPointF(float(slot), float(self._values[self.pane.bars.row(slot)])))
            corners = ((0, -_DIAMOND_PX), (_DIAMOND_PX, 0), (0, _DIAMOND_PX), (-_DIAMOND_PX, 0))
            painter.drawPolygon(QtGui.QPolygonF([centre + QtCore.QPointF(x, y) for x, y in corners]))
        painter.restore()
