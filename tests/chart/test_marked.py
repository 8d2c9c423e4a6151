"""What is marked besides fills, in real pictures: holes, doubt, liquidations, stops, targets, a trade asked for."""

import os
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from chart.made_up_runs import START_MS, make_klines, make_run
from nt_run.chart.compare import compare
from nt_run.chart.crowd import Crowd
from nt_run.chart.focus import Focus
from nt_run.chart.legend import legend
from nt_run.chart.view import ChartData, chart_data
from nt_run.model import TimeRange, format_iso
from nt_run.results import Run

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from PyQt6.QtCore import QPointF
from PyQt6.QtGui import QColor, QImage, QRawFont

from nt_run.chart import captions, keys, theme
from nt_run.chart.compare_stage import CompareStage
from nt_run.chart.run_stage import RunStage
from nt_run.chart.showing import picture, staged
from nt_run.chart.stage import Stage

SIZE = (1200, 700)
MINUTE = 60_000
Draw = Callable[[Stage], "Drawn"]


class Drawn:
    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.image: QImage = picture(stage, SIZE, 1.0)

    def place(self, pane: int, slot: float, value: float) -> tuple[int, int]:
        spot = self.stage.plots[pane].vb.mapViewToScene(QPointF(slot, value))
        return round(spot.x()), round(spot.y())

    def colours(self, x: int, y: int, reach: int = 2) -> set[str]:
        around = range(-reach, reach + 1)
        return {self.image.pixelColor(x + dx, y + dy).name() for dx in around for dy in around}


@pytest.fixture
def draw() -> Generator[Draw]:
    managers = []

    def take(stage: Stage) -> Drawn:
        managers.append(staged(stage))
        return Drawn(managers[-1].__enter__())

    yield take
    for manager in managers:
        manager.__exit__(None, None, None)


def with_orders(run: Run, stop: float, target: float) -> Run:
    """Let a stop and a target rest over bars 60 to 119."""
    start, end = ((START_MS + row * MINUTE) * 1_000_000 for row in (60, 120))
    time = pl.Datetime("ns", "UTC")
    orders = pl.DataFrame(
        {
            "order_id": ["S", "T"],
            "side": ["sell", "sell"],
            "order_type": ["stop_market", "limit"],
            "quantity": [1.0, 1.0],
            "price": [None, target],
            "trigger": [stop, None],
            "sent": [start, start],
            "since": [start, start],
            "until": [end, end],
            "ended": ["cancelled", "cancelled"],
        }
    ).with_columns(pl.col("sent", "since", "until").cast(time))
    return replace(run, orders=orders)


def test_a_hole_is_hatched_in_every_pane(draw: Draw) -> None:
    klines = make_klines(160)
    klines = replace(klines, frame=pl.concat([klines.frame[:70], klines.frame[110:]]))
    drawn = draw(RunStage(chart_data(make_run(klines, trades=3)), SIZE))
    for pane, plot in enumerate(drawn.stage.plots):
        rect = plot.vb.viewRect()
        y = rect.top() + rect.height() * 0.55
        left, right = drawn.place(pane, 71, y)[0], drawn.place(pane, 108, y)[0]
        row = drawn.place(pane, 90, y)[1]
        line = [drawn.image.pixelColor(x, row).lightness() for x in range(left, right)]
        assert max(line) > min(line) + 20, "hatching is lines, and ground between them"
        before = {drawn.image.pixelColor(x, row).name() for x in range(left - 120, left - 20)}
        assert theme.BACKGROUND in before or pane != 1


