"""Any flipped bit and any truncation of any file of the store is found by the next read."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nt_run.data.export import Target, export_klines
from nt_run.data.importing import ImportOrder
from nt_run.data.kline_store import KLINES
from nt_run.data.loader import MarketData
from nt_run.data.manifest import FILE, Manifest
from nt_run.data.snapshots import SnapshotStore
from nt_run.demo import DemoExchange
from nt_run.errors import StoreError
from nt_run.model import Interval, TimeRange, parse_time

DAY = 86_400_000
MAY = parse_time("2026-05-01")
MONTH, DAYS = TimeRange(MAY, MAY + 31 * DAY), TimeRange(MAY, MAY + 2 * DAY)
MINUTES, HOURS = Interval("1m"), Interval("1h")
FOLDERS = [
    "exchangeInfo",
    "fundingRate/BTCUSDT",
    "klines/BTCUSDT/1m",
    "klines/ETHUSDT/1h",
    "markPriceKlines/BTCUSDT/1m",
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with klines, klines imported from a file, mark prices, funding rates and two answers of rules."""
    root, other = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("other")
    with DemoExchange() as exchange:
        with MarketData(other, exchange.rest_url) as data:
            hours = data.load_klines("ETHUSDT", HOURS, DAYS).klines
        (path,) = export_klines(
            hours, hours.range, KLINES, Manifest(kind=KLINES, symbol="ETHUSDT"), Target(other), "csv"
        )
        with MarketData(root, exchange.rest_url, exchange.archive_url) as data:
            data.import_file(ImportOrder(path=path, symbol="ETHUSDT", interval="1h"))
            data.load_klines("BTCUSDT", MINUTES, DAYS)
            data.load_mark_klines("BTCUSDT", MINUTES, DAYS)
            data.load_funding("BTCUSDT", MONTH)
            data.load_specs("BTCUSDT")
        SnapshotStore(root).keep({"symbols": [{"symbol": "BTCUSDT"}]}, MAY)
    return root


def look(data: MarketData, folder: str) -> None:
    """Read what a folder holds, as a run does."""
    reads: dict[str, Callable[[], object]] = {
        "klines/BTCUSDT/1m": lambda: data.load_klines("BTCUSDT", MINUTES, DAYS),
        "klines/ETHUSDT/1h": lambda: data.load_klines("ETHUSDT", HOURS, DAYS),
        "markPriceKlines/BTCUSDT/1m": lambda: data.load_mark_klines("BTCUSDT", MINUTES, DAYS),
        "fundingRate/BTCUSDT": lambda: data.load_funding("BTCUSDT", MONTH),
    }
    if folder in reads:
        reads[folder]()
        return
    store = SnapshotStore(data.root)
    answers = [store.read(one) for one in store.all()]
    assert len(answers) == 2, "an answer is not missed"
    if store.warnings:
        raise StoreError(str(store.folder / FILE), store.warnings[0], "")


def files(root: Path) -> list[Path]:
    return sorted(path for path in (root / "v1").rglob("*") if path.is_file() and path.stat().st_size)


def folder_of(root: Path, path: Path) -> str:
    return str(path.parent.relative_to(root / "v1/binance/um"))


def test_the_store_to_spoil_holds_every_kind_of_data_and_is_sound(whole: Path) -> None:
    assert sorted({folder_of(whole, path) for path in files(whole)} - {"exchangeInfo"}) == FOLDERS[1:]
    with MarketData(whole, "http://127.0.0.1:9", offline=True) as data:
        for folder in FOLDERS:
            look(data, folder)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.integers(0, 999), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_any_flipped_bit_and_any_truncation_of_any_file_is_found_by_the_next_read(
    whole: Path, tmp_path_factory: pytest.TempPathFactory, which: int, place: float, bit: int, cut: bool
) -> None:
    own = files(whole)[which % len(files(whole))]
    folder = folder_of(whole, own)
    root = tmp_path_factory.mktemp("spoilt")
    shutil.copytree(own.parent, root / "v1/binance/um" / folder)
    content = bytearray(own.read_bytes())
    at = int(place * (len(content) - 1))  # the last byte of a manifest is a line end, which carries nothing
    if cut:
        del content[at:]
    else:
        content[at] ^= 1 << bit
    path = root / own.relative_to(whole)
    path.write_bytes(content)
    with (
        MarketData(root, "http://127.0.0.1:9", offline=True) as data,
        pytest.raises(StoreError) as caught,
    ):
        look(data, folder)
    assert caught.value.path == str(path)
