"""The window on a real X server, driven by a mouse and keys that are not ours."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest

TOOLS = ("Xvfb", "xdotool")
SHOW = """
from chart.made_up_runs import make_klines, make_run
from nt_run.chart.scene import show_window
from nt_run.chart.view import chart_data
show_window(chart_data(make_run(make_klines(3000), 40)))
print("returned")
"""
PATIENCE = 60


@pytest.fixture(scope="module")
def display() -> Generator[str]:
    """Start an X server of our own; without one, skip, or fail where it was promised."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing and os.environ.get("NT_RUN_REQUIRE_DISPLAY") == "1":
        pytest.fail(f"NT_RUN_REQUIRE_DISPLAY=1, and {' and '.join(missing)} cannot be found")
    if missing:
        pytest.skip(f"no {' and '.join(missing)}")
    reader, writer = os.pipe()
    # Without -noreset the server starts anew, and turns others away, whenever its last client leaves: xdotool, often.
    command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1700x1000x24", "-nolisten", "tcp", "-noreset"]
    server = subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL)
    os.close(writer)
    with os.fdopen(reader) as number:
        name = f":{number.readline().strip()}"
    yield name
    server.terminate()
    server.wait()


class Window:
    """A chart in a process of its own."""

    def __init__(self, display: str) -> None:
        tests = str(Path(__file__).parents[1])
        self.env = {name: value for name, value in os.environ.items() if name != "QT_QPA_PLATFORM"}
        self.env |= {"DISPLAY": display, "PYTHONPATH": tests}
        command = [sys.executable, "-W", "error", "-c", SHOW]
        self.process = subprocess.Popen(
            command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.id = self._find()

    def drive(self, *words: str) -> str:
        done = subprocess.run(["xdotool", *words], env=self.env, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out.strip(), err

    def _find(self) -> str:
        for _ in range(PATIENCE * 5):
            found = self.drive("search", "--onlyvisible", "--name", "BTCUSDT")
            if found:
                return found.splitlines()[-1]
            if self.process.poll() is not None:
                break
            time.sleep(0.2)
        self.process.kill()
        pytest.fail(f"no window appeared: {self.process.communicate()[1]}")


@pytest.fixture
def window(display: str) -> Generator[Window]:
    shown = Window(display)
    yield shown
    if shown.process.poll() is None:
        shown.process.kill()
    shown.process.communicate()


def test_zooming_panning_and_pointing_work_and_escape_closes_the_window(window: Window) -> None:
    assert "ema_cross 10/21" in window.drive("getwindowname", window.id)
    window.drive("mousemove", "800", "300")
    for _ in range(8):
        window.drive("click", "4")
    window.drive("mousemove", "600", "350", "mousemove", "610", "500", "mousemove", "620", "700")
    for key in ("Left", "Left", "Home", "End", "g"):
        window.drive("windowfocus", window.id, "key", key)
    window.drive("mousemove", "700", "300", "mousedown", "1", "mousemove", "500", "300", "mouseup", "1")
    window.drive("windowfocus", window.id, "key", "Escape")
    assert window.end() == (0, "returned", "")


def test_ctrl_c_closes_the_window_and_ends_cleanly(window: Window) -> None:
    window.process.send_signal(signal.SIGINT)
    assert window.end() == (0, "returned", "")