def test_a_bar_in_doubt_is_shaded_and_its_neighbours_are_not(draw: Draw) -> None:
    run = make_run(make_klines(120), trades=0)
    times = {name: format_iso(START_MS + (80 + shift) * MINUTE) for name, shift in (("start", 0), ("end", 1))}
    doubtful = replace(run, summary=run.summary | {"ambiguity": {"listed": [times]}})
    drawn, plain = (draw(RunStage(chart_data(one), SIZE)) for one in (doubtful, run))
    x, y = drawn.place(1, 80, 0.0)
    shaded = drawn.image.pixelColor(x, y - 12)
    assert shaded.red() > shaded.blue() + 20
    for slot in (78, 82):
        x = drawn.place(1, slot, 0.0)[0]
        assert drawn.image.pixelColor(x, y - 12) == plain.image.pixelColor(x, y - 12)


def test_a_liquidation_has_a_cross_however_far_one_zooms_out(draw: Draw) -> None:
    for bars, trades in ((200, 4), (20_000, 2_000)):
        run = make_run(make_klines(bars), trades)
        hit = pl.int_range(pl.len()) == len(run.fills) // 2
        kinds = pl.when(hit).then(pl.lit("liquidation")).otherwise("order_type").alias("order_type")
        data = chart_data(replace(run, fills=run.fills.with_columns(kinds)))
        assert data.fills.liquidation.sum() == 1
        row = int(data.fills.liquidation.argmax())
        drawn = draw(RunStage(data, SIZE))
        x, y = drawn.place(0, float(data.fills.slot[row]), float(data.fills.price[row]))
        assert theme.WARNING in drawn.colours(x, y, 1)
        assert theme.WARNING in drawn.colours(x + 4, y + 4, 1)
        assert "× liquidation" in drawn.stage.captions[0].toPlainText()


def test_stops_and_targets_are_level_lines_as_long_as_they_rested(draw: Draw) -> None:
    run = make_run(make_klines(180), trades=0)
    low, high = (float(getattr(run.klines.floats()["close"], name)()) for name in ("min", "max"))
    stop, target = low + 0.3 * (high - low), low + 0.6 * (high - low)
    data = chart_data(with_orders(run, stop, target))
    assert data.lines.start.tolist() == [59, 59]
    assert data.lines.end.tolist() == [119, 119]
    drawn = draw(RunStage(data, SIZE))
    for price, name in ((stop, theme.STOP), (target, theme.TARGET)):
        y = drawn.place(0, 0, price)[1]
        xs = [drawn.place(0, slot, price)[0] for slot in (61, 118)]
        found = [
            x
            for x in range(*xs)
            if near(drawn.image.pixelColor(x, y), name) or near(drawn.image.pixelColor(x, y - 1), name)
        ]
        assert len(found) > 0.4 * (xs[1] - xs[0]), "dashes cover more than half, less what lies over them"
        shares = [
            sum(near(drawn.image.pixelColor(x, row), name) for x in found) / len(found) for row in range(y - 3, y + 4)
        ]
        assert sum(share > 0.5 for share in shares) == 1, "a line is one pixel thick"
        after = range(drawn.place(0, 121, price)[0], drawn.place(0, 179, price)[0])
        assert not any(near(drawn.image.pixelColor(x, y), name) for x in after)


@pytest.mark.parametrize(("far", "is_shown"), [(1.0, True), (6.0, False)])
def test_a_trade_asked_for_is_shown_with_its_own_stop_and_target(far: float, is_shown: bool, draw: Draw) -> None:
    run = make_run(make_klines(180), trades=1)
    frame = run.klines.floats()
    # Twice the trade's length is seen around it: bars 0 to 179.
    low, high = float(frame["low"].min()), float(frame["high"].max())
    stop, target = low - far * (high - low), high + far * (high - low)
    data = chart_data(with_orders(run, stop, target))
    first, last = np.array([59]), np.array([119])
    data = replace(data, trades=replace(data.trades, entry_slot=first, exit_slot=last))
    drawn = draw(RunStage(data, SIZE, Focus(trade=1)))
    rect = drawn.stage.plots[0].vb.viewRect()
    for price, name in ((stop, theme.STOP), (target, theme.TARGET)):
        assert (rect.top() < price < rect.bottom()) == is_shown
        if is_shown:
            x, y = drawn.place(0, 70, price)
            assert any(near(drawn.image.pixelColor(x + dx, y + dy), name) for dx in range(12) for dy in (-1, 0, 1))
    # Nor are they in the way of the candles, which keep a tenth of the height at least.
    assert drawn.place(0, 0, low)[1] - drawn.place(0, 0, high)[1] > 0.1 * drawn.stage.panes[0].view().height_px


