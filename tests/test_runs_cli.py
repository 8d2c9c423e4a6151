import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kept_runs import keep
from nt_run.__main__ import main

FIRST = "20260701T080000123Z-ema_cross-BTCUSDT-1m-aaaaaaaa-demo"
SECOND = "20260702T080000123Z-donchian_breakout-ETHUSDT-5m-bbbbbbbb"


class Done:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Done]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """`nt-run` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NT_RUN_CACHE", raising=False)

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["nt-run", *arguments])
        code = main()
        return Done(code, *capfd.readouterr())

    return run


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """The folder of two runs that can be listed."""
    runs = tmp_path / "data_cache" / "runs"
    keep(runs, FIRST)
    other = {"name": "donchian_breakout", "params": {}}
    keep(runs, SECOND, symbol="ETHUSDT", interval="5m", strategy=other, demo=False, sharpe=1.5)
    return runs


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], [FIRST, SECOND]),
        (["--symbol", "ETH/USDT:USDT"], [SECOND]),
        (["--interval", "5m"], [SECOND]),
        (["--strategy", "ema"], [FIRST]),
        (["--demo"], [FIRST]),
        (["--no-demo"], [SECOND]),
        (["--tag", "good"], []),
        (["--sort", "sharpe", "--reverse"], [SECOND, FIRST]),
        (["--limit", "1"], [SECOND]),
    ],
)
def test_runs_are_listed_as_asked(command: Command, flags: list[str], expected: list[str]) -> None:
    assert [row["run_id"] for row in command("runs", "list", *flags, "--json").json["runs"]] == expected
    lines = command("runs", "list", *flags).out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [run_id[:15] for run_id in expected] or not expected


@pytest.mark.usefixtures("two")
def test_a_choice_that_none_meets_says_how_many_there_are(command: Command) -> None:
    assert command("runs", "list", "--tag", "x").out == "None of the 2 runs is like that.\n"
    assert command("runs", "list", "--sort", "sharp").code == 2


def test_a_note_and_tags_are_shown_wherever_the_run_is(command: Command, two: Path) -> None:
    before = (two / FIRST / "summary.json").read_bytes()
    assert command("runs", "note", FIRST[:9], "stop too tight").out == f"{FIRST}: stop too tight\n"
    assert command("runs", "tag", "latest", "good", "eth").out == f"{SECOND}: eth good\n"
    assert command("runs", "tag", "latest", "--remove", "eth").out == f"{SECOND}: good\n"
    assert command("runs", "tag", FIRST).out == f"{FIRST}: no tag\n"
    rows = command("runs", "list", "--json").json["runs"]
    assert [(row["note"], row["tags"]) for row in rows] == [("stop too tight", []), ("", ["good"])]
    assert (two / FIRST / "summary.json").read_bytes() == before
    assert command("runs", "tag", FIRST, "two words").code == 2
    assert command("runs", "note", "20270101", "x").code == 6


def test_a_report_has_curves_where_they_are_asked_for_and_the_note_at_its_end(command: Command) -> None:
    assert command("backtest", "--demo", "--start", "2026-06-01", "--end", "2026-06-02").code == 0
    command("runs", "note", "latest", "first of all")
    command("runs", "tag", "latest", "good")
    plain = command("runs", "show").out
    assert "Equity, " not in plain
    assert plain.splitlines()[-1] == "#good first of all"
    drawn = command("runs", "show", "--plot").out
    assert " USDT at the end" in drawn
    assert "⣿" in drawn
    shown = command("runs", "show", "--json").json
    assert (shown["note"], shown["tags"]) == ("first of all", ["good"])


DAY = ["--demo", "--start", "2026-06-01", "--end", "2026-06-02"]


def test_a_replay_is_identical_and_ends_with_0(command: Command) -> None:
    command("backtest", *DAY)
    done = command("runs", "replay", "--offline")
    assert done.code == 0
    assert "identical, to the last digit" in done.out
    assert command("runs", "replay", "--json").json["identical"] is True
    assert len(command("runs", "list", "--json").json["runs"]) == 1


def test_a_replay_that_comes_out_differently_says_where_and_ends_with_8(command: Command, tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text("from nt_run.strategies.ema_cross import EmaCross\n\n\nclass Mine(EmaCross):\n    pass\n")
    command("backtest", *DAY, "--strategy", "mine.py:Mine")
    faster = "    def __init__(self, config: EmaCrossConfig) -> None:\n"
    faster += "        super().__init__(replace(config, fast=config.fast - 5))\n"
    head = "from dataclasses import replace\nfrom nt_run.strategies.ema_cross import EmaCross, EmaCrossConfig\n"
    mine.write_text(f"{head}class Mine(EmaCross):\n{faster}")
    done = command("runs", "replay")
    assert done.code == 8
    assert "came out differently: fills from row" in done.err
    assert "! not identical" in done.out
    assert "the strategy's source, or nt-run, has changed" in done.out
    assert "part in trade 1 of" in done.out
    assert "the same: configuration, data, rules, versions" in done.out


def test_two_runs_are_compared_the_latest_two_by_default(command: Command) -> None:
    assert command("runs", "diff").code == 6
    command("backtest", *DAY)
    command("backtest", *DAY, "--param", "slow=25")
    done = command("runs", "diff")
    assert done.code == 0
    lines = done.out.splitlines()
    at = lines.index("configuration")
    assert lines[at + 1].split() == ["strategy.params.slow", "21", "25"]
    assert any(line.startswith("part in trade ") for line in lines)
    assert max(map(len, lines)) < 100
    assert command("runs", "diff", "latest", "--json").json["identical"] is True


def test_a_run_is_deleted_only_when_told(command: Command, two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = command("runs", "rm", FIRST)
    assert refused.code == 2
    assert "Add --yes" in refused.err
    assert {path.name for path in two.iterdir()} == {FIRST, SECOND}
    monkeypatch.setattr("nt_run.runs_cli._may_ask", lambda: True)
    for answer, left in (("n\n", {FIRST, SECOND}), ("\n", {FIRST, SECOND}), ("y\n", {SECOND})):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        done = command("runs", "rm", FIRST)
        assert done.code == 0
        assert FIRST in done.out
        assert {path.name for path in two.iterdir()} == left


def test_several_runs_are_deleted_at_once_and_all_of_them_must_be_there(command: Command, two: Path) -> None:
    assert command("runs", "rm", FIRST, "20300101", "--yes").code == 6
    assert {path.name for path in two.iterdir()} == {FIRST, SECOND}
    assert command("runs", "rm", FIRST, SECOND, FIRST[:12], "--yes").code == 0
    assert list(two.iterdir()) == []


def test_a_run_elsewhere_and_the_target_of_a_link_stay(command: Command, two: Path, tmp_path: Path) -> None:
    elsewhere = keep(tmp_path / "elsewhere", FIRST)
    assert command("runs", "rm", str(elsewhere), "--yes").code == 6
    (two / "linked").symlink_to(elsewhere)
    assert command("runs", "rm", "linked", "--yes").code == 0
    assert (elsewhere / "summary.json").exists()
    assert {path.name for path in two.iterdir()} == {FIRST, SECOND}


def test_an_export_names_its_files(command: Command, tmp_path: Path) -> None:
    command("backtest", *DAY)
    done = command("runs", "export", "--format", "xlsx", "--to", "out")
    assert done.code == 0
    assert (tmp_path / done.out.strip()).is_file()
    assert command("runs", "export", "--format", "doc").code == 2
