import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nt_run.data.ingest import RAW_COLUMNS, decimals_of, merge_klines, parse_klines, parse_rows, rescale, scaled
from nt_run.errors import InvalidKlinesError
from nt_run.klines import SCHEMA, Exponents, Klines, find_gaps
from nt_run.model import Interval
from nt_run.quality import count_oddities

ONE_MINUTE = Interval("1m")
DAY = 1_735_689_600_000  # 2025-01-01

Rows = Callable[..., list[list[Any]]]


def parse(rows: list[list[Any]]) -> Klines:
    return parse_rows("BTCUSDT", ONE_MINUTE, rows, "a test")[0]


def test_every_digit_of_the_text_is_kept(rows: Rows) -> None:
    row = rows(DAY, 1)[0]
    row[1:5] = ["93548.80", "93599.90", "93514.2", "93599.9"]
    row[5], row[7], row[9], row[10] = "71.187", "6660000.12345", "40.001", "3740000.5"
    klines = parse([row])
    assert klines.exponents == Exponents(2, 3, 5)
    assert klines.frame.drop("open_time").row(0) == (
        *(9_354_880, 9_359_990, 9_351_420, 9_359_990),
        *(71_187, 666_000_012_345, row[8], 40_001, 374_000_050_000),
    )


@given(st.lists(st.decimals(-(10**9), 10**9, places=8), min_size=1))
def test_scaling_text_is_exact(numbers: list[Decimal]) -> None:
    text = pl.Series([f"{number:f}" for number in numbers])
    exponent = decimals_of(text)
    assert scaled(text, exponent).to_list() == [int(number.scaleb(exponent)) for number in numbers]


@pytest.mark.parametrize("text", ["1e5", "", "nan", "12.3.4", "0x10", "1e-7", "99999999999999999999.5"])
def test_a_number_that_is_not_a_plain_decimal_is_refused(rows: Rows, text: str) -> None:
    broken = rows(DAY, 2)
    broken[1][9] = text
    with pytest.raises(InvalidKlinesError, match="plain decimal number, at 2025-01-01 00:01"):
        parse(broken)


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        (0, DAY * 1000, "milliseconds"),
        (0, DAY // 1000, "milliseconds"),
        (0, DAY + 1, "off the grid of 1m"),
        (6, DAY + 60_000, "close time"),
        (2, "1.00", "low ≤ open, close ≤ high"),
        (3, "99999.00", "low ≤ open, close ≤ high"),
        (3, "0.00", "above zero"),
        (5, "-0.001", "negative"),
        (8, -1, "negative"),
        (9, "9.000", "takers"),
        (10, "900000.00000", "takers"),
        (1, 60000.5, "the exchange's form"),
        (4, None, "missing"),
    ],
)
def test_a_row_that_no_real_kline_can_be_is_refused(rows: Rows, column: int, value: object, rule: str) -> None:
    broken = rows(DAY, 1)
    broken[0][column] = value
    with pytest.raises(InvalidKlinesError, match=rule):
        parse(broken)


@pytest.mark.parametrize("broken", [[[1, 2, 3]], [[], []], [{"open": 1}], [["x"] * 12], [[DAY] * 12, [DAY]]])
def test_what_is_not_a_row_at_all_is_refused(broken: list[Any]) -> None:
    with pytest.raises(InvalidKlinesError):
        parse(broken)


def test_no_rows_are_no_klines() -> None:
    klines = parse([])
    assert len(klines) == 0
    assert klines.frame.schema == SCHEMA


def test_the_same_row_twice_is_dropped_and_counted(rows: Rows) -> None:
    klines, duplicates = parse_rows("BTCUSDT", ONE_MINUTE, rows(DAY, 5) + rows(DAY + 60_000, 2), "a test")
    assert (len(klines), duplicates) == (5, 2)


def test_two_different_rows_for_one_open_time_are_an_error_that_names_it(rows: Rows) -> None:
    other = rows(DAY + 60_000, 1)
    other[0][8] += 1
    with pytest.raises(InvalidKlinesError, match="two different rows for one open time, at 2025-01-01 00:01"):
        parse(rows(DAY, 3) + other)


def test_rows_may_come_in_any_order(rows: Rows) -> None:
    assert parse(rows(DAY, 9)[::-1]).frame.equals(parse(rows(DAY, 9)).frame)


def test_merging_widens_the_exponents_and_rounds_nothing(klines: Callable[..., Klines]) -> None:
    coarse, fine = klines(DAY, 2, decimals=1), klines(DAY + 120_000, 2, decimals=2)
    merged = merge_klines([coarse, fine], "a test")
    assert merged.exponents == Exponents(2, 3, 5)
    assert merged.frame.equals(klines(DAY, 4).frame)


def test_merging_the_same_rows_in_other_exponents_drops_them(klines: Callable[..., Klines]) -> None:
    merged = merge_klines([klines(DAY, 3), klines(DAY, 3, decimals=1)], "a test")
    assert merged.frame.equals(klines(DAY, 3).frame)


def test_merging_rows_that_differ_is_an_error(klines: Callable[..., Klines]) -> None:
    changed = klines(DAY, 3)
    changed = Klines("BTCUSDT", ONE_MINUTE, changed.exponents, changed.frame.with_columns(pl.col("trades") + 1))
    with pytest.raises(InvalidKlinesError, match="two different rows"):
        merge_klines([klines(DAY, 3), changed], "a test")


def test_a_value_that_would_leave_64_bits_is_an_error_not_a_wrong_number(klines: Callable[..., Klines]) -> None:
    with pytest.raises(InvalidKlinesError, match="64 bits"):
        rescale(klines(DAY, 1), Exponents(15, 3, 5), "a test")


@pytest.mark.parametrize(
    ("name", "rows", "exponents"),
    [("AVAXUSDT-1m-2026-07", 44_640, Exponents(4, 0, 4)), ("LINKUSDT-1m-2023-02", 40_320, Exponents(3, 2, 5))],
)
def test_a_month_of_the_public_archive_is_taken_as_it_is(
    recordings: Path, name: str, rows: int, exponents: Exponents
) -> None:
    text = pl.read_csv(recordings / "archive" / f"{name}.csv", infer_schema=False)[:, : len(RAW_COLUMNS)]
    text.columns = list(RAW_COLUMNS)
    klines, duplicates = parse_klines(name.partition("-")[0], ONE_MINUTE, text, name)
    assert (len(klines), duplicates, klines.exponents) == (rows, 0, exponents)
    assert find_gaps(klines, klines.range) == []
    assert count_oddities(klines) == {}


def test_recorded_answers_of_the_exchange_are_taken_as_they_are(recordings: Path) -> None:
    recorded = json.loads((recordings / "rest_samples" / "fapi_recordings_2026-06.json").read_text())
    answers = [one for one in recorded["routes"]["/fapi/v1/klines"]["GET"] if isinstance(one["data"], list)]
    assert answers
    for one in answers:
        query = parse_qs(one["queryString"])
        klines, _ = parse_rows(query["symbol"][0], Interval(query["interval"][0]), one["data"], "a recording")
        assert len(klines) == len(one["data"])
        assert count_oddities(klines) == {}


def test_microseconds_of_the_spot_archive_are_refused(rows: Rows) -> None:
    spot = [[row[0] * 1000, *row[1:6], row[6] * 1000 + 999, *row[7:]] for row in rows(DAY, 3)]
    with pytest.raises(InvalidKlinesError, match="not in milliseconds"):
        parse(spot)
