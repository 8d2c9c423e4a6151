import json
import sys
from pathlib import Path
from typing import Any

import pytest

from kept_runs import keep
from nt_run import doctor
from nt_run.__main__ import main
from nt_run.chart.display import probe_finplot
from nt_run.config import load_config
from nt_run.demo import DEMO_NOW_MS, DemoExchange
from nt_run.doctor import examine
from nt_run.errors import ChartError
from nt_run.pipeline import backtest


@pytest.fixture
def well(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not depend on the machine of the tests: drawing is tried elsewhere."""
    monkeypatch.delenv("NT_RUN_REST_URL", raising=False)
    for name in ("probe_offscreen", "prepare_window", "probe_finplot"):
        monkeypatch.setattr(doctor, name, lambda: None)


def by_name(cache: Path, *, offline: bool = True) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in examine(cache, offline=offline)}


def states(findings: dict[str, dict[str, Any]], *names: str) -> list[str]:
    return [findings[name]["state"] for name in names]


@pytest.mark.usefixtures("well")
def test_a_new_folder_lacks_nothing_and_is_not_made(tmp_path: Path) -> None:
    found = by_name(tmp_path / "cache")
    assert {each["state"] for each in found.values()} <= {"ok", "note"}
    assert states(found, "Python", "libraries", "cache", "store", "demo store", "kept runs") == ["ok"] * 6
    assert found["exchange"]["state"] == "note"
    assert "clock" not in found
    assert not (tmp_path / "cache").exists()


@pytest.mark.usefixtures("well")
def test_a_damaged_file_of_the_store_is_wrong_and_says_what_mends_it(tmp_path: Path) -> None:
    day = {"demo": True, "start": "2026-06-01", "end": "2026-06-02"}
    backtest(load_config(None, day), cache_dir=tmp_path, save=False)
    assert by_name(tmp_path)["demo store"]["state"] == "ok"
    file = next((tmp_path / "demo").rglob("klines/**/*.parquet"))
    file.write_bytes(file.read_bytes()[:-1])
    found = by_name(tmp_path)
    assert states(found, "store", "demo store") == ["ok", "wrong"]
    assert file.name in found["demo store"]["found"]
    assert found["demo store"]["help"] == "nt-run data repair --demo"


@pytest.mark.usefixtures("well")
def test_a_damaged_run_is_named(tmp_path: Path) -> None:
    keep(tmp_path / "runs", "a")
    (keep(tmp_path / "runs", "b") / "summary.json").write_text("{")
    found = by_name(tmp_path)["kept runs"]
    assert (found["state"], found["found"]) == ("note", "1, and 1 damaged: b")


@pytest.mark.usefixtures("well")
def test_the_clock_is_compared_with_the_exchanges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with DemoExchange() as exchange:
        monkeypatch.setenv("NT_RUN_REST_URL", exchange.rest_url)
        found = {}
        for seconds in (0, 90, -90):
            # The synthetic market's clock stands still.
            monkeypatch.setattr(doctor.time, "time", lambda ahead=seconds: DEMO_NOW_MS / 1000 + ahead)
            found[seconds] = by_name(tmp_path, offline=False)
    assert exchange.rest_url in found[0]["exchange"]["found"]
    assert [each["clock"]["state"] for each in found.values()] == ["ok", "note", "note"]
    assert found[90]["clock"]["found"].startswith("+90.0 s")


@pytest.mark.usefixtures("well")
def test_an_exchange_out_of_reach_is_no_reason_to_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NT_RUN_REST_URL", "http://127.0.0.1:1")
    found = by_name(tmp_path, offline=False)
    assert found["exchange"]["state"] == "note"
    assert "127.0.0.1:1" in found["exchange"]["found"]
    assert "--demo" in found["exchange"]["help"]
    assert "clock" not in found


@pytest.mark.usefixtures("well")
def test_a_missing_library_and_another_version_are_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ["polars>=2.0,<3", "nautilus_trader==1.0", "no-such-package>=1", 'pytest>=8; extra == "dev"']
    monkeypatch.setattr(doctor, "requires", lambda _name: asked)
    found = by_name(tmp_path)["libraries"]
    assert found["state"] == "wrong"
    assert found["found"] == "nautilus_trader is 2.0.0rc7 instead of 1.0, no-such-package is missing"


@pytest.mark.usefixtures("well")
def test_another_python_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PYTHONS", ((2, 7),))
    assert by_name(tmp_path)["Python"]["state"] == "wrong"


def test_no_display_is_told_with_what_works_without_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    found = by_name(tmp_path)
    assert found["window"]["state"] == "note"
    assert "--save" in found["window"]["help"]
    assert found["pictures"]["state"] == "ok"


def test_a_finplot_that_cannot_be_imported_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "finplot.py").write_text("raise ImportError('no such symbol')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ChartError, match="finplot cannot be imported: ImportError: no such symbol"):
        probe_finplot()


def test_a_folder_that_takes_no_file_is_wrong_whatever_its_rights_say() -> None:
    found = by_name(Path("/proc/nt-run"))["cache"]
    assert (found["state"], found["found"]) == ("wrong", "/proc cannot be written")


@pytest.mark.usefixtures("well")
def test_the_command_ends_with_8_when_something_needed_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["nt-run", "doctor", "--offline", *arguments])
        return main(), *capfd.readouterr()

    code, out, err = run("--cache-dir", str(tmp_path / "cache"))
    assert (code, err) == (0, "")
    assert "✓ Python" in out
    assert "was not asked" in out
    (tmp_path / "file").write_text("in the way")
    code, out, err = run("--cache-dir", str(tmp_path / "file"), "--json")
    assert code == 8
    assert json.loads(out)["sound"] is False
    assert "Something needed is wrong: cache" in err
