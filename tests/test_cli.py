import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

import pytest

from nt_run.__main__ import main
from nt_run.demo import DemoExchange, Fault

RANGE = ["--start", "2026-06-01", "--end", "2026-06-02"]


class Done:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Done]


@pytest.fixture
def nt_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """`nt-run` in this process, in an empty folder; screen widths and colours are those of a pipe."""
    monkeypatch.chdir(tmp_path)
    for name in ("NT_RUN_REST_URL", "NT_RUN_ARCHIVE_URL", "NT_RUN_ARCHIVE_LIST_URL", "NT_RUN_CACHE"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["nt-run", *arguments])
        code = main()
        out, err = capfd.readouterr()
        return Done(code, out, err)

    return run


@pytest.fixture
def warm(nt_run: Run) -> Run:
    """The same with the demo's range cached and one run kept."""
    assert nt_run("backtest", "--demo", *RANGE).code == 0
    return nt_run


def test_backtest_prints_one_screen_under_100_columns(nt_run: Run) -> None:
    done = nt_run("backtest", "--symbol", "BTCUSDT", "--demo")
    lines = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert max(map(len, lines)) < 100
    assert len(lines) <= 40
    for expected in ("SYNTHETIC", "6 of 6", "100.00 %", "10,080 of 10,080", "0 skipped", "one whole BTC", "Net PnL"):
        assert expected in done.out


def test_json_is_exactly_one_object_with_the_promised_keys(nt_run: Run) -> None:
    done = nt_run("backtest", "--demo", *RANGE, "--json")
    promised = [
        "run_id",
        "demo",
        "symbol",
        "interval",
        "start",
        "end",
        "bars",
        "specs",
        "sizing",
        "fees",
        "account",
        "pnl",
        "trades",
        "fills",
        "denied",
        "filters",
        "metrics",
        "benchmark",
        "data",
        "warnings",
        "timings",
        "versions",
    ]
    assert set(promised) <= done.json.keys()
    assert set(done.json["bars"]) == {"expected", "loaded", "fed", "skipped"}
    assert set(done.json["pnl"]) == {"net", "price", "fees", "funding", "slippage", "liquidation", "rounding"}
    assert {"starting_balance", "final_balance", "final_equity"} <= done.json["account"].keys()
    assert {"sources", "fingerprint", "completeness", "gaps"} <= done.json["data"].keys()
    wanted = "total_return cagr volatility sharpe sortino calmar max_drawdown exposure trades win_rate profit_factor "
    wanted += "expectancy average_win average_loss largest_win largest_loss turnover"
    assert set(wanted.split()) <= done.json["metrics"].keys()


def test_specs_prints_the_exchange_filters(nt_run: Run) -> None:
    done = nt_run("specs", "--demo", "--symbol", "ETH/USDT:USDT")
    for expected in ("ETHUSDT-PERP.BINANCE", "TRADING", "0.01 USDT", "min notional", "every 8 h", "VIP 0"):
        assert expected in done.out


def test_specs_json_has_decimal_strings(nt_run: Run) -> None:
    rules = nt_run("specs", "--demo", "--json").json
    assert (rules["tick_size"], rules["step_size"], rules["min_quantity"]) == ("0.10", "0.001", "0.001")
    assert (rules["price_precision"], rules["size_precision"]) == (1, 3)
    assert (rules["maker_fee"], rules["taker_fee"]) == ("0.0002", "0.0005")
    assert rules["funding_interval_hours"] == "8"
    assert rules["demo"] is True
    assert {"market_max_quantity", "min_notional", "liquidation_fee", "mark_price", "as_of", "source"} <= rules.keys()


def test_a_run_says_whose_rules_it_used(warm: Run) -> None:
    done = warm("backtest", "--demo", *RANGE, "--offline", "--specs-at", "range")
    assert done.code == 0
    assert "rules 20260701T000030Z." in done.out
    assert "Those of 2026-07-01 00:00:30 are used, and no change since is known." in done.out.replace("\n", " ")
    specs = warm("backtest", "--demo", *RANGE, "--offline", "--json").json["specs"]
    assert (specs["at"], specs["snapshot"][:16], specs["changes"]) == ("today", "20260701T000030Z", [])
    assert "  rules 2026" not in warm("backtest", "--demo", *RANGE, "--offline").out
    assert "specs import" in warm("backtest", "--demo", *RANGE, "--offline", "--specs-at", "2020-01-01").err


