"""The request budget, by one process and by several that share it."""

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nt_run.data.budget import DEFAULT_LIMIT, Budget
from nt_run.data.rest import RestClient
from nt_run.data.weight import HeldError, WeightLedger
from nt_run.demo import DEMO_NOW_MS, DemoExchange, Fault
from nt_run.errors import SourceError
from nt_run.model import TimeRange

HOUR = TimeRange(DEMO_NOW_MS // 60_000 * 60_000 - 3_600_000, DEMO_NOW_MS // 60_000 * 60_000)
WINDOW = 65
"""Seconds: a minute, the rest of the second of the request, and four on the way."""

Build = Callable[..., WeightLedger]


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_000_000.25
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def build(clock: Clock, told: list[str]) -> Build:
    return lambda host="exchange": WeightLedger(host, sleep=clock.sleep, notice=told.append, timer=clock)


@pytest.fixture
def ledger(build: Build) -> WeightLedger:
    return build()


def state_file() -> Path:
    return Path(os.environ["XDG_STATE_HOME"]) / "nt-run" / "request-weight.json"


def test_requests_wait_for_room_before_the_limit_is_reached(
    ledger: WeightLedger, clock: Clock, told: list[str]
) -> None:
    for _ in range(DEFAULT_LIMIT * 2):
        ledger.spend(1)
    # 4800 = 2280 + 2280 + 240.
    assert clock.slept == [WINDOW, WINDOW]
    assert told[0] == "the exchange's request budget is used up (2280 of 2400), waiting 65 s"


def test_what_was_spent_first_is_free_first(ledger: WeightLedger, clock: Clock) -> None:
    ledger.spend(1000)
    clock.now += 20
    ledger.spend(1280)
    ledger.spend(1000)
    assert clock.slept == [WINDOW - 20]
    ledger.spend(1)
    assert clock.slept == [WINDOW - 20, 20]


@settings(max_examples=50, deadline=None)
@given(
    steps=st.lists(st.tuples(st.floats(0, 30), st.integers(1, 40)), min_size=1, max_size=60), limit=st.integers(1, 99)
)
def test_no_minute_of_any_clock_holds_more_than_the_limit(steps: list[tuple[float, int]], limit: int) -> None:
    budget, now, sent = Budget(limit=limit), 5000.0, list[tuple[float, int]]()
    for pause, weight in steps:
        now += pause
        budget.turn(now)
        now += budget.wait(weight, limit, now)
        budget.turn(now)
        assert budget.wait(weight, limit, now) == 0
        budget.spend(weight, now)
        sent.append((now, weight))
    for start, largest in sent:
        minute = [weight for moment, weight in sent if start <= moment < start + 60]
        assert sum(minute) <= max(limit, largest, *minute)


def test_what_other_programs_spent_counts(ledger: WeightLedger, clock: Clock) -> None:
    ledger.note({"X-MBX-USED-WEIGHT-1M": "2279"})
    ledger.spend(1)
    assert clock.slept == []
    ledger.spend(1)
    assert clock.slept == [WINDOW]


def test_what_the_exchange_counts_replaces_what_it_counted_before(ledger: WeightLedger, clock: Clock) -> None:
    ledger.note({"X-MBX-USED-WEIGHT-1M": "2279"})
    ledger.note({"x-mbx-used-weight-1m": "3"})
    ledger.spend(2270)
    assert clock.slept == []


def test_an_answer_that_does_not_count_requests_on_their_way_frees_nothing(ledger: WeightLedger, clock: Clock) -> None:
    ledger.spend(2000)
    ledger.note({"X-MBX-USED-WEIGHT-1M": "2"})
    ledger.spend(281)
    assert clock.slept == [WINDOW]


def test_two_processes_share_one_budget_and_two_exchanges_do_not(build: Build, clock: Clock) -> None:
    build().spend(2000)
    build("demo").spend(2000)
    assert clock.slept == []
    build().spend(300)
    assert clock.slept == [WINDOW]


def test_a_429_of_one_process_holds_the_others_too(build: Build, clock: Clock, told: list[str]) -> None:
    build().hold(9, 429)
    build("demo").spend(1)
    assert clock.slept == []
    build().spend(1)
    assert clock.slept == [9]
    assert told == ["the exchange asks to slow down for 9 s (HTTP 429), waiting"]


def test_a_shorter_wish_does_not_shorten_a_longer_one(build: Build, clock: Clock) -> None:
    build().hold(100, 429)
    build().hold(5, 429)
    build().spend(1)
    assert clock.slept == [100]


def test_a_ban_of_one_process_stops_the_others_at_once(build: Build, clock: Clock) -> None:
    build().hold(7200, 418)
    build("elsewhere").spend(1)
    clock.now += 3700  # longer than an exchange is remembered without a ban
    build("elsewhere").spend(1)
    with pytest.raises(HeldError) as caught:
        build().spend(1)
    assert (caught.value.seconds, caught.value.status) == (3500, 418)
    assert clock.slept == []


def test_a_machine_that_started_anew_counts_from_nothing(build: Build, clock: Clock) -> None:
    build().spend(2280)
    build().hold(500, 418)
    clock.now = 30.0
    build().spend(2280)
    assert clock.slept == []


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 100, b"{", b'{"exchange": 7}\n', b'{"exchange": {"spent": {"a": 1}}}']
)
def test_a_file_that_makes_no_sense_counts_as_empty(build: Build, clock: Clock, content: bytes) -> None:
    state_file().parent.mkdir(parents=True)
    state_file().write_bytes(content)
    build().spend(2000)
    build().spend(280)
    assert clock.slept == []
    build().spend(1)
    assert clock.slept == [WINDOW]


