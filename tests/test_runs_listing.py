import os
import pty
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from kept_runs import keep
from nt_run.annotations import write_note, write_tags
from nt_run.history import run_rows
from nt_run.runs_listing import print_runs, sparkline

FIRST, SECOND = "20260701T080000123Z-ema_cross-BTCUSDT-1m-aaaa", "20260701T090000000Z-ema_cross-BTCUSDT-1m-bbbb"


@pytest.fixture
def listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    def lines() -> list[str]:
        rows = run_rows(tmp_path)[0]
        print_runs(rows, found=rows, runs=tmp_path)
        return capsys.readouterr().out.splitlines()

    return lines


def test_a_run_has_one_line_and_the_start_of_its_id_as_its_name(
    tmp_path: Path, listed: Callable[[], list[str]]
) -> None:
    keep(tmp_path, FIRST)
    keep(tmp_path, SECOND, total_return=0.5, demo=False)
    head, one, two = listed()
    assert head.split() == [
        *("run", "strategy", "symbol", "bars", "days", "return", "drawdown", "trades", "equity", "notes")
    ]
    # Ten points on a straight line down, of eight heights: 7 × 9/9, 6.2, 5.4, 4.7, 3.9, 3.1, 2.3, 1.6, 0.8, 0.
    assert one.split() == [
        *(
            "20260701T080000",
            "ema_cross",
            "BTCUSDT",
            "1m",
            "7.5",
            "-0.92",
            "%",
            "-0.95",
            "%",
            "429",
            "█▇▆▆▅▄▃▃▂▁",
            "demo",
        )
    ]
    assert "+50.00 %" in two
    assert "demo" not in two


def test_runs_of_one_second_are_named_by_more_of_their_ids(tmp_path: Path, listed: Callable[[], list[str]]) -> None:
    keep(tmp_path, FIRST)
    keep(tmp_path, FIRST.replace("123Z", "124Z"))
    keep(tmp_path, SECOND)
    keep(tmp_path, SECOND.replace("bbbb", "cccc"))
    found = [line.split()[0] for line in listed()[1:]]
    assert found == ["20260701T080000123Z", "20260701T080000124Z", SECOND, SECOND.replace("bbbb", "cccc")]


def test_a_run_that_is_not_listed_still_counts_for_the_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(tmp_path, FIRST)
    keep(tmp_path, FIRST.replace("123Z", "124Z"))
    rows = run_rows(tmp_path)[0]
    print_runs(rows[:1], found=rows, runs=tmp_path)
    # The second alone would name both.
    assert capsys.readouterr().out.splitlines()[1].split()[0] == "20260701T080000123Z"


def test_tags_and_notes_are_shown(tmp_path: Path, listed: Callable[[], list[str]]) -> None:
    folder = keep(tmp_path, FIRST, demo=False)
    write_tags(folder, ["good"])
    write_note(folder, "stop too tight")
    assert listed()[1].endswith("  #good stop too tight")


def test_no_run_says_what_to_do(tmp_path: Path, listed: Callable[[], list[str]]) -> None:
    assert listed() == [f"There is no run in {tmp_path} yet. Start with: nt-run backtest --symbol BTCUSDT"]


@pytest.mark.parametrize("columns", [40, 80, 100, 140])
def test_a_line_fits_the_terminal(tmp_path: Path, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = keep(tmp_path, FIRST, strategy={"name": "donchian_breakout", "params": {}})
    write_note(folder, "a note that is longer than any terminal is wide, " * 4)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as screen:
        monkeypatch.setattr("sys.stdout", screen)
        rows = run_rows(tmp_path)[0]
        print_runs(rows, found=rows, runs=tmp_path)
    text = os.read(ours, 10_000).decode()
    os.close(ours)
    lines = re.sub(r"\x1b\[[\d;]*m", "", text).splitlines()
    assert text != "\n".join(lines), "a terminal has colours"
    assert max(map(len, lines)) <= columns
    # However narrow: which run it is, what it made, and that its market is synthetic.
    what = ["donchian_breakout", "BTCUSDT", "1m"] if columns > 40 else ["-0.92", "%", "demo"]
    assert lines[1].split()[:4] == ["20260701T080000", *what]
    assert "-0.92 %" in lines[1]
    assert " demo " in lines[1]
    assert lines[1].endswith("…")
    assert ("█" in lines[1]) is (columns >= 100)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], ""), ([1.0, 1.0], "▄▄"), ([0.0, 7.0, 3.5, 0.0], "▁█▅▁"), ([5.0, 4.0], "█▁")],
)
def test_a_sparkline_goes_from_its_lowest_to_its_highest(values: list[float], expected: str) -> None:
    assert sparkline(values) == expected
