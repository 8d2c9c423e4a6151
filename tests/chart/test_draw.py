import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from chart.made_up_runs import make_klines, make_run
from nt_run.chart.draw import Picture, default_page, draw
from nt_run.errors import ChartError
from nt_run.results import Run, save_run

Child = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run() -> Run:
    return make_run(make_klines(90), trades=3)


@pytest.fixture
def no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_display_the_page_goes_into_the_run_folder(run: Run, no_display: None, tmp_path: Path) -> None:
    written = draw(replace(run, path=tmp_path))
    assert written == [tmp_path / "chart.html"]
    assert written[0].read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_run_without_a_folder_gets_its_page_in_the_working_folder(
    run: Run, no_display: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert draw(run) == [Path("a-run.html")]
    assert (tmp_path / "a-run.html").is_file()


def test_a_run_folder_that_cannot_be_written_is_passed_over(run: Run, tmp_path: Path) -> None:
    assert default_page(replace(run, path=tmp_path / "taken away")) == Path("a-run.html")


def test_a_display_that_does_not_answer_is_an_error_and_no_page(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":987")
    with pytest.raises(ChartError, match="--html"):
        draw(replace(run, path=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_picture_and_a_page_can_be_written_at_once(run: Run, tmp_path: Path) -> None:
    files = [tmp_path / "run.png", tmp_path / "run.html"]
    assert draw(run, png=Picture(files[0]), page=files[1]) == files
    assert all(file.stat().st_size > 10_000 for file in files)


def test_a_page_is_drawn_from_the_run_folder_alone(run: Run, run_child: Child, tmp_path: Path) -> None:
    kept = save_run(run, tmp_path)
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from nt_run.chart.draw import draw\nfrom nt_run.results import load_run\n"
        f"draw(load_run({str(kept.path)!r}, Path()), page=Path({str(tmp_path / 'run.html')!r}))\n"
        "foreign = {'nautilus_trader', 'requests', 'urllib3', 'PyQt6', 'finplot', 'pandas', 'rich'}\n"
        "ours = {'nt_run.data', 'nt_run.engine', 'nt_run.strategies', 'nt_run.demo', 'nt_run.chart.stage'}\n"
        "print(*sorted((foreign | ours) & set(sys.modules)))"
    )
    child = run_child(code)
    assert (child.stdout, child.stderr) == ("\n", "")
    assert (tmp_path / "run.html").is_file()
