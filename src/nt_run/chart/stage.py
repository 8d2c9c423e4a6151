"""The scene: finplot's window with its linked panes, keys and crosshair, and our own items in them.

`show` opens it as a window, `render` draws the same scene without one.
"""

import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
from PyQt6 import QtCore, QtGui, QtWidgets

from nt_run.chart import captions, theme
from nt_run.chart.axes import Tag
from nt_run.chart.flows import Diamonds, Payments, Steps
from nt_run.chart.items import Band, Candles, Curve, Grid, Overlay, Pane, Stroke
from nt_run.chart.levels import Pyramid
from nt_run.chart.marks import Marks
from nt_run.chart.panes import PaneSpec, add_line, dress, pane_specs
from nt_run.chart.plates import Caption, Header
from nt_run.chart.qt import application, colour, font, fplt, pen, pg
from nt_run.chart.view import ChartData
from nt_run.model import format_time

WINDOW_SIZE = (1600, 900)
_MARGINS = (6, 2, 4, 2)
_SIGNAL_MS = 200
"""How often Python gets a turn in Qt's loop, to notice Ctrl-C."""

_Window: Any = fplt.FinWindow


class ChartWindow(_Window):
    """finplot's window with a header and panes whose heights keep their proportions."""

    def __init__(self, title: str, size: tuple[int, int]) -> None:
        fplt.winx, fplt.winy, (fplt.winw, fplt.winh) = 0, 0, size
        self.weights: list[float] = []
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

    def resizeEvent(self, ev: QtGui.QResizeEvent | None) -> None:  # noqa: N802 – Qt's name
        """Share the height out by weight; finplot's own shares have a floor of 50 pixels a pane."""
        # finplot's version is left out on purpose, pyqtgraph's is not.
        super(_Window, self).resizeEvent(ev)
        if ev is None or self.closing:
            # Called so by pyqtgraph's constructor, before there is anything to share out, and after its end.
            return
        fixed = theme.HEADER_PX + theme.TIME_AXIS_PX + _MARGINS[1] + _MARGINS[3] + len(self.weights)
        free = max(self.height() - fixed, 1)
        for place, (plot, weight) in enumerate(zip(self.axs, self.weights, strict=False)):
            own = theme.TIME_AXIS_PX if place == len(self.weights) - 1 else 0
            plot.setMinimumHeight(free * weight / sum(self.weights) + own)


