import datetime as dt
import re
from array import array
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from nt_run.accounting import build_trades
from nt_run.checksums import SUMS
from nt_run.config import load_config
from nt_run.equity import equity_curve
from nt_run.errors import ResultsError
from nt_run.folders import find_run
from nt_run.frames import fills_frame, funding_frame, plots_frame, settlements_frame, trades_frame
from nt_run.klines import SCHEMA, Exponents, Klines
from nt_run.model import Fill, FundingPayment, Interval, Liquidity, PlotLine, Plots, Settlement, Side
from nt_run.results import (
    LATER_FRAMES,
    MARKS,
    REQUIRED,
    Run,
    load_run,
    read_curve,
    run_name,
    save_run,
)

D = Decimal
NOW = dt.datetime(2025, 5, 11, 12, 30, 15, 123456, tzinfo=dt.UTC)


def make_run(run_id: str = "20250511T123015123Z-ema_cross-BTCUSDT-1m-0123abcd") -> Run:
    columns: dict[str, Any] = {name: [1000, 1010, 1005] for name in SCHEMA}
    columns["open_time"] = [0, 60_000, 120_000]
    klines = Klines("BTCUSDT", Interval("1m"), Exponents(1, 3, 4), pl.DataFrame(columns, schema=SCHEMA))
    fills = [
        Fill(
            time_ns=60_000_000_000 * minute,
            order_id=f"O-{minute}",
            side=side,
            quantity=D("0.1"),
            price=D("100.1"),
            reference=D("100.1"),
            fee=D("0.005005"),
            liquidity=Liquidity.TAKER,
            order_type="market",
        )
        for minute, side in ((1, Side.BUY), (2, Side.SELL), (3, Side.SELL))
    ]
    payments = [
        FundingPayment(
            time_ns=60_000_000_000 * 2,
            position=D("0.1"),
            rate=D("0.0001"),
            price=D("100.12345678"),
            price_source="mark_price",
            amount=D("-0.001"),
        )
    ]
    trades = build_trades(fills, payments)
    return Run(
        run_id=run_id,
        path=None,
        config=load_config(None, {"start": "2025-05-04", "end": "2025-05-05"}),
        specs={"symbol": "BTCUSDT"},
        summary={key: {} for key in REQUIRED} | {"run_id": run_id, "demo": False},
        klines=klines,
        fills=fills_frame(fills),
        trades=trades_frame(trades),
        funding=funding_frame(payments),
        equity=equity_curve(klines, fills, payments, D(1000)),
        settlements=settlements_frame(
            [
                Settlement(time_ns=60_000_000_000 * 2, rate=D("0.0001"), price=D("100.1"), price_source="mark_price"),
                Settlement(time_ns=60_000_000_000 * 4, rate=D("-0.0001"), price=D("100.5"), price_source="last_close"),
            ]
        ),
    )


def test_a_run_is_named_by_time_strategy_symbol_interval_and_digest() -> None:
    config = load_config(None, {"strategy.name": "my/folder/mine.py:Mine"})
    assert run_name(config, "0123abcdef", NOW) == "20250511T123015123Z-mine.Mine-BTCUSDT-1m-0123abcd"


def test_a_demo_run_says_so_in_its_folder() -> None:
    assert run_name(load_config(None, {"demo": True}), "0123abcdef", NOW).endswith("-0123abcd-demo")


def test_a_kept_run_loads_as_it_was(tmp_path: Path) -> None:
    run = save_run(make_run(), tmp_path)
    again = load_run(run.run_id, tmp_path)
    assert sorted(path.name for path in (tmp_path / run.run_id).iterdir()) == [
        "SHA256SUMS",
        "config.toml",
        "equity.parquet",
        "fills.parquet",
        "funding.parquet",
        "klines.parquet",
        "settlements.parquet",
        "specs.json",
        "summary.json",
        "trades.parquet",
    ]
    assert (again.config, again.summary, again.specs) == (run.config, run.summary, run.specs)
    for name in ("fills", "trades", "funding", "equity", "settlements"):
        assert getattr(again, name).equals(getattr(run, name))
    assert again.klines.frame.equals(run.klines.frame)
    assert again.klines.exponents == run.klines.exponents


def test_the_folder_of_an_earlier_version_has_no_settlements(tmp_path: Path) -> None:
    run = save_run(replace(make_run(), settlements=None), tmp_path)
    assert not (tmp_path / run.run_id / "settlements.parquet").exists()
    assert load_run(run.run_id, tmp_path).settlements is None


