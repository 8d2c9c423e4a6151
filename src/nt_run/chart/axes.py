"""The axes of a pane and the tags on them: last price, values under the crosshair."""

from collections.abc import Callable, Sequence
from typing import Any, override

from PyQt6 import QtCore, QtGui, QtWidgets

from nt_run.chart import theme
from nt_run.chart.bars import Bars
from nt_run.chart.qt import NO_PEN, colour, font, pen, pg
from nt_run.chart.ticks import time_label, time_ticks, value_label, value_step, value_ticks

PER_CENT = 0.01
"""Unit of an axis whose values are fractions and shown as per cent."""
_TALL_PX = 250
_LABEL_PX = 56.0
_LOW_LABEL_PX = 32.0
_LEAST_LABEL_PX = 16.0
"""Room for each label of a tall pane, of a low one, and at least."""
_GLYPHS_PX = 8.0
"""Height of figures."""
_BORDER_PX = 5.0
"""Labels closer to the border of a pane would touch those of the next one."""
_TAG_PX = 18.0

_AxisItem: Any = pg.AxisItem


class TimeAxis(_AxisItem):
    """Labels at round UTC times: hours inside a day, dates at midnight, years at new year."""

    def __init__(self, bars: Bars) -> None:
        _AxisItem.__init__(self, orientation="bottom")
        self._bars = bars
        _dress(self)
        self.setStyle(tickLength=0, tickTextOffset=4)

    def places(self, left: float, right: float, width_px: float) -> list[float]:
        """Return the labelled slots between `left` and `right`."""
        start, end = max(left, -0.5), min(right, self._bars.slots - 0.5)
        share = (end - start) / max(right - left, 1e-9)
        ticks = time_ticks(self._bars.time_ms(start), self._bars.time_ms(end), width_px * share)
        return [place for tick in ticks if start <= (place := self._bars.place(tick)) <= end]

    def tickValues(self, minVal: float, maxVal: float, size: float) -> list[tuple[float, list[float]]]:  # noqa: N802, N803 – pyqtgraph's names
        """Return the places of labels, as pyqtgraph asks for them."""
        return [(0.0, self.places(minVal, maxVal, size))]

    def tickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:  # noqa: ARG002, N802 – pyqtgraph's names
        """Return what the labels say, as pyqtgraph asks for it."""
        return [time_label(self._bars.time_ms(value)) for value in values]


class ValueAxis(_AxisItem):
    """Labels at round values, none across the border of the pane.

    Args:
        unit: How many values make one of the axis (`PER_CENT` for fractions).
        finest: The smallest difference of values that means anything; labels are no closer.
    """

    def __init__(self, unit: float = 1.0, finest: float = 0.0) -> None:
        _AxisItem.__init__(self, orientation="right")
        self._unit = unit
        self._finest = finest / unit
        self._step = 0.0
        self._place_px: Callable[[float], float] = lambda _value: 0.0
        self._height_px = 0.0
        self._taken: float | None = None
        _dress(self)
        self.setStyle(tickLength=0, tickTextOffset=6, autoExpandTextSpace=False, autoReduceTextSpace=False)
        self.setWidth(theme.VALUE_AXIS_PX)

    def places(self, bottom: float, top: float, height_px: float) -> list[float]:
        """Return the labelled values between `bottom` and `top`."""
        low, high = bottom / self._unit, top / self._unit
        room = _LABEL_PX if height_px > _TALL_PX else min(_LOW_LABEL_PX, max(height_px / 3, _LEAST_LABEL_PX))
        found: list[float] = []
        # One label alone gives no measure: rather two that stand close.
        for each in (room, _LEAST_LABEL_PX):
            step = value_step(low, high, height_px, each)
            self._step = max(step, self._finest) if step else 0.0
            found = value_ticks(low, high, self._step)
            if len(found) > 1:
                break
        return [value * self._unit for value in found]

    def tickValues(self, minVal: float, maxVal: float, size: float) -> list[tuple[float, list[float]]]:  # noqa: N802, N803 – pyqtgraph's names
        """Return the places of labels, as pyqtgraph asks for them."""
        self._height_px, per_value = size, size / max(maxVal - minVal, 1e-300)
        self._place_px = lambda value: (value - minVal) * per_value
        return [(0.0, self.places(minVal, maxVal, size))]

    def tickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:  # noqa: ARG002, N802 – pyqtgraph's names
        """Return what the labels say, as pyqtgraph asks for it; nothing where they would lie over others."""
        sign = "%" if self._unit == PER_CENT else ""
        labels = [value_label(value / self._unit, self._step) + sign for value in values]
        return [label if self._is_free(value) else "" for value, label in zip(values, labels, strict=True)]

    def keep_free(self, value: float) -> None:
        """Have no label where a tag stands."""
        self._taken = value

    def _is_free(self, value: float) -> bool:
        place = self._place_px(value)
        if self._taken is not None and abs(place - self._place_px(self._taken)) < (_TAG_PX + _GLYPHS_PX) / 2:
            return False
        return _BORDER_PX <= place <= self._height_px - _BORDER_PX


