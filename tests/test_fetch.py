"""`data get` from the inside: which kinds, and contracts that are no longer listed."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from nt_run.config import RunConfig, load_config
from nt_run.data.export import Target
from nt_run.data.loader import MarketData
from nt_run.demo import DemoExchange, Fault
from nt_run.errors import SourceError, UnknownSymbolError, UsageError
from nt_run.exporting import exported
from nt_run.fetching import fetch, fetch_all
from nt_run.inputs import open_market
from nt_run.model import Interval, parse_time
from nt_run.pipeline import backtest
from nt_run.progress import ProgressDisplay

APRIL = {"interval": "1h", "start": "2026-04-01", "end": "2026-05-01"}


def at(exchange: DemoExchange, **changes: Any) -> RunConfig:
    where = {"exchange.rest_url": exchange.rest_url, "exchange.archive_url": exchange.archive_url}
    return load_config(None, {**APRIL, **where, **changes})


def test_only_the_kinds_asked_for_are_fetched(tmp_path: Path) -> None:
    with DemoExchange() as exchange:
        got = fetch(at(exchange), kinds=("mark",), cache_dir=tmp_path)
        asked = [request for request in exchange.requests if "/klines" in str(request) or "fundingRate" in str(request)]
        # What is kept is found again by its kind.
        whole = at(exchange, start=None, end=None)
        (written,) = exported(whole, None, None, tmp_path, Target(tmp_path / "out"), form="csv", kinds="mark")[
            "exported"
        ]
    assert asked == []
    assert (got["rows"], got["funding_rates"], got["data"]) == (None, None, None)
    assert (got["mark"]["loaded"], got["mark"]["completeness"]) == (720, 1.0)
    assert written["rows"] == 720


def test_a_kind_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not 'trades'"):
        fetch_all(load_config(None, APRIL), None, None, tmp_path, ProgressDisplay(quiet=True), kinds="klines,trades")


def test_a_contract_without_rules_is_fetched_from_the_archive_and_the_user_is_told(tmp_path: Path) -> None:
    with DemoExchange(exchange_info={"symbols": [{"symbol": "ETHUSDT"}]}) as exchange:
        exchange._rest._markets = {}  # pyright: ignore[reportPrivateUsage] - REST forgets it; the archive does not
        got = fetch(at(exchange), kinds=("klines", "funding", "mark"), cache_dir=tmp_path)
        with pytest.raises(UnknownSymbolError, match="'NOSUCHUSDT'"):
            fetch(at(exchange, symbol="NOSUCHUSDT"), cache_dir=tmp_path)
    assert (got["rows"], got["mark"]["loaded"], got["funding_rates"]) == (720, 720, 90)
    assert got["data"]["sources"] == {"archive_monthly": 1.0}
    assert any("do not list 'BTCUSDT'" in text and "--specs-at" in text for text in got["warnings"])


def test_what_is_cached_is_there_though_todays_rules_cannot_be_kept(tmp_path: Path) -> None:
    with DemoExchange() as exchange:
        whole = fetch(at(exchange), cache_dir=tmp_path)
        (folder,) = tmp_path.glob("at/*/v1/binance/um/exchangeInfo")
        shutil.rmtree(folder)
        folder.write_text("in the way, as a cache without the right to write is")
        got = fetch(at(exchange), cache_dir=tmp_path)
    assert (got["rows"], got["data"]) == (720, whole["data"])
    assert any("Today's trading rules could not be kept" in text for text in got["warnings"])


OUT_OF_REACH = [
    [Fault("/fapi/", "403", times=None)],
    [Fault("/fapi/v1/time", "503", times=None)],
    [Fault("/fapi/", "reset", times=None)],
]


@pytest.mark.parametrize("faults", OUT_OF_REACH, ids=["403 to everything", "503 to the time", "no connection"])
def test_with_rest_out_of_reach_a_past_range_comes_from_the_archive(faults: list[Fault], tmp_path: Path) -> None:
    with DemoExchange(faults) as exchange:
        got = fetch(at(exchange), kinds=("klines", "funding"), cache_dir=tmp_path)
    assert (got["rows"], got["funding_rates"], got["data"]["sources"]) == (720, 90, {"archive_monthly": 1.0})
    assert any("No trading rules are kept" in text for text in got["warnings"])
    assert any("by the clock of this machine" in text for text in got["warnings"])


def test_with_rest_out_of_reach_a_run_uses_the_rules_it_kept(tmp_path: Path) -> None:
    with DemoExchange([Fault("/fapi/v1/time", "503", times=None, skip=1)]) as exchange:
        config = at(exchange)
        with open_market(config, cache_dir=tmp_path, offline=False) as market:
            market.load_specs("BTCUSDT")
        run = backtest(config, cache_dir=tmp_path, save=False)
    assert run.summary["data"]["sources"] == {"archive_monthly": 1.0}
    warnings = run.summary["warnings"]
    assert any("trading rules could not be fetched" in text and "HTTP 503" in text for text in warnings)
    assert any("by the clock of this machine" in text for text in warnings)


def test_with_rest_out_of_reach_a_run_without_rules_says_what_stands_in_the_way(tmp_path: Path) -> None:
    words = "rules of BTCUSDT are not kept.*HTTP 403.*\n.*specs import"
    with DemoExchange([Fault("/fapi/", "403", times=None)]) as exchange, pytest.raises(SourceError, match=words):
        backtest(at(exchange), cache_dir=tmp_path, save=False)


def test_with_rest_out_of_reach_a_range_that_ended_just_now_is_left_to_the_exchange(tmp_path: Path) -> None:
    now = parse_time("2026-05-02") / 1000  # a day after the range's end
    with DemoExchange([Fault("/fapi/", "403", times=None)]) as exchange:
        options: dict[str, Any] = {"rest_url": exchange.rest_url, "archive_url": exchange.archive_url}
        with MarketData(tmp_path, clock=lambda: now, **options) as market, pytest.raises(SourceError, match="HTTP 403"):
            market.load_klines("BTCUSDT", Interval("1h"), load_config(None, APRIL).time_range(0))
    assert not any(request.path.endswith(".zip") for request in exchange.requests)


@pytest.mark.parametrize(
    ("clock", "interval", "end"),
    # Five seconds after its end a bar counts as closed.
    [
        ("2026-06-30T12:00:04", "1m", "2026-06-30T11:59:00Z"),
        ("2026-06-30T12:00:05", "1m", "2026-06-30T12:00:00Z"),
        ("2026-06-30T12:00:04", "1h", "2026-06-30T11:00:00Z"),
        ("2026-06-30T00:00:00", "1d", "2026-06-29T00:00:00Z"),
    ],
)
def test_the_last_days_end_with_the_newest_closed_bar_at_any_second(
    tmp_path: Path, clock: str, interval: str, end: str
) -> None:
    with DemoExchange(clock_ms=parse_time(clock)) as exchange:
        got = fetch(
            at(exchange, interval=interval, start=None, end=None, days=2), kinds=("klines",), cache_dir=tmp_path
        )
    assert got["end"] == end
