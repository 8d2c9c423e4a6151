import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pyarrow import feather

from nt_run.data.loader import MarketData
from nt_run.demo import DEMO_NOW_MS, DEMO_START_MS, DemoExchange, Fault, RecordedMarket
from nt_run.errors import (
    DataError,
    IncompleteDataError,
    InvalidKlinesError,
    NotCachedError,
    NotTradableError,
    SourceError,
    StoreError,
    UnknownSymbolError,
)
from nt_run.klines import Gap
from nt_run.model import Interval, TimeRange, format_time

MINUTE = 60_000
DAY = 86_400_000
MINUTES = Interval("1m")
END = DEMO_NOW_MS // MINUTE * MINUTE
WEEK = TimeRange(END - 7 * DAY, END)
OLD = TimeRange(END - 100 * DAY, END - 99 * DAY)
"""A day of a month that has ended."""

Open = Callable[..., MarketData]
type Edit = Callable[[list[list[Any]]], list[list[Any]]]


def kline_requests(exchange: DemoExchange) -> int:
    return sum(served.path.endswith("/klines") for served in exchange.requests)


def without(hole: TimeRange) -> Edit:
    return lambda rows: [row for row in rows if not hole.start_ms <= row[0] < hole.end_ms]


def minutes(first: int, last: int, day: TimeRange = OLD) -> TimeRange:
    return TimeRange(day.start_ms + first * MINUTE, day.start_ms + last * MINUTE)


def test_a_week_comes_whole_and_the_second_time_without_a_request(open_data: Open) -> None:
    with DemoExchange() as exchange:
        first = open_data(exchange.rest_url).load_klines("BTCUSDT", MINUTES, WEEK)
        asked = len(exchange.requests)
        second = open_data(exchange.rest_url).load_klines("BTCUSDT", MINUTES, WEEK)
        assert len(exchange.requests) == asked
    assert first.klines.range == WEEK
    assert len(first.klines) == first.certificate.expected == first.certificate.loaded == 10_080
    assert first.certificate.completeness == 1.0
    assert first.certificate.sources == {"rest": 1.0}
    assert first.warnings == second.warnings == []
    assert second.certificate == first.certificate
    assert second.klines.frame.equals(first.klines.frame)


def test_what_is_cached_is_not_asked_for_again(open_data: Open) -> None:
    with DemoExchange() as exchange:
        data = open_data(exchange.rest_url)
        data.load_klines("BTCUSDT", MINUTES, minutes(100, 200))
        before = len(exchange.requests)
        data.load_klines("BTCUSDT", MINUTES, minutes(50, 300))
        asked = [served.query for served in exchange.requests[before:] if served.path.endswith("/klines")]
    opens = [(int(query["startTime"]), int(query["endTime"]) + 1) for query in asked if query["startTime"] != "0"]
    assert opens == [
        (minutes(50, 100).start_ms, minutes(50, 100).end_ms),
        (minutes(200, 300).start_ms, minutes(200, 300).end_ms),
    ]


def test_pages_are_bought_at_the_best_price(open_data: Open) -> None:
    with DemoExchange() as exchange:
        open_data(exchange.rest_url).load_klines("BTCUSDT", MINUTES, OLD)
        limits = [served.query["limit"] for served in exchange.requests if served.path.endswith("/klines")]
    assert limits == ["1", "499", "499", "499"]


def test_the_forming_bar_is_not_stored_and_asking_for_it_tells_the_newest_closed_one(open_data: Open) -> None:
    with DemoExchange() as exchange:
        data = open_data(exchange.rest_url)
        with pytest.raises(DataError, match=f"newest closed bar ends at {format_time(END)}"):
            data.load_klines("BTCUSDT", MINUTES, TimeRange(END - DAY, END + MINUTE))
        exchange.clock_ms = END + 4_999
        with pytest.raises(DataError, match=f"--end {format_time(END - MINUTE).replace(' ', 'T')}"):
            open_data(exchange.rest_url).load_klines("BTCUSDT", MINUTES, TimeRange(END - DAY, END))
        exchange.clock_ms = END + 5_000
        assert len(data.load_klines("BTCUSDT", MINUTES, TimeRange(END - DAY, END)).klines) == 1440


