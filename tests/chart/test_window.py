"""The window on a real X server, driven by a mouse and keys that are not ours."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

TOOLS = ("Xvfb", "xdotool")
SHOW = """
from chart.made_up_runs import make_klines, make_run
from nt_run.chart import scene
from nt_run.chart.compare import compare
from nt_run.chart.display import prepare_window
from nt_run.chart.view import chart_data
prepare_window()
from nt_run.chart import showing
class Telling(showing.RunStage):
    def caption(self, row):
        super().caption(row)
        left, right = self.visible()
        box = self.plots[-1].sceneBoundingRect()
        heights = [plot.vb.viewRect().height() for plot in self.plots]
        pointed = [plot.crosshair.vline.isVisible() for plot in self.plots]
        edges = round(box.right()), round(box.bottom())
        print(self.trade or 0, left, right, *edges, heights[0], sum(pointed), flush=True)
showing.RunStage = Telling
run = make_run(make_klines(3000), 40)
scene.show_window({subject})
print("returned")
"""
ONE, SEVERAL = "chart_data(run)", "compare([run, make_run(make_klines(2000, seed=9), 30)])"
PATIENCE = 60


@contextmanager
def x_server(screen: str) -> Generator[str]:
    """Start an X server of our own; without one, skip, or fail where it was promised."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing and os.environ.get("NT_RUN_REQUIRE_DISPLAY") == "1":
        pytest.fail(f"NT_RUN_REQUIRE_DISPLAY=1, and {' and '.join(missing)} cannot be found")
    if missing:
        pytest.skip(f"no {' and '.join(missing)}")
    reader, writer = os.pipe()
    # Without -noreset the server starts anew, and turns others away, whenever its last client leaves: xdotool, often.
    command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", f"{screen}x24", "-nolisten", "tcp", "-noreset"]
    server = subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL)
    os.close(writer)
    with os.fdopen(reader) as number:
        name = f":{number.readline().strip()}"
    yield name
    server.terminate()
    server.wait()


@pytest.fixture(scope="module")
def display() -> Generator[str]:
    with x_server("1700x1000") as name:
        yield name


