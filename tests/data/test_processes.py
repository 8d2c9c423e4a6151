"""Several processes on one store: writers and readers at once, and two runs that want the same new range."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from nt_run.data.kline_store import KlineStore
from nt_run.data.loader import MarketData
from nt_run.data.selection import Selection
from nt_run.demo import DEMO_START_MS, DemoExchange, SyntheticMarket
from nt_run.klines import DAY_MS
from nt_run.model import Interval, TimeRange, parse_time

MINUTES = Interval("1m")
WHOLE = TimeRange(DEMO_START_MS, DEMO_START_MS + 40 * DAY_MS)
MAY = TimeRange(parse_time("2026-05-01"), parse_time("2026-06-01"))

# A writer puts in pieces of one length, beginning at either end; a reader reads as often as it is told. Both compare
# with the market itself, which is the same in every process.
COMMON = """
import sys
from pathlib import Path
import numpy as np
import polars as pl
from nt_run.data.kline_store import KlineStore
from nt_run.data.manifest import Source
from nt_run.demo import SyntheticMarket
from nt_run.klines import SCHEMA, Exponents, Klines
from nt_run.model import Interval, TimeRange

root, start, end, step, turn = Path(sys.argv[1]), *map(int, sys.argv[2:])
candles = SyntheticMarket("BTCUSDT").candles("klines", start, end)
columns = {name: getattr(candles, name.replace("taker_buy", "taker")) for name in SCHEMA}
frame = pl.DataFrame(columns).cast({"open_time": SCHEMA["open_time"]})
whole = Klines("BTCUSDT", Interval("1m"), Exponents(*candles.decimals), frame)
store = KlineStore(root, "BTCUSDT", Interval("1m"), repair=False)
print("ready", flush=True)
sys.stdin.readline()
"""
WRITER = """
source = Source(kind="rest", key="a test", fetched_at_ms=0, rows=0)
for first in list(range(start, end, step))[::turn]:
    piece = TimeRange(max(start, first - 7 * 60_000), min(first + step, end))
    store.commit(whole.within(piece), source=source, now_ms=end + turn)
print("written")
"""
READER = """
seen = 0
for _ in range(turn):
    read = store.read(whole.range)
    at = np.isin(whole.open_times(), read.open_times())
    assert read.floats().equals(whole.floats().filter(at)), "other rows than were written"
    assert len(read) >= seen, "rows are gone that were there"
    seen = len(read)
print("read", turn)
"""


@contextmanager
def at_once(commands: Sequence[Sequence[object]]) -> Iterator[list[str]]:
    """Start processes, let all begin when all are ready, and give what they print after that."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", *map(str, command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for command in commands
    ]
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in started:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        yield [process.communicate()[0].strip() for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()


@pytest.mark.parametrize("steps", [(10 * 3_600_000, 13 * 3_600_000), (DAY_MS, DAY_MS + 17 * 60_000)])
def test_two_writers_and_three_readers_disturb_nobody(tmp_path: Path, steps: tuple[int, int]) -> None:
    where = (tmp_path, WHOLE.start_ms, WHOLE.end_ms)
    writers = [(COMMON + WRITER, *where, step, turn) for step, turn in zip(steps, (1, -1), strict=True)]
    readers = [(COMMON + READER, *where, 0, count) for count in (60, 70, 80)]
    with at_once([*writers, *readers]) as said:
        assert said == ["written", "written", "read 60", "read 70", "read 80"]
    with MarketData(tmp_path, "http://127.0.0.1:9", offline=True) as data:
        assert data.verify(Selection()).problems == []
    read = KlineStore(tmp_path, "BTCUSDT", MINUTES, repair=False).read(WHOLE)
    candles = SyntheticMarket("BTCUSDT").candles("klines", WHOLE.start_ms, WHOLE.end_ms)
    assert read.open_times().tolist() == candles.open_time.tolist()
    assert (read.frame["close"].to_numpy() * 10 ** (2 - read.exponents.price) == candles.close).all()


BACKTEST = """
import sys
from nt_run.__main__ import run
import nt_run.cli, nt_run.pipeline
print("ready", flush=True)
sys.stdin.readline()
sys.argv[0] = "nt-run"
run()
"""


@pytest.mark.parametrize("archive", [True, False])
def test_two_backtests_of_the_same_new_range_download_it_once(tmp_path: Path, archive: bool) -> None:
    with DemoExchange(weight_limit=1_000_000) as exchange:
        nowhere = "http://127.0.0.1:9"
        options = [
            *("--start", "2026-05-01", "--end", "2026-05-16", "--cache-dir", tmp_path, "--json"),
            *("--set", f"exchange.rest_url={exchange.rest_url}"),
            *("--set", f"exchange.archive_url={exchange.archive_url if archive else nowhere}"),
        ]
        command = [BACKTEST, "backtest", "--symbol", "BTCUSDT", *options]
        with at_once([command, command]) as said:
            assert [text[:1] for text in said] == ["{", "{"]
        heavy = [one for one in exchange.requests if one.path.endswith((".zip", "/klines", "/fundingRate"))]
        asked = Counter((one.path, *sorted(one.query.items())) for one in heavy)
    twice = [what for what, times in asked.items() if times > 1]
    assert asked
    assert twice == []
