"""Rows that nobody can fetch again: taken back from files that prove themselves, else on record as lost."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nt_run.data.coverage import coverage
from nt_run.data.export import Target, export_klines
from nt_run.data.importing import ImportOrder
from nt_run.data.kline_store import KLINES, KlineStore
from nt_run.data.loader import MarketData
from nt_run.data.losses import forget_losses
from nt_run.data.manifest import FILE, Manifest, Source
from nt_run.data.prune import find_given_up
from nt_run.data.selection import Selection
from nt_run.demo import DemoExchange, Fault
from nt_run.errors import NotCachedError, StoreError
from nt_run.klines import Klines
from nt_run.model import Interval, TimeRange, parse_time

MINUTE, DAY = 60_000, 86_400_000
MAY = parse_time("2026-05-01")
LATER = parse_time("2026-06-15")
DAYS = TimeRange(MAY + 3 * DAY, MAY + 5 * DAY)
MINUTES = Interval("1m")
ALL = Selection()

Open = Callable[..., MarketData]
Make = Callable[..., Klines]


@pytest.fixture
def imported(tmp_path: Path, open_data: Open) -> KlineStore:
    """Two days of minutes that only a file of the user's had."""
    with DemoExchange() as exchange:
        klines = open_data(exchange.rest_url, root=tmp_path / "other").load_klines("BTCUSDT", MINUTES, DAYS).klines
    manifest = Manifest(kind=KLINES, symbol="BTCUSDT", interval="1m")
    (path,) = export_klines(klines, klines.range, KLINES, manifest, Target(tmp_path / "own"), "csv")
    open_data(offline=True).import_file(ImportOrder(path=path))
    return KlineStore(tmp_path, "BTCUSDT", MINUTES, repair=True)


def own_file(tmp_path: Path) -> Path:
    return next((tmp_path / "own").iterdir())


def data_file(store: KlineStore) -> Path:
    return next(store.series.folder.glob("*.parquet"))


@pytest.mark.parametrize("gone", [False, True])
def test_imported_rows_outlive_their_manifest_in_an_ordinary_run(
    imported: KlineStore, open_data: Open, gone: bool
) -> None:
    before, path = imported.series.manifest(), imported.series.folder / FILE
    path.unlink() if gone else path.write_bytes(path.read_bytes()[:100])
    with DemoExchange([Fault("klines", "404", times=None)]) as exchange:
        loaded = open_data(exchange.rest_url).load_klines("BTCUSDT", MINUTES, DAYS)
    after = imported.series.manifest()
    assert len(loaded.klines) == 2880
    assert "2,880 rows were taken back" in loaded.warnings[0]
    assert loaded.certificate.sources == {"recovered": 1.0}
    assert after.partitions == before.partitions
    assert {name: day.content_sha256 for name, day in after.days.items()} == {
        name: day.content_sha256 for name, day in before.days.items()
    }
    assert {day.state for day in after.days.values()} == {"complete"}
    assert open_data(offline=True).verify(ALL).problems == []


def test_offline_a_lost_manifest_is_named_and_nothing_is_touched(imported: KlineStore, open_data: Open) -> None:
    path = imported.series.folder / FILE
    path.unlink()
    before = sorted(imported.series.folder.iterdir())
    with pytest.raises(StoreError, match="is gone, though there are data files"):
        open_data(offline=True).load_klines("BTCUSDT", MINUTES, DAYS)
    assert sorted(imported.series.folder.iterdir()) == before


def test_a_file_that_does_not_prove_itself_is_on_record_as_lost(imported: KlineStore, open_data: Open) -> None:
    (imported.series.folder / FILE).unlink()
    path = data_file(imported)
    path.write_bytes(path.read_bytes()[:-9])
    with DemoExchange([Fault("klines", "404", times=None)]) as exchange:
        data = open_data(exchange.rest_url)
        mended = data.mend(data.verify(ALL).problems)
        left = data.verify(ALL).problems
    assert mended.done == ["klines BTCUSDT 1m: began a new manifest: no data file proved what is in it"]
    assert "if they were imported, import them again" in mended.failed[0]
    assert [(one.kind, one.file) for one in left] == [("gone", path.name)]
    assert path.with_name(f"{path.name}.bad").exists()


