import os
import subprocess
import sys
from collections.abc import Callable, Generator

import pytest

from chart.browser import Browser, open_browser
from chart.made_up_runs import make_klines, make_run
from nt_run.chart.view import ChartData, chart_data


@pytest.fixture
def data() -> ChartData:
    return chart_data(make_run(make_klines(180)))


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    with open_browser() as found:
        yield found


@pytest.fixture
def run_child() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run lines of Python in a fresh interpreter, with variables set or, where `None`, unset."""

    def run(code: str, **changes: str | None) -> subprocess.CompletedProcess[str]:
        env = {name: value for name, value in os.environ.items() if name not in changes}
        env |= {name: value for name, value in changes.items() if value is not None}
        return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)

    return run
