"""Klines of three days, a week and a month, from every source and back."""

from collections.abc import Callable

import pytest

from nt_run.data.coverage import coverage
from nt_run.data.loader import MarketData
from nt_run.data.selection import Selection
from nt_run.demo import DemoExchange, Fault
from nt_run.errors import DataError, InvalidKlinesError
from nt_run.klines import find_gaps
from nt_run.model import Interval, TimeRange, format_time, parse_time
from nt_run.quality import aggregate

Open = Callable[..., MarketData]
SPRING = TimeRange(parse_time("2026-03-01"), parse_time("2026-06-01"))


@pytest.mark.parametrize(
    ("name", "bars", "first", "end"),
    [
        # 92 days from March to May. 2026-03-02 is a Monday and 20,514 = 3 × 6,838 days after 1970-01-01.
        ("3d", 31, "2026-03-02 00:00", "2026-06-03 00:00"),
        ("1w", 13, "2026-03-02 00:00", "2026-06-01 00:00"),
        ("1M", 3, "2026-03-01 00:00", "2026-06-01 00:00"),
    ],
)
@pytest.mark.parametrize("kind", ["klines", "markPriceKlines"])
def test_long_intervals_are_what_days_put_together_give(
    open_data: Open, name: str, bars: int, first: str, end: str, kind: str
) -> None:
    with DemoExchange() as exchange:
        data = open_data(exchange.rest_url, archive_url=exchange.archive_url)
        load = data.load_klines if kind == "klines" else data.load_mark_klines
        loaded = load("BTCUSDT", Interval(name), SPRING)
        asked = len(exchange.requests)
        again = load("BTCUSDT", Interval(name), SPRING)
        assert len(exchange.requests) == asked
        days = load("BTCUSDT", Interval("1d"), loaded.klines.range)
    assert len(loaded.klines) == bars
    assert (format_time(loaded.klines.range.start_ms), format_time(loaded.klines.range.end_ms)) == (first, end)
    assert loaded.certificate.completeness == 1.0
    assert again.certificate == loaded.certificate
    assert find_gaps(loaded.klines, SPRING) == []
    if kind == "klines":
        assert aggregate(days.klines, Interval(name)).floats().equals(loaded.klines.floats())


@pytest.mark.parametrize(("name", "lacks"), [("1w", "2026-03-30"), ("1M", "2026-04-01"), ("3d", "2026-04-01")])
def test_where_rest_is_out_of_reach_months_of_the_archive_do_but_for_bars_that_end_behind_them(
    open_data: Open, name: str, lacks: str
) -> None:
    interval = Interval(name)
    inside = TimeRange(parse_time("2026-04-01"), interval.floor(parse_time("2026-05-01")))
    with DemoExchange([Fault("/fapi/", "500", times=None)]) as exchange:
        data = open_data(
            exchange.rest_url, archive_url=exchange.archive_url, clock=lambda: parse_time("2026-07-01") / 1000
        )
        loaded = data.load_klines("BTCUSDT", interval, inside)
        assert set(loaded.certificate.sources) == {"archive_monthly"}
        if name == "1w":
            with pytest.raises(DataError, match=rf"{lacks} 00:00 → 2026-04-06"):
                data.load_klines("BTCUSDT", interval, TimeRange(parse_time(lacks), inside.end_ms))


@pytest.mark.parametrize(("name", "hole"), [("3d", "2026-04-01"), ("1w", "2026-04-06"), ("1M", "2026-04-01")])
def test_a_missing_long_bar_is_one_hole_confirmed_and_asked_for_once(open_data: Open, name: str, hole: str) -> None:
    interval, opened = Interval(name), parse_time(hole)
    if name == "3d":
        opened = interval.ceil(opened)
    without = Fault("/klines", "rows", times=None, edit=lambda rows: [row for row in rows if row[0] != opened])
    with DemoExchange([without]) as exchange:
        data = open_data(exchange.rest_url)
        loaded = data.load_klines("BTCUSDT", interval, SPRING, min_completeness=0.5)
        asked = len(exchange.requests)
        data.load_klines("BTCUSDT", interval, SPRING, min_completeness=0.5)
        assert len(exchange.requests) == asked
        (series,) = data.cached()
    (gap,) = loaded.certificate.gaps
    assert (gap.range, gap.status) == (TimeRange(opened, interval.end(opened)), "confirmed_absent")
    assert (series.rows, series.expected, series.holes) == (len(loaded.klines), len(loaded.klines) + 1, 1)
    (cover,) = coverage(data.root, Selection(intervals=frozenset({name})))
    assert [month.state for month in cover.months] == ["complete", "absent", "complete"]
    assert sum(month.missing for month in cover.months) == 1


def test_a_month_that_opens_on_another_day_is_refused(open_data: Open) -> None:
    later = 86_400_000

    def shifted(rows: list[list[int]]) -> list[list[int]]:
        return [[row[0] + later, *row[1:6], row[6] + later, *row[7:]] for row in rows]

    # The request for the very first kline is answered as it is.
    with (
        DemoExchange([Fault("/klines", "rows", times=None, skip=1, edit=shifted)]) as exchange,
        pytest.raises(InvalidKlinesError, match="off the grid of 1M"),
    ):
        open_data(exchange.rest_url).load_klines("BTCUSDT", Interval("1M"), SPRING)
