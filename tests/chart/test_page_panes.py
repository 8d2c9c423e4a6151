"""The panes of the page: what their legends belong to, what has room, and what changes with the size of the window."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from chart.browser import Browser, hide_legends, pane_of, pixels, rectangles, saved, vivid, wait_for
from chart.made_up_runs import START_MS, make_klines, make_run
from nt_run.chart import theme
from nt_run.chart.view import chart_data
from nt_run.results import Run

MINUTE = 60_000
LANE = 400
"""Trades, too many for arrows and few enough for a lane with their entries."""


@pytest.fixture(scope="module")
def run() -> Run:
    return make_run(make_klines(3000), 40)


@pytest.fixture(scope="module")
def page(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(run, tmp_path_factory.mktemp("panes"))


def told(browser: Browser) -> list[str]:
    return [text.replace("\n", " ") for text in browser.texts(".legend")]


def test_values_over_long_candles_say_what_they_belong_to(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.click("[data-interval='1m']")
    wait_for(browser, interval="1m")
    price, position, _, drawdown, *_ = told(browser)
    assert price.startswith("1m O ")
    assert "of 1m bars" not in price
    assert "end" not in position
    browser.click("[data-interval='5m']")
    wait_for(browser, interval="5m")
    price, position, equity, drawdown, *_ = told(browser)
    assert price.startswith("5m candle O ")
    assert "of 1m bars" in price
    assert "at its end" in position
    assert "at its end" in equity
    assert "deepest in it" in drawdown


@pytest.mark.parametrize("interval", ["1m", "3m", "5m", "15m", "30m", "1h"])
def test_averages_are_hidden_from_the_same_candles_on_as_in_the_window(
    browser: Browser, page: Path, interval: str
) -> None:
    browser.open(page)
    minutes = int(interval[:-1]) * (60 if interval.endswith("h") else 1)
    found = browser.run("return document.querySelector(`[data-interval='${arguments[0]}']`) !== null", interval)
    if not found:
        pytest.skip(f"the page has no button for {interval}")
    browser.click(f"[data-interval='{interval}']")
    wait_for(browser, interval=interval)
    assert (f"averages and bands are hidden at {interval}" in told(browser)[0]) == (minutes >= theme.DETAIL_FACTOR)


def test_many_trades_have_a_lane_below_the_candles_with_entries_and_results(browser: Browser, tmp_path: Path) -> None:
    run = make_run(make_klines(3000), LANE, funding=False)
    browser.open(saved(run, tmp_path), width=1600)
    price = told(browser)[0]
    assert "▲ buy ▼ sell ■ net win ■ net loss where trades closed" in price
    assert "○ exit" not in price
    hide_legends(browser)
    left, top, right, bottom = rectangles(browser, "#chart canvas")[0]
    image = pixels(browser)[top:bottom, left:right]
    # Volume has 17 % of the pane. Above it: a gap of 6 pixels, 26 of results, a gap of 6, ticks of 8 up and 8 down.
    base = round((bottom - top) * 0.83) - 6
    middle = base - 26 - 6 - 8
    data = chart_data(run)
    for side, name, row in ((1, theme.BUY, middle - 5), (-1, theme.SELL, middle + 5)):
        ticks = np.flatnonzero(image[row] == int(name[1:], 16))
        x = data.trades.entry_slot[data.trades.sign == side] / 3000 * (right - left)
        assert np.mean([np.abs(ticks - each).min() <= 4 for each in x]) > 0.97
        assert not (set(np.unique(image[row])) & {int(other[1:], 16) for other in {theme.BUY, theme.SELL} - {name}})
    results = vivid(image[base - 25 : base - 1])
    assert 100 < results.any(axis=0).sum() < right - left
    # Between the ticks and the lowest candle there is room.
    assert vivid(image[middle - 8 - 6 : middle - 8 - 2]).sum() == 0


def test_a_short_run_is_told_of_by_its_last_bar(browser: Browser, tmp_path: Path) -> None:
    run = make_run(make_klines(200), 6)
    browser.open(saved(run, tmp_path))
    wait_for(browser, interval="1m", trade="")
    last, equity = run.klines.floats()["close"][-1], run.equity["equity"][-1]

    def assert_last() -> None:
        assert f"C {last:,.1f}" in told(browser)[0].replace("\xa0", " ")
        assert f"{equity:,.2f}" in told(browser)[2]

    assert_last()
    browser.key("n")
    wait_for(browser, trade="1")
    browser.key("Escape")
    wait_for(browser, trade="")
    assert_last()


@pytest.mark.parametrize("interval", ["5m", "15m"])
def test_no_position_is_drawn_that_never_was(browser: Browser, tmp_path: Path, interval: str) -> None:
    browser.open(saved(make_run(make_klines(1000), 40, funding=False), tmp_path))
    browser.click(f"[data-interval='{interval}']")
    wait_for(browser, interval=interval)
    hide_legends(browser)
    left, top, right, bottom = rectangles(browser, "#chart tr:has(.legend) > td:nth-child(2)")[1]
    image = vivid(pixels(browser)[top + 1 : bottom - 1, left + 1 : right - 1])
    columns = np.flatnonzero(image.any(axis=0))
    tops = image.argmax(axis=0)[columns]
    bottoms = len(image) - 1 - image[::-1].argmax(axis=0)[columns]
    # Long, flat and short are three heights, each the pixel or two of a line.
    assert len(columns) > 100
    for ends in (tops, bottoms):
        heights = np.unique(ends)
        assert len(np.flatnonzero(np.diff(heights) > 2)) <= 2
        assert len(heights) <= 8


def test_a_hole_shorter_than_the_candles_over_it_is_marked(browser: Browser, tmp_path: Path) -> None:
    klines = make_klines(3000)
    frame = klines.frame.with_row_index("row").filter(~pl.col("row").is_between(1570, 1572)).drop("row")
    browser.open(saved(make_run(replace(klines, frame=frame), 0), tmp_path))
    assert int(browser.chart()["interval"].removesuffix("m")) >= 5
    assert "▨ no data" in told(browser)[0]
    hide_legends(browser)
    left, top, right, bottom = rectangles(browser, "#chart tr:has(.legend) > td:nth-child(2)")[1]
    image = pixels(browser)[top:bottom, left:right]
    # 12 % of #7d8899 on #0d1117: 13 + 13, 17 + 14, 23 + 16.
    columns = np.flatnonzero((image == 0x1A1F27).mean(axis=0) > 0.5)
    assert len(columns) == 2
    assert columns[0] == pytest.approx(1570 / 3000 * (right - left), abs=4)


def test_a_button_shows_enough_candles_to_say_something(browser: Browser, tmp_path: Path) -> None:
    browser.open(saved(make_run(make_klines(20_000), 30), tmp_path))
    for interval in ("1m", "1h"):
        browser.click(f"[data-interval='{interval}']")
        shown = wait_for(browser, interval=interval)
    # 400 minutes are 7 hours.
    assert int(shown["to"]) - int(shown["from"]) >= 60 * 60 * MINUTE
    assert int(shown["to"]) == START_MS + 20_000 * MINUTE


def test_what_is_not_drawn_is_not_explained(browser: Browser, page: Path, tmp_path: Path) -> None:
    browser.open(page)
    assert "▲ buy ▼ sell ○ exit – win – loss" in told(browser)[0]
    browser.open(saved(make_run(make_klines(20_000), 4000), tmp_path))
    assert "hidden at 1h ■ net win ■ net loss where trades closed" in told(browser)[0]
    assert "buy" not in told(browser)[0]
    browser.open(saved(make_run(make_klines(300), 0), tmp_path))
    assert told(browser)[0].endswith("no trades")


@pytest.mark.parametrize(("width", "trades"), [(1400, 40), (1400, LANE), (900, 40), (390, 40)])
def test_no_value_is_drawn_under_a_legend(browser: Browser, tmp_path: Path, width: int, trades: int) -> None:
    browser.open(saved(make_run(make_klines(3000), trades), tmp_path), width=width, height=1800)
    boxes = rectangles(browser, ".legend")
    hide_legends(browser)
    image = pixels(browser)
    # The line of the last price may run anywhere: it is one or two rows of dots.
    covered = [vivid(image[top:bottom, left:right]).sum(axis=1) for left, top, right, bottom in boxes]
    assert [int((rows > 0).sum()) for rows in covered] == [0] * len(boxes)


def test_legends_stay_in_their_panes_whatever_the_size_of_the_page(browser: Browser, page: Path) -> None:
    browser.open(page)
    for width, height in ((1280, 1000), (1280, 4000), (700, 700)):
        browser.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        browser.cdp("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        panes = rectangles(browser, "#chart tr:has(.legend)")
        boxes = rectangles(browser, ".legend")
        assert len(panes) == len(boxes) == 5
        for (_, upper, right, lower), (_, top, end, bottom) in zip(panes, boxes, strict=True):
            assert upper <= top <= upper + 5
            assert bottom <= lower
            assert end <= right


def test_labels_of_the_axes_are_never_cut_by_a_pane(browser: Browser, tmp_path: Path) -> None:
    for number, width in enumerate((1400, 1280, 900, 390)):
        browser.open(
            saved(make_run(make_klines(2000, seed=number), 30, seed=number), tmp_path), width=width, height=1400
        )
        image = pixels(browser)
        cells = rectangles(browser, "#chart tr:has(.legend) > td:nth-child(3)")
        assert len(cells) == 5
        for left, top, right, bottom in cells:
            for row in (top, bottom - 1):
                # Letters are brighter than ground, grid and border.
                assert (image[row, left + 3 : right - 3] & 255).max() < 80


@pytest.mark.parametrize("widths", [(1400, 900), (900, 1400), (1000, 390)])
def test_what_was_shown_stays_in_sight_when_the_window_changes_its_width(
    browser: Browser, page: Path, widths: tuple[int, int]
) -> None:
    browser.open(page, width=widths[0])
    whole = {"from": f"{START_MS}", "to": f"{START_MS + 3000 * MINUTE}"}
    wait_for(browser, **whole)
    before = pane_of(browser)[2]
    browser.cdp("Emulation.setDeviceMetricsOverride", width=widths[1], height=1000, deviceScaleFactor=1, mobile=False)
    browser.until(lambda: pane_of(browser)[2] != before)
    # Longer than the chart waits before it follows a hand.
    browser.driver.execute_async_script("setTimeout(arguments[0], 400)")
    shown = browser.chart()
    assert {name: shown[name] for name in whole} == whole
    assert browser.errors() == []


def test_the_target_of_a_trade_is_in_sight_when_one_jumps_to_it(browser: Browser, run: Run, tmp_path: Path) -> None:
    data = chart_data(run)
    since, until = (
        data.bars.time_ms(int(slots[1]) + 1) * 1_000_000 for slots in (data.trades.entry_slot, data.trades.exit_slot)
    )
    target = float(data.trades.entry_price[1]) * 1.02
    orders = pl.DataFrame(
        {
            "order_type": ["limit"],
            "price": [target],
            "trigger": pl.Series([None], dtype=pl.Float64),
            "since": pl.Series([since]).cast(pl.Datetime("ns", "UTC")),
            "until": pl.Series([until]).cast(pl.Datetime("ns", "UTC")),
        }
    )
    browser.open(saved(replace(run, orders=orders), tmp_path))
    browser.click("tr[data-trade='2']")
    wait_for(browser, trade="2")
    hide_legends(browser)
    left, top, right, bottom = rectangles(browser, "#chart canvas")[0]

    def drawn() -> Any:
        image = pixels(browser)[top:bottom, left:right]
        blue, red = image & 255, image >> 16
        return ((blue > 130) & (red < 90)).sum() > 20

    browser.until(drawn)
