"""Where the PnL of each trade is written: over no marker and no other label. Pure: no screen, all in pixels."""

from typing import NamedTuple

import numpy as np

from nt_run.chart.levels import Flags, Floats

HEIGHT_PX = 16.0
_NEAR_PX = 9.0
_STEP_PX = HEIGHT_PX + 2.0
_STEPS = 5
"""How many places are tried above and below a bar, each farther from it."""


class Box(NamedTuple):
    """A rectangle, its top above its bottom as on a screen."""

    left: float
    top: float
    right: float
    bottom: float


class Spot(NamedTuple):
    """A place for a label; `is_far` where it does not stand right at its bar."""

    box: Box
    is_far: bool


class Taken:
    """What labels must not cover; each of them is added to it."""

    def __init__(self, boxes: Floats) -> None:
        """Begin with rectangles: left, top, right, bottom; shape (n, 4)."""
        self._fixed = boxes[np.argsort(boxes[:, 0])]
        self._widest = float((boxes[:, 2] - boxes[:, 0]).max(initial=0.0))
        self._labels: list[Box] = []

    def find(self, x: float, bar: tuple[float, float], width: float, ends: tuple[float, float], *, above: bool) -> Spot:
        """Return where a label around `x` covers nothing, and take it; the nearest place if there is none.

        Args:
            x: Where the trade ended.
            bar: Top and bottom of its bar.
            width: Width of the label.
            ends: Top and bottom of the pane.
            above: Try above the bar first.
        """
        left, right = x - width / 2, x + width / 2
        near = self._near(left, right)
        spots = [spot for spot in _spots(left, right, bar, above=above) if _is_inside(spot.box, ends)]
        spots = spots or [Spot(Box(left, ends[0], right, ends[0] + HEIGHT_PX), is_far=True)]
        found = next((spot for spot in spots if not any(_overlap(spot.box, other) for other in near)), spots[0])
        self._labels.append(found.box)
        return found

    def _near(self, left: float, right: float) -> list[Box]:
        start, stop = np.searchsorted(self._fixed[:, 0], (left - self._widest, right))
        rows = self._fixed[start:stop]
        fixed = [Box(*row) for row in rows[rows[:, 2] > left].tolist()]
        return fixed + [box for box in self._labels if box.right > left and box.left < right]


def marker_boxes(x: Floats, y: Floats, side: Floats, opens: Flags, size: tuple[float, float]) -> Floats:
    """Return the rectangles of markers: left, top, right, bottom; shape (n, 4).

    Args:
        x: Where they stand.
        y: The price they touch.
        side: +1 for a buy, whose triangle hangs below its price, −1 for a sale.
        opens: Triangles; all others are dots.
        size: Height of a triangle and radius of a dot.
    """
    height, radius = size
    half = np.where(opens, 0.62 * height, radius) + 1.0
    other = np.where(opens, y + side * height, y)
    above, below = np.minimum(y, other), np.maximum(y, other)
    slack = np.where(opens, 1.0, radius + 1.0)
    return np.stack([x - half, above - slack, x + half, below + slack], axis=1)


def _spots(left: float, right: float, bar: tuple[float, float], *, above: bool) -> list[Spot]:
    tops = [
        (bar[0] - _NEAR_PX - HEIGHT_PX - step * _STEP_PX, bar[1] + _NEAR_PX + step * _STEP_PX) for step in range(_STEPS)
    ]
    return [
        Spot(Box(left, top, right, top + HEIGHT_PX), step > 0)
        for step, pair in enumerate(tops)
        for top in (pair if above else pair[::-1])
    ]


def _is_inside(box: Box, ends: tuple[float, float]) -> bool:
    return box.top >= ends[0] and box.bottom <= ends[1]


def _overlap(one: Box, other: Box) -> bool:
    return one.left < other.right and other.left < one.right and one.top < other.bottom and other.top < one.bottom
