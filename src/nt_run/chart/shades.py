"""What lies behind a stretch of time: holes in the data, bars in doubt, the trade one has asked for."""

from typing import override

import numpy as np
from PyQt6 import QtCore, QtGui

from nt_run.chart import theme
from nt_run.chart.items import Item, Pane, View
from nt_run.chart.levels import Floats, Ints
from nt_run.chart.qt import NO_BRUSH, NO_PEN, SMOOTH, colour, draw_rects, pen

_LEAST_PX = 2.0
"""Narrower stretches are drawn this wide, so that none is lost when zoomed out."""
_HATCHED_PX = 6.0
"""From this width on a hole is hatched, and not only shaded."""


class Holes(Item):
    """Where bars are missing: hatched over the height of a pane."""

    def __init__(self, pane: Pane) -> None:
        super().__init__(pane, -20)
        slot = pane.bars.slot
        rows = np.flatnonzero(np.diff(slot) > 1)
        self._first, self._last = slot[rows] + 1, slot[rows + 1] - 1

    @override
    def draw(self, painter: QtGui.QPainter, view: View) -> None:
        left, width = _pixels(painter, view, self._first, self._last)
        if not len(left):
            return
        top, height = _heights(painter, view)
        painter.save()
        painter.resetTransform()
        painter.setRenderHint(SMOOTH, False)
        painter.setPen(NO_PEN)
        painter.setBrush(colour(theme.GRID, 26))
        draw_rects(painter, left, np.full_like(left, top), width, np.full_like(left, height))
        wide = width >= _HATCHED_PX
        painter.setBrush(QtGui.QBrush(colour(theme.GRID, 120), QtCore.Qt.BrushStyle.BDiagPattern))
        draw_rects(painter, left[wide], np.full_like(left[wide], top), width[wide], np.full_like(left[wide], height))
        painter.restore()


class Stripes(Item):
    """Single bars, shaded over the height of a pane."""

    def __init__(self, pane: Pane, slots: Ints, name: str) -> None:
        super().__init__(pane, -15)
        self._slots = slots
        self._name = name

    @override
    def draw(self, painter: QtGui.QPainter, view: View) -> None:
        left, width = _pixels(painter, view, self._slots, self._slots)
        top, height = _heights(painter, view)
        painter.save()
        painter.resetTransform()
        painter.setRenderHint(SMOOTH, False)
        painter.setPen(NO_PEN)
        painter.setBrush(colour(self._name, 70))
        draw_rects(painter, left, np.full_like(left, top), width, np.full_like(left, height))
        painter.restore()


class Spotlight(Item):
    """The bars of one trade, a little lighter than the others; dark until turned to one."""

    def __init__(self, pane: Pane) -> None:
        super().__init__(pane, -18)
        self._span: tuple[float, float] | None = None

    def turn_to(self, first: float, last: float) -> None:
        """Light the slots from `first` to `last`, both included."""
        self._span = first - 0.5, last + 0.5
        self.update()

    @override
    def draw(self, painter: QtGui.QPainter, view: View) -> None:
        if self._span is None:
            return
        left, right = self._span
        painter.setRenderHint(SMOOTH, False)
        painter.setPen(pen(theme.CROSSHAIR, 1, 60))
        painter.setBrush(colour(theme.CROSSHAIR, 22))
        painter.drawRect(QtCore.QRectF(left, view.bottom - view.height, right - left, 3 * view.height))
        painter.setBrush(NO_BRUSH)


def _pixels(painter: QtGui.QPainter, view: View, first: Ints, last: Ints) -> tuple[Floats, Floats]:
    """Return left edges and widths, in pixels, of the visible stretches of slots, `last` included."""
    left, right = first.astype(np.float64) - 0.5, last.astype(np.float64) + 0.5
    shown = slice(int(np.searchsorted(right, view.left)), int(np.searchsorted(left, view.right)))
    matrix = painter.transform()
    start, end = (matrix.m11() * edge[shown] + matrix.dx() for edge in (left, right))
    return start, np.maximum(end - start, _LEAST_PX)


def _heights(painter: QtGui.QPainter, view: View) -> tuple[float, float]:
    """Return the top of a pane and its height in pixels."""
    matrix = painter.transform()
    top, bottom = (matrix.m22() * value + matrix.dy() for value in (view.top, view.bottom))
    return top, bottom - top