def test_offline_specs_come_from_the_kept_answer(warm: Run) -> None:
    assert warm("specs", "--demo", "--offline", "--json").json["tick_size"] == "0.10"


def test_a_kept_run_is_listed_shown_and_charted(warm: Run, tmp_path: Path) -> None:
    run_id = warm("runs", "list", "--json").json["runs"][0]["run_id"]
    assert run_id.split("Z")[0][:15] in warm("runs", "list").out
    assert run_id in warm("runs", "show").out
    assert warm("runs", "show", run_id[:16], "--json").json["run_id"] == run_id
    done = warm("chart", "--save", "run.png")
    assert done.code == 0
    assert (tmp_path / "run.png").stat().st_size > 10_000


def test_the_smallest_capital_is_found_and_no_run_is_kept(warm: Run) -> None:
    kept = warm("runs", "list", "--json").json["runs"]
    done = warm("backtest", "--demo", *RANGE, "--offline", "--find-capital", "--json")
    assert done.code == 0
    assert int(done.json["balance"]) > int(done.json["below"])
    shown = warm("backtest", "--demo", *RANGE, "--offline", "--find-capital", "--balance", done.json["balance"])
    assert f"{int(done.json['balance']):,} USDT" in shown.out
    assert warm("runs", "list", "--json").json["runs"] == kept
    both = warm("backtest", "--demo", "--find-capital", "--assert", "trades>1")
    assert (both.code, "Use one of them" in both.err) == (2, True)


def test_a_run_is_written_as_a_page(warm: Run, tmp_path: Path) -> None:
    done = warm("chart", "--html", "run.html")
    assert (done.code, done.out, done.err) == (0, "", "Saved run.html\n")
    text = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert "SYNTHETIC MARKET (demo)" in text


def test_without_a_display_the_page_is_written_and_named(
    warm: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    done = warm("chart", "--quiet")
    assert done.code == 0
    start, target = done.out.strip().rsplit(" ", 1)
    assert start == "There is no display here. The chart is a page:"
    assert Path(tmp_path, target).name == "chart.html"
    assert Path(tmp_path, target).stat().st_size > 100_000


def test_data_get_and_list(nt_run: Run) -> None:
    done = nt_run("data", "get", "--demo", *RANGE, "--interval", "5m", "--json")
    (fetched,) = done.json["fetched"]
    assert (fetched["rows"], fetched["data"]["completeness"]) == (288, 1.0)
    listed = nt_run("data", "list", "--demo", "--json").json["series"]
    assert {(one["kind"], one["interval"], one["rows"]) for one in listed} >= {("klines", "5m", 288)}
    assert "288" in nt_run("data", "list", "--demo").out
    assert "no market data" in nt_run("data", "list").out


def test_a_configuration_file_and_the_kept_one_run_again(warm: Run, tmp_path: Path) -> None:
    (kept,) = (tmp_path / "data_cache" / "runs").glob("*/config.toml")
    again = warm("backtest", str(kept), "--offline", "--json").json
    assert again["run_id"].split("-")[-2] == kept.parent.name.split("-")[-2]
    assert (
        warm("backtest", str(kept), "--offline", "--param", "fast=5", "--json").json["strategy"]["params"]["fast"] == 5
    )


def test_no_save_keeps_nothing(nt_run: Run, tmp_path: Path) -> None:
    assert nt_run("backtest", "--demo", *RANGE, "--no-save").code == 0
    assert not (tmp_path / "data_cache" / "runs").exists()


def test_the_cache_folder_comes_from_the_flag_or_the_environment(
    nt_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NT_RUN_CACHE", str(tmp_path / "environment"))
    nt_run("specs", "--demo")
    nt_run("specs", "--demo", "--cache-dir", "flag")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["environment", "flag"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["backtest", "--demo", "--symbol", "BTCUSD"], 3, "Did you mean BTCUSDT"),
        (["backtest", "--demo", "--symbol", "BTCUSDT_260925"], 3, "is not a perpetual"),
        (["backtest", "--demo", "--symbol", "MATICUSDT"], 3, "status SETTLING"),
        (["backtest", "--demo", "--symbol", "BTC/USDT"], 2, "is not a symbol"),
        (["backtest", "--demo", "--balance", "100"], 4, "--balance"),
        (["backtest", "--demo", "--balance", "0"], 2, "above 0"),
        (["backtest", "--demo", "--risk", "2"], 2, "at most 1"),
        (["backtest", "--demo", "--strategy", "ema_cros"], 2, "Did you mean 'ema_cross'"),
        (["backtest", "--demo", "--param", "fsat=1"], 2, "Did you mean 'fast'"),
        (["backtest", "--demo", "--param", "fast=x"], 2, "fast"),
        (["backtest", "--demo", "--set", "sizing.fractoin=1"], 2, "Did you mean 'fraction'"),
        (["backtest", "--demo", "--start", "2026-06-02", "--end", "2026-06-01"], 2, "must come after"),
        (["backtest", "--demo", "--timerange", "20260601-20260602", "--days", "3"], 2, "once"),
        (["backtest", "--demo", "--start", "2020-01-01", "--end", "2020-01-02"], 3, "first 1m kline"),
        (["backtest", "--demo", "--end", "2030-01-01"], 3, "newest closed bar"),
        (["backtest", "--demo", *RANGE, "--assert", "sharpe>99"], 8, "Asserted sharpe > 99"),
        (["backtest", "--demo", "--assert", "sharpe"], 2, "Write a metric and a bound"),
        (["backtest", "--demo", "--assert", "sharp>1"], 2, "Did you mean 'sharpe'"),
        (["backtest", "--demo", "--offline"], 3, "Offline"),
        (["backtest", "missing.toml"], 2, "no configuration file"),
        (["chart"], 6, "There is no run"),
        (["runs", "show", "x"], 6, "There is no run 'x'"),
        (["backtest", "--no-such-flag"], 2, "No such option"),
        (["nonsense"], 2, "No such command"),
    ],
)
def test_bad_input_ends_with_its_code_and_says_what_to_do(
    nt_run: Run, arguments: list[str], code: int, message: str
) -> None:
    done = nt_run(*arguments)
    assert done.code == code
    assert message in done.err
    assert "Traceback" not in done.err
    if code != 8:
        assert done.out == ""


