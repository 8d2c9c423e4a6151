"""verify, repair, coverage, prune and export of a cache filled from the embedded exchange."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nt_run.data.archive import ArchiveFile
from nt_run.data.archive_csv import HEADER
from nt_run.data.audit import Problem
from nt_run.data.coverage import coverage
from nt_run.data.export import Target, export_klines
from nt_run.data.files import sha256
from nt_run.data.kline_store import KLINES, KlineStore
from nt_run.data.loader import MarketData
from nt_run.data.manifest import FILE, save_manifest
from nt_run.data.mend import Mended
from nt_run.data.prune import find_waste, remove
from nt_run.data.selection import Selection
from nt_run.data.snapshots import SnapshotStore
from nt_run.demo import DemoExchange, Fault
from nt_run.demo.candles import Candles
from nt_run.errors import IncompleteDataError, NotCachedError, SourcesDisagreeError
from nt_run.model import Interval, TimeRange, parse_time

MINUTE, DAY = 60_000, 86_400_000
MINUTES = Interval("1m")
MAY, JUNE = parse_time("2026-05-01"), parse_time("2026-06-01")
WHOLE_MAY = TimeRange(MAY, JUNE)
FEW_BARS = TimeRange(MAY + 5 * MINUTE, MAY + 8 * MINUTE)
ALL = Selection()

Open = Callable[..., MarketData]
Change = Callable[..., Callable[[Candles], Candles]]


@pytest.fixture
def both(open_data: Open) -> Callable[..., MarketData]:
    def build(exchange: DemoExchange, **options: Any) -> MarketData:
        return open_data(exchange.rest_url, archive_url=exchange.archive_url, **options)

    return build


def store_of(root: Path) -> KlineStore:
    return KlineStore(root, "BTCUSDT", MINUTES, repair=False)


def kinds(problems: list[Problem]) -> list[str]:
    return [problem.kind for problem in problems]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with a month of minutes, two days of hours, funding rates and a snapshot."""
    root = tmp_path_factory.mktemp("filled")
    with DemoExchange() as exchange, MarketData(root, exchange.rest_url, exchange.archive_url) as data:
        data.load_klines("BTCUSDT", MINUTES, WHOLE_MAY)
        data.load_klines("ETHUSDT", Interval("1h"), TimeRange(MAY, MAY + 2 * DAY))
        data.load_funding("BTCUSDT", WHOLE_MAY)
        data.load_specs("BTCUSDT")
    return root


@pytest.fixture
def cache(filled: Path, tmp_path: Path) -> Path:
    """A copy of the filled cache to spoil."""
    return Path(shutil.copytree(filled, tmp_path, dirs_exist_ok=True))


def test_a_sound_cache_is_sound(cache: Path, open_data: Open) -> None:
    found = open_data(offline=True).verify(ALL)
    assert found.problems == []
    assert (found.series, found.files, found.rows, found.remote) == (3, 3, 44_640 + 48 + 93, 0)
    assert open_data(offline=True).verify(Selection(symbols=frozenset({"ETHUSDT"}))).rows == 48


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.integers(0, 9), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_any_flipped_bit_and_any_truncation_of_any_file_is_found_by_verify(
    filled: Path, tmp_path_factory: pytest.TempPathFactory, which: int, place: float, bit: int, cut: bool
) -> None:
    root = Path(shutil.copytree(filled, tmp_path_factory.mktemp("spoilt"), dirs_exist_ok=True))
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.stat().st_size > 2)
    path = files[which % len(files)]
    content = bytearray(path.read_bytes())
    at = int(place * (len(content) - 1))
    if cut:
        del content[at:]
    else:
        content[at] ^= 1 << bit
    path.write_bytes(content)
    with MarketData(root, "http://127.0.0.1:9", offline=True) as data:
        problems = data.verify(ALL).problems
    assert problems


