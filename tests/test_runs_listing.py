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


def test_the_figure_they_are_sorted_by_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep(tmp_path, FIRST)
    keep(tmp_path, SECOND, sharpe=0.123456)
    rows = run_rows(tmp_path)[0]
    print_runs(rows, found=rows, runs=tmp_path, by="sharpe")
    head, one, two = capsys.readouterr().out.splitlines()
    assert head.split()[5:8] == ["return", "sharpe", "drawdown"]
    assert one.split()[5:9] == ["-0.92", "%", "-47.20", "-0.95"]
    assert two.split()[7] == "0.1235"
    for shown in ("max_drawdown", "symbol"):
        print_runs(rows, found=rows, runs=tmp_path, by=shown)
        assert len(capsys.readouterr().out.splitlines()[0].split()) == 10


def test_tags_and_notes_are_shown(tmp_path: Path, listed: Callable[[], list[str]]) -> None:
    folder = keep(tmp_path, FIRST, demo=False)
    write_tags(folder, ["good"])
    write_note(folder, "stop too tight")
    assert listed()[1].endswith("  #good stop too tight")


def test_no_run_says_what_to_do(tmp_path: Path, listed: Callable[[], list[str]]) -> None:
    assert listed() == [f"There is no run in {tmp_path} yet. Start with: nt-run backtest --symbol BTCUSDT"]


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[str]]:
    def lines(columns: int) -> list[str]:
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
        plain = re.sub(r"\x1b\[[\d;]*m", "", text).splitlines()
        assert text != "\n".join(plain), "a terminal has colours"
        assert max(map(len, plain)) <= columns
        return plain

    return lines


def keep_long_name(runs: Path) -> Path:
    return keep(runs, FIRST, strategy={"name": "ideas/my_mean_reversion.py:MyMeanReversion", "params": {}})


def test_a_long_name_gives_way_before_what_tells_a_good_run_from_a_bad_one(
    tmp_path: Path, shown: Callable[[int], list[str]]
) -> None:
    write_note(keep_long_name(tmp_path), "a note that is longer than any terminal is wide, " * 4)
    assert shown(80) == [
        "run              strategy    symbol   bars   return  drawdown  equity      notes",
        # 15 + 2 + 10 + 2 + 7 + 2 + 4 + 2 + 7 + 2 + 8 + 2 + 10 = 73: a gap and five columns are left for notes.
        "20260701T080000  …MyMeanRe…  BTCUSDT  1m    -0.92 %   -0.95 %  █▇▆▆▅▄▃▃▂▁  demo…",
    ]
    # All columns but the name take 77, the class 16, the gap before the notes 2: 22 are left for them.
    assert "  …MyMeanReversion  BTCUSDT  1m     7.5" in shown(117)[1]
    assert shown(117)[1].endswith("  demo a note that is l…")


def test_a_narrow_terminal_has_two_lines_for_a_run(tmp_path: Path, shown: Callable[[int], list[str]]) -> None:
    keep_long_name(tmp_path)
    assert shown(60) == [
        "run              days   return  drawdown  trades  equity",
        "20260701T080000   7.5  -0.92 %   -0.95 %     429  █▇▆▆▅▄▃▃▂▁",
        "  my_mean_reversion.py:MyMeanReversion BTCUSDT 1m  demo",
    ]
    assert shown(40) == [
        "run               return  equity",
        "20260701T080000  -0.92 %  █▇▆▆▅▄▃▃▂▁",
        "  …MyMeanReversion BTCUSDT 1m  demo",
    ]


@pytest.mark.parametrize("columns", range(34, 160, 7))
def test_whatever_the_width_nothing_wraps_and_the_result_is_there(
    tmp_path: Path, columns: int, shown: Callable[[int], list[str]]
) -> None:
    write_note(keep_long_name(tmp_path), "a note that is longer than any terminal is wide, " * 4)
    keep(tmp_path, SECOND, symbol="1000SHIBUSDT", trades=123_456, total_return=-0.99, max_drawdown=-1.0)
    text = "\n".join(shown(columns))
    assert "-0.92 %" in text
    assert "demo" in text


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], ""), ([1.0, 1.0], "▄▄"), ([0.0, 7.0, 3.5, 0.0], "▁█▅▁"), ([5.0, 4.0], "█▁")],
)
def test_a_sparkline_goes_from_its_lowest_to_its_highest(values: list[float], expected: str) -> None:
    assert sparkline(values) == expected
