import re
import subprocess
import sys
from pathlib import Path

import pytest

from nt_run.__main__ import main
from nt_run.config import load_config
from nt_run.errors import ResultsError, UsageError
from nt_run.pipeline import backtest
from nt_run.scaffold import TEMPLATES, new_strategy
from nt_run.strategies.resolver import check_params, resolve_strategy


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_runs_at_once_and_trades(template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    strategy, config, test = new_strategy("my-idea", template, Path())
    assert [str(path) for path in (strategy, config, test)] == ["my_idea.py", "my_idea.toml", "test_my_idea.py"]
    settings = load_config(config, {"demo": True, "start": "2026-06-01", "end": "2026-06-08"})
    assert settings.strategy.name == "my_idea.py:MyIdea"
    run = backtest(settings, cache_dir=tmp_path / "cache", save=False)
    assert run.summary["fills"] > 0
    assert run.summary["denied"] == {}
    assert "Template" not in strategy.read_text() + config.read_text() + test.read_text()


def test_the_test_it_writes_passes_wherever_it_is_started(tmp_path: Path) -> None:
    *_, test = new_strategy("Breaker", "breakout", tmp_path / "mine")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_parameters_of_the_configuration_are_those_of_the_strategy(tmp_path: Path) -> None:
    strategy, config, _ = new_strategy("x", "mean-reversion", tmp_path)
    spec = resolve_strategy(f"{strategy}:X")
    settings = load_config(config)
    assert settings.strategy.params == {"period": 14, "low": 30.0, "back": 50.0}
    assert check_params(spec, settings.strategy.params).keys() == spec.parameters.keys()


@pytest.mark.parametrize("existing", ["my_idea.py", "my_idea.toml", "test_my_idea.py"])
def test_nothing_is_ever_overwritten(tmp_path: Path, existing: str) -> None:
    (tmp_path / existing).write_text("mine")
    with pytest.raises(UsageError, match="nothing is overwritten"):
        new_strategy("MyIdea", "ema", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [existing]
    assert (tmp_path / existing).read_text() == "mine"


@pytest.mark.parametrize("name", ["", "1st", "a b", "class", "true", "../up", "a.b", "__init__", "_", "идея"])
def test_a_name_that_no_module_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a strategy"):
        new_strategy(name, "ema", tmp_path)


def test_a_name_longer_than_a_file_may_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"A name of 300 letters is too long for a strategy\. Use at most 64"):
        new_strategy("x" * 300, "ema", tmp_path)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("numpy", "`import numpy` would find numpy.py"),
        ("Polars", "`import polars` would find polars.py"),
        ("typing", "`import typing` would find typing.py"),
        ("sys", "`import sys` would find sys.py"),
        ("nt-run", "`import nt_run` would find nt_run.py"),
        ("conftest", "pytest would take conftest.py for its own"),
        ("test-idea", "pytest would take test_idea.py for its own"),
        ("IdeaTest", "pytest would take idea_test.py for its own"),
        ("bar", "its class Bar would hide another one"),
        ("strategy", "its class Strategy would hide another one"),
    ],
)
def test_a_name_that_stands_for_something_else_is_refused(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(
        UsageError, match=rf"cannot name a strategy: .*{re.escape(why)}.* Choose another name, such as my_"
    ):
        new_strategy(name, "ema", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_module_of_their_own_elsewhere_takes_no_name_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "idea.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert len(new_strategy("idea", "ema", tmp_path / "mine")) == 3


def test_a_folder_of_any_name_is_written_so_that_it_is_read_again(tmp_path: Path) -> None:
    folder = tmp_path / 'my "best" идеи'
    strategy, config, _ = new_strategy("x", "ema", folder)
    assert load_config(config).strategy.name == f"{strategy}:X"


def test_another_template_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'mean-reversion'"):
        new_strategy("x", "mean_reversion", tmp_path)


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError, match="cannot be written"):
        new_strategy("x", "ema", tmp_path / "file")


def test_the_command_names_the_files_and_what_to_do_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["nt-run", "new-strategy", "Mine", "--to", str(tmp_path)])
    assert main() == 0
    out, err = capfd.readouterr()
    assert out.split() == [str(tmp_path / name) for name in ("mine.py", "mine.toml", "test_mine.py")]
    assert f"nt-run backtest {tmp_path / 'mine.toml'} --demo" in err