def test_a_damaged_list_of_snapshots_is_left_alone_by_verify_and_made_again_by_repair(
    cache: Path, open_data: Open
) -> None:
    path = cache / "v1/binance/um/exchangeInfo" / FILE
    for spoil, kind in ((lambda: path.write_bytes(b"{}"), "damaged"), (path.unlink, "lost")):
        spoil()
        data = open_data(offline=True)
        problems = data.verify(ALL).problems
        assert [(one.kind, one.file) for one in problems] == [(kind, FILE)]
        assert data.mend(problems).done == ["exchangeInfo: made the list of 1 answers again"]
        assert data.verify(ALL).problems == []
        assert data.load_specs("BTCUSDT").warnings == []


def test_verify_finds_a_lost_file_a_lost_manifest_and_a_row_that_cannot_be(cache: Path, open_data: Open) -> None:
    data = open_data(offline=True)
    hourly = next((cache / "v1/binance/um/klines/ETHUSDT/1h").glob("*.parquet"))
    hourly.unlink()
    (store_of(cache).series.folder / FILE).unlink()
    assert sorted(kinds(data.verify(ALL).problems)) == ["lost", "lost"]


def test_verify_checks_rows_against_the_rules_and_days_against_their_hashes(cache: Path, open_data: Open) -> None:
    series = store_of(cache).series
    with series.writing() as manifest:
        key, partition = next(iter(manifest.partitions.items()))
        frame = series.read_files({key: partition})[key]
        broken = frame.with_columns(pl.when(pl.int_range(pl.len()) == 7).then(0).otherwise("low").alias("low"))
        series.put(manifest, key, broken, partition.exponents)
    (problem,) = open_data(offline=True).verify(ALL).problems
    assert problem.kind == "contradicts"
    assert "the low is not above zero, at 2026-05-01 00:07" in problem.reason
    with series.writing() as manifest:
        changed = frame.with_columns(pl.when(pl.int_range(pl.len()) == 7).then(1).otherwise("trades").alias("trades"))
        series.put(manifest, key, changed, partition.exponents)
    (problem,) = open_data(offline=True).verify(ALL).problems
    assert problem.reason == "holds other rows of 2026-05-01 than the manifest says"


def test_repair_fetches_again_only_what_is_wrong(cache: Path, both: Callable[..., MarketData]) -> None:
    path = next(store_of(cache).series.folder.glob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-9])
    with DemoExchange() as exchange:
        data = both(exchange)
        problems = data.verify(ALL).problems
        assert kinds(problems) == ["damaged"]
        done = data.mend(problems).done
        assert [one.path.rpartition("/")[2] for one in exchange.requests if "/data/" in one.path] == [
            "BTCUSDT-1m-2026-05.zip",
            "BTCUSDT-1m-2026-05.zip.CHECKSUM",
        ]
        assert data.verify(ALL).problems == []
    assert "fetched 44,640 rows again" in done[0]
    assert path.exists()
    assert path.with_name(f"{path.name}.bad").exists()
    assert store_of(cache).series.manifest().former == {}


@pytest.mark.parametrize("gone", [False, True])
def test_repair_of_a_lost_manifest_takes_back_what_its_files_hold_without_a_request(
    cache: Path, both: Callable[..., MarketData], gone: bool
) -> None:
    before, path = store_of(cache).series.manifest(), store_of(cache).series.folder / FILE
    path.unlink() if gone else path.write_bytes(b"{}")
    with DemoExchange() as exchange:
        data = both(exchange)
        mended = data.mend(data.verify(ALL).problems)
        assert data.verify(ALL).problems == []
        assert exchange.requests == []
    assert len(mended.done) == 1
    assert mended.done[0].startswith("klines BTCUSDT 1m: took back 44,640 rows in 1 file that prove what is in them;")
    after = store_of(cache).series.manifest()
    assert {source.kind for day in after.days.values() for source in day.sources} == {"recovered"}
    assert {name: day.content_sha256 for name, day in after.days.items()} == {
        name: day.content_sha256 for name, day in before.days.items()
    }


