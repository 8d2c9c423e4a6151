"""Several runs on the stage: their returns over each other, and their drawdowns."""

from typing import override

import numpy as np

from nt_run.chart import theme
from nt_run.chart.axes import PER_CENT
from nt_run.chart.captions import courses_caption, ink
from nt_run.chart.compare import Comparison, Course
from nt_run.chart.focus import Focus, range_span
from nt_run.chart.header import Heading
from nt_run.chart.items import Curve, Stroke
from nt_run.chart.panes import PER_CENT_DECIMALS, PaneSpec, add_line
from nt_run.chart.plates import around
from nt_run.chart.qt import pen
from nt_run.chart.stage import Stage


class CompareStage(Stage):
    """Runs in a window that is not shown yet."""

    def __init__(self, comparison: Comparison, size: tuple[int, int], focus: Focus | None = None) -> None:
        self.comparison = comparison
        self.colours = course_colours(comparison.courses)
        heading = Heading(comparison.title, comparison.subtitle, (), demo=comparison.demo)
        super().__init__(heading, comparison.bars, self._pane_specs(), size)
        if focus is not None and focus.times is not None:
            self.look_at(range_span(comparison.bars, focus.times))

    @override
    def fill(self) -> None:
        returns, drawdown = self.panes
        add_line(returns.plot, 0.0, pen(theme.GRID, 1, 110, (3, 4)))
        # The first run lies on top of all others.
        for course, name in reversed(list(zip(self.comparison.courses, self.colours, strict=True))):
            width, alpha = (1.2, 170) if course.is_market else (1.8, 255)
            Curve(returns, course.returns, Stroke(name, width, alpha, bold=True))
            Curve(drawdown, course.drawdown, Stroke(name, 1.2, alpha, bold=True))

    @override
    def room(self, place: int, first: int, last: int) -> tuple[float, float]:
        # The table has a line for each curve, and one of heads.
        return around(self.panes[place].view().height_px, 0 if place else len(self.comparison.courses) + 1)

    def _pane_specs(self) -> list[PaneSpec]:
        courses, colours = self.comparison.courses, self.colours
        returns, drawdown = ([getattr(course, name) for course in courses] for name in ("returns", "drawdown"))

        lows, highs = np.fmin.reduce(returns), np.fmax.reduce(returns)
        return [
            PaneSpec(
                lows,
                highs,
                3.0,
                PER_CENT_DECIMALS,
                caption=lambda row: courses_caption(courses, colours, row),
                axis_unit=PER_CENT,
            ),
            PaneSpec(
                np.fmin.reduce(drawdown),
                np.zeros(len(lows)),
                1.2,
                PER_CENT_DECIMALS,
                # The values stand in the table above, beside their names.
                caption=lambda _row: ink("Drawdown", theme.DIM),
                caption_below=True,
                axis_unit=PER_CENT,
            ),
        ]


def course_colours(courses: tuple[Course, ...]) -> list[str]:
    """Return a colour for each curve: strong ones for runs, dim ones for markets."""
    numbers = {True: 0, False: 0}
    found: list[str] = []
    for course in courses:
        palette = theme.MARKETS if course.is_market else theme.RUNS
        found.append(palette[numbers[course.is_market] % len(palette)])
        numbers[course.is_market] += 1
    return found
