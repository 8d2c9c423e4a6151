"""Whether a chart can be drawn here, decided before Qt is imported.

Qt aborts the whole process when its display or one of its libraries is missing, and finplot leaves it without a word
under some locales. Both are found out first and told as a `ChartError`.
"""

import contextlib
import locale
import os
import subprocess
import sys
import warnings
from collections.abc import Generator

from nt_run.errors import ChartError

OFFSCREEN_PACKAGES = "libglib2.0-0 libegl1 libgl1 libxkbcommon0 libdbus-1-3 libfontconfig1"
WINDOW_PACKAGES = (
    "libxcb-cursor0 libx11-xcb1 libxkbcommon-x11-0 libxcb-icccm4 libxcb-keysyms1 libxcb-image0 libxcb-render-util0 "
    "libxcb-randr0 libxcb-shape0 libxcb-xkb1 libxcb-xfixes0 libxcb-sync1 libxcb-shm0 libxcb-render0"
)
"""Debian packages Qt needs to draw without a screen, and in addition for a window under X11."""
OTHER_WAYS = (
    "A page or a picture needs no screen: --html FILE.html, --save FILE.png, "
    'in a notebook plot(run, save="run.html") or plot(run, save="run.png").'
)

_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
_PLATFORM = "QT_QPA_PLATFORM"
_LOCALE = "LC_ALL"
_REFUSED = ("ru", "be")
_PROBE = "from PyQt6.QtWidgets import QApplication; QApplication(['probe'])"
_PROBE_SECONDS = 30
_STORY_LINES = 4
_NO_SERVER = "could not connect to display"
"""What Qt says of it first; it goes on with libraries, which are there."""


def has_display() -> bool:
    """Return whether a window has somewhere to go; whether it can open there is found out when it is tried."""
    return not sys.platform.startswith("linux") or any(os.environ.get(name) for name in _DISPLAYS)


def prepare_offscreen() -> None:
    """Make Qt draw without a screen. Call before anything imports Qt; one that runs stays as it is."""
    if "PyQt6.QtWidgets" not in sys.modules:
        os.environ[_PLATFORM] = "offscreen"


def prepare_window() -> None:
    """Make sure that a window can open, trying it once in a child process. Call before anything imports Qt.

    Raises:
        ChartError: There is no display, Qt cannot use it, or finplot would end the process under this locale.
    """
    _refuse_locale()
    if not has_display():
        raise ChartError(f"There is no display to open a window on.\n{OTHER_WAYS}")
    _probe()


def probe_offscreen() -> None:
    """Make sure that Qt can draw without a screen, trying it once in a child process; nothing here changes by it.

    Raises:
        ChartError: It cannot.
    """
    _probe({**os.environ, _PLATFORM: "offscreen"})


def probe_finplot() -> None:
    """Make sure that finplot, which draws the window, can be imported, trying it once in a child process.

    Raises:
        ChartError: It cannot.
    """
    command, env = [sys.executable, "-c", "import finplot"], {**os.environ, _PLATFORM: "offscreen"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)  # noqa: S603 - our own line
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it ends the process without a word"])[-1]
        raise ChartError(f"finplot cannot be imported: {reason}\npip install --force-reinstall finplot")


def missing_library(reason: str) -> ChartError:
    """Return the error for a system library that Qt could not load; `reason` is the loader's own story."""
    return ChartError(
        f"Qt cannot be loaded: {reason}.\n"
        f"On Debian or Ubuntu: apt-get install -y {OFFSCREEN_PACKAGES}\n"
        "With these, pictures are drawn without a screen: --save FILE.png. A page needs none of them: --html FILE.html"
    )


@contextlib.contextmanager
def plain_locale() -> Generator[None]:
    """Let what is imported meanwhile find the plain locale in the environment: a picture has no words of any language.

    finplot looks there once, when it is imported, and ends the process under some locales.
    """
    before = os.environ.get(_LOCALE)
    os.environ[_LOCALE] = "C.UTF-8"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_LOCALE]
        else:
            os.environ[_LOCALE] = before


def _refuse_locale() -> None:
    with warnings.catch_warnings():
        # finplot asks the same deprecated function, and only its answer counts.
        warnings.simplefilter("ignore", DeprecationWarning)
        code = None
        with contextlib.suppress(ValueError):
            code, _ = locale.getdefaultlocale()
    if code is not None and any(part in code.lower() for part in _REFUSED):
        raise ChartError(
            f"finplot, which draws the window, refuses to start under the locale {code}.\n"
            "Set another one, for the chart alone: LC_ALL=C.UTF-8 nt-run chart\n"
            "Pictures and pages are drawn under any: nt-run chart --save FILE.png, nt-run chart --html FILE.html"
        )


def _probe(env: dict[str, str] | None = None) -> None:
    command = [sys.executable, "-c", _PROBE]
    try:
        done = subprocess.run(  # noqa: S603 – our own interpreter and our own line
            command, capture_output=True, text=True, timeout=_PROBE_SECONDS, check=False, env=env
        )
    except subprocess.TimeoutExpired as exc:
        raise ChartError(f"The display did not answer within {_PROBE_SECONDS} s.\n{OTHER_WAYS}") from exc
    if done.returncode == 0:
        return
    story = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    if story and story[-1].startswith("ImportError"):
        raise missing_library(story[-1].removeprefix("ImportError: "))
    if any(_NO_SERVER in line for line in story):
        named = [f"{name}={os.environ[name]}" for name in _DISPLAYS if os.environ.get(name)]
        raise ChartError(
            f"No display answers at {', '.join(named)}: a window needs a running X server or Wayland compositor.\n"
            f"{OTHER_WAYS}"
        )
    told = "\n".join(f"  {line}" for line in story[:_STORY_LINES])
    raise ChartError(
        f"Qt cannot open a window on this display.\n{told}\n"
        f"If libraries are missing, on Debian or Ubuntu: apt-get install -y {WINDOW_PACKAGES}\n{OTHER_WAYS}"
    )
