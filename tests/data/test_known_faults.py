"""Faults that a cache of this kind was seen to have, each with a test that this one does not have it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nt_run.data.kline_store import KlineStore
from nt_run.data.loader import MarketData
from nt_run.data.manifest import Source
from nt_run.demo import DEMO_NOW_MS, DemoExchange, Fault
from nt_run.errors import DataError, IncompleteDataError, NotCachedError, StoreError
from nt_run.klines import PRICES, Klines
from nt_run.model import Interval, TimeRange, parse_time

MINUTE, DAY = 60_000, 86_400_000
MINUTES = Interval("1m")
MAY, JUNE = parse_time("2026-05-01"), parse_time("2026-06-01")
WHOLE_MAY = TimeRange(MAY, JUNE)
ONE_DAY = TimeRange(MAY + 4 * DAY, MAY + 5 * DAY)
TEN_MINUTES = TimeRange(ONE_DAY.start_ms + 100 * MINUTE, ONE_DAY.start_ms + 110 * MINUTE)
END = DEMO_NOW_MS // MINUTE * MINUTE

Open = Callable[..., MarketData]


@pytest.fixture
def both(open_data: Open) -> Callable[..., MarketData]:
    return lambda exchange, **options: open_data(exchange.rest_url, archive_url=exchange.archive_url, **options)


def rest_lacks(hole: TimeRange) -> Fault:
    def edit(rows: list[list[Any]]) -> list[list[Any]]:
        return [row for row in rows if not hole.start_ms <= row[0] < hole.end_ms]

    return Fault("/fapi/v1/klines", "rows", times=None, edit=edit)


def test_the_default_path_returns_numbers_from_the_cache(both: Open) -> None:
    with DemoExchange() as exchange:
        both(exchange).load_klines("BTCUSDT", MINUTES, WHOLE_MAY)
        cached = both(exchange, offline=True).load_klines("BTCUSDT", MINUTES, WHOLE_MAY).klines.floats()
    assert all(np.isfinite(cached[name].to_numpy()).all() and (cached[name] > 0).all() for name in PRICES)
    assert len(cached) == 31 * 1440


def test_each_symbol_gets_its_own_prices_from_the_archive(both: Open) -> None:
    with DemoExchange() as exchange:
        data = both(exchange)
        bitcoin, ether = (data.load_klines(name, MINUTES, WHOLE_MAY).klines.floats() for name in ("BTCUSDT", "ETHUSDT"))
        asked = {one.path.split("/")[6] for one in exchange.requests if "/data/" in one.path}
    assert asked == {"BTCUSDT", "ETHUSDT"}
    assert (bitcoin["low"].to_numpy() > 5 * ether["high"].to_numpy()).all()


def test_a_ten_minute_repair_leaves_a_day_its_1440_rows(both: Open, tmp_path: Path) -> None:
    day = KlineStore(tmp_path, "BTCUSDT", MINUTES, repair=True)
    with DemoExchange([rest_lacks(TEN_MINUTES)]) as exchange:
        loaded = both(exchange).load_klines("BTCUSDT", MINUTES, ONE_DAY, min_completeness=0.9)
    assert len(loaded.klines) == 1440
    with DemoExchange() as exchange:
        again = both(exchange).load_klines("BTCUSDT", MINUTES, TEN_MINUTES)
    assert len(again.klines) == 10
    assert len(day.read(ONE_DAY)) == 1440


def test_a_day_with_a_real_gap_stays_readable(both: Open, without: Callable[..., Any]) -> None:
    with DemoExchange([rest_lacks(TEN_MINUTES)]) as exchange:
        exchange.amend_archive("klines/", without(TEN_MINUTES))
        data = both(exchange)
        with pytest.raises(IncompleteDataError):
            data.load_klines("BTCUSDT", MINUTES, ONE_DAY)
        for _ in range(2):
            assert len(data.load_klines("BTCUSDT", MINUTES, ONE_DAY, min_completeness=0.99).klines) == 1430
        after = TimeRange(TEN_MINUTES.end_ms, ONE_DAY.end_ms)
        assert data.load_klines("BTCUSDT", MINUTES, after).certificate.completeness == 1.0


def test_data_with_a_wrong_checksum_is_neither_used_nor_kept(both: Open, tmp_path: Path) -> None:
    faults = [Fault(".CHECKSUM", "corrupt", times=None), Fault("/fapi/v1/klines", "500", times=None)]
    with DemoExchange(faults) as exchange, pytest.raises(DataError, match="checksum"):
        both(exchange).load_klines("BTCUSDT", MINUTES, WHOLE_MAY)
    assert list(tmp_path.rglob("*.parquet")) == []


def test_a_flipped_bit_is_not_served_in_silence(both: Open, tmp_path: Path) -> None:
    with DemoExchange() as exchange:
        both(exchange).load_klines("BTCUSDT", MINUTES, WHOLE_MAY)
    path = next(tmp_path.rglob("*.parquet"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError, match="sha256"):
        both(exchange, offline=True).load_klines("BTCUSDT", MINUTES, ONE_DAY)


def test_a_writer_does_not_kill_a_reader(both: Open, klines: Callable[..., Klines], tmp_path: Path) -> None:
    source = Source(kind="rest", key="a test", fetched_at_ms=0, rows=0)
    parts = [klines(MAY + start * MINUTE, 60) for start in range(0, 1440, 60)]

    def write(mine: list[Klines]) -> None:
        for part in mine:
            KlineStore(tmp_path, "BTCUSDT", MINUTES, repair=False).commit(part, source=source, now_ms=JUNE)

    def read(_number: int) -> list[int]:
        store = KlineStore(tmp_path, "BTCUSDT", MINUTES, repair=False)
        return [len(store.read(WHOLE_MAY)) for _ in range(40)]

    with ThreadPoolExecutor(5) as pool:
        writers = [pool.submit(write, parts[first::2]) for first in (0, 1)]
        seen = [job.result() for job in [pool.submit(read, number) for number in range(3)]]
        for job in writers:
            job.result()
    assert all(counts == sorted(counts) and not any(count % 60 for count in counts) for counts in seen)


def test_an_unfinished_candle_is_not_kept(both: Open, tmp_path: Path) -> None:
    with DemoExchange(clock_ms=END + 30_000) as exchange:
        with pytest.raises(DataError, match="newest closed bar"):
            both(exchange).load_klines("BTCUSDT", MINUTES, TimeRange(END - DAY, END + MINUTE))
        both(exchange).load_klines("BTCUSDT", MINUTES, TimeRange(END - DAY, END))
    stored = KlineStore(tmp_path, "BTCUSDT", MINUTES, repair=False).read(TimeRange(END - DAY, END + DAY))
    assert stored.range.end_ms == END


def test_a_429_in_the_middle_loses_none_of_7200_rows(open_data: Open, pauses: list[float]) -> None:
    five_days = TimeRange(MAY, MAY + 5 * DAY)
    with DemoExchange([Fault("/fapi/v1/klines", "429", skip=5, retry_after=3)]) as exchange:
        loaded = open_data(exchange.rest_url).load_klines("BTCUSDT", MINUTES, five_days)
    assert len(loaded.klines) == 7200
    assert pauses == [3]


def test_the_end_of_a_range_is_excluded_from_every_source(both: Open, open_data: Open, tmp_path: Path) -> None:
    part = TimeRange(MAY + 90 * MINUTE, MAY + 3 * DAY + 30 * MINUTE)
    with DemoExchange() as exchange:
        sources = [both(exchange, root=tmp_path / "archive"), open_data(exchange.rest_url, root=tmp_path / "rest")]
        ranges = [data.load_klines("BTCUSDT", MINUTES, part).klines.range for data in sources for _ in range(2)]
    assert ranges == [part] * 4


def test_offline_makes_no_request(both: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    with DemoExchange() as exchange:
        both(exchange).load_klines("BTCUSDT", MINUTES, WHOLE_MAY)
        asked = len(exchange.requests)

        def refuse(*_args: Any, **_options: Any) -> None:
            raise AssertionError("a socket was opened")

        monkeypatch.setattr("socket.socket.connect", refuse)
        offline = both(exchange, offline=True)
        assert len(offline.load_klines("BTCUSDT", MINUTES, WHOLE_MAY).klines) == 31 * 1440
        for load in (offline.load_klines, offline.load_mark_klines):
            with pytest.raises(NotCachedError):
                load("BTCUSDT", MINUTES, TimeRange(MAY - 5 * DAY, JUNE))
        assert len(exchange.requests) == asked