@pytest.mark.parametrize("spoilt", ["*.parquet", FILE])
def test_repair_fetches_damaged_funding_again_and_everything_else_too(
    cache: Path, both: Callable[..., MarketData], spoilt: str
) -> None:
    funding = next((cache / "v1/binance/um/fundingRate/BTCUSDT").glob(spoilt))
    for path in (funding, next(store_of(cache).series.folder.glob("*.parquet"))):
        path.write_bytes(path.read_bytes()[:-9])
    with DemoExchange() as exchange:
        data = both(exchange)
        mended = data.mend(data.verify(ALL).problems)
        assert data.verify(ALL).problems == []
    assert mended.failed == []
    assert [words.partition(" (")[0] for words in mended.done][1:] == ["klines BTCUSDT 1m: fetched 44,640 rows again"]
    if funding.name != FILE:
        # May has 31 days of three settlements.
        assert mended.done[0].startswith("fundingRate BTCUSDT: fetched 93 settlements again (2026-05-01 00:00")
    with MarketData(cache, "http://127.0.0.1:9", offline=True) as data:
        assert len(data.load_funding("BTCUSDT", WHOLE_MAY).rates) == 93
        assert len(data.load_klines("BTCUSDT", MINUTES, WHOLE_MAY).klines) == 44_640


def test_what_cannot_be_repaired_does_not_stop_the_rest(cache: Path, both: Callable[..., MarketData]) -> None:
    for path in (cache / "v1/binance/um").rglob("*.parquet"):
        path.write_bytes(path.read_bytes()[:-9])
    with DemoExchange([Fault("fundingRate", "404", times=None), Fault("ETHUSDT", "404", times=None)]) as exchange:
        data = both(exchange)
        mended = data.mend(data.verify(ALL).problems)
        left = data.verify(ALL).problems
    assert [words.partition(": ")[0] for words in mended.failed] == ["fundingRate BTCUSDT", "klines ETHUSDT 1h"]
    assert [words.partition(" (")[0] for words in mended.done] == ["klines BTCUSDT 1m: fetched 44,640 rows again"]
    assert all("nt-run data get fetches it" in words for words in mended.failed)
    assert [(one.kind, str(one.series)) for one in left] == [
        ("gone", "fundingRate BTCUSDT"),
        ("gone", "klines ETHUSDT 1h"),
    ]


def test_a_damaged_answer_that_is_the_newest_is_fetched_again(cache: Path, both: Callable[..., MarketData]) -> None:
    path = next((cache / "v1/binance/um/exchangeInfo").glob("2*.json"))
    path.write_bytes(path.read_bytes()[:-1])
    with DemoExchange() as exchange:
        data = both(exchange)
        problems = data.verify(ALL).problems
        assert [(one.kind, one.file) for one in problems] == [("damaged", path.name)]
        mended = data.mend(problems)
        found = data.verify(ALL)
    assert (mended.failed, found.problems, found.snapshots) == ([], [], 1)
    assert mended.done == [f"exchangeInfo: fetched the rules of {path.name} again"]


def test_todays_rules_that_take_the_place_of_a_damaged_answer_are_said_to(
    cache: Path, both: Callable[..., MarketData]
) -> None:
    path = next((cache / "v1/binance/um/exchangeInfo").glob("2*.json"))
    path.write_bytes(path.read_bytes()[:-1])
    with DemoExchange() as exchange:
        exchange.clock_ms += DAY
        data = both(exchange)
        (done,) = data.mend(data.verify(ALL).problems).done
        assert data.verify(ALL).problems == []
    assert done == f"exchangeInfo: fetched today's rules, which are those of {path.name}, in its place"


def test_a_damaged_older_answer_stays_a_problem_until_a_recorded_one_takes_its_place(
    cache: Path, open_data: Open
) -> None:
    store = SnapshotStore(cache)
    answer: dict[str, Any] = {"symbols": [], "serverTime": MAY}
    older = store.keep(answer, MAY)
    path = store.folder / older.file
    whole = path.read_bytes()
    for list_too in (False, True):
        path.write_bytes(whole[:-1])
        if list_too:
            (store.folder / FILE).write_bytes(b"{}")
        data = open_data(offline=True)
        problems = data.verify(ALL).problems
        assert [one.file for one in problems] == ([FILE, path.name] if list_too else [path.name])
        mended = data.mend(problems)
        assert len(mended.failed) == 1
        assert "nt-run specs import FILE --at 2026-05-01T00:00:00Z" in mended.failed[0]
        assert [one.file for one in data.verify(ALL).problems] == [path.name]
        store.keep(answer, MAY)
        found = data.verify(ALL)
        assert (found.problems, found.snapshots) == ([], 2)


