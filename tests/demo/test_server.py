"""The server: connections, faults, weight, and leaving nothing behind."""

import concurrent.futures
import gzip
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.error import URLError

import pytest

from nt_run.demo import DEMO_START_MS, DemoExchange, Fault

BTC = {"symbol": "BTCUSDT", "interval": "1m"}
MINUTE = 60_000

type Fetch = Callable[..., Any]


def port_of(exchange: DemoExchange) -> int:
    return int(exchange.rest_url.rpartition(":")[2])


def test_an_exchange_that_was_stopped_leaves_no_thread_and_no_open_port(fetch: Fetch) -> None:
    before = set(threading.enumerate())
    with DemoExchange() as exchange:
        waiting = http.client.HTTPConnection("127.0.0.1", port_of(exchange))
        waiting.request("GET", "/fapi/v1/time")
        waiting.getresponse().read()
        fetch(exchange.rest_url, "klines", **BTC)
    assert set(threading.enumerate()) == before
    waiting.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port_of(exchange)), timeout=1)


def test_an_exchange_that_never_started_can_be_stopped() -> None:
    DemoExchange().stop()


def test_one_connection_serves_many_requests() -> None:
    with DemoExchange() as exchange:
        connection = http.client.HTTPConnection("127.0.0.1", port_of(exchange))
        sockets = set()
        for path in ("/fapi/v1/time", "/fapi/v1/klines?symbol=NOSUCH&interval=1m", "/nothing", "/fapi/v1/ping"):
            connection.request("GET", path)
            connection.getresponse().read()
            sockets.add(id(connection.sock))
        connection.close()
    assert len(sockets) == 1
    assert [served.status for served in exchange.requests] == [200, 400, 404, 200]


def test_large_answers_are_compressed_for_those_who_can_read_it(fetch: Fetch) -> None:
    with DemoExchange() as exchange:
        url = f"{exchange.rest_url}/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=100"
        request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip, deflate"})  # noqa: S310 (loopback)
        with urllib.request.urlopen(request) as reply:  # noqa: S310 (loopback)
            assert reply.headers["Content-Encoding"] == "gzip"
            packed = gzip.decompress(reply.read())
        plain = fetch(exchange.rest_url, "klines", **BTC, limit=100)
    assert "content-encoding" not in plain.headers
    assert packed == plain.body


def test_requests_are_listed_in_order_with_their_queries(fetch: Fetch) -> None:
    with DemoExchange() as exchange:
        fetch(exchange.rest_url, "time")
        fetch(exchange.rest_url, "klines", **BTC, limit=7)
    assert exchange.requests[0] == ("GET", "/fapi/v1/time", {}, 200)
    assert exchange.requests[1].query == {"symbol": "BTCUSDT", "interval": "1m", "limit": "7"}
    assert exchange.weight == 2


def test_many_clients_at_once_get_what_one_gets(fetch: Fetch) -> None:
    starts = [DEMO_START_MS + day * 1440 * MINUTE for day in range(0, 60, 3)]

    def ask(start: int) -> bytes:
        return fetch(exchange.rest_url, "klines", **BTC, startTime=start, limit=499).body

    with DemoExchange() as exchange:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            together = list(pool.map(ask, starts))
        assert together == [ask(start) for start in starts]
    assert len(exchange.requests) == 2 * len(starts)
    assert exchange.weight == 2 * 2 * len(starts)


def test_weight_beyond_the_limit_is_refused_until_the_minute_is_over(fetch: Fetch) -> None:
    now = [100.0]
    with DemoExchange(weight_limit=20, timer=lambda: now[0]) as exchange:
        (limit,) = [
            each["limit"]
            for each in fetch(exchange.rest_url, "exchangeInfo").json["rateLimits"]
            if each["rateLimitType"] == "REQUEST_WEIGHT"
        ]
        assert limit == 20
        now[0] += 20
        assert fetch(exchange.rest_url, "klines", **BTC, limit=1500).headers["x-mbx-used-weight-1m"] == "11"
        refused = fetch(exchange.rest_url, "klines", **BTC, limit=1500)
        assert refused.status == 429
        assert refused.json["code"] == -1003
        assert int(refused.headers["retry-after"]) == 41
        assert refused.headers["x-mbx-used-weight-1m"] == "21"
        now[0] += 40
        assert fetch(exchange.rest_url, "time").headers["x-mbx-used-weight-1m"] == "1"


@pytest.mark.parametrize(
    ("kind", "status", "code"), [("429", 429, -1003), ("418", 418, -1003), ("500", 500, -1000), ("503", 503, -1008)]
)
def test_a_refusal_comes_as_often_as_planned(fetch: Fetch, kind: Any, status: int, code: int) -> None:
    with DemoExchange([Fault("/klines", kind, times=2, retry_after=7)]) as exchange:
        got = [fetch(exchange.rest_url, "klines", **BTC, limit=1) for _ in range(3)]
        assert fetch(exchange.rest_url, "time").status == 200
    assert [each.status for each in got] == [status, status, 200]
    assert got[0].json["code"] == code
    assert got[0].headers["retry-after"] == "7"
    assert got[0].headers["x-nt-run-demo"] == "synthetic"


