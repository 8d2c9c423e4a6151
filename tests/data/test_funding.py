import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nt_run.data.funding import SCHEMA, FundingStore, parse_funding
from nt_run.data.loader import MarketData
from nt_run.data.missing import find_missing
from nt_run.demo import DEMO_NOW_MS, DEMO_START_MS, DemoExchange, Fault
from nt_run.demo.market import SyntheticMarket
from nt_run.errors import IncompleteDataError, InvalidKlinesError, SourceError
from nt_run.model import FundingRate, TimeRange, parse_time

HOUR = 3_600_000
DAY = 24 * HOUR
END = DEMO_NOW_MS // 60_000 * 60_000
START = parse_time("2026-05-01")

Open = Callable[..., MarketData]


def row(time_ms: int, rate: str = "0.00010000", mark: str = "60000.00000000") -> dict[str, Any]:
    return {"symbol": "BTCUSDT", "fundingTime": time_ms, "fundingRate": rate, "markPrice": mark}


def settled(*hours: int) -> list[FundingRate]:
    return [
        FundingRate(time_ms=START + hour * HOUR, slot_ms=START + hour * HOUR, rate=Decimal(0), mark_price=None)
        for hour in hours
    ]


def funding_requests(exchange: DemoExchange) -> int:
    return sum(served.path.endswith("/fundingRate") for served in exchange.requests)


def keep(store: FundingStore, rows: list[dict[str, Any]]) -> None:
    frame, exponents = parse_funding(rows, "a test")
    store._commit(frame, exponents, TimeRange(START, START + DAY), START + DAY, kind="rest", now_ms=END)


def test_rates_come_exact_with_slots_and_the_second_time_without_a_request(open_data: Open) -> None:
    time_range = TimeRange(START, START + 10 * DAY)
    with DemoExchange() as exchange:
        data = open_data(exchange.rest_url)
        first = data.load_funding("BTCUSDT", time_range)
        assert funding_requests(exchange) == 1
        assert open_data(exchange.rest_url).load_funding("BTCUSDT", time_range) == first
        assert funding_requests(exchange) == 1
        raw = data._sources.rest().funding_rates("BTCUSDT", time_range)
    assert first.warnings == []
    assert [rate.slot_ms for rate in first.rates] == list(range(START, START + 10 * DAY, 8 * HOUR))
    assert [rate.time_ms for rate in first.rates] == [one["fundingTime"] for one in raw]
    assert [rate.rate for rate in first.rates] == [Decimal(one["fundingRate"]) for one in raw]
    assert [rate.mark_price for rate in first.rates] == [Decimal(one["markPrice"]) for one in raw]


def test_a_range_holds_the_settlement_at_its_start_and_not_the_one_at_its_end(open_data: Open) -> None:
    with DemoExchange() as exchange:
        loaded = open_data(exchange.rest_url).load_funding("BTCUSDT", TimeRange(START, START + 8 * HOUR))
    assert [rate.slot_ms for rate in loaded.rates] == [START]


def test_more_than_a_page_comes_page_by_page_and_only_what_is_missing_is_asked_for(open_data: Open) -> None:
    whole = TimeRange(DEMO_START_MS, END)
    with DemoExchange() as exchange:
        data = open_data(exchange.rest_url)
        data.load_funding("BTCUSDT", TimeRange(START, START + DAY))
        loaded = data.load_funding("BTCUSDT", whole)
        assert len(loaded.rates) == whole.ms // (8 * HOUR)
        before = funding_requests(exchange)
        data.load_funding("BTCUSDT", TimeRange(START - DAY, START + 2 * DAY))
        assert funding_requests(exchange) == before
    assert loaded.warnings == []


def test_a_range_up_to_the_newest_bar_is_known_as_a_whole(open_data: Open) -> None:
    newest = TimeRange(END - 7 * DAY, END)
    with DemoExchange() as exchange:
        open_data(exchange.rest_url).load_funding("BTCUSDT", newest)
    assert len(open_data(offline=True).load_funding("BTCUSDT", newest).rates) == 21


def test_a_download_of_rates_that_fails_keeps_the_pages_that_arrived(open_data: Open) -> None:
    whole = TimeRange(DEMO_START_MS, END)
    with DemoExchange([Fault("/fundingRate", "html", times=None, skip=1)]) as exchange, pytest.raises(SourceError):
        open_data(exchange.rest_url).load_funding("BTCUSDT", whole)
    with DemoExchange() as exchange:
        assert len(open_data(exchange.rest_url).load_funding("BTCUSDT", whole).rates) == whole.ms // (8 * HOUR)
        assert funding_requests(exchange) == 1


def test_a_mark_price_that_is_not_there_stays_absent(tmp_path: Path) -> None:
    store = FundingStore(tmp_path, "BTCUSDT", repair=True)
    keep(store, [row(START, mark=""), row(START + 8 * HOUR)])
    assert [rate.mark_price for rate in store.read(TimeRange(START, START + DAY))] == [None, Decimal("60000.00000000")]


