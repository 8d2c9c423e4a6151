"""The door to windows and pictures: finds out whether one can be drawn before Qt is imported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nt_run.chart.display import missing_library, prepare_offscreen, prepare_window
from nt_run.chart.writing import check_target, write_whole
from nt_run.errors import ChartError

if TYPE_CHECKING:
    from types import ModuleType

    from nt_run.chart.view import ChartData

PICTURE_SIZE = (1920, 1080)


def show_window(data: ChartData) -> None:
    """Open the chart in a window and return when it is closed, by the user or by Ctrl-C.

    Raises:
        ChartError: No window can be opened here; the message names other ways to see the chart.
    """
    prepare_window()
    _stage().show(data)


def save_png(data: ChartData, path: Path, size: tuple[int, int] = PICTURE_SIZE, scale: float = 1.0) -> None:
    """Draw the chart into a PNG file without a screen; the file appears whole or not at all.

    Args:
        data: What to draw.
        path: The file, `*.png`, overwritten if it exists; its folder must exist.
        size: Width and height of the scene in logical pixels.
        scale: Pixels of the picture per logical pixel; 2.0 doubles the resolution, not the content.

    Raises:
        ChartError: The file is not named as a PNG or cannot be written, its folder is missing, or nothing can be
            drawn here.
    """
    check_target(path, ".png", "The picture", "pictures are PNG files")
    if min(size) < 1 or scale <= 0:
        raise ChartError(f"A picture of {size[0]}×{size[1]} at scale {scale} has no pixels.")
    prepare_offscreen()
    write_whole(path, _stage().render(data, size, scale), "picture")


def _stage() -> ModuleType:
    try:
        from nt_run.chart import stage  # noqa: PLC0415 – Qt must not be imported before the platform is decided
    except ImportError as exc:
        raise missing_library(str(exc)) from exc
    return stage
