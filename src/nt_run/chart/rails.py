"""Prices an exchange waited for, on the candles: stops, targets, and where positions were liquidated."""

from typing import override

import numpy as np
from PyQt6 import QtGui

from nt_run.chart import theme
from nt_run.chart.items import Item, Pane, View
from nt_run.chart.levels import Floats
from nt_run.chart.lines import LIQUIDATION, STOP, TARGET, PriceLines
from nt_run.chart.qt import SMOOTH, draw_lines, pen

COLOURS = {STOP: theme.STOP, TARGET: theme.TARGET, LIQUIDATION: theme.WARNING}
_DASHES = {STOP: (5, 3), TARGET: (5, 3), LIQUIDATION: (1, 2)}


class Rails(Item):
    """Level lines as long as each price stood; gone when there would be too many."""

    def __init__(self, pane: Pane, lines: PriceLines) -> None:
        super().__init__(pane, 4)
        self._lines = lines
        # Lines are in order of their start; those that end early do not make the ones before them visible.
        self._ends = np.maximum.accumulate(lines.end) if len(lines.end) else lines.end

    def kinds(self, left: float, right: float) -> set[int]:
        """Return the kinds that are drawn between two slots."""
        return set(self._lines.kind[self._between(left, right)].tolist())

    def orders(self, left: float, right: float) -> Floats:
        """Return the prices of the stops and targets that are drawn between two slots."""
        shown = self._between(left, right)
        return self._lines.price[shown][self._lines.kind[shown] != LIQUIDATION]

    def _between(self, left: float, right: float) -> slice:
        first = int(np.searchsorted(self._ends, left))
        last = max(int(np.searchsorted(self._lines.start, right)), first)
        return slice(first, last if last - first <= theme.ARROWED_TRADES else first)

    @override
    def draw(self, painter: QtGui.QPainter, view: View) -> None:
        lines, shown = self._lines, self._between(view.left, view.right)
        painter.setRenderHint(SMOOTH, False)
        matrix = painter.transform()
        ends = (edge[shown].astype(np.float64) + 0.5 for edge in (lines.start, lines.end))
        left, right = (matrix.m11() * end + matrix.dx() for end in ends)
        # In the middle of a pixel: between two of them a line would be now thin, now thick.
        y = np.floor(matrix.m22() * lines.price[shown] + matrix.dy()) + 0.5
        kind = lines.kind[shown]
        painter.save()
        painter.resetTransform()
        for each, name in COLOURS.items():
            of_kind = kind == each
            painter.setPen(pen(name, 1.2, 210, _DASHES[each]))
            draw_lines(painter, left[of_kind], y[of_kind], right[of_kind], y[of_kind])
        painter.restore()