def test_a_target_a_little_above_the_candles_is_in_the_picture(draw: Draw) -> None:
    run = make_run(make_klines(180), trades=0)
    frame = run.klines.floats()
    low, high = float(frame["low"].min()), float(frame["high"].max())
    target = high + 0.18 * (high - low)
    rect = draw(RunStage(chart_data(with_orders(run, low, target)), SIZE)).stage.plots[0].vb.viewRect()
    assert rect.bottom() > target


def test_bands_are_in_the_picture_as_long_as_they_are_drawn(draw: Draw) -> None:
    data = chart_data(make_run(make_klines(180), trades=0))
    assert data.overlays is not None
    rect = draw(RunStage(data, SIZE)).stage.plots[0].vb.viewRect()
    assert rect.top() < np.nanmin(data.overlays.bands.lower)
    assert rect.bottom() > np.nanmax(data.overlays.bands.upper)


def test_no_label_covers_a_marker(draw: Draw) -> None:
    data = replace(chart_data(make_run(make_klines(90), trades=24)), overlays=None)
    drawn = draw(RunStage(data, SIZE))
    assert len(data.fills.slot) == 47
    fills = data.fills
    for slot, price, sign, opens in zip(fills.slot, fills.price, fills.sign, fills.opens, strict=True):
        x, y = drawn.place(0, float(slot), float(price))
        # A triangle is widest away from its price, a ring is hollow.
        expected = {theme.BUY, theme.SELL} if opens else {theme.BACKGROUND}
        assert drawn.colours(x, y + (7 * sign if opens else 0), 2) & expected


def test_an_old_run_without_kept_orders_has_no_lines() -> None:
    data = chart_data(make_run(make_klines(50), trades=2))
    assert len(data.lines.start) == 0


def test_the_price_of_a_liquidation_is_a_line_from_entry_to_end() -> None:
    run = make_run(make_klines(200), trades=4)
    kinds = pl.Series("exit_type", ["market", "liquidation", "market", None])
    end = run.trades["exit_time"].dt.epoch("ms")[1]
    listed = [{"time": format_iso(end), "price": "61234.5", "lost": "1.00000000"}]
    data = chart_data(
        replace(run, trades=run.trades.with_columns(kinds), summary=run.summary | {"liquidations": listed})
    )
    assert data.lines.price.tolist() == [61234.5]
    assert data.lines.start.tolist() == [data.trades.entry_slot[1]]
    assert data.lines.end.tolist() == [data.trades.exit_slot[1]]


def test_a_trade_asked_for_fills_the_middle_and_is_told_of(draw: Draw) -> None:
    data = chart_data(make_run(make_klines(3000), trades=40))
    stage = RunStage(data, SIZE, Focus(trade=17))
    drawn = draw(stage)
    span = stage.visible()
    entry, leave = (float(edge[16]) for edge in (data.trades.entry_slot, data.trades.exit_slot))
    assert span.left < entry <= leave < span.right
    assert abs((span.left + span.right) / 2 - (entry + leave) / 2) < 3
    assert "Trade 17 " in stage.captions[0].toPlainText().replace("\xa0", " ")
    outside, inside = (drawn.place(0, slot, 0)[0] for slot in (entry - 2, (entry + leave) / 2))
    top = drawn.place(0, 0, stage.plots[0].vb.viewRect().bottom())[1] + 130
    rows = range(top, top + 200)
    light = [np.median([drawn.image.pixelColor(x, y).lightness() for y in rows]) for x in (outside, inside)]
    assert light[1] > light[0]


