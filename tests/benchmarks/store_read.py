"""A year of 1m bars of the demo market: written to the store, and read back verified, some times over.

Run it with `python tests/benchmarks/store_read.py`. Reading means: manifest, bytes, sha256, decode, one frame. The row
"loaded" is what a run pays on a warm cache: the same with gaps, certificate and fingerprint.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

from nt_run.data.kline_store import KlineStore
from nt_run.data.loader import MarketData
from nt_run.data.manifest import Source
from nt_run.demo import DEMO_NOW_MS, SyntheticMarket
from nt_run.klines import SCHEMA, Exponents, Klines
from nt_run.model import Interval, TimeRange

MINUTE = 60_000
DAY = 86_400_000
END = DEMO_NOW_MS // DAY * DAY
YEAR = TimeRange(END - 365 * DAY, END)
INTERVAL = Interval("1m")
REPEATS = 7


def year_of_bars() -> Klines:
    candles = SyntheticMarket("BTCUSDT").candles("klines", YEAR.start_ms, YEAR.end_ms)
    columns = {name: getattr(candles, name.replace("taker_buy", "taker")) for name in SCHEMA}
    frame = pl.DataFrame(columns).cast({"open_time": SCHEMA["open_time"]})
    return Klines("BTCUSDT", INTERVAL, Exponents(*candles.decimals), frame)


def timed[T](work: Callable[[], T]) -> tuple[float, float, T]:
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def show(what: str, walls: list[float], cpus: list[float]) -> None:
    print(f"{what:<28} {min(walls):>8.3f} {sorted(walls)[len(walls) // 2]:>8.3f} {min(cpus):>8.3f}")


def main() -> None:
    klines = year_of_bars()
    source = Source(kind="rest", key="benchmark", fetched_at_ms=0, rows=0)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        store = KlineStore(root, "BTCUSDT", INTERVAL, repair=True)
        wall, cpu, _ = timed(lambda: store.commit(klines, source=source, now_ms=END + DAY))
        size = sum(path.stat().st_size for path in root.rglob("*.parquet"))
        print(f"{len(klines):,} rows, {size:,} bytes, {size / len(klines):.1f} bytes a row")
        print(f"{'seconds':<28} {'best':>8} {'median':>8} {'CPU':>8}")
        show("write", [wall], [cpu])
        reads = [timed(lambda: KlineStore(root, "BTCUSDT", INTERVAL, repair=False).read(YEAR)) for _ in range(REPEATS)]
        show("read verified, first", [reads[0][0]], [reads[0][1]])
        show("read verified", [one[0] for one in reads], [one[1] for one in reads])
        data = MarketData(root, rest_url="http://127.0.0.1:9", offline=True)
        loads = [timed(lambda: data.load_klines("BTCUSDT", INTERVAL, YEAR)) for _ in range(REPEATS)]
        show("loaded with certificate", [one[0] for one in loads], [one[1] for one in loads])
        floats = [timed(loads[0][2].klines.floats) for _ in range(REPEATS)]
        show("as floats", [one[0] for one in floats], [one[1] for one in floats])
        if not loads[-1][2].klines.frame.equals(klines.frame):
            raise SystemExit("what was read is not what was written")


if __name__ == "__main__":
    main()
