"""Texts laid over the scene: the header of a run and the caption of a pane."""

from typing import override

from PyQt6 import QtCore, QtGui, QtWidgets

from nt_run.chart import theme
from nt_run.chart.captions import SYNTHETIC
from nt_run.chart.qt import NO_PEN, SMOOTH, colour, font
from nt_run.chart.view import ChartData

_TITLE_PX = 15
_GAP_PX = 18.0
_SMALL_GAP_PX = 6.0
_MARGIN_PX = 3.0


class Header(QtWidgets.QGraphicsWidget):
    """One line about the run: market, strategy and range, then numbers; those without room are left out, last first."""

    def __init__(self, data: ChartData) -> None:
        super().__init__()
        self._data = data
        self._x = 0.0
        self.setMinimumHeight(theme.HEADER_PX)
        self.setMaximumHeight(theme.HEADER_PX)

    @override
    def paint(
        self,
        painter: QtGui.QPainter | None,
        option: QtWidgets.QStyleOptionGraphicsItem | None,
        widget: QtWidgets.QWidget | None = None,
    ) -> None:
        if painter is None:
            return
        painter.setRenderHint(SMOOTH)
        self._x = _MARGIN_PX
        if self._data.demo:
            self._badge(painter)
        self._say(painter, self._data.title, theme.TEXT, font(_TITLE_PX, strong=True))
        self._x += _SMALL_GAP_PX
        self._say(painter, self._data.subtitle, theme.DIM, font())
        name_font, text_font = font(), font(strong=True)
        for stat in self._data.stats:
            self._x += _GAP_PX
            width = _width(stat.name, name_font) + _SMALL_GAP_PX + _width(stat.text, text_font)
            if self._x + width > self.size().width() - _MARGIN_PX:
                return
            self._say(painter, stat.name, theme.DIM, name_font)
            self._x += _SMALL_GAP_PX
            self._say(painter, stat.text, theme.signed(stat.sign), text_font)

    def _badge(self, painter: QtGui.QPainter) -> None:
        face = font(theme.SMALL_PX, strong=True)
        width = _width(SYNTHETIC, face) + 16
        box = QtCore.QRectF(self._x, (theme.HEADER_PX - 20) / 2, width, 20)
        painter.setPen(NO_PEN)
        painter.setBrush(colour(theme.WARNING))
        painter.drawRoundedRect(box, 3, 3)
        painter.setFont(face)
        painter.setPen(colour(theme.BACKGROUND))
        painter.drawText(box, QtCore.Qt.AlignmentFlag.AlignCenter, SYNTHETIC)
        self._x += width + _SMALL_GAP_PX * 2

    def _say(self, painter: QtGui.QPainter, text: str, name: str, face: QtGui.QFont) -> None:
        painter.setFont(face)
        painter.setPen(colour(name))
        box = QtCore.QRectF(self._x, 0, self.size().width(), theme.HEADER_PX)
        painter.drawText(box, QtCore.Qt.AlignmentFlag.AlignVCenter | QtCore.Qt.AlignmentFlag.AlignLeft, text)
        self._x += _width(text, face)


class Caption(QtWidgets.QGraphicsTextItem):
    """Rich text in the corner of a pane, on a plate that lets the curve behind it shine through."""

    def __init__(self, parent: QtWidgets.QGraphicsItem) -> None:
        super().__init__(parent)
        self.setFont(font())
        self.setDefaultTextColor(colour(theme.TEXT))
        self.setPos(5, 1)
        self.setZValue(70)
        self.setAcceptedMouseButtons(QtCore.Qt.MouseButton.NoButton)
        self._html = ""

    def say(self, html: str) -> None:
        """Show `html`; nothing happens when it is shown already."""
        if html != self._html:
            self._html = html
            self.setHtml(html)

    @override
    def paint(
        self,
        painter: QtGui.QPainter | None,
        option: QtWidgets.QStyleOptionGraphicsItem | None,
        widget: QtWidgets.QWidget | None = None,
    ) -> None:
        if painter is not None and self._html:
            painter.setPen(NO_PEN)
            painter.setBrush(colour(theme.BACKGROUND, 185))
            painter.drawRoundedRect(self.boundingRect().adjusted(1, 2, -1, -2), 3, 3)
        super().paint(painter, option, widget)


def _width(text: str, face: QtGui.QFont) -> float:
    return QtGui.QFontMetricsF(face).horizontalAdvance(text)
