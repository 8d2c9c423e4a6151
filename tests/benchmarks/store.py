"""The market-data store in one table: next to another package, next to plain polars, and by REST alone.

Run it with `python tests/benchmarks/store.py`. It is about a year of 1m bars of the embedded exchange. All that is
compared is done in turn, `--rounds` times over; shown are medians, and of two things the median of the rounds' ratios.

*Reading* is next to crypto-kline-vision-data 4.6.1 on the same rows from its own cache, which its own `save_to_cache`
filled. It gets an environment of its own, made here with pip in a temporary folder, for it cannot share ours. Every
reading is a process of its own: time begins when everything is imported and ends with a frame. `again` is a second
reading in that process, when what is imported or set up on first use is there. Peak memory is that of the process.
`read` means the sha256 of every file and then its rows, as the exact integers that a run works with; `as floats` makes
of them the frame of floats that the other package gives; `loaded` is what a run does, gaps, certificate and fingerprint
as well, and then floats. The other package's `get_data` has rows from its cache as a polars frame only: as a pandas
frame, its default, every price is NaN, for two time units are mixed up on the way.

*Filling* is next to what polars needs for the same zips in memory: unpack and parse, no checksum, no check, nothing
stored. There the exchange is a process of its own, so what it costs is not counted. Requests and weight of REST are
what the exchange counted.
"""

import argparse
import io
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
import zipfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import polars as pl

from nt_run.data.loader import MarketData
from nt_run.data.selection import Selection
from nt_run.demo import DEMO_START_MS, DemoExchange
from nt_run.model import Interval, TimeRange

DAY = 86_400_000
YEAR = TimeRange(DEMO_START_MS, DEMO_START_MS + 365 * DAY)
INTERVAL = Interval("1m")
ROWS = YEAR.bars(INTERVAL)

OTHER = "crypto-kline-vision-data==4.6.1"
UNDECLARED = "orjson"
"""Imported by the other package, which does not say so."""
NAMES = {"quote_volume": "quote_asset_volume", "trades": "count"}

TIMED = """
import sys, time
def peak():
    # The kernel's own mark of this program: what getrusage says may be that of the process it was started from.
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return float(status["VmHWM"].split()[0]) * 1024
def report(work, closes=lambda rows: rows["close"]):
    peaks = []
    for _ in range(2):
        wall, cpu = time.perf_counter(), time.process_time()
        rows = work()
        print(time.perf_counter() - wall, time.process_time() - cpu)
        peaks.append(peak())
    print(peaks[0] / 1e6, len(rows), round(float(closes(rows).sum()), 2))
"""
READ_OURS = """
from pathlib import Path
from nt_run.data.kline_store import KlineStore
from nt_run.model import Interval, TimeRange
store = KlineStore(Path(sys.argv[1]), "BTCUSDT", Interval("1m"), repair=False)
time_range = TimeRange(int(sys.argv[2]), int(sys.argv[3]))
"""
AS_INTEGERS = 'report(lambda: store.read(time_range), lambda rows: rows.column("close"))'
AS_FLOATS = "report(lambda: store.read(time_range).floats())"
LOAD_OURS = """
from pathlib import Path
from nt_run.data.loader import MarketData
from nt_run.model import Interval, TimeRange
root, start, end = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
def read():
    with MarketData(root, rest_url="http://127.0.0.1:9", offline=True) as data:
        return data.load_klines("BTCUSDT", Interval("1m"), TimeRange(start, end)).klines.floats()
report(read)
"""
THEIRS = """
from datetime import UTC, datetime
from pathlib import Path
import pandas as pd
from ckvd import ChartType, CryptoKlineVisionData, DataProvider, Interval, MarketType
from ckvd.core.sync.crypto_kline_vision_data import DataSource
root, start, end = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
first, last = (datetime.fromtimestamp(time / 1000, UTC) for time in (start, end))
"""
FILL_THEIRS = """
from ckvd.utils.for_core.ckvd_cache_utils import save_to_cache
rows = pd.read_parquet(sys.argv[4])
assert save_to_cache(rows, "BTCUSDT", Interval.MINUTE_1, MarketType.FUTURES_USDT, root)
"""
READ_THEIRS = """
client = CryptoKlineVisionData.create(DataProvider.BINANCE, MarketType.FUTURES_USDT, cache_dir=root, quiet_mode=True)
report(lambda: client.get_data(
    symbol="BTCUSDT", start_time=first, end_time=last, interval=Interval.MINUTE_1,
    enforce_source=DataSource.CACHE, return_polars=True,
))
"""


class Reading(NamedTuple):
    """What one process printed: seconds, CPU seconds, both of a second reading, MB at its peak, rows, sum of closes."""

    wall: float
    cpu: float
    wall_again: float
    cpu_again: float
    peak: float
    rows: int
    closes: float


class Line(NamedTuple):
    """One line of the table; `other` is what `ours` is held against, round by round."""

    what: str
    ours: list[float]
    other: list[float]
    aim: str
    form: str = ",.2f"

    def cells(self) -> list[str]:
        pairs = zip(self.ours, self.other, strict=True) if self.other else ()
        ratios = [other / ours for ours, other in pairs]
        if ratios:
            ratio = median(ratios)
            told = f"{ratio:.1f} × less" if ratio >= 1 else f"{1 / ratio:.2f} × as much"
        else:
            told = ""
        shown = [f"{median(each):{self.form}}" if each else "" for each in (self.ours, self.other)]
        return [self.what, *shown, told, self.aim]


