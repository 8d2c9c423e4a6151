import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from nt_run.data.archive_csv import write_csv
from nt_run.data.content import fingerprint, hash_content, split_days
from nt_run.data.days import day_name
from nt_run.data.export import Target, export_klines
from nt_run.data.kline_store import KlineStore
from nt_run.data.manifest import FILE, Hole, Source
from nt_run.errors import InvalidKlinesError, StoreError
from nt_run.klines import Exponents, Klines
from nt_run.model import Interval, TimeRange, parse_time

MINUTE = 60_000
DAY = 86_400_000
JANUARY = parse_time("2025-01-01")
FEBRUARY = parse_time("2025-02-01")
LATER = parse_time("2025-06-15")
EVERYTHING = TimeRange(JANUARY - 400 * DAY, LATER)

Make = Callable[..., Klines]


def files(store: KlineStore) -> list[str]:
    return sorted(path.name.split(".")[0] for path in store.series.folder.glob("*.parquet"))


def keys(store: KlineStore) -> list[str]:
    return sorted(store.series.manifest().partitions)


def test_what_was_written_is_read_back_in_the_range_asked_for(
    store: KlineStore, klines: Make, rest_source: Source
) -> None:
    store.commit(klines(JANUARY, 3000), source=rest_source, now_ms=LATER)
    part = store.read(TimeRange(JANUARY + 10 * MINUTE, JANUARY + 2000 * MINUTE))
    assert part.floats().equals(klines(JANUARY + 10 * MINUTE, 1990).floats())


def test_files_keep_the_decimals_that_values_need_and_the_manifest_those_of_the_text(
    store: KlineStore, klines: Make, rest_source: Source
) -> None:
    whole = klines(JANUARY, 100)
    store.commit(whole, source=rest_source, now_ms=LATER)
    manifest = store.series.manifest()
    (partition,), (day,) = manifest.partitions.values(), manifest.days.values()
    # The text shows 97123.50 and 0.15000; every price and every quote volume ends in a zero.
    assert (partition.exponents, day.sources[0].decimals) == ((1, 3, 4), (2, 3, 5))
    assert store.read(EVERYTHING).exponents == Exponents(1, 3, 4)
    # One price that needs its last digit takes it back for all, and nothing is lost on the way.
    row = whole.frame.head(1).with_columns(pl.col("open_time") + pl.duration(minutes=100), pl.col("high") + 1)
    odd = Klines("BTCUSDT", whole.interval, whole.exponents, row)
    store.commit(odd, source=rest_source, now_ms=LATER)
    assert store.read(EVERYTHING).exponents == Exponents(2, 3, 4)
    assert store.read(EVERYTHING).floats().equals(pl.concat([whole.floats(), odd.floats()]))


def test_each_day_is_exported_with_the_decimals_its_own_text_showed(
    store: KlineStore, klines: Make, rest_source: Source, tmp_path: Path
) -> None:
    first, second = klines(JANUARY, 1440), klines(JANUARY + DAY, 1440)
    # From the second day on prices are finer, as after a change of the tick size.
    finer = second.frame.with_columns(pl.col("open", "high", "low", "close") * 10 + 1)
    second = Klines("BTCUSDT", second.interval, Exponents(3, 3, 5), finer)
    for each in (first, second):
        store.commit(each, source=rest_source, now_ms=LATER)
    both = TimeRange(JANUARY, JANUARY + 2 * DAY)
    paths = export_klines(
        store.read(both), both, "klines", store.series.manifest(), Target(tmp_path / "out"), "archive"
    )
    assert [path.read_bytes() for path in paths] == [write_csv(first), write_csv(second)]


def test_a_closed_month_is_one_file_and_days_of_the_open_month_are_files_of_their_own(
    store: KlineStore, klines: Make, rest_source: Source
) -> None:
    now = FEBRUARY + 3 * DAY
    store.commit(klines(FEBRUARY - 2 * DAY, 4 * 1440), source=rest_source, now_ms=now)
    assert keys(store) == ["2025-01", "2025-02-01", "2025-02-02"]