def test_what_follows_the_first_line_of_the_file_does_not_count(build: Build, clock: Clock) -> None:
    """As after a process that was killed between writing less than before and cutting the rest off."""
    build().spend(2000)
    state_file().write_bytes(state_file().read_bytes() + b'0}, "rest of an older state": {}}\n')
    build().spend(281)
    assert clock.slept == [WINDOW]


def test_a_budget_that_cannot_be_shared_is_kept_alone_and_told_once(
    build: Build, clock: Clock, told: list[str]
) -> None:
    state_file().parent.parent.joinpath("nt-run").write_text("a file where the folder should be")
    ledger = build()
    ledger.spend(2280)
    assert [text for text in told if "not shared with other runs" in text] == told[:1] == told
    ledger.spend(1)
    assert clock.slept == [WINDOW]


def test_a_full_disk_ends_the_sharing_and_not_the_run(
    ledger: WeightLedger, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.pwrite", full)
    ledger.spend(1)
    assert told == ["the request budget is not shared with other runs ([Errno 28] No space left on device)"]


def test_exchanges_nobody_asks_any_more_are_forgotten(build: Build, clock: Clock) -> None:
    build("127.0.0.1:4711").spend(1)
    clock.now += 3601
    build().spend(1)
    assert b"4711" not in state_file().read_bytes()


@pytest.mark.parametrize(
    ("limits", "limit"),
    [
        ([{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 600}], 600),
        ([{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 5, "limit": 6000}], 1200),
        ([{"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 600}], DEFAULT_LIMIT),
        ([{"rateLimitType": "REQUEST_WEIGHT", "interval": "EON", "limit": 600}], DEFAULT_LIMIT),
        (None, DEFAULT_LIMIT),
    ],
)
def test_the_limit_is_what_the_exchange_says_to_any_process(
    build: Build, clock: Clock, limits: object, limit: int
) -> None:
    one, other = build(), build()
    one.spend(1)
    one.learn_limit(limits)
    other.spend(limit * 95 // 100 - 1)
    assert clock.slept == []
    other.spend(1)
    assert clock.slept == [WINDOW]


# Each process asks as fast as it can. Its clock and the exchange's run ten times too fast, so that minutes are short.
CLIENT = """
import sys, time
from nt_run.data import weight
from nt_run.data.rest import RestClient
from nt_run.model import Interval, TimeRange
url, start, end, count, speed = sys.argv[1], *map(int, sys.argv[2:])
client = RestClient(url, sleep=lambda seconds: time.sleep(seconds / speed), timer=lambda: time.monotonic() * speed)
client.exchange_info()
for _ in range(count):
    client.klines("BTCUSDT", Interval("1m"), TimeRange(start, end), limit=99)
print(client.requests)
"""


@contextmanager
def processes(number: int, *arguments: object) -> Iterator[list[subprocess.Popen[str]]]:
    command = [sys.executable, "-c", CLIENT, *map(str, arguments)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(number)]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_several_processes_never_earn_a_429() -> None:
    speed, each, limit = 10, 60, 100
    with DemoExchange(weight_limit=limit, timer=lambda: time.monotonic() * speed) as exchange:
        with processes(3, exchange.rest_url, HOUR.start_ms, HOUR.end_ms, each, speed) as running:
            answers = [process.communicate()[0] for process in running]
        assert answers == [f"{each + 1}\n"] * 3
        assert {one.status for one in exchange.requests} == {200}
        assert exchange.weight == 3 * (each + 1)


def test_a_ban_is_told_to_the_next_run_without_asking_the_exchange() -> None:
    def ask(url: str, **options: Any) -> None:
        client = RestClient(url, **options)
        try:
            client.server_time_ms()
        finally:
            client.close()

    with DemoExchange([Fault("/time", "418", retry_after=7200)]) as exchange:
        with pytest.raises(SourceError, match=r"banned this address for 120 min \(HTTP 418\)"):
            ask(exchange.rest_url)
        with pytest.raises(SourceError, match=r"keeps this address out for 120 min more \(HTTP 418"):
            ask(exchange.rest_url)
        assert len(exchange.requests) == 1
