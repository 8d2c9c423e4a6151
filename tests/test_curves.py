import datetime as dt
import io
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from nt_run.curves import Curves, are_wanted, band, draw

MINUTE = 60_000


def minutes(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int64) * MINUTE


def equity_frame(values: Sequence[float]) -> pl.DataFrame:
    start = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
    peaks = np.maximum.accumulate(np.array(values))
    return pl.DataFrame(
        {
            "time": pl.Series([start + dt.timedelta(minutes=at) for at in range(len(values))]).cast(
                pl.Datetime("ms", "UTC")
            ),
            "equity": values,
            "drawdown": np.array(values) / peaks - 1,
        }
    )


def printed(frame: pl.DataFrame, *, width: int = 60, height: int = 40, encoding: str = "utf-8") -> list[str]:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=width, height=height, force_terminal=True, color_system=None)
    console.print(Curves(frame, "USDT"))
    file.seek(0)
    return file.read().splitlines()


def test_curves_are_no_wider_than_a_terminal_in_which_tables_wrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nt_run.terminal.width", lambda: 40)
    lines = printed(equity_frame([10_000.0, 10_100.0, 9_999.0, 10_050.0]), width=60)
    assert max(map(len, lines)) == 40
    assert lines[-1].split() == ["2026-06-01", "2026-06-01"]


def test_a_rising_line_goes_from_the_lower_left_to_the_upper_right() -> None:
    # Four columns of dots on one line of four: the first at the bottom (bits 0x40 left, 0x80 right), the last on top
    # (0x01, 0x08). Each column reaches down to where the one before ended:
    #   dots, from the top   column 0: 3   1: 2-3   2: 1-2   3: 0-1
    lines = np.array([0.0, 0.0, 1.0, 2.0]), np.array([0.0, 1.0, 2.0, 3.0])
    left = 0x40 | (0x20 | 0x80)
    right = (0x02 | 0x04) | (0x08 | 0x10)
    assert draw(lines, 3.0, 0.0, 1, plain=False) == [chr(0x2800 + left) + chr(0x2800 + right)]


def test_without_utf_8_a_star_stands_for_each_place() -> None:
    lines = np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 2.0])
    assert draw(lines, 2.0, 0.0, 3, plain=True) == ["  *", " * ", "*  "]


def test_extremes_survive_however_many_values_share_a_column() -> None:
    values = np.zeros(10_000)
    values[1234], values[8765] = 7.0, -3.0
    low, high = band(minutes(*range(10_000)), values, 5)
    # 1234 is in the first fifth, 8765 in the last.
    assert (high.tolist(), low.tolist()) == ([7.0, 0, 0, 0, 0], [0, 0, 0, 0, -3.0])


def test_few_values_are_joined_by_a_line() -> None:
    low, high = band(minutes(0, 1), np.array([0.0, 10.0]), 4)
    # The middles of four columns over one minute: 1.25, 3.75, 6.25 and 8.75; each joined to the one before.
    assert low.tolist() == [0.0, 1.25, 3.75, 6.25]
    assert high.tolist() == [1.25, 3.75, 6.25, 10.0]


def test_no_line_is_drawn_across_a_hole() -> None:
    low, high = band(minutes(0, 1, 2, 8, 9, 10), np.array([1.0, 1, 1, 5, 5, 5]), 10)
    assert np.isnan(low).tolist() == [False, False, False, True, True, True, True, True, False, False]
    assert np.isnan(high).tolist() == np.isnan(low).tolist()
    assert high[8] == low[8] == 5.0


@given(
    st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=300),
    st.integers(1, 80),
)
def test_every_value_lies_inside_its_band(values: list[float], columns: int) -> None:
    times = minutes(*range(len(values)))
    low, high = band(times, np.array(values), columns)
    assert np.nanmin(low) == min(values)
    assert np.nanmax(high) == max(values)
    assert not np.isnan(low).any() or len(values) == 1


def test_both_curves_are_as_wide_as_the_terminal_with_their_ends_beside_them() -> None:
    lines = printed(equity_frame([10_000.0, 10_100.0, 9_999.0, 10_050.0]), width=60)
    assert lines[0].strip() == "Equity, 10,050.00 USDT at the end"
    assert lines[1].startswith("10,100.00 ")
    assert lines[8].startswith(" 9,999.00 ")
    # 9,999 after 10,100 is 1.00 % down.
    assert lines[9].strip() == "Drawdown, -1.00 % at most"
    assert lines[10].startswith("   0.00 % ")
    assert lines[12].startswith("  -1.00 % ")
    assert lines[13].split() == ["2026-06-01", "00:00", "2026-06-01", "00:03"]
    assert max(map(len, lines)) == 60


def test_a_low_terminal_gets_lower_curves() -> None:
    assert len(printed(equity_frame([1.0, 2.0]), height=24)) < len(printed(equity_frame([1.0, 2.0]), height=50))


def test_a_terminal_without_utf_8_gets_plain_characters() -> None:
    lines = printed(equity_frame([10_000.0, 10_100.0]), encoding="ascii")
    assert all(line.isascii() for line in lines)
    assert any("*" in line for line in lines)


@pytest.mark.parametrize("values", [[10_000.0], [10_000.0, 10_000.0]])
def test_equity_that_never_moved_is_a_flat_line(values: list[float]) -> None:
    lines = printed(equity_frame(values))
    assert lines[1].startswith("10,000.00 ")
    assert "0.00 %" in lines[10]


def test_a_pipe_gets_no_curves_unless_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert not are_wanted(None)
    assert are_wanted(True)
    assert not are_wanted(False)