@pytest.mark.parametrize(("kind", "wait"), [("429", "1"), ("418", "1"), ("500", None), ("503", None)])
def test_who_asks_too_often_is_told_to_wait(fetch: Fetch, kind: Any, wait: str | None) -> None:
    with DemoExchange([Fault("/klines", kind)]) as exchange:
        assert fetch(exchange.rest_url, "klines", **BTC, limit=1).headers.get("retry-after") == wait


def test_a_fault_waits_for_its_turn_and_its_match_may_be_in_the_query(fetch: Fetch) -> None:
    with DemoExchange([Fault("symbol=ETHUSDT", "500", skip=1)]) as exchange:
        for symbol, status in (
            ("BTCUSDT", 200),
            ("ETHUSDT", 200),
            ("BTCUSDT", 200),
            ("ETHUSDT", 500),
            ("ETHUSDT", 200),
        ):
            assert fetch(exchange.rest_url, "klines", symbol=symbol, interval="1m", limit=1).status == status


def test_two_faults_take_turns(fetch: Fetch) -> None:
    with DemoExchange([Fault("time", "429"), Fault("time", "500", times=2)]) as exchange:
        assert [fetch(exchange.rest_url, "time").status for _ in range(4)] == [429, 500, 500, 200]


def test_a_fault_without_a_number_of_times_stays(fetch: Fetch) -> None:
    with DemoExchange([Fault("time", "500", times=None)]) as exchange:
        assert [fetch(exchange.rest_url, "time").status for _ in range(5)] == [500] * 5


def test_a_page_of_html_comes_with_status_200(fetch: Fetch) -> None:
    with DemoExchange([Fault("time", "html")]) as exchange:
        got = fetch(exchange.rest_url, "time")
    assert got.status == 200
    assert got.headers["content-type"] == "text/html"
    assert got.body.startswith(b"<!DOCTYPE html>")


def test_a_body_that_is_cut_off_is_shorter_than_it_declared(fetch: Fetch) -> None:
    with (
        DemoExchange([Fault("/klines", "cut")]) as exchange,
        pytest.raises(http.client.IncompleteRead) as caught,
    ):
        fetch(exchange.rest_url, "klines", **BTC, limit=10)
    assert caught.value.expected
    assert caught.value.partial.startswith(b"[[")


def test_a_reset_reaches_the_client_as_one(fetch: Fetch) -> None:
    with DemoExchange([Fault("time", "reset")]) as exchange:
        with pytest.raises((ConnectionResetError, URLError)):
            fetch(exchange.rest_url, "time")
        assert fetch(exchange.rest_url, "time").status == 200
    assert [served.status for served in exchange.requests] == [0, 200]


def test_a_time_out_outlasts_the_client_and_ends_with_the_exchange(fetch: Fetch) -> None:
    before = set(threading.enumerate())
    with DemoExchange([Fault("time", "timeout", times=None)]) as exchange, pytest.raises(TimeoutError):
        fetch(exchange.rest_url, "time", timeout=0.2)
    assert set(threading.enumerate()) == before


def test_a_corrupt_body_differs_in_one_byte(fetch: Fetch) -> None:
    key = "/data/futures/um/daily/klines/BTCUSDT/1h/BTCUSDT-1h-2026-05-07.zip"
    with DemoExchange([Fault(".zip", "corrupt")]) as exchange:
        bad, good = fetch(exchange.archive_url, key).body, fetch(exchange.archive_url, key).body
    assert len(bad) == len(good)
    assert sum(left != right for left, right in zip(bad, good, strict=True)) == 1


def test_rows_of_klines_can_be_edited(fetch: Fetch) -> None:
    def spoil(rows: list[list[Any]]) -> list[list[Any]]:
        return [rows[0], rows[0], *rows[3:]]

    ask = {**BTC, "startTime": DEMO_START_MS, "limit": 6}
    with DemoExchange([Fault("/klines", "rows", edit=spoil)]) as exchange:
        bad, good = (fetch(exchange.rest_url, "klines", **ask).json for _ in range(2))
    assert bad == spoil(good)


def test_the_command_prints_the_addresses_and_serves_until_it_is_interrupted(fetch: Fetch) -> None:
    command = [sys.executable, "-W", "error", "-m", "nt_run.demo", "--weight-limit", "77"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        printed = "".join(process.stdout.readline() for _ in range(3))
        names = r"REST_URL=(http://[\d.:]+)\n", r"ARCHIVE_URL=\1\n", r"ARCHIVE_LIST_URL=\1/data.binance.vision\n"
        found = re.fullmatch("".join(f"export NT_RUN_{name}" for name in names), printed)
        assert found is not None
        limits = json.loads(fetch(found[1], "exchangeInfo").body)["rateLimits"]
        process.send_signal(signal.SIGINT)
        _, messages = process.communicate(timeout=20)
    assert limits[0]["limit"] == 77
    assert "synthetic" in messages
    assert "Traceback" not in messages
    assert process.returncode == 0
