"""Where a chart goes: into files if any is named, else on the screen, and into a page where there is no screen."""

import os
from pathlib import Path

from nt_run.chart.display import has_display
from nt_run.chart.page import save_page
from nt_run.chart.scene import save_png, show_window
from nt_run.chart.view import chart_data
from nt_run.results import Run

PAGE = "chart.html"


def draw(run: Run, *, png: Path | None = None, page: Path | None = None) -> list[Path]:
    """Draw a run and return the files written, none if it was shown in a window.

    Without a file and without a display the page is written into the run's folder, or into the working folder where
    that one cannot be written. Nothing is opened.

    Raises:
        ChartError: It cannot be drawn here, or a file cannot be written; the message names another way.
    """
    if png is None and page is None:
        if has_display():
            show_window(chart_data(run))
            return []
        page = default_page(run)
    if png is not None:
        save_png(chart_data(run), png)
    if page is not None:
        save_page(run, page)
    return [path for path in (png, page) if path is not None]


def default_page(run: Run) -> Path:
    """Return where the page of a run goes when no file is named."""
    if run.path is not None and os.access(run.path, os.W_OK):
        return run.path / PAGE
    return Path(f"{run.run_id}.html")
