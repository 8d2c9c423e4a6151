"""The panes from top to bottom: their data for finplot, their axes, and what they say."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from PyQt6 import QtCore

from nt_run.chart import captions, theme
from nt_run.chart.axes import PER_CENT, TimeAxis, ValueAxis
from nt_run.chart.bars import Bars
from nt_run.chart.items import Pane
from nt_run.chart.levels import Extremes, Floats
from nt_run.chart.qt import colour, fplt, pen, pg
from nt_run.chart.view import ChartData
from nt_run.klines import bar_openings

_pandas: Any = fplt.pd
_DataSource: Any = fplt.PandasDataSource
_FLAT = 1e-5
"""A pane never shows less than this share of its values: beyond it, floats run out of digits for pixels."""
PER_CENT_DECIMALS = 4
"""Decimals of a fraction that make two of a per cent."""


@dataclass(frozen=True, slots=True)
class PaneSpec:
    """One pane: extremes per bar, its share of the height, how its values read.

    `axis_unit` is what counts as 1 on its axis; `caption` is absent where the stage itself knows what to say, and
    may stand at the bottom of what hangs from the top.
    """

    lows: Floats
    highs: Floats
    weight: float
    decimals: int
    caption: Callable[[int], str] | None = None
    axis_unit: float = 1.0
    caption_below: bool = False

    def text(self, value: float) -> str:
        """Return a value of this pane as the tag at the crosshair says it."""
        return f"{value:.2%}" if self.axis_unit == PER_CENT else f"{value:,.{self.decimals}f}"


def pane_specs(data: ChartData) -> list[PaneSpec]:
    """Return the panes of a run; there is one for funding only if there were payments."""
    bars, account = data.bars, data.account
    lows, highs = (pick(account.position, 0.0) for pick in (np.fmin, np.fmax))
    own = [
        PaneSpec(*pane.extremes(), 1.3, pane.decimals, caption=partial(captions.plot_caption, pane))
        for pane in data.own_panes
    ]
    specs = [
        PaneSpec(bars.low, bars.high, 6.2, data.price_decimals),
        *own,
        PaneSpec(lows, highs, 1.0, data.quantity_decimals, caption=partial(captions.position_caption, data)),
        PaneSpec(account.equity, account.equity, 2.1, 2),
        PaneSpec(
            account.drawdown,
            np.zeros_like(account.drawdown),
            1.1,
            PER_CENT_DECIMALS,
            caption=partial(captions.drawdown_caption, data),
            caption_below=True,
            axis_unit=PER_CENT,
        ),
    ]
    if len(data.funding.slot):
        rows = np.searchsorted(bars.slot, data.funding.slot, side="right") - 1
        paid = np.bincount(rows, data.funding.amount, len(bars.slot))
        specs.append(
            PaneSpec(np.minimum(paid, 0), np.maximum(paid, 0), 0.9, 2, caption=partial(captions.funding_caption, data))
        )
    return specs


class PaneSource(_DataSource):
    """finplot's data source over slots, with extremes in O(√n) instead of a scan of the visible frame.

    Args:
        bars: The time axis; its times go in as integer nanoseconds, as finplot takes other units for far-off years.
        spec: The pane.
    """

    def __init__(self, bars: Bars, spec: PaneSpec) -> None:
        first = bars.interval.number(int(bars.open_ms[0]))
        times = bar_openings(bars.interval, first + np.arange(bars.slots, dtype=np.int64)) * 1_000_000
        _DataSource.__init__(self, _pandas.DataFrame({"time": times, "value": np.zeros(bars.slots)}))
        # Nothing to scan: `_hilo` below knows all that finplot would look for.
        self.scale_cols: list[int] = []
        self._times = times
        self._bars = bars
        self._unit = 10.0**-spec.decimals
        self.room: Callable[[int, int], tuple[float, float]] = lambda _first, _last: (0.0, 0.0)
        """Empty room below and above the values of the slots from first to last, as shares of their height."""
        self.reach: Callable[[int, int, float, float], tuple[float, float]] = lambda _first, _last, low, high: (
            low,
            high,
        )
        """The lowest and highest value to be seen with the slots from first to last, given those of the pane's own."""
        self._extremes = Extremes(spec.lows, spec.highs)
        self.low, self.high = self._widened(*self._extremes.of(0, len(spec.lows)))

    def hilo(self, first: float, last: float) -> tuple[int, int, float, float, int]:
        """Return first and last time (ns), highest, lowest and number of slots, as finplot asks for them.

        Always anew: the room depends on more than the slots, and finding extremes is no slower than remembering them.
        """
        first += 0.5 if first != last else 0.0
        start, stop = max(int(first), 0), min(int(last), self._bars.slots - 1) + 1
        if start >= stop:
            return 0, 0, 0.0, 0.0, 0
        rows = np.searchsorted(self._bars.slot, (start, stop))
        # In a hole as wide as the window, the height of the bar before it.
        low, high = self._extremes.of(min(int(rows[0]), int(rows[1]) - 1), int(rows[1]))
        low, high = self.reach(start, stop - 1, *self._widened(low, high))
        below, above = (share * (high - low) for share in self.room(start, stop - 1))
        low, high = low - below, high + above
        return int(self._times[start]), int(self._times[stop - 1]), high, low, stop - start

    def _widened(self, low: float, high: float) -> tuple[float, float]:
        if not np.isfinite(low) or not np.isfinite(high):
            return 0.0, self._unit
        missing = max(self._unit, _FLAT * abs(high)) - (high - low)
        if missing > 0:
            low, high = low - missing / 2, high + missing / 2
        return low, high


def dress(plot: Any, spec: PaneSpec, bars: Bars) -> Pane:  # noqa: ANN401 – untyped vendor
    """Give finplot's plot our axes, border and data; return the pane for items to be put into."""
    time_axis, value_axis = TimeAxis(bars), ValueAxis(spec.axis_unit, 10.0**-spec.decimals)
    plot.setAxisItems({"bottom": time_axis, "right": value_axis})
    plot.hideAxis("left")
    if plot is plot.vb.win.axs[-1]:
        time_axis.setHeight(theme.TIME_AXIS_PX)
    else:
        plot.hideAxis("bottom")
    plot.vb.setBorder(pen(theme.BORDER))
    plot.vb.setBackgroundColor(colour(theme.BACKGROUND))
    # The room around the values is the stage's.
    plot.vb.v_zoom_scale = 1.0
    plot.significant_decimals, plot.significant_eps = spec.decimals, 10.0**-spec.decimals
    source = PaneSource(bars, spec)
    plot.vb.set_datasrc(source)
    plot.setLimits(xMin=-0.5, xMax=bars.slots + theme.RIGHT_MARGIN - 0.5)
    height = source.high - source.low
    bounds = QtCore.QRectF(-50, source.low - 2 * height, bars.slots + 100, 5 * height)
    return Pane(plot, bars, bounds)


def add_line(plot: Any, value: float, line: Any) -> None:  # noqa: ANN401 – untyped vendor
    """Draw a horizontal line with the pen `line` across a pane, without widening it."""
    plot.addItem(pg.InfiniteLine(pos=value, angle=0, pen=line), ignoreBounds=True)