class Tag(QtWidgets.QGraphicsObject):
    """A filled label on an axis at `place`, a value of the axis; invisible where the axis does not reach.

    Args:
        plot: finplot's plot the axis belongs to.
        side: `right` for values, `bottom` for times.
        fill: Colour behind the text.
        ink: Colour of the text.
    """

    def __init__(self, plot: Any, side: str, fill: str, ink: str) -> None:  # noqa: ANN401 – untyped vendor
        self._axis: Any = plot.getAxis(side)
        super().__init__(self._axis)
        self._box: Any = plot.vb
        self._upright = side == "right"
        self._fill, self._ink = fill, ink
        self._place, self._text = 0.0, ""
        self.setZValue(60)
        self._box.sigRangeChanged.connect(self._moved)

    def show_at(self, place: float, text: str) -> None:
        """Say `text` at `place`."""
        self._place, self._text = place, text
        self.setVisible(True)
        self._moved()

    def _moved(self, *_: object) -> None:
        self.prepareGeometryChange()
        self.update()

    @override
    def boundingRect(self) -> QtCore.QRectF:
        size: QtCore.QSizeF = self._axis.size()
        return QtCore.QRectF(-_TAG_PX * 5, -_TAG_PX, size.width() + _TAG_PX * 10, size.height() + 2 * _TAG_PX)

    @override
    def paint(
        self,
        painter: QtGui.QPainter | None,
        option: QtWidgets.QStyleOptionGraphicsItem | None,
        widget: QtWidgets.QWidget | None = None,
    ) -> None:
        view: QtCore.QRectF = self._box.viewRect()
        size: QtCore.QSizeF = self._axis.size()
        if painter is None or not self._text or not view.width() or not view.height():
            return
        painter.setFont(font(theme.SMALL_PX))
        if self._upright:
            y = size.height() * (view.bottom() - self._place) / view.height()
            if not 0 <= y <= size.height():
                return
            box = QtCore.QRectF(1, y - _TAG_PX / 2, size.width() - 6, _TAG_PX)
        else:
            x = size.width() * (self._place - view.left()) / view.width()
            width = QtGui.QFontMetricsF(painter.font()).horizontalAdvance(self._text) + 14
            left = min(max(x - width / 2, 0.0), size.width() - width)
            box = QtCore.QRectF(left, 2, width, _TAG_PX)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.setPen(NO_PEN)
        painter.setBrush(colour(self._fill))
        painter.drawRoundedRect(box, 2, 2)
        painter.setPen(colour(self._ink))
        painter.drawText(box, QtCore.Qt.AlignmentFlag.AlignCenter, self._text)


def _dress(axis: Any) -> None:  # noqa: ANN401 – untyped vendor
    axis.setStyle(tickFont=font(theme.SMALL_PX))
    axis.setTextPen(colour(theme.DIM))
    axis.setPen(pen(theme.BORDER))
    axis.setTickPen(colour(theme.GRID))
    axis.setEnabled(False)
