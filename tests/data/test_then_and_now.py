"""Klines of a run beside the cache: changed in the run, amended or filled in the cache since, or not there any more."""

from collections.abc import Callable

import polars as pl
import pytest

from nt_run.data.kline_store import KlineStore
from nt_run.data.manifest import Hole, Source
from nt_run.data.then_and_now import Beside, Kept, put_beside
from nt_run.klines import Klines
from nt_run.model import TimeRange, parse_time

MINUTE, DAY = 60_000, 86_400_000
START = parse_time("2025-01-31")
NOW = parse_time("2025-06-15")
DAYS = TimeRange(START, START + 3 * DAY)
SAME = Beside(unknown=0, since=None, never=None)

type Make = Callable[..., Klines]


@pytest.fixture
def run(store: KlineStore, klines: Make, rest_source: Source) -> Klines:
    """Three days in two files of the cache, and the same rows in a run."""
    rows = klines(START, 3 * 1440)
    store.commit(rows, source=rest_source, now_ms=NOW)
    return store.read(DAYS)


def kept(rows: Klines, asked: TimeRange = DAYS, *, whole: bool = True) -> Kept:
    return Kept(klines=rows, asked=asked, whole=whole, made_ms=NOW)


def other(rows: Klines, minute: int, column: str = "high") -> Klines:
    """The same rows with one value one unit larger."""
    at = pl.int_range(pl.len()) == minute
    return with_frame(
        rows, rows.frame.with_columns(pl.when(at).then(pl.col(column) + 1).otherwise(column).alias(column))
    )


def without(rows: Klines, minute: int) -> Klines:
    return with_frame(rows, rows.frame.filter(pl.int_range(pl.len()) != minute))


def with_frame(rows: Klines, frame: pl.DataFrame) -> Klines:
    return Klines(rows.symbol, rows.interval, rows.exponents, frame)


def test_the_same_rows_are_the_same_in_whole_days_and_in_parts_of_them(store: KlineStore, run: Klines) -> None:
    assert put_beside(kept(run), store) == SAME
    part = TimeRange(START + 90 * MINUTE, START + 2 * DAY + 7 * MINUTE)
    assert put_beside(kept(run.within(part), part), store) == SAME


@pytest.mark.parametrize("span", [DAYS, TimeRange(START + MINUTE, START + 3 * DAY)], ids=["whole days", "a part"])
def test_a_row_the_cache_never_had_is_told_with_both_values(store: KlineStore, run: Klines, span: TimeRange) -> None:
    changed = other(other(run, 5), 3000, "volume").within(span)
    beside = put_beside(kept(changed, span), store)
    assert (beside.since, beside.unknown) == (None, 0)
    assert beside.never is not None
    assert (beside.never.bars, beside.never.first_ms) == (2, START + 5 * MINUTE)
    ours = changed.within(TimeRange(START + 5 * MINUTE, START + 6 * MINUTE)).column("high")[0]
    assert (beside.never.cached, beside.never.given) == (f"high {ours - 0.1:.1f}", f"high {ours:.1f}")


def test_a_row_that_is_missing_or_doubled_in_the_run_is_told(store: KlineStore, run: Klines) -> None:
    for minute in (0, 2000, 3 * 1440 - 1):
        lost = put_beside(kept(without(run, minute)), store).never
        assert lost is not None
        assert (lost.bars, lost.first_ms, lost.given) == (1, START + minute * MINUTE, "none")
    doubled = put_beside(kept(with_frame(run, pl.concat([run.frame[:3], run.frame[2:]]))), store).never
    assert doubled is not None
    assert doubled.first_ms == START + 2 * MINUTE


def test_single_bars_are_compared_where_only_they_were_needed(store: KlineStore, run: Klines) -> None:
    some = with_frame(run, pl.concat([run.frame[100:105], run.frame[2000:2005]]))
    assert put_beside(kept(some, some.range, whole=False), store) == SAME
    changed = put_beside(kept(other(some, 7), some.range, whole=False), store).never
    assert changed is not None
    assert changed.first_ms == START + 2002 * MINUTE


def test_rows_that_were_replaced_since_are_no_fault_of_the_run(
    store: KlineStore, run: Klines, rest_source: Source
) -> None:
    # Fetched again a day after the run; the exchange had amended a row. What the day was is on record.
    again = Source(kind="rest", key=rest_source.key, fetched_at_ms=NOW + DAY, rows=0)
    amended = other(run, 2000).within(TimeRange(START + DAY, START + 2 * DAY))
    store.commit(amended, source=again, now_ms=NOW + DAY, replace=True)
    beside = put_beside(kept(run), store)
    assert beside.never is None
    assert beside.since is not None
    assert (beside.since.bars, beside.since.first_ms) == (1, START + 2000 * MINUTE)
    # Another change of the run, in a day that was left alone, is one all the same.
    assert put_beside(kept(other(run, 5)), store).never is not None


def test_rows_of_a_cache_that_was_filled_anew_may_have_been_amended(
    store: KlineStore, klines: Make, rest_source: Source
) -> None:
    again = Source(kind="rest", key=rest_source.key, fetched_at_ms=NOW + DAY, rows=0)
    store.commit(klines(START, 3 * 1440), source=again, now_ms=NOW + DAY)
    beside = put_beside(kept(other(store.read(DAYS), 5)), store)
    assert (beside.never, beside.since is None) == (None, False)


def test_a_hole_that_was_filled_since_is_told_as_such(store: KlineStore, klines: Make, rest_source: Source) -> None:
    hole = Hole(START + 10 * MINUTE, START + 20 * MINUTE, "unverified", ("rest",), NOW)
    whole = klines(START, 3 * 1440)
    holed = with_frame(whole, pl.concat([whole.frame[:10], whole.frame[20:]]))
    store.commit(holed, source=rest_source, holes=[hole], now_ms=NOW)
    assert put_beside(kept(store.read(DAYS)), store) == SAME
    # A row in a hole of the cache came from nowhere.
    invented = put_beside(kept(klines(START, 3 * 1440)), store).never
    assert invented is not None
    assert (invented.bars, invented.cached, invented.given) == (10, "none", "a bar")
    run = store.read(DAYS)
    later = Source(kind="archive_daily", key="a file of the day", fetched_at_ms=NOW + DAY, rows=0)
    store.commit(with_frame(whole, whole.frame[10:20]), source=later, now_ms=NOW + DAY)
    beside = put_beside(kept(run), store)
    assert beside.since is not None
    assert (beside.never, beside.since.bars, beside.since.given) == (None, 10, "none")
    # What was there before the hole was filled can still be no other than it was.
    assert put_beside(kept(other(run, 5)), store).never is not None


def test_what_the_cache_has_no_more_is_counted(store: KlineStore, klines: Make, rest_source: Source) -> None:
    store.commit(klines(START, 1440 + 60), source=rest_source, now_ms=NOW)
    beside = put_beside(kept(klines(START, 3 * 1440)), store)
    assert beside == Beside(unknown=3 * 1440 - 1440 - 60, since=None, never=None)
