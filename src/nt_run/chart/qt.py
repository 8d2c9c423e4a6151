"""The door to the vendors of the screen: finplot, pyqtgraph and Qt, and the few strokes everything is drawn with.

Importing this module imports Qt: only after `display` has decided that it can. finplot and pyqtgraph are untyped; they
pass this door as explicit `Any`.
"""

import importlib
import warnings
from collections.abc import Sequence
from importlib import resources
from typing import Any

import numpy as np
from PyQt6 import QtCore, QtGui, QtWidgets

from nt_run.chart import theme
from nt_run.chart.levels import Floats

FAMILY = "nt-run Inter"
"""The bundled font under a name of its own, so that an installed Inter of another version is never taken for it."""
_FONTS = ("Inter-Regular.ttf", "Inter-SemiBold.ttf")
_LINE = 4
"""Numbers in a QLineF and in a QRectF."""
_ALL = slice(None)

NO_PEN = QtCore.Qt.PenStyle.NoPen
NO_BRUSH = QtCore.Qt.BrushStyle.NoBrush
SMOOTH = QtGui.QPainter.RenderHint.Antialiasing


def _vendors() -> tuple[Any, Any]:
    with warnings.catch_warnings():
        # finplot asks for the locale in a way deprecated since Python 3.11.
        warnings.filterwarnings("ignore", message=".*getdefaultlocale.*", category=DeprecationWarning)
        pandas: Any = importlib.import_module("pandas")
        backend = pandas.options.plotting.backend
        finplot: Any = importlib.import_module("finplot")
        # finplot makes itself the backend of pandas' plots for the whole process: undo that.
        pandas.set_option("plotting.backend", backend)
    return finplot, importlib.import_module("pyqtgraph")


fplt, pg = _vendors()
_internals: Any = importlib.import_module("pyqtgraph.Qt.internals")
_lines: Any = _internals.PrimitiveArray(QtCore.QLineF, _LINE)
_rects: Any = _internals.PrimitiveArray(QtCore.QRectF, _LINE)


def application() -> QtWidgets.QApplication:
    """Return the application of this process, made if need be, with the bundled font known to it."""
    app: QtWidgets.QApplication = pg.mkQApp("nt-run")
    if FAMILY not in QtGui.QFontDatabase.families():
        folder = resources.files("nt_run.chart") / "fonts"
        for name in _FONTS:
            QtGui.QFontDatabase.addApplicationFontFromData(QtCore.QByteArray((folder / name).read_bytes()))
    return app


def font(pixels: int = theme.FONT_PX, *, strong: bool = False) -> QtGui.QFont:
    """Return the bundled font with figures of one width; unhinted, so that every machine draws the same."""
    made = QtGui.QFont(FAMILY)
    made.setPixelSize(pixels)
    made.setWeight(QtGui.QFont.Weight.DemiBold if strong else QtGui.QFont.Weight.Normal)
    made.setHintingPreference(QtGui.QFont.HintingPreference.PreferNoHinting)
    made.setStyleStrategy(QtGui.QFont.StyleStrategy.NoSubpixelAntialias)
    made.setFeature(QtGui.QFont.Tag("tnum"), 1)
    return made


def colour(name: str, alpha: int = 255) -> QtGui.QColor:
    """Return a colour of the theme, `alpha` 255 opaque."""
    made = QtGui.QColor(name)
    made.setAlpha(alpha)
    return made


def pen(name: str, width: float = 1.0, alpha: int = 255, dash: Sequence[float] = ()) -> QtGui.QPen:
    """Return a pen whose width, in pixels, does not follow the zoom."""
    made = QtGui.QPen(colour(name, alpha), width)
    made.setCosmetic(True)
    if dash:
        typed: Any = made  # the stubs leave the type of the pattern open
        typed.setDashPattern(list(dash))
    return made


def draw_lines(painter: QtGui.QPainter, x0: Floats, y0: Floats, x1: Floats, y1: Floats) -> None:
    """Draw separate lines in one call; arrays of one shape (n,)."""
    if len(x0):
        _fill(_lines, x0, y0, x1, y1)
        painter.drawLines(*_lines.drawargs())


def draw_rects(painter: QtGui.QPainter, left: Floats, bottom: Floats, width: Floats, height: Floats) -> None:
    """Draw rectangles in one call; arrays of one shape (n,)."""
    if len(left):
        _fill(_rects, left, bottom, width, height)
        painter.drawRects(*_rects.drawargs())


def draw_polyline(painter: QtGui.QPainter, x: Floats, y: Floats) -> None:
    """Draw a line that breaks at NaN, as separate lines: several times faster than a path of many points."""
    both = np.isfinite(y[:-1]) & np.isfinite(y[1:])
    draw_lines(painter, x[:-1][both], y[:-1][both], x[1:][both], y[1:][both])


def path(x: Floats, y: Floats) -> QtGui.QPainterPath:
    """Return a path through the points that breaks at NaN."""
    made: QtGui.QPainterPath = pg.arrayToQPath(x, y, connect="finite")
    return made


def polygon(x: Floats, y: Floats) -> QtGui.QPainterPath:
    """Return a path through all points, which must be finite."""
    made: QtGui.QPainterPath = pg.arrayToQPath(x, y, connect="all")
    return made


def _fill(array: Any, *columns: Floats) -> None:  # noqa: ANN401 – pyqtgraph's own buffer of Qt primitives
    array.resize(len(columns[0]))
    table = array.ndarray()
    for place, column in enumerate(columns):
        table[_ALL, place] = column
