"""`data get` from the inside: which kinds, and contracts that are no longer listed."""

from pathlib import Path
from typing import Any

import pytest

from nt_run.config import RunConfig, load_config
from nt_run.demo import DemoExchange
from nt_run.errors import UnknownSymbolError, UsageError
from nt_run.inputs import fetch
from nt_run.progress import ProgressDisplay
from nt_run.upkeep import exported, fetch_all

APRIL = {"interval": "1h", "start": "2026-04-01", "end": "2026-05-01"}


def at(exchange: DemoExchange, **changes: Any) -> RunConfig:
    where = {"exchange.rest_url": exchange.rest_url, "exchange.archive_url": exchange.archive_url}
    return load_config(None, {**APRIL, **where, **changes})


def test_only_the_kinds_asked_for_are_fetched(tmp_path: Path) -> None:
    with DemoExchange() as exchange:
        got = fetch(at(exchange), kinds=("mark",), cache_dir=tmp_path)
        asked = [request for request in exchange.requests if "/klines" in str(request) or "fundingRate" in str(request)]
        # What is kept is found again by its kind.
        written = exported(at(exchange, start=None, end=None), tmp_path, tmp_path / "out", form="csv", mark=True)
    assert asked == []
    assert (got["rows"], got["funding_rates"], got["data"]) == (None, None, None)
    assert (got["mark"]["loaded"], got["mark"]["completeness"]) == (720, 1.0)
    assert written["rows"] == 720


def test_a_kind_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not 'trades'"):
        fetch_all(load_config(None, APRIL), None, None, tmp_path, ProgressDisplay(quiet=True), kinds="klines,trades")


def test_a_contract_without_rules_is_fetched_from_the_archive_and_the_user_is_told(tmp_path: Path) -> None:
    with DemoExchange(exchange_info={"symbols": [{"symbol": "ETHUSDT"}]}) as exchange:
        exchange._rest._markets = {}  # REST forgets it; the archive does not
        got = fetch(at(exchange), kinds=("klines", "funding", "mark"), cache_dir=tmp_path)
        with pytest.raises(UnknownSymbolError, match="'NOSUCHUSDT'"):
            fetch(at(exchange, symbol="NOSUCHUSDT"), cache_dir=tmp_path)
    assert (got["rows"], got["mark"]["loaded"], got["funding_rates"]) == (720, 720, 90)
    assert got["data"]["sources"] == {"archive_monthly": 1.0}
    assert any("do not list 'BTCUSDT'" in text and "--specs-at" in text for text in got["warnings"])
