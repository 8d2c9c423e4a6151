"""Texts laid over the scene: the caption of a pane."""

from typing import Any, override

from PyQt6 import QtCore, QtGui, QtWidgets

from nt_run.chart import theme
from nt_run.chart.qt import NO_PEN, colour, font

LINE_PX = 15.0
"""Height of a line of a caption."""
EDGES_PX = 8.0
"""What a plate has above and below its lines."""
_LEFT_PX = 5.0
_MARGIN_PX, _MARGIN = 7.0, 0.2
"""Half the height of a label on the axis, and the most of a low pane that goes to it."""


class Caption(QtWidgets.QGraphicsTextItem):
    """Rich text in the corner of a pane, on a plate that lets the curve behind it shine through."""

    def __init__(self, box: Any) -> None:  # noqa: ANN401 – untyped vendor
        super().__init__(box)
        self._box = box
        self.setFont(font())
        self.setDefaultTextColor(colour(theme.TEXT))
        self.setPos(_LEFT_PX, 1)
        self.setZValue(70)
        self.setAcceptedMouseButtons(QtCore.Qt.MouseButton.NoButton)
        self._html = ""

    def stand(self, *, below: bool) -> None:
        """Take the lower corner, or the upper one."""
        self.setPos(_LEFT_PX, self._box.height() - LINE_PX - EDGES_PX if below else 1.0)

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


def around(height_px: float, lines: int = 0) -> tuple[float, float]:
    """Return the room below and above the values of a pane, as shares of the height they are left.

    It is enough for the labels of their extremes on the axis, and above them for a caption of so many lines.
    """
    margin = min(_MARGIN_PX, _MARGIN * height_px)
    above = min(lines * LINE_PX + EDGES_PX + 3.0, height_px / 2) if lines else margin
    left = max(height_px - margin - above, 1.0)
    return margin / left, above / left
