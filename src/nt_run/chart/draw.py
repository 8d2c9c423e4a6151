"""Where a chart goes: into files if any is named, else on the screen, and into a page where there is no screen."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nt_run.chart.compare import Comparison, compare
from nt_run.chart.compare_page import save_compare_page
from nt_run.chart.display import has_display
from nt_run.chart.focus import Focus, find_span, range_span
from nt_run.chart.page import save_page
from nt_run.chart.scene import PICTURE_SIZE, save_png, show_window
from nt_run.chart.view import ChartData, chart_data
from nt_run.results import Run

PAGE, COMPARISON = "chart.html", "comparison.html"


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG file to write: where, its size in logical pixels, and how many real ones each of them has."""

    path: Path
    size: tuple[int, int] = PICTURE_SIZE
    scale: float = 1.0


def draw(run: Run, *, png: Picture | None = None, page: Path | None = None, focus: Focus | None = None) -> list[Path]:
    """Draw a run and return the files written, none if it was shown in a window.

    Without a file and without a display the page is written into the run's folder, or into the working folder where
    that one cannot be written. Nothing is opened. A page has all of a run and begins with what `focus` says.

    Raises:
        ChartError: It cannot be drawn here, a file cannot be written, or there is no such trade or range; the message
            names another way.
    """
    if png is None and page is None:
        if has_display():
            show_window(_focused(run, focus), focus)
            return []
        page = default_page(run)
    if png is not None:
        save_png(_focused(run, focus), png.path, png.size, png.scale, focus)
    if page is not None:
        save_page(run, page, focus)
    return [*([] if png is None else [png.path]), *([] if page is None else [page])]


def draw_comparison(
    runs: Sequence[Run], *, png: Picture | None = None, page: Path | None = None, focus: Focus | None = None
) -> list[Path]:
    """Draw the equity of several runs over each other and return the files written, none if shown in a window.

    Without a file and without a display the page is written into the folder of the first run, or into the working
    folder where that one cannot be written.

    Raises:
        ChartError: It cannot be drawn here, a file cannot be written, or there is no bar in the range.
    """
    comparison: Comparison = compare(runs)
    if focus is not None and focus.times is not None:
        range_span(comparison.bars, focus.times)
    if png is None and page is None:
        if has_display():
            show_window(comparison, focus)
            return []
        page = _beside(runs[0], COMPARISON, COMPARISON)
    if png is not None:
        save_png(comparison, png.path, png.size, png.scale, focus)
    if page is not None:
        save_compare_page(runs, page, focus)
    return [*([] if png is None else [png.path]), *([] if page is None else [page])]


def default_page(run: Run) -> Path:
    """Return where the page of a run goes when no file is named."""
    return _beside(run, PAGE, f"{run.run_id}.html")


def _beside(run: Run, name: str, otherwise: str) -> Path:
    if run.path is not None and os.access(run.path, os.W_OK):
        return run.path / name
    return Path(otherwise)


def _focused(run: Run, focus: Focus | None) -> ChartData:
    """Return the arrays of a run; what is wrong with the focus is told before a screen is loaded."""
    data = chart_data(run)
    if focus is not None:
        find_span(data, focus)
    return data