class Stage:
    """One run on finplot's window, not shown yet."""

    def __init__(self, data: ChartData, size: tuple[int, int]) -> None:
        self.data = data
        self.app = application()
        self.app.setFont(font())
        _set_theme()
        self.window = ChartWindow(captions.window_title(data), size)
        self.specs = pane_specs(data)
        self.plots: list[Any] = fplt.create_plot_widget(master=self.window, rows=len(self.specs))
        self._lay_out()
        self.panes = [dress(plot, spec, data.bars) for plot, spec in zip(self.plots, self.specs, strict=True)]
        self.pyramid = _pyramid(data)
        self.candles = self._fill_price(self.panes[0])
        self._fill_account()
        self.captions = [Caption(plot.vb) for plot in self.plots]
        self._tags = [Tag(plot, "right", theme.TAG, theme.TEXT) for plot in self.plots]
        self._time_tag = Tag(self.plots[-1], "bottom", theme.TAG, theme.TEXT)
        self._link_crosshair()
        self._row = len(data.bars.slot) - 1
        # In place before the first paint, which tells the captions the level of the candles.
        fplt.refresh()
        for change in (self.plots[0].vb.sigXRangeChanged, self.plots[0].vb.sigResized):
            change.connect(self._again)
        self.caption(self._row)

    def caption(self, row: int) -> None:
        """Let every pane tell of the bar in `row`."""
        self._row = row
        view = self.panes[0].view()
        factor = self.pyramid.pick(view.right - view.left, view.width_px)
        level, detailed = self.pyramid.level(factor).name, factor < theme.DETAIL_FACTOR
        for spec, plate in zip(self.specs, self.captions, strict=True):
            if spec.caption is None:
                plate.say(captions.price_caption(self.data, row, level=level, detailed=detailed))
            else:
                plate.say(spec.caption(self.data, row))

    def _again(self, *_: object) -> None:
        self.caption(self._row)

    def _lay_out(self) -> None:
        self.window.addItem(Header(self.data), row=0, col=1)
        for place, plot in enumerate(self.plots):
            self.window.addItem(plot, row=place + 1, col=1)
        self.window.weights = [spec.weight for spec in self.specs]

    def _fill_price(self, pane: Pane) -> Candles:
        lines, bars, pyramid = self.data.overlays, self.data.bars, self.pyramid
        Grid(pane)
        Band(pane, pyramid, (lines.bands.lower, lines.bands.upper), theme.BANDS)
        candles = Candles(pane, pyramid)
        Overlay(pane, pyramid, lines.bands.middle, Stroke(theme.BANDS, 1.0, alpha=110))
        Overlay(pane, pyramid, lines.slow, Stroke(theme.SLOW, 1.6))
        Overlay(pane, pyramid, lines.fast, Stroke(theme.FAST, 1.6))
        Marks(pane, self.data.fills, self.data.trades)
        last = float(bars.close[-1])
        name = theme.RISE if last >= bars.open[-1] else theme.FALL
        add_line(pane.plot, last, pen(name, 1, 150, (2, 3)))
        tag = Tag(pane.plot, "right", name, theme.BACKGROUND)
        tag.show_at(last, f"{last:,.{self.data.price_decimals}f}")
        return candles

    def _fill_account(self) -> None:
        account, funding = self.data.account, self.data.funding
        position, equity, drawdown, *rest = self.panes[1:]
        for pane in self.panes[1:]:
            Grid(pane)
        Steps(position, account.position)
        Curve(equity, account.equity, Stroke(theme.EQUITY, 1.7, base=account.start, fill=34))
        add_line(equity.plot, account.start, pen(theme.GRID, 1, 110, (3, 4)))
        Diamonds(equity, funding, account.equity)
        Curve(drawdown, account.drawdown, Stroke(theme.DRAWDOWN, 1.3, base=0.0, fill=60))
        for pane in rest:
            Payments(pane, funding)

    def _link_crosshair(self) -> None:
        for place, (plot, spec) in enumerate(zip(self.plots, self.specs, strict=True)):
            cross = plot.crosshair
            for part in (cross.vline, cross.hline, cross.xtext, cross.ytext):
                part.hide()
            cross.infos.append(self._follower(place, cross, spec))

    def _follower(self, place: int, cross: Any, spec: PaneSpec) -> Callable[..., tuple[str, str]]:  # noqa: ANN401 – untyped vendor
        def follow(x: float, y: float, *_: str) -> tuple[str, str]:
            cross.vline.show()
            cross.hline.show()
            self._tags[place].show_at(y, spec.text(y))
            if place == len(self.specs) - 1:
                moment = format_time(self.data.bars.time_ms(x))
                self._time_tag.show_at(x, f"{moment} UTC")
                self.caption(self.data.bars.row(x))
            return "", ""

        return follow


def show(data: ChartData) -> None:
    """Open the scene in a window and return when it is closed; Ctrl-C in the terminal closes it."""
    with staged(data, WINDOW_SIZE) as stage:
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


def render(data: ChartData, size: tuple[int, int], scale: float) -> bytes:
    """Return the scene as a PNG of `size` × `scale` pixels; the same data gives the same bytes."""
    with staged(data, size) as stage:
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
def staged(data: ChartData, size: tuple[int, int]) -> Generator[Stage]:
    """Give a scene that is taken down at the end, whatever happens."""
    stage = Stage(data, size)
    try:
        yield stage
    finally:
        # finplot keeps every window in its globals until it is told to forget them.
        fplt.close()
        stage.window.take_down()
        stage.app.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete.value)


def _set_theme() -> None:
    """Set finplot's globals; it reads them at different times, most of them while it builds the panes."""
    fplt.foreground, fplt.background, fplt.odd_plot_background = theme.TEXT, theme.BACKGROUND, theme.BACKGROUND
    # finplot passes these on with the first pane, which is too late for the window.
    pg.setConfigOptions(foreground=theme.TEXT, background=theme.BACKGROUND)
    fplt.cross_hair_color = colour(theme.CROSSHAIR, 130)
    fplt.y_label_width = theme.VALUE_AXIS_PX
    fplt.right_margin_candles = theme.RIGHT_MARGIN
    fplt.display_timezone = fplt.timezone.utc
    fplt.clamp_grid = True


def _pyramid(data: ChartData) -> Pyramid:
    bars = data.bars
    ohlcv = (bars.open, bars.high, bars.low, bars.close, np.nan_to_num(bars.volume))
    return Pyramid(bars.open_ms, ohlcv, bars.interval.name)
