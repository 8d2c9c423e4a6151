"""Equity and drawdown in the terminal: braille dots, or plain characters where there is no UTF-8."""

import math
import sys
from collections.abc import Sequence
from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from nt_run import terminal
from nt_run.formats import percent, short_time

EQUITY, DRAWDOWN, DIM = "bright_blue", "red", "bright_black"
_ROWS, _FEWER_ROWS = (8, 3), (5, 2)
"""Lines of equity and of drawdown; the fewer where the terminal is lower than `_LOW`."""
_LOW = 32
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bits of a braille cell, four dots high and two wide (Unicode block Braille Patterns, U+2800)."""
_BLANK = 0x2800
_DATE = len("2026-06-01")
_HOLE = 1.5
"""Bars apart from which on two rows have a hole between them."""

type Band = tuple[NDArray[np.float64], NDArray[np.float64]]
"""The lowest and the highest value of each column of dots, NaN where there is none."""


def are_wanted(plot: bool | None) -> bool:  # noqa: FBT001 - a flag of the command line, given or not
    """Return whether curves belong into the output: as asked, else on a terminal alone, for a pipe wants text."""
    return sys.stdout.isatty() if plot is None else plot


class Curves:
    """Equity and drawdown of a run as a renderable of the terminal's width.

    Args:
        equity: A run's frame `equity`, see `nt_run.results.Run`.
        asset: What equity is counted in.
    """

    def __init__(self, equity: pl.DataFrame, asset: str) -> None:
        self._equity = equity
        self._asset = asset

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw both curves, one above the other, on one time axis."""
        equity, drawdown = self._equity["equity"], self._equity["drawdown"]
        top, bottom, deepest = _number(equity.max()), _number(equity.min()), _number(drawdown.min())
        rows, fall_rows = _FEWER_ROWS if console.is_terminal and console.height < _LOW else _ROWS
        plain = options.ascii_only or console.is_dumb_terminal
        labels = [f"{top:,.2f}", f"{bottom:,.2f}", percent(0.0), percent(deepest)]
        margin = max(map(len, labels)) + 1
        # Tables may be wider than a narrow terminal, and wrap; a curve that wraps is none.
        width = max(min(options.max_width, terminal.width() or options.max_width) - margin, 2)
        times = self._equity["time"].dt.epoch("ms").to_numpy()
        across = width if plain else 2 * width
        yield Text(f"Equity, {_number(equity[-1]):,.2f} {self._asset} at the end", style="bold")
        line = draw(band(times, equity.to_numpy(), across), top, bottom, rows, plain=plain)
        yield from _labelled(line, labels[:2], margin, EQUITY)
        fall = band(times, drawdown.to_numpy(), across)
        filled = fall[0], np.where(np.isnan(fall[1]), np.nan, 0.0)
        yield Text(f"Drawdown, {percent(deepest)} at most", style="bold")
        yield from _labelled(draw(filled, 0.0, deepest, fall_rows, plain=plain), labels[2:], margin, DRAWDOWN)
        ends = [short_time(str(self._equity["time"][at])) for at in (0, -1)]
        start, end = ends if width > sum(map(len, ends)) else [each[:_DATE] for each in ends]
        yield Text(" " * margin + start + end.rjust(width - len(start)), style=DIM)


def band(times: NDArray[np.int64], values: NDArray[np.float64], columns: int) -> Band:
    """Return what a line through the values covers in each of `columns` equal parts of the time.

    Extremes survive however many values share a column; where values are few the line between two is drawn, but never
    across a hole.
    """
    # The middle of each column, where it lies between two bars that follow one another.
    marks: NDArray[np.float64] = (np.arange(columns) + 0.5) * ((times[-1] - times[0]) / columns) + times[0]
    steps = times[1:] - times[:-1]
    after = cast("NDArray[np.int64]", np.searchsorted(times[1:-1], marks))
    marks = marks[steps[after] <= _HOLE * float(np.median(steps))] if len(steps) else marks[:0]
    all_times = np.concatenate([times, marks])
    order = np.argsort(all_times, kind="stable")
    line = np.concatenate([values, np.interp(marks, times, values)])[order]
    span = max(float(times[-1] - times[0]), 1.0)
    column = np.minimum(((all_times[order] - times[0]) / span * columns).astype(np.int64), columns - 1)
    low, high = np.full(columns, math.inf), np.full(columns, -math.inf)
    np.minimum.at(low, column, line)
    np.maximum.at(high, column, line)
    ends = np.searchsorted(column, np.arange(columns), side="right") - 1
    for at in range(1, columns):
        # From one column to the next the line goes on without a break.
        if math.isfinite(low[at]) and math.isfinite(low[at - 1]):
            before = line[ends[at - 1]]
            low[at], high[at] = min(low[at], before), max(high[at], before)
    empty = np.isinf(low)
    low[empty] = high[empty] = np.nan
    return low, high


def draw(lines: Band, top: float, bottom: float, rows: int, *, plain: bool) -> list[str]:
    """Return `rows` lines of text, the first at `top`, the last at `bottom`.

    Args:
        lines: Two columns for each character, one if `plain`.
        top: The value of the highest dot.
        bottom: The value of the lowest dot.
        rows: Lines of text, each of them four dots high, one if `plain`.
        plain: Draw with `*` instead of braille.
    """
    high = rows if plain else 4 * rows
    wide = 1 if plain else 2
    cells = [[0] * (len(lines[0]) // wide) for _ in range(rows)]
    scale = (high - 1) / (top - bottom) if top > bottom else 0.0
    for column, (low, peak) in enumerate(zip(*lines, strict=True)):
        if math.isnan(low) or column // wide >= len(cells[0]):
            continue
        for dot in range(round((top - peak) * scale), round((top - low) * scale) + 1):
            if plain:
                cells[dot][column] = 1
            else:
                cells[dot // 4][column // 2] |= _DOTS[dot % 4][column % 2]
    if plain:
        return ["".join("*" if cell else " " for cell in row) for row in cells]
    # A blank of braille shows faint dots in some fonts, a space never does.
    return ["".join(chr(_BLANK + cell) if cell else " " for cell in row) for row in cells]


def _labelled(lines: Sequence[str], ends: Sequence[str], margin: int, style: str) -> RenderResult:
    for number, line in enumerate(lines):
        label = ends[0] if number == 0 else ends[1] if number == len(lines) - 1 else ""
        yield Text(label.rjust(margin - 1) + " ", style=DIM, end="").append(line, style=style).append("\n")


def _number(value: object) -> float:
    return float(str(value))
