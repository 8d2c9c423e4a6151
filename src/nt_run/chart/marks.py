"""Fills and trades on the candles: markers at the prices paid, lines from entry to exit, PnL labels.

All are painted by one item, in pixels; those too many for it are in the lane.
"""

from typing import NamedTuple, override

import numpy as np
from PyQt6 import QtCore, QtGui

from nt_run.chart import theme
from nt_run.chart.crowd import Crowd, Detail, Sight
from nt_run.chart.items import VOLUME, Item, Pane, View
from nt_run.chart.labels import Spot, Taken, marker_boxes
from nt_run.chart.levels import Floats, Ints
from nt_run.chart.qt import NO_BRUSH, SMOOTH, colour, draw_lines, font, pen
from nt_run.chart.view import Fills, Trades

_FEW = 50
_CROSS_PX = 6.0
"""Half the width of the cross at a liquidation, which no zoom leaves out."""
_WHOLE_AMOUNT = 1000
"""From here on cents are noise in a label."""


class _Pixels(NamedTuple):
    """The linear map from data to pixels."""

    scale_x: float
    shift_x: float
    scale_y: float
    shift_y: float

    def x(self, slots: Ints) -> Floats:
        return self.scale_x * slots.astype(np.float64) + self.shift_x

    def y(self, values: Floats) -> Floats:
        return self.scale_y * values + self.shift_y


