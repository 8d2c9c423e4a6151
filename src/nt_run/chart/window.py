"""finplot's window, made to our measures."""

from collections.abc import Callable
from typing import Any

from PyQt6 import QtGui, QtWidgets

from nt_run.chart import theme
from nt_run.chart.qt import colour, fplt, pg

_MARGINS = (6, 2, 4, 2)

_Window: Any = fplt.FinWindow


class ChartWindow(_Window):
    """finplot's window with a header, panes whose heights keep their proportions, and keys that always work."""

    def __init__(self, title: str, size: tuple[int, int]) -> None:
        fplt.winx, fplt.winy, (fplt.winw, fplt.winh) = 0, 0, size
        self.weights: list[float] = []
        self.fit_header: Callable[[float], int] | None = None
        """Lays the header out over a width and returns its height."""
        self.keys: Callable[[QtGui.QKeyEvent], bool] | None = None
        """Sees every key first and says whether it was meant; finplot has the others."""
        self.double_click: Callable[[], None] = lambda: None
        _Window.__init__(self, title)
        self.show_maximized = False
        self.ci.setContentsMargins(*_MARGINS)

    def close(self) -> bool:
        """Go from the screen; finplot's version empties the scene at once, under the key event that asked for it."""
        self.closing = True
        return QtWidgets.QWidget.close(self)

    def take_down(self) -> None:
        """Free the scene; no event of it may be under way."""
        _Window.close(self)
        self.deleteLater()

    def keyPressEvent(self, ev: QtGui.QKeyEvent | None) -> None:  # noqa: N802 – Qt's name
        """Give a key to ours, or to finplot: to the pane that was clicked last, or the first one."""
        if ev is None or self.closing or (self.keys is not None and self.keys(ev)):
            return
        if self.scene().focusItem() is None:
            self.axs[0].vb.keyPressEvent(ev)
        else:
            _Window.keyPressEvent(self, ev)

    def mouseDoubleClickEvent(self, ev: QtGui.QMouseEvent | None) -> None:  # noqa: N802 – Qt's name
        """Do what a double click is for, also where the scene makes a click of it."""
        super(_Window, self).mouseDoubleClickEvent(ev)
        if not self.closing:
            self.double_click()

    def resizeEvent(self, ev: QtGui.QResizeEvent | None) -> None:  # noqa: N802 – Qt's name
        """Share the height out by weight; finplot's own shares have a floor of 50 pixels a pane."""
        # Called without an event by pyqtgraph's constructor, before there is anything to share out.
        if ev is not None and not self.closing:
            self._share_out()
        # Last, as it lays the panes out, which cannot become smaller than the shares they have. finplot's version is
        # left out on purpose, pyqtgraph's is not.
        super(_Window, self).resizeEvent(ev)

    def _share_out(self) -> None:
        header = (
            theme.HEADER_PX if self.fit_header is None else self.fit_header(self.width() - _MARGINS[0] - _MARGINS[2])
        )
        fixed = header + theme.TIME_AXIS_PX + _MARGINS[1] + _MARGINS[3] + len(self.weights)
        free = max(self.height() - fixed, 1)
        for place, (plot, weight) in enumerate(zip(self.axs, self.weights, strict=False)):
            own = theme.TIME_AXIS_PX if place == len(self.weights) - 1 else 0
            plot.setMinimumHeight(free * weight / sum(self.weights) + own)


def set_theme() -> None:
    """Set finplot's globals; it reads them at different times, most of them while it builds the panes."""
    fplt.foreground, fplt.background, fplt.odd_plot_background = theme.TEXT, theme.BACKGROUND, theme.BACKGROUND
    # finplot passes these on with the first pane, which is too late for the window.
    pg.setConfigOptions(foreground=theme.TEXT, background=theme.BACKGROUND)
    fplt.cross_hair_color = colour(theme.CROSSHAIR, 130)
    fplt.y_label_width = theme.VALUE_AXIS_PX
    fplt.right_margin_candles = theme.RIGHT_MARGIN
    fplt.display_timezone = fplt.timezone.utc
    fplt.clamp_grid = True
