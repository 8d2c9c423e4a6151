"""Fills and trades on the candles: markers at the prices paid, lines from entry to exit, PnL labels.

All are painted by one item, in pixels, with less detail the more of them are visible.
"""

from typing import NamedTuple, override

import numpy as np
from PyQt6 import QtCore, QtGui

from nt_run.chart import theme
from nt_run.chart.items import Item, Pane, View
from nt_run.chart.levels import Flags, Floats, Ints
from nt_run.chart.qt import NO_BRUSH, SMOOTH, colour, draw_lines, font, pen
from nt_run.chart.view import Fills, Trades

_FEW = 50
_STRIP_TOP = 0.185
"""The density strip stands right above the volume, as a share of the pane."""
_STRIP_PX = 24.0
_STRIP_BIN_PX = 2.0
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

    def __init__(self, pane: Pane, fills: Fills, trades: Trades) -> None:
        super().__init__(pane, 20)
        self._fills = fills
        self._trades = trades
        # Trades are in order of entry, and one of them ends before the next begins: exits are in order too.
        self._exits = np.maximum.accumulate(trades.exit_slot) if len(trades.exit_slot) else trades.exit_slot

    @override
    def draw(self, painter: QtGui.QPainter, view: View) -> None:
        start = int(np.searchsorted(self._exits, view.left))
        shown = slice(start, max(int(np.searchsorted(self._trades.entry_slot, view.right)), start))
        fills = slice(*(int(place) for place in np.searchsorted(self._fills.slot, (view.left, view.right))))
        count = max(shown.stop - shown.start, (fills.stop - fills.start + 1) // 2)
        matrix = painter.transform()
        pixels = _Pixels(matrix.m11(), matrix.dx(), matrix.m22(), matrix.dy())
        painter.save()
        painter.resetTransform()
        painter.setRenderHint(SMOOTH, count <= theme.ARROWED_TRADES)
        if count > theme.TICKED_TRADES:
            self._draw_strip(painter, view, pixels, shown)
        else:
            self._draw_lines(painter, pixels, shown, fine=count <= theme.ARROWED_TRADES)
            if count <= theme.ARROWED_TRADES:
                self._draw_fills(painter, pixels, fills, count)
            else:
                self._draw_ticks(painter, pixels, fills)
        self._draw_liquidations(painter, pixels, fills)
        if count <= min(theme.LABELLED_TRADES, view.width_px / theme.LABEL_ROOM_PX):
            self._draw_labels(painter, pixels, shown, view)
        painter.restore()

    def _draw_lines(self, painter: QtGui.QPainter, pixels: _Pixels, shown: slice, *, fine: bool) -> None:
        trades = self._trades
        x0, x1 = pixels.x(trades.entry_slot[shown]), pixels.x(trades.exit_slot[shown])
        y0, y1 = pixels.y(trades.entry_price[shown]), pixels.y(trades.exit_price[shown])
        won = trades.pnl[shown] > 0
        painter.setBrush(NO_BRUSH)
        for name, side in ((theme.RISE, won), (theme.FALL, ~won)):
            painter.setPen(pen(name, 1.3 if fine else 0, 215, (4, 3) if fine else ()))
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
        painter.setRenderHint(SMOOTH)
        for name, width in ((theme.BACKGROUND, 6.0), (theme.WARNING, 3.0)):
            painter.setPen(QtGui.QPen(colour(name), width))
            draw_lines(painter, x - arm, y - arm, x + arm, y + arm)
            draw_lines(painter, x - arm, y + arm, x + arm, y - arm)

    def _draw_ticks(self, painter: QtGui.QPainter, pixels: _Pixels, shown: slice) -> None:
        fills = self._fills
        for name, side in ((theme.BUY, 1), (theme.SELL, -1)):
            rows: Flags = (fills.sign[shown] == side) & fills.opens[shown]
            x, y = pixels.x(fills.slot[shown][rows]), pixels.y(fills.price[shown][rows])
            painter.setPen(QtGui.QPen(colour(name), 2))
            draw_lines(painter, x, y + 2 * side, x, y + 9 * side)

    def _draw_strip(self, painter: QtGui.QPainter, view: View, pixels: _Pixels, shown: slice) -> None:
        origin = pixels.scale_x * view.left + pixels.shift_x
        bins = int(view.width_px / _STRIP_BIN_PX) + 1
        x = pixels.x(self._trades.exit_slot[shown])
        place = np.clip(((x - origin) / _STRIP_BIN_PX).astype(np.int64), 0, bins - 1)
        net: Floats = np.bincount(place, self._trades.pnl[shown], bins).astype(np.float64)
        base = pixels.scale_y * (view.bottom + _STRIP_TOP * view.height) + pixels.shift_y
        # The root keeps small days visible beside the largest.
        height = _STRIP_PX * (np.abs(net) / (float(np.abs(net).max()) or 1.0)) ** 0.6
        middle = origin + _STRIP_BIN_PX * (np.arange(bins, dtype=np.float64) + 0.5)
        for name, side in ((theme.RISE, net > 0), (theme.FALL, net < 0)):
            painter.setPen(QtGui.QPen(colour(name, 190), 1.6))
            bottom = np.full(int(side.sum()), base)
            draw_lines(painter, middle[side], bottom, middle[side], bottom - height[side])

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
