"""A stage on the screen or in a picture."""

import signal
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from PyQt6 import QtCore, QtGui

from nt_run.chart import theme
from nt_run.chart.compare import Comparison
from nt_run.chart.compare_stage import CompareStage
from nt_run.chart.focus import Focus
from nt_run.chart.keys import Keys
from nt_run.chart.qt import application, colour, fplt
from nt_run.chart.run_stage import RunStage
from nt_run.chart.stage import Stage
from nt_run.chart.view import ChartData

WINDOW_SIZE = (1600, 900)
_FRAME_PX = 40
"""What the frame of a window with its title takes of the height of a screen."""
_HINT = "?  keys"
_SIGNAL_MS = 200
"""How often Python gets a turn in Qt's loop, to notice Ctrl-C."""


def build(subject: ChartData | Comparison, size: tuple[int, int], focus: Focus | None = None) -> Stage:
    """Return the stage of a run or of several.

    Raises:
        ChartError: There is no such trade, or no bar in the range.
    """
    if isinstance(subject, Comparison):
        return CompareStage(subject, size, focus)
    return RunStage(subject, size, focus)


def show(subject: ChartData | Comparison, focus: Focus | None) -> None:
    """Open the scene in a window and return when it is closed; Ctrl-C in the terminal closes it."""
    with staged(build(subject, _window_size(), focus)) as stage:
        stage.header.hint = _HINT
        stage.window.keys = Keys(stage)
        stage.window.double_click = stage.unstretch
        interrupted: list[int] = []

        def look() -> None:
            if interrupted:
                stage.window.close()

        # The signal can arrive in the middle of a paint: it only leaves a note, which the timer reads between events.
        # Running the timer's Python is also what lets Python see a signal at all.
        before = signal.signal(signal.SIGINT, lambda number, _: interrupted.append(number))
        timer = QtCore.QTimer()
        timeout: Any = timer.timeout
        timeout.connect(look)
        timer.start(_SIGNAL_MS)
        try:
            stage.window.show()
            stage.app.exec()
        finally:
            timer.stop()
            signal.signal(signal.SIGINT, before)


def _window_size() -> tuple[int, int]:
    """Return the size of a new window, in pixels: no larger than the screen has room for."""
    application()
    screen = QtGui.QGuiApplication.primaryScreen()
    if screen is None:
        return WINDOW_SIZE
    free = screen.availableGeometry()
    return min(WINDOW_SIZE[0], free.width()), min(WINDOW_SIZE[1], free.height() - _FRAME_PX)


def render(subject: ChartData | Comparison, size: tuple[int, int], scale: float, focus: Focus | None) -> bytes:
    """Return the scene as a PNG of `size` × `scale` pixels; the same data gives the same bytes."""
    with staged(build(subject, size, focus)) as stage:
        image = picture(stage, size, scale)
        buffer = QtCore.QBuffer()
        buffer.open(QtCore.QIODevice.OpenModeFlag.WriteOnly)
        image.save(buffer, "PNG")
        return buffer.data().data()


def picture(stage: Stage, size: tuple[int, int], scale: float) -> QtGui.QImage:
    """Return the scene as it stands, without a screen, `size` × `scale` pixels large."""
    window = stage.window
    window.setAttribute(QtCore.Qt.WidgetAttribute.WA_DontShowOnScreen)
    window.show()
    window.resize(*size)
    stage.app.processEvents()
    width, height = (round(side * scale) for side in size)
    image = QtGui.QImage(width, height, QtGui.QImage.Format.Format_RGB32)
    image.setDevicePixelRatio(scale)
    image.fill(colour(theme.BACKGROUND))
    painter = QtGui.QPainter(image)
    painter.setRenderHint(QtGui.QPainter.RenderHint.TextAntialiasing)
    # Both rectangles are told: by default the target would be the physical pixels, scaled a second time.
    window.render(painter, QtCore.QRectF(0, 0, *size), window.viewport().rect())
    painter.end()
    return image


@contextmanager
def staged[S: Stage](stage: S) -> Generator[S]:
    """Give a stage that is taken down at the end, whatever happens."""
    try:
        yield stage
    finally:
        # finplot keeps every window in its globals until it is told to forget them.
        fplt.close()
        stage.window.take_down()
        stage.app.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete.value)