class Window:
    """A chart in a process of its own, which tells what it shows.

    That is the trade, left and right end in slots, right and bottom end of the lowest pane in pixels, the height of the
    prices that are seen, and how many panes have a crosshair.
    """

    def __init__(self, display: str, subject: str = ONE) -> None:
        paths = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.env = {name: value for name, value in os.environ.items() if name != "QT_QPA_PLATFORM"}
        self.env |= {"DISPLAY": display, "PYTHONPATH": os.pathsep.join(paths)}
        command = [sys.executable, "-W", "error", "-c", SHOW.format(subject=subject)]
        self.process = subprocess.Popen(
            command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.told: list[str] = []
        self.listener = threading.Thread(target=self._listen)
        self.listener.start()
        self.id = self._find()

    def drive(self, *words: str) -> str:
        done = subprocess.run(["xdotool", *words], env=self.env, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.drive("windowfocus", self.id, "key", key)

    def wait_until(self, shows: Callable[[int, float, float], bool]) -> tuple[int, float, float]:
        """Return which trade is shown, and from where to where, as soon as it is what one waits for."""
        trade, left, right, *_ = self.wait_for(lambda trade, left, right, *_: shows(int(trade), left, right))
        return int(trade), left, right

    def wait_for(self, shows: Callable[..., bool]) -> list[float]:
        """Return everything it tells as soon as it is what one waits for."""
        told: list[float] = []
        for _ in range(PATIENCE * 20):
            told = [float(text) for text in self.told[-1].split()]
            if shows(*told):
                return told
            time.sleep(0.05)
        pytest.fail(f"the window tells {told}")

    def end(self) -> tuple[int, str, str]:
        code = self.process.wait(timeout=PATIENCE)
        self.listener.join()
        stderr = self.process.stderr
        return code, self.told[-1], stderr.read() if stderr is not None else ""

    def clear(self) -> None:
        """End it, if it has not ended by itself."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.listener.join()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def _listen(self) -> None:
        for line in self.process.stdout or ():
            self.told.append(line.strip())

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


@contextmanager
def shown(display: str, subject: str = ONE) -> Generator[Window]:
    window = Window(display, subject)
    try:
        yield window
    finally:
        window.clear()


@pytest.fixture
def window(display: str) -> Generator[Window]:
    with shown(display) as opened:
        yield opened


def test_zooming_panning_and_pointing_work_and_escape_closes_the_window(window: Window) -> None:
    assert "ema_cross 10/21" in window.drive("getwindowname", window.id)
    window.wait_until(lambda _, left, right: left < 0 and right > 2999)
    window.drive("mousemove", "800", "300")
    for _ in range(8):
        window.drive("click", "4")
    # Each notch leaves three quarters of what is visible: below a tenth of 3,000 bars all eight have been turned.
    _, left, _ = window.wait_until(lambda _, left, right: right - left < 300)
    window.drive("mousemove", "600", "350", "mousemove", "610", "500", "mousemove", "620", "700")
    slowly = [word for x in ("650", "600", "550", "500") for word in ("mousemove", x, "300", "sleep", "0.1")]
    window.drive("mousemove", "700", "300", "mousedown", "1", *slowly, "mouseup", "1")
    # What was dragged to the left shows later bars.
    window.wait_until(lambda _, now, __: now > left)
    window.press("g", "Escape")
    assert window.end() == (0, "returned", "")


def test_keys_go_from_trade_to_trade_and_along_the_run(window: Window) -> None:
    window.press("n")
    _, left, right = window.wait_until(lambda trade, _, right: trade == 1 and right < 2000)
    window.press("n", "n", "p")
    window.wait_until(lambda trade, now, _: trade == 2 and now > left)
    window.press("minus", "minus")
    window.wait_until(lambda _, left, right: right - left > 80)
    window.press("End")
    window.wait_until(lambda _, __, right: right > 3000)
    window.press("Left", "Prior", "Home")
    _, left, right = window.wait_until(lambda _, left, __: left < 0)
    window.press("plus")
    window.wait_until(lambda _, now, then: then - now < right - left)
    window.press("0")
    window.wait_until(lambda _, left, right: left < 0 and right > 2999)
    window.press("q")
    assert window.end() == (0, "returned", "")


def test_the_panes_share_the_height_of_the_window_whatever_it_becomes(window: Window) -> None:
    # 4 pixels on the right and 2 below are the window's own.
    for width, height in ((1600, 900), (1200, 800), (700, 500), (1500, 950)):
        window.drive("windowsize", window.id, f"{width}", f"{height}")
        window.wait_for(lambda *told, x=width - 4, y=height - 2: told[3:5] == (x, y))
    window.press("q")
    assert window.end() == (0, "returned", "")


def test_a_window_is_no_larger_than_the_screen() -> None:
    with x_server("1024x700") as small, shown(small) as window:
        shape = window.drive("getwindowgeometry", "--shell", window.id).split()
        # The frame, where there is one, has 40 pixels.
        assert {"X=0", "Y=0", "WIDTH=1024", "HEIGHT=660"} <= set(shape)


def test_a_double_click_and_zero_undo_what_was_stretched(window: Window) -> None:
    window.drive("mousemove", "800", "300")
    before = window.wait_for(lambda *told: told[6] == 5)[5]
    for undo in (("click", "--repeat", "2", "--delay", "50", "1"), ("key", "0")):
        window.drive("keydown", "Control_L", "click", "4", "click", "4", "keyup", "Control_L")
        window.drive("mousemove_relative", "3", "0")
        window.wait_for(lambda *told: told[5] < 0.9 * before)
        window.drive("windowfocus", window.id, *undo)
        window.drive("mousemove_relative", "3", "0")
        window.wait_for(lambda *told: told[5] == pytest.approx(before, rel=0.05))
    window.press("q")
    assert window.end() == (0, "returned", "")


def test_the_crosshair_goes_away_when_a_key_moves_the_chart_and_comes_back_with_the_mouse(window: Window) -> None:
    for x, key in ((800, "n"), (700, "Home"), (600, "plus"), (500, "0")):
        window.drive("mousemove", f"{x}", "300")
        window.wait_for(lambda *told: told[6] == 5)
        window.press(key)
        window.wait_for(lambda *told: told[6] == 0)
    window.press("q")
    assert window.end() == (0, "returned", "")


def test_keys_of_finplot_that_turn_or_hide_panes_do_nothing(window: Window) -> None:
    window.drive("mousemove", "800", "300")
    before = window.wait_for(lambda *told: told[6] == 5)
    window.press("i", "f", "g")
    window.drive("mousemove", "803", "300")
    window.press("n")
    after = window.wait_for(lambda trade, *_: trade == 1)
    assert after[3:5] == before[3:5]
    window.press("q")
    assert window.end() == (0, "returned", "")


def test_escape_closes_the_help_before_it_closes_the_window(window: Window) -> None:
    window.press("question", "Escape")
    window.press("n")
    window.wait_until(lambda trade, _, __: trade == 1)
    window.press("Escape")
    assert window.end() == (0, "returned", "")


def test_several_runs_are_shown_in_a_window_that_has_no_trades_to_step_through(display: str) -> None:
    with shown(display, SEVERAL) as window:
        assert "2 runs" in window.drive("getwindowname", window.id)
        window.drive("mousemove", "600", "350", "click", "4")
        window.press("n", "plus", "End", "question", "question", "q")
        assert window.end() == (0, "returned", "")


def test_ctrl_c_closes_the_window_and_ends_cleanly(window: Window) -> None:
    window.process.send_signal(signal.SIGINT)
    assert window.end() == (0, "returned", "")
