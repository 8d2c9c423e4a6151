"""The door to windows and pictures: finds out whether one can be drawn before Qt is imported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nt_run.chart.display import missing_library, plain_locale, prepare_offscreen, prepare_window
from nt_run.chart.writing import check_target, write_whole
from nt_run.errors import ChartError

if TYPE_CHECKING:
    from types import ModuleType

    from nt_run.chart.compare import Comparison
    from nt_run.chart.focus import Focus
    from nt_run.chart.view import ChartData

PICTURE_SIZE = (1920, 1080)
LEAST_SIZE = (320, 240)
MAX_SIDE_PX = 16_384
"""Qt draws no larger picture without tricks, and few programs open one."""


def show_window(subject: ChartData | Comparison, focus: Focus | None = None) -> None:
    """Open the chart of a run, or of several, in a window and return when it is closed, by the user or by Ctrl-C.

    Raises:
        ChartError: No window can be opened here; the message names other ways to see the chart.
    """
    prepare_window()
    _showing().show(subject, focus)


def save_png(
    subject: ChartData | Comparison,
    path: Path,
    size: tuple[int, int] = PICTURE_SIZE,
    scale: float = 1.0,
    focus: Focus | None = None,
) -> None:
    """Draw the chart into a PNG file without a screen; the file appears whole or not at all.

    Args:
        subject: What to draw: a run, or several compared.
        path: The file, `*.png`, overwritten if it exists; its folder must exist.
        size: Width and height of the scene in logical pixels.
        scale: Pixels of the picture per logical pixel; 2.0 doubles the resolution, not the content.
        focus: What part of it to draw; all if left out.

    Raises:
        ChartError: The file is not named as a PNG or cannot be written, its folder is missing, the picture has no
            pixels or too many, there is no such trade or range, or nothing can be drawn here.
    """
    check_target(path, ".png", "The picture", "pictures are PNG files")
    _check_pixels(size, scale)
    prepare_offscreen()
    with plain_locale():
        showing = _showing()
    write_whole(path, showing.render(subject, size, scale, focus), "picture")


def _check_pixels(size: tuple[int, int], scale: float) -> None:
    picture = f"A picture of {size[0]}×{size[1]} at scale {scale:g}"
    if min(size) < 1 or not scale > 0 or min(size) * scale < 1:
        raise ChartError(f"{picture} has no pixels.")
    if max(size) * scale > MAX_SIDE_PX:
        raise ChartError(f"{picture} is wider or higher than {MAX_SIDE_PX:,} pixels. Choose a smaller one.")
    if size[0] < LEAST_SIZE[0] or size[1] < LEAST_SIZE[1]:
        least = "×".join(str(side) for side in LEAST_SIZE)
        raise ChartError(f"{picture} has no room for a chart. Choose {least} or more.")


def _showing() -> ModuleType:
    try:
        from nt_run.chart import showing  # noqa: PLC0415 – Qt must not be imported before the platform is decided
    except ImportError as exc:
        raise missing_library(str(exc)) from exc
    return showing
