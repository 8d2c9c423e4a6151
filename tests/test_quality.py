from collections.abc import Callable
from decimal import Decimal

import polars as pl
import pytest

from nt_run.errors import UsageError
from nt_run.klines import SCHEMA, Exponents, Klines, find_zero_volume_runs
from nt_run.model import Interval, format_time, parse_time
from nt_run.quality import aggregate, compare_klines, count_oddities, observed_tick

MINUTE = 60_000
DAY = 1_735_689_600_000  # 2025-01-01
AS_TEXT = Exponents(2, 3, 5)


def build(count: int, interval: str = "1m", exponents: Exponents = AS_TEXT, **columns: list[int]) -> Klines:
    step = Interval(interval).ms
    frame = pl.DataFrame({"open_time": [DAY + number * step for number in range(count)]})
    frame = frame.with_columns(pl.Series(name, columns.get(name, [1000] * count)) for name in list(SCHEMA)[1:])
    return Klines("BTCUSDT", Interval(interval), exponents, frame.cast({"open_time": SCHEMA["open_time"]}))


def test_spot_rows_in_a_perpetuals_file_are_found_by_a_second_source(recorded_klines: Callable[..., Klines]) -> None:
    suspect = recorded_klines("BTCUSDT-5m-contaminated-with-spot", "5m")
    comparison = compare_klines(suspect, recorded_klines("BTCUSDT-1h-2019-2026", "1h"))
    spot = [time for time in comparison.disagreeing if time >= parse_time("2025-02-18T10:00")]
    assert len(spot) == 48
    assert format_time(spot[0]) == "2025-02-18 10:00"
    assert spot[-1] - spot[0] == 47 * 3_600_000
    # Before them, the two differ only where the exchange corrected its own history.
    assert comparison.compared - len(comparison.disagreeing) == 3364
    assert len(comparison.disagreeing) - len(spot) == 6


def test_two_recordings_of_one_market_agree_bar_by_bar(recorded_klines: Callable[..., Klines]) -> None:
    comparison = compare_klines(
        recorded_klines("BTCUSDT-1m-2025-05", "1m"), recorded_klines("BTCUSDT-1h-2019-2026", "1h")
    )
    assert (comparison.compared, comparison.disagreeing) == (719, {})


def test_recordings_of_different_markets_disagree_everywhere(recorded_klines: Callable[..., Klines]) -> None:
    ethereum = recorded_klines("ETHUSDT-1m-2025-05", "1m")
    comparison = compare_klines(ethereum, recorded_klines("BTCUSDT-1h-2019-2026", "1h"))
    assert len(comparison.disagreeing) == comparison.compared > 0


def test_the_recorded_outage_of_2025_01_29_is_a_zero_volume_run(recorded_klines: Callable[..., Klines]) -> None:
    klines = recorded_klines("BTCUSDT-1m-2025-01", "1m")
    assert observed_tick(klines) == Decimal("0.1")
    assert [str(run) for run in find_zero_volume_runs(klines)] == [
        "2025-01-29 01:23 → 2025-01-29 01:36",
        "2025-01-29 02:41 → 2025-01-29 02:45",
    ]


def test_the_observed_tick_is_the_greatest_common_divisor_of_all_prices() -> None:
    prices = [9_354_880, 9_354_900] * 200
    klines = build(400, open=prices, high=prices, low=prices, close=prices)
    assert observed_tick(klines) == Decimal("0.20")
    odd = [*prices[:-1], 9_354_870]
    assert observed_tick(build(400, open=prices, high=prices, low=odd, close=prices)) == Decimal("0.10")


def test_aggregation_leaves_out_what_is_not_complete() -> None:
    klines = build(12, open=list(range(12)), high=list(range(50, 62)), low=list(range(12)), close=list(range(12)))
    five = aggregate(klines, Interval("5m"))
    assert five.frame.select("open", "high", "low", "close", "volume").rows() == [
        (0, 54, 0, 4, 5000),
        (5, 59, 5, 9, 5000),
    ]
    assert five.range.start_ms == DAY


def test_aggregation_to_an_interval_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="3m cannot be put together to 5m"):
        aggregate(build(5, "3m"), Interval("5m"))


def test_a_comparison_does_not_mind_other_exponents() -> None:
    wider = build(5, exponents=Exponents(3, 4, 5), **{name: [10_000] * 5 for name in ("open", "high", "low", "close")})
    wider = Klines("BTCUSDT", wider.interval, wider.exponents, wider.frame.with_columns(volume=pl.lit(10_000)))
    assert compare_klines(build(5), wider).disagreeing == {}


def test_a_comparison_names_the_columns_and_allows_volume_to_differ_a_little() -> None:
    other = build(3, close=[1000, 1001, 1000], volume=[1000, 1000, 1009])
    assert compare_klines(build(3), other).disagreeing == {DAY + MINUTE: ("close",), DAY + 2 * MINUTE: ("volume",)}
    assert compare_klines(build(3), other, volume_tolerance=0.01).disagreeing == {DAY + MINUTE: ("close",)}


def test_rows_that_look_odd_are_counted() -> None:
    prices = {"open": [1000] * 4, "high": [1010] * 4, "low": [990] * 4, "close": [1000] * 4}
    klines = build(
        4,
        volume=[0, 1000, 1000, 1000],
        quote_volume=[0, 1_000_000, 1_010_001, 1_010_002],
        trades=[1, 1, 1, 1],
        **prices,
    )
    assert count_oddities(klines) == {"trades_without_volume": 1, "price_outside_range": 1}
    assert count_oddities(build(2, quote_volume=[1_000_000] * 2)) == {}
