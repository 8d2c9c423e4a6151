"""Keys of the window, and the help that lists them."""

from collections.abc import Callable
from typing import Any, override

from PyQt6 import QtCore, QtGui, QtWidgets

from nt_run.chart import theme
from nt_run.chart.focus import whole_span
from nt_run.chart.qt import SMOOTH, colour, font, pen, pg
from nt_run.chart.stage import Stage

TRADES = ("n  p", "next and previous trade")
"""Keys of a chart that has trades, and what they do."""
HELP = (
    ("← →", "a little back and on"),
    ("Page ↑ ↓", "a window back and on"),
    ("Home  End", "first and last bars"),
    ("+  −", "closer and further, as the wheel does"),
    ("0", "the whole run"),
    ("drag", "move; with the right button: zoom into a box"),
    ("Ctrl wheel", "stretch values; a double click undoes it"),
    ("Ctrl drag", "draw a line; Delete removes it"),
    ("?", "this help"),
    ("q  Esc", "close"),
)
"""Keys of every chart."""
_CLOSER = 0.7
_LITTLE, _WINDOW = 15, 90
"""How far keys move, in per cent of what is visible."""
_ALL = 1e10

_Key = QtCore.Qt.Key
_DRAWING = frozenset((_Key.Key_Delete, _Key.Key_Backspace, _Key.Key_Return, _Key.Key_Enter, _Key.Key_Space))
"""Keys finplot has for lines drawn by hand. Its others, such as turning panes upside down, are for panes it made."""


class Help(QtWidgets.QGraphicsTextItem):
    """The list of keys on a plate in the middle of the window, hidden until asked for."""

    def __init__(self, window: Any, *, has_trades: bool) -> None:  # noqa: ANN401 – untyped vendor
        super().__init__()
        self._window = window
        self.setFont(font(theme.FONT_PX + 1))
        self.setDefaultTextColor(colour(theme.TEXT))
        rows = "".join(
            f"<tr><td style='padding:3px 22px 3px 8px; color:{theme.FAST}'><b>{key}</b></td>"
            f"<td style='padding:3px 12px 3px 0'>{what}</td></tr>"
            for key, what in ((TRADES, *HELP) if has_trades else HELP)
        )
        self.setHtml(f"<table>{rows}</table>")
        self.setZValue(200)
        self.setVisible(False)
        window.scene().addItem(self)

    def toggle(self) -> None:
        """Show it in the middle, or hide it."""
        box = self.boundingRect()
        self.setPos((self._window.width() - box.width()) / 2, (self._window.height() - box.height()) / 2)
        self.setVisible(not self.isVisible())

    @override
    def paint(
        self,
        painter: QtGui.QPainter | None,
        option: QtWidgets.QStyleOptionGraphicsItem | None,
        widget: QtWidgets.QWidget | None = None,
    ) -> None:
        if painter is not None:
            painter.setRenderHint(SMOOTH)
            painter.setPen(pen(theme.GRID, 1, 120))
            painter.setBrush(colour(theme.BACKGROUND, 245))
            painter.drawRoundedRect(self.boundingRect(), 6, 6)
        super().paint(painter, option, widget)


class Keys:
    """What each key does to a stage; called with a key event it returns whether the key was one of ours."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._help = Help(stage.window, has_trades=stage.has_trades)
        self._actions: dict[int, Callable[[], object]] = {
            _Key.Key_N: lambda: stage.step_trade(1),
            _Key.Key_P: lambda: stage.step_trade(-1),
            _Key.Key_Left: lambda: self._pan(percent=-_LITTLE),
            _Key.Key_Right: lambda: self._pan(percent=_LITTLE),
            _Key.Key_PageUp: lambda: self._pan(percent=-_WINDOW),
            _Key.Key_PageDown: lambda: self._pan(percent=_WINDOW),
            _Key.Key_Home: lambda: self._pan(steps=-_ALL),
            _Key.Key_End: lambda: self._pan(steps=_ALL),
            **dict.fromkeys((_Key.Key_Plus, _Key.Key_Equal, _Key.Key_Up), lambda: self._zoom(_CLOSER)),
            **dict.fromkeys((_Key.Key_Minus, _Key.Key_Underscore, _Key.Key_Down), lambda: self._zoom(1 / _CLOSER)),
            _Key.Key_0: lambda: stage.look_at(whole_span(stage.bars)),
            **dict.fromkeys((_Key.Key_Question, _Key.Key_F1), self._help.toggle),
            **dict.fromkeys((_Key.Key_Q, _Key.Key_Escape), self._leave),
        }

    def __call__(self, event: QtGui.QKeyEvent) -> bool:
        """Do what the key of an event stands for; those that stand for nothing are ours, too."""
        held = event.modifiers() & ~(
            QtCore.Qt.KeyboardModifier.ShiftModifier | QtCore.Qt.KeyboardModifier.KeypadModifier
        )
        action = None if held else self._actions.get(event.key())
        if action is not None:
            action()
        return event.key() not in _DRAWING

    def _pan(self, **distance: float) -> None:
        self._stage.plots[0].vb.pan_x(**distance)
        self._stage.rest()

    def _zoom(self, factor: float) -> None:
        box = self._stage.plots[0].vb
        rect: QtCore.QRectF = box.targetRect()
        # At the last bar it stays in view, elsewhere the middle does.
        at_end = rect.right() >= self._stage.bars.slots - 0.5
        centre = rect.right() if at_end else rect.center().x()
        box.zoom_rect(rect, factor, pg.Point(centre, 0))
        self._stage.rest()

    def _leave(self) -> None:
        if self._help.isVisible():
            self._help.toggle()
        else:
            self._stage.window.close()