def test_a_range_asked_for_is_what_is_seen(draw: Draw) -> None:
    data = chart_data(make_run(make_klines(600), trades=5))
    stage = RunStage(data, SIZE, Focus(times=TimeRange(START_MS + 100 * MINUTE, START_MS + 200 * MINUTE)))
    draw(stage)
    span = stage.visible()
    assert (span.left, span.right) == (99.5, 199.5)
    # Captions tell of the last bar that is seen.
    assert f"C {data.bars.close[199]:,.1f}" in stage.captions[0].toPlainText().replace("\xa0", " ")


def test_compared_curves_end_at_their_last_values_in_their_colours(draw: Draw) -> None:
    first, second = make_run(make_klines(300), trades=6), make_run(make_klines(260, seed=11), trades=6, seed=5)
    comparison = compare([first, second])
    stage = CompareStage(comparison, SIZE)
    drawn = draw(stage)
    for course, name in zip(comparison.courses, stage.colours, strict=True):
        last = int(np.isfinite(course.returns).nonzero()[0][-1])
        x, y = drawn.place(0, last, float(course.returns[last]))
        found = [drawn.image.pixelColor(x + dx, y + dy) for dx in (-2, -1, 0) for dy in range(-3, 4)]
        assert any(near(colour, name, 90) for colour in found)
        stage.caption(last)
        for text in (f"{course.total:+.2%}", f"{course.drawdown[last]:.2%}", course.name):
            assert text in stage.captions[0].toPlainText()
    axis = stage.plots[0].getAxis("right")
    assert axis.tickStrings([], 1, 1) == []
    view = stage.plots[0].vb.viewRect()
    ((_, values),) = axis.tickValues(view.top(), view.bottom(), stage.plots[0].vb.height())
    assert {text[-1:] for text in axis.tickStrings(values, 1, 1)} - {""} == {"%"}
    assert "next and previous trade" not in keys.Help(stage.window, has_trades=stage.has_trades).toPlainText()


def test_a_run_without_trades_says_so_and_has_no_keys_for_them(draw: Draw) -> None:
    for trades, has_trades in ((0, False), (3, True)):
        stage = draw(RunStage(chart_data(make_run(make_klines(60), trades)), SIZE)).stage
        assert ("no trades" in stage.captions[0].toPlainText()) != has_trades
        told = keys.Help(stage.window, has_trades=stage.has_trades).toPlainText()
        assert ("next and previous trade" in told) == has_trades


def test_every_sign_of_captions_and_help_is_in_the_bundled_font(data: ChartData) -> None:
    marked = replace(
        data, ambiguous=np.array([3]), fills=replace(data.fills, liquidation=np.ones_like(data.fills.opens))
    )
    crowd = Crowd(marked.fills, marked.trades)
    sights = [crowd.between(0, 180, size) for size in ((2000, 400), (15, 400))]
    marks = [legend(marked, (0, 180), sight, {0, 1, 2}) for sight in sights]
    level = marked.bars.pyramid().level(5)
    texts = [
        text for each in marks for row in (100, None) for text in captions.price_caption(marked, row, each, level=level)
    ]
    texts += sum((keys.TRADES, *keys.HELP), ())
    courses = compare([make_run(make_klines(50), trades=1)]).courses
    texts.append(captions.courses_caption(courses, [theme.TEXT] * len(courses), 3))
    folder = Path(captions.__file__).parent / "fonts"
    for name in ("Inter-Regular.ttf", "Inter-SemiBold.ttf"):
        face = QRawFont(str(folder / name), 12)
        assert {sign for text in texts for sign in text if not face.supportsCharacter(ord(sign))} == set()


def near(colour: QColor, name: str, reach: int = 60) -> bool:
    wanted = QColor(name)
    pairs = ((colour.red(), wanted.red()), (colour.green(), wanted.green()), (colour.blue(), wanted.blue()))
    return all(abs(one - other) <= reach for one, other in pairs)