def test_an_exchange_out_of_reach_offers_offline_and_demo_and_never_switches(
    nt_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NT_RUN_REST_URL", "http://127.0.0.1:9")
    done = nt_run("backtest", "--symbol", "BTCUSDT")
    assert done.code == 3
    for expected in ("127.0.0.1:9", "--offline", "--demo"):
        assert expected in done.err
    assert done.out == ""


def test_by_address_the_embedded_exchange_serves_like_the_live_one(
    nt_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with DemoExchange() as exchange:
        monkeypatch.setenv("NT_RUN_REST_URL", exchange.rest_url)
        summary = nt_run("backtest", "--symbol", "BTCUSDT", "--json").json
    assert summary["bars"]["fed"] == 10_080
    assert summary["demo"] is False
    assert exchange.rest_url in summary["warnings"][0]


def test_cached_rules_are_used_with_their_age_when_the_live_call_fails(
    nt_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with DemoExchange([Fault("/exchangeInfo", "418", times=None, skip=1, retry_after=7200)]) as exchange:
        monkeypatch.setenv("NT_RUN_REST_URL", exchange.rest_url)
        assert nt_run("backtest", *RANGE).code == 0
        summary = nt_run("backtest", *RANGE, "--json").json
    assert any("old" in warning and "trading rules" in warning for warning in summary["warnings"])


def test_a_verbose_run_and_a_quiet_one_print_the_same_result(warm: Run) -> None:
    loud = warm("backtest", "--demo", *RANGE, "--offline", "-v", "--json").json
    quiet = warm("backtest", "--demo", *RANGE, "--offline", "-q", "--json").json
    assert loud["pnl"] == quiet["pnl"]


def start(arguments: list[str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "nt_run", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_ctrl_c_in_the_run_ends_with_130_and_keeps_nothing(warm: Run, tmp_path: Path) -> None:
    strategy = tmp_path / "slow.py"
    strategy.write_text(
        "import time\nfrom pathlib import Path\n"
        "from nt_run.strategies.ema_cross import EmaCross, EmaCrossConfig\n"
        "class Slow(EmaCross):\n"
        "    def __init__(self, config: EmaCrossConfig):\n        super().__init__(config)\n"
        "    def on_bar(self, bar):\n        Path('started').touch()\n        time.sleep(0.01)\n"
        "        super().on_bar(bar)\n"
    )
    before = sorted((tmp_path / "data_cache" / "runs").iterdir())
    process = start(["backtest", "--demo", "--offline", *RANGE, "--strategy", "slow.py:Slow"], tmp_path)
    for _ in range(600):
        if (tmp_path / "started").exists():
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "interrupted" in err
    assert sorted((tmp_path / "data_cache" / "runs").iterdir()) == before


def test_ctrl_c_before_the_command_begins_ends_with_130_too(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    class Impatient(MetaPathFinder):
        def find_spec(self, fullname: str, *_: object) -> None:
            if fullname == "nt_run.cli":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "nt_run.cli", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Impatient(), *sys.meta_path])
    try:
        code = main()
    except KeyboardInterrupt:  # which would end the tests, too
        code = None
    told = "nt-run: interrupted; nothing was left half done, and what was downloaded is kept.\n"
    assert (code, *capfd.readouterr()) == (130, "", told)


def test_a_reader_that_leaves_early_is_no_error(warm: Run, tmp_path: Path) -> None:
    command = f"{sys.executable} -m nt_run runs list --json | head -c 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_a_strategy_prints_stays_out_of_the_result(warm: Run, tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text(
        "from nt_run.strategies.ema_cross import EmaCross, EmaCrossConfig\n"
        "class Loud(EmaCross):\n"
        "    def __init__(self, config: EmaCrossConfig) -> None:\n        super().__init__(config)\n"
        "    def on_bar(self, bar):\n        print('LOUD')\n        super().on_bar(bar)\n"
    )
    done = warm("backtest", "--demo", *RANGE, "--offline", "--strategy", "loud.py:Loud", "--json")
    assert done.json["bars"]["fed"] == 1440
    assert "LOUD" in done.err


def test_a_verbose_run_says_its_steps_on_stderr(warm: Run) -> None:
    done = warm("backtest", "--demo", *RANGE, "--offline", "-v")
    for expected in ("rules ", "klines ", "funding: ", "strategy ema_cross", "engine: 1,440 bars"):
        assert expected in done.err


def test_specs_without_the_exchange_come_from_the_cache_with_a_warning(
    nt_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with DemoExchange() as exchange:
        monkeypatch.setenv("NT_RUN_REST_URL", exchange.rest_url)
        assert nt_run("specs").code == 0
    rules = nt_run("specs", "--json").json
    assert rules["tick_size"] == "0.10"
    assert rules.get("mark_price") is None
    assert any("old" in warning for warning in rules["warnings"])
    assert any("Mark price" in warning for warning in rules["warnings"])


def test_a_strategy_file_that_ends_the_process_is_no_success(nt_run: Run, tmp_path: Path) -> None:
    (tmp_path / "quits.py").write_text("import sys\nsys.exit(9)\n")
    done = nt_run("backtest", "--demo", "--strategy", "quits.py:Quits")
    assert done.code not in (0, 9)
    assert "9" in done.err


def test_damaged_runs_are_told_and_the_others_listed(warm: Run, tmp_path: Path) -> None:
    damaged = tmp_path / "data_cache" / "runs" / "20200101T000000000Z-x"
    damaged.mkdir()
    (damaged / "summary.json").write_text("[]")
    done = warm("runs", "list", "--json")
    assert len(done.json["runs"]) == 1
    assert damaged.name in done.err
    assert warm("runs", "show", damaged.name).code == 6


def test_a_terminal_without_utf_8_spells_signs_out(warm: Run, tmp_path: Path) -> None:
    def said(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "nt_run", *arguments],
            cwd=tmp_path,
            env=os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"},
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, b"")
        return done.stdout.decode("ascii")

    specs = said("specs", "--demo", "--offline")
    assert "?" not in specs
    assert "0.001 ... 1000 BTC" in specs
    assert "Binance USDS-M fee schedule" in specs
    report = said("runs", "show", "--plot")
    assert "?" not in report
    assert "+ specification accuracy" in report
    assert "2026-06-01 00:00 -> " in report
    assert warm("runs", "note", "latest", "zu früh 😀").code == 0
    assert said("runs", "list").endswith("  demo zu fruh ?\n")
    # What a program reads is never spelled otherwise.
    assert json.loads(said("runs", "list", "--json"))["runs"][-1]["note"] == "zu früh 😀"


def test_shares_may_be_said_in_per_cent(nt_run: Run) -> None:
    flags = [
        "--demo",
        *RANGE,
        "--interval",
        "1h",
        "--risk",
        "2%",
        "--min-completeness",
        "99.5%",
        "--max-drawdown",
        "20 %",
    ]
    assert nt_run("backtest", *flags, "--json").code == 0
    shown = nt_run("config", "show", "--demo", "--risk", "2.5%", "--min-completeness", "99.5%", "--json").json
    assert (shown["config"]["sizing"]["fraction"], shown["config"]["min_completeness"]) == ("0.025", "0.995")


def test_protections_are_in_the_report_and_in_json(nt_run: Run) -> None:
    flags = ["--demo", *RANGE, "--risk", "1", "--max-drawdown", "2%", "--max-daily-loss", "0.01", "--cooldown", "5"]
    found = nt_run("backtest", *flags, "--json").json
    rules = [use["rule"] for use in found["protections"]]
    assert {"cooldown", "max_daily_loss"} <= set(rules)
    stop = next(use for use in found["protections"] if use["rule"] == "max_daily_loss")
    assert float(stop["equity"]) <= 0.99 * float(stop["reference"])
    assert found["denied"]["protection: max daily loss"] > 0
    out = nt_run("runs", "show").out
    assert f"{rules.count('cooldown')} x cooldown" in out
    assert "no entry up to 2026-06-02 00:00" in out


@pytest.mark.parametrize(
    ("flags", "changes"),
    [
        (["--slippage-bps", "2.5"], {"slippage", "net", "fees"}),
        (["--slippage-ticks", "3"], {"slippage", "net", "fees"}),
        (["--fill", "next-open"], {"price", "net", "fees"}),
        (["--vip", "9"], {"fees", "net"}),
        (["--bnb"], {"fees", "net"}),
        (["--taker", "0.0001"], {"fees", "net"}),
        (["--no-funding"], {"funding", "net"}),
    ],
    ids=lambda value: value[0].removeprefix("--") if isinstance(value, list) else "",
)
def test_a_flag_of_costs_changes_the_money_it_names_and_no_other(
    flags: list[str], changes: set[str], warm: Run
) -> None:
    once = ("--set", "sizing.compound=false", "--sizing", "notional", "--risk", "0.5")
    plain = warm("backtest", "--demo", *RANGE, *once, "--json").json["pnl"]
    changed = warm("backtest", "--demo", *RANGE, *once, *flags, "--json").json["pnl"]
    assert {name for name in plain if changed[name] != plain[name]} - {"rounding"} == changes


def test_slippage_in_ticks_beyond_a_tenth_of_the_price_is_refused_once_prices_are_known(warm: Run) -> None:
    # 10,000 ticks of 0.1 are 1,000 USDT, more than one per cent of 90,000; with 990 bp that is above ten.
    both = ("--slippage-bps", "990", "--slippage-ticks", "10000")
    done = warm("backtest", "--demo", *RANGE, *both)
    assert done.code == 2
    assert "10000 ticks of 0.1 with 990 bp come to 11." in done.err


def test_a_report_without_funding_says_so_loudly(warm: Run) -> None:
    out = warm("backtest", "--demo", *RANGE, "--no-funding").out
    assert "funding            +0.00 none charged" in out
    assert "! Funding was left out (--no-funding)" in out
    assert warm("audit").code == 0


def test_the_report_tells_how_orders_were_filled_and_what_slippage_would_make_of_them(warm: Run) -> None:
    done = warm("backtest", "--demo", *RANGE, "--fill", "next-open", "--slippage-bps", "2.50", "--slippage-ticks", "3")
    assert "fills market orders at the next open; slippage 2.5 bp + 3 ticks, no profit even without" in done.out
    assert "PnL by slippage 0 bp " in done.out
    assert "\n  slippage " in done.out
    assert max(map(len, done.out.splitlines())) < 100


def test_a_run_is_what_the_ladder_of_the_run_without_slippage_says(warm: Run) -> None:
    # The same orders in both: their sizes are fixed, and there are no stops.
    once = ("--set", "sizing.compound=false", "--json")
    told = warm("backtest", "--demo", *RANGE, *once).json
    real = warm("backtest", "--demo", *RANGE, *once, "--slippage-bps", "5").json
    (rung,) = (rung for rung in told["costs"]["ladder"] if rung["slippage_bps"] == "5")
    assert told["fills"] == real["fills"]
    assert abs(float(rung["net"]) - float(real["pnl"]["net"])) < 1e-6
    assert real["costs"]["ladder"] == told["costs"]["ladder"]


@pytest.mark.parametrize("group", [[], ["runs"], ["specs"], ["data"], ["config"]])
def test_help_says_in_a_line_of_eighty_columns_what_a_command_does(
    nt_run: Run, group: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    commands = nt_run(*group, "--help").out.partition("Commands:\n")[2].splitlines()
    assert len(commands) > 1
    assert all(line.endswith(".") and not line.endswith("...") for line in commands if line)