def test_an_archive_replaced_since_is_found_and_taken_over_with_the_former_hash_kept(
    cache: Path, both: Callable[..., MarketData], corrected: Change
) -> None:
    before = store_of(cache).series.manifest().days["2026-05-01"]
    with DemoExchange() as exchange:
        data = both(exchange)
        assert data.verify(ALL, remote=True).problems == []
        exchange.amend_archive("monthly/klines/BTCUSDT-1m", corrected(FEW_BARS))
        assert data.verify(ALL).problems == []
        found = data.verify(ALL, remote=True)
        assert (kinds(found.problems), found.remote) == (["replaced"], 1)
        (done,) = data.mend(found.problems).done
        assert done.endswith("took over BTCUSDT-1m-2026-05.zip as it is now: other rows on 2026-05-01")
        assert data.verify(ALL, remote=True).problems == []
        loaded = data.load_klines("BTCUSDT", MINUTES, WHOLE_MAY)
    manifest = store_of(cache).series.manifest()
    after = manifest.days["2026-05-01"]
    assert after.content_sha256 != before.content_sha256
    assert manifest.former == {"2026-05-01": [before.content_sha256]}
    assert after.sources[0].zip_sha256 != before.sources[0].zip_sha256
    assert loaded.certificate.completeness == 1.0


def test_one_list_tells_of_a_year_which_files_the_archive_has_replaced(
    open_data: Open, corrected: Change, without: Change
) -> None:
    year = TimeRange(parse_time("2025-06-01"), JUNE)
    with DemoExchange() as exchange:
        where = {"archive_url": exchange.archive_url, "archive_list_url": exchange.archive_list_url}
        data = open_data(exchange.rest_url, **where)
        data.load_klines("BTCUSDT", Interval("15m"), year)
        asked = len(exchange.requests)
        found = data.verify(ALL, remote=True)
        assert (found.problems, found.remote, found.notes) == ([], 12, [])
        assert len(exchange.requests) == asked + 1
        exchange.amend_archive("monthly/klines/BTCUSDT-15m-2026-05", corrected(WHOLE_MAY))
        exchange.amend_archive("monthly/klines/BTCUSDT-15m-2025-07", without(year))
        problems = data.verify(ALL, remote=True).problems
        assert sorted(str(one).partition("15m: ")[2] for one in problems) == [
            "BTCUSDT-15m-2025-07.zip is no longer in the archive",
            "BTCUSDT-15m-2026-05.zip was replaced in the archive since",
        ]
        assert len(exchange.requests) == asked + 2 + 2  # two lists, and the checksums of the two files


def test_without_a_list_every_checksum_is_asked_for_and_that_is_said(cache: Path, open_data: Open) -> None:
    with DemoExchange([Fault("prefix=", "403", times=None)]) as exchange:
        data = open_data(
            exchange.rest_url, archive_url=exchange.archive_url, archive_list_url=exchange.archive_list_url
        )
        found = data.verify(ALL, remote=True)
        asked = [one.path.rpartition("/")[2] for one in exchange.requests]
    assert found.problems == []
    assert found.notes == [
        "The archive's listing cannot be used (was answered with HTTP 403): every file's checksum was asked for."
    ]
    assert asked == ["", "BTCUSDT-1m-2026-05.zip.CHECKSUM"]


