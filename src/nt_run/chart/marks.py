"""Fills and trades on the candles: markers at the prices paid, lines from entry to exit, PnL labels.

All are painted by one item, in pixels; those too many for it are in the lane.
"""

from typing import NamedTuple, override

import numpy as np
from PyQt6 import QtCore, QtGui

from nt_run.chart import theme
from nt_run.chart.crowd import Crowd, Detail
from nt_run.chart.items import Item, Pane, View
from nt_run.chart.levels import Floats, Ints
from nt_run.chart.qt import NO_BRUSH, SMOOTH, colour, draw_lines, font, pen
from nt_run.chart.view import Fills, Trades

_FEW = 50
_CROSS_PX = 6.0
"""Half the width of the cross at a liquidation, which no zoom leaves out."""
_LABEL_PX = 16.0
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
            self._draw_labels(painter, pixels, sight.trades, view)
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
        size = 11.0 if count < _FEW else 8.0
        radius = 3.6 if count < _FEW else 2.8
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
        for name, side in ((theme.BUY, 1), (theme.SELL, -1)):
            painter.setBrush(colour(name))
            for row in np.flatnonzero((sign == side) & ~opens):
                painter.drawEllipse(QtCore.QPointF(float(x[row]), float(y[row])), radius, radius)

    def _draw_liquidations(self, painter: QtGui.QPainter, pixels: _Pixels, shown: slice) -> None:
        rows = np.flatnonzero(self._fills.liquidation[shown]) + shown.start
        x, y = pixels.x(self._fills.slot[rows]), pixels.y(self._fills.price[rows])
        arm = _CROSS_PX
        for name, width in ((theme.BACKGROUND, 6.0), (theme.WARNING, 3.0)):
            painter.setPen(QtGui.QPen(colour(name), width))
            draw_lines(painter, x - arm, y - arm, x + arm, y + arm)
            draw_lines(painter, x - arm, y + arm, x + arm, y - arm)

    def _draw_labels(self, painter: QtGui.QPainter, pixels: _Pixels, shown: slice, view: View) -> None:
        trades, bars = self._trades, self.pane.bars
        face = font(theme.SMALL_PX, strong=True)
        metrics = QtGui.QFontMetricsF(face)
        painter.setFont(face)
        taken: list[QtCore.QRectF] = []
        for row in range(shown.start, shown.stop):
            pnl = float(trades.pnl[row])
            if trades.exit_slot[row] > view.right or not np.isfinite(pnl):
                continue
            text = f"{pnl:+,.2f}" if abs(pnl) < _WHOLE_AMOUNT else f"{pnl:+,.0f}"
            width = metrics.horizontalAdvance(text) + 10
            bar = bars.row(float(trades.exit_slot[row]))
            x = pixels.scale_x * float(trades.exit_slot[row]) + pixels.shift_x
            x = min(x, pixels.scale_x * view.right + pixels.shift_x - width / 2 - 2)
            high = pixels.scale_y * float(bars.high[bar]) + pixels.shift_y
            low = pixels.scale_y * float(bars.low[bar]) + pixels.shift_y
            box = _free_place(x, high, low, width, taken, above_first=pnl > 0)
            if box is not None:
                taken.append(box)
                _draw_label(painter, box, text, theme.RISE if pnl > 0 else theme.FALL)


def _free_place(
    x: float, high: float, low: float, width: float, taken: list[QtCore.QRectF], *, above_first: bool
) -> QtCore.QRectF | None:
    """Return where a label around `x` covers no other, above the bar's high or below its low, in pixels."""
    near, far = 9.0, _LABEL_PX + 11.0
    above, below = [high - near - _LABEL_PX, high - far - _LABEL_PX], [low + near, low + far]
    first, second = (above, below) if above_first else (below, above)
    for top in (first[0], second[0], first[1], second[1]):
        box = QtCore.QRectF(x - width / 2, top, width, _LABEL_PX)
        if not any(box.intersects(other) for other in taken):
            return box
    return None


def _draw_label(painter: QtGui.QPainter, box: QtCore.QRectF, text: str, name: str) -> None:
    painter.setPen(QtGui.QPen(colour(name, 170), 1))
    painter.setBrush(colour(theme.BACKGROUND, 215))
    painter.drawRoundedRect(box, 3, 3)
    painter.setPen(colour(name))
    painter.drawText(box, QtCore.Qt.AlignmentFlag.AlignCenter, text)
