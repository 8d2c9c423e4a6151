"""Planted faults in the margin of kept runs: whole runs of the demo's market, 50 times levered, and damaged after."""

import json
import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from nt_run.audit import audit
from nt_run.config import load_config
from nt_run.pipeline import backtest
from test_audit import age, at_row, change
from test_margining import HOLD

D = Decimal


@pytest.fixture(scope="module", params=[("isolated", 40), ("cross", "49.5")], ids=["isolated", "cross"])
def cache(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A cache with one run in it that was liquidated several times, by mark klines."""
    folder = tmp_path_factory.mktemp("cache")
    file = folder / "hold.py"
    file.write_text(HOLD)
    given = {"demo": True, "start": "2026-06-24", "end": "2026-06-26", "strategy.name": f"{file}:Hold"}
    mode, fraction = request.param
    given |= {"sizing.fraction": fraction, "account.leverage": 50, "margin.mode": mode}
    run = backtest(load_config(None, given), cache_dir=folder)
    assert run.summary["margin"]["liquidation_prices"] == "mark klines"
    assert run.summary["liquidations"]
    return folder


@pytest.fixture
def kept(cache: Path, tmp_path: Path) -> Path:
    (folder,) = (cache / "runs").iterdir()
    return shutil.copytree(folder, tmp_path / "run")


@pytest.fixture
def first(kept: Path) -> int:
    """The row of the first liquidation among the fills."""
    return pl.read_parquet(kept / "fills.parquet")["order_type"].to_list().index("liquidation")


def when(kept: Path, row: int) -> str:
    return f"{pl.read_parquet(kept / 'fills.parquet')['time'][row]:%Y-%m-%dT%H:%M:%SZ}"


def rewrite(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    summary = json.loads((folder / "summary.json").read_text())
    edit(summary)
    (folder / "summary.json").write_text(json.dumps(summary))


def found(folder: Path, cache: Path) -> list[tuple[str, str | None]]:
    """Return what is wrong with the margin, and when."""
    report = audit(str(folder), cache)
    return [(each["what"], each["time"]) for each in report["violations"] if each["check"] == "margin"]


def test_a_liquidated_run_is_sound_and_its_mark_prices_are_kept(cache: Path, kept: Path) -> None:
    report = audit(str(kept), cache)
    assert report["violations"] == report["unchecked"] == []
    marks = pl.read_parquet(kept / "marks.parquet")
    assert marks.columns == ["open_time", "low", "high"]
    assert marks.height == 2880
    (checked,) = (each["checked"] for each in report["checks"] if each["name"] == "margin")
    held = pl.read_parquet(kept / "equity.parquet")["position"] != 0
    # What is bought at a close meets the next bar.
    assert checked == held[:-1].sum()


def test_a_dropped_liquidation_is_missed_at_its_time(cache: Path, kept: Path, first: int) -> None:
    time = when(kept, first)
    change(kept, "fills", lambda frame: frame[[*range(first), *range(first + 1, frame.height)]])
    assert time in [missed for what, missed in found(kept, cache) if what.startswith("missed liquidation")]
    assert ("liquidations reported", None) in found(kept, cache)


@pytest.mark.parametrize("ticks", [1, -1])
def test_a_liquidation_moved_by_a_tick_is_named(cache: Path, kept: Path, first: int, ticks: int) -> None:
    for column in ("price", "reference"):
        change(kept, "fills", at_row(first, column, lambda price: price + ticks * D("0.1")))
    assert ("price", when(kept, first)) in found(kept, cache)


def test_a_changed_charge_is_named(cache: Path, kept: Path, first: int) -> None:
    change(kept, "fills", at_row(first, "liquidation", lambda charge: charge + D("0.001")))
    assert ("charge", when(kept, first)) in found(kept, cache)


def test_a_plain_fee_in_the_place_of_another_is_named(cache: Path, kept: Path, first: int) -> None:
    # What it was charged in all stays.
    change(kept, "fills", at_row(first, "fee", lambda fee: fee - D("0.001")))
    change(kept, "fills", at_row(first, "liquidation", lambda charge: charge + D("0.001")))
    assert found(kept, cache) == [("fee", when(kept, first))]


def test_another_table_of_brackets_is_named_and_so_is_what_it_would_have_done(cache: Path, kept: Path) -> None:
    def swap(summary: dict[str, Any]) -> None:
        brackets = summary["margin"]["brackets"]
        for row in brackets:
            row["rate"], row["cum"] = (str(D(row[name]) / 2) for name in ("rate", "cum"))

    rewrite(kept, swap)
    named = [what for what, _ in found(kept, cache)]
    assert "leverage bracket 1" in named
    assert "price" in named


def test_changed_mark_prices_differ_from_the_market_data(cache: Path, kept: Path, first: int) -> None:
    time = pl.read_parquet(kept / "fills.parquet")["time"][first]
    row = int((pl.read_parquet(kept / "marks.parquet")["open_time"] < time).sum()) - 1
    change(kept, "marks", at_row(row, "low", lambda low: low * 2))
    named = [what for what, _ in found(kept, cache)]
    assert named[0] == "liquidation"
    assert "mark price" in named


def test_what_the_report_says_of_a_liquidation_is_held_against_it(cache: Path, kept: Path) -> None:
    def lie(summary: dict[str, Any]) -> None:
        summary["liquidations"][0]["lost"] = "1.00000000"

    rewrite(kept, lie)
    assert [what for what, _ in found(kept, cache)] == ["lost reported"]


def test_a_folder_without_mark_prices_loads_and_says_what_was_not_checked(cache: Path, kept: Path) -> None:
    for name in ("marks.parquet", "SHA256SUMS"):
        (kept / name).unlink()
    assert found(kept, cache) == [("marks.parquet", None)]
    # What reports tell since the file is kept.
    age(kept, "data.missing_settlements", "costs")
    report = audit(str(kept), cache)
    assert report["violations"] == []
    words = next(words for words in report["unchecked"] if "reached a liquidation price" in words)
    assert words.endswith("of an earlier version, has no marks.parquet")


def test_a_run_out_of_reach_is_held_against_a_tenth_beyond_its_prices(cache: Path, tmp_path: Path) -> None:
    calm = {"demo": True, "start": "2026-06-24", "end": "2026-06-26", "sizing.fraction": "0.5"}
    run = backtest(load_config(None, calm), cache_dir=cache, save=True)
    assert run.summary["margin"]["liquidation_prices"] == "not reachable"
    assert run.path is not None
    folder = shutil.move(run.path, tmp_path / "calm")
    assert not (folder / "marks.parquet").exists()
    assert audit(str(folder), cache)["violations"] == []

    def lever(summary: dict[str, Any]) -> None:
        summary["margin"]["leverage"] = "50"

    rewrite(folder, lever)
    assert "missed liquidation" in found(folder, cache)[0][0]
