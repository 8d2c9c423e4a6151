import pytest
from hypothesis import given
from hypothesis import strategies as st

from nt_run.errors import UsageError
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
