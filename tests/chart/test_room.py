"""Captions in real pictures lie over nothing: there is room for them above what a pane shows."""

import os
from collections.abc import Callable, Generator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from chart.made_up_runs import make_klines, make_run
from nt_run.chart.captions import lay_out
from nt_run.chart.compare import compare
from nt_run.chart.focus import Focus
from nt_run.chart.view import ChartData, chart_data
from nt_run.results import Run

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from PyQt6.QtCore import QPointF

from nt_run.chart.compare_stage import CompareStage
from nt_run.chart.run_stage import RunStage
from nt_run.chart.showing import picture, staged
from nt_run.chart.stage import Stage

SIZES = [(1920, 1080), (1280, 720), (900, 700), (640, 400)]
Shoot = Callable[[Stage, tuple[int, int]], Stage]


@pytest.fixture
def shoot() -> Generator[Shoot]:
    managers = []

    def take(stage: Stage, size: tuple[int, int]) -> Stage:
        managers.append(staged(stage))
        picture(managers[-1].__enter__(), size, 1.0)
        return stage

    yield take
    for manager in managers:
        manager.__exit__(None, None, None)


def height_of(stage: Stage, pane: int, value: float) -> float:
    return stage.plots[pane].vb.mapViewToScene(QPointF(0, value)).y()


def bottom_of_caption(stage: Stage, pane: int) -> float:
    caption = stage.captions[pane]
    return caption.mapToScene(caption.boundingRect().bottomLeft()).y()


@pytest.fixture
def falling() -> Run:
    """Return a run whose highest prices are its first ones, right under the caption."""
    return make_run(make_klines(900, seed=4), trades=60)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("focus", [None, Focus(trade=30)])
def test_candles_and_equity_end_below_their_captions(
    falling: Run, size: tuple[int, int], focus: Focus | None, shoot: Shoot
) -> None:
    data = chart_data(falling)
    stage = shoot(RunStage(data, size, focus), size)
    span = stage.visible()
    rows = slice(max(round(span.left + 0.5), 0), round(span.right + 0.5))
    assert height_of(stage, 0, float(data.bars.high[rows].max())) > bottom_of_caption(stage, 0)
    if size[1] > 600:
        assert height_of(stage, 2, float(data.account.equity[rows].max())) > bottom_of_caption(stage, 2)


@pytest.mark.parametrize("size", SIZES)
def test_a_crosshair_on_a_trade_moves_no_candle(falling: Run, size: tuple[int, int], shoot: Shoot) -> None:
    data = chart_data(falling)
    stage = shoot(RunStage(data, size), size)
    before = stage.plots[0].vb.viewRect()
    outside = int(np.flatnonzero(data.account.position == 0)[-1])
    inside = int(data.trades.entry_slot[30])
    for row in (outside, inside):
        stage.caption(row)
        stage.plots[0].vb.update_y_zoom()
        assert stage.plots[0].vb.viewRect() == before


def test_a_low_pane_has_one_line_of_text(falling: Run, shoot: Shoot) -> None:
    data: ChartData = chart_data(falling)
    stage = shoot(RunStage(data, (640, 400)), (640, 400))
    text = stage.captions[0].toPlainText().replace("\xa0", " ")
    assert text.startswith("5m candle")
    assert "\n" not in text
    asked = shoot(RunStage(data, (640, 400), Focus(trade=30)), (640, 400))
    text = asked.captions[0].toPlainText()
    assert text.startswith("Trade 30")
    assert "\n" not in text


def test_a_wide_pane_has_two_lines_of_two_parts(falling: Run, shoot: Shoot) -> None:
    stage = shoot(RunStage(chart_data(falling), (1280, 720), Focus(trade=30)), (1280, 720))
    lines = stage.captions[0].toPlainText().replace("\xa0", " ").split("\n")
    assert [("EMA" in line, "Trade 30" in line) for line in lines] == [(True, False), (False, True)]


def test_compared_curves_end_below_the_table_of_their_names(falling: Run, shoot: Shoot) -> None:
    comparison = compare([falling, make_run(make_klines(900, seed=9), trades=30)])
    stage = shoot(CompareStage(comparison, (1280, 720)), (1280, 720))
    highest = max(float(np.nanmax(course.returns)) for course in comparison.courses)
    assert height_of(stage, 0, highest) > bottom_of_caption(stage, 0) - 1


