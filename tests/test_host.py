"""Hosts on which everything is the same: one without a network, and one in another time zone."""

import json
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nt_run.__main__ import main

RANGE = ["--start", "2026-05-01", "--end", "2026-05-04"]
BACKTEST = ["backtest", "--demo", "--symbol", "BTCUSDT", "--interval", "1h", *RANGE]

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    for name in ("NT_RUN_REST_URL", "NT_RUN_ARCHIVE_URL", "NT_RUN_ARCHIVE_LIST_URL", "NT_RUN_CACHE"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["nt-run", *arguments])
        code = main()
        return code, capfd.readouterr().out

    return run


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def move(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield move
    monkeypatch.undo()
    time.tzset()


def block_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: Any, **_options: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for method in ("connect", "connect_ex", "bind", "sendto"):
        monkeypatch.setattr(socket.socket, method, refuse)


def without_times(answer: str) -> dict[str, Any]:
    """A run's answer without what differs from one run to the next: when it ran, how long it took, its name."""
    return {name: value for name, value in json.loads(answer).items() if name not in {"run_id", "created", "timings"}}


@pytest.mark.parametrize(
    "arguments",
    [
        [*BACKTEST, "--offline"],
        ["specs", "--demo", "--symbol", "BTCUSDT", "--offline"],
        ["specs", "list", "--demo"],
        ["data", "list", "--demo"],
        ["data", "coverage", "--demo"],
        ["data", "verify", "--demo"],
        ["data", "prune", "--demo"],
        ["data", "export", "out", "--demo", "--symbol", "BTCUSDT", "--interval", "1h"],
        ["data", "check", "--demo", "--offline"],
        ["data", "certificate"],
        ["audit"],
        ["runs", "list"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_what_needs_no_network_works_with_sockets_blocked(
    command: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    assert command(*BACKTEST)[0] == 0
    block_sockets(monkeypatch)
    assert command(*arguments)[0] == 0


def test_what_needs_the_network_does_ask_for_a_socket(command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    block_sockets(monkeypatch)
    assert command(*BACKTEST)[0] == 70


def test_the_time_zone_of_the_host_changes_nothing(command: Run, zone: Callable[[str], None]) -> None:
    said: list[list[Any]] = []
    for name in ("UTC", "America/Vancouver"):
        zone(name)
        cache = ["--cache-dir", name.partition("/")[0]]
        run = without_times(command(*BACKTEST, *cache, "--json")[1])
        exported = command("data", "export", f"out-{name[:3]}", "--demo", "--interval", "1h", *cache)
        assert exported[0] == 0
        (path,) = Path(f"out-{name[:3]}").iterdir()
        covered = command("data", "coverage", "--demo", *cache)
        said.append([run, path.name, path.read_bytes(), covered])
    assert time.timezone == 8 * 3600, "the host is in Vancouver now"
    assert said[0] == said[1]