class Marks(Item):
    """Every fill and every trade of a run."""

    def __init__(self, pane: Pane, fills: Fills, trades: Trades, crowd: Crowd) -> None:
        super().__init__(pane, 20)
        self._fills, self._trades, self._crowd = fills, trades, crowd

    @override
    def draw(self, painter: QtGui.QPainter, view: View) -> None:
        sight = self._crowd.between(view.left, view.right, view.size_px)
        matrix = painter.transform()
        pixels = _Pixels(matrix.m11(), matrix.dx(), matrix.m22(), matrix.dy())
        painter.save()
        painter.resetTransform()
        painter.setRenderHint(SMOOTH)
        if sight.detail >= Detail.ARROWS:
            self._draw_lines(painter, pixels, sight.trades)
            self._draw_fills(painter, pixels, sight.fills, sight.number)
        self._draw_liquidations(painter, pixels, sight.fills)
        if sight.detail == Detail.LABELS:
            self._draw_labels(painter, pixels, sight, view)
        painter.restore()

    def _draw_lines(self, painter: QtGui.QPainter, pixels: _Pixels, shown: slice) -> None:
        trades = self._trades
        x0, x1 = pixels.x(trades.entry_slot[shown]), pixels.x(trades.exit_slot[shown])
        y0, y1 = pixels.y(trades.entry_price[shown]), pixels.y(trades.exit_price[shown])
        won = trades.pnl[shown] > 0
        painter.setBrush(NO_BRUSH)
        for name, side in ((theme.RISE, won), (theme.FALL, ~won)):
            painter.setPen(pen(name, 1.3, 215, (4, 3)))
            draw_lines(painter, x0[side], y0[side], x1[side], y1[side])

    def _draw_fills(self, painter: QtGui.QPainter, pixels: _Pixels, shown: slice, count: int) -> None:
        fills = self._fills
        size, radius = _sizes(count)
        x, y = pixels.x(fills.slot[shown]), pixels.y(fills.price[shown])
        sign, opens = fills.sign[shown], fills.opens[shown]
        painter.setPen(QtGui.QPen(colour(theme.BACKGROUND), 1))
        for name, side in ((theme.BUY, 1), (theme.SELL, -1)):
            painter.setBrush(colour(name))
            # The tip touches the price that was paid.
            corners = [(0.0, 0.0), (-0.62 * size, side * size), (0.62 * size, side * size)]
            triangle = QtGui.QPolygonF([QtCore.QPointF(*corner) for corner in corners])
            for row in np.flatnonzero((sign == side) & opens):
                painter.drawPolygon(triangle.translated(float(x[row]), float(y[row])))
        painter.setPen(QtGui.QPen(colour(theme.TEXT), 1.3))
        painter.setBrush(colour(theme.BACKGROUND))
        for row in np.flatnonzero(~opens):
            painter.drawEllipse(QtCore.QPointF(float(x[row]), float(y[row])), radius, radius)

    def _draw_liquidations(self, painter: QtGui.QPainter, pixels: _Pixels, shown: slice) -> None:
        rows = np.flatnonzero(self._fills.liquidation[shown]) + shown.start
        x, y = pixels.x(self._fills.slot[rows]), pixels.y(self._fills.price[rows])
        arm = _CROSS_PX
        for name, width in ((theme.BACKGROUND, 6.0), (theme.WARNING, 3.0)):
            painter.setPen(QtGui.QPen(colour(name), width))
            draw_lines(painter, x - arm, y - arm, x + arm, y + arm)
            draw_lines(painter, x - arm, y + arm, x + arm, y - arm)

    def _draw_labels(self, painter: QtGui.QPainter, pixels: _Pixels, sight: Sight, view: View) -> None:
        trades, bars = self._trades, self.pane.bars
        face = font(theme.SMALL_PX, strong=True)
        metrics = QtGui.QFontMetricsF(face)
        painter.setFont(face)
        taken = Taken(self._boxes(pixels, sight))
        right, top, bottom = (
            pixels.scale_x * view.right + pixels.shift_x,
            pixels.scale_y * view.top + pixels.shift_y,
            pixels.scale_y * (view.bottom + VOLUME * view.height) + pixels.shift_y,
        )
        for row in range(sight.trades.start, sight.trades.stop):
            pnl, slot = float(trades.pnl[row]), float(trades.exit_slot[row])
            if slot > view.right or not np.isfinite(pnl):
                continue
            text = f"{pnl:+,.2f}" if abs(pnl) < _WHOLE_AMOUNT else f"{pnl:+,.0f}"
            width = metrics.horizontalAdvance(text) + 10
            bar = bars.row(slot)
            ends = tuple(pixels.scale_y * float(side[bar]) + pixels.shift_y for side in (bars.high, bars.low))
            at = QtCore.QPointF(
                pixels.scale_x * slot + pixels.shift_x, pixels.scale_y * float(trades.exit_price[row]) + pixels.shift_y
            )
            x = min(at.x(), right - width / 2 - 2)
            spot = taken.find(x, (ends[0], ends[1]), width, (top, bottom), above=pnl > 0)
            _draw_label(painter, spot, at, text, theme.RISE if pnl > 0 else theme.FALL)

    def _boxes(self, pixels: _Pixels, sight: Sight) -> Floats:
        """Return the rectangles of the markers."""
        fills, shown = self._fills, sight.fills
        x, y = pixels.x(fills.slot[shown]), pixels.y(fills.price[shown])
        crosses = fills.liquidation[shown]
        boxes = marker_boxes(x, y, fills.sign[shown].astype(float), fills.opens[shown], _sizes(sight.number))
        reach = np.array([-1.0, -1.0, 1.0, 1.0]) * (_CROSS_PX + 2)
        return np.where(crosses[:, None], np.stack([x, y, x, y], axis=1) + reach, boxes)


def _sizes(count: int) -> tuple[float, float]:
    """Return the height of a triangle and the radius of a dot."""
    return (11.0, 3.6) if count < _FEW else (8.0, 2.8)


def _draw_label(painter: QtGui.QPainter, spot: Spot, at: QtCore.QPointF, text: str, name: str) -> None:
    """Draw a label, with a line from where the trade ended if that is not next to it."""
    box = QtCore.QRectF(QtCore.QPointF(*spot.box[:2]), QtCore.QPointF(*spot.box[2:]))
    painter.setPen(QtGui.QPen(colour(name, 170), 1))
    if spot.is_far:
        painter.drawLine(at, QtCore.QPointF(at.x(), box.bottom() if box.bottom() < at.y() else box.top()))
    painter.setBrush(colour(theme.BACKGROUND, 215))
    painter.drawRoundedRect(box, 3, 3)
    painter.setPen(colour(name))
    painter.drawText(box, QtCore.Qt.AlignmentFlag.AlignCenter, text)
