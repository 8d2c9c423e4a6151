import json
import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from nt_run.__main__ import main
from nt_run.audit import audit
from nt_run.audit_listing import print_audit
from nt_run.checksums import write_checksums
from nt_run.config import load_config
from nt_run.data.content import fingerprint
from nt_run.data.kline_store import KlineStore
from nt_run.data.manifest import Source
from nt_run.errors import ResultsError
from nt_run.klines import Klines
from nt_run.model import Interval, TimeRange, parse_time
from nt_run.pipeline import backtest
from nt_run.results import load_run, save_run

D = Decimal
WEEK = {"demo": True, "start": "2026-06-01", "end": "2026-06-03"}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the demo market of two days and one run on it: ema_cross, half the account in each position."""
    folder = tmp_path_factory.mktemp("cache")
    backtest(load_config(None, {**WEEK, "sizing.fraction": "0.5"}), cache_dir=folder)
    return folder


@pytest.fixture
def kept(cache: Path, tmp_path: Path) -> Path:
    """A copy of the run's folder, to be damaged."""
    (folder,) = (cache / "runs").iterdir()
    return shutil.copytree(folder, tmp_path / "run")


def change(folder: Path, name: str, edit: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    path = folder / f"{name}.parquet"
    metadata = pl.read_parquet_metadata(path)
    metadata.pop("ARROW:schema", None)
    edit(pl.read_parquet(path)).write_parquet(path, metadata=metadata)


def at_row(row: int, column: str, make: Callable[[Any], Any]) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Return an edit of one cell."""

    def edit(frame: pl.DataFrame) -> pl.DataFrame:
        values = frame[column].to_list()
        values[row] = make(values[row])
        return frame.with_columns(pl.Series(column, values, dtype=frame.schema[column]))

    return edit


def found(folder: Path, cache: Path) -> list[tuple[str, str]]:
    """Return (check, first words) of every violation, but for the files that were damaged by the test."""
    report = audit(str(folder), cache)
    assert report["sound"] == (not report["violations"])
    return [(each["check"], each["what"].split(" of O-")[0]) for each in beside_files(report)]


def beside_files(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what is wrong with a run by its own contents: that its file is another one is told as well, last."""
    found = [each for each in report["violations"] if each["check"] != "files"]
    assert report["violations"][: len(found)] == found
    return found


def test_a_run_as_it_was_kept_has_no_difference(cache: Path, kept: Path) -> None:
    report = audit(str(kept), cache)
    assert report["sound"]
    assert report["violations"] == report["unchecked"] == []
    assert [(check["name"], check["checked"]) for check in report["checks"]][:4] == [
        ("klines", 2880),
        ("fills", pl.read_parquet(kept / "fills.parquet").height),
        ("orders", 0),
        ("funding", 6),
    ]
    assert float(report["largest"]["trade"]["difference"]) == 0
    assert float(report["largest"]["equity"]["difference"]) < 1e-9
    assert float(report["largest"]["final_equity"]["difference"]) <= 1e-8


def test_a_dropped_funding_payment_is_named_with_its_time_and_amount(cache: Path, kept: Path) -> None:
    paid = pl.read_parquet(kept / "funding.parquet")
    change(kept, "funding", lambda frame: frame[[0, *range(2, frame.height)]])
    report = audit(str(kept), cache)
    missing = next(each for each in report["violations"] if each["check"] == "funding")
    assert missing["what"] == "payment"
    assert missing["time"] == f"{paid['time'][1]:%Y-%m-%dT%H:%M:%SZ}"
    assert (D(missing["expected"]), missing["found"]) == (paid["amount"][1], "none")
    # The trade it belonged to, equity from then on, and the totals differ as well.
    wrong = {each["check"] for each in beside_files(report)}
    assert wrong == {"funding", "trades", "equity", "totals", "figures"}
    assert D(report["largest"]["trade"]["difference"]) == abs(paid["amount"][1])


def test_a_settlement_dropped_from_payments_and_settlements_is_found_in_the_market_data(
    cache: Path, kept: Path
) -> None:
    for name in ("funding", "settlements"):
        change(kept, name, lambda frame: frame[1:])
    report = audit(str(kept), cache)
    assert [each["found"] for each in report["violations"] if each["what"] == "settlement"] == ["none"]


def test_without_the_market_data_the_audit_says_what_it_could_not_check(kept: Path, tmp_path: Path) -> None:
    report = audit(str(kept), tmp_path / "elsewhere")
    assert report["sound"]
    klines, settlements, rules = report["unchecked"]
    assert klines == "the klines against the market data: the cache does not have them"
    assert "the cache does not have those of this range" in settlements
    assert rules.startswith("the trading rules against the exchange's answer: the cache does not have 2026")


def test_a_doubled_fee_is_named(cache: Path, kept: Path) -> None:
    change(kept, "fills", at_row(10, "fee", lambda fee: fee * 2))
    assert found(kept, cache)[0] == ("fills", "fee")
    assert ("trades", "fee") in found(kept, cache)


def test_a_fill_moved_by_a_tick_is_named(cache: Path, kept: Path) -> None:
    change(kept, "fills", at_row(7, "price", lambda price: price + D("0.1")))
    names = found(kept, cache)
    assert names[0][0] == "fills"
    assert ("fills", "fee") in names
    assert ("trades", "slippage") in names


def test_a_fill_off_the_tick_is_named(cache: Path, kept: Path) -> None:
    change(kept, "fills", at_row(7, "price", lambda price: price + D("0.01")))
    assert ("fills", "price off the tick") in found(kept, cache)


def test_a_fill_out_of_its_bar_is_named(cache: Path, kept: Path) -> None:
    change(kept, "fills", at_row(7, "reference", lambda price: price + 5000))
    assert found(kept, cache)[0] == ("fills", "price outside its bar")


def test_a_quantity_off_the_step_is_named(cache: Path, kept: Path) -> None:
    change(kept, "fills", at_row(7, "quantity", lambda quantity: quantity + D("0.0001")))
    assert found(kept, cache)[0] == ("fills", "quantity off the step")


def test_a_removed_trade_is_named_with_its_profit(cache: Path, kept: Path) -> None:
    gone = pl.read_parquet(kept / "trades.parquet").row(3, named=True)
    change(kept, "trades", lambda frame: frame[[*range(3), *range(4, frame.height)]])
    report = audit(str(kept), cache)
    first, second = beside_files(report)
    assert (first["what"], first["found"]) == ("trade", "no trade")
    assert f"PnL {gone['pnl']:f}" in first["expected"]
    assert second["what"] == "number of trades"
    assert D(report["largest"]["trade"]["difference"]) == abs(gone["pnl"])


def test_an_invented_trade_is_named(cache: Path, kept: Path) -> None:
    change(kept, "trades", lambda frame: pl.concat([frame, frame[:1]]))
    assert found(kept, cache) == [("trades", "trade"), ("totals", "number of trades")]


def test_a_changed_equity_row_is_named_with_its_bar(cache: Path, kept: Path) -> None:
    change(kept, "equity", at_row(100, "equity", lambda equity: equity + 0.001))
    report = audit(str(kept), cache)
    (wrong,) = beside_files(report)
    # The hundred and first bar closes at 01:41.
    assert (wrong["what"], wrong["time"]) == ("equity", "2026-06-01T01:41:00Z")
    assert float(report["largest"]["equity"]["difference"]) == pytest.approx(0.001, abs=1e-9)


def test_a_payment_with_the_wrong_sign_is_named(cache: Path, kept: Path) -> None:
    change(kept, "funding", at_row(2, "amount", lambda amount: -amount))
    assert found(kept, cache)[0] == ("funding", "payment")


def test_a_changed_total_is_named(cache: Path, kept: Path) -> None:
    summary = json.loads((kept / "summary.json").read_text())
    summary["account"]["final_balance"] = str(D(summary["account"]["final_balance"]) + D("0.00001"))
    (kept / "summary.json").write_text(json.dumps(summary))
    assert found(kept, cache) == [("totals", "final_balance")]


def test_a_changed_bar_is_found_by_the_fingerprint(cache: Path, kept: Path) -> None:
    change(kept, "klines", at_row(100, "volume", lambda volume: volume + 1))
    assert found(kept, cache) == [("klines", "fingerprint"), ("klines", "kline")]


def write_alongside(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change a report, and put fingerprint and checksums right, as one would who wants nothing to be found."""
    summary = json.loads((folder / "summary.json").read_text())
    summary["data"]["fingerprint"] = fingerprint(load_run(folder, folder).klines, {})
    edit(summary)
    (folder / "summary.json").write_text(json.dumps(summary))
    (folder / "SHA256SUMS").unlink()
    write_checksums(folder)


def test_a_changed_bar_is_held_to_the_market_data(cache: Path, kept: Path, tmp_path: Path) -> None:
    was = D(pl.read_parquet(kept / "klines.parquet")["high"][100]) / 10
    change(kept, "klines", at_row(100, "high", lambda high: high + 1))
    write_alongside(kept, lambda _: None)
    (wrong,) = audit(str(kept), cache)["violations"]
    assert (wrong["check"], wrong["what"], wrong["time"]) == ("klines", "kline", "2026-06-01T01:40:00Z")
    assert (wrong["expected"], wrong["found"]) == (f"high {was}", f"high {was + D('0.1')}")
    assert audit(str(kept), tmp_path / "elsewhere")["sound"]


def test_rows_that_the_cache_came_to_have_since_are_told_and_not_held_against_the_run(
    cache: Path, kept: Path, tmp_path: Path
) -> None:
    shutil.copytree(cache / "demo", tmp_path / "cache" / "demo")
    store = KlineStore(tmp_path / "cache" / "demo", "BTCUSDT", Interval("1m"), repair=True)
    now = parse_time("2027-01-01")
    rows = store.read(TimeRange(parse_time(WEEK["start"]), parse_time("2026-06-02")))
    frame = rows.frame.with_columns(volume=pl.col("volume") + (pl.int_range(pl.len()) == 7))
    amended = Klines(rows.symbol, rows.interval, rows.exponents, frame)
    store.commit(amended, source=Source(kind="rest", key="again", fetched_at_ms=now, rows=0), now_ms=now, replace=True)
    report = audit(str(kept), tmp_path / "cache")
    assert report["sound"]
    (words,) = report["unchecked"]
    assert words.startswith("a kline: the cache has other rows now, which came after the run: volume ")
    assert "at 2026-06-01 00:07, where the run has volume " in words


def test_trading_rules_are_held_to_the_answer_they_are_from(cache: Path, kept: Path) -> None:
    def loosen(specs: dict[str, Any]) -> None:
        specs["min_notional"] = "1"

    specs = json.loads((kept / "specs.json").read_text())
    loosen(specs)
    (kept / "specs.json").write_text(json.dumps(specs))
    write_alongside(kept, lambda summary: loosen(summary["specs"]))
    (wrong,) = audit(str(kept), cache)["violations"]
    assert (wrong["check"], wrong["what"], wrong["expected"], wrong["found"]) == ("rules", "min_notional", "50", "1")


def test_rules_whose_changes_are_known_better_now_are_not_held_against_the_run(cache: Path, kept: Path) -> None:
    def undo(specs: dict[str, Any]) -> None:
        specs |= {"at": "range", "changes": ["min notional 5 until 2026-06-10 00:00"], "min_notional": "5"}

    specs = json.loads((kept / "specs.json").read_text())
    undo(specs)
    (kept / "specs.json").write_text(json.dumps(specs))
    write_alongside(kept, lambda summary: undo(summary["specs"]))
    report = audit(str(kept), cache)
    assert report["violations"] == []
    (words,) = report["unchecked"]
    assert "min notional: other changes of the answer's rules are known now than the run knew" in words


def age(folder: Path, *paths: str) -> None:
    """Take out of a report what an earlier version did not tell, parts named like `data.mark_fingerprint`."""
    summary = json.loads((folder / "summary.json").read_text())
    for path in paths:
        *parents, last = path.split(".")
        part = summary
        for name in parents:
            part = part[name]
        del part[last]
    (folder / "summary.json").write_text(json.dumps(summary))


def test_the_folder_of_an_earlier_version_is_audited_as_far_as_it_goes(cache: Path, kept: Path, tmp_path: Path) -> None:
    for name in ("settlements.parquet", "orders.parquet", "SHA256SUMS"):
        (kept / name).unlink()
    age(kept, "margin", "filters", "ambiguity", "data.mark_fingerprint", "data.missing_settlements")
    change(kept, "funding", lambda frame: frame.drop("price_source"))
    assert audit(str(kept), cache)["sound"]
    alone = audit(str(kept), tmp_path / "elsewhere")
    assert alone["sound"]
    assert any("whether a settlement was left out" in words for words in alone["unchecked"])
    assert "orders that rested: the folder, of an earlier version, has no orders.parquet" in alone["unchecked"]
    # The market data stands in for what the folder lacks.
    change(kept, "funding", lambda frame: frame[1:])
    assert ("funding", "payment") in found(kept, cache)


def test_the_command_ends_with_eight_and_prints_what_is_wrong(
    cache: Path, kept: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["nt-run", "audit", *words, "--cache-dir", str(cache)])
        return main(), *capsys.readouterr()

    code, out, err = run()
    assert (code, err) == (0, "")
    assert "SYNTHETIC MARKET" in out
    change(kept, "fills", at_row(10, "fee", lambda fee: fee * 2))
    code, out, err = run(str(kept))
    assert code == 8
    assert "fee of O-" in out
    assert "things are wrong" in err
    code, out, _ = run(str(kept), "--json")
    assert code == 8
    change(kept, "fills", at_row(10, "fee", lambda fee: fee / 2))
    (kept / "config.toml").write_text((kept / "config.toml").read_text() + "\n")
    assert run(str(kept))[2].startswith("nt-run: 1 thing is wrong with ")
    assert json.loads(out)["sound"] is False


def test_an_order_id_stands_in_one_piece_in_the_findings(capsys: pytest.CaptureFixture[str]) -> None:
    order = "O-20260621-193000-001-000-134"
    wrong = {"check": "orders", "what": f"missed fill of {order}", "time": "2026-06-21T19:45:00Z"}
    wrong |= {"expected": "a fill at 96122.4: the low was 93589.7", "found": f"none, and one of {order} a bar later"}
    largest = {name: {"difference": "0", "time": None} for name in ("trade", "equity", "final_equity")}
    report = {"demo": False, "run_id": "a run", "asset": "USDT", "checks": [], "unchecked": [], "largest": largest}
    print_audit(report | {"violations": [wrong]})
    out = capsys.readouterr().out
    assert out.count(order) == 2
    assert "expected a fill at 96122.4: the low was 93589.7\n" in out


def test_a_folder_with_a_column_missing_is_a_damaged_run(cache: Path, kept: Path) -> None:
    change(kept, "fills", lambda frame: frame.drop("fee"))
    with pytest.raises(ResultsError):
        audit(str(kept), cache)


@pytest.mark.parametrize(
    "strategy",
    [
        {"strategy.name": "ema_cross"},
        {"strategy.name": "rsi_reversion"},
        # The calm market reaches a target this near.
        {"strategy.name": "donchian_breakout", "strategy.params.target": 0.002, "strategy.params.stop": 0.002},
    ],
    ids=lambda strategy: strategy["strategy.name"],
)
@pytest.mark.parametrize(
    "execution",
    [{}, {"execution.fill": "next-open"}, {"costs.slippage_bps": "2.5", "costs.slippage_ticks": 3}],
    ids=["close", "next open", "slippage"],
)
@pytest.mark.parametrize(
    "sizing",
    [
        {"sizing.method": "notional", "sizing.fraction": "0.3"},
        {"sizing.method": "stop", "sizing.stop_distance": "0.004", "account.leverage": 20},
        {"sizing.method": "atr", "account.leverage": 20},
    ],
    ids=["notional", "stop", "atr"],
)
def test_every_strategy_and_sizing_is_audited_clean(
    cache: Path, tmp_path: Path, strategy: dict[str, Any], sizing: dict[str, Any], execution: dict[str, Any]
) -> None:
    run = backtest(load_config(None, {**WEEK, **sizing, **strategy, **execution}), cache_dir=cache, save=False)
    assert run.summary["fills"] > 2
    assert (D(run.summary["pnl"]["slippage"]) < 0) == ("costs.slippage_bps" in execution)
    save_run(run, tmp_path)
    report = audit(str(tmp_path / run.run_id), cache)
    assert report["violations"] == report["unchecked"] == []


def nudged(summary: dict[str, Any], path: str) -> None:
    """Change one figure of a report, named like `costs.ladder.0.net`."""
    *parents, last = path.split(".")
    part: Any = summary
    for name in parents:
        part = part[int(name) if isinstance(part, list) else name]
    value = part[last]
    part[last] = str(D(value) + D("0.01")) if isinstance(value, str) else (value or 0) + 1


@pytest.mark.parametrize(
    "path",
    [
        *(f"metrics.{name}" for name in (
            "total_return", "volatility", "sharpe", "sortino", "cagr", "calmar", "max_drawdown", "exposure", "turnover",
            "largest_share", "time_in_market", "win_rate", "profit_factor", "expectancy", "average_win", "average_loss",
            "largest_win", "largest_loss", "average_trade_minutes", "trades", "open_trades",
        )),
        "benchmark.sharpe",
        "costs.ladder.0.net",
        "costs.ladder.4.net",
        "costs.price_step",
        "funding.settlements",
        "funding.charged",
        "funding.at_mark_price",
        "filters.by_filter.MIN_NOTIONAL.refused",
        "filters.by_filter.LOT_SIZE.capped",
        "filters.lost.count",
    ],
)  # fmt: skip
def test_a_changed_figure_of_the_report_is_named(cache: Path, kept: Path, path: str) -> None:
    summary = json.loads((kept / "summary.json").read_text())
    nudged(summary, path)
    (kept / "summary.json").write_text(json.dumps(summary))
    ((check, what),) = found(kept, cache)
    assert check == "figures"
    shown = path.replace("by_filter.", "").replace("filters.lost.count", "filters.lost")
    assert what.startswith(shown.split(".0")[0].split(".4")[0].replace("costs.ladder", "costs.ladder at"))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose positions end at stops and targets near each other."""
    folder = tmp_path_factory.mktemp("stopped")
    changes = {"strategy.name": "donchian_breakout", "strategy.params.target": 0.002, "strategy.params.stop": 0.002}
    sizing = {"sizing.method": "stop", "sizing.stop_distance": "0.004", "account.leverage": 20}
    run = backtest(load_config(None, {**WEEK, **changes, **sizing}), cache_dir=folder)
    assert run.summary["risk_audit"]["stopped"]
    assert run.path is not None
    return run.path


@pytest.mark.parametrize(
    "path",
    [
        "risk_audit.stopped",
        "risk_audit.max_over",
        "risk_audit.max_over_share",
        "risk_audit.with_funding.max_over",
        "risk_audit.worst.realised",
        "risk_audit.worst.fees",
        "ambiguity.pnl.worst",
        "ambiguity.pnl.best",
        "ambiguity.of",
    ],
)
def test_a_changed_figure_of_risk_or_bounds_is_named(stopped: Path, tmp_path: Path, path: str) -> None:
    folder = shutil.copytree(stopped, tmp_path / "run")
    summary = json.loads((folder / "summary.json").read_text())
    nudged(summary, path)
    (folder / "summary.json").write_text(json.dumps(summary))
    assert {check for check, _ in found(folder, stopped.parent.parent)} == {"figures"}
