from collections.abc import Callable
from pathlib import Path

import pytest

from nt_run.data.inventory import CachedSeries, list_cached
from nt_run.data.kline_store import KlineStore
from nt_run.data.loader import MarketData
from nt_run.data.manifest import FILE, Hole, Source
from nt_run.data.snapshots import SnapshotStore
from nt_run.demo import DEMO_NOW_MS, DemoExchange
from nt_run.klines import GapStatus, Klines
from nt_run.model import TimeRange, parse_time

MINUTE = 60_000
DAY = 86_400_000
JANUARY = parse_time("2025-01-01")
LATER = parse_time("2025-06-15")

Make = Callable[..., Klines]


def commit(root: Path, symbol: str, rows: Klines, now_ms: int = LATER, holes: tuple[Hole, ...] = ()) -> Path:
    store = KlineStore(root, symbol, rows.interval, repair=True)
    source = Source(kind="rest", key="/fapi/v1/klines", fetched_at_ms=now_ms, rows=0)
    own = Klines(symbol, rows.interval, rows.exponents, rows.frame)
    store.commit(own, source=source, holes=holes, now_ms=now_ms)
    return store.series.folder


def test_days_that_were_never_fetched_show_in_what_is_expected(tmp_path: Path, klines: Make) -> None:
    commit(tmp_path, "BTCUSDT", klines(JANUARY, 9 * 1440))
    commit(tmp_path, "BTCUSDT", klines(JANUARY + 11 * DAY, 1440))
    (one,) = list_cached(tmp_path)
    assert (one.first_ms, one.last_ms) == (JANUARY, JANUARY + 12 * DAY)
    assert (one.rows, one.expected, one.holes) == (10 * 1440, 12 * 1440, 0)
    assert one.damaged is None


@pytest.mark.parametrize(("status", "holes"), [("confirmed_absent", 30), ("unverified", 0)])
def test_a_hole_is_a_bar_that_the_exchange_confirmed_not_to_have(
    tmp_path: Path, klines: Make, status: GapStatus, holes: int
) -> None:
    gap = Hole(JANUARY + 10 * MINUTE, JANUARY + 40 * MINUTE, status, ("rest",), LATER)
    commit(tmp_path, "BTCUSDT", klines(JANUARY, 10), holes=(gap,))
    commit(tmp_path, "BTCUSDT", klines(JANUARY + 40 * MINUTE, 20))
    (one,) = list_cached(tmp_path)
    assert (one.rows, one.expected, one.holes) == (30, 60, holes)


def test_what_has_no_grid_expects_what_it_has(tmp_path: Path) -> None:
    with DemoExchange() as exchange, MarketData(tmp_path, rest_url=exchange.rest_url) as data:
        data.load_specs("BTCUSDT")
        data.load_funding("BTCUSDT", TimeRange(DEMO_NOW_MS - 30 * DAY, DEMO_NOW_MS - 20 * DAY))
        listed = {one.kind: (one.rows, one.expected) for one in data.cached()}
    assert listed == {"fundingRate": (30, 30), "exchangeInfo": (1, 1)}


def test_files_that_were_replaced_do_not_count(tmp_path: Path, klines: Make) -> None:
    folder = commit(tmp_path, "BTCUSDT", klines(JANUARY, 1440), now_ms=JANUARY + DAY)
    commit(tmp_path, "BTCUSDT", klines(JANUARY + DAY, 1440), now_ms=LATER)
    sizes = {path.name.split(".")[0]: path.stat().st_size for path in folder.glob("*.parquet")}
    assert sorted(sizes) == ["2025-01", "2025-01-01"]
    (one,) = list_cached(tmp_path)
    assert (one.rows, one.bytes) == (2880, sizes["2025-01"])


def test_a_damaged_manifest_is_listed_as_such_beside_the_others(tmp_path: Path, klines: Make) -> None:
    commit(tmp_path, "BTCUSDT", klines(JANUARY, 10))
    folder = commit(tmp_path, "ETHUSDT", klines(JANUARY, 10, "5m"))
    newer = commit(tmp_path, "XRPUSDT", klines(JANUARY, 10, "1h")) / FILE
    (folder / FILE).write_bytes(b"{}")
    newer.write_bytes(newer.read_bytes().replace(b'"schema":"2.0"', b'"schema":"3.0"'))
    whole, damaged, new = list_cached(tmp_path)
    assert (whole.symbol, whole.rows, whole.damaged) == ("BTCUSDT", 10, None)
    assert damaged == CachedSeries(
        kind="klines",
        symbol="ETHUSDT",
        interval="5m",
        first_ms=0,
        last_ms=0,
        rows=0,
        expected=0,
        bytes=0,
        holes=0,
        damaged="is damaged",
    )
    assert (new.symbol, new.rows) == ("XRPUSDT", 0)
    assert new.damaged == "was written in format 3.0; this version reads up to 2.x"
    assert (folder / FILE).exists()


def test_rules_of_a_newer_format_are_listed_as_such(tmp_path: Path, klines: Make) -> None:
    commit(tmp_path, "BTCUSDT", klines(JANUARY, 10))
    store = SnapshotStore(tmp_path)
    store.keep({"symbols": []}, JANUARY)
    path = store.folder / FILE
    path.write_bytes(path.read_bytes().replace(b'"schema":"2.0"', b'"schema":"3.0"'))
    listed = {one.kind: (one.rows, one.damaged) for one in list_cached(tmp_path)}
    assert listed == {
        "klines": (10, None),
        "exchangeInfo": (0, "was written in format 3.0; this version reads up to 2.x"),
    }
