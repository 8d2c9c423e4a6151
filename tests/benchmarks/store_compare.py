"""A year of 1m bars from the cache: this store next to crypto-kline-vision-data 4.6.1, in turn, on the same rows.

Run it with `python tests/benchmarks/store_compare.py`. The other package gets an environment of its own, made here with
pip in a temporary folder, for it cannot share ours; its cache is filled by its own `save_to_cache`. Every reading is a
process of its own: time begins when everything is imported and ends with a frame of floats, peak memory is that of the
whole process. `read` means the sha256 of every file and then its rows, `loaded` what a run does: gaps, certificate and
fingerprint as well.

Its `get_data` has rows from its cache as a polars frame only: as a pandas frame, its default, every price is NaN, for
two time units are mixed up on the way.
"""

import argparse
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import polars as pl
from store_read import END, INTERVAL, YEAR, year_of_bars

from nt_run.data.kline_store import KlineStore
from nt_run.data.manifest import Source

OTHER = "crypto-kline-vision-data==4.6.1"
UNDECLARED = "orjson"
"""Imported by the other package, which does not say so."""
NAMES = {"quote_volume": "quote_asset_volume", "trades": "count"}

TIMED = """
import resource, sys, time
def report(work):
    wall, cpu = time.perf_counter(), time.process_time()
    frame = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    close = frame["close"]
    print(wall, cpu, peak / 1e6, len(frame), round(float(close.sum()), 2))
"""
READ_OURS = """
from pathlib import Path
from nt_run.data.kline_store import KlineStore
from nt_run.model import Interval, TimeRange
store = KlineStore(Path(sys.argv[1]), "BTCUSDT", Interval("1m"), repair=False)
time_range = TimeRange(int(sys.argv[2]), int(sys.argv[3]))
report(lambda: store.read(time_range).floats())
"""
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
from datetime import UTC, datetime, timedelta
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
    """What one process printed: seconds, seconds of CPU, MB at its peak, rows, and the sum of all closes."""

    wall: float
    cpu: float
    peak: float
    rows: int
    closes: float


def run(python: Path | str, code: str, *arguments: object) -> str:
    command = [str(python), "-c", TIMED + code, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def read(python: Path | str, code: str, root: Path) -> Reading:
    wall, cpu, peak, rows, closes = run(python, code, root, YEAR.start_ms, YEAR.end_ms).split()[-5:]
    return Reading(float(wall), float(cpu), float(peak), int(rows), float(closes))


def other_python(folder: Path) -> Path:
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", OTHER, UNDECLARED], check=True, stderr=subprocess.DEVNULL)
    return python


def fill(ours: Path, theirs: Path, python: Path, folder: Path) -> None:
    """Put the same rows into both caches, each by its own code."""
    klines = year_of_bars()
    source = Source(kind="rest", key="benchmark", fetched_at_ms=0, rows=0)
    KlineStore(ours, "BTCUSDT", INTERVAL, repair=True).commit(klines, source=source, now_ms=END + 86_400_000)
    floats = klines.floats().rename(NAMES)
    # In nanoseconds, as its own readers of the archive make them.
    opened = pl.col("open_time").dt.cast_time_unit("ns")
    closed = opened + pl.duration(milliseconds=INTERVAL.ms - 1)
    floats.with_columns(opened, closed.alias("close_time")).write_parquet(folder / "rows.parquet")
    run(python, THEIRS + FILL_THEIRS, theirs, YEAR.start_ms, YEAR.end_ms, folder / "rows.parquet")


def size(root: Path) -> int:
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours, theirs = folder / "ours", folder / "theirs"
        python = other_python(folder / "venv")
        fill(ours, theirs, python, folder)
        mine, other = f"nt-run, {len(list(ours.rglob('*.parquet')))} files", OTHER.replace("==", " ")
        jobs: dict[str, Callable[[], Reading]] = {
            f"{mine}, read": lambda: read(sys.executable, READ_OURS, ours),
            f"{mine}, loaded": lambda: read(sys.executable, LOAD_OURS, ours),
            other: lambda: read(python, THEIRS + READ_THEIRS, theirs),
        }
        readings = [{what: job() for what, job in jobs.items()} for _ in range(rounds)]
        if len({(one.rows, one.closes) for each in readings for one in each.values()}) != 1:
            raise SystemExit(f"not the same rows: {readings[0]}")
        show(readings, {what: size(theirs if what == other else ours) for what in jobs}, other)


def show(readings: list[dict[str, Reading]], sizes: dict[str, int], other: str) -> None:
    print(f"{readings[0][other].rows:,} rows from the cache, medians of {len(readings)} rounds in turn")
    print(f"{'':<32} {'s':>7} {'CPU s':>7} {'peak MB':>8} {'disk MB':>8}   {other} takes")
    for what in readings[0]:
        wall, cpu, peak = (median(each[what][at] for each in readings) for at in range(3))
        ratios = [median(each[other][at] / each[what][at] for each in readings) for at in range(3)]
        told = f"{ratios[0]:.1f} × the time, {ratios[1]:.1f} × the CPU, {ratios[2]:.1f} × the memory"
        disk = sizes[other] / sizes[what]
        print(f"{what:<32} {wall:>7.3f} {cpu:>7.3f} {peak:>8.0f} {sizes[what] / 1e6:>8.1f}   {told}, {disk:.1f} × disk")


if __name__ == "__main__":
    main()
