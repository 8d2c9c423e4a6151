"""Cache → monthly archive → daily archive → REST, and what goes wrong on the way."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from nt_run.data.archive import ArchiveFile, file_range
from nt_run.data.kline_store import KlineStore
from nt_run.data.loader import MarketData
from nt_run.data.manifest import Manifest
from nt_run.data.store import Series
from nt_run.demo import DEMO_NOW_MS, DEMO_START_MS, DemoExchange, Fault
from nt_run.demo.candles import Candles
from nt_run.errors import (
    AllSourcesError,
    IncompleteDataError,
    SourcesDisagreeError,
    UnknownSymbolError,
)
from nt_run.klines import Gap
from nt_run.model import Interval, TimeRange, parse_time

MINUTE, DAY = 60_000, 86_400_000
MINUTES = Interval("1m")
MARCH, MAY, JUNE = parse_time("2026-03-01"), parse_time("2026-05-01"), parse_time("2026-06-01")
WHOLE_MAY = TimeRange(MAY, JUNE)
SPRING = TimeRange(MARCH, JUNE)
HOLE = TimeRange(MAY + 9 * DAY + 100 * MINUTE, MAY + 9 * DAY + 110 * MINUTE)
DAYS = TimeRange(MAY + 11 * DAY, MAY + 15 * DAY)

Open = Callable[..., MarketData]
Change = Callable[..., Callable[[Candles], Candles]]


@pytest.fixture
def both(open_data: Open) -> Callable[..., MarketData]:
    """Market data with REST and the archive of one exchange."""
    return lambda exchange, **options: open_data(exchange.rest_url, archive_url=exchange.archive_url, **options)


def zips(exchange: DemoExchange, since: int = 0) -> list[str]:
    names = [served.path.rpartition("/")[2] for served in exchange.requests[since:] if served.path.endswith(".zip")]
    return sorted(name.removeprefix("BTCUSDT-1m-").removesuffix(".zip") for name in names)


def pages(exchange: DemoExchange, since: int = 0) -> list[int]:
    """Limits of the klines requests, but for the one that asks for the first kline."""
    served = [one for one in exchange.requests[since:] if one.path.endswith("lines")]
    return [int(one.query["limit"]) for one in served if one.query["limit"] != "1"]


def rest_lacks(*holes: TimeRange) -> Fault:
    def edit(rows: list[list[Any]]) -> list[list[Any]]:
        return [row for row in rows if not any(hole.start_ms <= row[0] < hole.end_ms for hole in holes)]

    return Fault("/fapi/v1/klines", "rows", times=None, edit=edit)


def test_closed_months_come_from_monthly_files_and_no_page_of_rest(both: Open) -> None:
    with DemoExchange() as exchange:
        loaded = both(exchange).load_klines("BTCUSDT", MINUTES, SPRING)
        assert zips(exchange) == ["2026-03", "2026-04", "2026-05"]
        assert pages(exchange) == []
    assert loaded.certificate.sources == {"archive_monthly": 1.0}
    assert len(loaded.klines) == loaded.certificate.expected == 92 * 1440
    assert loaded.warnings == []


def test_every_source_gives_the_same_rows_of_exactly_the_range(both: Open, open_data: Open, tmp_path: Path) -> None:
    part = TimeRange(MAY + 3 * DAY + 7 * MINUTE, MAY + 6 * DAY + 11 * MINUTE)
    with DemoExchange(weight_limit=100_000) as exchange:
        archived = both(exchange, root=tmp_path / "archive").load_klines("BTCUSDT", MINUTES, part)
        asked = open_data(exchange.rest_url, root=tmp_path / "rest").load_klines("BTCUSDT", MINUTES, part)
        exchange.amend_archive("monthly", lambda candles: candles.between(0, 0))
        daily = both(exchange, root=tmp_path / "daily").load_klines("BTCUSDT", MINUTES, part)
    assert archived.klines.range == asked.klines.range == daily.klines.range == part
    assert archived.klines.frame.equals(asked.klines.frame)
    assert daily.klines.frame.equals(asked.klines.frame)
    assert archived.certificate.fingerprint == asked.certificate.fingerprint == daily.certificate.fingerprint
    assert set(archived.certificate.sources) == {"archive_monthly"}
    assert set(asked.certificate.sources) == {"rest"}
    assert set(daily.certificate.sources) == {"archive_daily"}


def test_the_open_month_comes_by_day_and_what_is_not_published_by_rest(both: Open) -> None:
    end = DEMO_NOW_MS // MINUTE * MINUTE
    with DemoExchange() as exchange:
        loaded = both(exchange).load_klines("BTCUSDT", MINUTES, TimeRange(end - 5 * DAY, end))
        assert zips(exchange) == ["2026-06", *(f"2026-06-{day}" for day in (26, 27, 28, 29, 30))]
        assert pages(exchange) == [499, 499, 499]
    assert loaded.certificate.sources == {"archive_daily": pytest.approx(0.8), "rest": pytest.approx(0.2)}
    assert loaded.warnings == []


def test_a_small_range_goes_to_rest_at_once(both: Open) -> None:
    with DemoExchange() as exchange:
        loaded = both(exchange).load_klines("BTCUSDT", MINUTES, TimeRange(MAY, MAY + 2 * DAY - MINUTE))
        assert zips(exchange) == []
    assert loaded.certificate.sources == {"rest": 1.0}


def test_a_range_that_is_cached_costs_no_request(both: Open) -> None:
    with DemoExchange() as exchange:
        both(exchange).load_klines("BTCUSDT", MINUTES, WHOLE_MAY)
        asked = len(exchange.requests)
        both(exchange).load_klines("BTCUSDT", MINUTES, TimeRange(MAY + DAY, JUNE))
        assert len(exchange.requests) == asked


def test_the_second_of_two_overlapping_ranges_asks_only_for_what_is_new(both: Open) -> None:
    with DemoExchange() as exchange:
        both(exchange).load_klines("BTCUSDT", MINUTES, WHOLE_MAY)
        asked = len(exchange.requests)
        both(exchange).load_klines("BTCUSDT", MINUTES, TimeRange(JUNE - 40 * DAY, JUNE))
        assert zips(exchange, asked) == ["2026-04"]


def test_a_month_that_is_short_though_its_checksum_is_right_is_completed_by_day(both: Open, without: Change) -> None:
    with DemoExchange() as exchange:
        exchange.amend_archive("monthly", without(DAYS))
        loaded = both(exchange).load_klines("BTCUSDT", MINUTES, WHOLE_MAY)
        assert zips(exchange) == ["2026-05", *(f"2026-05-{day}" for day in (12, 13, 14, 15))]
        assert pages(exchange) == []
    assert loaded.certificate.completeness == 1.0
    assert loaded.certificate.sources == {"archive_daily": 4 / 31, "archive_monthly": 27 / 31}


def test_what_month_and_day_lack_comes_from_rest(both: Open, without: Change) -> None:
    with DemoExchange() as exchange:
        exchange.amend_archive("klines/", without(HOLE))
        loaded = both(exchange).load_klines("BTCUSDT", MINUTES, WHOLE_MAY)
        assert zips(exchange) == ["2026-05", "2026-05-10"]
        assert pages(exchange) == [99]
    assert loaded.certificate.completeness == 1.0
    assert loaded.certificate.sources["rest"] == pytest.approx(10 / 44_640)


def test_what_no_source_has_is_confirmed_absent_and_costs_no_request_the_second_time(
    both: Open, without: Change
) -> None:
    with DemoExchange([rest_lacks(HOLE)]) as exchange:
        exchange.amend_archive("klines/", without(HOLE))
        data = both(exchange)
        costs: list[int] = []
        for _ in range(2):
            asked = len(exchange.requests)
            with pytest.raises(IncompleteDataError, match="44630 of 44640") as caught:
                data.load_klines("BTCUSDT", MINUTES, WHOLE_MAY)
            assert caught.value.missing == (f"{HOLE} (10 bars)",)
            assert set(caught.value.reasons) == {"archive_monthly", "archive_daily", "rest"}
            costs.append(len(exchange.requests) - asked)
        assert costs[0] > costs[1] == 0
        allowed = data.load_klines("BTCUSDT", MINUTES, WHOLE_MAY, min_completeness=0.99)
    assert allowed.certificate.gaps == [Gap(HOLE, "confirmed_absent")]


def test_a_hole_of_rest_in_a_small_range_is_filled_from_the_archive(both: Open) -> None:
    with DemoExchange([rest_lacks(HOLE)]) as exchange:
        loaded = both(exchange).load_klines("BTCUSDT", MINUTES, TimeRange(MAY + 9 * DAY, MAY + 10 * DAY))
        assert zips(exchange) == ["2026-05"]
    assert loaded.certificate.completeness == 1.0
    assert loaded.certificate.sources.keys() == {"archive_monthly", "rest"}


def test_a_hole_the_archive_has_had_no_chance_to_confirm_stays_unverified(both: Open) -> None:
    end = DEMO_NOW_MS // MINUTE * MINUTE
    hole = TimeRange(end - 100 * MINUTE, end - 90 * MINUTE)
    with DemoExchange([rest_lacks(hole)]) as exchange:
        data = both(exchange)
        with pytest.raises(IncompleteDataError):
            data.load_klines("BTCUSDT", MINUTES, TimeRange(end - DAY, end))
        asked = len(exchange.requests)
        allowed = data.load_klines("BTCUSDT", MINUTES, TimeRange(end - DAY, end), min_completeness=0.9)
        assert len(exchange.requests) > asked
    assert allowed.certificate.gaps == [Gap(hole, "unverified")]


@pytest.mark.parametrize("kind", ["corrupt", "404"])
def test_data_with_a_missing_or_wrong_checksum_is_not_used_and_the_next_source_serves(
    both: Open, kind: str, tmp_path: Path
) -> None:
    with DemoExchange([Fault("monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2026-05.zip.CH", kind, times=None)]) as exchange:
        loaded = both(exchange).load_klines("BTCUSDT", MINUTES, TimeRange(MAY, MAY + 3 * DAY))
        assert zips(exchange) == ["2026-05", "2026-05", "2026-05-01", "2026-05-02", "2026-05-03"]
    assert loaded.certificate.sources == {"archive_daily": 1.0}
    assert "was not used" in loaded.warnings[0]
    manifest = KlineStore(tmp_path, "BTCUSDT", MINUTES, repair=False).series.manifest()
    assert manifest.days.keys() == {"2026-05-01", "2026-05-02", "2026-05-03"}


def test_an_archive_out_of_reach_leaves_the_work_to_rest(both: Open, open_data: Open) -> None:
    with DemoExchange(weight_limit=100_000) as exchange:
        data = open_data(exchange.rest_url, archive_url="http://127.0.0.1:9")
        loaded = data.load_klines("BTCUSDT", MINUTES, TimeRange(MAY, MAY + 3 * DAY))
    assert loaded.certificate.sources == {"rest": 1.0}
    assert "Connection refused" in loaded.warnings[0]


def test_an_archive_that_fails_file_after_file_is_given_up(both: Open) -> None:
    year = TimeRange(MAY - 120 * DAY, MAY)
    with DemoExchange([Fault("/data/", "503", times=None)], weight_limit=100_000) as exchange:
        loaded = both(exchange).load_klines("BTCUSDT", MINUTES, year)
    assert loaded.certificate.sources == {"rest": 1.0}
    # Three files, each asked for four times, and those under way beside them.
    assert len(zips(exchange)) <= 4 * 4
    assert "failed 3 files in a row" in loaded.warnings[0]


def test_an_archive_that_asks_to_wait_for_long_leaves_the_work_to_rest(both: Open) -> None:
    with DemoExchange([Fault("/data/", "503", times=None, retry_after=900)]) as exchange:
        loaded = both(exchange).load_klines("BTCUSDT", MINUTES, TimeRange(MAY, MAY + 3 * DAY))
    assert loaded.certificate.sources == {"rest": 1.0}
    assert "asks to wait for 900 s" in loaded.warnings[0]


@pytest.mark.parametrize("kind", ["418", "html", "500"])
def test_rest_out_of_service_leaves_the_work_to_the_archive(both: Open, kind: str) -> None:
    with DemoExchange([Fault("/fapi/v1/klines", kind, times=None)]) as exchange:
        loaded = both(exchange).load_klines("BTCUSDT", MINUTES, TimeRange(MAY, MAY + DAY))
    assert loaded.certificate.sources == {"archive_monthly": 1.0}
    assert "not every source could be used" in loaded.warnings[0]


def test_an_exchange_out_of_reach_leaves_the_work_to_the_archive(open_data: Open) -> None:
    with DemoExchange() as exchange:
        data = open_data("http://127.0.0.1:9", archive_url=exchange.archive_url, clock=lambda: DEMO_NOW_MS / 1000)
        loaded = data.load_klines("BTCUSDT", MINUTES, WHOLE_MAY)
    assert loaded.certificate.sources == {"archive_monthly": 1.0}


def test_one_error_names_the_reason_of_every_source(both: Open) -> None:
    faults = [
        Fault("/fapi/v1/klines", "418", times=None, retry_after=600),
        Fault("monthly/", "403", times=None),
        Fault("daily/", "corrupt", times=None),
    ]
    with DemoExchange(faults) as exchange, pytest.raises(AllSourcesError) as caught:
        both(exchange).load_klines("BTCUSDT", MINUTES, WHOLE_MAY)
    assert set(caught.value.reasons) == {"archive_monthly", "archive_daily", "rest"}
    assert "2026-05-01 00:00 → 2026-06-01 00:00 (44640 bars)" in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_contract_that_is_no_longer_listed_comes_from_the_archive(both: Open) -> None:
    with DemoExchange(exchange_info={"symbols": [{"symbol": "ETHUSDT"}]}) as exchange:
        exchange._rest._markets = {}  # REST forgets it; the archive does not
        loaded = both(exchange).load_klines("BTCUSDT", MINUTES, WHOLE_MAY)
        with pytest.raises(UnknownSymbolError):
            both(exchange).load_klines("NOSUCHUSDT", MINUTES, WHOLE_MAY)
    assert loaded.certificate.sources == {"archive_monthly": 1.0}


def test_sources_that_disagree_are_an_error_until_the_user_decides(both: Open, corrected: Change) -> None:
    where = TimeRange(MAY + 5 * MINUTE, MAY + 8 * MINUTE)
    with DemoExchange() as exchange:
        data = both(exchange)
        before = data.load_klines("BTCUSDT", MINUTES, TimeRange(MAY, MAY + DAY))
        exchange.amend_archive("monthly", corrected(where))
        for _ in range(2):
            with pytest.raises(SourcesDisagreeError) as caught:
                data.load_klines("BTCUSDT", MINUTES, WHOLE_MAY)
            assert (caught.value.bars, caught.value.columns) == (3, ("trades",))
            assert caught.value.sources == ("archive_monthly", "rest")
            assert caught.value.where == (str(where),)
        rest = data.load_klines("BTCUSDT", MINUTES, TimeRange(MAY + DAY, JUNE))
        kept = data.load_klines("BTCUSDT", MINUTES, TimeRange(where.end_ms, MAY + DAY))
    assert len(rest.klines) == 30 * 1440
    assert kept.klines.frame.equals(before.klines.within(TimeRange(where.end_ms, MAY + DAY)).frame)


def test_an_interrupted_download_goes_on_with_the_files_that_had_not_come(both: Open) -> None:
    year = TimeRange(DEMO_START_MS, DEMO_START_MS + 365 * DAY)

    def interrupt(_label: str, done: int, _total: int, _rows: int) -> None:
        if done > 100_000:
            raise KeyboardInterrupt

    with DemoExchange() as exchange:
        with pytest.raises(KeyboardInterrupt):
            both(exchange, progress=interrupt).load_klines("BTCUSDT", Interval("5m"), year)
        asked = len(exchange.requests)
        assert len(both(exchange).load_klines("BTCUSDT", Interval("5m"), year).klines) == 365 * 288
        assert len(zips(exchange, asked)) <= 3


def test_two_runs_at_once_download_a_range_once(both: Open) -> None:
    with DemoExchange() as exchange, ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(both(exchange).load_klines, "BTCUSDT", MINUTES, SPRING) for _ in range(2)]
        first, second = (job.result() for job in jobs)
        assert zips(exchange) == ["2026-03", "2026-04", "2026-05"]
    assert first.certificate == second.certificate


def test_mark_price_klines_come_the_same_way(both: Open) -> None:
    end = DEMO_NOW_MS // MINUTE * MINUTE
    with DemoExchange() as exchange:
        data = both(exchange)
        month = data.load_mark_klines("BTCUSDT", MINUTES, WHOLE_MAY)
        day = data.load_mark_klines("BTCUSDT", MINUTES, TimeRange(end - DAY, end))
        last = data.load_klines("BTCUSDT", MINUTES, TimeRange(end - DAY, end))
        listed = {one.kind for one in data.cached()}
    assert month.certificate.sources == {"archive_monthly": 1.0}
    assert day.certificate.sources == {"rest": 1.0}
    assert day.klines.exponents.price == 8
    assert not day.klines.frame["open"].equals(last.klines.frame["open"])
    assert month.warnings == day.warnings == []
    assert listed == {"klines", "markPriceKlines"}


@pytest.mark.parametrize("interval", ["3m", "5m", "15m", "1h", "2h", "4h", "12h", "1d"])
def test_every_interval_is_loaded_whole(both: Open, interval: str) -> None:
    year = TimeRange(DEMO_START_MS, DEMO_START_MS + 400 * DAY)
    with DemoExchange() as exchange:
        loaded = both(exchange).load_klines("ETHUSDT", Interval(interval), year)
        asked = len(exchange.requests)
    assert len(loaded.klines) == year.bars(Interval(interval))
    assert asked < 40


def test_files_are_for_a_month_or_a_day() -> None:
    assert file_range(ArchiveFile("klines", "BTCUSDT", "1m", "2026-05")) == WHOLE_MAY
    assert file_range(ArchiveFile("klines", "BTCUSDT", "1m", "2026-05-31")) == TimeRange(JUNE - DAY, JUNE)
    assert file_range(ArchiveFile("klines", "BTCUSDT", "1m", "2025-12")).end_ms == parse_time("2026-01-01")


def test_days_of_an_ended_month_without_a_file_of_its_own_are_put_together_once(
    both: Callable[..., MarketData], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it goes through or is killed after ten days and begun again, no day is written twice."""
    written: list[str] = []
    put = Series.put

    def noted(series: Series, manifest: Manifest, key: str, *rest: Any) -> None:
        put(series, manifest, key, *rest)
        written.append(key)
        if len(written) == 10 and killed:
            raise KeyboardInterrupt

    monkeypatch.setattr(Series, "put", noted)
    may = TimeRange(parse_time("2026-05-01"), parse_time("2026-06-01"))
    days = [f"2026-05-{day:02}" for day in range(1, 32)]
    hashes: list[dict[str, str]] = []
    for killed in (False, True):
        written.clear()
        with DemoExchange([Fault("monthly/klines", "404", times=None)]) as exchange:
            data = both(exchange, root=tmp_path / str(killed))
            if killed:
                with pytest.raises(KeyboardInterrupt):
                    data.load_klines("BTCUSDT", MINUTES, may)
            loaded = data.load_klines("BTCUSDT", MINUTES, may)
            assert sorted(set(zips(exchange))) == sorted(["2026-05", *days])
        assert len(loaded.klines) == 31 * 1440
        manifest = KlineStore(data.root, "BTCUSDT", MINUTES, repair=False).series.manifest()
        assert list(manifest.partitions) == ["2026-05"]
        # The day of the kill was written and not entered, so it comes again.
        assert sorted(written) == sorted(["2026-05", *days, *written[9:10] * killed])
        hashes.append({name: day.content_sha256 for name, day in manifest.days.items()})
    assert hashes[0] == hashes[1]
