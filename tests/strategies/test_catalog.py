import json
import sys
from importlib.metadata import EntryPoint

import pytest

from nt_run.__main__ import main
from nt_run.strategies import catalog, resolver
from nt_run.strategies.catalog import installed_strategies


def test_built_in_strategies_are_described_with_their_parameters() -> None:
    found = {each["name"]: each for each in installed_strategies()}
    assert {"donchian_breakout", "ema_cross", "rsi_reversion"} <= found.keys()
    assert found["ema_cross"] == {
        "name": "ema_cross",
        "target": "nt_run.strategies.ema_cross:EmaCross",
        "package": "nt-run",
        "summary": "Long while the fast average is above the slow one, short while it is below.",
        "parameters": [
            {"name": "fast", "type": "int", "default": 10},
            {"name": "slow", "type": "int", "default": 21},
        ],
        "error": None,
    }


def test_a_strategy_that_cannot_be_loaded_says_why_and_hides_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def entries(group: str) -> list[EntryPoint]:
        return [EntryPoint(name="broken", value="no_such_package.strategies:Broken", group=group)]

    for module in (catalog, resolver):
        monkeypatch.setattr(module, "entry_points", entries)
    found = {each["name"]: each for each in installed_strategies()}
    assert "no_such_package" in found["broken"]["error"]
    assert found["ema_cross"]["error"] is None


def test_the_command_lists_them(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["nt-run", "strategies"])
    assert main() == 0
    out = capfd.readouterr().out
    assert "fast=10 slow=21" in out
    assert max(map(len, out.splitlines())) < 100
    monkeypatch.setattr(sys, "argv", ["nt-run", "strategies", "--json"])
    assert main() == 0
    assert json.loads(capfd.readouterr().out)["strategies"] == installed_strategies()
