"""What is drawn inside a pane: grid, candles, curves and bands.

Every item paints only what is visible, at the level of detail of the screen, and has a constant bounding rectangle, so
that Qt never asks for its geometry while the user pans.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, override

import numpy as np
from PyQt6 import QtCore, QtGui, QtWidgets

from nt_run.chart import theme
from nt_run.chart.bars import Bars
from nt_run.chart.levels import Floats, Ints, Level, Pyramid, envelope
from nt_run.chart.qt import NO_BRUSH, NO_PEN, SMOOTH, colour, draw_lines, draw_polyline, draw_rects, path, pen, polygon

_BODY = 0.72
"""Width of a candle as a share of its place."""
VOLUME = 0.17
"""Height of the highest volume bar as a share of the pane."""
_POINTS_PER_PX = 1.5
_BOLD_POINTS_PER_PX = 2.0


class View(NamedTuple):
    """The visible part of a pane: data coordinates, rows `[start, stop)` with one to spare, and pixels."""

    left: float
    right: float
    bottom: float
    top: float
    start: int
    stop: int
    width_px: float
    height_px: float

    @property
    def height(self) -> float:
        """Height in values."""
        return self.top - self.bottom

    @property
    def size_px(self) -> tuple[float, float]:
        """Width and height in pixels."""
        return self.width_px, self.height_px

    @property
    def per_px(self) -> float:
        """Slots per pixel."""
        return (self.right - self.left) / max(self.width_px, 1.0)


@dataclass(frozen=True, slots=True)
class Pane:
    """One pane of the chart: finplot's plot, and the rectangle its items stay inside."""

    plot: Any
    bars: Bars
    bounds: QtCore.QRectF

    def view(self) -> View:
        """Return what is visible now."""
        box = self.plot.vb
        rect: QtCore.QRectF = box.viewRect()
        # Whole numbers: for others numpy turns all slots into floats first, half a million of them.
        start, stop = np.searchsorted(self.bars.slot, (math.ceil(rect.left() - 1.0), math.ceil(rect.right() + 1.0)))
        start, stop = max(int(start) - 1, 0), min(int(stop) + 1, len(self.bars.slot))
        width, height = float(box.width()), float(box.height())
        return View(rect.left(), rect.right(), rect.top(), rect.bottom(), start, stop, width, height)


class Item(QtWidgets.QGraphicsObject):
    """Base of everything in a pane; a subclass implements `draw`."""

    def __init__(self, pane: Pane, depth: float) -> None:
        super().__init__()
        self.pane = pane
        self.setZValue(depth)
        pane.plot.addItem(self, ignoreBounds=True)

    @override
    def boundingRect(self) -> QtCore.QRectF:
        return self.pane.bounds

    @override
    def paint(
        self,
        painter: QtGui.QPainter | None,
        option: QtWidgets.QStyleOptionGraphicsItem | None,
        widget: QtWidgets.QWidget | None = None,
    ) -> None:
        view = self.pane.view()
        if painter is not None and view.stop > view.start and view.height > 0:
            self.draw(painter, view)

    def draw(self, painter: QtGui.QPainter, view: View) -> None:
        """Paint what `view` shows, in data coordinates."""
        raise NotImplementedError


class Grid(Item):
    """Lines at the labels of the axes, drawn once per pane: far cheaper than the grids of the axes themselves."""

    def __init__(self, pane: Pane) -> None:
        super().__init__(pane, -30)

    @override
    def draw(self, painter: QtGui.QPainter, view: View) -> None:
        time_axis, value_axis = self.pane.plot.getAxis("bottom"), self.pane.plot.getAxis("right")
        x = np.array(time_axis.places(view.left, view.right, view.width_px), dtype=np.float64)
        y = np.array(value_axis.places(view.bottom, view.top, view.height_px), dtype=np.float64)
        painter.setRenderHint(SMOOTH, False)
        painter.setPen(pen(theme.GRID, 0, 26))
        draw_lines(painter, x, np.full_like(x, view.bottom), x, np.full_like(x, view.top))
        draw_lines(painter, np.full_like(y, view.left), y, np.full_like(y, view.right), y)


