"""The scene: finplot's window with its linked panes, crosshair and captions; what is in the panes, subclasses say."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from PyQt6 import QtCore

from nt_run.chart import theme
from nt_run.chart.axes import Tag
from nt_run.chart.bars import Bars
from nt_run.chart.focus import Span
from nt_run.chart.header import Header, Heading
from nt_run.chart.items import Grid
from nt_run.chart.panes import PaneSpec, dress
from nt_run.chart.plates import Caption
from nt_run.chart.qt import application, font, fplt
from nt_run.chart.window import ChartWindow, set_theme
from nt_run.model import format_time


class Stage:
    """Panes over one time axis in a window that is not shown yet.

    Args:
        heading: What the header and the title of the window say.
        bars: The time axis.
        specs: The panes from top to bottom.
        size: Width and height of the window in pixels.
    """

    def __init__(self, heading: Heading, bars: Bars, specs: list[PaneSpec], size: tuple[int, int]) -> None:
        self.app = application()
        self.app.setFont(font())
        set_theme()
        self.bars, self.specs = bars, specs
        self.window = ChartWindow(heading.window_title, size)
        self.header = Header(heading)
        self.plots: list[Any] = fplt.create_plot_widget(master=self.window, rows=len(specs))
        self._lay_out()
        self.panes = [dress(plot, spec, bars) for plot, spec in zip(self.plots, specs, strict=True)]
        for pane in self.panes:
            Grid(pane)
        self.fill()
        self.captions = [Caption(plot.vb) for plot in self.plots]
        self._tags = [Tag(plot, "right", theme.TAG, theme.TEXT) for plot in self.plots]
        self._time_tag = Tag(self.plots[-1], "bottom", theme.TAG, theme.TEXT)
        self._link_crosshair()
        self._row: int | None = len(bars.slot) - 1
        # In place before the first paint, which tells the captions the level of the candles.
        fplt.refresh()
        for plot in self.plots:
            # Now, and not within the paint, where moving the pane would ask for another one.
            plot.vb.sigRangeChanged.connect(_place)
        for change in (self.plots[0].vb.sigXRangeChanged, self.plots[0].vb.sigResized):
            change.connect(self._again)
        for place, plot in enumerate(self.plots):
            plot.vb.datasrc.room, plot.vb.datasrc.reach = partial(self.room, place), partial(self.reach, place)
            # The room depends on the height of the pane.
            plot.vb.sigResized.connect(_fit)
        self.caption(self._row)

    has_trades = False
    """Whether there are trades to go from one to the next."""

    def fill(self) -> None:
        """Put into the panes what they show."""
        raise NotImplementedError

    def step_trade(self, step: int) -> None:
        """Go to the next (1) or previous (−1) trade, where there are trades."""

    def caption(self, row: int | None) -> None:
        """Let every pane tell of the bar in `row`, or that there is none."""
        self._row = row
        for place, plate in enumerate(self.captions):
            plate.say(self.told(place, row))
            if self.specs[place].caption_below:
                view = self.panes[place].view()
                # What hangs low at the left leaves the upper corner free.
                plate.stand(below=not self.specs[place].lows[view.start] < (view.bottom + view.top) / 2)

    def told(self, place: int, row: int | None) -> str:
        """Return what the pane at `place` says of a bar, as rich text."""
        caption = self.specs[place].caption
        return "" if caption is None or row is None else caption(row)

    def row_at(self, slot: float) -> int | None:
        """Return the row of the bar at a place, `None` in a hole."""
        row = self.bars.row(slot)
        return row if self.bars.slot[row] >= math.floor(slot) else None

    def room(self, place: int, first: int, last: int) -> tuple[float, float]:
        """Return the room below and above the values of a pane, as shares of the height they take.

        Args:
            place: Which pane.
            first: The first slot that is visible.
            last: The last one.
        """
        raise NotImplementedError

    def reach(self, place: int, first: int, last: int, low: float, high: float) -> tuple[float, float]:  # noqa: ARG002 – for panes that show more than their bars
        """Return the lowest and highest value to be seen in a pane, given those of its bars from slot to slot."""
        return low, high

    def look_at(self, span: Span) -> None:
        """Show a stretch of the time axis, with the heights that belong to it, and tell of its last bar."""
        last = self.bars.slots - 0.5
        right = last + theme.RIGHT_MARGIN if span.right >= last else span.right
        self.plots[0].vb.update_y_zoom(span.left, right)
        self.unstretch()
        self.rest()

    def unstretch(self) -> None:
        """Give every pane the height that belongs to what it shows, however it was stretched by hand."""
        for plot in self.plots:
            plot.vb.v_zoom_scale = 1.0
            plot.vb.update_y_zoom()

    def rest(self) -> None:
        """Put the crosshair away until the mouse moves again, and tell of the last bar that is shown."""
        for plot in self.plots:
            cross = plot.crosshair
            cross.vline.hide()
            cross.hline.hide()
            # The same place counts as another one.
            cross.clamp_x = math.nan
        for tag in (*self._tags, self._time_tag):
            tag.hide()
        self.caption(self.bars.row(min(self.visible().right, self.bars.slots - 0.5) - 0.5))

    def visible(self) -> Span:
        """Return the stretch of the time axis that is shown."""
        rect: QtCore.QRectF = self.plots[0].vb.viewRect()
        return Span(rect.left(), rect.right())

    def _again(self, *_: object) -> None:
        self.caption(self._row)

    def _lay_out(self) -> None:
        self.window.addItem(self.header, row=0, col=1)
        for place, plot in enumerate(self.plots):
            self.window.addItem(plot, row=place + 1, col=1)
        self.window.fit_header = self.header.fit
        self.window.weights = [spec.weight for spec in self.specs]

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
                moment = format_time(self.bars.time_ms(x))
                self._time_tag.show_at(x, f"{moment} UTC")
                self.caption(self.row_at(x))
            return "", ""

        return follow


def _fit(box: Any, *_: object) -> None:  # noqa: ANN401 – untyped vendor
    box.update_y_zoom()


def _place(box: Any, *_: object) -> None:  # noqa: ANN401 – untyped vendor
    box.prepareForPaint()