@pytest.mark.parametrize("prefer", ["archive", "rest"])
def test_a_disagreement_is_settled_by_what_the_user_prefers(
    both: Callable[..., MarketData], corrected: Change, prefer: str, tmp_path: Path
) -> None:
    with DemoExchange() as exchange:
        data = both(exchange)
        asked = data.load_klines("BTCUSDT", MINUTES, TimeRange(MAY, MAY + DAY))
        exchange.amend_archive("monthly", corrected(FEW_BARS))
        with pytest.raises(SourcesDisagreeError):
            data.load_klines("BTCUSDT", MINUTES, WHOLE_MAY)
        problems = data.verify(ALL).problems
        assert kinds(problems) == ["conflict"]
        minutes = next(one for one in coverage(tmp_path, ALL) if one.series.interval == "1m")
        assert minutes.months[0].disputed
        assert data.mend(problems) == Mended([], [])
        assert [one.disputed for one in data.cached() if one.kind == KLINES] == [3]
        data.mend(problems, prefer)  # type: ignore[arg-type]
        assert data.verify(ALL).problems == []
        loaded = data.load_klines("BTCUSDT", MINUTES, WHOLE_MAY)
    few = loaded.klines.within(FEW_BARS).frame["trades"] - asked.klines.within(FEW_BARS).frame["trades"]
    assert few.to_list() == [1 if prefer == "archive" else 0] * 3
    assert loaded.warnings == ["BTCUSDT 1m klines: sources disagree on 3 bars; the preferred rows are used."]
    assert bool(store_of(tmp_path).series.manifest().former) == (prefer == "archive")


def test_coverage_tells_months_that_are_whole_partial_holed_and_unknown(
    both: Callable[..., MarketData], without: Change, tmp_path: Path
) -> None:
    hole = TimeRange(MAY + 9 * DAY, MAY + 9 * DAY + 10 * MINUTE)
    march = parse_time("2026-03-01")

    def edit(rows: list[list[int]]) -> list[list[int]]:
        return [row for row in rows if not hole.start_ms <= row[0] < hole.end_ms]

    with DemoExchange([Fault("/fapi/v1/klines", "rows", times=None, edit=edit)]) as exchange:
        exchange.amend_archive("klines/", without(hole))
        data = both(exchange)
        data.load_klines("BTCUSDT", MINUTES, TimeRange(march + 3 * DAY, march + 5 * DAY - MINUTE))
        with pytest.raises(IncompleteDataError):
            data.load_klines("BTCUSDT", MINUTES, WHOLE_MAY)
        data.load_klines("BTCUSDT", MINUTES, TimeRange(JUNE, JUNE + 10 * DAY))
        data.load_funding("BTCUSDT", WHOLE_MAY)
    funding, klines = coverage(tmp_path, ALL)
    assert [(month.month, month.state, month.days) for month in klines.months] == [
        *(("2026-03", "part", 2), ("2026-04", "none", 0), ("2026-05", "absent", 31), ("2026-06", "part", 10))
    ]
    assert klines.months[2].missing == 10
    assert klines.months[2].sources == ("archive_monthly",)
    assert [(month.month, month.state) for month in funding.months] == [("2026-05", "complete")]


def test_coverage_of_funding_counts_settlements_to_the_month_they_end(open_data: Open, tmp_path: Path) -> None:
    with DemoExchange() as exchange:
        data = open_data(exchange.rest_url)
        for start, end in ((parse_time("2026-03-01"), parse_time("2026-04-01")), (MAY, JUNE)):
            data.load_funding("BTCUSDT", TimeRange(start + 1, end + 1))
    (funding,) = coverage(tmp_path, ALL)
    assert [(month.month, month.state, month.rows) for month in funding.months] == [
        *(("2026-03", "complete", 93), ("2026-04", "none", 0), ("2026-05", "complete", 93))
    ]
    # 186 settlements in 62 of 92 days: 186 × 92 ÷ 62 = 276 in all.
    (listed,) = [one for one in open_data(offline=True).cached() if one.kind == "fundingRate"]
    assert (listed.rows, listed.expected) == (186, 276)