def timed(work: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def run(python: Path | str, code: str, *arguments: object) -> str:
    command = [str(python), "-c", TIMED + code, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def read(python: Path | str, code: str, root: Path) -> Reading:
    *seconds, peak, rows, closes = run(python, code, root, YEAR.start_ms, YEAR.end_ms).split()[-7:]
    wall, cpu, wall_again, cpu_again = map(float, seconds)
    return Reading(wall, cpu, wall_again, cpu_again, float(peak), int(rows), float(closes))


def size(root: Path) -> float:
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) / 1e6


def reading(root: Path, folder: Path, rounds: int) -> Iterator[Line]:
    """This store next to the other package."""
    theirs, python = folder / "theirs", folder / "venv/bin/python"
    venv.create(folder / "venv", with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "-q", OTHER, UNDECLARED], check=True, stderr=subprocess.DEVNULL)
    fill_theirs(root, theirs, python)
    jobs = {
        "read": lambda: read(sys.executable, READ_OURS + AS_INTEGERS, root),
        "read as floats": lambda: read(sys.executable, READ_OURS + AS_FLOATS, root),
        "loaded": lambda: read(sys.executable, LOAD_OURS, root),
        "theirs": lambda: read(python, THEIRS + READ_THEIRS, theirs),
    }
    taken = [{name: job() for name, job in jobs.items()} for _ in range(rounds)]
    if len({(one.rows, one.closes) for each in taken for one in each.values()}) != 1:
        raise SystemExit(f"not the same rows: {taken[0]}")

    def line(what: str, name: str, column: str, aim: str = "", form: str = ",.2f") -> Line:
        ours, other = ([float(getattr(each[of], column)) for each in taken] for of in (name, "theirs"))
        return Line(what, ours, other, aim, form)

    for name in ("read", "read as floats", "loaded"):
        yield line(f"{name}, s", name, "wall", "20 × less" if name == "read" else "")
        yield line(f"{name}, CPU s", name, "cpu")
        yield line(f"{name} again, s", name, "wall_again")
        yield line(f"{name} again, CPU s", name, "cpu_again")
    yield line("loaded, peak memory, MB", "loaded", "peak", "2 × less", ",.0f")
    yield Line("on disk, MB", [size(root)], [size(theirs)], "4 × less", ",.1f")


def fill_theirs(ours: Path, theirs: Path, python: Path) -> None:
    """Put the rows of our store into the other cache, by its own code."""
    with MarketData(ours, "http://127.0.0.1:9", offline=True) as data:
        floats = data.load_klines("BTCUSDT", INTERVAL, YEAR).klines.floats().rename(NAMES)
    # In nanoseconds, as its own readers of the archive make them.
    opened = pl.col("open_time").dt.cast_time_unit("ns")
    closed = opened + pl.duration(milliseconds=INTERVAL.ms - 1)
    rows = theirs.with_suffix(".parquet")
    floats.with_columns(opened, closed.alias("close_time")).write_parquet(rows)
    run(python, THEIRS + FILL_THEIRS, theirs, YEAR.start_ms, YEAR.end_ms, rows)


@contextmanager
def exchange_apart() -> Generator[str]:
    """An exchange in a process of its own, by its address."""
    command = [sys.executable, "-m", "nt_run.demo", "--weight-limit", "1000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip().partition("=")[2]
        finally:
            process.terminate()


def filling(url: str, folder: Path, rounds: int) -> Iterator[Line]:
    """The archive into the store, and its verification; the store filled first stays in `folder/0`."""
    base = f"{url}/data/futures/um/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2025-"
    zips = [urllib.request.urlopen(f"{base}{month:02}.zip").read() for month in range(1, 13)]  # noqa: S310 - loopback
    ours: list[float] = []
    floor: list[float] = []
    checks: list[float] = []
    for number in range(rounds):
        floor.append(timed(lambda: read_plainly(zips))[1] / ROWS * 1e6)
        with MarketData(folder / str(number), url, url) as data:
            data.server_time_ms()  # connecting and its imports are no part of the comparison
            fill = timed(lambda data=data: data.load_klines("BTCUSDT", INTERVAL, YEAR))
            ours.append(fill[1] / ROWS * 1e6)
            checks.append(timed(lambda data=data: data.verify(Selection()))[0])
    yield Line("filled from the archive, CPU s a million rows", ours, floor, "at most 2 × as much")
    yield Line("verify, s", checks, [], "at most 0.5")


def read_plainly(zips: list[bytes]) -> int:
    rows = 0
    for content in zips:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            rows += pl.read_csv(archive.read(archive.namelist()[0])).height
    return rows


def asking(folder: Path) -> Iterator[Line]:
    """REST alone, by the exchange's own count."""
    with DemoExchange(weight_limit=1_000_000) as exchange:
        with MarketData(folder / "rest", exchange.rest_url) as data:
            data.load_klines("BTCUSDT", INTERVAL, YEAR)
        yield Line("by REST alone, requests", [len(exchange.requests)], [], "at most 1,060", ",.0f")
        yield Line("by REST alone, weight", [exchange.weight], [], "at most 2,120", ",.0f")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with exchange_apart() as url:
            lines = list(filling(url, folder, rounds))
        lines = [*reading(folder / "0", folder, rounds), *lines, *asking(folder)]
    print(
        f"{ROWS:,} rows, medians of {rounds} rounds in turn; the other: {OTHER.replace('==', ' ')}, or plain polars\n"
    )
    print("| a year of minutes | this store | the other | ratio | aim |\n|---|---|---|---|---|")
    for line in lines:
        print(f"| {' | '.join(line.cells())} |")


if __name__ == "__main__":
    main()
