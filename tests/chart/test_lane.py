"""Trades too many for markers: their entries and results in real pictures, in a lane of their own."""

import os
from collections.abc import Callable, Generator
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from chart.made_up_runs import make_klines, make_run
from nt_run.chart.crowd import Crowd, Detail
from nt_run.chart.view import ChartData, chart_data

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from PyQt6.QtCore import QPointF
from PyQt6.QtGui import QImage

from nt_run.chart import theme
from nt_run.chart.items import VOLUME
from nt_run.chart.run_stage import RunStage
from nt_run.chart.showing import picture, staged

SIZE = (1400, 800)
Shoot = Callable[..., tuple[RunStage, QImage]]


@pytest.fixture
def shoot() -> Generator[Shoot]:
    managers = []

    def take(data: ChartData, size: tuple[int, int] = SIZE) -> tuple[RunStage, QImage]:
        managers.append(staged(RunStage(data, size)))
        stage = managers[-1].__enter__()
        return stage, picture(stage, size, 1.0)

    yield take
    for manager in managers:
        manager.__exit__(None, None, None)


def place(stage: RunStage, slot: float, value: float) -> tuple[int, int]:
    spot = stage.plots[0].vb.mapViewToScene(QPointF(slot, value))
    return round(spot.x()), round(spot.y())


def colours(image: QImage, x: int, rows: range, reach: int = 1) -> set[str]:
    return {image.pixelColor(x + dx, y).name() for dx in range(-reach, reach + 1) for y in rows}


def lane_rows(stage: RunStage) -> tuple[range, range]:
    """Return the rows of the picture that can have ticks of entries, and bars of results."""
    view = stage.panes[0].view()
    volume = place(stage, 0, view.bottom + VOLUME * view.height)[1]
    # From below: 6 pixels of air, bars of at most 26 (a pane of 250 has 8 %: 20 and more), 6, ticks of 8 down and 8 up.
    results = min(26.0, 0.08 * view.height_px)
    base = volume - 6
    return range(round(base - results - 6 - 16), round(base - results - 5)), range(round(base - results), base)


def spread_out(trades: int, bars: int) -> ChartData:
    """Return a run whose trades are ten bars apart: longs that win and shorts that lose, in turn."""
    data = chart_data(make_run(make_klines(bars), trades))
    entry = np.arange(trades) * 10 + 5
    long = np.arange(trades) % 2 == 0
    slots = np.stack([entry, entry + 4], 1).ravel()
    sign = np.where(long, 1, -1)
    fills = replace(
        data.fills,
        slot=slots,
        price=data.bars.close[slots],
        sign=np.stack([sign, -sign], 1).ravel(),
        opens=np.tile([True, False], trades),
        liquidation=np.zeros(2 * trades, bool),
    )
    done = replace(
        data.trades,
        entry_slot=entry,
        exit_slot=entry + 4,
        entry_price=data.bars.close[entry],
        exit_price=data.bars.close[entry + 4],
        sign=sign,
        pnl=np.where(long, 10.0, -10.0),
        is_open=np.zeros(trades, bool),
    )
    return replace(data, overlays=None, fills=fills, trades=done)


def test_many_entries_are_ticks_up_and_down_below_the_candles(shoot: Shoot) -> None:
    data = spread_out(300, 3000)
    stage, image = shoot(data)
    assert stage.crowd.between(-0.5, 3005, stage.panes[0].view().size_px).detail == Detail.ENTRIES
    rows, _ = lane_rows(stage)
    upper, lower = range(rows.start + 2, rows.start + 7), range(rows.stop - 7, rows.stop - 2)
    for slot, sign in zip(data.trades.entry_slot[10:200:7], data.trades.sign[10:200:7], strict=True):
        x = place(stage, float(slot), 0)[0]
        assert (theme.BUY in colours(image, x, upper)) == (sign > 0)
        assert (theme.SELL in colours(image, x, lower)) == (sign < 0)


def test_results_are_bars_at_the_exits_in_the_colour_of_what_came_of_it(shoot: Shoot) -> None:
    data = spread_out(300, 3000)
    stage, image = shoot(data)
    _, rows = lane_rows(stage)
    for slot, pnl in zip(data.trades.exit_slot[10:200:7], data.trades.pnl[10:200:7], strict=True):
        x = place(stage, float(slot), 0)[0]
        # All results are of one size: their bars have the whole height.
        assert (theme.RISE if pnl > 0 else theme.FALL) in colours(image, x, range(rows.start + 1, rows.start + 4))
        assert (theme.FALL if pnl > 0 else theme.RISE) not in colours(image, x, rows)


