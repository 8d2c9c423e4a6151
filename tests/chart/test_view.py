from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from chart.made_up_runs import NS, START_MS, make_klines, make_run
from nt_run.chart.view import chart_data


def test_events_belong_to_the_bar_that_closes_at_or_after_them() -> None:
    run = make_run(make_klines(50), trades=1)
    minute = 60_000_000_000
    start = START_MS * 1_000_000
    times = [start, start + 1, start + minute, start + minute + 1, start + 50 * minute, start + 99 * minute]
    fills = pl.concat([run.fills[:1]] * len(times)).with_columns(pl.Series("time", times, dtype=pl.Int64).cast(NS))
    assert chart_data(replace(run, fills=fills)).fills.slot.tolist() == [0, 0, 0, 1, 49, 49]


def test_a_hole_keeps_its_width() -> None:
    klines = make_klines(30)
    klines = replace(klines, frame=pl.concat([klines.frame[:10], klines.frame[25:]]))
    bars = chart_data(make_run(klines, trades=0)).bars
    assert bars.slot.tolist() == [*range(10), *range(25, 30)]
    assert bars.slots == 30
    assert bars.row(20) == 9
    assert bars.time_ms(25) == bars.open_ms[10]


def test_a_fill_opens_when_it_starts_adds_or_turns_a_position() -> None:
    run = make_run(make_klines(60), trades=3)
    sides = ["buy", "buy", "sell", "sell", "buy"]
    quantities = pl.Series([1.0, 1.0, 0.5, 3.0, 1.5]).cast(pl.Decimal(38, 8))
    fills = run.fills.with_columns(pl.Series("side", sides), quantities.alias("quantity"))
    assert chart_data(replace(run, fills=fills)).fills.opens.tolist() == [True, True, False, True, False]


def test_an_open_trade_ends_at_the_last_close() -> None:
    run = make_run(make_klines(100), trades=4)
    data = chart_data(run)
    assert data.trades.is_open.tolist() == [False, False, False, True]
    assert data.trades.exit_slot[-1] == 99
    assert data.trades.exit_price[-1] == data.bars.close[-1]


def test_an_open_trade_counts_what_is_not_realised_yet() -> None:
    run = make_run(make_klines(100), trades=4)
    account = run.summary["account"] | {"open_pnl": "12.50000000"}
    shift = chart_data(replace(run, summary=run.summary | {"account": account})).trades.pnl - chart_data(run).trades.pnl
    np.testing.assert_allclose(shift, [0, 0, 0, 12.5])


def test_the_account_is_read_at_the_close_of_each_bar() -> None:
    run = make_run(make_klines(40), trades=3)
    data = chart_data(run)
    assert data.account.equity.tolist() == run.equity["equity"].to_list()
    later = chart_data(replace(run, equity=run.equity[10:]))
    assert np.isnan(later.account.equity[:10]).all()
    assert later.account.equity[10:].tolist() == run.equity["equity"][10:].to_list()


def test_prices_show_the_decimals_they_use() -> None:
    exact = make_klines(20, decimals=1)
    padded = replace(
        exact,
        exponents=replace(exact.exponents, price=2),
        frame=exact.frame.with_columns(pl.col("open", "high", "low", "close") * 10),
    )
    assert chart_data(make_run(padded, 0)).price_decimals == 1
    assert chart_data(make_run(make_klines(20, price=0.0000123, decimals=7), 0)).price_decimals == 7


def test_averages_take_the_periods_of_the_strategy_or_the_usual_ones() -> None:
    run = make_run(make_klines(60), 0)
    given = run.summary | {"strategy": {"name": "mine", "params": {"fast": 5, "slow": 30}}}
    lines = chart_data(replace(run, summary=given)).overlays
    assert (lines.fast_period, lines.slow_period) == (5, 30)
    odd = run.summary | {"strategy": {"name": "mine", "params": {"fast": True, "slow": "many"}}}
    lines = chart_data(replace(run, summary=odd)).overlays
    assert (lines.fast_period, lines.slow_period) == (10, 21)


def test_the_header_says_what_was_run_and_what_came_of_it() -> None:
    data = chart_data(make_run(make_klines(1440), trades=5))
    assert data.title == "BTCUSDT-PERP.BINANCE"
    assert data.subtitle == "1m · ema_cross 10/21 · 2025-05-01 → 2025-05-02 UTC"
    names = ["Net PnL", "Trades", "Win rate", "Profit factor", "Max drawdown", "Fees", "Funding"]
    assert [stat.name for stat in data.stats] == names


def test_numbers_that_do_not_exist_are_dashes() -> None:
    stats = {stat.name: stat for stat in chart_data(make_run(make_klines(5), trades=0)).stats}
    assert stats["Win rate"].text == "–"
    assert stats["Net PnL"].sign == 0


@pytest.mark.parametrize("demo", [True, False])
def test_a_demo_run_is_known_as_one(demo: bool) -> None:
    assert chart_data(make_run(make_klines(5), demo=demo)).demo is demo


def test_the_header_says_how_often_a_run_was_liquidated_and_what_that_cost() -> None:
    run = make_run(make_klines(30), 1)
    assert "Liquidations" not in [stat.name for stat in chart_data(run).stats]
    at = {"time": "2025-05-01T00:20:00Z", "price": "60000"}
    summary = run.summary | {"liquidations": [at | {"lost": "10.5"}, at | {"lost": "2.25"}]}
    (stat,) = (each for each in chart_data(replace(run, summary=summary)).stats if each.name == "Liquidations")
    # 10.5 + 2.25
    assert (stat.text, stat.sign) == ("2 (-12.75)", -1)
