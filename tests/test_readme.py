"""What the README shows is what users get."""

import json
import re
import sys
from pathlib import Path

import pytest

from nt_run.__main__ import main
from nt_run.demo import DemoExchange
from recorded_market import recorded_hours

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


ACTIONS = "list|show|get|coverage|verify|repair|export|prune|certificate|diff|import|note|tag|replay|rm|schema"
"""What follows the name of a group of commands."""


def named(line: str) -> tuple[str, str]:
    """Return the command of a line, and the one after the name of a group."""
    found = re.match(rf"nt-run ([\w-]+)(?: ({ACTIONS})\b)?", line)
    assert found, line
    return found[1], found[2] or ""


def blocks(language: str) -> list[str]:
    """Return the contents of the fenced blocks of a language."""
    fenced = README.split("```")[1::2]
    return [content.removeprefix(language + "\n") for content in fenced if content.split("\n", 1)[0] == language]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):  # noqa: ANN201
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NT_RUN_CACHE", raising=False)

    def call(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["nt-run", *arguments])
        assert main() == 0
        return capfd.readouterr().out

    return call


def test_the_report_shown_is_the_report_printed(run) -> None:  # noqa: ANN001
    shown = blocks("")[0].splitlines()
    printed = [line.rstrip() for line in run("backtest", "--symbol", "BTCUSDT", "--demo").splitlines()]
    # Seconds and the run's id differ each time.
    assert printed[:-2] == shown[:-2]
    assert printed[-1].split("-")[1:-2] == shown[-1].split("-")[1:-2]


REAL = (
    "backtest --symbol BTCUSDT --interval 4h --timerange 20200101-20200501 --leverage 10 --risk 5 --fill next-open "
    "--slippage-bps 2 --specs-at range"
)


def test_the_report_of_real_data_is_the_report_printed(run, recordings: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN001
    (shown,) = (block for block in blocks("") if "4h  2020-01-01" in block)
    answer = json.loads((recordings / "exchange_info" / "2025-10-30.json").read_text())
    assert f"nt-run {REAL}" in " ".join(README.replace("\\\n", "").split())
    with DemoExchange(market=recorded_hours(recordings), exchange_info=answer) as exchange:
        monkeypatch.setenv("NT_RUN_REST_URL", exchange.rest_url)
        run("specs", "import", str(recordings / "exchange_info" / "2021-09-06.json"))
        printed = run(*REAL.split()).rstrip()
        audited = run("audit")
    assert "largest difference of a trade          0.0000000000 USDT" in audited
    # Not shown: that the data are not from the exchange itself, how long it took, and the run's id.
    printed = [
        line.rstrip() for line in printed.splitlines() if not re.match(r"! Market data and rules|time |run ", line)
    ]
    assert printed == [line.rstrip() for line in shown.strip("\n").splitlines()]


def test_the_audit_shown_is_the_audit_printed(run) -> None:  # noqa: ANN001
    run("backtest", "--symbol", "BTCUSDT", "--demo")
    (shown,) = (block for block in blocks("") if block.lstrip().startswith("✓ klines"))
    assert shown.strip() in run("audit")


def test_the_strategy_shown_runs(run, tmp_path: Path) -> None:  # noqa: ANN001
    code = next(block for block in blocks("python") if "class AboveAverage(Strategy)" in block)
    (tmp_path / "above_average.py").write_text(code)
    days = ("--start", "2026-06-01", "--end", "2026-06-03")
    assert "period=100" in run(
        "backtest", "--demo", "--strategy", "above_average.py:AboveAverage", "--param", "period=100", *days
    )


def test_every_command_and_flag_shown_exists(run) -> None:  # noqa: ANN001
    lines = [line.split("#")[0] for block in blocks("sh")[2:] for line in block.replace("\\\n", "").splitlines()]
    commands = {named(line) for line in lines}
    assert {command for command, _ in commands} == {
        "backtest",
        "specs",
        "chart",
        "runs",
        "audit",
        "check",
        "data",
        "strategies",
        "new-strategy",
        "doctor",
        "config",
    }
    helps = {command: run(*filter(None, command), "--help") for command in commands}
    for line in lines:
        command = named(line)
        assert all(flag in helps[command] for flag in re.findall(r"--[\w-]+", line)), line


def test_both_commands_at_the_top_set_up_for_themselves() -> None:
    for command in blocks("sh")[:2]:
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install -q -e '.[dev]' && .venv/bin/")


def test_pictures_shown_are_there() -> None:
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", README):
        assert (Path(__file__).parent.parent / picture).is_file()


def test_every_test_that_is_said_to_hold_a_promise_is_there() -> None:
    tests = Path(__file__).parent
    table = README.split("| promise | held by |")[1].split("\n\n")[0]
    named = re.findall(r"`([\w/]+\.py)`", table)
    assert len(named) > 20
    assert [name for name in named if not ((tests / "data" / name).exists() or (tests.parent / name).exists())] == []
