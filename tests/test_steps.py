from collections.abc import Callable
from decimal import Decimal
from math import gcd

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nt_run.klines import SCHEMA, Exponents, Klines, find_gaps
from nt_run.model import Interval, format_time, parse_time
from nt_run.steps import Finer, MonthStep, divisor, find_finer, in_words

TICK, STEP = Decimal("0.10"), Decimal("0.001")
HOUR = 3_600_000
FEBRUARY = parse_time("2025-02-01")


def build(prices: list[int], *, start: int = FEBRUARY, volumes: list[int] | None = None) -> Klines:
    """Hours whose open is 100.00 and whose other prices are as given, in hundredths; volumes in thousandths."""
    count = len(prices)
    frame = pl.DataFrame({name: [1000] * count for name in SCHEMA}).with_columns(
        open_time=pl.Series([start + number * HOUR for number in range(count)]),
        open=pl.lit(10_000),
        high=pl.Series(prices),
        low=pl.Series(prices),
        close=pl.Series(prices),
        volume=pl.Series(volumes or [1000] * count),
    )
    return Klines("BTCUSDT", Interval("1h"), Exponents(2, 3, 5), frame.select(list(SCHEMA)).cast(SCHEMA))


def finer(klines: Klines, tick: Decimal = TICK, step: Decimal = STEP) -> Finer:
    found = find_finer(klines, tick, step)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("tick", "off"), [("0.10", 1), ("0.01", 0), ("0.005", 0), ("10", 2), ("0.02", 1), ("0.003", 3), ("0.50", 2)]
)
def test_a_tick_may_be_finer_or_coarser_than_the_datas_last_decimal(tick: str, off: int) -> None:
    # The opens, 100.00, are on every tick here but 0.003; the others are 100.00, 100.01 and 100.10.
    found = find_finer(build([10_000, 10_001, 10_010]), Decimal(tick), STEP)
    assert (0 if found is None else found.rows) == off


def test_a_month_that_moves_in_coarser_steps_contradicts_nothing() -> None:
    assert find_finer(build([10_000, 10_500, 11_000], volumes=[5000, 10_000, 0]), TICK, STEP) is None


def test_prices_and_volumes_are_told_month_by_month() -> None:
    # 28 days of February 2025 are 672 hours: the first of March is row 672.
    prices, volumes = [10_005] * 672 + [10_010] * 672, [1000] * 672 + [1001] * 672
    found = finer(build(prices, volumes=volumes), step=Decimal("0.1"))
    assert found.months == [
        # 100.00 and 100.05 move in 0.05, and 1.001 moves in itself: nothing coarser divides it.
        MonthStep(month="2025-02", rule="tick size", limit=TICK, moves_in=Decimal("0.05")),
        MonthStep(month="2025-03", rule="step size", limit=Decimal("0.1"), moves_in=Decimal("1.001")),
    ]
    assert (found.rows, found.of, found.at_once, found.dense) == (1344, 1344, True, True)


def test_months_that_move_alike_are_one_span() -> None:
    words = in_words(finer(build([10_001] * 24 * 80)))
    assert "tick size 0.10, but the data of 2025-02 to 2025-04 moves in 0.01" in words
    assert "from before a change of rules, or rows of another market" in words


def test_rows_that_begin_after_others_that_keep_to_the_rules_are_likely_another_market() -> None:
    words = in_words(finer(build([10_000] * 10 + [10_001] * 10)))
    assert words.startswith("10 of 20 klines, from 2025-02-01 10:00 to 2025-02-01 19:00, are finer")
    assert "likely rows of another market such as spot" in words


def test_single_rows_are_not_a_rule_of_their_time() -> None:
    assert "trades of orders older than the rule" in in_words(finer(build([10_001, *[10_000] * 10, 10_001])))


@given(st.lists(st.integers(0, 10**12), max_size=200), st.integers(0, 10**6))
def test_the_divisor_is_that_of_all_values(values: list[int], known: int) -> None:
    assert divisor(np.array(values, dtype=np.int64), known) == gcd(known, *values)


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=60), st.sampled_from([1, 2, 5, 10, 25, 50, 100]))
def test_what_is_put_on_a_tick_is_on_it_and_what_is_found_divides_all_prices(prices: list[int], tick: int) -> None:
    rule = Decimal(tick).scaleb(-2)
    assert find_finer(build([price * 100 for price in prices]), rule, STEP) is None
    found = find_finer(build(prices), rule, STEP)
    assert (found is None) == all(price % tick == 0 for price in prices)
    if found is not None:
        (month,) = found.months
        assert int(month.moves_in.scaleb(2)) == gcd(10_000, *prices)
        assert found.rows == sum(price % tick != 0 for price in prices)


def test_spot_rows_in_a_perpetuals_file_are_found_by_their_tick_and_step(
    recorded_klines: Callable[..., Klines],
) -> None:
    found = finer(recorded_klines("BTCUSDT-5m-contaminated-with-spot", "5m"))
    assert (found.rows, format_time(found.first_ms), format_time(found.last_ms)) == (
        575,
        "2025-02-18 10:30",
        "2025-02-20 10:20",
    )
    assert [(one.month, one.rule, one.moves_in) for one in found.months] == [
        ("2025-02", "tick size", Decimal("0.01")),
        ("2025-02", "step size", Decimal("0.00001")),
    ]
    assert "likely rows of another market" in in_words(found)


def test_the_change_of_tick_size_of_2022_is_read_off_the_data(recorded_klines: Callable[..., Klines]) -> None:
    history = recorded_klines("BTCUSDT-1h-2019-2026", "1h")
    found = finer(history)
    months = [one.month for one in found.months]
    assert (months[0], months[-1], len(months)) == ("2019-09", "2022-04", 32)
    # What is left after the change are single prints of older orders, too few to tell their step.
    assert {one.moves_in for one in found.months if one.month < "2022-03"} == {Decimal("0.01")}
    assert format_time(found.last_ms) == "2022-04-11 17:00"
    after = history.within(type(history.range)(parse_time("2022-02-16"), history.range.end_ms))
    assert finer(after).rows < 20
    assert not finer(after).dense
    assert find_gaps(history, history.range) == []


@pytest.mark.parametrize("name", ["BTCUSDT-1m-2025-01", "BTCUSDT-1m-2025-05", "BTCUSDT-5m-2023-2024"])
def test_clean_recordings_contradict_nothing(recorded_klines: Callable[..., Klines], name: str) -> None:
    assert find_finer(recorded_klines(name, name.split("-")[1]), TICK, STEP) is None
