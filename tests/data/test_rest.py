import time
from collections.abc import Callable, Iterator

import pytest

from nt_run.data.rest import RestClient
from nt_run.demo import DEMO_NOW_MS, DemoExchange, Fault
from nt_run.errors import SourceError, UnknownSymbolError, UsageError
from nt_run.model import Interval, TimeRange

END = DEMO_NOW_MS // 60_000 * 60_000
HOUR = TimeRange(END - 3_600_000, END)

Client = Callable[..., RestClient]


@pytest.fixture
def told() -> list[str]:
    """What the user is told while it waits."""
    return []


@pytest.fixture
def client(pauses: list[float], told: list[str]) -> Iterator[Client]:
    opened: list[RestClient] = []

    def build(url: str, **options: float) -> RestClient:
        timeout_s = options.get("timeout_s", 10.0)
        opened.append(RestClient(url, timeout_s=timeout_s, notice=told.append, sleep=pauses.append))
        return opened[-1]

    yield build
    for each in opened:
        each.close()


def ask(client: RestClient, symbol: str = "BTCUSDT") -> list[list[object]]:
    return client.klines(symbol, Interval("1m"), HOUR, limit=99)


def test_rows_come_as_the_exchange_sent_them(client: Client) -> None:
    with DemoExchange() as exchange:
        rows = ask(client(exchange.rest_url))
    assert [row[0] for row in rows] == list(range(HOUR.start_ms, HOUR.end_ms, 60_000))
    assert all(isinstance(row[1], str) for row in rows)


def test_a_range_is_half_open_although_the_exchange_counts_both_ends(client: Client) -> None:
    with DemoExchange() as exchange:
        ask(client(exchange.rest_url))
        assert exchange.requests[0].query["endTime"] == str(HOUR.end_ms - 1)


def test_a_429_is_waited_for_as_long_as_it_says(client: Client, pauses: list[float], told: list[str]) -> None:
    with DemoExchange([Fault("/klines", "429", times=2, retry_after=7)]) as exchange:
        assert len(ask(client(exchange.rest_url))) == 60
    assert pauses == [7, 7]
    assert "slow down for 7 s (HTTP 429)" in told[0]


@pytest.mark.parametrize(("times", "after"), [(None, 1), (1, 3600)])
def test_a_429_that_does_not_end_or_asks_for_too_long_is_an_error(
    client: Client, times: int | None, after: int
) -> None:
    with (
        DemoExchange([Fault("/klines", "429", times=times, retry_after=after)]) as exchange,
        pytest.raises(SourceError, match="HTTP 429"),
    ):
        ask(client(exchange.rest_url))


def test_a_ban_is_an_error_that_says_how_long_it_lasts(client: Client, pauses: list[float]) -> None:
    with DemoExchange([Fault("/klines", "418", retry_after=600)]) as exchange:
        banned = client(exchange.rest_url)
        with pytest.raises(SourceError, match=r"banned this address for 10 min \(HTTP 418\)"):
            ask(banned)
    with pytest.raises(SourceError, match="HTTP 418 to this run"):
        ask(banned)
    assert pauses == []


@pytest.mark.parametrize("kind", ["500", "503", "cut"])
def test_a_fault_that_may_pass_is_tried_again(client: Client, pauses: list[float], kind: str) -> None:
    with DemoExchange([Fault("/klines", kind, times=3)]) as exchange:
        assert len(ask(client(exchange.rest_url))) == 60
        assert len(exchange.requests) == 4
    assert 0.25 <= pauses[0] <= 0.5 <= pauses[1] <= 1.0 <= pauses[2] <= 2.0


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("500", r"a fault of its own \(HTTP 500\)"),
        ("cut", "cut off"),
        ("html", r"not JSON \('<!DOCTYPE html>"),
        ("404", r"does not know this path \(HTTP 404\)"),
    ],
)
def test_a_fault_that_stays_is_an_error_that_says_what_it_was(client: Client, kind: str, words: str) -> None:
    with (
        DemoExchange([Fault("/klines", kind, times=None)]) as exchange,
        pytest.raises(SourceError, match=words) as caught,
    ):
        ask(client(exchange.rest_url))
    assert "/fapi/v1/klines" in caught.value.source
    assert "--offline" in str(caught.value)
    assert "--demo" in str(caught.value)
    assert caught.value.__cause__ is not None


def test_a_time_out_is_an_error_that_says_how_long_it_waited(client: Client) -> None:
    with (
        DemoExchange([Fault("/klines", "timeout", times=None)]) as exchange,
        pytest.raises(SourceError, match=r"did not answer within 0\.2 s"),
    ):
        ask(client(exchange.rest_url, timeout_s=0.2))


def test_a_connection_lost_on_the_way_is_tried_again(client: Client, pauses: list[float]) -> None:
    with DemoExchange([Fault("/klines", "reset"), Fault("/klines", "timeout", skip=1)]) as exchange:
        connected = client(exchange.rest_url, timeout_s=0.5)
        connected.server_time_ms()
        assert len(ask(connected)) == 60
    assert len(pauses) == 2


def test_an_exchange_out_of_reach_is_an_error_at_once(client: Client, pauses: list[float]) -> None:
    with pytest.raises(
        SourceError, match=r"^http://127\.0\.0\.1:9/fapi/v1/time is not reachable: Connection refused\.\n"
    ):
        client("http://127.0.0.1:9").server_time_ms()
    assert pauses == []


@pytest.mark.parametrize("address", ["foo", "", "fapi.binance.com", "ftp://host", "https://", "http://[", "http://a:b"])
def test_a_base_address_that_is_none_is_refused_before_anything_is_asked(client: Client, address: str) -> None:
    with pytest.raises(UsageError, match=r"exchange\.rest_url '.*' is not an address; write https://host"):
        client(address)


def test_a_symbol_the_exchange_does_not_know_is_its_own_error(client: Client) -> None:
    with DemoExchange() as exchange, pytest.raises(UnknownSymbolError, match="NONEUSDT"):
        ask(client(exchange.rest_url), "NONEUSDT")


def test_other_refusals_are_told_in_the_exchanges_words(client: Client) -> None:
    with DemoExchange() as exchange, pytest.raises(SourceError, match=r"refused the request: .+ \(code -11"):
        client(exchange.rest_url).klines("BTCUSDT", Interval("1m"), HOUR, limit=-5)


def test_a_proxy_in_the_environment_is_not_asked_for_a_loopback_address(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with DemoExchange() as exchange:
        assert client(exchange.rest_url).server_time_ms() == DEMO_NOW_MS


def test_the_limit_of_the_request_budget_is_learned(client: Client) -> None:
    with DemoExchange(weight_limit=1200) as exchange:
        connected = client(exchange.rest_url)
        connected.exchange_info()
        with connected._ledger._file.budget(time.monotonic()) as budget:
            assert budget.limit == 1200
