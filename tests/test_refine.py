"""Whole runs of the demo market that look at ambiguous bars in finer klines."""

from pathlib import Path
from typing import Any

import pytest

from nt_run.audit import audit_run
from nt_run.config import RunConfig, load_config
from nt_run.errors import UsageError
from nt_run.model import Interval
from nt_run.pipeline import backtest
from nt_run.published import Published, read_published
from nt_run.report import print_run
from nt_run.results import Run, load_run


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def narrow(**changes: Any) -> RunConfig:
    """Hourly breakouts with stop and target so near that many a bar reaches both."""
    given: dict[str, Any] = {
        "demo": True,
        "interval": "1h",
        "days": 60,
        "strategy.name": "donchian_breakout",
        "strategy.params.stop": 0.003,
        "strategy.params.target": 0.003,
    }
    return load_config(overrides=given | changes)


def between(summary: dict[str, Any]) -> tuple[float, float, float]:
    pnl = summary["ambiguity"]["pnl"]
    return float(pnl["worst"]), float(pnl["chosen"]), float(pnl["best"])


@pytest.fixture(scope="module")
def whole(cache: Path) -> Run:
    return backtest(narrow(), cache_dir=cache)


@pytest.fixture(scope="module")
def close(cache: Path) -> Run:
    return backtest(narrow(**{"execution.detail": "1m"}), cache_dir=cache)


def test_a_run_gives_its_pnl_between_bounds_and_lists_why(whole: Run, capsys: pytest.CaptureFixture[str]) -> None:
    ambiguity = whole.summary["ambiguity"]
    worst, chosen, best = between(whole.summary)
    assert worst < chosen < best
    assert chosen == float(whole.summary["pnl"]["net"])
    assert ambiguity["bars"] == len({each["start"] for each in ambiguity["listed"]}) > 0
    assert (ambiguity["of"], ambiguity["detail"]) == (1440, None)
    assert sum(float(each["worst"]) for each in ambiguity["listed"]) == pytest.approx(worst - chosen)
    print_run(whole.summary)
    line = next(line for line in capsys.readouterr().out.splitlines() if "ambiguous bars" in line)
    assert f"{ambiguity['bars']} of 1,440 PnL between {worst:+.2f} and {best:+.2f}, chosen {chosen:+.2f}" in line


def test_finer_klines_settle_what_hours_do_not_tell(whole: Run, close: Run) -> None:
    ambiguity = close.summary["ambiguity"]
    detail = ambiguity["detail"]
    assert ambiguity["bars"] < whole.summary["ambiguity"]["bars"] <= detail["bars"]
    assert (detail["interval"], detail["settled"], detail["klines"]) == ("1m", True, 60 * detail["bars"])
    assert ambiguity["of"] == 1440 + 59 * detail["bars"]
    # Exits inside those bars are stamped with their minute.
    minutes = close.fills["time"].dt.epoch("ms") % 3_600_000
    assert (minutes != 0).any()
    assert (minutes % 60_000 == 0).all()


def test_a_run_with_finer_klines_is_kept_whole_audited_and_repeated(close: Run, cache: Path) -> None:
    kept = load_run(close.run_id, cache / "runs")
    assert kept.detail is not None
    assert close.detail is not None
    assert kept.detail.interval == Interval("1m")
    assert kept.detail.frame.equals(close.detail.frame)
    assert kept.orders is not None
    assert set(kept.orders["ended"]) <= {"filled", "cancelled", "open"}
    assert audit_run(kept, read_published(kept, cache))["violations"] == []
    again = backtest(kept.config, cache_dir=cache, offline=True, save=False)
    assert again.fills.equals(close.fills)
    assert again.summary["ambiguity"] == close.summary["ambiguity"]


def test_the_audit_names_finer_klines_that_are_not_those_of_the_run(close: Run, cache: Path) -> None:
    kept = load_run(close.run_id, cache / "runs")
    assert kept.detail is not None
    frame = kept.detail.frame
    changed = frame.with_columns(high=frame["high"] + 1)
    object.__setattr__(kept.detail, "frame", changed)
    found = {(each["check"], each["what"]) for each in audit_run(kept, Published())["violations"]}
    assert ("klines", "finer klines") in found


@pytest.mark.parametrize("market", ["next-open", "close"])
def test_books_balance_with_finer_klines_slippage_and_leverage(market: str, cache: Path) -> None:
    changes = {
        "execution.detail": "5m",
        "execution.fill": market,
        "costs.slippage_bps": 1,
        "account.leverage": 20,
        "sizing.fraction": 15,
        "days": 20,
    }
    run = backtest(narrow(**changes), cache_dir=cache, save=False)
    assert run.summary["fills"] > 0
    assert audit_run(run, Published())["violations"] == []
    worst, chosen, best = between(run.summary)
    assert worst <= chosen <= best


@pytest.mark.parametrize(
    ("interval", "detail", "told"),
    [
        ("1h", "1h", "must be finer than the run's interval, 1h, and 1h is not"),
        ("1h", "2h", "must be finer than the run's interval, 1h, and 2h is not"),
        ("1m", "1m", "must be finer than the run's interval, 1m, and 1m is not"),
        ("5m", "3m", "5m is not made of whole 3m"),
        ("1M", "1w", "1M is not made of whole 1w"),
    ],
)
def test_an_interval_that_is_not_finer_or_does_not_divide_is_refused(interval: str, detail: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        load_config(overrides={"interval": interval, "execution.detail": detail})


def test_market_orders_alone_have_no_ambiguity(cache: Path) -> None:
    run = backtest(load_config(overrides={"demo": True, "days": 2}), cache_dir=cache, save=False)
    assert run.summary["ambiguity"] is None
    assert run.orders is not None
    assert run.orders.height == 0