def test_days_are_put_together_once_their_month_has_ended_with_the_same_content(
    store: KlineStore, klines: Make, rest_source: Source
) -> None:
    store.commit(klines(JANUARY, 3 * 1440), source=rest_source, now_ms=JANUARY + 4 * DAY)
    before = {name: day.content_sha256 for name, day in store.series.manifest().days.items()}
    assert keys(store) == ["2025-01-01", "2025-01-02", "2025-01-03"]
    store.commit(klines(FEBRUARY, 60), source=rest_source, now_ms=FEBRUARY + DAY)
    assert keys(store) == ["2025-01", "2025-02-01"]
    days = store.series.manifest().days
    assert {name: days[name].content_sha256 for name in before} == before
    assert store.read(EVERYTHING).frame.height == 3 * 1440 + 60


def test_intervals_of_an_hour_or_more_are_kept_by_year(tmp_path: Path, klines: Make, rest_source: Source) -> None:
    store = KlineStore(tmp_path, "BTCUSDT", Interval("1h"), repair=True)
    store.commit(klines(JANUARY - 48 * 3_600_000, 96, "1h"), source=rest_source, now_ms=LATER)
    assert keys(store) == ["2024", "2025"]


def test_the_record_of_a_day_counts_rows_and_names_sources(store: KlineStore, klines: Make) -> None:
    source = Source(kind="rest", key="/fapi/v1/klines", fetched_at_ms=LATER, rows=0)
    store.commit(klines(JANUARY, 1440 + 100), source=source, now_ms=LATER)
    store.commit(klines(JANUARY + DAY + 50 * MINUTE, 100), source=source, now_ms=LATER)
    days = store.series.manifest().days
    assert (days["2025-01-01"].state, days["2025-01-01"].rows) == ("complete", 1440)
    second = days["2025-01-02"]
    assert (second.state, second.rows, second.expected) == ("short", 150, 1440)
    assert [(one.kind, one.rows) for one in second.sources] == [("rest", 150)]
    assert second.content_sha256 == hash_content(klines(JANUARY + DAY, 150))


def test_a_day_that_has_not_ended_is_open(store: KlineStore, klines: Make, rest_source: Source) -> None:
    store.commit(klines(JANUARY, 100), source=rest_source, now_ms=JANUARY + 101 * MINUTE)
    assert store.series.manifest().days["2025-01-01"].state == "open"


def test_holes_are_kept_until_rows_fill_them(store: KlineStore, klines: Make, rest_source: Source) -> None:
    def hole(first: int, last: int, at_ms: int) -> Hole:
        return Hole(JANUARY + first * MINUTE, JANUARY + last * MINUTE, "confirmed_absent", ("rest",), at_ms)

    store.commit(klines(JANUARY, 100), source=rest_source, holes=[hole(100, 1440, 1)], now_ms=LATER)
    assert store.series.manifest().days["2025-01-01"].missing == (hole(100, 1440, 1),)
    store.commit(klines(JANUARY + 200 * MINUTE, 10), source=rest_source, holes=[hole(1000, 1440, 2)], now_ms=LATER)
    assert store.series.manifest().days["2025-01-01"].missing == (
        *(hole(100, 200, 1), hole(210, 1000, 1), hole(1000, 1440, 2)),
    )
    store.commit(klines(JANUARY, 1440), source=rest_source, now_ms=LATER)
    day = store.series.manifest().days["2025-01-01"]
    assert (day.state, day.missing) == ("complete", ())


def test_a_day_without_a_row_is_absent(store: KlineStore, klines: Make, rest_source: Source) -> None:
    hole = Hole(JANUARY, JANUARY + 2 * DAY, "confirmed_absent", ("rest",), LATER)
    store.commit(klines(JANUARY, 0), source=rest_source, holes=[hole], now_ms=LATER)
    days = store.series.manifest().days
    assert [(name, day.state, day.rows) for name, day in sorted(days.items())] == [
        ("2025-01-01", "absent", 0),
        ("2025-01-02", "absent", 0),
    ]
    assert files(store) == []


