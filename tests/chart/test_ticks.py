import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nt_run.chart.ticks import TIME_LABEL_PX, time_label, time_ticks, value_label, value_step, value_ticks
from nt_run.model import parse_time

TIMES = st.integers(parse_time("2019-09-01"), parse_time("2030-01-01"))


@given(TIMES, st.integers(1, 10 * 365 * 86_400_000), st.floats(200, 4000))
def test_time_labels_lie_in_the_range_and_have_room(start: int, length: int, width: float) -> None:
    ticks = time_ticks(start, start + length, width)
    assert ticks == sorted(set(ticks))
    assert all(start <= tick <= start + length for tick in ticks)
    # Months differ in length: four fifths of the room is still legible.
    assert all(later - earlier >= 0.8 * TIME_LABEL_PX / width * length for earlier, later in zip(ticks, ticks[1:]))  # noqa: B905, RUF007


@pytest.mark.parametrize(
    ("moment", "label"),
    [("2025-05-04T14:30", "14:30"), ("2025-03-14", "Mar 14"), ("2026-01-01", "2026"), ("2026-02-01", "Feb 1")],
)
def test_a_time_label_says_no_more_than_is_new(moment: str, label: str) -> None:
    assert time_label(parse_time(moment)) == label


def test_new_year_is_labelled_when_months_are() -> None:
    ticks = time_ticks(parse_time("2022-03-15"), parse_time("2025-03-15"), 1400)
    assert {"2023", "2024", "2025"} <= {time_label(tick) for tick in ticks}


@given(st.floats(-1e6, 1e6), st.floats(1e-7, 1e6), st.floats(40, 1200))
@example(858994.0, 0.0005, 320.0)
def test_value_labels_differ_and_lie_in_the_range(low: float, height: float, pixels: float) -> None:
    step = value_step(low, low + height, pixels, 32)
    ticks = value_ticks(low, low + height, step)
    assert len(ticks) <= pixels / 32 + 3
    # A tick cannot be closer to its place than floats of its size are to each other.
    slack = step * 1e-6 + 4 * math.ulp(abs(low) + height)
    assert all(low - slack <= tick <= low + height + slack for tick in ticks)
    assert len({value_label(tick, step) for tick in ticks}) == len(ticks)


@pytest.mark.parametrize(
    ("value", "step", "label"),
    [
        (64000.0, 200.0, "64,000"),
        (0.25, 0.25, "0.25"),
        (-2.5, 2.5, "-2.5"),
        (-1e-18, 0.5, "0.0"),
        (1.23e-5, 1e-7, "0.0000123"),
    ],
)
def test_a_value_label_has_the_decimals_of_its_step(value: float, step: float, label: str) -> None:
    assert value_label(value, step) == label


def test_no_range_has_no_labels() -> None:
    assert value_step(5.0, 5.0, 100, 32) == 0
    assert value_step(float("nan"), 1.0, 100, 32) == 0
    assert value_step(879_610.0, 879_610.0 + 1e-7, 40, 32) == 0
    assert value_ticks(1.0, 2.0, 0.0) == []
    assert time_ticks(5, 5, 1000) == []