def test_what_a_strategy_published_is_kept_in_its_order(tmp_path: Path) -> None:
    run = make_run()
    # 120 s is the close of the second of three bars; the strategy was not given the others.
    plots = Plots(
        array("q", [120_000_000_000]),
        [PlotLine("RSI", "b", array("d", [0.1])), PlotLine("price", "a", array("d", [2]))],
    )
    kept = load_run(save_run(replace(run, plots=plots_frame(plots, run.klines)), tmp_path).run_id, tmp_path).plots
    assert kept is not None
    assert kept.columns == ["time", "RSI/b", "price/a"]
    assert kept["RSI/b"].to_list() == [None, 0.1, None]
    assert load_run(save_run(make_run("20260101T000000000Z-older"), tmp_path).run_id, tmp_path).plots is None


def test_an_open_trade_has_no_exit() -> None:
    trades = make_run().trades
    assert trades["exit_time"].to_list()[1] is None
    assert trades["side"].to_list() == ["buy", "sell"]


def test_the_same_run_twice_is_the_same_bytes(tmp_path: Path) -> None:
    one, two = save_run(make_run("a"), tmp_path), save_run(make_run("b"), tmp_path)
    assert one.path is not None
    assert two.path is not None
    for file in one.path.iterdir():
        # The summary has the time of the run, and the list its checksum.
        if file.name not in {"summary.json", "SHA256SUMS"}:
            assert file.read_bytes() == (two.path / file.name).read_bytes(), file.name


def test_a_run_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    broken = replace(make_run(), summary={"x": object()})
    with pytest.raises(TypeError):
        save_run(broken, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_the_folder_should_be_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("in the way")
    with pytest.raises(ResultsError, match="could not be kept"):
        save_run(make_run(), tmp_path / "runs")


def test_the_latest_run_and_unique_starts_are_found(tmp_path: Path) -> None:
    for name in ("20250101-a", "20250102-b", "20250102-c"):
        save_run(make_run(name), tmp_path)
    assert find_run(None, tmp_path).name == find_run("latest", tmp_path).name == "20250102-c"
    assert find_run("20250101", tmp_path).name == "20250101-a"
    assert find_run(tmp_path / "20250102-b", tmp_path).name == "20250102-b"
    with pytest.raises(ResultsError, match="is the start of 2 runs"):
        find_run("20250102", tmp_path)
    with pytest.raises(ResultsError, match="There is no run 'x'"):
        find_run("x", tmp_path)


def test_no_run_yet_says_how_to_start(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="nt-run backtest --symbol BTCUSDT"):
        load_run(None, tmp_path / "runs")


@pytest.mark.parametrize("damage", [b"damaged {\xff", b"", None])
def test_whatever_file_of_a_run_is_damaged_or_missing_is_named_in_one_line(
    tmp_path: Path, damage: bytes | None
) -> None:
    run = save_run(make_run(), tmp_path)
    assert run.path is not None
    # The list of checksums is for audits: a run without it is whole.
    files = sorted(file for file in run.path.iterdir() if file.name != SUMS)
    assert len(files) >= 8
    for file in files:
        whole = file.read_bytes()
        file.unlink()
        if damage is not None:
            file.write_bytes(damage)
        if damage is not None or file.stem not in (*LATER_FRAMES, "detail", *MARKS):
            with pytest.raises(ResultsError, match=re.escape(f"{run.path} is not a whole run: ")) as caught:
                load_run(run.run_id, tmp_path)
            assert file.name in str(caught.value)
            assert "\n" not in str(caught.value)
        file.write_bytes(whole)
    assert load_run(run.run_id, tmp_path).trades.equals(run.trades)


def test_the_curve_of_a_run_has_as_many_points_as_asked_for_and_ends_at_its_end(tmp_path: Path) -> None:
    run = save_run(make_run(), tmp_path)
    assert run.path is not None
    ends = run.equity["equity"].round(2).to_list()
    # Three bars: points at 2/4, 4/4 of the way from the first to the last, rounded down to a bar.
    assert read_curve(run.path, 2) == [ends[1], ends[2]]
    (run.path / "equity.parquet").write_bytes(b"damaged")
    with pytest.raises(ValueError, match="cannot be read"):
        read_curve(run.path, 2)


def test_a_folder_without_a_summary_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "half").mkdir()
    with pytest.raises(ResultsError, match=r"has no summary\.json"):
        load_run("half", tmp_path)


def test_a_run_of_an_earlier_version_with_a_level_that_did_nothing_still_loads(tmp_path: Path) -> None:
    run = save_run(make_run(), tmp_path)
    assert run.path is not None
    file = run.path / "config.toml"
    file.write_text(file.read_text().replace("vip = 0", 'vip = 3\nmaker = "0.0001"\ntaker = "0.0004"'))
    assert load_run(run.run_id, tmp_path).config.fees.vip == 3
