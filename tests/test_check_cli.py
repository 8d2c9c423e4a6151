import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import sample_strategies
from nt_run.__main__ import main

RANGE = ["--demo", "--start", "2026-06-01", "--end", "2026-06-02"]
PEEK = f"{sample_strategies.__file__}:NegativeShift"

type Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def nt_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["nt-run", "check", *arguments])
        return main(), *capfd.readouterr()

    return run


def test_a_clean_strategy_ends_with_0_and_a_short_table(nt_run: Command) -> None:
    code, out, err = nt_run("ema_cross", *RANGE, "--param", "fast=5", "--times", "2")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert len(lines) <= 9
    assert max(map(len, lines)) < 100
    assert [line[0] for line in lines if line[:1] in "✓!·"[:3] and line] == ["✓", "✓", "✓"]
    assert "2 of 2" in out


def test_looking_ahead_ends_with_8_and_names_the_time_on_both_streams(nt_run: Command) -> None:
    code, out, err = nt_run(PEEK, *RANGE, "--times", "2")
    assert code == 8
    assert "! no look into the future" in out
    assert "so it knew them" in out
    assert "looks ahead: what it asked for at 2026-06-01" in err


def test_json_is_one_object_whatever_was_found(nt_run: Command) -> None:
    code, out, _ = nt_run(PEEK, *RANGE, "--times", "2", "--json")
    result = json.loads(out)
    assert (code, result["passed"], result["tests"]["future"]["passed"]) == (8, False, False)
    assert result["tests"]["determinism"] == {
        "passed": True, "runs": 6, "processes": 4, "difference": None,
    }  # fmt: skip


def test_a_check_keeps_no_run(nt_run: Command, tmp_path: Path) -> None:
    assert nt_run("ema_cross", *RANGE, "--times", "1")[0] == 0
    assert not (tmp_path / "data_cache" / "runs").exists()


def test_an_unknown_strategy_ends_with_2(nt_run: Command) -> None:
    code, _, err = nt_run("ema_crosss", *RANGE)
    assert code == 2
    assert "Did you mean" in err
