import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Child = Callable[..., subprocess.CompletedProcess[str]]

PREPARE = """
from nt_run.chart.display import prepare_{what}
from nt_run.errors import ChartError
try:
    prepare_{what}()
except ChartError as error:
    print(error)
    raise SystemExit(error.exit_code)
"""


def test_no_display_is_an_error_that_offers_a_page_and_a_picture(run_child: Child) -> None:
    child = run_child(PREPARE.format(what="window"), DISPLAY=None, WAYLAND_DISPLAY=None, QT_QPA_PLATFORM=None)
    assert child.returncode == 7
    assert "no display" in child.stdout
    assert "--save FILE.png" in child.stdout
    assert "--html FILE.html" in child.stdout
    assert 'plot(run, save="run.html")' in child.stdout


def test_a_display_that_does_not_answer_is_named_first_and_no_library_is(run_child: Child) -> None:
    child = run_child(PREPARE.format(what="window"), DISPLAY=":987", WAYLAND_DISPLAY=None, QT_QPA_PLATFORM=None)
    assert child.returncode == 7
    assert child.stdout.startswith("No display answers at DISPLAY=:987: a window needs a running X server")
    assert "--save" in child.stdout
    assert "apt-get" not in child.stdout
    assert "xcb-cursor" not in child.stdout


@pytest.mark.parametrize("code", ["nl_BE.UTF-8", "ru_RU.UTF-8", "fr_BE.UTF-8", "be_BY.UTF-8"])
def test_a_locale_that_finplot_refuses_is_told_before_finplot_ends_the_process(run_child: Child, code: str) -> None:
    child = run_child(PREPARE.format(what="window"), LC_ALL=code)
    assert child.returncode == 7
    assert code.split(".", maxsplit=1)[0] in child.stdout
    assert "LC_ALL=C.UTF-8" in child.stdout
    assert "nt-run chart --save FILE.png" in child.stdout
    assert "nt-run chart --html FILE.html" in child.stdout


def test_pictures_are_drawn_under_every_locale_which_stays_as_it_is(run_child: Child, tmp_path: Path) -> None:
    code = (
        "import os, sys\nsys.path.insert(0, {tests!r})\nfrom pathlib import Path\n"
        "from chart.made_up_runs import make_klines, make_run\n"
        "from nt_run.chart.scene import save_png\nfrom nt_run.chart.view import chart_data\n"
        "save_png(chart_data(make_run(make_klines(60), 2)), Path({file!r}), (640, 400))\n"
        "print(os.environ['LC_ALL'])"
    )
    pictures = []
    for locale in ("ru_RU.UTF-8", "C.UTF-8"):
        file = tmp_path / f"{locale}.png"
        child = run_child(code.format(tests=str(Path(__file__).parents[1]), file=str(file)), LC_ALL=locale)
        assert (child.returncode, child.stdout.strip()) == (0, locale), child.stderr
        pictures.append(file.read_bytes())
    assert pictures[0] == pictures[1]


def test_pictures_need_no_display(run_child: Child) -> None:
    code = PREPARE.format(what="offscreen") + "from PyQt6.QtWidgets import QApplication; QApplication([])"
    assert run_child(code, DISPLAY=None, WAYLAND_DISPLAY=None, QT_QPA_PLATFORM=None).returncode == 0


def test_preparing_the_arrays_of_a_chart_loads_no_vendor(run_child: Child) -> None:
    code = (
        "import sys, nt_run.chart.view, nt_run.chart.scene, nt_run.chart.captions, nt_run.chart.draw\n"
        "assert not {'PyQt6', 'finplot', 'pyqtgraph', 'pandas', 'nautilus_trader'} & set(sys.modules)"
    )
    child = run_child(code)
    assert child.returncode == 0, child.stderr


def test_the_scene_needs_neither_store_nor_network_nor_engine(run_child: Child) -> None:
    code = (
        "import sys, nt_run.chart.display as display; display.prepare_offscreen()\n"
        "import nt_run.chart.showing\n"
        "names = {'nautilus_trader', 'requests', 'nt_run.data', 'nt_run.engine', 'nt_run.strategies'}\n"
        "assert not names & set(sys.modules)"
    )
    child = run_child(code)
    assert child.returncode == 0, child.stderr


def test_a_missing_library_names_the_packages() -> None:
    from nt_run.chart.display import missing_library  # noqa: PLC0415 – nothing of Qt is loaded by it

    message = str(missing_library("libGL.so.1: cannot open shared object file"))
    assert "libGL.so.1" in message
    assert "apt-get install -y" in message
    assert "libgl1" in message
    assert "A page needs none of them: --html FILE.html" in message
