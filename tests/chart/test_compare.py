"""Runs over each other: returns since their starts, and holding the market."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from chart.made_up_runs import make_klines, make_run
from nt_run.chart.compare import compare
from nt_run.chart.compare_stage import course_colours
from nt_run.config import load_config
from nt_run.errors import ChartError
from nt_run.klines import Klines
from nt_run.results import Run


def cut(klines: Klines, start: int, stop: int) -> Klines:
    return replace(klines, frame=klines.frame[start:stop])


def test_a_run_s_curve_is_its_equity_over_its_start() -> None:
    run = make_run(make_klines(120), trades=5)
    course = compare([run]).courses[0]
    np.testing.assert_allclose(course.returns, run.equity["equity"].to_numpy() / 100_000 - 1)
    np.testing.assert_allclose(course.drawdown, run.equity["drawdown"].to_numpy())
    assert course.total == course.returns[-1]
    assert not course.is_market


def test_holding_the_market_starts_at_the_first_open() -> None:
    run = make_run(make_klines(120), trades=2)
    market = compare([run]).courses[-1]
    floats = run.klines.floats()
    closes, start = floats["close"].to_numpy(), floats["open"][0]
    np.testing.assert_allclose(market.returns, closes / start - 1)
    tops = np.maximum.accumulate(np.r_[start, closes])[1:]
    np.testing.assert_allclose(market.drawdown, closes / tops - 1)
    assert (market.name, market.is_market) == ("buy & hold BTCUSDT", True)


def test_runs_of_different_ranges_lie_where_they_belong() -> None:
    klines = make_klines(300)
    early, late = make_run(cut(klines, 0, 100), trades=3), make_run(cut(klines, 80, 300), trades=3)
    comparison = compare([early, late])
    assert comparison.bars.slots == 300
    first, second, market = comparison.courses
    assert np.isfinite(first.returns).nonzero()[0].tolist() == list(range(100))
    assert np.isfinite(second.returns).nonzero()[0].tolist() == list(range(80, 300))
    # The market of the longer run.
    assert np.isfinite(market.returns).nonzero()[0].tolist() == list(range(80, 300))


def test_coarser_bars_keep_their_value_until_the_next_close() -> None:
    fine, coarse = make_run(make_klines(60), trades=2), make_run(make_klines(12, interval="5m"), trades=2)
    comparison = compare([coarse, fine])
    assert comparison.bars.interval.name == "1m"
    returns = comparison.courses[0].returns
    closes = coarse.equity["equity"].to_numpy() / 100_000 - 1
    # The first 5m bar closes with the fifth minute; nothing is known before.
    assert np.isnan(returns[:4]).all()
    np.testing.assert_allclose(returns[4::5], closes)
    np.testing.assert_allclose(returns[5:9], closes[0])


def test_there_is_no_value_inside_a_hole() -> None:
    klines = make_klines(100)
    klines = replace(klines, frame=pl.concat([klines.frame[:40], klines.frame[60:]]))
    for course in compare([make_run(klines, trades=3)]).courses:
        assert np.isnan(course.returns).nonzero()[0].tolist() == list(range(40, 60))


@pytest.mark.parametrize(
    ("settings", "notes"),
    [
        ([{"account.leverage": 20}, {"account.leverage": 75}], ["leverage 20", "leverage 75"]),
        ([{"account.leverage": 20}, {"account.leverage": 20}], ["1Z", "2Z"]),
        (
            [{"start": f"2025-05-0{day}T00:00:00Z", "end": f"2025-05-0{day + 1}T00:00:00Z"} for day in (1, 2)],
            ["1Z", "2Z"],
        ),
    ],
)
def test_runs_of_one_strategy_are_told_apart_by_few_settings_or_their_ids(
    settings: list[dict[str, object]], notes: list[str]
) -> None:
    run = make_run(make_klines(60), trades=2)
    runs = [
        replace(run, run_id=f"{number}Z-run", config=load_config(None, {"symbol": "BTCUSDT", **each}))
        for number, each in enumerate(settings, start=1)
    ]
    names = [course.name.rsplit(" · ", 1)[-1] for course in compare(runs).courses[:2]]
    assert names == notes


def test_runs_alike_are_told_apart_by_their_ids() -> None:
    run = make_run(make_klines(60), trades=2)

    def named(run_id: str, **params: int) -> Run:
        strategy = {"name": "ema_cross", "params": params}
        return replace(run, run_id=run_id, summary=run.summary | {"strategy": strategy})

    runs = [named("1Z-a", fast=10, slow=21), named("2Z-b", fast=10, slow=21), named("3Z-c", fast=5, slow=9)]
    assert [course.name for course in compare(runs).courses] == [
        "ema_cross 10/21 · BTCUSDT 1m · 1Z",
        "ema_cross 10/21 · BTCUSDT 1m · 2Z",
        "ema_cross 5/9 · BTCUSDT 1m",
        "buy & hold BTCUSDT",
    ]


def test_runs_that_lie_decades_apart_are_refused() -> None:
    klines = make_klines(10)
    later = klines.frame.with_columns(pl.col("open_time") + pl.duration(days=40 * 365))
    with pytest.raises(ChartError, match="too many for one chart"):
        compare([make_run(klines, trades=0), make_run(replace(klines, frame=later), trades=0)])


def test_every_run_of_eight_has_a_colour_of_its_own() -> None:
    runs = [make_run(make_klines(60), trades=2)] * 8
    courses = compare(runs).courses
    assert len(set(course_colours(courses))) == len(courses) == 9