def test_a_range_before_the_first_kline_is_an_error_that_names_it(open_data: Open) -> None:
    with DemoExchange() as exchange:
        data = open_data(exchange.rest_url)
        early = TimeRange(DEMO_START_MS - DAY, DEMO_START_MS + DAY)
        for _ in range(2):
            with pytest.raises(DataError, match=f"first 1m kline is of {format_time(DEMO_START_MS)}"):
                data.load_klines("BTCUSDT", MINUTES, early)
        assert kline_requests(exchange) == 1
        assert len(data.load_klines("BTCUSDT", MINUTES, TimeRange(DEMO_START_MS, DEMO_START_MS + DAY)).klines) == 1440


def test_rows_an_answer_lacks_are_asked_for_once_more(open_data: Open) -> None:
    edit = without(minutes(100, 110))
    with DemoExchange([Fault("/klines", "rows", times=4, edit=edit)]) as exchange:
        loaded = open_data(exchange.rest_url).load_klines("BTCUSDT", MINUTES, OLD)
        assert kline_requests(exchange) == 5
    assert loaded.certificate.gaps == []
    assert len(loaded.klines) == 1440


def test_a_hole_asked_for_twice_is_confirmed_named_and_costs_nothing_the_next_time(open_data: Open) -> None:
    hole = minutes(1430, 1440)
    with DemoExchange([Fault("/klines", "rows", times=None, edit=without(hole))]) as exchange:
        data = open_data(exchange.rest_url)
        with pytest.raises(IncompleteDataError, match=r"1430 of 1440 bars") as caught:
            data.load_klines("BTCUSDT", MINUTES, OLD)
        asked = len(exchange.requests)
        for _ in range(2):
            with pytest.raises(IncompleteDataError):
                data.load_klines("BTCUSDT", MINUTES, OLD)
        allowed = data.load_klines("BTCUSDT", MINUTES, OLD, min_completeness=0.99)
        assert len(exchange.requests) == asked
    assert caught.value.missing == (f"{hole} (10 bars)",)
    assert allowed.certificate.gaps == [Gap(hole, "confirmed_absent")]
    assert allowed.certificate.completeness == pytest.approx(1430 / 1440)
    assert len(allowed.klines) == 1430


