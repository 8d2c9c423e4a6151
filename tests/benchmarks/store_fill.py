"""A year of 1m bars into the store, from the embedded exchange: by archive and by REST, next to the plain reading.

Run it with `python tests/benchmarks/store_fill.py`. The exchange is a process of its own, so what it costs is not
counted. The floor is what polars needs for the same zips: unpack and parse, no checksum, no check, nothing stored.
"""

import io
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl

from nt_run.data.loader import MarketData
from nt_run.data.selection import Selection
from nt_run.demo import DEMO_START_MS
from nt_run.model import Interval, TimeRange

DAY = 86_400_000
YEAR = TimeRange(DEMO_START_MS, DEMO_START_MS + 365 * DAY)
INTERVAL = Interval("1m")
ROWS = YEAR.bars(INTERVAL)
REPEATS = 3


def timed[T](work: Callable[[], T]) -> tuple[float, float, T]:
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def zips(url: str) -> list[bytes]:
    base = f"{url}/data/futures/um/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2025-"
    return [urllib.request.urlopen(f"{base}{month:02}.zip").read() for month in range(1, 13)]  # noqa: S310 - loopback


def read_plainly(contents: list[bytes]) -> int:
    rows = 0
    for content in contents:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            rows += pl.read_csv(archive.read(archive.namelist()[0])).height
    return rows


def show(what: str, best: tuple[float, float], note: str = "") -> None:
    print(f"{what:<34} {best[0]:>8.2f} {best[1]:>8.2f} {best[1] / ROWS * 1e6:>10.2f}  {note}")


def main() -> None:
    command = [sys.executable, "-m", "nt_run.demo", "--weight-limit", "1000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as exchange:
        assert exchange.stdout is not None
        url = exchange.stdout.readline().strip().partition("=")[2]
        try:
            compare(url)
        finally:
            exchange.terminate()


def compare(url: str) -> None:
    contents = zips(url)
    print(f"{ROWS:,} rows, {sum(map(len, contents)):,} bytes of zips")
    print(f"{'seconds':<34} {'wall':>8} {'CPU':>8} {'CPU/M rows':>10}")
    plain = min((timed(lambda: read_plainly(contents))[:2] for _ in range(REPEATS)), key=lambda pair: pair[1])
    show("plain polars (the floor)", plain)
    with tempfile.TemporaryDirectory() as folder:
        fills: list[tuple[float, float]] = []
        for number in range(REPEATS):
            root = Path(folder) / str(number)
            with MarketData(root, url, url) as data:
                data.server_time_ms()  # connecting and its imports are no part of the comparison
                fills.append(timed(lambda: data.load_klines("BTCUSDT", INTERVAL, YEAR))[:2])
        best = min(fills, key=lambda pair: pair[1])
        show("archive into the store, verified", best, f"{best[1] / plain[1]:.2f} × the floor")
        with MarketData(root, url, url, offline=True) as data:
            checks = [timed(lambda: data.verify(Selection())) for _ in range(REPEATS)]
        show("verify", min(((wall, cpu) for wall, cpu, _ in checks), key=lambda pair: pair[0]))
        with MarketData(Path(folder) / "rest", url) as data:
            wall, cpu, _ = timed(lambda: data.load_klines("BTCUSDT", INTERVAL, YEAR))
            requests = data._sources.rest().requests
        show("REST alone into the store", (wall, cpu), f"{requests:,} requests")


if __name__ == "__main__":
    main()
