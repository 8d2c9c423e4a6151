"""A download that is killed, at any moment, leaves a store that the next one reads and completes."""

import random
import subprocess
import sys
import time
from pathlib import Path

from nt_run.data.loader import MarketData
from nt_run.demo import DEMO_NOW_MS, DemoExchange
from nt_run.model import Interval, TimeRange

DAY = 86_400_000
END = DEMO_NOW_MS // 60_000 * 60_000
RANGE = TimeRange(END - 45 * DAY, END)
KILLS = 6

CODE = """
import sys
from pathlib import Path
import nt_run.data.download as download
from nt_run.data.loader import MarketData
from nt_run.model import Interval, TimeRange
download._PAGES_A_COMMIT = 2
with MarketData(Path(sys.argv[1]), rest_url=sys.argv[2]) as data:
    print("ready", flush=True)
    data.load_klines("BTCUSDT", Interval("1m"), TimeRange(int(sys.argv[3]), int(sys.argv[4])))
"""


def test_a_download_killed_at_random_moments_is_completed_by_the_next(tmp_path: Path) -> None:
    chance = random.Random(7)
    command = [sys.executable, "-c", CODE, str(tmp_path)]
    with DemoExchange(weight_limit=1_000_000) as exchange:
        asked = 0
        for _ in range(KILLS):
            arguments = [exchange.rest_url, str(RANGE.start_ms), str(RANGE.end_ms)]
            with subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                process.stdout.readline()
                time.sleep(chance.uniform(0.3, 0.9))
                process.kill()
            with MarketData(tmp_path, rest_url=exchange.rest_url, offline=True) as data:
                data.newest_cached_range("BTCUSDT", Interval("1m"))  # reads and verifies everything there is
        asked = len(exchange.requests)
        with MarketData(tmp_path, rest_url=exchange.rest_url) as data:
            survived = data.load_klines("BTCUSDT", Interval("1m"), RANGE)
        rest = len(exchange.requests) - asked
        with MarketData(tmp_path / "other", rest_url=exchange.rest_url) as data:
            undisturbed = data.load_klines("BTCUSDT", Interval("1m"), RANGE)
        whole = len(exchange.requests) - asked - rest
    assert survived.certificate == undisturbed.certificate
    assert survived.klines.frame.equals(undisturbed.klines.frame)
    assert survived.warnings == []
    assert rest <= whole
