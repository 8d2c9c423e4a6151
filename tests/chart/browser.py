"""A real browser for the page: headless Chromium with a blank profile and no way to any network."""

import base64
import json
import os
import shutil
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PyQt6.QtGui import QImage

from nt_run.chart.page import save_page
from nt_run.results import Run

PROGRAMS = ("chromium", "chromedriver")
PATIENCE = 60
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--proxy-server=http://127.0.0.1:9",
)


class Browser:
    """One tab; every page is opened anew."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, page: Path, width: int = 1280, height: int = 1000, scheme: str = "dark") -> dict[str, float]:
        """Show a file and return what it says when it is ready; logs begin here."""
        self.cdp(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        for kind in ("browser", "performance"):
            self.driver.get_log(kind)
        self.driver.get(page.as_uri())
        return self.until(lambda: self.run("return window.__ready"))

    def until(self, check: Callable[[], Any]) -> Any:
        """Return what `check` returns as soon as it is something; the page works on its own time."""
        end = time.monotonic() + PATIENCE
        while not (found := check()):
            assert time.monotonic() < end, f"nothing happened within {PATIENCE} s: {self.errors()}"
            time.sleep(0.05)
        return found

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def cdp(self, command: str, **parameters: object) -> Any:
        return self.driver.execute_cdp_cmd(command, parameters)

    def chart(self) -> dict[str, str]:
        """What the chart says it shows."""
        return self.run("return {...document.getElementById('chart').dataset}")

    def text(self, selector: str) -> str:
        return self.run("return document.querySelector(arguments[0]).innerText", selector)

    def texts(self, selector: str) -> list[str]:
        return self.run(
            "return [...document.querySelectorAll(arguments[0])]"
            ".map((each) => each.innerText.replaceAll('\u00a0', ' '))",
            selector,
        )

    def click(self, selector: str) -> None:
        """Press the mouse in the middle of an element, as a hand would."""
        x, y = self.run(
            "const each = document.querySelector(arguments[0]); each.scrollIntoView({block: 'nearest'});"
            "const box = each.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]",
            selector,
        )
        self.mouse("mousePressed", x, y)
        self.mouse("mouseReleased", x, y)

    def mouse(self, kind: str, x: float, y: float, **rest: object) -> None:
        pressed = {"button": "left", "clickCount": 1} if kind in {"mousePressed", "mouseReleased"} else {}
        self.cdp("Input.dispatchMouseEvent", type=kind, x=x, y=y, **(pressed | rest))

    def key(self, key: str) -> None:
        # The browser's own keys need their number as well.
        code = {"Tab": 9, "Enter": 13}.get(key, 0)
        for kind in ("keyDown", "keyUp"):
            self.cdp("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code)

    def errors(self) -> list[str]:
        """Everything the console was told since the page was opened."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """The addresses asked for since the page was opened."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]

    def shot(self) -> QImage:
        """What is on the screen."""
        image = QImage.fromData(base64.b64decode(self.cdp("Page.captureScreenshot", format="png")["data"]))
        assert not image.isNull()
        return image


def saved(run: Run, folder: Path) -> Path:
    save_page(run, folder / "run.html")
    return folder / "run.html"


def pixels(browser: Browser) -> Any:
    """What is on the screen as 0xRRGGBB, shape (height, width)."""
    image = browser.shot().convertToFormat(QImage.Format.Format_RGB32)
    values = np.frombuffer(image.constBits().asarray(image.sizeInBytes()), dtype=np.uint32)
    return values.reshape(image.height(), image.width()) & 0xFFFFFF


def vivid(image: Any) -> Any:
    """Which pixels have a colour of their own, other than ground, grid, text and hatching."""
    channels = np.stack([image >> 16, image >> 8 & 255, image & 255]).astype(int)
    return np.ptp(channels, axis=0) > 60


def colours(browser: Browser) -> dict[str, int]:
    """How often each colour is on the screen, by `#rrggbb`."""
    names, counts = np.unique(pixels(browser), return_counts=True)
    return {f"#{name:06x}": int(count) for name, count in zip(names, counts, strict=True)}


def wait_for(browser: Browser, **expected: str) -> dict[str, str]:
    """Return what the chart says it shows as soon as that is what is expected."""
    return browser.until(lambda: shown if expected.items() <= (shown := browser.chart()).items() else None)


def pane_of(browser: Browser) -> tuple[float, float, float]:
    """Where the candles are: left, top and width in pixels."""
    return browser.run(
        "const box = document.querySelector('#chart canvas').getBoundingClientRect(); return [box.x, box.y, box.width]"
    )


def rectangles(browser: Browser, selector: str) -> list[list[int]]:
    """Left, top, right and bottom of elements, whole pixels."""
    return browser.run(
        "return [...document.querySelectorAll(arguments[0])].map((each) => { const box = each.getBoundingClientRect();"
        "return [box.left, box.top, box.right, box.bottom].map(Math.round); })",
        selector,
    )


def hide_legends(browser: Browser) -> None:
    browser.run("for (const each of document.querySelectorAll('.legend')) each.style.visibility = 'hidden'")


@contextmanager
def open_browser() -> Generator[Browser]:
    """Start a browser; without one, skip, or fail where it was promised."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    missing += [] if find_spec("selenium") else ["selenium"]
    if missing and os.environ.get("NT_RUN_REQUIRE_DISPLAY") == "1":
        pytest.fail(f"NT_RUN_REQUIRE_DISPLAY=1, and {' and '.join(missing)} cannot be found")
    if missing:
        pytest.skip(f"no {' and '.join(missing)}")
    from selenium import webdriver  # noqa: PLC0415 - without it the tests are passed over
    from selenium.webdriver.chrome.options import Options  # noqa: PLC0415
    from selenium.webdriver.chrome.service import Service  # noqa: PLC0415

    options = Options()
    options.binary_location = shutil.which("chromium") or ""
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