def test_a_row_that_differs_from_the_stored_one_is_refused_and_nothing_changes(
    store: KlineStore, klines: Make, rest_source: Source
) -> None:
    good = klines(JANUARY, 100)
    store.commit(good, source=rest_source, now_ms=LATER)
    before = (store.series.folder / FILE).read_bytes()
    other = Klines("BTCUSDT", good.interval, good.exponents, good.frame.with_columns(pl.col("trades") + 1))
    with pytest.raises(InvalidKlinesError, match="two different rows"):
        store.commit(other, source=rest_source, now_ms=LATER)
    assert (store.series.folder / FILE).read_bytes() == before
    assert store.read(EVERYTHING).floats().equals(good.floats())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, 4319), max_size=6), seed=st.integers(0, 999), month_open=st.booleans())
def test_any_split_in_any_order_gives_the_same_content(
    tmp_path_factory: pytest.TempPathFactory,
    klines: Make,
    rest_source: Source,
    cuts: list[int],
    seed: int,
    month_open: bool,
) -> None:
    store = KlineStore(tmp_path_factory.mktemp("store"), "BTCUSDT", Interval("1m"), repair=True)
    first = JANUARY + 12 * 60 * MINUTE
    edges = [0, *sorted(set(cuts)), 4320]
    parts = [
        klines(first + start * MINUTE, min(end + 5, 4320) - start)  # some rows come twice
        for start, end in pairwise(edges)
    ]
    random.Random(seed).shuffle(parts)
    for part in parts:
        store.commit(part, source=rest_source, now_ms=JANUARY + 5 * DAY if month_open else LATER)
    whole = klines(first, 4320)
    assert store.read(EVERYTHING).floats().equals(whole.floats())
    days = store.series.manifest().days
    expected = {day_name(start): hash_content(part) for start, part in split_days(whole).items()}
    assert {name: day.content_sha256 for name, day in days.items()} == expected


def test_a_fingerprint_depends_on_rows_alone(klines: Make) -> None:
    whole = klines(JANUARY, 3000)
    known = {start: hash_content(part) for start, part in split_days(whole).items() if len(part) == 1440}
    assert len(known) == 2
    assert fingerprint(whole, known) == fingerprint(whole, {})
    assert fingerprint(klines(JANUARY, 3000, decimals=1), {}) == fingerprint(whole, {})
    assert fingerprint(klines(JANUARY, 2999), {}) != fingerprint(whole, {})
    changed = whole.frame.with_columns(pl.when(pl.int_range(pl.len()) == 7).then(1).otherwise("trades").alias("trades"))
    assert fingerprint(Klines("BTCUSDT", whole.interval, whole.exponents, changed), {}) != fingerprint(whole, {})
    other = Klines("ETHUSDT", whole.interval, whole.exponents, whole.frame)
    assert fingerprint(other, {}) != fingerprint(whole, {})


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans(), manifest=st.booleans())
def test_any_flipped_bit_and_any_truncation_of_any_file_is_found(
    tmp_path_factory: pytest.TempPathFactory,
    klines: Make,
    rest_source: Source,
    place: float,
    bit: int,
    cut: bool,
    manifest: bool,
) -> None:
    root = tmp_path_factory.mktemp("store")
    store = KlineStore(root, "BTCUSDT", Interval("1m"), repair=True)
    store.commit(klines(JANUARY, 500), source=rest_source, now_ms=LATER)
    path = store.series.folder / FILE if manifest else next(store.series.folder.glob("*.parquet"))
    content = bytearray(path.read_bytes())
    at = int(place * (len(content) - 1))  # a manifest's last byte is a line end, which carries nothing
    assume(not (manifest and not cut and content[:at].endswith(b'"schema":"')))  # that one looks like a newer format
    if cut:
        del content[at:]
    else:
        content[at] ^= 1 << bit
    path.write_bytes(content)
    with pytest.raises(StoreError) as caught:
        KlineStore(root, "BTCUSDT", Interval("1m"), repair=False).read(EVERYTHING)
    assert caught.value.path == str(path)
    # A data file proves what is in it by its name, and outlives its manifest.
    assert len(store.read(EVERYTHING)) == (500 if manifest else 0)
    assert path.with_name(f"{path.name}.bad").exists()
    store.commit(klines(JANUARY, 500), source=rest_source, now_ms=LATER)
    assert store.read(EVERYTHING).floats().equals(klines(JANUARY, 500).floats())