def test_jitter_after_the_hour_does_not_move_the_slot() -> None:
    frame, _ = parse_funding(
        [row(START + 16), row(START + 8 * HOUR + 1), row(START + 9 * HOUR + 30 * 60_000)], "a test"
    )
    slots = frame["slot"].to_physical().to_list()
    assert slots == [START, START + 8 * HOUR, START + 9 * HOUR + 30 * 60_000]


def test_rates_of_more_decimals_widen_what_is_stored(tmp_path: Path) -> None:
    store = FundingStore(tmp_path, "BTCUSDT", repair=True)
    for hour, rate in ((0, "0.0001"), (8, "-0.000043961"), (16, "0.1")):
        frame, exponents = parse_funding([row(START + hour * HOUR, rate)], "a test")
        part = TimeRange(START + hour * HOUR, START + (hour + 8) * HOUR)
        store._commit(frame, exponents, part, START + DAY, kind="rest", now_ms=END)
    rates = [rate.rate for rate in store.read(TimeRange(START, START + DAY))]
    assert rates == [Decimal("0.0001"), Decimal("-0.000043961"), Decimal("0.1")]
    assert store.lacking(TimeRange(START - 1, START + DAY + 1)) == [
        TimeRange(START - 1, START),
        TimeRange(START + DAY, START + DAY + 1),
    ]


def test_two_different_rates_for_one_settlement_are_an_error(tmp_path: Path) -> None:
    store = FundingStore(tmp_path, "BTCUSDT", repair=True)
    for rate in ("0.0001", "0.0001"):
        keep(store, [row(START, rate)])
    with pytest.raises(InvalidKlinesError, match="two different rows for one settlement, at 2026-05-01 00:00"):
        keep(store, [row(START, "0.0002")])


@pytest.mark.parametrize(
    "broken",
    [
        [{"fundingTime": START}],
        [row(START, rate="")],
        [row(START, rate="1e-4")],
        [row(START, mark="x")],
        [[START, "0.0001"]],
    ],
)
def test_a_row_that_is_no_settlement_is_refused(broken: list[Any]) -> None:
    with pytest.raises(InvalidKlinesError):
        parse_funding(broken, "a test")


def test_no_rows_are_no_rates() -> None:
    frame, _ = parse_funding([], "a test")
    assert frame.is_empty()
    assert frame.schema == SCHEMA


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        ((0, 8, 16), 0),
        ((0, 8, 24), 1),
        ((0, 4, 8, 16, 20), 1),
        ((0, 8, 16, 20, 23), 0),
        ((0, 4, 8, 16), 0),
        ((12, 16, 20), 1),
        ((), 1),
    ],
)
def test_missing_settlements_are_told_and_changes_of_interval_are_not(hours: tuple[int, ...], words: int) -> None:
    assert len(find_missing(settled(*hours), TimeRange(START, START + DAY))) == words


def test_recorded_answers_of_the_exchange_are_read(recordings: Path) -> None:
    recorded = json.loads((recordings / "rest_samples" / "fapi_recordings_2026-06.json").read_text())
    answers = [one["data"] for one in recorded["routes"]["/fapi/v1/fundingRate"]["GET"] if one["data"]]
    assert answers
    for rows in answers:
        if isinstance(rows, list):
            frame, exponents = parse_funding(rows, "a recording")
            assert frame.height == len(rows)
            assert exponents == (8, 8)


def test_a_settlement_at_the_end_of_the_range_is_there_as_soon_as_the_exchange_has_it(open_data: Open) -> None:
    # The demo's clock stands 30 s after a settlement, which is published already.
    held = TimeRange(END - 7 * DAY + 1, END + 1)
    with DemoExchange() as exchange:
        loaded = open_data(exchange.rest_url).load_funding("BTCUSDT", held)
    assert loaded.rates[-1].slot_ms == END
    assert len(open_data(offline=True).load_funding("BTCUSDT", held).rates) == 21


def test_a_settlement_that_is_due_and_not_published_is_told_and_asked_for_again(open_data: Open) -> None:
    held = TimeRange(END - 7 * DAY + 1, END + 1)
    with DemoExchange() as exchange:
        exchange.clock_ms = END - 1
        loaded = open_data(exchange.rest_url).load_funding("BTCUSDT", held)
        assert [rate.slot_ms for rate in loaded.rates][-1] == END - 8 * HOUR
        assert any("not published yet" in warning for warning in loaded.warnings)
        exchange.clock_ms = END + 30_000
        later = open_data(exchange.rest_url).load_funding("BTCUSDT", held)
    assert later.rates[-1].slot_ms == END
    assert later.warnings == []


