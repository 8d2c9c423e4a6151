"""One run on the stage: candles with volume, averages, bands and trades; position, equity, drawdown, funding."""

import math
from typing import override

import numpy as np

from nt_run.chart import captions, theme
from nt_run.chart.axes import Tag
from nt_run.chart.crowd import Crowd
from nt_run.chart.flows import Diamonds, Payments, Steps
from nt_run.chart.focus import Focus, find_span, next_trade, trade_span
from nt_run.chart.header import Heading
from nt_run.chart.items import VOLUME, Band, Candles, Curve, Overlay, Pane, Stroke, View
from nt_run.chart.lane import Lane
from nt_run.chart.legend import legend
from nt_run.chart.levels import Floats, Level
from nt_run.chart.marks import Marks
from nt_run.chart.panes import add_line, pane_specs
from nt_run.chart.plates import EDGES_PX, LINE_PX, around, text_width
from nt_run.chart.published import PRICE, PlotPane
from nt_run.chart.qt import pen
from nt_run.chart.rails import Rails
from nt_run.chart.shades import Holes, Spotlight, Stripes
from nt_run.chart.stage import Stage
from nt_run.chart.view import ChartData

_AIR_PX, _AIR = 14.0, 0.04
"""Air above and below the candles, in pixels and at most as a share of the pane."""
_CAPTION_FROM_PX = 80.0
"""In a lower pane of equity the caption lies over the curve."""
_PLATE_PX = 20.0
"""What a caption's lines leave free of the width of a pane."""
_NEAR, _OWN = 0.2, 1.5
"""How far beyond the candles, as shares of their height, bands and waiting orders are still shown: any, and those of
the trade one has asked for."""
_LEAST_PX = 60.0
_LEAST_CANDLES = 0.4
"""Candles have this share of the height whatever else needs room."""


