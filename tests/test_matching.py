from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nt_run.klines import SCHEMA, Exponents, Klines
from nt_run.matching import disagreement, is_among, mark_extremes, match_bars
from nt_run.model import Interval, TimeRange

FIVE = 5 * 60_000
START = 1_704_067_200_000


@pytest.fixture
def make() -> Callable[..., Klines]:
    """Klines of rows of (open, high, low, close) in tenths, from 2024-01-01 on or a number of bars later."""

    def klines(interval: str, rows: list[tuple[int, ...]], *, start: int = START, decimals: int = 1) -> Klines:
        step, scale = Interval(interval).ms, 10 ** (decimals - 1)
        columns: dict[str, Any] = dict.fromkeys(SCHEMA, [1] * len(rows))
        columns["open_time"] = [start + step * at for at in range(len(rows))]
        for at, name in enumerate(("open", "high", "low", "close")):
            columns[name] = [row[at] * scale for row in rows]
        frame = pl.DataFrame(columns).with_columns(pl.col("open_time").cast(pl.Datetime("ms", "UTC")))
        return Klines("BTCUSDT", Interval(interval), Exponents(decimals, 3, 4), frame.cast(dict(SCHEMA)))

    return klines


WHOLE = [(1000, 1010, 990, 1005), (1005, 1060, 940, 1000), (1000, 1001, 999, 1000)]
PARTS = [(1005, 1010, 1000, 1002), (1002, 1060, 1002, 1050), (1050, 1050, 940, 960), (960, 1000, 955, 1000)]
PARTS += [(1000, 1000, 1000, 1000)]
BAR = TimeRange(START + FIVE, START + 2 * FIVE)


def test_finer_bars_stand_in_the_place_of_the_bar_they_make_up(make: Any) -> None:
    klines, fine = make("5m", WHOLE), make("1m", PARTS, start=BAR.start_ms, decimals=2)
    bars = match_bars(klines, fine)
    assert len(bars) == 7
    assert np.all(np.diff(bars.opened) > 0)
    assert np.all(bars.opened[1:] == bars.closed[:-1])
    # Two decimals hold the prices of both.
    assert [str(bars.price("high", row)) for row in (0, 1, 2, 6)] == ["101.00", "101.00", "106.00", "100.10"]
    assert bars.ending_at(BAR.end_ms * 1_000_000) == 5
    # The strategy acts at the end of the first bar, of the second's last minute, and of the third.
    assert bars.ends is not None
    assert bars.ends.tolist() == [True, *[False] * 4, True, True]
    assert bars.ending_at(BAR.end_ms * 1_000_000 - 1) is None
    assert bars.ending_at((BAR.end_ms + 1) * 1_000_000) is None


def test_without_finer_bars_they_are_those_of_the_run(make: Any) -> None:
    klines = make("5m", WHOLE)
    bars = match_bars(klines)
    assert bars.opened.tolist() == klines.open_times().tolist()
    assert bars.price("close", 1) == Decimal(100)


@given(st.lists(st.integers(-9, 9)), st.sets(st.integers(-9, 9)))
def test_times_are_among_known_ones_as_python_says(times: list[int], known: set[int]) -> None:
    found = is_among(np.array(times, dtype=np.int64), np.array(sorted(known), dtype=np.int64))
    assert found.tolist() == [time in known for time in times]


def test_mark_extremes_are_those_of_the_bars_alone(make: Any) -> None:
    # The second and the fourth bar of five are not asked for, and one that is has no mark kline.
    marks = make("5m", [(1000, 1000 + at, 1000 - at, 1000) for at in range(5)])
    found = mark_extremes(marks, np.array([START + at * FIVE for at in (0, 2, 4, 7)]))
    assert found is not None
    assert found.frame["high"].to_list() == [1000, 1002, 1004]
    assert found.frame["low"].to_list() == [1000, 998, 996]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, None),
        ({1: (1002, 1061, 1002, 1050)}, "high is 106.1 instead of 106.0"),
        ({2: (1050, 1050, 941, 960)}, "low is 94.1 instead of 94.0"),
        ({0: (1004, 1010, 1000, 1002)}, "open is 100.4 instead of 100.5"),
        ({4: (1000, 1001, 1000, 1001)}, "close is 100.1 instead of 100.0"),
    ],
)
def test_finer_bars_that_make_up_another_bar_are_told(
    changed: dict[int, tuple[int, ...]], told: str | None, make: Any
) -> None:
    rows = [changed.get(at, row) for at, row in enumerate(PARTS)]
    assert disagreement(make("5m", WHOLE), make("1m", rows, start=BAR.start_ms), BAR) == told


def test_finer_bars_with_a_hole_are_told(make: Any) -> None:
    fine = make("1m", PARTS, start=BAR.start_ms)
    holed = Klines(fine.symbol, fine.interval, fine.exponents, fine.frame[[0, 1, 2, 4]])
    assert disagreement(make("5m", WHOLE), holed, BAR) == "4 of 5 bars are there"