class Candles(Item):
    """Candles with their volume at the bottom of the pane; `level` is what was drawn last."""

    def __init__(self, pane: Pane, pyramid: Pyramid) -> None:
        super().__init__(pane, 1)
        self._pyramid = pyramid
        self.level: Level = pyramid.level(1)

    @override
    def draw(self, painter: QtGui.QPainter, view: View) -> None:
        self.level = level = self._pyramid.level(self._pyramid.pick(view.right - view.left, view.width_px))
        start = int(np.searchsorted(level.last, view.start))
        shown = slice(start, int(np.searchsorted(level.first, view.stop)))
        slot = self.pane.bars.slot
        first, last = slot[level.first[shown]].astype(float), slot[level.last[shown]].astype(float)
        opens, closes = level.open[shown], level.close[shown]
        middle, width = (first + last) / 2, (last - first + 1) * _BODY
        volume = level.volume[shown] * (VOLUME * view.height / (float(level.volume[shown].max(initial=0.0)) or 1.0))
        body = np.maximum(np.abs(closes - opens), view.height / max(view.height_px, 1.0))
        painter.setRenderHint(SMOOTH, False)
        for name, side in ((theme.RISE, closes >= opens), (theme.FALL, closes < opens)):
            x, left, wide = middle[side], (middle - width / 2)[side], width[side]
            painter.setPen(NO_PEN)
            painter.setBrush(colour(name, 62))
            draw_rects(painter, left, np.full_like(x, view.bottom), wide, volume[side])
            painter.setPen(pen(name))
            draw_lines(painter, x, level.low[shown][side], x, level.high[shown][side])
            painter.setPen(NO_PEN)
            painter.setBrush(colour(name))
            draw_rects(painter, left, np.minimum(opens, closes)[side], wide, body[side])


@dataclass(frozen=True, slots=True)
class Stroke:
    """How a curve looks: colour, width in pixels, opacity, and what lies between it and `base`, if anything.

    With `bold` its width stays however many points it has; they are fewer instead.
    """

    name: str
    width: float = 1.4
    alpha: int = 255
    base: float | None = None
    fill: int = 0
    bold: bool = False


class Curve(Item):
    """A line with one value per bar; zoomed out it keeps the extremes of every pixel."""

    def __init__(self, pane: Pane, values: Floats, stroke: Stroke, depth: float = 3) -> None:
        super().__init__(pane, depth)
        self._values = values
        self._stroke = stroke
        missing = ~np.isfinite(values)
        # Where a value is missing, places are farther apart than rows, as in a hole.
        self._places = pane.bars.slot + np.cumsum(missing) if missing.any() else pane.bars.slot

    @override
    def draw(self, painter: QtGui.QPainter, view: View) -> None:
        bins = int(
            (_BOLD_POINTS_PER_PX if self._stroke.bold else _POINTS_PER_PX)
            * (view.stop - view.start)
            / max(view.width_px, 1.0)
        )
        rows = envelope(self._values, view.start, view.stop, bins)
        rows = rows[np.isfinite(self._values[rows])]
        fine = len(rows) <= theme.FINE_POINTS
        painter.setRenderHint(SMOOTH, fine or self._stroke.bold)
        for piece in pieces(self._places, rows):
            self._draw_piece(painter, self.pane.bars.slot[piece].astype(float), self._values[piece], fine=fine)

    def _draw_piece(self, painter: QtGui.QPainter, x: Floats, y: Floats, *, fine: bool) -> None:
        stroke = self._stroke
        if len(x) == 1:
            # A point has no length: show it as wide as its bar.
            x, y = np.array([x[0] - 0.5, x[0] + 0.5]), np.repeat(y, 2)
        if stroke.base is not None:
            painter.setPen(NO_PEN)
            painter.setBrush(colour(stroke.name, stroke.fill))
            painter.drawPath(polygon(np.r_[x[0], x, x[-1]], np.r_[stroke.base, y, stroke.base]))
        painter.setBrush(NO_BRUSH)
        painter.setPen(pen(stroke.name, stroke.width if fine or stroke.bold else 0, stroke.alpha))
        if fine:
            painter.drawPath(path(x, y))
        else:
            draw_polyline(painter, x, y)