def test_coverage_of_funding_tells_months_that_are_whole_partial_holed_and_open(
    open_data: Open, tmp_path: Path
) -> None:
    # Neither source has 2026-03-10; the archive does not answer for May, of which REST lacks two settlements.
    march, lost = parse_time("2026-03-10"), parse_time("2026-05-10T08:00")

    def edit(rows: list[Any]) -> list[Any]:
        gone = (TimeRange(march, march + DAY), TimeRange(lost, lost + 9 * 60 * MINUTE))
        return [row for row in rows if not any(one.start_ms <= row["fundingTime"] < one.end_ms for one in gone)]

    faults = [
        Fault("/fundingRate?", "rows", times=None, edit=edit),
        Fault("fundingRate-2026-03", "404", times=None),
        Fault("fundingRate-2026-05", "503", times=None),
    ]
    with DemoExchange(faults) as exchange:
        data = open_data(exchange.rest_url, archive_url=exchange.archive_url)
        spring, newest = TimeRange(parse_time("2026-03-01"), JUNE), parse_time("2026-06-29T12:00")
        exchange.clock_ms = newest + MINUTE
        data.load_funding("BTCUSDT", spring, min_completeness=0.9)
        data.load_funding("BTCUSDT", TimeRange(newest - 2 * DAY, newest), min_completeness=0.9)
    (funding,) = coverage(tmp_path, ALL)
    found = [(one.month, one.state, one.days, one.rows, one.missing, one.sources) for one in funding.months]
    # From 2026-06-27 12:00 on 16:00; 00:00, 08:00, 16:00; 00:00, 08:00. The newest of the three days has not ended.
    assert found == [
        ("2026-03", "absent", 31, 90, 3, ("rest",)),
        ("2026-04", "complete", 30, 90, 0, ("rest",)),
        ("2026-05", "short", 31, 90, 2, ("rest",)),
        ("2026-06", "open", 3, 6, 0, ("rest",)),
    ]


def test_a_month_of_which_some_days_of_funding_were_fetched_is_covered_in_part(open_data: Open, tmp_path: Path) -> None:
    with DemoExchange() as exchange:
        open_data(exchange.rest_url).load_funding("BTCUSDT", TimeRange(MAY + 9 * DAY + 1, MAY + 10 * DAY + 1))
    (funding,) = coverage(tmp_path, ALL)
    assert [(one.state, one.days, one.rows, one.missing) for one in funding.months] == [("part", 1, 3, 0)]


def test_a_confirmed_hole_does_not_speak_for_a_month_that_was_hardly_fetched(open_data: Open, tmp_path: Path) -> None:
    hole = TimeRange(MAY + 9 * DAY, MAY + 9 * DAY + 10 * MINUTE)

    def edit(rows: list[list[int]]) -> list[list[int]]:
        return [row for row in rows if not hole.start_ms <= row[0] < hole.end_ms]

    with DemoExchange([Fault("/fapi/v1/klines", "rows", times=None, edit=edit)]) as exchange:
        few = TimeRange(MAY + 9 * DAY, MAY + 10 * DAY)
        open_data(exchange.rest_url).load_klines("BTCUSDT", MINUTES, few, min_completeness=0.5)
    (klines,) = coverage(tmp_path, ALL)
    assert [(month.state, month.missing) for month in klines.months] == [("part", 10)]


def test_coverage_tells_what_is_damaged_and_shows_the_rest(cache: Path) -> None:
    (store_of(cache).series.folder / FILE).write_bytes(b"{}")
    found = [(str(one.series), one.damaged, len(one.months)) for one in coverage(cache, ALL)]
    assert found == [
        ("fundingRate BTCUSDT", None, 1),
        ("klines BTCUSDT 1m", "is damaged", 0),
        ("klines ETHUSDT 1h", None, 1),
    ]


def test_nothing_is_deleted_without_being_asked_for(cache: Path, open_data: Open) -> None:
    folder = store_of(cache).series.folder
    (folder / "2026-05.000000000000.parquet").write_bytes(b"replaced long ago")
    (folder / "2026-04.000000000000.parquet.bad").write_bytes(b"set aside")
    waste = find_waste(cache, ALL)
    assert [one.path.name[:7] for one in waste] == ["2026-04", "2026-05"]
    assert all(one.path.exists() for one in waste)
    assert remove(waste) == 26
    assert not any(one.path.exists() for one in waste)
    assert find_waste(cache, ALL) == []
    assert open_data(offline=True).verify(ALL).problems == []


