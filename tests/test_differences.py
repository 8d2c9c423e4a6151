import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from nt_run.config import load_config
from nt_run.differences import compare_runs, first_difference
from nt_run.pipeline import backtest
from nt_run.results import Run

DAY = {"demo": True, "start": "2026-06-01", "end": "2026-06-02"}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def run(cache: Path) -> Run:
    return backtest(load_config(None, DAY), cache_dir=cache, save=False)


def again(cache: Path, changes: dict[str, Any]) -> Run:
    return backtest(load_config(None, {**DAY, **changes}), cache_dir=cache, save=False)


def keys(changes: list[dict[str, Any]]) -> list[str]:
    return [change["key"] for change in changes]


def test_the_same_run_twice_is_identical(cache: Path, run: Run) -> None:
    found = compare_runs(run, again(cache, {}))
    assert found["identical"]
    assert found["code"]
    assert not any(found[part] for part in ("config", "data", "specs", "versions", "figures"))
    assert not any(found["parted"].values())


def test_bars_kept_at_more_decimals_are_the_same_bars(run: Run) -> None:
    # As in a cache that has met a price of more decimals since.
    fine = replace(run.klines.exponents, price=run.klines.exponents.price + 1)
    prices = pl.col("open", "high", "low", "close") * 10
    finer = replace(run, klines=replace(run.klines, exponents=fine, frame=run.klines.frame.with_columns(prices)))
    assert compare_runs(run, finer)["identical"]
    other = replace(run, klines=replace(finer.klines, frame=run.klines.frame))
    assert not compare_runs(run, other)["bars"]


def test_another_parameter_is_named_and_so_is_the_trade_in_which_they_part(cache: Path, run: Run) -> None:
    other = again(cache, {"strategy.params.slow": 22})
    found = compare_runs(run, other)
    assert not found["identical"]
    assert found["config"] == [{"key": "strategy.params.slow", "a": 21, "b": 22}]
    assert (found["data"], found["specs"], found["versions"], found["code"]) == ([], [], [], None)
    part = found["parted"]["trades"]
    number = part["row"]
    assert run.trades[: number - 1].equals(other.trades[: number - 1])
    assert part["a"] == run.trades.row(number - 1, named=True) != part["b"] == other.trades.row(number - 1, named=True)
    assert part["columns"]
    assert {"net", "fees"} <= set(keys(found["figures"]))


def test_another_range_is_other_data(cache: Path, run: Run) -> None:
    found = compare_runs(run, again(cache, {"end": "2026-06-03"}))
    assert keys(found["config"]) == ["end"]
    assert {"fingerprint", "expected", "loaded"} <= set(keys(found["data"]))
    assert not found["bars"]
    # The longer run does the same and goes on.
    assert found["parted"]["equity"]["row"] == run.equity.height + 1
    assert found["parted"]["equity"]["a"] is None


def test_other_rules_are_named_whatever_they_were_asked_of(run: Run) -> None:
    changed = replace(run, specs=run.specs | {"tick_size": "0.20", "as_of": "2020-01-01T00:00:00Z"})
    assert compare_runs(run, changed)["specs"] == [{"key": "tick_size", "a": "0.10", "b": "0.20"}]


def test_a_strategy_whose_source_has_changed_is_told_by_the_ids(run: Run) -> None:
    digest = run.run_id.split("-")[-2]
    changed = replace(run, summary=run.summary | {"run_id": run.run_id.replace(digest, "0" * 8)})
    assert compare_runs(run, changed)["code"] is False


def frame(*prices: float | None) -> pl.DataFrame:
    time = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
    return pl.DataFrame(
        {"time": [time] * len(prices), "price": prices, "fee": [1] * len(prices)},
        schema={"time": pl.Datetime("ms", "UTC"), "price": pl.Float64, "fee": pl.Int64},
    )


def test_the_first_row_that_differs_is_named_with_its_columns() -> None:
    found = first_difference(frame(1.0, None, 3.0), frame(1.0, 2.0, 4.0))
    assert found is not None
    assert (found["row"], found["columns"], found["a"]["price"], found["b"]["price"]) == (2, ["price"], None, 2.0)


def test_a_frame_that_ends_early_differs_in_the_row_it_lacks() -> None:
    found = first_difference(frame(1.0), frame(1.0, 2.0))
    assert found is not None
    assert (found["row"], found["a"], found["b"]["price"]) == (2, None, 2.0)
    assert (first_difference(frame(), frame(1.0)) or {})["row"] == 1


def test_what_an_earlier_version_did_not_keep_is_no_difference() -> None:
    assert first_difference(frame(1.0), frame(1.0).drop("fee")) is None
    assert first_difference(None, frame(1.0)) is None
    assert first_difference(frame(), frame()) is None
    assert first_difference(frame(None), frame(None)) is None
