"""Real pictures, drawn without a screen, with known pixels where known things are."""

import os
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from chart.made_up_runs import make_klines, make_run
from nt_run.chart.scene import save_png
from nt_run.chart.view import ChartData, chart_data
from nt_run.errors import ChartError
from nt_run.results import Run

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from PyQt6.QtCore import QPointF
from PyQt6.QtGui import QColor, QImage

from nt_run.chart import theme
from nt_run.chart.items import Candles
from nt_run.chart.run_stage import RunStage
from nt_run.chart.showing import picture, staged
from nt_run.chart.stage import Stage

SIZE = (1000, 640)


class Shot:
    """A picture and the scene it was taken of."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.image = picture(stage, SIZE, 1.0)

    def pixel(self, pane: int, slot: float, value: float) -> tuple[int, int]:
        place: Any = self.stage.plots[pane].vb.mapViewToScene(QPointF(slot, value))
        return round(place.x()), round(place.y())

    def colour(self, x: int, y: int) -> str:
        return self.image.pixelColor(x, y).name()

    def near(self, x: int, y: int, colour: str, reach: int = 2) -> bool:
        spots = ((x + dx, y + dy) for dx in range(-reach, reach + 1) for dy in range(-reach, reach + 1))
        return any(self.colour(*spot) == colour for spot in spots)

    def count(self, colour: str) -> int:
        pixels = np.frombuffer(self.image.constBits().asstring(self.image.sizeInBytes()), np.uint32)
        return int((pixels & 0xFFFFFF == QColor(colour).rgb() & 0xFFFFFF).sum())


def plain(run: Run) -> ChartData:
    """Return the run without averages and bands, which would cover what a test looks for."""
    data = chart_data(run)
    return replace(data, overlays=None)


@pytest.fixture
def shoot() -> Generator[Any]:
    open_stages = []

    def take(data: ChartData) -> Shot:
        manager = staged(RunStage(data, SIZE))
        stage = manager.__enter__()
        open_stages.append(manager)
        return Shot(stage)

    yield take
    for manager in open_stages:
        manager.__exit__(None, None, None)


def test_candles_have_the_colour_of_their_direction(shoot: Any) -> None:
    data = plain(make_run(make_klines(40), trades=0))
    shot = shoot(data)
    bars = data.bars
    tall = np.flatnonzero(np.abs(bars.close - bars.open) > 0.05 * np.ptp(bars.close))
    # The caption lies over the first bars.
    tall = tall[tall > 25]
    assert len(tall) > 3
    for row in tall:
        middle = (bars.open[row] + bars.close[row]) / 2
        expected = theme.RISE if bars.close[row] >= bars.open[row] else theme.FALL
        assert shot.colour(*shot.pixel(0, row + 0.2, middle)) == expected


def test_markers_stand_at_the_price_of_their_fill_in_the_colour_of_their_side(shoot: Any) -> None:
    klines = make_klines(60)
    # Bars without bodies, so that nothing but markers is green or red at a fill.
    mean = pl.col("close").mean().cast(pl.Int64)
    flat = klines.frame.with_columns(mean.alias(name) for name in ("open", "high", "low", "close"))
    run = make_run(replace(klines, frame=flat), trades=3)
    prices = pl.Series([60_000.0, 60_010.0, 60_020.0, 59_990.0, 60_005.0]).cast(pl.Decimal(38, 8))
    slots = [20, 25, 32, 40, 48]
    opens = run.equity["time"].dt.epoch("ns").to_numpy()[slots]
    run = replace(
        run,
        klines=replace(
            run.klines,
            frame=flat.with_columns(
                (pl.lit(600_000).cast(pl.Int64) + pl.int_range(pl.len()) % 2 * 400).alias("high"),
                *(pl.lit(value).cast(pl.Int64).alias(name) for name, value in (("open", 599_500), ("low", 599_500))),
                pl.lit(599_500).cast(pl.Int64).alias("close"),
            ),
        ),
        fills=run.fills.with_columns(prices.alias("price"), pl.Series("time", opens).cast(run.fills["time"].dtype)),
        trades=run.trades[:0],
    )
    data = plain(run)
    shot = shoot(data)
    for slot, price, sign, opening in zip(
        data.fills.slot, data.fills.price, data.fills.sign, data.fills.opens, strict=True
    ):
        x, y = shot.pixel(0, slot, price)
        # Inside the triangle, below the tip of a buy and above that of a sale; a closing fill is a ring at its price.
        if not opening:
            assert shot.near(x, y, theme.BACKGROUND, reach=1)
            # The ring is half-transparent at its edges: brighter than anything below it.
            assert max(QColor(shot.colour(x + dx, y)).lightness() for dx in range(-5, 6)) > 150
            continue
        assert shot.near(x, y + 7 * sign, theme.BUY if sign > 0 else theme.SELL, reach=1)
        assert not shot.near(x, y - 5 * sign, theme.BUY if sign > 0 else theme.SELL, reach=1)


def test_equity_ends_at_the_height_of_its_last_value(shoot: Any) -> None:
    data = chart_data(make_run(make_klines(90), trades=4))
    shot = shoot(data)
    x, y = shot.pixel(2, 89, data.account.equity[-1])
    assert shot.near(x - 1, y, theme.EQUITY)
    assert not shot.near(x + 12, y, theme.EQUITY)


def test_the_position_pane_is_filled_on_the_side_held(shoot: Any) -> None:
    data = chart_data(make_run(make_klines(200), trades=5))
    shot = shoot(data)
    held = [row for row in range(60, 199) if data.account.position[row - 1 : row + 2].all()]
    for row in held[::7]:
        colour = QColor(shot.colour(*shot.pixel(1, row + 0.3, data.account.position[row] / 2)))
        greener = colour.green() - colour.red()
        assert np.sign(greener) == np.sign(data.account.position[row])


def test_nothing_is_drawn_inside_a_hole(shoot: Any) -> None:
    klines = make_klines(120)
    klines = replace(klines, frame=pl.concat([klines.frame[:50], klines.frame[90:]]))
    data = chart_data(make_run(klines, trades=0))
    shot = shoot(data)
    left, right = shot.pixel(2, 51, 0)[0], shot.pixel(2, 88, 0)[0]
    y = shot.pixel(2, 0, data.account.equity[0])[1]
    names = {shot.colour(x, y - dy) for x in range(left, right) for dy in range(-3, 4)}
    assert theme.EQUITY not in names


def test_a_year_of_minutes_with_ten_thousand_trades_keeps_its_extremes(shoot: Any) -> None:
    data = chart_data(make_run(make_klines(525_600), trades=10_000))
    shot = shoot(data)
    view = shot.stage.panes[0].view()
    assert shot.stage.candles.level.factor * view.width_px / (view.right - view.left) >= 3
    for row in (int(data.bars.high.argmax()), int(data.bars.low.argmin())):
        value = data.bars.high[row] if row == int(data.bars.high.argmax()) else data.bars.low[row]
        x, y = shot.pixel(0, row, value)
        spots = {shot.colour(x + dx, y + dy) for dx in range(-4, 5) for dy in range(-2, 3)}
        assert {theme.RISE, theme.FALL} & spots


def test_funding_has_a_pane_only_if_there_were_payments(shoot: Any) -> None:
    assert len(shoot(chart_data(make_run(make_klines(900), trades=1))).stage.plots) == 5
    assert len(shoot(chart_data(make_run(make_klines(900), trades=1, funding=False))).stage.plots) == 4


def test_a_synthetic_market_says_so_in_the_picture_and_in_the_title(shoot: Any) -> None:
    klines = make_klines(60)
    demo, live = (shoot(chart_data(make_run(klines, trades=0, demo=demo))) for demo in (True, False))
    assert demo.count(theme.WARNING) > live.count(theme.WARNING) + 1500
    assert demo.stage.window.windowTitle().startswith("SYNTHETIC MARKET (demo) · BTCUSDT-PERP.BINANCE")
    assert "SYNTHETIC" not in live.stage.window.windowTitle()


def test_captions_tell_of_the_bar_under_the_crosshair(shoot: Any) -> None:
    data = chart_data(make_run(make_klines(900), trades=2))
    stage = shoot(data).stage
    texts = []
    for row in (500, 899):
        stage.caption(row)
        texts.append([caption.toPlainText() for caption in stage.captions])
        price, position, equity, drawdown, funding = texts[-1]
        assert f"C {data.bars.close[row]:,.1f}" in price.replace("\xa0", " ")
        assert position == f"Position {data.account.position[row]:+,.3f}"
        assert f"{data.account.equity[row]:,.2f}" in equity
        assert f"{data.account.drawdown[row]:.2%}" in drawdown
        assert "in all" in funding
    assert texts[0] != texts[1]


@pytest.mark.parametrize(("bars", "trades"), [(1, 0), (2, 0), (2, 1), (30, 0), (400, 3)])
@pytest.mark.parametrize(("price", "decimals"), [(0.0000123, 7), (120_000.0, 2)])
def test_short_cheap_and_dear_runs_are_drawn(bars: int, trades: int, price: float, decimals: int, shoot: Any) -> None:
    data = chart_data(make_run(make_klines(bars, price=price, decimals=decimals), trades))
    shot = shoot(data)
    assert shot.count(theme.RISE) + shot.count(theme.FALL) > 20
    assert data.price_decimals == decimals


def test_a_price_that_never_moves_is_drawn_in_the_middle(shoot: Any) -> None:
    klines = make_klines(50)
    flat = klines.frame.with_columns(
        pl.lit(1_200_000).cast(pl.Int64).alias(n) for n in ("open", "high", "low", "close")
    )
    data = plain(make_run(replace(klines, frame=flat), trades=0))
    shot = shoot(data)
    x, y = shot.pixel(0, 45, 120_000.0)
    assert shot.near(x, y, theme.RISE)
    assert 100 < y < 350


def test_the_same_run_gives_the_same_bytes(data: ChartData, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        save_png(data, tmp_path / name, SIZE)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_scale_multiplies_the_pixels_and_not_the_content(data: ChartData, tmp_path: Path) -> None:
    images = []
    for scale in (1.0, 2.0):
        save_png(data, tmp_path / "scaled.png", SIZE, scale)
        images.append(QImage(str(tmp_path / "scaled.png")))
    assert [image.width() for image in images] == [1000, 2000]
    assert [image.height() for image in images] == [640, 1280]
    small, large = (
        np.array(
            [
                [
                    image.pixelColor(int(x * image.width()), int(y * image.height())).lightness()
                    for x in np.linspace(0.01, 0.99, 50)
                ]
                for y in np.linspace(0.01, 0.99, 50)
            ]
        )
        for image in images
    )
    assert (np.abs(small - large) < 40).mean() > 0.9


def test_a_picture_replaces_the_one_before_it(data: ChartData, tmp_path: Path) -> None:
    target = tmp_path / "chart.png"
    target.write_text("old")
    save_png(data, target, SIZE)
    assert target.read_bytes().startswith(b"\x89PNG")


def test_a_missing_folder_is_an_error_before_anything_is_drawn(data: ChartData, tmp_path: Path) -> None:
    with pytest.raises(ChartError, match="does not exist"):
        save_png(data, tmp_path / "nowhere" / "chart.png")


def test_a_target_that_is_a_folder_is_an_error_and_leaves_nothing_behind(data: ChartData, tmp_path: Path) -> None:
    (tmp_path / "chart.png").mkdir()
    with pytest.raises(ChartError, match="cannot be written"):
        save_png(data, tmp_path / "chart.png", SIZE)
    assert [file.name for file in tmp_path.iterdir()] == ["chart.png"]


def test_a_picture_without_pixels_is_refused(data: ChartData, tmp_path: Path) -> None:
    with pytest.raises(ChartError, match="no pixels"):
        save_png(data, tmp_path / "chart.png", (0, 100))


@pytest.mark.parametrize("name", ["run.jpg", "run", "run.png.svg"])
def test_a_picture_that_is_not_named_as_a_png_is_refused(data: ChartData, tmp_path: Path, name: str) -> None:
    with pytest.raises(ChartError, match=r"Choose a name that ends in \.png"):
        save_png(data, tmp_path / name, SIZE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "."])
def test_a_picture_without_a_name_is_refused(data: ChartData, name: str) -> None:
    with pytest.raises(ChartError, match=r"needs the name of a file, such as run\.png"):
        save_png(data, Path(name), SIZE)


def test_the_ending_of_a_picture_may_be_written_in_capitals(data: ChartData, tmp_path: Path) -> None:
    save_png(data, tmp_path / "RUN.PNG", SIZE)
    assert (tmp_path / "RUN.PNG").read_bytes().startswith(b"\x89PNG")


def test_a_step_to_the_side_is_painted_once(shoot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = shoot(chart_data(make_run(make_klines(2000), trades=40))).stage
    box, app = stage.plots[0].vb, stage.app
    box.update_y_zoom(500, 900)
    for _ in range(3):
        app.processEvents()
    painted: list[int] = []
    draw = Candles.draw
    monkeypatch.setattr(Candles, "draw", lambda *given: [draw(*given), painted.append(1)])
    for left in (520, 560):
        painted.clear()
        box.update_y_zoom(left, left + 400)
        for _ in range(3):
            app.processEvents()
        assert len(painted) == 1


def test_what_a_strategy_publishes_is_drawn_where_it_is(shoot: Any) -> None:
    run = make_run(make_klines(40), trades=0)
    rows = np.arange(40.0)
    highest = run.klines.floats()["high"].max()
    plots = run.equity.select("time").with_columns(
        **{
            "price/top": pl.lit(highest),
            "Mood/mood": pl.Series(np.where(rows < 10, np.nan, rows)),
            "Mood/low": pl.lit(15.0),
        }
    )
    shot = shoot(chart_data(replace(run, plots=plots)))
    assert len(shot.stage.panes) == len(shoot(chart_data(run)).stage.panes) + 1
    assert shot.near(*shot.pixel(1, 25, 25.0), theme.FAST, reach=3)
    assert not shot.near(*shot.pixel(1, 25, 35.0), theme.FAST)
    # Nothing is drawn before the first value.
    assert not any(shot.near(*shot.pixel(1, 5, value), theme.FAST) for value in range(16, 39))
    assert "mood 39.00" in shot.stage.captions[1].toPlainText()
    assert "EMA" not in shot.stage.captions[0].toPlainText()


def test_averages_are_hidden_over_candles_as_long_as_half_their_periods(shoot: Any) -> None:
    # A thousand pixels less the axis: 1,300 bars are candles of 5 minutes, 3,000 of 15.
    for bars, is_shown in ((1_300, True), (3_000, False)):
        shot = shoot(chart_data(make_run(make_klines(bars), trades=0)))
        assert (shot.stage.candles.level.factor < 10) == is_shown
        assert (shot.count(theme.FAST) > 100) == is_shown
        assert (f"hidden at {shot.stage.candles.level.name}" in shot.stage.captions[0].toPlainText()) != is_shown


def test_a_place_without_a_bar_has_no_prices(shoot: Any) -> None:
    klines = make_klines(240)
    frame = klines.frame.with_row_index("row").filter(~pl.col("row").is_between(150, 179)).drop("row")
    data = chart_data(make_run(replace(klines, frame=frame), trades=2))
    stage = shoot(data).stage
    point = stage.plots[-1].crosshair.infos[0]
    told = {}
    for slot in (149, 160, 180):
        point(slot, 0.0, "", "")
        told[slot] = [caption.toPlainText().replace("\xa0", " ") for caption in stage.captions]
    assert f"C {data.bars.close[149]:,.1f}" in told[149][0]
    assert f"C {data.bars.close[150]:,.1f}" in told[180][0]
    assert told[160][0].startswith("1m  no bar")
    assert "EMA" not in told[160][0]
    assert not any(told[160][1:])


def test_a_hole_inside_of_a_candle_belongs_to_it_and_the_candle_is_what_is_told_of(shoot: Any) -> None:
    klines = make_klines(3000)
    # 14:01 and 14:02, in the candle of 15 minutes from 14:00.
    frame = klines.frame.with_row_index("row").filter(~pl.col("row").is_between(841, 842)).drop("row")
    data = chart_data(make_run(replace(klines, frame=frame), trades=2))
    stage = shoot(data).stage
    stage.plots[-1].crosshair.infos[0](841, 0.0, "", "")
    text = stage.captions[0].toPlainText().replace("\xa0", " ")
    bars, rows = data.bars, slice(840, 853)
    assert text.startswith(f"15m candle  O {bars.open[840]:,.1f} H {bars.high[rows].max():,.1f} ")
    assert f"L {bars.low[rows].min():,.1f} C {bars.close[852]:,.1f}" in text
