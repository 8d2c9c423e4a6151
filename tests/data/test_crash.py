"""A download that is killed, at any moment, leaves a store that the next one reads and completes."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from nt_run.data.files import download_lock
from nt_run.data.kline_store import KlineStore
from nt_run.data.loader import MarketData
from nt_run.data.manifest import Source
from nt_run.data.selection import Selection
from nt_run.data.store import Series
from nt_run.demo import DEMO_NOW_MS, DemoExchange
from nt_run.klines import Klines
from nt_run.model import Interval, TimeRange

DAY = 86_400_000
END = DEMO_NOW_MS // 60_000 * 60_000
RANGE = TimeRange(END - 45 * DAY, END)
KILLS = 26
"""For each of two sources."""
LONGEST_S = 0.7

# It is ready when everything is imported and connected, and begins when it is told into which folder.
CODE = """
import sys
from pathlib import Path
import nt_run.data.download as download
import pyarrow.parquet
from nt_run.data.loader import MarketData
from nt_run.model import Interval, TimeRange
download._PAGES_A_COMMIT = 2
rest_url, archive_url, start, end = sys.argv[1:]
print("ready", flush=True)
with MarketData(Path(sys.stdin.readline().strip()), rest_url, archive_url or None) as data:
    data.load_klines("BTCUSDT", Interval("1m"), TimeRange(int(start), int(end)))
print("done", flush=True)
"""


@contextmanager
def downloads(arguments: list[str]) -> Iterator[Iterator[subprocess.Popen[str]]]:
    """Processes that wait for the folder to fill; the next one warms up while one is at work."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-c", CODE, *arguments]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return started[-1]

    def supply() -> Iterator[subprocess.Popen[str]]:
        waiting = start()
        while True:
            ready, waiting = waiting, start()
            assert ready.stdout is not None
            ready.stdout.readline()
            yield ready

    try:
        yield supply()
    finally:
        for process in started:
            process.kill()
            process.communicate()


def kill_in_the_middle(process: subprocess.Popen[str], root: Path, seconds: float) -> bool:
    """Return whether the download was still under way when it was killed; one that failed by itself is no kill."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{root}\n")
    process.stdin.flush()
    time.sleep(seconds)
    process.kill()
    said = process.communicate()[0]
    assert process.returncode in (0, -signal.SIGKILL)
    return said == ""


class Killed(BaseException):
    """Stands for the end of the process: nothing that would tidy up an error runs after it."""


@pytest.mark.parametrize("moment", ["locked", "first file written", "second file written"])
def test_a_download_that_ends_before_its_first_manifest_leaves_a_sound_cache(
    tmp_path: Path, klines: Callable[..., Klines], rest_source: Source, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    store = KlineStore(tmp_path, "BTCUSDT", Interval("1m"), repair=True)
    two_days = klines(1_738_281_600_000, 2 * 1440)  # 2025-01-31 and 2025-02-01: two months, two files
    put, files = Series.put, moment.partition(" ")[0]

    def last_put(series: Series, *args: Any) -> None:
        put(series, *args)
        if len(list(series.folder.glob("*.parquet"))) == {"first": 1, "second": 2}[files]:
            raise Killed

    with suppress(Killed), download_lock(store.series.folder, lambda: None):
        if moment == "locked":
            raise Killed
        monkeypatch.setattr(Series, "put", last_put)
        store.commit(two_days, source=rest_source, now_ms=END)
    monkeypatch.undo()
    with MarketData(tmp_path, "http://127.0.0.1:9", offline=True) as data:
        assert data.verify(Selection()).problems == []
    assert len(store.read(RANGE)) == 0
    store.commit(two_days, source=rest_source, now_ms=END)
    assert store.read(two_days.range).floats().equals(two_days.floats())


@pytest.mark.parametrize("source", ["archive", "rest"])
def test_a_download_killed_at_random_moments_is_completed_by_the_next(tmp_path: Path, source: str) -> None:
    chance = random.Random(7)
    roots = [tmp_path / "0"]
    killed = 0
    with DemoExchange(weight_limit=1_000_000) as exchange:
        archive_url = exchange.archive_url if source == "archive" else None
        arguments = [exchange.rest_url, archive_url or "", str(RANGE.start_ms), str(RANGE.end_ms)]
        with downloads(arguments) as processes:
            while killed < KILLS:
                in_time = kill_in_the_middle(next(processes), roots[-1], chance.uniform(0, LONGEST_S))
                killed += in_time
                with MarketData(roots[-1], exchange.rest_url, offline=True) as data:
                    assert data.verify(Selection()).problems == []
                if not in_time:
                    roots.append(tmp_path / str(len(roots)))
        loaded = [load(root, exchange.rest_url, archive_url) for root in (*roots, tmp_path / "undisturbed")]
    assert {one[0] for one in loaded} == {loaded[-1][0]}
    assert all(requests <= loaded[-1][1] for _, requests in loaded)


def load(root: Path, rest_url: str, archive_url: str | None) -> tuple[str, int]:
    """Complete a cache, and return the fingerprint and how many things REST was asked for."""
    with MarketData(root, rest_url, archive_url) as data:
        # A busy machine may need a second attempt at a request; what counts is what is asked for.
        rest = data._sources.rest()
        with patch.object(rest, "_get", wraps=rest._get) as asked:
            loaded = data.load_klines("BTCUSDT", Interval("1m"), RANGE)
        assert data.verify(Selection()).problems == []
    assert loaded.certificate.gaps == []
    assert loaded.warnings == []
    assert len(loaded.klines) == 45 * 1440
    return loaded.certificate.fingerprint, asked.call_count