def test_rates_of_an_exchange_that_does_not_answer_come_from_the_archive(open_data: Open, tmp_path: Path) -> None:
    may = TimeRange(parse_time("2026-05-01"), parse_time("2026-06-01"))
    with DemoExchange([Fault("/fundingRate?", "418", times=None)]) as exchange:
        archived = open_data(exchange.rest_url, archive_url=exchange.archive_url).load_funding("BTCUSDT", may)
        with pytest.raises(SourceError, match="HTTP 418"):
            open_data(exchange.rest_url, archive_url=exchange.archive_url).load_funding(
                "BTCUSDT", TimeRange(may.start_ms, may.end_ms + 1)
            )
    with DemoExchange() as exchange:
        asked = open_data(exchange.rest_url, root=tmp_path / "other").load_funding("BTCUSDT", may)
    assert [(one.time_ms, one.rate) for one in archived.rates] == [(one.time_ms, one.rate) for one in asked.rates]
    assert {one.mark_price for one in archived.rates} == {None}
    assert len(archived.rates) == 93


def test_a_month_of_which_rest_knows_nothing_comes_from_the_archive(open_data: Open) -> None:
    spring = TimeRange(parse_time("2026-03-01"), parse_time("2026-06-01"))
    april = TimeRange(parse_time("2026-04-01"), parse_time("2026-05-01"))

    def forget(rows: list[Any]) -> list[Any]:
        return [one for one in rows if not april.start_ms <= one["fundingTime"] < april.end_ms]

    with DemoExchange([Fault("/fundingRate?", "rows", times=None, edit=forget)]) as exchange:
        loaded = open_data(exchange.rest_url, archive_url=exchange.archive_url).load_funding("BTCUSDT", spring)
    assert len(loaded.rates) == 92 * 3
    assert loaded.warnings == []


LOST = parse_time("2026-05-10T08:00")
MAY = TimeRange(parse_time("2026-05-01"), parse_time("2026-06-01"))


def lose(rows: list[Any]) -> list[Any]:
    return [one for one in rows if abs(one["fundingTime"] - LOST) > HOUR]


def test_a_settlement_lost_in_one_answer_is_asked_for_a_second_time(open_data: Open) -> None:
    with DemoExchange([Fault("/fundingRate?", "rows", edit=lose)]) as exchange:
        loaded = open_data(exchange.rest_url).load_funding("BTCUSDT", MAY)
    assert (len(loaded.rates), loaded.warnings) == (93, [])


def test_a_settlement_that_rest_lacks_comes_from_the_month_of_the_archive(open_data: Open) -> None:
    with DemoExchange([Fault("/fundingRate?", "rows", times=None, edit=lose)]) as exchange:
        loaded = open_data(exchange.rest_url, archive_url=exchange.archive_url).load_funding("BTCUSDT", MAY)
    assert (len(loaded.rates), loaded.warnings) == (93, [])
    assert next(rate for rate in loaded.rates if rate.slot_ms == LOST).mark_price is None


LACKING = [Fault("/fundingRate?", "rows", times=None, edit=lose), Fault("/fundingRate/", "404", times=None)]
OVERDUE = MAY.end_ms + 52 * DAY
"""The file of a month that ended 52 days ago does not come any more."""


def test_a_settlement_that_no_source_has_stops_a_run_and_is_not_asked_for_again(open_data: Open) -> None:
    with DemoExchange(LACKING) as exchange:
        exchange.clock_ms = OVERDUE
        data = open_data(exchange.rest_url, archive_url=exchange.archive_url)
        # 92 of 93 are 0.98924…
        expected = (
            "BTCUSDT funding rates: no source has the settlement between 2026-05-10 00:00 and 2026-05-10 16:00.\n"
            "  rest: was asked twice and has none\n"
            "  archive_monthly: was asked and has none\n"
            "Nothing is filled in. Choose a range without the hole, or allow it and have it listed: "
            "--min-completeness 0.989. --no-funding charges none at all."
        )
        for _ in range(2):
            with pytest.raises(IncompleteDataError) as caught:
                data.load_funding("BTCUSDT", MAY)
            assert str(caught.value) == expected
        asked = len(exchange.requests)
        with pytest.raises(IncompleteDataError):
            data.load_funding("BTCUSDT", MAY)
        some = data.load_funding("BTCUSDT", MAY, min_completeness=0.98)
        assert len(exchange.requests) == asked
    words = "no settlement between 2026-05-10 00:00 and 2026-05-10 16:00, and no source has one"
    assert [words in text for text in some.warnings] == [True]
    assert [(one.count, one.status) for one in some.missing] == [(1, "confirmed_absent")]
    # Offline the same holes are known, and no more is missing.
    assert open_data(offline=True).load_funding("BTCUSDT", MAY, min_completeness=0.98).missing == some.missing


