import pytest
from hypothesis import given
from hypothesis import strategies as st

from nt_run.errors import UsageError
from nt_run.intervals import INTERVALS
from nt_run.model import Interval, TimeRange, format_iso, format_time, parse_symbol, parse_time


@pytest.mark.parametrize(
    "text", ["BTCUSDT", "btcusdt", "BTC/USDT:USDT", "BTCUSDT-PERP", "BTCUSDT-PERP.BINANCE", " BTCUSDT "]
)
def test_every_usual_spelling_of_a_symbol_is_accepted(text: str) -> None:
    assert parse_symbol(text) == "BTCUSDT"


@pytest.mark.parametrize("text", ["", "BTC/USDT", "BTC/USDT:BTC", "BTC-USDT", "BTCUSDT-PERP.BYBIT", "../x"])
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_symbol(text)


def test_a_delivery_contract_keeps_its_date() -> None:
    assert parse_symbol("BTCUSDT_250627") == "BTCUSDT_250627"


def test_ranges_are_half_open() -> None:
    day = TimeRange(parse_time("2025-05-04"), parse_time("2025-05-05"))
    assert day.bars(Interval("1m")) == 1440
    assert day.bars(Interval("1d")) == 1


@given(start=st.integers(0, 10**7), length=st.integers(1, 10**7))
def test_the_number_of_bars_is_the_number_of_open_times_inside(start: int, length: int) -> None:
    step = Interval("1m").ms
    inside = len(range(-(-start // step) * step, start + length, step))
    assert TimeRange(start, start + length).bars(Interval("1m")) == inside


@pytest.mark.parametrize(("start", "end"), [(5, 5), (6, 5)])
def test_an_empty_or_backward_range_is_an_error(start: int, end: int) -> None:
    with pytest.raises(UsageError, match="the end must come after the start"):
        TimeRange(start, end)


def test_an_unknown_interval_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="1m, 3m, 5m"):
        Interval("7m")


def test_times_are_utc_unless_they_say_otherwise() -> None:
    assert parse_time("2025-05-04T15:33") == parse_time("2025-05-04T17:33+02:00") == 1746372780000
    assert format_time(1746372780000) == "2025-05-04 15:33"
    assert format_iso(1746372780001) == "2025-05-04T15:33:00.001Z"


@pytest.mark.parametrize(
    ("name", "at", "opens", "ends"),
    [
        ("1m", "2026-06-17T12:34:56", "2026-06-17T12:34", "2026-06-17T12:35"),
        ("1d", "2026-06-17T12:34", "2026-06-17", "2026-06-18"),
        # 1970-01-01 plus 20,619 = 3 × 6,873 days is 2026-06-15.
        ("3d", "2026-06-17T12:34", "2026-06-15", "2026-06-18"),
        # 2026-06-15 is a Monday.
        ("1w", "2026-06-17T12:34", "2026-06-15", "2026-06-22"),
        ("1w", "2017-07-03", "2017-07-03", "2017-07-10"),
        ("1M", "2026-06-17T12:34", "2026-06-01", "2026-07-01"),
        ("1M", "2024-02-29T23:59", "2024-02-01", "2024-03-01"),
        ("1M", "2025-12-31", "2025-12-01", "2026-01-01"),
    ],
)
def test_a_bar_opens_and_ends_where_its_grid_says(name: str, at: str, opens: str, ends: str) -> None:
    interval, time = Interval(name), parse_time(at)
    assert (interval.floor(time), interval.end(time)) == (parse_time(opens), parse_time(ends))


@given(st.sampled_from(sorted(INTERVALS)), st.integers(0, 4 * 10**12))
def test_every_time_is_in_one_bar_and_bars_are_numbered_without_a_gap(name: str, time: int) -> None:
    interval = Interval(name)
    number = interval.number(time)
    start, end = interval.opening(number), interval.opening(number + 1)
    assert start <= time < end == interval.end(time)
    assert end - start <= interval.ms
    assert (interval.number(start), interval.number(end - 1), interval.number(end)) == (number, number, number + 1)
    assert interval.ceil(start) == start
    assert interval.ceil(start + 1) == end
    assert TimeRange(start, end).bars(interval) == 1


def test_months_and_minutes_have_names_that_differ_where_case_does_not_count() -> None:
    names = [Interval(name).file_name.lower() for name in INTERVALS]
    assert len(set(names)) == len(names)
