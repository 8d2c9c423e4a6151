"""What a strategy published for its chart: lines over the candles, and panes of their own. Pure: no screen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from nt_run.chart.levels import Floats

PRICE = "price"
"""The pane of the candles."""
_DIGITS = 3
"""Digits of a pane's span that are shown after the first one."""
_MOST_DECIMALS = 8


@dataclass(frozen=True, slots=True)
class Line:
    """A line, one value per bar, NaN where it has none; `colour` counts the lines of its pane, −1 is a level."""

    name: str
    values: Floats
    colour: int

    @property
    def is_level(self) -> bool:
        """Whether it has one value all along, and is drawn as a level."""
        return self.colour < 0


@dataclass(frozen=True, slots=True)
class PlotPane:
    """A pane in the order its strategy gave it, with lines; `decimals` are those its values are shown with."""

    name: str
    lines: tuple[Line, ...]
    decimals: int

    def extremes(self) -> tuple[Floats, Floats]:
        """Return the lowest and the highest value of each bar."""
        values = [line.values for line in self.lines]
        return np.fmin.reduce(values), np.fmax.reduce(values)


def plot_panes(frame: pl.DataFrame | None, price_decimals: int) -> tuple[PlotPane, ...]:
    """Return the panes of a run's `plots`; lines without any value are left out."""
    found: dict[str, list[Line]] = {}
    for column in () if frame is None else frame.columns[1:]:
        pane, name = column.split("/", 1)
        values = frame[column].fill_null(np.nan).to_numpy() if frame is not None else np.zeros(0)
        known = values[np.isfinite(values)]
        if not len(known):
            continue
        lines = found.setdefault(pane, [])
        level = len(known) == len(values) and known.min() == known.max()
        lines.append(Line(name, values, -1 if level else sum(not line.is_level for line in lines)))
    return tuple(
        PlotPane(pane, tuple(lines), price_decimals if pane == PRICE else _decimals(lines))
        for pane, lines in found.items()
    )


def _decimals(lines: list[Line]) -> int:
    low = min(float(np.nanmin(line.values)) for line in lines)
    high = max(float(np.nanmax(line.values)) for line in lines)
    span = (high - low) or abs(high) or 1.0
    return min(max(_DIGITS - math.floor(math.log10(span)), 0), _MOST_DECIMALS)
