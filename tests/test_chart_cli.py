"""`nt-run chart` from the command line, on a run of the embedded exchange."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from nt_run.__main__ import main

RANGE = ["--start", "2026-06-01", "--end", "2026-06-02"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache with two kept runs."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        for extra in (["--interval", "5m"], ["--interval", "15m", "--strategy", "donchian_breakout"]):
            patch.setattr(
                sys, "argv", ["nt-run", "backtest", "--demo", *RANGE, *extra, "--cache-dir", str(folder), "-q"]
            )
            assert main() == 0
    return folder


class Chart:
    def __init__(self, cache: Path, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self.cache, self._patch, self._capture = cache, patch, capture
        self.runs = sorted(folder.name for folder in (cache / "runs").iterdir() if not folder.name.startswith("."))
        self.runs = [name for name in self.runs if (cache / "runs" / name / "summary.json").is_file()]

    def __call__(self, *arguments: str) -> tuple[int, str]:
        self._patch.setattr(sys, "argv", ["nt-run", "chart", *arguments, "--cache-dir", str(self.cache)])
        code = main()
        return code, self._capture.readouterr().err


@pytest.fixture
def chart(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Chart:
    monkeypatch.chdir(tmp_path)
    return Chart(cache, monkeypatch, capfd)


def size_of(path: Path) -> tuple[int, int]:
    """Return width and height of a PNG, bytes 16 to 23 of it."""
    width, height = struct.unpack(">II", path.read_bytes()[16:24])
    return width, height


def test_a_picture_has_the_size_times_the_scale_asked_for(chart: Chart, tmp_path: Path) -> None:
    assert chart("--save", "a.png") == (0, "Saved a.png\n")
    assert size_of(tmp_path / "a.png") == (1920, 1080)
    assert chart("--save", "b.png", "--size", "800x600", "--scale", "1.5", "--quiet") == (0, "")
    assert size_of(tmp_path / "b.png") == (1200, 900)


def test_the_same_command_gives_the_same_bytes_in_another_process(chart: Chart, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nt_run", "chart", "--cache-dir", str(chart.cache), "--trade", "1", "--save"]
    for name in ("a.png", "b.png"):
        subprocess.run([*command, name], check=True, capture_output=True, cwd=tmp_path)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_trade_and_a_range_give_other_pictures_than_the_whole_run(chart: Chart, tmp_path: Path) -> None:
    parts = {"all": [], "trade": ["--trade", "2"], "range": ["--range", "2026-06-01T06:00", "2026-06-01T12:00"]}
    for name, flags in parts.items():
        assert chart(chart.runs[0], "--save", f"{name}.png", *flags)[0] == 0
    assert len({(tmp_path / f"{name}.png").read_bytes() for name in parts}) == 3


def test_several_runs_are_drawn_over_each_other(chart: Chart, tmp_path: Path) -> None:
    assert chart(*chart.runs, "--save", "both.png", "--range", "2026-06-01T06:00", "2026-06-01T20:00")[0] == 0
    assert (tmp_path / "both.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (["--size", "10"], 2, "--save"),
        (["--save", "a.png", "--size", "10"], 2, "1920x1080"),
        (["--save", "a.png", "--size", "20x10"], 7, "no room for a chart"),
        (["--save", "a.png", "--scale", "0"], 7, "no pixels"),
        (["--save", "a.png", "--scale", "nan"], 7, "no pixels"),
        (["--save", "a.png", "--scale", "99"], 7, "16,384 pixels"),
        (["--save", "a.png", "--trade", "4000"], 7, "no trade 4000"),
        (["--html", "a.html", "--trade", "4000"], 7, "no trade 4000"),
        (["--save", "a.png", "--trade", "1", "--range", "2026-06-01", "2026-06-02"], 2, "one of them"),
        (["--save", "a.png", "--range", "2026-06-02", "2026-06-01"], 2, "the end must come after"),
        (["--save", "a.png", "--range", "soon", "later"], 2, "is not a time"),
        (["--save", "a.png", "--range", "2020-01-01", "2020-01-02"], 7, "no bar of this chart"),
    ],
)
def test_what_cannot_be_drawn_is_told_and_nothing_is_written(
    chart: Chart, tmp_path: Path, flags: list[str], code: int, said: str
) -> None:
    ended, err = chart(*flags)
    assert (ended, said in err) == (code, True), err
    assert list(tmp_path.iterdir()) == []


def test_a_trade_is_refused_for_two_runs(chart: Chart) -> None:
    code, err = chart(*chart.runs, "--trade", "1")
    assert code == 2
    assert "is for one run, and 2 were named" in err


def test_two_runs_make_a_page_and_without_a_display_beside_the_first(
    chart: Chart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    assert chart(*chart.runs, "--html", "both.html")[0] == 0
    assert chart(*chart.runs)[0] == 0
    (beside,) = (chart.cache / "runs").glob("*/comparison.html")
    assert chart.runs[0] in beside.parent.name
    assert beside.read_bytes() == (tmp_path / "both.html").read_bytes()
    assert b"2 runs" in beside.read_bytes()
    beside.unlink()


def test_a_chart_reads_the_run_folder_alone(chart: Chart, tmp_path: Path) -> None:
    code = (
        "import sys, json\nfrom nt_run.__main__ import main\ncode = main()\n"
        "heavy = ('nautilus_trader', 'requests', 'urllib3', 'binance_sdk_derivatives_trading_usds_futures',\n"
        "         'nt_run.data', 'nt_run.engine', 'nt_run.strategies', 'nt_run.pipeline', 'nt_run.inputs')\n"
        "print(json.dumps([code, [name for name in heavy if name in sys.modules]]))"
    )
    folder = tmp_path / "moved"
    (chart.cache / "runs" / chart.runs[0]).rename(folder)
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, "chart", str(folder), "--save", "alone.png", "--html", "alone.html"],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
            env={name: value for name, value in os.environ.items() if name != "NT_RUN_CACHE"},
        )
    finally:
        folder.rename(chart.cache / "runs" / chart.runs[0])
    assert json.loads(done.stdout) == [0, []]
    assert {"alone.png", "alone.html"} <= {path.name for path in tmp_path.iterdir()}