def test_of_overlapping_files_every_row_is_taken_back_the_later_one_first(
    store: KlineStore, klines: Make, rest_source: Source
) -> None:
    # The first day on its own, the day again with more rows, then the month of both days: three files, none removed.
    store.commit(klines(MAY, 600), source=rest_source, now_ms=MAY + DAY // 2)
    store.commit(klines(MAY + 600 * MINUTE, 840), source=rest_source, now_ms=MAY + DAY + MINUTE)
    store.commit(klines(MAY + DAY, 1440), source=rest_source, now_ms=MAY + 3 * DAY)
    before = store.series.manifest()
    assert len(list(store.series.folder.glob("*.parquet"))) == 3
    (store.series.folder / FILE).unlink()
    after = store.series.manifest()
    assert after.partitions == before.partitions
    assert [(day.rows, day.state) for day in after.days.values()] == [(1440, "complete"), (1440, "complete")]


def test_imported_rows_that_are_damaged_stay_on_record_until_they_are_imported_again(
    imported: KlineStore, open_data: Open, tmp_path: Path
) -> None:
    path, name = data_file(imported), own_file(tmp_path).name
    path.write_bytes(path.read_bytes()[:-9])
    with DemoExchange([Fault("klines", "404", times=None)]) as exchange:
        data = open_data(exchange.rest_url)
        mended = data.mend(data.verify(ALL).problems)
        assert (mended.done, len(mended.failed)) == ([], 1)
        assert f"lost 2,880 rows of 2026-05-04 00:00 → 2026-05-06 00:00, imported from {name}" in mended.failed[0]
        assert "nt-run data import" in mended.failed[0]
        assert "data get" not in mended.failed[0]
        (problem,) = data.verify(ALL).problems
        assert (problem.kind, f"imported from {name}" in problem.reason) == ("gone", True)
        (again,) = data.mend([problem]).failed
        assert f"imported from {name}" in again
    (listed,) = [one for one in data.cached() if one.kind == KLINES]
    assert "lost 2,880 rows" in str(listed.damaged)
    assert [("lost 2,880 rows" in str(one.damaged), one.months) for one in coverage(tmp_path, ALL)] == [(True, [])]
    open_data(offline=True).import_file(ImportOrder(path=own_file(tmp_path)))
    assert data.verify(ALL).problems == []


def test_a_run_that_fetches_a_part_of_what_was_lost_does_not_make_the_rest_forgotten(
    store: KlineStore, klines: Make, rest_source: Source, open_data: Open
) -> None:
    store.commit(klines(MAY, 3 * 1440), source=rest_source, now_ms=LATER)
    path = data_file(store)
    path.write_bytes(path.read_bytes()[:-9])
    store.commit(klines(MAY, 1440), source=rest_source, now_ms=LATER)
    (problem,) = open_data(offline=True).verify(ALL).problems
    assert problem.reason == "lost 2,880 rows of 2026-05-02 00:00 → 2026-05-04 00:00, not fetched again yet"
    store.commit(klines(MAY + DAY, 2 * 1440), source=rest_source, now_ms=LATER)
    assert open_data(offline=True).verify(ALL).problems == []


def test_settlements_that_were_lost_are_on_record_until_their_range_is_fetched(tmp_path: Path, open_data: Open) -> None:
    with DemoExchange() as exchange:
        data = open_data(exchange.rest_url)
        data.load_funding("BTCUSDT", DAYS)
        (tmp_path / "v1/binance/um/fundingRate/BTCUSDT" / FILE).unlink()
        first = TimeRange(DAYS.start_ms, DAYS.start_ms + DAY)
        data.load_funding("BTCUSDT", first)
        assert [one.kind for one in data.verify(ALL).problems] == ["gone"]
        mended = data.mend(data.verify(ALL).problems)
        assert (len(mended.done), mended.failed, data.verify(ALL).problems) == (1, [], [])


def test_what_is_lost_for_good_can_be_given_up(imported: KlineStore, open_data: Open, tmp_path: Path) -> None:
    data_file(imported).unlink()
    with pytest.raises(NotCachedError):
        imported_again(imported, open_data)
    ((ref, words),) = find_given_up(tmp_path, ALL).items()
    assert "lost 2,880 rows" in words[0]
    forget_losses(ref.folder)
    assert find_given_up(tmp_path, ALL) == {}
    assert open_data(offline=True).verify(ALL).problems == []


def imported_again(store: KlineStore, open_data: Open) -> None:
    """What a run finds once the loss was noticed."""
    assert len(store.read(DAYS)) == 0
    open_data(offline=True).load_klines("BTCUSDT", MINUTES, DAYS)