@pytest.mark.parametrize(
    ("parts", "low", "lines"),
    [
        (["a" * 30, "b" * 30, "c" * 30, "d" * 30], False, 2),
        (["a" * 60, "b" * 60, "c" * 30, "d" * 30], False, 3),
        (["a" * 60, "b" * 60, "c" * 60, "d" * 60], False, 4),
        (["a", "", "", ""], False, 1),
        (["a", "b", "", "d"], True, 1),
    ],
)
def test_parts_that_do_not_fit_beside_each_other_have_lines_of_their_own(
    parts: list[str], low: bool, lines: int
) -> None:
    # Three spaces and two hard ones lie between the parts of a line.
    assert len(lay_out(parts, 100, len, low=low)) == lines


def test_tags_have_no_width() -> None:
    parts = ["<span style='color:#ffffff'>aa</span>", "&nbsp;bb", "", ""]
    assert len(lay_out(parts, 12, len, low=False)) == 1
    assert len(lay_out(parts, 11, len, low=False)) == 2


@pytest.mark.parametrize("size", [*SIZES, (1600, 900)])
def test_no_label_of_an_axis_reaches_into_the_next_pane(falling: Run, size: tuple[int, int], shoot: Shoot) -> None:
    stage = shoot(RunStage(chart_data(falling), size), size)
    image = picture(stage, size, 1.0)
    left = round(stage.plots[0].vb.mapToScene(stage.plots[0].vb.rect().topRight()).x()) + 4

    def is_written(rows: range) -> bool:
        return any(image.pixelColor(x, y).lightness() > 70 for y in rows for x in range(left, size[0]))

    boxes = [plot.vb.mapRectToScene(plot.vb.rect()) for plot in stage.plots]
    for upper, lower in pairwise(boxes):
        assert not is_written(range(round(upper.bottom()), round(lower.top()) + 1))
    for box in boxes:
        assert is_written(range(round(box.top()) + 1, round(box.bottom()) - 1)), "no pane goes without a label"


def test_no_label_peeps_out_behind_the_tag_of_the_last_price(falling: Run, shoot: Shoot) -> None:
    data = chart_data(falling)
    # The last price is a round one, and so would be a label.
    last = round(float(np.median(data.bars.close)), -3)
    level = replace(data.bars, close=np.r_[data.bars.close[:-1], last])
    stage = shoot(RunStage(replace(data, bars=level), (1280, 720)), (1280, 720))
    axis = stage.plots[0].getAxis("right")
    view = stage.plots[0].vb.viewRect()
    ((_, values),) = axis.tickValues(view.top(), view.bottom(), stage.plots[0].vb.height())
    labels = dict(zip((round(value) for value in values), axis.tickStrings(values, 1, 1), strict=True))
    assert labels[round(last)] == ""
    assert len([text for text in labels.values() if text]) >= 3


@pytest.mark.parametrize("trades", [0, 4])
def test_no_label_is_finer_than_what_it_measures(trades: int, shoot: Shoot) -> None:
    data = chart_data(make_run(make_klines(300), trades, funding=False))
    stage = shoot(RunStage(data, (1920, 1080)), (1920, 1080))
    axis, view = stage.plots[1].getAxis("right"), stage.plots[1].vb.viewRect()
    ((_, values),) = axis.tickValues(view.top(), view.bottom(), stage.plots[1].vb.height())
    labels = [float(text) for text in axis.tickStrings(values, 1, 1) if text]
    assert 0.0 in labels
    assert len(labels) > 1 if trades else labels == [0.0]
    assert all(label == round(label, 3) for label in labels)


@pytest.mark.parametrize("size", [*SIZES[:3], (1600, 900), (1500, 950), (1920, 1100)])
def test_the_size_of_a_position_can_be_read_from_its_axis(falling: Run, size: tuple[int, int], shoot: Shoot) -> None:
    stage = shoot(RunStage(chart_data(falling), size), size)
    axis, view = stage.plots[1].getAxis("right"), stage.plots[1].vb.viewRect()
    ((_, values),) = axis.tickValues(view.top(), view.bottom(), stage.plots[1].vb.height())
    assert len([text for text in axis.tickStrings(values, 1, 1) if text]) > 1


def test_the_caption_of_the_drawdown_stands_where_the_curve_is_not(falling: Run, shoot: Shoot) -> None:
    data = chart_data(falling)
    stage = shoot(RunStage(data, (1280, 720)), (1280, 720))
    box = stage.plots[3].vb.mapRectToScene(stage.plots[3].vb.rect())
    # The run begins without a drawdown, and ends in one.
    assert bottom_of_caption(stage, 3) > box.center().y()
    assert data.account.drawdown[800] < 0.6 * data.account.drawdown[800:].min()
    stage.plots[0].vb.update_y_zoom(800, 900)
    assert bottom_of_caption(stage, 3) < box.center().y()
