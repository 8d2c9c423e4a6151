import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from nt_run.audit import audit, audit_run
from nt_run.config import RunConfig, load_config
from nt_run.data.snapshots import SnapshotStore
from nt_run.demo import DemoExchange, Fault, RecordedMarket
from nt_run.errors import IncompleteDataError, NotCachedError, NotTradableError, SizingError, StrategyError, UsageError
from nt_run.inputs import market_root
from nt_run.klines import Exponents
from nt_run.model import parse_time
from nt_run.pipeline import backtest
from nt_run.published import Published
from nt_run.report import print_run
from nt_run.results import Run, load_run
from nt_run.summary import FIGURES, figures
from recorded_market import recorded, recorded_funding, recorded_hours

WEEK = {"start": "2026-06-01", "end": "2026-06-03"}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that already holds the demo range of these tests."""
    folder = tmp_path_factory.mktemp("cache")
    backtest(demo(), cache_dir=folder, save=False)
    return folder


def demo(**changes: Any) -> RunConfig:
    return load_config(None, {"demo": True, **WEEK, **changes})


def fills_lie_in_their_bars(run: Run) -> bool:
    bars = run.klines.floats().with_columns(
        (pl.col("open_time") + pl.duration(milliseconds=run.klines.interval.ms))
        .cast(pl.Datetime("ns", "UTC"))
        .alias("time")
    )
    joined = run.fills.with_columns(pl.col("price").cast(pl.Float64)).join(bars, on="time", how="left")
    return (
        joined.height == run.fills.height and joined.select(pl.col("price").is_between("low", "high")).to_series().all()
    )


def assert_books_balance(run: Run) -> None:
    pnl = {name: Decimal(text) for name, text in run.summary["pnl"].items()}
    assert sum((value for name, value in pnl.items() if name != "net"), Decimal(0)) == pnl["net"]
    account = run.summary["account"]
    assert Decimal(account["final_equity"]) - Decimal(account["starting_balance"]) == pnl["net"]
    assert run.equity["equity"][-1] == pytest.approx(float(account["final_equity"]), abs=1e-8)
    closed = run.trades.filter(pl.col("exit_time").is_not_null())
    realised = Decimal(account["final_balance"]) - Decimal(account["starting_balance"])
    open_costs = run.trades.filter(pl.col("exit_time").is_null())["pnl"].sum()
    assert abs(closed["pnl"].sum() + open_costs - realised) < Decimal("1e-6")


def test_a_demo_run_has_every_check_the_report_is_proud_of(cache: Path) -> None:
    run = backtest(demo(), cache_dir=cache, offline=True)
    summary = run.summary
    assert summary["demo"] is True
    assert summary["specs"]["accurate"] == len(summary["specs"]["checks"]) == 6
    assert summary["bars"] == {"expected": 2880, "loaded": 2880, "fed": 2880, "skipped": 0}
    assert summary["data"]["completeness"] == 1.0
    assert summary["data"]["gaps"] == []
    assert summary["sizing"]["first"]["asked_share"] == 0.02
    assert "synthetic" in summary["warnings"][0]
    assert run.run_id.endswith("-demo")
    assert run.equity.height == 2880
    assert_books_balance(run)
    assert fills_lie_in_their_bars(run)
    assert sorted(figures(summary)) == sorted(FIGURES)


@pytest.mark.parametrize("strategy", ["ema_cross", "rsi_reversion", "donchian_breakout"])
@pytest.mark.parametrize("sizing", [{"sizing.method": "notional"}, {"sizing.method": "atr", "account.leverage": 10}])
def test_the_books_balance_for_every_strategy_and_sizing(cache: Path, strategy: str, sizing: dict[str, Any]) -> None:
    run = backtest(demo(**sizing, **{"strategy.name": strategy}), cache_dir=cache, offline=True, save=False)
    assert run.summary["fills"] > 0
    assert_books_balance(run)
    assert fills_lie_in_their_bars(run)


def test_two_runs_of_one_configuration_differ_only_in_time_and_id(cache: Path, tmp_path: Path) -> None:
    one = backtest(demo(), cache_dir=cache, offline=True)
    assert one.path is not None
    again = load_config(one.path / "config.toml")
    two = backtest(again, cache_dir=cache, offline=True)
    assert two.path is not None
    for file in sorted(one.path.iterdir()):
        ours, theirs = file.read_bytes(), (two.path / file.name).read_bytes()
        if file.name == "summary.json":
            ours, theirs = (_timeless(json.loads(content)) for content in (ours, theirs))
        if file.name == "SHA256SUMS":  # with that of the summary
            ours, theirs = ([line for line in each.splitlines() if b"summary" not in line] for each in (ours, theirs))
        assert ours == theirs, file.name


def _timeless(summary: dict[str, Any]) -> dict[str, Any]:
    assert summary["run_id"][:8] == datetime.now(UTC).strftime("%Y%m%d")
    return {key: value for key, value in summary.items() if key not in ("run_id", "created", "timings")}


def test_a_run_folder_holds_what_is_needed_to_run_again(cache: Path) -> None:
    run = backtest(demo(**{"strategy.params.fast": 5}), cache_dir=cache, offline=True)
    kept = load_run(run.run_id, cache / "runs")
    assert kept.config.strategy.params == {"fast": 5, "slow": 21}
    assert (kept.config.start, kept.config.end) == ("2026-06-01T00:00:00Z", "2026-06-03T00:00:00Z")
    assert kept.summary["specs"]["tick_size"] == kept.specs["tick_size"] == "0.10"


def test_funding_is_charged_at_every_settlement_with_a_position(cache: Path) -> None:
    run = backtest(demo(), cache_dir=cache, offline=True, save=False)
    slots = run.funding["time"].dt.hour().unique().sort().to_list()
    assert slots == [0, 8, 16]
    amounts = [
        -p * x * r for p, x, r in zip(run.funding["position"], run.funding["price"], run.funding["rate"], strict=True)
    ]
    for exact, charged in zip(amounts, run.funding["amount"], strict=True):
        assert abs(exact - charged) <= Decimal("5.1e-9")
    assert Decimal(run.summary["pnl"]["funding"]) == run.funding["amount"].sum()


def test_compounding_sizes_each_entry_by_equity_and_once_sizes_once(cache: Path) -> None:
    once = demo(**{"sizing.fraction": "0.5", "sizing.compound": False})
    quantities = backtest(once, cache_dir=cache, offline=True, save=False).trades["quantity"].unique()
    assert len(quantities) == 1
    each = demo(**{"sizing.fraction": "0.5"})
    assert len(backtest(each, cache_dir=cache, offline=True, save=False).trades["quantity"].unique()) > 1


def test_too_small_an_account_ends_before_anything_is_kept(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(SizingError, match="--balance"):
        backtest(demo(**{"account.balance": 100}), cache_dir=cache, offline=True)


def test_a_strategy_that_raises_ends_the_run_and_keeps_nothing(cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text(
        "from nautilus_trader.trading import Strategy, StrategyConfig\n"
        "from nautilus_trader.model import BarType\n"
        "class Config(StrategyConfig):\n"
        "    def __new__(cls, *, bar_type: BarType):\n        return super().__new__(cls)\n"
        "    def __init__(self, *, bar_type: BarType):\n        super().__init__()\n        self.bar_type = bar_type\n"
        "class Broken(Strategy):\n"
        "    def __init__(self, config: Config):\n        super().__init__(config)\n        self.own = config\n"
        "    def on_start(self):\n        self.subscribe_bars(self.own.bar_type)\n"
        "    def on_bar(self, bar):\n        raise ZeroDivisionError('planted')\n"
    )
    runs_before = sorted((cache / "runs").glob("*"))
    with pytest.raises(StrategyError, match="planted") as caught:
        backtest(demo(**{"strategy.name": f"{file}:Broken"}), cache_dir=cache, offline=True)
    assert "broken.py" in caught.value.trace
    assert sorted((cache / "runs").glob("*")) == runs_before


def test_a_mistyped_parameter_is_found_before_any_data_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'fast'"):
        backtest(demo(**{"strategy.params.fsat": 3}), cache_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_offline_without_a_cache_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(NotCachedError, match="trading rules"):
        backtest(demo(), cache_dir=tmp_path, offline=True)


def test_another_address_keeps_its_data_apart_and_says_so(tmp_path: Path) -> None:
    with DemoExchange() as exchange:
        config = load_config(None, {**WEEK, "exchange.rest_url": exchange.rest_url})
        run = backtest(config, cache_dir=tmp_path)
    assert run.summary["demo"] is False
    assert exchange.rest_url in run.summary["warnings"][0]
    assert {path.name for path in tmp_path.iterdir()} == {"at", "runs"}


def test_a_second_run_asks_for_rules_and_nothing_else(tmp_path: Path) -> None:
    with DemoExchange() as exchange:
        config = load_config(None, {**WEEK, "exchange.rest_url": exchange.rest_url})
        backtest(config, cache_dir=tmp_path, save=False)
        before = len(exchange.requests)
        backtest(config, cache_dir=tmp_path, save=False)
        later = [request.path for request in exchange.requests[before:]]
    assert sorted(later) == ["/fapi/v1/exchangeInfo", "/fapi/v1/time"]


def test_a_recorded_month_of_minutes_runs_whole(
    recordings: Path, recorded_exchange_info: dict[str, Any], tmp_path: Path
) -> None:
    frame = recorded(recordings, "BTCUSDT-1m-2025-05.feather")
    funding = recorded_funding(recordings)
    market = RecordedMarket("BTCUSDT", frame, funding=funding)
    with DemoExchange(market=market, exchange_info=recorded_exchange_info) as exchange:
        config = load_config(
            None, {"exchange.rest_url": exchange.rest_url, "start": "2025-05-04T15:33", "end": "2025-06-03T15:32"}
        )
        run = backtest(config, cache_dir=tmp_path)
    assert run.summary["bars"] == {"expected": 43_199, "loaded": 43_199, "fed": 43_199, "skipped": 0}
    assert run.summary["specs"]["accurate"] == 6
    assert run.klines.floats()["close"].to_list() == frame["close"].to_list()
    assert run.funding.height == 90
    assert_books_balance(run)
    assert audit(run.run_id, tmp_path)["violations"] == []
    assert fills_lie_in_their_bars(run)


def test_seven_years_of_hours_run_across_the_tick_change(
    recordings: Path, recorded_exchange_info: dict[str, Any], tmp_path: Path
) -> None:
    frame = recorded(recordings, "BTCUSDT-1h-2019-2026.feather")
    market = RecordedMarket("BTCUSDT", frame, interval="1h", funding=recorded_funding(recordings))
    with DemoExchange(market=market, exchange_info=recorded_exchange_info) as exchange:
        config = load_config(
            None,
            {
                "exchange.rest_url": exchange.rest_url,
                "interval": "1h",
                "start": "2019-09-08T17:00",
                "end": "2026-05-17T08:00",
                "sizing.fraction": "0.5",
            },
        )
        run = backtest(config, cache_dir=tmp_path, save=False)
    assert run.summary["bars"] == {"expected": 58_623, "loaded": 58_623, "fed": 58_623, "skipped": 0}
    # The contract began on 2019-09-08 and was settled from 2019-09-10 08:00 on: what was not due is not missing.
    assert run.summary["data"]["missing_settlements"] == []
    assert run.klines.floats()["close"].to_list() == frame["close"].to_list()
    # Today's tick is 0.10; the data of 2019 to 2022 moves in 0.01, so two checks of six differ, and it is said.
    differing = [check["name"] for check in run.summary["specs"]["checks"] if not check["same"]]
    assert differing == ["price_precision", "tick_size"]
    assert any("0.01" in warning for warning in run.summary["warnings"])
    assert_books_balance(run)
    assert audit_run(run, Published())["violations"] == []
    assert fills_lie_in_their_bars(run)


def test_orders_on_the_finer_steps_of_old_data_are_audited_clean(
    recordings: Path, recorded_exchange_info: dict[str, Any], tmp_path: Path
) -> None:
    # BTCUSDT moved in 0.01 until 2022, and stops and targets do with it, though the rules of today say 0.10.
    with DemoExchange(market=recorded_hours(recordings), exchange_info=recorded_exchange_info) as exchange:
        given = {
            "exchange.rest_url": exchange.rest_url,
            "exchange.archive_url": exchange.archive_url,
            "exchange.archive_list_url": exchange.archive_list_url,
            "interval": "4h",
            "start": "2020-02-20",
            "end": "2020-03-20",
            "strategy.name": "donchian_breakout",
        }
        run = backtest(load_config(None, given), cache_dir=tmp_path, save=False)
    assert run.orders is not None
    assert any(price % Decimal("0.1") for price in run.orders["trigger"].drop_nulls())
    assert audit_run(run, Published())["violations"] == []


def test_rules_of_the_range_make_an_old_run_exact(
    recordings: Path, recorded_exchange_info: dict[str, Any], tmp_path: Path
) -> None:
    # In 2025 BTCUSDT has tick size 0.10 and min notional 100; in March 2021 it had 0.01 and 5.
    frame = recorded(recordings, "BTCUSDT-1h-2019-2026.feather").head(15_000)
    market = RecordedMarket("BTCUSDT", frame, interval="1h", funding=recorded_funding(recordings))
    with DemoExchange(market=market, exchange_info=recorded_exchange_info) as exchange:
        where = {"exchange.rest_url": exchange.rest_url, "interval": "1h", "start": "2021-03-01", "end": "2021-03-08"}
        SnapshotStore(market_root(load_config(None, where), tmp_path)).keep(
            recorded_exchange_info, recorded_exchange_info["serverTime"]
        )
        then = backtest(load_config(None, {**where, "specs.at": "range"}), cache_dir=tmp_path, save=False).summary
        dated = load_config(None, {**where, "specs.at": "2025-10-30"})
        now = backtest(dated, cache_dir=tmp_path, save=False).summary
    assert (then["specs"]["tick_size"], then["specs"]["min_notional"]) == ("0.01", "5")
    assert (then["specs"]["accurate"], then["specs"]["at"]) == (6, "range")
    assert then["specs"]["snapshot"].startswith("20251030T040015Z")
    assert then["specs"]["changes"][0].startswith("tick size 0.01 until 2022-02-15")
    assert (now["specs"]["accurate"], now["specs"]["at"]) == (4, "2025-10-30")
    told = [warning for warning in now["warnings"] if "moves in 0.01" in warning or "but 0.01 until" in warning]
    assert len(told) == 2
    assert not [warning for warning in then["warnings"] if "differ" in warning or "finer" in warning]


def test_a_delisted_contract_runs_over_a_time_when_it_traded(
    recordings: Path, recorded_exchange_info: dict[str, Any], tmp_path: Path
) -> None:
    # WAVESUSDT was settled on 2024-06-11 and is still listed in 2025; its bars here are BTCUSDT's, a thousandth each.
    prices = ("open", "high", "low", "close")
    frame = recorded(recordings, "BTCUSDT-1h-2019-2026.feather").filter(
        pl.col("open_time") < pl.datetime(2024, 7, 1, time_zone="UTC")
    )
    frame = frame.with_columns((pl.col(name) / 1000).round(4) for name in prices)
    funding, digits = recorded_funding(recordings), Exponents(4, 3, 7)
    market = RecordedMarket("WAVESUSDT", frame.tail(5000), interval="1h", exponents=digits, funding=funding)
    with DemoExchange(market=market, exchange_info=recorded_exchange_info) as exchange:
        where = {"exchange.rest_url": exchange.rest_url, "interval": "1h", "symbol": "WAVESUSDT", "specs.at": "range"}
        run = backtest(load_config(None, {**where, "start": "2024-05-01", "end": "2024-05-08"}), cache_dir=tmp_path)
        with pytest.raises(NotTradableError, match="until 2024-06-11 09:00 UTC"):
            backtest(load_config(None, {**where, "start": "2024-06-10", "end": "2024-06-12"}), cache_dir=tmp_path)
    assert (run.summary["specs"]["status"], run.summary["specs"]["tick_size"]) == ("SETTLING", "0.0001")
    assert run.summary["bars"]["fed"] == 168


def test_spot_rows_in_a_perpetuals_file_are_named(
    recordings: Path, recorded_exchange_info: dict[str, Any], tmp_path: Path
) -> None:
    # 575 spot bars stand in the file from 2025-02-18 10:30; the perpetual moves in 0.10, spot in 0.01.
    frame = recorded(recordings, "BTCUSDT-5m-contaminated-with-spot.feather")
    funding, digits = recorded_funding(recordings), Exponents(2, 5, 7)
    market = RecordedMarket("BTCUSDT", frame, interval="5m", exponents=digits, funding=funding)
    with DemoExchange(market=market, exchange_info=recorded_exchange_info) as exchange:
        config = load_config(
            None,
            {
                "exchange.rest_url": exchange.rest_url,
                "interval": "5m",
                "start": "2025-02-17",
                "end": "2025-02-20",
            },
        )
        run = backtest(config, cache_dir=tmp_path, save=False)
    named = [warning for warning in run.summary["warnings"] if "another market such as spot" in warning]
    assert len(named) == 1
    assert "450 of 864 klines, from 2025-02-18 10:30 to 2025-02-19" in named[0]


def test_a_flip_with_the_whole_account_is_not_denied(cache: Path) -> None:
    run = backtest(demo(**{"sizing.fraction": 1}), cache_dir=cache, offline=True, save=False)
    assert run.summary["denied"] == {}
    assert run.summary["fills"] == 2 * run.summary["trades"] + 1
    assert_books_balance(run)


def test_two_halves_of_a_range_settle_as_often_as_the_whole(cache: Path, tmp_path: Path) -> None:
    holder = tmp_path / "holder.py"
    holder.write_text(
        "from dataclasses import dataclass\n"
        "from decimal import Decimal\n"
        "from nautilus_trader.model import BarType, InstrumentId, OrderSide, Quantity\n"
        "from nautilus_trader.trading import Strategy, StrategyConfig\n"
        "@dataclass(frozen=True, kw_only=True)\n"
        "class Config(StrategyConfig):\n"
        "    instrument_id: InstrumentId\n    bar_type: BarType\n    trade_size: Decimal\n"
        "class Holder(Strategy):\n"
        "    def __init__(self, config: Config) -> None:\n        super().__init__(config)\n        self.own = config\n"
        "    def on_start(self):\n        self.subscribe_bars(self.own.bar_type)\n"
        "    def on_bar(self, bar):\n"
        "        if self.portfolio.is_net_flat(self.own.instrument_id):\n"
        "            size = Quantity.from_decimal_dp(self.own.trade_size, 3)\n"
        "            self.submit_order(self.order_factory.market(self.own.instrument_id, OrderSide.BUY, size))\n"
    )

    def slots(start: str, end: str) -> list[Any]:
        config = demo(**{"strategy.name": str(holder), "interval": "1h", "start": start, "end": end})
        return backtest(config, cache_dir=cache, save=False).funding["time"].to_list()

    halves = slots("2026-06-01", "2026-06-02") + slots("2026-06-02", "2026-06-03")
    # Held from the close of the first bar: 08:00, 16:00 and midnight of each day.
    assert halves == slots("2026-06-01", "2026-06-03")
    assert len(halves) == 6


def test_a_run_below_the_completeness_asked_for_stops_before_the_engine_and_names_the_hole(tmp_path: Path) -> None:
    with DemoExchange([Fault("/klines", "rows", times=None, edit=without_noon)]) as exchange:
        config = at(exchange, {"min_completeness": "0.99"})
        with pytest.raises(
            IncompleteDataError, match=r"2850 of 2880 bars.*12:00 → 2026-06-02 12:30 \(30 bars\)"
        ) as caught:
            backtest(config, cache_dir=tmp_path)
    assert caught.value.exit_code == 3
    assert "--min-completeness 0.98" in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_with_holes_allowed_a_run_lists_what_was_made_across_them_and_fills_nothing(tmp_path: Path) -> None:
    with DemoExchange([Fault("/klines", "rows", times=None, edit=without_noon)]) as exchange:
        run = backtest(at(exchange, {"min_completeness": "0.95"}), cache_dir=tmp_path)
        again = backtest(at(exchange, {"min_completeness": "0.95"}), cache_dir=tmp_path, offline=True, save=False)
    assert run.summary["bars"] == {"expected": 2880, "loaded": 2850, "fed": 2850, "skipped": 0}
    assert run.equity.height == 2850
    (gap,) = run.summary["data"]["gaps"]
    assert (gap["start"], gap["end"]) == ("2026-06-02T12:00:00Z", "2026-06-02T12:30:00Z")
    across = run.summary["data"]["across_holes"]
    (crossing,) = across["crossings"]
    assert crossing["hole"] == {"start": gap["start"], "end": gap["end"], "bars": 30}
    bars = run.klines.floats()
    before = bars.filter(pl.col("open_time") < datetime(2026, 6, 2, 12, tzinfo=UTC))["close"][-1]
    after = bars.filter(pl.col("open_time") > datetime(2026, 6, 2, 12, tzinfo=UTC))["open"][0]
    assert (float(crossing["close_before"]), float(crossing["open_after"])) == (before, after)
    assert float(across["price"]) == pytest.approx(float(crossing["position"]) * (after - before))
    assert figures(run.summary)["across_holes"] == float(across["price"]) != 0
    assert audit(run.run_id, tmp_path)["violations"] == []
    assert_books_balance(run)
    assert again.summary["data"] == run.summary["data"]


def at(exchange: DemoExchange, changes: dict[str, Any]) -> RunConfig:
    return load_config(None, {**WEEK, "exchange.rest_url": exchange.rest_url, **changes})


def without_noon(rows: list[Any]) -> list[Any]:
    noon = parse_time("2026-06-02T12:00")
    return [row for row in rows if not noon <= row[0] < noon + 30 * 60_000]


def test_where_a_stop_decides_the_size_the_report_says_whether_it_was_kept(
    cache: Path,
) -> None:
    changes = {"sizing.method": "stop", "sizing.stop_distance": "0.002", "account.leverage": 50}
    risk = backtest(demo(**changes), cache_dir=cache, offline=True, save=False).summary["risk_audit"]
    assert (risk["stopped"] > 0, risk["unmatched"], risk["over"]) == (True, 0, 0)
    assert float(risk["max_unexplained"]) <= 0
    assert backtest(demo(), cache_dir=cache, offline=True, save=False).summary["risk_audit"] is None


@pytest.mark.parametrize(("interval", "bars"), [("3d", 31), ("1w", 13), ("1M", 3)])
def test_long_bars_run_like_short_ones(tmp_path: Path, interval: str, bars: int) -> None:
    config = load_config(
        None,
        {
            "demo": True,
            "interval": interval,
            "start": "2026-03-01",
            "end": "2026-06-01",
            "strategy.params.fast": 1,
            "strategy.params.slow": 2,
        },
    )
    run = backtest(config, cache_dir=tmp_path)
    assert run.summary["bars"] == {"expected": bars, "loaded": bars, "fed": bars, "skipped": 0}
    assert run.summary["fills"] > 0
    assert run.summary["funding_settlements"] > 0
    assert run.equity["time"].dt.epoch("ms").to_list() == run.klines.close_times().tolist()
    assert_books_balance(run)
    kept = load_run(run.run_id, tmp_path / "runs")
    assert kept.klines.frame.equals(run.klines.frame)


def test_the_ledger_says_what_the_filters_did_and_what_was_lost(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # At 89,860 half a step of 0.001 BTC is 44.93 USDT, 2 % of 2,247. Fees take the account below that on the way, and
    # from then on 2 % rounds down to nothing.
    small = backtest(demo(**{"account.balance": "2260"}), cache_dir=cache, save=False).summary
    refused = small["denied"]["sizing: below min quantity 0.001 BTC"]
    assert refused > 0
    assert small["filters"]["by_filter"]["LOT_SIZE"]["refused"] == refused
    assert small["filters"]["by_filter"]["LOT_SIZE"]["rounded"] > 0
    assert small["filters"]["by_filter"]["MIN_NOTIONAL"] == {"rounded": 0, "capped": 0, "refused": 0}
    assert small["filters"]["lost"]["count"] == refused
    print_run(small)
    assert f"market ({refused} signals lost, the first 06-0" in capsys.readouterr().out


def test_entries_cut_to_the_largest_market_order_are_counted(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    huge = demo(**{"account.balance": "100000000", "sizing.fraction": "0.9"})
    summary = backtest(huge, cache_dir=cache, save=False).summary
    cut = summary["filters"]["by_filter"]["MARKET_LOT_SIZE"]["capped"]
    assert cut == summary["sizing"]["capped"]["market max quantity"] > 0
    assert summary["filters"]["lost"] == {"count": 0, "first": None, "last": None}
    print_run(summary)
    assert f"{cut} x by MARKET_LOT_SIZE" in capsys.readouterr().out