def test_a_damaged_file_takes_only_its_own_days_with_it(store: KlineStore, klines: Make, rest_source: Source) -> None:
    store.commit(klines(FEBRUARY - DAY, 2 * 1440), source=rest_source, now_ms=LATER)
    path = next(store.series.folder.glob("2025-01.*"))
    path.write_bytes(path.read_bytes()[:-1])
    assert store.read(EVERYTHING).floats().equals(klines(FEBRUARY, 1440).floats())
    assert sorted(store.series.manifest().days) == ["2025-02-01"]
    assert "2025-01" in store.series.warnings[0]


def test_a_lost_file_is_found(tmp_path: Path, store: KlineStore, klines: Make, rest_source: Source) -> None:
    store.commit(klines(JANUARY, 500), source=rest_source, now_ms=LATER)
    next(store.series.folder.glob("*.parquet")).unlink()
    with pytest.raises(StoreError, match="is gone"):
        KlineStore(tmp_path, "BTCUSDT", Interval("1m"), repair=False).read(EVERYTHING)
    assert len(store.read(EVERYTHING)) == 0


def test_a_damaged_file_is_found_when_rows_are_added_to_it(
    store: KlineStore, klines: Make, rest_source: Source
) -> None:
    store.commit(klines(JANUARY, 500), source=rest_source, now_ms=LATER)
    path = next(store.series.folder.glob("*.parquet"))
    path.write_bytes(b"PAR1")
    store.commit(klines(JANUARY + 500 * MINUTE, 10), source=rest_source, now_ms=LATER)
    assert store.read(EVERYTHING).floats().equals(klines(JANUARY + 500 * MINUTE, 10).floats())
    assert store.series.manifest().days["2025-01-01"].rows == 10


def test_a_store_of_a_newer_format_is_refused_not_repaired(
    store: KlineStore, klines: Make, rest_source: Source
) -> None:
    store.commit(klines(JANUARY, 5), source=rest_source, now_ms=LATER)
    path = store.series.folder / FILE
    path.write_bytes(path.read_bytes().replace(b'"schema":"2.0"', b'"schema":"3.0"'))
    with pytest.raises(StoreError, match=r"format 3\.0"):
        store.read(EVERYTHING)
    assert path.exists()


def test_a_folder_that_was_moved_to_another_symbol_is_refused(
    tmp_path: Path, store: KlineStore, klines: Make, rest_source: Source
) -> None:
    store.commit(klines(JANUARY, 5), source=rest_source, now_ms=LATER)
    store.series.folder.parent.rename(store.series.folder.parents[1] / "ETHUSDT")
    with pytest.raises(StoreError, match="belongs to klines BTCUSDT 1m"):
        KlineStore(tmp_path, "ETHUSDT", Interval("1m"), repair=True).read(EVERYTHING)


def test_writers_and_readers_do_not_disturb_each_other(tmp_path: Path, klines: Make, rest_source: Source) -> None:
    parts = [klines(JANUARY + start * MINUTE, 60) for start in range(0, 2400, 60)]

    def write(mine: list[Klines]) -> None:
        store = KlineStore(tmp_path, "BTCUSDT", Interval("1m"), repair=False)
        for part in mine:
            store.commit(part, source=rest_source, now_ms=LATER)

    def read(_number: int) -> int:
        store = KlineStore(tmp_path, "BTCUSDT", Interval("1m"), repair=False)
        seen = [len(store.read(EVERYTHING)) for _ in range(30)]
        assert seen == sorted(seen)
        assert all(count % 60 == 0 for count in seen)
        return seen[-1]

    with ThreadPoolExecutor(5) as pool:
        writers = [pool.submit(write, parts[first::2]) for first in (0, 1)]
        readers = [pool.submit(read, number) for number in range(3)]
        for job in (*writers, *readers):
            job.result()
    merged = KlineStore(tmp_path, "BTCUSDT", Interval("1m"), repair=False).read(EVERYTHING)
    assert merged.floats().equals(klines(JANUARY, 2400).floats())
