"""Margin from the configuration to the report: whole runs of the demo's market."""

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from nt_run.audit import audit_run
from nt_run.config import load_config
from nt_run.demo import DemoExchange, RecordedMarket
from nt_run.errors import SizingError, UsageError
from nt_run.pipeline import backtest
from nt_run.published import Published
from nt_run.report import print_run
from nt_run.results import Run, load_run

HOLD = """
from dataclasses import dataclass
from nautilus_trader.model import Bar, BarType, InstrumentId, OrderSide
from nautilus_trader.trading import Strategy, StrategyConfig
from nt_run.strategies.sizer import Sizer

@dataclass(frozen=True, kw_only=True)
class HoldConfig(StrategyConfig):
    instrument_id: InstrumentId
    bar_type: BarType
    sizer: Sizer

class Hold(Strategy):
    def __init__(self, config: HoldConfig) -> None:
        super().__init__(config)
        self.own = config

    def on_start(self) -> None:
        self.subscribe_bars(self.own.bar_type)

    def on_bar(self, bar: Bar) -> None:
        if self.portfolio.is_net_flat(self.own.instrument_id) and (quantity := self.own.sizer.quantity(bar.close)):
            self.submit_order(self.order_factory.market(self.own.instrument_id, OrderSide.BUY, quantity))
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def hold(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("strategy") / "hold.py"
    file.write_text(HOLD)
    return f"{file}:Hold"


def run(cache: Path, hold: str, **changes: Any) -> Run:
    """Run, and keep the run if `save` is among the changes."""
    save = changes.pop("save", False)
    given = {"demo": True, "start": "2026-06-24", "end": "2026-06-26", "strategy.name": hold, "sizing.fraction": 20}
    return backtest(load_config(None, given | {"account.leverage": 50} | changes), cache_dir=cache, save=save)


def test_a_liquidated_run_says_so_first_and_is_sound(
    cache: Path, hold: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = run(cache, hold, save=True)
    told = kept.summary["liquidations"]
    assert told
    assert kept.summary["margin"]["liquidation_prices"] == "mark klines"
    assert kept.trades["exit_type"].to_list()[0] == "liquidation"
    parts = {name: Decimal(text) for name, text in kept.summary["pnl"].items()}
    assert parts["liquidation"] < 0
    assert parts["net"] == sum((value for name, value in parts.items() if name != "net"), Decimal(0))
    # The whole margin: notional ÷ 50 of the first trade.
    first = kept.trades.row(0, named=True)
    margin = first["quantity"] * Decimal(str(first["entry_price"])) / 50
    assert abs(Decimal(told[0]["lost"]) - margin) < Decimal("1e-7")
    assert audit_run(load_run(kept.run_id, cache / "runs"), Published())["violations"] == []
    print_run(kept.summary)
    lines = capsys.readouterr().out.splitlines()
    assert lines[4].startswith("LIQUIDATED")
    assert "own extremes" not in " ".join(lines)


def test_bars_without_a_mark_kline_are_counted_in_the_report_and_warned_of(
    hold: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
    times = [start + dt.timedelta(hours=hour) for hour in range(30)]
    rows = {"open_time": times, **dict.fromkeys(("open", "high", "low", "close"), [100_000.0] * 30)}
    frame = pl.DataFrame({**rows, "volume": [1000.0] * 30})
    market = RecordedMarket("BTCUSDT", frame, interval="1h", mark=frame[:1])
    given = {"interval": "1h", "start": "2026-03-02", "end": "2026-03-03T05:00", "demo": False, "funding": False}
    with DemoExchange(market=market) as exchange:
        sparse = run(tmp_path, hold, **given, **{"exchange.rest_url": exchange.rest_url})
    assert sparse.summary["margin"]["bars_without_mark"] == 28
    told = "Liquidation goes by the bars' own extremes in 28 of 29 bars, which have no mark kline."
    assert told in sparse.summary["warnings"]
    print_run(sparse.summary)
    printed = " ".join(capsys.readouterr().out.split())
    assert "liquidation by mark klines, in 28 of 29 bars by their own extremes" in printed
    assert f"! {told}" in printed


def test_cross_margin_lasts_longer(cache: Path, hold: str) -> None:
    isolated = run(cache, hold, **{"sizing.fraction": 5})
    cross = run(cache, hold, **{"sizing.fraction": 5, "margin.mode": "cross"})
    assert len(cross.summary["liquidations"]) < len(isolated.summary["liquidations"])
    assert cross.summary["margin"]["mode"] == "cross"


def test_a_plain_run_follows_nothing(cache: Path) -> None:
    plain = run(cache, "ema_cross", **{"account.leverage": 1, "sizing.fraction": "0.02"})
    assert plain.summary["margin"]["liquidation_prices"] == "not reachable"
    assert plain.summary["liquidations"] == []


def test_leverage_beyond_the_brackets_is_refused(cache: Path, hold: str) -> None:
    with pytest.raises(SizingError, match="at most 125, and 126 was asked for"):
        run(cache, hold, **{"account.leverage": 126})


def test_an_entry_beyond_its_bracket_is_cut(cache: Path, hold: str) -> None:
    # At 125 x the first bracket ends at 50,000.
    cut = run(cache, hold, **{"account.leverage": 125})
    assert cut.summary["sizing"]["first"]["capped_by"] == "bracket"
    assert float(cut.summary["sizing"]["first"]["notional"]) <= 50_000
    assert cut.summary["margin"]["max_notional"] == "50000"


def test_the_users_brackets_win(cache: Path, hold: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    row = {"bracket": 1, "initialLeverage": 60, "notionalCap": 70_000, "notionalFloor": 0, "maintMarginRatio": 0.005}
    file.write_text(json.dumps([{"symbol": "BTCUSDT", "brackets": [row | {"cum": 0}]}]))
    mine = run(cache, hold, **{"margin.brackets": str(file)})
    assert mine.summary["margin"]["brackets_source"] == "mine.json"
    assert mine.summary["margin"]["max_notional"] == "70000"


def test_unknown_brackets_are_a_warning_where_they_matter(cache: Path, hold: str) -> None:
    other = {"symbol": "ETHUSDT", "account.leverage": 20}
    assert any("brackets of ETHUSDT are not known" in text for text in run(cache, hold, **other).summary["warnings"])
    calm = run(cache, "ema_cross", **{"symbol": "ETHUSDT", "account.leverage": 1, "sizing.fraction": "0.02"})
    assert not any("brackets" in text for text in calm.summary["warnings"])


def test_a_stop_beyond_the_price_of_liquidation_is_a_warning(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # At 50 x a margin of 2 % and at 20 x of 5 %, less the maintenance margin: before and behind a stop 3 % away.
    sizing = {"sizing.method": "stop", "sizing.fraction": "0.02", "sizing.stop_distance": "0.03"}
    for leverage, told in ((50, True), (20, False)):
        kept = run(cache, "ema_cross", **sizing, **{"account.leverage": leverage})
        assert (kept.summary["risk_audit"]["beyond_liquidation"] > 0) == told
        assert any("--leverage 29 or less keeps" in text for text in kept.summary["warnings"]) == told
        print_run(kept.summary)
        assert ("! stops that protect nothing" in capsys.readouterr().out) == told


def test_another_margin_mode_is_refused() -> None:
    with pytest.raises(UsageError, match="isolated, cross"):
        load_config(None, {"margin.mode": "portfolio"})