def test_a_hole_of_this_moment_is_not_confirmed_but_asked_for_again(open_data: Open) -> None:
    late = without(TimeRange(END - MINUTE, END))
    with DemoExchange([Fault("/klines", "rows", times=4, edit=late)]) as exchange:
        data = open_data(exchange.rest_url)
        with pytest.raises(IncompleteDataError, match="does not have them yet"):
            data.load_klines("BTCUSDT", MINUTES, TimeRange(END - DAY // 24, END))
        assert len(data.load_klines("BTCUSDT", MINUTES, TimeRange(END - DAY // 24, END)).klines) == 60


@pytest.mark.parametrize("kind", ["cut", "500", "html", "418"])
def test_a_download_that_fails_is_an_error_and_keeps_what_arrived_before(open_data: Open, kind: str) -> None:
    with DemoExchange([Fault("/klines", kind, times=None, skip=3)]) as exchange, pytest.raises(SourceError):
        open_data(exchange.rest_url).load_klines("BTCUSDT", MINUTES, OLD)
    with DemoExchange() as exchange:
        data = open_data(exchange.rest_url)
        assert len(data.load_klines("BTCUSDT", MINUTES, OLD).klines) == 1440
        assert kline_requests(exchange) == 1


def test_a_cut_off_body_is_an_error_and_stores_nothing(open_data: Open, tmp_path: Path) -> None:
    with DemoExchange([Fault("/klines", "cut", times=None)]) as exchange, pytest.raises(SourceError, match="cut off"):
        open_data(exchange.rest_url).load_klines("BTCUSDT", MINUTES, OLD)
    assert list(tmp_path.rglob("*.parquet")) == []


def test_an_interrupted_download_keeps_what_arrived(open_data: Open) -> None:
    def interrupt(_label: str, _done: int, _total: int, rows: int) -> None:
        if rows > 900:
            raise KeyboardInterrupt

    with DemoExchange() as exchange:
        with pytest.raises(KeyboardInterrupt):
            open_data(exchange.rest_url, progress=interrupt).load_klines("BTCUSDT", MINUTES, OLD)
        before = kline_requests(exchange)
        assert len(open_data(exchange.rest_url).load_klines("BTCUSDT", MINUTES, OLD).klines) == 1440
        assert kline_requests(exchange) - before == 1


def test_rows_that_contradict_the_stored_ones_are_refused(open_data: Open) -> None:
    def more_trades(rows: list[list[Any]]) -> list[list[Any]]:
        return [[*row[:8], row[8] + 1, *row[9:]] for row in rows]

    def stale(rows: list[list[Any]]) -> list[list[Any]]:
        return [[row[0] + 7 * DAY, *row[1:]] for row in rows]

    with DemoExchange() as exchange:
        open_data(exchange.rest_url).load_klines("BTCUSDT", MINUTES, minutes(0, 100))
    hole = without(minutes(100, 102))
    faults = [
        Fault("limit=99", "rows", edit=lambda rows: more_trades(rows) + rows),
        Fault("limit=499", "rows", edit=hole),
        Fault("limit=499", "rows", edit=stale, skip=1),
    ]
    with DemoExchange(faults) as exchange:
        data = open_data(exchange.rest_url)
        with pytest.raises(InvalidKlinesError, match="two different rows"):
            data.load_klines("BTCUSDT", MINUTES, minutes(100, 190))
        with pytest.raises(InvalidKlinesError, match="does not hold"):
            data.load_klines("BTCUSDT", MINUTES, minutes(100, 900))
    with DemoExchange() as exchange:
        assert len(open_data(exchange.rest_url).load_klines("BTCUSDT", MINUTES, OLD).klines) == 1440


def test_the_same_rows_twice_change_nothing(open_data: Open, tmp_path: Path) -> None:
    def twice(rows: list[list[Any]]) -> list[list[Any]]:
        return (rows + rows)[::-1]

    with DemoExchange([Fault("/klines", "rows", times=None, skip=1, edit=twice)]) as exchange:
        doubled = open_data(exchange.rest_url).load_klines("BTCUSDT", MINUTES, OLD)
    with DemoExchange() as exchange:
        plain = open_data(exchange.rest_url, root=tmp_path / "other").load_klines("BTCUSDT", MINUTES, OLD)
    assert doubled.certificate == plain.certificate


def test_a_429_in_the_middle_loses_no_row(open_data: Open, pauses: list[float]) -> None:
    with DemoExchange([Fault("/klines", "429", skip=2, retry_after=9)]) as exchange:
        labels: list[str] = []
        data = open_data(exchange.rest_url, progress=lambda label, *_rest: labels.append(label))
        assert len(data.load_klines("BTCUSDT", MINUTES, OLD).klines) == 1440
    assert pauses == [9]
    assert any("slow down for 9 s" in label for label in labels)


def test_progress_is_told_in_bars_and_ends_at_the_total(open_data: Open) -> None:
    seen: list[tuple[str, int, int, int]] = []
    with DemoExchange() as exchange:
        data = open_data(exchange.rest_url, progress=lambda *told: seen.append(told))
        data.load_klines("BTCUSDT", MINUTES, OLD)
    assert seen[0] == ("BTCUSDT 1m klines", 0, 1440, 0)
    assert seen[-1] == ("BTCUSDT 1m klines", 1440, 1440, 1440)
    assert [done for _, done, _, _ in seen] == sorted(done for _, done, _, _ in seen)


def test_offline_opens_no_socket_and_names_what_is_missing(open_data: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    with DemoExchange() as exchange:
        live = open_data(exchange.rest_url)
        live.load_specs("BTCUSDT")
        live.load_funding("BTCUSDT", OLD)
        online = live.load_klines("BTCUSDT", MINUTES, minutes(0, 100))

    def refuse(*_args: Any, **_options: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr("socket.socket.connect", refuse)
    data = open_data(offline=True)
    cached = data.load_klines("BTCUSDT", MINUTES, minutes(0, 100))
    assert cached.certificate == online.certificate
    assert len(data.load_funding("BTCUSDT", OLD).rates) == 3
    assert data.load_specs("BTCUSDT").specs.tick_size == Decimal("0.10")
    assert data.load_market_state("BTCUSDT") is None
    with pytest.raises(NotCachedError) as caught:
        data.load_klines("BTCUSDT", MINUTES, minutes(50, 160))
    assert caught.value.missing == (f"{minutes(100, 160)} (60 bars)",)
    for ask in (data.server_time_ms, lambda: data.load_funding("BTCUSDT", WEEK)):
        with pytest.raises(NotCachedError):
            ask()


def test_a_damaged_file_is_fetched_again_online_and_named_offline(open_data: Open, tmp_path: Path) -> None:
    with DemoExchange() as exchange:
        first = open_data(exchange.rest_url).load_klines("BTCUSDT", MINUTES, OLD)
        path = next((tmp_path / "v1/binance/um/klines").rglob("*.parquet"))
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        with pytest.raises(StoreError, match=path.name):
            open_data(offline=True).load_klines("BTCUSDT", MINUTES, OLD)
        again = open_data(exchange.rest_url).load_klines("BTCUSDT", MINUTES, OLD)
    assert again.certificate == first.certificate
    assert "was damaged; it was set aside" in again.warnings[0]
    assert path.exists()
    assert path.with_name(f"{path.name}.bad").exists()


def test_two_loads_at_once_of_one_range_are_safe(open_data: Open, tmp_path: Path) -> None:
    with DemoExchange() as exchange, ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(open_data(exchange.rest_url).load_klines, "BTCUSDT", MINUTES, OLD) for _ in range(2)]
        first, second = (job.result() for job in jobs)
    assert first.certificate == second.certificate
    assert len(first.klines) == 1440


def test_a_range_without_a_bar_is_an_error(open_data: Open) -> None:
    with pytest.raises(DataError, match="No 1h bar of BTCUSDT opens in"):
        open_data().load_klines("BTCUSDT", Interval("1h"), TimeRange(OLD.start_ms + 1, OLD.start_ms + MINUTE))


def test_an_interval_of_a_day_works_like_the_others(open_data: Open) -> None:
    with DemoExchange() as exchange:
        loaded = open_data(exchange.rest_url).load_klines("ETHUSDT", Interval("1d"), TimeRange(END - 400 * DAY, END))
    assert len(loaded.klines) == 400
    assert loaded.certificate.completeness == 1.0


def test_specs_are_live_and_every_answer_is_kept_once_a_change(open_data: Open, tmp_path: Path) -> None:
    with DemoExchange() as exchange:
        data = open_data(exchange.rest_url)
        first = data.load_specs("BTCUSDT")
        exchange.clock_ms += DAY
        second = data.load_specs("ETHUSDT")
    assert first.snapshot == second.snapshot
    assert len(list((tmp_path / "v1/binance/um/exchangeInfo").glob("*Z.*.json"))) == 1
    assert first.specs.as_of_ms == DEMO_NOW_MS
    assert first.specs.source == exchange.rest_url
    offline = open_data(offline=True).load_specs("BTCUSDT")
    assert offline.specs.as_of_ms == DEMO_NOW_MS + DAY
    assert offline.specs.source == offline.snapshot == first.snapshot


def test_specs_of_a_kept_answer_are_used_with_a_warning_when_the_exchange_fails(open_data: Open) -> None:
    with DemoExchange() as exchange:
        open_data(exchange.rest_url).load_specs("BTCUSDT")
    loaded = open_data(clock=lambda: DEMO_NOW_MS / 1000 + 7200).load_specs("BTCUSDT")
    assert (
        "could not be fetched: http://127.0.0.1:9/fapi/v1/time is not reachable: Connection refused."
        in (loaded.warnings[0])
    )
    assert "2 hours old" in loaded.warnings[0]


def test_specs_without_a_kept_answer_are_an_error_when_the_exchange_fails(open_data: Open) -> None:
    with pytest.raises(SourceError, match="not reachable"):
        open_data().load_specs("BTCUSDT")
    with pytest.raises(NotCachedError, match="trading rules"):
        open_data(offline=True).load_specs("BTCUSDT")


def test_specs_of_what_cannot_be_traded_are_errors_of_their_own(open_data: Open) -> None:
    with DemoExchange() as exchange:
        data = open_data(exchange.rest_url)
        with pytest.raises(UnknownSymbolError, match="Did you mean BTCUSDT"):
            data.load_specs("BTCUSD")
        with pytest.raises(UnknownSymbolError, match="If it was listed once: nt-run specs import FILE"):
            data.load_specs("GONEUSDT")
        with pytest.raises(NotTradableError, match="not a perpetual"):
            data.load_specs("BTCUSDT_260925")


def test_the_state_of_the_market_says_how_long_a_funding_interval_is(open_data: Open) -> None:
    with DemoExchange() as exchange:
        state = open_data(exchange.rest_url).load_market_state("BTCUSDT")
    assert state is not None
    assert state.mark_price > 0
    assert state.funding_interval_ms == 8 * 3_600_000
    assert state.next_funding_ms is not None
    assert state.next_funding_ms > DEMO_NOW_MS


def test_the_cache_lists_what_it_holds(open_data: Open) -> None:
    with DemoExchange() as exchange:
        data = open_data(exchange.rest_url)
        assert data.cached() == []
        assert data.newest_cached_range("BTCUSDT", MINUTES) is None
        data.load_specs("BTCUSDT")
        data.load_funding("BTCUSDT", OLD)
        data.load_klines("BTCUSDT", MINUTES, minutes(0, 100))
        data.load_klines("BTCUSDT", MINUTES, minutes(200, 300))
    listed = {(one.kind, one.symbol, one.interval): (one.first_ms, one.last_ms, one.rows) for one in data.cached()}
    assert listed[("klines", "BTCUSDT", "1m")] == (minutes(0, 1).start_ms, minutes(0, 300).end_ms, 200)
    assert listed[("fundingRate", "BTCUSDT", "")][2] == 3
    assert ("exchangeInfo", "", "") in listed
    assert data.newest_cached_range("BTCUSDT", MINUTES) == minutes(200, 300)


def test_the_time_zone_of_the_machine_does_not_matter(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from nt_run.data.loader import MarketData; from nt_run.model import Interval, TimeRange\n"
        "root, url, start, end = sys.argv[1:]\n"
        "with MarketData(Path(root), rest_url=url, archive_url=url) as data:\n"
        "    specs = data.load_specs('BTCUSDT')\n"
        "    loaded = data.load_klines('BTCUSDT', Interval('1m'), TimeRange(int(start), int(end)))\n"
        "print(specs.snapshot, loaded.certificate.fingerprint)\n"
        "from nt_run.data.kline_store import KlineStore\n"
        "manifest = KlineStore(Path(root), 'BTCUSDT', Interval('1m'), repair=False).series.manifest()\n"
        "print(sorted(one.file for one in manifest.partitions.values()), sorted(manifest.days))\n"
    )
    with DemoExchange() as exchange:
        said = {
            subprocess.run(
                [sys.executable, "-c", code, str(tmp_path / zone), exchange.rest_url, str(WEEK.start_ms), str(END)],
                env={**os.environ, "TZ": zone},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for zone in ("UTC", "America/Vancouver", "Asia/Kolkata")
        }
    assert len(said) == 1


def test_a_run_served_by_the_cache_imports_neither_the_sdk_nor_pandas(tmp_path: Path) -> None:
    with DemoExchange() as exchange, MarketData(tmp_path, rest_url=exchange.rest_url) as data:
        data.load_klines("BTCUSDT", MINUTES, OLD)
    code = (
        "import sys; from pathlib import Path\n"
        "from nt_run.data.loader import MarketData; from nt_run.model import Interval, TimeRange\n"
        "with MarketData(Path(sys.argv[1]), rest_url='http://127.0.0.1:9') as data:\n"
        "    data.load_klines('BTCUSDT', Interval('1m'), TimeRange(int(sys.argv[2]), int(sys.argv[3])))\n"
        "print([name for name in ('binance_common', 'requests', 'urllib3', 'pandas') if name in sys.modules])\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), str(OLD.start_ms), str(OLD.end_ms)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == "[]"


def test_a_recorded_month_comes_out_as_it_went_in(open_data: Open, recordings: Path) -> None:
    table = feather.read_table(recordings / "klines" / "BTCUSDT-1m-2025-05.feather")
    recorded = pl.DataFrame(pl.from_arrow(table)).rename({"date": "open_time"})
    market = RecordedMarket("BTCUSDT", recorded)
    first = int(recorded["open_time"].dt.epoch("ms")[0])
    whole = TimeRange(first, first + recorded.height * MINUTE)
    with DemoExchange(market=market) as exchange:
        loaded = open_data(exchange.rest_url).load_klines("BTCUSDT", MINUTES, whole)
    floats = loaded.klines.floats()
    assert len(loaded.klines) == recorded.height == 43_199
    for name in ("open", "high", "low", "close", "volume"):
        assert floats[name].to_list() == recorded[name].to_list()
    assert loaded.certificate.gaps == []
    assert loaded.warnings == []
