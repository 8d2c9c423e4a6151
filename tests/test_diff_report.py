from typing import Any

import pytest

from nt_run.diff_report import print_diff

COMPARED: dict[str, Any] = {
    "a": "20261128T110230138Z-my_breakout.MyBreakout-BTCUSDT-15m-0925237c-demo",
    "b": "20261128T110234271Z-my_mean_reversion.MyMeanReversion-BTCUSDT-15m-7eedf2c6-demo",
    "demo": False,
    "identical": False,
    "code": None,
    "config": [
        {"key": "strategy.name", "a": "my_breakout.py:MyBreakout", "b": "my_mean_reversion.py:MyMeanReversion"},
        {"key": "protection.max_daily_loss", "a": None, "b": 0.03},
    ],
    "data": [],
    "specs": [],
    "versions": [],
    "figures": [],
    "counts": {},
    "parted": dict.fromkeys(("trades", "fills", "funding", "settlements", "equity")),
}


@pytest.mark.parametrize("columns", [60, 80])
def test_a_difference_fits_the_terminal_and_keys_stay_whole(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nt_run.terminal.width", lambda: columns)
    print_diff(COMPARED)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns
    assert lines[0].startswith("a  20261128T110230138Z-")
    assert lines[1].startswith("b  20261128T110234271Z-")
    assert lines[1].endswith("…")
    assert ["protection.max_daily_loss", "–", "0.03"] in [line.split() for line in lines]


def test_a_pipe_gets_whole_ids(capsys: pytest.CaptureFixture[str]) -> None:
    print_diff(COMPARED)
    assert capsys.readouterr().out.splitlines()[1] == f"b  {COMPARED['b']}"
