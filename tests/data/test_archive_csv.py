import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nt_run.data.archive_csv import HEADER, CsvForm, form_of, parse_csv, write_csv
from nt_run.data.ingest import parse_rows
from nt_run.errors import InvalidKlinesError
from nt_run.klines import Exponents, Klines
from nt_run.model import Interval, TimeRange

MINUTES = Interval("1m")
DAY = 1_735_689_600_000  # 2025-01-01
PERIOD = TimeRange(DAY, DAY + 86_400_000)

Rows = Callable[..., list[list[Any]]]


def text_of(rows: list[list[Any]]) -> bytes:
    return "".join(",".join(map(str, row)) + "\n" for row in rows).encode()


def parse(text: bytes, interval: Interval = MINUTES, period: TimeRange = PERIOD) -> Klines:
    return parse_csv("BTCUSDT", interval, text, period, "a file")[0]


@pytest.mark.parametrize("header", [HEADER, b""])
def test_the_header_is_recognised_by_the_first_byte(rows: Rows, header: bytes) -> None:
    klines = parse(header + text_of(rows(DAY, 100)))
    assert klines.frame.equals(parse_rows("BTCUSDT", MINUTES, rows(DAY, 100), "a test")[0].frame)
    assert form_of(header + text_of(rows(DAY, 100)), klines).header == bool(header)


@settings(deadline=None)
@given(st.data())
def test_text_of_any_decimals_is_read_like_the_answers_of_rest(rows: Rows, data: st.DataObject) -> None:
    made = rows(DAY, data.draw(st.integers(1, 12)))
    for row in data.draw(st.lists(st.sampled_from(made), max_size=3)):
        for column in data.draw(st.sets(st.sampled_from([1, 2, 3, 4, 5, 7, 9, 10]))):
            text = row[column]
            shorter = text.rstrip("0").rstrip(".") if "." in text else text
            row[column] = shorter if data.draw(st.booleans()) else text + ("0" if "." in text else ".0")
    ours, theirs = parse(text_of(made)), parse_rows("BTCUSDT", MINUTES, made, "a test")[0]
    assert ours.exponents.widest(theirs.exponents) == ours.exponents
    assert ours.floats().equals(theirs.floats())


@pytest.mark.parametrize("bare", [True, False])
def test_zeros_come_out_as_they_went_in(rows: Rows, bare: bool) -> None:
    made = rows(DAY, 50)
    made[7][9], made[7][10] = ("0", "0") if bare else ("0.000", "0.00000")
    text = text_of(made)
    klines = parse(text)
    assert klines.exponents == Exponents(2, 3, 5)
    assert form_of(text, klines) == CsvForm(header=False, bare_zeros=bare)
    assert write_csv(klines, form_of(text, klines)) == text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda row: [row[0] * 1000, *row[1:]], "not in milliseconds"),
        (lambda row: [*row[:2], "1.00", *row[3:]], "low ≤ open, close ≤ high"),
        (lambda row: [*row[:9], "12.3.4", *row[10:]], "plain decimal"),
        (lambda row: [*row[:9], "-0.500", *row[10:]], "negative"),
        (lambda row: [*row[:9], "1e5", *row[10:]], "plain decimal"),
        (lambda row: [*row[:9], "", *row[10:]], "plain decimal"),
        (lambda row: [*row[:9], "99999999999999999999.500", *row[10:]], "plain decimal|twelve columns"),
        (lambda row: row[:11], "twelve columns|form|plain decimal"),
        (lambda row: [row[0] - 60_000, *row[1:6], row[6] - 60_000, *row[7:]], "rows outside"),
    ],
)
def test_a_file_with_a_row_that_cannot_be_is_refused(rows: Rows, change: Callable[..., Any], words: str) -> None:
    made = rows(DAY, 5)
    made[0] = change(made[0])
    with pytest.raises(InvalidKlinesError, match=words):
        parse(text_of(made))


@pytest.mark.parametrize("text", [b"<!DOCTYPE html>\n<html>\n", b"\x00\xff,\n", b"1,2\n", b"\n\n"])
def test_what_is_no_csv_of_klines_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidKlinesError):
        parse(text + b"1,2,3\n")


def test_an_empty_file_has_no_klines() -> None:
    assert len(parse(HEADER)) == len(parse(b"")) == 0


def test_the_spot_archive_in_microseconds_is_refused(rows: Rows) -> None:
    spot = [[row[0] * 1000, *row[1:6], row[6] * 1000 + 999, *row[7:]] for row in rows(DAY, 3)]
    with pytest.raises(InvalidKlinesError, match="not in milliseconds"):
        parse(text_of(spot))


@pytest.mark.parametrize(
    ("name", "exponents", "zeros"),
    [("AVAXUSDT-1m-2026-07", Exponents(4, 0, 4), True), ("LINKUSDT-1m-2023-02", Exponents(3, 2, 5), False)],
)
def test_a_recorded_month_goes_in_and_out_byte_for_byte(
    recordings: Path, name: str, exponents: Exponents, zeros: bool
) -> None:
    text = (recordings / "archive" / f"{name}.csv").read_bytes()
    klines = parse(text, period=TimeRange(0, 2 * 10**12))
    assert klines.exponents == exponents
    assert form_of(text, klines) == CsvForm(header=True, bare_zeros=zeros)
    assert write_csv(klines, form_of(text, klines)) == text


def test_a_recorded_outage_day_goes_in_and_out_byte_for_byte(recordings: Path) -> None:
    with zipfile.ZipFile(
        io.BytesIO((recordings / "archive" / "futures-um-klines-BTCUSDT-1h-2024-10-28.zip").read_bytes())
    ) as archive:
        text = archive.read("BTCUSDT-1h-2024-10-28.csv")
    klines = parse(text, Interval("1h"), TimeRange(0, 2 * 10**12))
    assert write_csv(klines, form_of(text, klines)) == text
