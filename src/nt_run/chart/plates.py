"""Texts laid over the scene: the caption of a pane."""

from typing import override

from PyQt6 import QtCore, QtGui, QtWidgets

from nt_run.chart import theme
from nt_run.chart.qt import NO_PEN, colour, font

LINE_PX = 15.0
"""Height of a line of a caption."""
EDGES_PX = 8.0
"""What a plate has above and below its lines."""


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


def text_width(text: str) -> float:
    """Return the width of a plain text in a caption, in pixels."""
    return QtGui.QFontMetricsF(font()).horizontalAdvance(text)


def headroom(lines: int, height_px: float) -> float:
    """Return how much room a caption needs above the values of a pane, as a share of the height they are left."""
    taken = lines * LINE_PX + EDGES_PX
    return taken / max(height_px - taken, taken)