def test_old_data_is_deleted_by_name_and_forgotten(cache: Path, open_data: Open) -> None:
    assert find_waste(cache, ALL, before_ms=JUNE - 1) == []
    only = Selection(kinds=frozenset({"klines"}))
    waste = find_waste(cache, only, before_ms=JUNE)
    assert [(one.series.symbol, one.partition) for one in waste] == [("BTCUSDT", "2026-05")]
    remove(waste)
    data = open_data(offline=True)
    assert data.verify(ALL).problems == []
    assert data.newest_cached_range("BTCUSDT", MINUTES) is None
    assert data.newest_cached_range("ETHUSDT", Interval("1h")) is not None


def test_an_interval_does_not_mean_funding_when_something_is_deleted(cache: Path) -> None:
    later = parse_time("2030-01-01")
    hours = Selection(intervals=frozenset({"1h"}))
    assert [str(one.series) for one in find_waste(cache, hours, before_ms=later)] == ["klines ETHUSDT 1h"]
    assert "fundingRate BTCUSDT" in {str(one.series) for one in find_waste(cache, ALL, before_ms=later)}


def test_removing_a_year_of_funding_forgets_that_year_alone(open_data: Open, tmp_path: Path) -> None:
    year = parse_time("2026-01-01")
    around = TimeRange(year - 2 * DAY, year + 2 * DAY)
    with DemoExchange() as exchange:
        open_data(exchange.rest_url).load_funding("BTCUSDT", around)
    waste = find_waste(tmp_path, ALL, before_ms=year)
    assert [one.partition for one in waste] == ["2025"]
    remove(waste)
    assert len(open_data(offline=True).load_funding("BTCUSDT", TimeRange(year, around.end_ms)).rates) == 6
    with pytest.raises(NotCachedError):
        open_data(offline=True).load_funding("BTCUSDT", around)


def test_a_month_of_the_archive_comes_out_byte_for_byte(cache: Path, open_data: Open, tmp_path: Path) -> None:
    klines = open_data(offline=True).load_klines("BTCUSDT", MINUTES, WHOLE_MAY).klines
    manifest = store_of(cache).series.manifest()
    (path,) = export_klines(klines, klines.range, KLINES, manifest, Target(tmp_path / "out"), "archive")
    assert path.name == "BTCUSDT-1m-2026-05.csv"
    with DemoExchange() as exchange, MarketData(tmp_path, exchange.rest_url, exchange.archive_url) as data:
        client = data._sources.archive()  # pyright: ignore[reportPrivateUsage]
        assert client is not None
        arrived = client.fetch(ArchiveFile(KLINES, "BTCUSDT", "1m", "2026-05"))
    assert arrived is not None
    assert sha256(path.read_bytes()) == sha256(arrived.text)


def test_a_part_of_a_month_is_exported_by_day_and_other_forms_as_one_file(
    cache: Path, open_data: Open, tmp_path: Path
) -> None:
    part = TimeRange(MAY + 3 * DAY, MAY + 5 * DAY)
    klines = open_data(offline=True).load_klines("BTCUSDT", MINUTES, part).klines
    manifest = store_of(cache).series.manifest()
    days = export_klines(klines, klines.range, KLINES, manifest, Target(tmp_path / "days"), "archive")
    assert [path.name for path in days] == ["BTCUSDT-1m-2026-05-04.csv", "BTCUSDT-1m-2026-05-05.csv"]
    assert all(path.read_bytes().startswith(HEADER) for path in days)
    (csv,) = export_klines(klines, klines.range, KLINES, manifest, Target(tmp_path), "csv")
    (parquet,) = export_klines(klines, klines.range, KLINES, manifest, Target(tmp_path), "parquet")
    assert pl.read_parquet(parquet).equals(klines.floats())
    text = pl.read_csv(csv)
    assert text["open_time"][0] == "2026-05-04T00:00:00Z"
    assert text["close"].to_list() == klines.floats()["close"].to_list()


def test_a_manifest_of_another_series_is_reported(cache: Path, open_data: Open) -> None:
    series = store_of(cache).series
    manifest = series.manifest()
    manifest.symbol = "ETHUSDT"
    save_manifest(series.folder / FILE, manifest)
    (problem,) = open_data(offline=True).verify(ALL).problems
    assert "belongs to klines ETHUSDT 1m" in str(problem)
