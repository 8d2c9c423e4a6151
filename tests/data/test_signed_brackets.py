"""Leverage brackets by the key of an account, from the embedded exchange."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from nt_run.data.credentials import KEY, SECRET, Credentials
from nt_run.data.loader import MarketData
from nt_run.demo import DEMO_NOW_MS, DemoExchange, Fault
from nt_run.demo.account import API_KEY, API_SECRET
from nt_run.model import parse_time

ACCOUNT = Credentials(API_KEY, API_SECRET)
WRONG = Credentials("a-key-nobody-may-see", "a-secret-nobody-may-see")


@pytest.fixture
def exchange() -> Iterator[DemoExchange]:
    with DemoExchange() as running:
        yield running


def market(exchange: DemoExchange, root: Path, credentials: Credentials | None = ACCOUNT, **more: bool) -> MarketData:
    return MarketData(root, exchange.rest_url, credentials=credentials, **more)  # pyright: ignore[reportArgumentType]


def test_a_key_brings_the_exchanges_own_brackets_and_they_are_kept(exchange: DemoExchange, tmp_path: Path) -> None:
    with market(exchange, tmp_path) as data:
        loaded = data.load_brackets("ETHUSDT", DEMO_NOW_MS)
    assert (loaded.rules.max_leverage, loaded.rules.as_of_ms, loaded.rules.known) == (100, DEMO_NOW_MS, True)
    assert loaded.warnings == []
    with market(exchange, tmp_path, None, offline=True) as data:
        assert data.load_brackets("ETHUSDT", DEMO_NOW_MS) == loaded


def test_of_the_kept_and_the_shipped_tables_that_of_the_date_is_used(exchange: DemoExchange, tmp_path: Path) -> None:
    with market(exchange, tmp_path) as data:
        assert data.load_brackets("BTCUSDT", parse_time("2025-01-01")).rules.max_leverage == 125
        assert data.load_brackets("BTCUSDT", DEMO_NOW_MS).rules.source == "the exchange's own"


def test_without_a_key_nothing_is_asked(exchange: DemoExchange, tmp_path: Path) -> None:
    with market(exchange, tmp_path, None) as data:
        assert not data.load_brackets("ETHUSDT", DEMO_NOW_MS).rules.known
    assert exchange.requests == []


def test_a_refused_key_is_a_warning_that_does_not_show_it(
    exchange: DemoExchange, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), market(exchange, tmp_path, WRONG) as data:
        loaded = data.load_brackets("BTCUSDT", DEMO_NOW_MS)
        shown = repr(data) + repr(data._sources) + caplog.text + repr(loaded)
    assert "Invalid API-key" in loaded.warnings[0]
    assert loaded.rules.source.startswith("the published table")
    assert "nobody-may-see" not in shown
    # Nothing of it is on disk.
    assert all(b"nobody-may-see" not in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


def test_an_exchange_out_of_order_is_a_warning(tmp_path: Path) -> None:
    with DemoExchange([Fault("leverageBracket", "403")]) as exchange, market(exchange, tmp_path) as data:
        loaded = data.load_brackets("ETHUSDT", DEMO_NOW_MS)
    assert "403" in loaded.warnings[0]
    assert not loaded.rules.known


@pytest.mark.parametrize(
    ("address", "given"),
    [
        ("https://fapi.binance.com", True),
        ("http://127.0.0.1:9", True),
        ("http://fapi.binance.com", False),
        ("https://fapi.binance.com.example", False),
        ("https://mirror.example", False),
    ],
)
def test_only_the_exchange_and_this_machine_are_given_the_key(
    address: str, given: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, "a-key")
    monkeypatch.setenv(SECRET, "a-secret")
    assert (Credentials.from_environment(address) == Credentials("a-key", "a-secret")) is given


def test_half_a_key_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SECRET, raising=False)
    monkeypatch.setenv(KEY, "a-key")
    assert Credentials.from_environment("https://fapi.binance.com") is None