def test_whether_settlements_are_missing_does_not_depend_on_the_age_of_their_month(open_data: Open) -> None:
    # Neither source has any: 28 days of 3 in a month of which the file may still come, and in one that is overdue.
    no_rows = Fault("/fundingRate?", "rows", times=None, edit=lambda _: [])
    faults = [no_rows, Fault("/fundingRate/", "404", times=None)]
    first = parse_time("2026-05-01")
    held = TimeRange(first + 1, first + 28 * DAY + 1)
    for clock in (parse_time("2026-06-01T12:00"), OVERDUE):
        with DemoExchange(faults) as exchange:
            exchange.clock_ms = clock
            data = open_data(exchange.rest_url, archive_url=exchange.archive_url)
            words = "no source has 84 settlements between 2026-05-01 00:00 and 2026-05-29 00:00"
            with pytest.raises(IncompleteDataError, match=words) as caught:
                data.load_funding("BTCUSDT", held)
            assert caught.value.completeness == 0


@pytest.mark.parametrize(
    ("start", "end", "count"),
    [
        # 08:00 and 16:00; the one at the end of the range belongs to it if the range holds the next millisecond.
        ("07:00", "17:00", 2),
        ("00:00:00.001", "16:00:00.001", 2),
        ("00:00:00.001", "16:00", 1),
        ("00:30", "07:30", 0),
        ("08:00:00.001", "16:00", 0),
        ("08:00", "08:00:00.001", 1),
    ],
)
def test_as_many_are_missing_as_have_their_slot_in_the_range(start: str, end: str, count: int) -> None:
    hours = TimeRange(*(parse_time(f"2026-05-01T{time}") for time in (start, end)))
    assert sum(one.count for one in find_missing([], hours)) == count


BEGAN = parse_time("2026-04-20T16:00")


class Young(SyntheticMarket):
    """A contract whose settlements begin later than its klines."""

    def funding(self, start_ms: int, end_ms: int) -> Sequence[FundingRate]:
        return [one for one in super().funding(start_ms, end_ms) if one.slot_ms >= BEGAN]


@pytest.mark.parametrize("listed", [True, False])
def test_before_the_very_first_settlement_none_is_missing(open_data: Open, listed: bool) -> None:
    # 2026-04-18 … 2026-04-22: of 12 slots those from 2026-04-20 16:00 on, 16:00, 00:00, 08:00, 16:00.
    spring = TimeRange(parse_time("2026-04-18"), parse_time("2026-04-22"))
    unlisted = Fault("/fundingRate?", "rows", times=None, edit=lambda _: [])
    faults = [Fault("BTCUSDT-fundingRate-2026-03", "404", times=None), *([] if listed else [unlisted])]
    with DemoExchange(faults, market=Young("BTCUSDT")) as exchange:
        exchange.clock_ms = OVERDUE
        data = open_data(exchange.rest_url, archive_url=exchange.archive_url)
        loaded = data.load_funding("BTCUSDT", spring)
        asked = len(exchange.requests)
        assert data.load_funding("BTCUSDT", spring) == loaded
        assert len(exchange.requests) == asked
    assert [rate.slot_ms for rate in loaded.rates] == [BEGAN + number * 8 * HOUR for number in range(4)]
    assert (loaded.missing, loaded.warnings) == ([], [])
    assert open_data(offline=True).load_funding("BTCUSDT", spring) == loaded


@pytest.mark.parametrize("failing", ["404", "503"])
def test_a_settlement_that_is_unexplained_stops_a_run_and_is_asked_for_again(open_data: Open, failing: Any) -> None:
    faults = [
        Fault("/fundingRate?", "rows", times=6, edit=lose),
        Fault("/fundingRate/", failing, times=None),
    ]
    with DemoExchange(faults) as exchange:
        exchange.clock_ms = parse_time("2026-06-01T12:00")
        data = open_data(exchange.rest_url, archive_url=exchange.archive_url)
        # 92 of 93 are 0.9892…: `--min-completeness 0.98` goes on without it.
        with pytest.raises(
            IncompleteDataError, match=r"(?s)the settlement between .*--min-completeness 0.98"
        ) as caught:
            data.load_funding("BTCUSDT", MAY)
        assert set(caught.value.reasons) == {"rest", "archive_monthly"}
        some = data.load_funding("BTCUSDT", MAY, min_completeness=0.98)
        assert len(some.rates) == 92
        assert ["one is due" in text for text in some.warnings] == [True]
        kept = open_data(offline=True).load_funding("BTCUSDT", MAY, min_completeness=0.98)
        assert kept.rates == some.rates
        # Two requests each time; the seventh answer is whole.
        with pytest.raises(IncompleteDataError):
            data.load_funding("BTCUSDT", MAY)
        healed = data.load_funding("BTCUSDT", MAY)
    assert (len(healed.rates), healed.warnings) == (93, [])