class RunStage(Stage):
    """A run in a window that is not shown yet; `focus` is what it shows first."""

    def __init__(self, data: ChartData, size: tuple[int, int], focus: Focus | None = None) -> None:
        self.data = data
        self.has_trades = len(data.trades.entry_slot) > 0
        self.pyramid = data.bars.pyramid()
        self.trade: int | None = None
        heading = Heading(data.title, data.subtitle, data.stats, demo=data.demo)
        super().__init__(heading, data.bars, pane_specs(data), size)
        if focus is not None:
            self.look_at(find_span(data, focus))
            if focus.trade is not None:
                self.show_trade(focus.trade)

    def show_trade(self, number: int) -> None:
        """Go to a trade by its number, counted from 1, light it up, and tell of it.

        Raises:
            ChartError: The run has no trade of that number.
        """
        span = trade_span(self.data, number)
        self.trade = number
        trades = self.data.trades
        self._spotlight.turn_to(float(trades.entry_slot[number - 1]), float(trades.exit_slot[number - 1]))
        self.look_at(span)
        self.caption(self.bars.row(float(trades.exit_slot[number - 1])))

    @override
    def step_trade(self, step: int) -> None:
        number = next_trade(self.data, self.trade, self.visible(), step)
        if number is not None:
            self.show_trade(number)

    @override
    def row_at(self, slot: float) -> int | None:
        row, level = self.bars.row(slot), self._level(self.panes[0].view())
        # A hole inside of a candle is covered by it.
        last = level.last[level.place(row)]
        return row if self.bars.slot[last] >= math.floor(slot) else None

    @override
    def told(self, place: int, row: int | None) -> str:
        view = self.panes[0].view()
        if row is not None and self.panes[place] is self._equity:
            marked = len(self._diamonds.between(view.left, view.right)) > 0
            return captions.equity_caption(self.data, row, marked=marked)
        return super().told(place, row) if place else self._price_told(view, row)

    def _level(self, view: View) -> Level:
        return self.pyramid.level(self.pyramid.pick(view.right - view.left, view.width_px))

    def _price_told(self, view: View, row: int | None) -> str:
        parts = self._price_parts(view, row)
        if _is_low(view) and self.trade is None:
            # Its only line is for the bar, but for a trade one has asked for.
            parts[3] = ""
        return "<br>".join(captions.lay_out(parts, view.width_px - _PLATE_PX, text_width, low=_is_low(view)))

    def _price_parts(self, view: View, row: int | None) -> list[str]:
        sight = self.crowd.between(view.left, view.right, view.size_px)
        marks = legend(self.data, (view.left, view.right), sight, self._rails.kinds(view.left, view.right))
        return captions.price_caption(self.data, row, marks, level=self._level(view), trade=self.trade)

    @override
    def room(self, place: int, first: int, last: int) -> tuple[float, float]:
        view = self.panes[place].view()._replace(left=first - 0.5, right=last + 0.5)
        if place == 0:
            return self._price_room(view)
        has_caption = self.panes[place] is self._equity and view.height_px >= _CAPTION_FROM_PX
        return around(view.height_px, int(has_caption))

    @override
    def reach(self, place: int, first: int, last: int, low: float, high: float) -> tuple[float, float]:
        if place:
            return low, high
        near = [self._rails.orders(first, last), *self._drawn_bands(first, last)]
        low, high = _stretched(low, high, _NEAR, *near)
        trades, asked = self.data.trades, self.trade
        if asked is not None and trades.entry_slot[asked - 1] <= last and trades.exit_slot[asked - 1] >= first:
            entry, leave = float(trades.entry_slot[asked - 1]), float(trades.exit_slot[asked - 1])
            # What begins to wait at the exit already belongs to the trade after it.
            own = self.data.lines.orders(entry, max(leave - 1, entry))
            low, high = _stretched(low, high, _OWN, own)
        return low, high

    def _drawn_bands(self, first: int, last: int) -> list[Floats]:
        lines, rows = self.data.overlays, slice(*np.searchsorted(self.bars.slot, (first, last + 1)))
        if lines is None or self.pyramid.pick(last - first + 1, self.panes[0].view().width_px) >= theme.DETAIL_FACTOR:
            return []
        return [lines.bands.lower[rows], lines.bands.upper[rows]]

    def _price_room(self, view: View) -> tuple[float, float]:
        """Leave room for volume and lane below the candles and for the caption above them."""
        height = max(view.height_px, _LEAST_PX)
        air = min(_AIR_PX, _AIR * height)
        sight = self.crowd.between(view.left, view.right, view.size_px)
        below = VOLUME * height + air + self._lane.height_px(sight.detail, height)
        parts = self._price_parts(view, self.bars.row(view.right))
        if sight.trades.stop > sight.trades.start:
            # Also where the last bar has no trade: the candles stay where they are when the crosshair finds one.
            parts[3] = captions.trade_line(self.data, sight.trades.stop - 1)
        lines = captions.lay_out(parts, view.width_px - _PLATE_PX, text_width, low=_is_low(view))
        above = len(lines) * LINE_PX + EDGES_PX + air
        candles = max(height - below - above, _LEAST_CANDLES * height)
        return below / candles, above / candles

    @override
    def fill(self) -> None:
        self._fill_price(self.panes[0])
        self._fill_account()
        for pane in self.panes:
            Holes(pane)
            Stripes(pane, self.data.ambiguous, theme.DOUBT)
        self._spotlight = Spotlight(self.panes[0])

    def _fill_price(self, pane: Pane) -> None:
        lines, bars, pyramid = self.data.overlays, self.data.bars, self.pyramid
        self.candles = Candles(pane, pyramid)
        if lines is not None:
            Band(pane, pyramid, (lines.bands.lower, lines.bands.upper), theme.BANDS)
            Overlay(pane, pyramid, lines.bands.middle, Stroke(theme.BANDS, 1.0, alpha=110))
            Overlay(pane, pyramid, lines.slow, Stroke(theme.SLOW, 1.6))
            Overlay(pane, pyramid, lines.fast, Stroke(theme.FAST, 1.6))
        if self.data.price_plot is not None:
            self._fill_plot(pane, self.data.price_plot)
        self._rails = Rails(pane, self.data.lines)
        self.crowd = Crowd(self.data.fills, self.data.trades)
        self._lane = Lane(pane, self.data.fills, self.data.trades, self.crowd)
        Marks(pane, self.data.fills, self.data.trades, self.crowd)
        last = float(bars.close[-1])
        name = theme.RISE if last >= bars.open[-1] else theme.FALL
        add_line(pane.plot, last, pen(name, 1, 150, (2, 3)))
        tag = Tag(pane.plot, "right", name, theme.BACKGROUND)
        tag.show_at(last, f"{last:,.{self.data.price_decimals}f}")
        pane.plot.getAxis("right").keep_free(last)

    def _fill_plot(self, pane: Pane, plot: PlotPane) -> None:
        # The first line lies on top of the others.
        for line in reversed(plot.lines):
            name = theme.plot_colour(line.colour)
            if line.is_level:
                add_line(pane.plot, float(line.values[0]), pen(name, 1, 150, (4, 3)))
            else:
                Overlay(pane, self.pyramid, line.values, Stroke(name, 1.6), lasting=plot.name != PRICE)

    def _fill_account(self) -> None:
        account, funding, own = self.data.account, self.data.funding, self.data.own_panes
        for pane, plot in zip(self.panes[1:], own, strict=False):
            self._fill_plot(pane, plot)
        position, equity, drawdown, *rest = self.panes[1 + len(own) :]
        Steps(position, account.position)
        Curve(equity, account.equity, Stroke(theme.EQUITY, 1.7, base=account.start, fill=34))
        add_line(equity.plot, account.start, pen(theme.GRID, 1, 110, (3, 4)))
        self._equity, self._diamonds = equity, Diamonds(equity, funding, account.equity)
        Curve(drawdown, account.drawdown, Stroke(theme.DRAWDOWN, 1.3, base=0.0, fill=60))
        for pane in rest:
            Payments(pane, funding)


def _stretched(low: float, high: float, share: float, *values: Floats) -> tuple[float, float]:
    """Return `low` and `high` moved out to values beyond them, but for those farther off than a share of the span."""
    limit = share * (high - low)
    for each in values:
        close = each[(each >= low - limit) & (each <= high + limit)]
        low, high = min(low, close.min(initial=low)), max(high, close.max(initial=high))
    return float(low), float(high)


def _is_low(view: View) -> bool:
    return view.height_px < theme.LOW_PX
