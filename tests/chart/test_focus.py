from dataclasses import replace

import polars as pl
import pytest

from chart.made_up_runs import START_MS, make_klines, make_run
from nt_run.chart.focus import Focus, Span, find_span, next_trade, range_span, trade_span, whole_span
from nt_run.chart.view import ChartData, chart_data
from nt_run.errors import ChartError
from nt_run.model import TimeRange

MINUTE = 60_000


def test_a_trade_is_shown_with_as_much_around_it_as_it_is_long(data: ChartData) -> None:
    trades = data.trades
    first, last = int(trades.entry_slot[1]), int(trades.exit_slot[1])
    span = trade_span(data, 2)
    # What is shorter than 40 bars in all is widened to both sides by the same.
    length = last - first + 1
    widened = max(40 - (last - first + 2 * length), 0) / 2
    assert span == Span(first - length - widened, last + length + widened)


@pytest.mark.parametrize("number", [-1, 0, 7])
def test_a_trade_that_does_not_exist_is_an_error_that_says_which_do(data: ChartData, number: int) -> None:
    with pytest.raises(ChartError, match=f"no trade {number}: .* has 6, numbered from 1 to 6"):
        find_span(data, Focus(trade=number))


def test_a_run_without_trades_says_so() -> None:
    with pytest.raises(ChartError, match="has none"):
        trade_span(chart_data(make_run(make_klines(50), trades=0)), 1)


def test_a_range_is_half_open_and_cut_to_the_run(data: ChartData) -> None:
    # Bars 60 to 119: from the left edge of the first one to the right edge of the last.
    times = TimeRange(START_MS + 60 * MINUTE, START_MS + 120 * MINUTE)
    assert range_span(data.bars, times) == Span(59.5, 119.5)
    assert range_span(data.bars, TimeRange(0, START_MS * 2)) == whole_span(data.bars) == Span(-0.5, 179.5)


def test_a_range_of_a_few_bars_is_widened_to_a_picture(data: ChartData) -> None:
    times = TimeRange(START_MS + 100 * MINUTE, START_MS + 102 * MINUTE)
    # Two bars from 99.5 to 101.5, and 19 more on each side.
    assert range_span(data.bars, times) == Span(80.5, 120.5)


@pytest.mark.parametrize("shift", [-400, 180])
def test_a_range_outside_of_the_run_is_an_error_that_names_the_run_s(data: ChartData, shift: int) -> None:
    start = START_MS + shift * MINUTE
    with pytest.raises(ChartError, match=r"no bar of this chart, which goes from 2025-05-01 00:00 → 2025-05-01 03:00"):
        range_span(data.bars, TimeRange(start, start + 100 * MINUTE))


def test_without_a_wish_all_is_shown(data: ChartData) -> None:
    assert find_span(data, Focus()) == whole_span(data.bars)


def test_one_steps_through_the_trades_and_stops_at_the_ends(data: ChartData) -> None:
    everything = whole_span(data.bars)
    assert [next_trade(data, at, everything, 1) for at in (None, 1, 5, 6)] == [1, 2, 6, None]
    assert [next_trade(data, at, everything, -1) for at in (None, 6, 2, 1)] == [6, 5, 1, None]


def test_the_first_step_starts_from_what_is_visible(data: ChartData) -> None:
    entries = data.trades.entry_slot
    span = Span(float(entries[2]) - 0.5, float(entries[3]) + 0.5)
    assert next_trade(data, None, span, 1) == 3
    assert next_trade(data, None, span, -1) == 4
    nothing = chart_data(make_run(make_klines(50), trades=0))
    assert next_trade(nothing, None, whole_span(nothing.bars), 1) is None


def test_a_range_inside_a_hole_shows_the_hole() -> None:
    klines = make_klines(200)
    klines = replace(klines, frame=pl.concat([klines.frame[:50], klines.frame[150:]]))
    bars = chart_data(make_run(klines, trades=0)).bars
    assert range_span(bars, TimeRange(START_MS + 60 * MINUTE, START_MS + 120 * MINUTE)) == Span(59.5, 119.5)
