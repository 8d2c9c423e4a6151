"""What `nt-run data list`, `data coverage` and `specs list` look like in a narrow terminal, and what `--json` holds."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from nt_run.__main__ import main

RANGE = ["--start", "2026-05-01", "--end", "2026-05-04"]

Run = Callable[..., str]


@pytest.fixture
def nt_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Return what a command prints; the cache has klines of two intervals, mark prices and funding."""
    monkeypatch.chdir(tmp_path)
    for name in ("NT_RUN_REST_URL", "NT_RUN_ARCHIVE_URL", "NT_RUN_ARCHIVE_LIST_URL", "NT_RUN_CACHE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["nt-run", *arguments, "--demo"])
        main()
        return capfd.readouterr().out

    run("data", "get", *RANGE, "--interval", "5m,1h", "--kind", "klines,mark,funding")
    return run


@pytest.fixture
def screen(nt_run: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Return the lines of a command on a terminal of so many columns."""

    def lines(columns: int, *arguments: str) -> list[str]:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", str(columns))
        out = nt_run(*arguments)
        assert "\x1b[" in out, "a terminal has colours"
        return re.sub(r"\x1b\[[\d;]*m", "", out).splitlines()

    return lines


@pytest.mark.parametrize("columns", [120, 80, 40])
@pytest.mark.parametrize("command", [("data", "list"), ("data", "coverage"), ("specs", "list")])
def test_a_listing_keeps_within_the_terminal_and_loses_nothing(
    screen: Callable[..., list[str]], columns: int, command: tuple[str, str]
) -> None:
    lines = screen(columns, *command)
    assert max(map(len, lines)) <= columns
    assert not any("…" in line for line in lines)
    name = "2026-07-01" if command[0] == "specs" else "mark BTCUSDT 5m" if columns < 80 else "mark"
    assert any(line.startswith(name) for line in lines)


def test_the_months_of_a_year_stand_below_their_initials(screen: Callable[..., list[str]]) -> None:
    lines = screen(80, "data", "coverage", "--interval", "5m")
    head = next(line for line in lines if "J  F  M  A  M" in line)
    drawn = next(line for line in lines if line.startswith("klines BTCUSDT 5m"))
    assert drawn.index("██") == head.index("A  M  J") + len("A  ")


def test_a_series_without_a_usable_manifest_takes_no_room_from_the_months(
    screen: Callable[..., list[str]], tmp_path: Path
) -> None:
    path = tmp_path / "data_cache/demo/v1/binance/um/klines/BTCUSDT/1h/manifest.json"
    path.write_text(path.read_text().replace('"schema":"2.0"', '"schema":"9.0"'))
    lines = screen(80, "data", "coverage")
    assert any("J  F  M  A  M" in line for line in lines)
    told = " ".join(" ".join(lines).split())
    assert "! klines BTCUSDT 1h: was written in format 9.0; this version reads up to 2.x. Update nt-run" in told
    assert "nt-run data repair" not in told
    path.unlink()
    told = " ".join(" ".join(screen(80, "data", "coverage")).split())
    assert "! klines BTCUSDT 1h: is gone, though there are data files: nt-run data repair" in told


@pytest.mark.parametrize("columns", [120, 80])
def test_one_series_in_trouble_leaves_the_list_of_the_others_as_it_is(
    screen: Callable[..., list[str]], tmp_path: Path, columns: int
) -> None:
    path = tmp_path / "data_cache/demo/v1/binance/um/klines/BTCUSDT/1h/manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"schema":"2.0"', b'"schema":"9.0"'))
    listed = screen(columns, "data", "list")
    assert any(line.split()[:3] == ["kind", "symbol", "range"] for line in listed)
    assert "! klines BTCUSDT 1h: was written in format 9.0" in " ".join(listed)


def test_an_empty_cache_says_how_to_start(nt_run: Run) -> None:
    assert "Start with: nt-run data get" in nt_run("data", "coverage", "--cache-dir", "elsewhere")


COMMANDS = (
    ("data", "get", *RANGE, "--interval", "1h"),
    ("data", "get", *RANGE, "--interval", "1h,5m", "--kind", "mark"),
    ("data", "list"),
    ("data", "coverage"),
    ("data", "verify"),
    ("data", "repair"),
    ("data", "prune"),
    ("data", "check", "--interval", "1h"),
    ("data", "export", "out", "--interval", "1h"),
    ("data", "import", "out/BTCUSDT-1h-2026-05-01-2026-05-03.csv", "--symbol", "BTCUSDT", "--interval", "1h"),
    ("specs",),
    ("specs", "--at", "2026-07-01"),
    ("specs", "list"),
    ("specs", "import", "answer.json", "--at", "2026-06-01"),
    ("specs", "diff", "2026-07-01", "answer.json"),
)


def test_json_is_one_object_with_stable_keys_and_amounts_as_text(nt_run: Run, tmp_path: Path) -> None:
    answer = next(tmp_path.glob("data_cache/demo/v1/binance/um/exchangeInfo/*Z.*.json"))
    Path("answer.json").write_bytes(answer.read_bytes())
    keys: dict[tuple[str, ...], set[str]] = {}
    for command in COMMANDS:
        found = json.loads(nt_run(*command, "--json"))
        assert found["demo"] is True, command
        assert not [name for name in _names(found) if not re.fullmatch(r"[a-z][a-z0-9_]*", name)], command
        same = keys.setdefault(command[:2] if command[0] == "data" else command, set(found))
        assert same == set(found), command
    rules = json.loads(nt_run("specs", "--json"))
    amounts = (rules["tick_size"], rules["min_notional"], rules["liquidation_fee"], rules["mark_price"])
    assert all(isinstance(one, str) for one in amounts)


def _names(value: Any) -> Iterator[str]:
    """All keys of an object and of those in it."""
    if isinstance(value, dict):
        for name, inner in cast("dict[str, Any]", value).items():
            yield name
            yield from _names(inner)
    elif isinstance(value, list):
        for inner in cast("list[Any]", value):
            yield from _names(inner)
