from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nt_run.intervals import INTERVALS
from nt_run.klines import (
    SCHEMA,
    Exponents,
    Gap,
    Klines,
    bar_numbers,
    bar_openings,
    find_gaps,
    find_zero_volume_runs,
    no_klines,
    tight_exponents,
    tightened,
)
from nt_run.model import Interval, TimeRange

MINUTE = 60_000
DAY = 1_735_689_600_000  # 2025-01-01
AS_TEXT = Exponents(2, 3, 5)


def build(minutes: Sequence[int], *, exponents: Exponents = AS_TEXT, **columns: Sequence[int]) -> Klines:
    """Klines that open at these minutes of 2025-01-01; columns that are not given are 100."""
    frame = pl.DataFrame({"open_time": [DAY + minute * MINUTE for minute in minutes]}, schema={"open_time": pl.Int64})
    frame = frame.with_columns(
        pl.Series(name, columns.get(name, [100] * len(minutes)), dtype=pl.Int64) for name in list(SCHEMA)[1:]
    )
    return Klines("BTCUSDT", Interval("1m"), exponents, frame.cast({"open_time": SCHEMA["open_time"]}))


def span(first: int, last: int) -> TimeRange:
    return TimeRange(DAY + first * MINUTE, DAY + last * MINUTE)


@given(st.sets(st.integers(0, 59)))
def test_gaps_and_klines_together_are_the_range(minutes: set[int]) -> None:
    gaps = find_gaps(build(sorted(minutes)), span(0, 60))
    absent = {time for gap in gaps for time in range(gap.range.start_ms, gap.range.end_ms, MINUTE)}
    assert absent == {DAY + minute * MINUTE for minute in set(range(60)) - minutes}
    assert all(earlier.range.end_ms < later.range.start_ms for earlier, later in pairwise(gaps))


def test_gaps_at_both_ends_and_in_the_middle_are_found() -> None:
    gaps = find_gaps(build([2, 3, 6]), span(0, 8))
    assert gaps == [Gap(span(0, 2)), Gap(span(4, 6)), Gap(span(7, 8))]


def test_a_range_off_the_grid_expects_only_the_bars_that_open_in_it() -> None:
    assert find_gaps(build([1, 2]), TimeRange(DAY + 1, DAY + 2 * MINUTE + 1)) == []


def test_no_klines_are_one_gap() -> None:
    assert find_gaps(no_klines("BTCUSDT", Interval("1m")), span(0, 3)) == [Gap(span(0, 3))]


def test_a_range_is_half_open() -> None:
    assert build(range(9)).within(span(2, 5)).range == span(2, 5)


@pytest.mark.parametrize(
    ("opens", "volumes", "tight"),
    [
        ([9_354_880, 9_354_890], [71_187, 100], Exponents(1, 3, 5)),
        ([9_354_880, 9_354_891], [71_000, 100], Exponents(2, 1, 5)),
        ([9_354_800, 9_354_900], [71_000, 2000], Exponents(0, 0, 5)),
        ([0, 0], [0, 0], Exponents(0, 0, 5)),
    ],
)
def test_tight_exponents_are_the_fewest_decimals(opens: list[int], volumes: list[int], tight: Exponents) -> None:
    klines = build([0, 1], open=opens, volume=volumes, taker_buy_volume=[0, 0], quote_volume=[1, 1])
    assert tight_exponents(klines) == tight


def test_floats_are_the_shortest_of_the_decimal() -> None:
    floats = build([0], open=[9_354_881], volume=[71_187], quote_volume=[123_456_789]).floats()
    assert floats.select("open", "volume", "quote_volume", "trades").row(0) == (93548.81, 71.187, 1234.56789, 100)


def test_zero_volume_runs_are_ranges_of_bars_in_which_nothing_traded() -> None:
    klines = build([0, 1, 2, 3, 5, 6], volume=[0, 0, 5, 0, 0, 1])
    assert find_zero_volume_runs(klines) == [span(0, 2), span(3, 4), span(5, 6)]
    assert find_zero_volume_runs(build([0, 1])) == []


@given(st.sampled_from(sorted(INTERVALS)), st.lists(st.integers(0, 4 * 10**12), max_size=9))
def test_many_times_are_numbered_as_one_is(name: str, times: list[int]) -> None:
    interval = Interval(name)
    numbers = bar_numbers(interval, np.array(times, np.int64))
    assert numbers.tolist() == [interval.number(time) for time in times]
    assert bar_openings(interval, numbers).tolist() == [interval.floor(time) for time in times]


@given(st.lists(st.integers(1, 2**53 - 1), min_size=1, max_size=60), st.integers(0, 9))
def test_all_floats_are_the_nearest_to_their_decimals(values: list[int], exponent: int) -> None:
    rows = build(range(len(values)), exponents=Exponents(exponent, 3, exponent), close=values, quote_volume=values)
    expected = [float(Decimal(value).scaleb(-exponent)) for value in values]
    for name in ("close", "quote_volume"):
        assert rows.floats()[name].to_list() == rows.column(name).tolist() == expected


def test_floats_know_what_is_unknown() -> None:
    rows = build([0, 1], quote_volume=[7, 8])
    rows = Klines("BTCUSDT", rows.interval, rows.exponents, rows.frame.with_columns(trades=pl.Series([5, None])))
    assert str(rows.floats()["trades"].to_list()) == "[5.0, nan]"
    assert rows.floats().columns == list(SCHEMA)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=20), st.integers(0, 6))
def test_tightened_klines_have_the_same_values_and_no_spare_digit(values: list[int], zeros: int) -> None:
    padded = [value * 10**zeros for value in values]
    rows = build(range(len(values)), exponents=Exponents(8, 3, 5), close=padded, open=padded, high=padded, low=padded)
    tight = tightened(rows)
    assert tight.floats().equals(rows.floats())
    assert tight.exponents == tight_exponents(tight) == tight_exponents(rows)
    assert tight.exponents.price <= max(8 - zeros, 0)
