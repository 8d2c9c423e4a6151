import datetime as dt
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nt_run.errors import CheckFailedError, UsageError
from nt_run.metrics import (
    buy_and_hold,
    cagr,
    check_conditions,
    daily_returns,
    drawdown_facts,
    parse_condition,
    parse_conditions,
    run_metrics,
    sharpe,
    sortino,
    trade_metrics,
    turnover,
    volatility,
)

DAY = 86_400_000


def trades(*pnl: float, open_pnl: float | None = None) -> pl.DataFrame:
    values = [*pnl] if open_pnl is None else [*pnl, open_pnl]
    closed = [dt.datetime(2025, 1, 1, 1, tzinfo=dt.UTC)] * len(pnl)
    return pl.DataFrame(
        {
            "entry_time": pl.Series(
                [dt.datetime(2025, 1, 1, tzinfo=dt.UTC)] * len(values), dtype=pl.Datetime("ns", "UTC")
            ),
            "exit_time": pl.Series(closed + [None] * (len(values) - len(pnl)), dtype=pl.Datetime("ns", "UTC")),
            "pnl": pl.Series(values, dtype=pl.Float64).cast(pl.Decimal(38, 8)),
        }
    )


def test_daily_returns_count_a_midnight_close_to_the_day_that_ends() -> None:
    times = np.array([DAY // 2, DAY, DAY + 60_000, 2 * DAY])
    assert daily_returns(times, np.array([101.0, 110.0, 120.0, 99.0]), 100.0, start_ms=0).tolist() == pytest.approx(
        [0.1, -0.1]
    )


def test_a_day_in_which_no_bar_closes_has_a_return_of_zero() -> None:
    # Bars close on days 0, 1 and 4: 100 → 110 → 121, flat for two days, → 108.9.
    times = np.array([DAY, 2 * DAY, 5 * DAY])
    returns = daily_returns(times, np.array([110.0, 121.0, 108.9]), 100.0, start_ms=0)
    assert returns.tolist() == pytest.approx([0.1, 0.1, 0, 0, -0.1])


def test_a_bar_of_a_week_is_seven_days() -> None:
    assert daily_returns(np.array([7 * DAY]), np.array([107.0]), 100.0, start_ms=0).tolist() == pytest.approx(
        [0, 0, 0, 0, 0, 0, 0.07]
    )


def test_sharpe_sortino_and_volatility_by_hand() -> None:
    # Returns 2 %, −1 %, 2 %, 1 %: mean 1 %, sample deviation √(6/3) % = 1.41421 %, downside √(1/4) % = 0.5 %
    daily = np.array([0.02, -0.01, 0.02, 0.01])
    assert volatility(daily) == pytest.approx(0.0141421356 * math.sqrt(365))
    assert sharpe(daily) == pytest.approx(0.01 / 0.0141421356 * math.sqrt(365))
    assert sortino(daily) == pytest.approx(0.01 / 0.005 * math.sqrt(365))


def test_a_single_day_has_no_volatility() -> None:
    assert (volatility(np.array([0.01])), sharpe(np.array([0.01])), sortino(np.array([0.01]))) == (None, None, None)


@pytest.mark.parametrize(
    ("growth", "years", "expected"), [(1.21, 2, 0.1), (0.0, 1, -1.0), (-0.5, 1, -1.0), (1.5, 0, None), (2, 1e-4, None)]
)
def test_cagr(growth: float, years: float, expected: float | None) -> None:
    assert cagr(growth, years) == (pytest.approx(expected) if expected is not None else None)


def test_the_deepest_drawdown_has_its_dates() -> None:
    times = np.arange(1, 7) * DAY
    facts = drawdown_facts(times, np.array([110.0, 99.0, 104.0, 112.0, 108.0, 111.0]), 100.0, start_ms=0)
    assert facts == {
        "max_drawdown": pytest.approx(-0.1),
        "max_drawdown_start": "1970-01-02T00:00:00Z",
        "max_drawdown_end": "1970-01-03T00:00:00Z",
        "max_drawdown_recovered": "1970-01-05T00:00:00Z",
    }


def test_a_loss_from_the_first_bar_counts_against_the_starting_balance() -> None:
    facts = drawdown_facts(np.array([DAY, 2 * DAY]), np.array([90.0, 95.0]), 100.0, start_ms=5 * 60_000)
    assert (facts["max_drawdown"], facts["max_drawdown_recovered"]) == (pytest.approx(-0.1), None)
    assert facts["max_drawdown_start"] == "1970-01-01T00:05:00Z"


def test_a_curve_that_only_rises_has_no_drawdown() -> None:
    facts = drawdown_facts(np.array([DAY, 2 * DAY]), np.array([100.0, 101.0]), 100.0, start_ms=0)
    assert (facts["max_drawdown"], facts["max_drawdown_start"]) == (0.0, None)


@given(st.lists(st.floats(1, 1000), min_size=1, max_size=40))
def test_the_drawdown_equals_the_naive_one(levels: list[float]) -> None:
    path = [100.0, *levels]
    naive = min(low / max(path[: i + 1]) - 1 for i, low in enumerate(path))
    facts = drawdown_facts(np.arange(len(levels)), np.array(levels), 100.0, start_ms=0)
    assert facts["max_drawdown"] == pytest.approx(naive, abs=1e-12)


def test_trade_statistics_by_hand() -> None:
    facts = trade_metrics(trades(30, -10, 20, -5, 0, open_pnl=99))
    assert facts["trades"] == 5
    assert facts["open_trades"] == 1
    assert facts["win_rate"] == 0.4
    assert facts["profit_factor"] == pytest.approx(50 / 15)
    assert facts["expectancy"] == 7
    assert (facts["average_win"], facts["average_loss"]) == (25, -7.5)
    assert (facts["largest_win"], facts["largest_loss"]) == (30, -10)
    assert facts["average_trade_minutes"] == 60


def test_without_trades_or_losses_ratios_are_undefined() -> None:
    assert trade_metrics(trades())["win_rate"] is None
    assert trade_metrics(trades(5))["profit_factor"] is None


def test_exposure_is_notional_over_equity() -> None:
    equity = pl.DataFrame(
        {
            "time": pl.Series([DAY, 2 * DAY]).cast(pl.Datetime("ms", "UTC")),
            "equity": [1000.0, 1000.0],
            "position": [0.0, -2.0],
            "drawdown": [0.0, 0.0],
        }
    )
    facts = run_metrics(equity, trades(), np.array([100.0, 100.0]), 1000.0, start_ms=0)
    assert (facts["exposure"], facts["time_in_market"]) == (0.1, 0.5)
    fills = pl.DataFrame({"quantity": [2.0], "price": [100.0]})
    assert turnover(fills, equity) == 0.2


def curve(*levels: float, step: int = DAY) -> pl.DataFrame:
    times = [step * (row + 1) for row in range(len(levels))]
    return pl.DataFrame(
        {
            "time": pl.Series(times).cast(pl.Datetime("ms", "UTC")),
            "equity": [*levels],
            "position": [0.0] * len(levels),
            "drawdown": [0.0] * len(levels),
        }
    )


def test_growth_is_annualised_from_the_first_open() -> None:
    # 73 days are a fifth of a year of 365: 1.1 to the fifth is 1.61051.
    levels = [1000.0] * 72 + [1100.0]
    facts = run_metrics(curve(*levels), trades(), np.ones(73), 1000.0, start_ms=0)
    assert facts["cagr"] == pytest.approx(0.61051)


def test_less_than_two_days_are_not_annualised() -> None:
    facts = run_metrics(curve(1000.0, 990.0, step=DAY // 2), trades(), np.ones(2), 1000.0, start_ms=0)
    assert (facts["cagr"], facts["calmar"]) == (None, None)


def test_a_bankrupt_account_has_no_ratios() -> None:
    facts = run_metrics(curve(1000.0, -50.0, -40.0), trades(), np.ones(3), 1000.0, start_ms=0)
    for name in ("sharpe", "sortino", "volatility", "calmar", "exposure", "largest_share"):
        assert facts[name] is None
    assert facts["cagr"] == -1.0


def test_buy_and_hold_runs_from_the_first_open_to_the_last_close() -> None:
    facts = buy_and_hold(np.array([DAY, 2 * DAY]), np.array([90.0, 120.0]), 100.0, start_ms=0)
    assert (facts["total_return"], facts["max_drawdown"]) == (pytest.approx(0.2), pytest.approx(-0.1))


@pytest.mark.parametrize("text", ["max_drawdown>-0.2", " max_drawdown >= -2e-1 ", "trades==0", "sharpe<.5"])
def test_conditions_are_read(text: str) -> None:
    assert parse_condition(text).name in text


@pytest.mark.parametrize("text", ["", "max_drawdown", "max_drawdown=>1", "x>y", "1>2", "a>1.2.3"])
def test_other_conditions_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="Write a metric and a bound"):
        parse_condition(text)


def test_a_condition_that_fails_says_what_was_found() -> None:
    conditions = [parse_condition("sharpe>1"), parse_condition("trades>=1")]
    with pytest.raises(CheckFailedError, match=r"sharpe > 1, but it is 0.5") as caught:
        check_conditions(conditions, {"sharpe": 0.5, "trades": 3})
    assert caught.value.exit_code == 8


def test_an_undefined_figure_satisfies_nothing() -> None:
    with pytest.raises(CheckFailedError, match="not defined"):
        check_conditions([parse_condition("sharpe<99")], {"sharpe": None})


def test_an_unknown_figure_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="Did you mean 'max_drawdown'"):
        parse_conditions(["max_drawdwon>-1"], ["max_drawdown"])