@pytest.mark.parametrize("size", [(1920, 1080), (1400, 800), (1280, 720), (640, 400)])
def test_candles_end_above_the_lane(size: tuple[int, int], shoot: Shoot) -> None:
    data = spread_out(300, 3000)
    stage, _ = shoot(data, size)
    lowest = place(stage, 0, float(data.bars.low.min()))[1]
    rows, results = lane_rows(stage)
    sight = stage.crowd.between(-0.5, 3005, stage.panes[0].view().size_px)
    assert lowest < (rows if sight.detail == Detail.ENTRIES else results).start
    highest = place(stage, 0, float(data.bars.high.max()))[1]
    assert lowest - highest >= 0.38 * stage.panes[0].view().height_px


def test_the_legend_names_what_is_drawn_and_nothing_else(shoot: Shoot) -> None:
    few, some, many = (shoot(spread_out(trades, 10 * trades + 20))[0] for trades in (20, 300, 900))
    texts = [stage.captions[0].toPlainText().replace("\xa0", " ") for stage in (few, some, many)]
    marks = [
        [mark for mark in ("▲ buy", "▼ sell", "○ exit", "– win", "– loss", "■ net win", "■ net loss") if mark in text]
        for text in texts
    ]
    assert marks == [
        ["▲ buy", "▼ sell", "○ exit", "– win", "– loss"],
        ["▲ buy", "▼ sell", "■ net win", "■ net loss"],
        ["■ net win", "■ net loss"],
    ]
    assert not any(mark in text for text in texts for mark in ("stop", "target", "no data", "ambiguous", "×"))


def test_the_legend_has_a_hole_and_a_bar_in_doubt_only_where_they_are_seen(shoot: Shoot) -> None:
    klines = make_klines(900)
    klines = replace(klines, frame=pl.concat([klines.frame[:400], klines.frame[440:]]))
    data = replace(chart_data(make_run(klines, trades=0)), ambiguous=np.array([700]))
    stage, _ = shoot(data)
    for span, hole, doubt in (((300, 500), True, False), ((500, 650), False, False), ((600, 800), False, True)):
        stage.plots[0].vb.update_y_zoom(*span)
        stage.caption(650)
        text = stage.captions[0].toPlainText()
        assert ("no data" in text, "ambiguous bar" in text) == (hole, doubt)


def test_the_mark_of_funding_is_explained_only_while_it_is_drawn(shoot: Shoot) -> None:
    # 100 days of hours have some 300 settlements, too many to mark each; ten days of them have 30.
    data = chart_data(make_run(make_klines(2400, interval="1h"), trades=300))
    assert len(data.funding.slot) > 130
    stage, image = shoot(data)
    equity = next(text for text in stage.captions if "Equity" in text.toPlainText())
    assert "funding" not in equity.toPlainText()
    stage.plots[0].vb.update_y_zoom(100, 340)
    stage.caption(300)
    assert "◆ funding" in equity.toPlainText()
    assert not image.isNull()


@pytest.mark.parametrize(
    ("trades", "size", "detail"),
    [
        (90, (2160, 400), Detail.LABELS),  # 24 pixels each
        (91, (4000, 400), Detail.ARROWS),
        (90, (2159, 400), Detail.ARROWS),
        (100, (1200, 400), Detail.ARROWS),  # 12 pixels each
        (101, (1200, 400), Detail.ENTRIES),
        (251, (9000, 400), Detail.ENTRIES),
        (400, (1200, 400), Detail.ENTRIES),  # 3 pixels each
        (401, (1200, 400), Detail.RESULTS),
        (300, (1200, 219), Detail.RESULTS),
    ],
)
def test_what_is_drawn_of_trades_depends_on_the_room_for_each(
    trades: int, size: tuple[float, float], detail: Detail
) -> None:
    data = spread_out(trades, 10 * trades + 20)
    sight = Crowd(data.fills, data.trades).between(-0.5, 10.0 * trades + 20, size)
    assert (sight.number, sight.detail) == (trades, detail)


def test_trades_that_reach_into_the_picture_are_visible() -> None:
    data = spread_out(10, 130)
    # Entries at 5, 15, …, exits four later: from 17 to 47 reach trades 2 to 5.
    sight = Crowd(data.fills, data.trades).between(17, 47, (1000, 400))
    assert (sight.trades, sight.number) == (slice(1, 5), 4)