class Overlay(Item):
    """A line with one point per candle drawn; gone when candles are too coarse for it, unless it is `lasting`."""

    def __init__(self, pane: Pane, pyramid: Pyramid, values: Floats, stroke: Stroke, *, lasting: bool = False) -> None:
        super().__init__(pane, 3)
        self._lasting = lasting
        self._pyramid = pyramid
        self._values = values
        self._stroke = stroke

    @override
    def draw(self, painter: QtGui.QPainter, view: View) -> None:
        x, rows = _per_candle(self._pyramid, self.pane, view, lasting=self._lasting)
        fine = len(rows) <= theme.FINE_POINTS
        painter.setRenderHint(SMOOTH, fine)
        painter.setBrush(NO_BRUSH)
        coarse = self._pyramid.pick(view.right - view.left, view.width_px) >= theme.DETAIL_FACTOR
        painter.setPen(pen(self._stroke.name, self._stroke.width if fine and not coarse else 0, self._stroke.alpha))
        for part in _parts(self.pane.bars.slot, rows):
            if fine:
                painter.drawPath(path(x[part], self._values[rows[part]]))
            else:
                draw_polyline(painter, x[part], self._values[rows[part]])


class Band(Item):
    """The area between two lines over the candles, with its edges."""

    def __init__(self, pane: Pane, pyramid: Pyramid, edges: tuple[Floats, Floats], name: str) -> None:
        super().__init__(pane, -5)
        self._pyramid = pyramid
        self._edges = edges
        self._name = name

    @override
    def draw(self, painter: QtGui.QPainter, view: View) -> None:
        x, rows = _per_candle(self._pyramid, self.pane, view)
        known = np.isfinite(self._edges[0][rows])
        x, rows = x[known], rows[known]
        painter.setRenderHint(SMOOTH, len(x) <= theme.FINE_POINTS)
        for part in _parts(self.pane.bars.slot, rows):
            self._draw_part(painter, x[part], self._edges[0][rows[part]], self._edges[1][rows[part]])

    def _draw_part(self, painter: QtGui.QPainter, x: Floats, lower: Floats, upper: Floats) -> None:
        painter.setPen(NO_PEN)
        painter.setBrush(colour(self._name, 20))
        painter.drawPath(polygon(np.r_[x, x[::-1]], np.r_[upper, lower[::-1]]))
        painter.setBrush(NO_BRUSH)
        painter.setPen(pen(self._name, 1, 120))
        draw_polyline(painter, x, upper)
        draw_polyline(painter, x, lower)


def pieces(slot: Ints, rows: Ints) -> list[Ints]:
    """Return `rows` cut where a hole lies between two of them: nothing is drawn across missing data."""
    return [rows[part] for part in _parts(slot, rows)]


def _parts(slot: Ints, rows: Ints) -> list[slice]:
    if not len(rows):
        return []
    cuts = np.flatnonzero(np.diff(slot[rows]) > np.diff(rows)) + 1
    edges = [0, *(int(cut) for cut in cuts), len(rows)]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def _per_candle(pyramid: Pyramid, pane: Pane, view: View, *, lasting: bool = False) -> tuple[Floats, Ints]:
    """Return the middles of the visible candles and the rows whose values stand for them; empty when too coarse."""
    factor = pyramid.pick(view.right - view.left, view.width_px)
    level = pyramid.level(factor)
    shown = slice(int(np.searchsorted(level.last, view.start)), int(np.searchsorted(level.first, view.stop)))
    if factor >= theme.DETAIL_FACTOR and not lasting:
        shown = slice(0, 0)
    first, last = level.first[shown], level.last[shown]
    slot = pane.bars.slot
    return (slot[first] + slot[last]).astype(float) / 2, last
