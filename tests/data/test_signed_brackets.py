"""Leverage brackets by the key of an account, from the embedded exchange."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from nt_run.data.credentials import KEY, SECRET, Credentials
from nt_run.data.loader import MarketData
from nt_run.data.prune import find_waste
from nt_run.data.selection import Selection
from nt_run.demo import DEMO_NOW_MS, DemoExchange, Fault
from nt_run.demo.account import API_KEY, API_SECRET
from nt_run.errors import StoreError
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


def damaged_answer(exchange: DemoExchange, root: Path) -> Path:
    """Keep an answer and turn one bit of it."""
    with market(exchange, root) as data:
        data.load_brackets("ETHUSDT", DEMO_NOW_MS)
        assert data.verify(Selection()).problems == []
        assert ("leverageBracket", 1) in {(one.kind, one.rows) for one in data.cached()}
    (path,) = (root / "v1/binance/um/leverageBracket").glob("*Z.*.json")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return path


def test_a_damaged_answer_is_found_by_verify_and_by_the_next_read(exchange: DemoExchange, tmp_path: Path) -> None:
    path = damaged_answer(exchange, tmp_path)
    with market(exchange, tmp_path, None, offline=True) as data:
        (problem,) = data.verify(Selection()).problems
        assert (problem.kind, str(problem.series), problem.file) == ("damaged", "leverageBracket", path.name)
        with pytest.raises(StoreError, match="nt-run data repair"):
            data.load_brackets("ETHUSDT", DEMO_NOW_MS)


@pytest.mark.parametrize("credentials", [ACCOUNT, None])
def test_a_damaged_answer_is_fetched_again_or_set_aside(
    exchange: DemoExchange, tmp_path: Path, credentials: Credentials | None
) -> None:
    path = damaged_answer(exchange, tmp_path)
    with market(exchange, tmp_path, credentials) as data:
        mended = data.mend(data.verify(Selection()).problems)
        assert mended.failed == []
        assert ("fetched the brackets" if credentials else "was set aside") in mended.done[0]
        assert data.verify(Selection()).problems == []
    with market(exchange, tmp_path, None, offline=True) as data:
        assert data.load_brackets("ETHUSDT", DEMO_NOW_MS).rules.known is (credentials is not None)
    # What was set aside is there to be looked at until somebody prunes it.
    assert [one.path.name for one in find_waste(tmp_path, Selection())] == [f"{path.name}.bad"]
