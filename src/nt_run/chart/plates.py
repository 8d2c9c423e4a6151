"""Texts laid over the scene: the header of a run and the caption of a pane."""

from typing import NamedTuple, override

from PyQt6 import QtCore, QtGui, QtWidgets

from nt_run.chart import theme
from nt_run.chart.captions import SYNTHETIC
from nt_run.chart.qt import NO_PEN, SMOOTH, colour, font
from nt_run.chart.view import Stat

_TITLE_PX = 15
_GAP_PX = 18.0
_TIGHT_GAP_PX = 9.0
_SMALL_GAP_PX = 6.0
_MARGIN_PX = 3.0


class Heading(NamedTuple):
    """What a chart is of: market, what was done there, its numbers, and whether the market is a made-up one."""

    title: str
    subtitle: str
    stats: tuple[Stat, ...]
    demo: bool

    @property
    def window_title(self) -> str:
        """The plain title of a window."""
        prefix = f"{SYNTHETIC} · " if self.demo else ""
        return f"{prefix}{self.title} · {self.subtitle}"


class Header(QtWidgets.QGraphicsWidget):
    """One line about the run: market, strategy and range, then numbers; those without room are left out, last first."""

    def __init__(self, heading: Heading) -> None:
        super().__init__()
        self._heading = heading
        self.hint = ""
        """Told at the right end."""
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
        if self._heading.demo:
            self._badge(painter)
        self._say(painter, self._heading.title, theme.TEXT, font(_TITLE_PX, strong=True))
        self._x += _SMALL_GAP_PX
        self._say(painter, self._heading.subtitle, theme.DIM, font())
        name_font, text_font = font(), font(strong=True)
        room = self.size().width() - _MARGIN_PX
        if self.hint:
            room -= _width(self.hint, name_font) + _GAP_PX
            self._write(painter, room + _GAP_PX, self.hint, theme.DIM, name_font)
        gap = _GAP_PX if self._x + self._stats_width(name_font, text_font) <= room else _TIGHT_GAP_PX
        for stat in self._heading.stats:
            self._x += gap
            width = _width(stat.name, name_font) + _SMALL_GAP_PX + _width(stat.text, text_font)
            if self._x + width > room:
                return
            self._say(painter, stat.name, theme.DIM, name_font)
            self._x += _SMALL_GAP_PX
            self._say(painter, stat.text, theme.signed(stat.sign), text_font)

    def _stats_width(self, name_font: QtGui.QFont, text_font: QtGui.QFont) -> float:
        names = sum(_width(stat.name, name_font) + _width(stat.text, text_font) for stat in self._heading.stats)
        return names + len(self._heading.stats) * (_GAP_PX + _SMALL_GAP_PX)

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
        self._write(painter, self._x, text, name, face)
        self._x += _width(text, face)

    def _write(self, painter: QtGui.QPainter, x: float, text: str, name: str, face: QtGui.QFont) -> None:
        painter.setFont(face)
        painter.setPen(colour(name))
        box = QtCore.QRectF(x, 0, self.size().width(), theme.HEADER_PX)
        painter.drawText(box, QtCore.Qt.AlignmentFlag.AlignVCenter | QtCore.Qt.AlignmentFlag.AlignLeft, text)


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
