"""The page as people see it, in a real browser."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PyQt6.QtGui import QColor

from chart.browser import Browser, colours, hide_legends, pane_of, pixels, saved, vivid, wait_for
from chart.made_up_runs import START_MS, make_klines, make_run
from nt_run.chart import theme
from nt_run.chart.focus import Focus
from nt_run.chart.page import save_page
from nt_run.chart.view import ChartData, chart_data
from nt_run.model import TimeRange, format_time
from nt_run.results import Run

MINUTE = 60_000


@pytest.fixture(scope="module")
def run() -> Run:
    return make_run(make_klines(3000), 40)


@pytest.fixture(scope="module")
def data(run: Run) -> ChartData:
    return chart_data(run)


@pytest.fixture(scope="module")
def page(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "run.html"
    save_page(run, path)
    return path


def test_the_page_gets_ready_without_a_complaint_and_asks_nobody(browser: Browser, page: Path) -> None:
    assert browser.open(page)["ms"] > 0
    assert browser.errors() == []
    asked = {url for url in browser.requests() if not url.startswith("data:font/ttf;base64,")}
    assert asked == {page.as_uri()}


def test_what_is_not_of_the_page_does_not_run_and_reaches_nobody(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.run(
        "const script = document.createElement('script'); script.textContent = 'window.stranger = 1';"
        "document.body.append(script);"
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.stranger = 2\">');"
        "fetch('http://127.0.0.1:9/').catch(() => { window.refused = true; })"
    )
    assert browser.until(lambda: browser.run("return window.refused"))
    assert browser.run("return window.stranger") is None
    assert sum("Content Security Policy" in message for message in browser.errors()) >= 3


def test_the_whole_run_is_shown_first_and_legends_tell_its_last_candle(
    browser: Browser, page: Path, data: ChartData
) -> None:
    browser.open(page)
    shown = browser.chart()
    assert (int(shown["from"]), int(shown["to"])) == (START_MS, START_MS + 3000 * MINUTE)
    browser.click("[data-interval='1m']")
    wait_for(browser, interval="1m")
    price, position, equity, drawdown, funding = (text.replace("\n", " ") for text in browser.texts(".legend"))
    assert f"C {data.bars.close[-1]:,.1f}" in price
    assert f"EMA 10 {data.overlays.fast[-1]:,.1f}" in price
    assert f"EMA 21 {data.overlays.slow[-1]:,.1f}" in price
    assert f"{data.overlays.bands.lower[-1]:,.1f} – {data.overlays.bands.upper[-1]:,.1f}" in price
    assert position == f"Position {data.account.position[-1]:+,.3f}"
    assert f"{data.account.equity[-1]:,.2f}" in equity
    assert drawdown == f"Drawdown {data.account.drawdown[-1]:.2%}"
    assert funding.endswith(f"in all {data.funding.amount.sum():+,.2f}")


@pytest.mark.parametrize("share", [0.15, 0.5, 0.85])
def test_the_crosshair_tells_the_bar_it_points_at(browser: Browser, page: Path, data: ChartData, share: float) -> None:
    browser.open(page)
    browser.click("[data-interval='1m']")
    wait_for(browser, interval="1m")

    def told() -> bool:
        left, top, width = pane_of(browser)
        browser.mouse("mouseMoved", left + width * share, top + 200)
        shown = browser.chart()
        start, end = int(shown["from"]), int(shown["to"])
        row = (start - START_MS) // MINUTE + math.floor((end - start) / MINUTE * share)
        # The first and the last bar may be cut by the border, so that the one beside is as right.
        near = [f"O {data.bars.open[each]:,.1f} H" for each in (row - 1, row, row + 1)]
        return any(text in browser.texts(".legend")[0] for text in near)

    browser.until(told)


def test_a_click_on_a_trade_moves_the_chart_to_it(browser: Browser, page: Path, data: ChartData) -> None:
    browser.open(page)
    for number in (3, 17):
        browser.click(f"tr[data-trade='{number}']")
        shown = wait_for(browser, trade=str(number))
        entry, leave = (
            data.bars.time_ms(int(slots[number - 1])) for slots in (data.trades.entry_slot, data.trades.exit_slot)
        )
        assert int(shown["from"]) <= entry <= leave < int(shown["to"])
        assert int(shown["to"]) - int(shown["from"]) < 3 * max(leave - entry, 40 * MINUTE) + 30 * MINUTE
        browser.until(lambda: f"Trade {number} " in browser.texts(".legend")[0].replace("\n", " "))  # noqa: B023
        assert browser.run("return document.querySelector('tr[aria-selected]').dataset.trade") == str(number)
    seen = colours(browser)
    # Two arrows or more, of about 60 pixels each, half of them blended with the border.
    assert seen.get(theme.BUY, 0) + seen.get(theme.SELL, 0) > 20
    assert browser.errors() == []


def test_keys_go_from_trade_to_trade_and_back_to_the_whole(browser: Browser, page: Path) -> None:
    browser.open(page)
    for key, number in (("n", "1"), ("n", "2"), ("p", "1"), ("p", "1")):
        browser.key(key)
        wait_for(browser, trade=number)
    browser.key("Escape")
    shown = wait_for(browser, trade="")
    assert int(shown["to"]) - int(shown["from"]) == 3000 * MINUTE


@pytest.mark.parametrize("name", ["1m", "5m", "15m", "1h"])
def test_buttons_choose_the_length_of_candles(browser: Browser, page: Path, name: str) -> None:
    browser.open(page)
    browser.click(f"[data-interval='{name}']")
    shown = wait_for(browser, interval=name, auto="false")
    assert int(shown["candles"]) == 3000 // {"1m": 1, "5m": 5, "15m": 15, "1h": 60}[name]
    assert browser.text("[data-interval][aria-pressed='true']") == name
    assert browser.texts(".legend")[0].startswith(name)


def test_turning_the_wheel_chooses_finer_candles(browser: Browser, page: Path) -> None:
    browser.open(page)
    before = browser.chart()
    seen = [before["interval"]]

    def turned() -> bool:
        browser.mouse("mouseWheel", 500, 400, deltaX=0, deltaY=-240)
        seen.append(browser.chart()["interval"])
        return seen[-1] == "1m"

    browser.until(turned)
    # Never coarser again on the way.
    assert [int(name.removesuffix("m")) for name in seen] == sorted(
        (int(name.removesuffix("m")) for name in seen), reverse=True
    )
    shown = browser.chart()
    assert seen[0] != "1m"
    assert START_MS < int(shown["from"]) < int(shown["to"]) < START_MS + 3000 * MINUTE


def test_a_long_run_is_loaded_in_a_window_that_moves_along(browser: Browser, tmp_path: Path) -> None:
    browser.open(saved(make_run(make_klines(60_000), 300), tmp_path))
    browser.click("[data-interval='1m']")
    end = int(wait_for(browser, interval="1m", candles="20000")["to"])
    assert end == START_MS + 60_000 * MINUTE
    browser.click("tr[data-trade='2']")
    shown = wait_for(browser, trade="2", interval="1m", candles="20000")
    # From near the beginning to the beginning itself, which was not loaded before.
    for _ in range(60):
        if int(browser.chart()["from"]) <= START_MS:
            break
        browser.mouse("mousePressed", 300, 400)
        for x in range(350, 1101, 150):
            browser.mouse("mouseMoved", x, 400, button="left", buttons=1)
        browser.mouse("mouseReleased", 1100, 400)
        start = shown["from"]
        shown = browser.until(lambda: now if (now := browser.chart())["from"] != start else None)  # noqa: B023
    assert int(browser.chart()["from"]) == START_MS
    assert browser.errors() == []


def test_a_table_sorts_by_any_column_and_fills_as_it_is_scrolled(browser: Browser, tmp_path: Path) -> None:
    run = make_run(make_klines(6000), 700)
    browser.open(saved(run, tmp_path))
    pnl = sorted(chart_data(run).trades.pnl.tolist())
    rows = "#trades tbody tr"
    assert len(browser.texts(rows)) == 200
    for order, wanted in (("ascending", pnl[0]), ("descending", pnl[-1])):
        browser.click("#trades th:last-child button")
        browser.until(lambda: browser.run("return document.querySelector('#trades th:last-child').ariaSort") == order)  # noqa: B023
        assert browser.text(f"{rows} td:last-child") == f"{wanted:+,.2f}"
    for count in (400, 600, 700):
        browser.run("const box = document.querySelector('.scroll'); box.scrollTop = box.scrollHeight")
        browser.until(lambda: len(browser.texts(rows)) == count)  # noqa: B023
    assert sorted(float(t.replace(",", "")) for t in browser.texts(f"{rows} td:last-child")) == pytest.approx(
        pnl, abs=0.01
    )


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_both_themes_are_painted_and_the_button_changes_them(browser: Browser, page: Path, scheme: str) -> None:
    browser.open(page, scheme=scheme)
    ground = {"dark": theme.BACKGROUND, "light": "#f6f8fa"}
    other = {"dark": "light", "light": "dark"}[scheme]
    first = colours(browser)
    assert max(first, key=first.__getitem__) == ground[scheme]
    rise, fall = (
        browser.run("return getComputedStyle(document.body).getPropertyValue(arguments[0])", f"--{name}")
        for name in ("rise", "fall")
    )
    assert min(first.get(QColor(name).name(), 0) for name in (rise, fall)) > 300
    before = browser.chart()
    browser.click("#theme")
    browser.until(lambda: max(seen := colours(browser), key=seen.__getitem__) == ground[other])
    assert browser.chart() == before
    browser.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": other}])
    browser.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.until(lambda: max(seen := colours(browser), key=seen.__getitem__) == ground[scheme])


def test_on_a_phone_everything_is_within_its_width_and_large_enough_to_read(browser: Browser, page: Path) -> None:
    browser.open(page, width=390, height=844)
    assert browser.run("return document.documentElement.scrollWidth") == 390
    over = browser.run(
        "return [...document.querySelectorAll('body *')].filter((each) => !each.closest('#chart, .scroll, #sections')"
        " && each.getBoundingClientRect().right > 390.5).map((each) => each.outerHTML.slice(0, 90))"
    )
    assert over == []
    small = browser.run(
        "return [...document.querySelectorAll('body *')].filter((each) => each.innerText && !each.closest('#chart')"
        " && parseFloat(getComputedStyle(each).fontSize) < 11).map((each) => each.outerHTML.slice(0, 90))"
    )
    assert small == []
    assert browser.run("return document.getElementById('chart').clientWidth") >= 360
    browser.click("tr[data-trade='2']")
    wait_for(browser, trade="2")
    top, bottom = browser.run(
        "const box = document.getElementById('chart').getBoundingClientRect(); return [box.top, box.bottom]"
    )
    assert bottom > 300
    assert top < 500
    assert browser.errors() == []


def test_a_hole_keeps_its_width_and_says_that_there_is_no_bar(browser: Browser, tmp_path: Path) -> None:
    klines = make_klines(300)
    klines = replace(klines, frame=pl.concat([klines.frame[:100], klines.frame[200:]]))
    browser.open(saved(make_run(klines, trades=4), tmp_path))
    shown = wait_for(browser, interval="1m", candles="300")
    assert int(shown["to"]) - int(shown["from"]) == 300 * MINUTE
    left, _, width = pane_of(browser)
    for share, hole in ((0.2, False), (0.36, True), (0.64, True), (0.8, False)):
        browser.mouse("mouseMoved", left + width * share, 500)
        browser.until(lambda: (browser.texts(".legend")[0] == "no bar") == hole)  # noqa: B023
    assert browser.errors() == []


def test_no_line_is_drawn_through_a_hole(browser: Browser, tmp_path: Path) -> None:
    klines = make_klines(300)
    whole = make_run(klines, trades=20)
    klines = replace(klines, frame=pl.concat([klines.frame[:100], klines.frame[200:]]))
    equity = pl.concat([whole.equity[:100], whole.equity[200:]])
    # Without trades, whose lines lead from entry to exit whatever lies between them.
    run = replace(whole, klines=klines, equity=equity, trades=whole.trades.clear(), fills=whole.fills.clear())
    browser.open(saved(run, tmp_path))
    wait_for(browser, interval="1m", candles="300")
    hide_legends(browser)
    left, _, width = pane_of(browser)
    top, bottom = browser.run(
        "const box = document.querySelector('#chart').getBoundingClientRect();return [box.top, box.bottom]"
    )
    image = pixels(browser)[round(top) : round(bottom) - 30]
    seen = vivid(image)
    part = [
        seen[:, round(left + width * a) : round(left + width * b)] for a, b in ((0.1, 0.3), (0.36, 0.64), (0.7, 0.9))
    ]
    # The line of the last price alone, which is dotted and one or two pixels high.
    assert part[1].any(axis=1).sum() <= 2
    assert all(each.any(axis=1).sum() > 100 for each in (part[0], part[2]))
    assert browser.errors() == []


@pytest.mark.parametrize("weight", [400, 600])
def test_the_font_of_the_page_can_write_the_name_of_the_market(browser: Browser, page: Path, weight: int) -> None:
    browser.open(page)
    width = browser.run(
        "const context = document.createElement('canvas').getContext('2d');"
        "context.font = `${arguments[0]} 100px Inter`; return context.measureText('Ⓢ').width",
        weight,
    )
    # As wide as the font is high; what stands for an unknown character is not.
    assert width == pytest.approx(100)


@pytest.mark.parametrize(("bars", "trades", "interval"), [(1, 0, "1m"), (2, 1, "1h"), (30, 0, "1d"), (14, 2, "1M")])
def test_the_shortest_runs_have_a_page_too(
    browser: Browser, bars: int, trades: int, interval: str, tmp_path: Path
) -> None:
    klines = make_klines(bars, interval="1d" if interval == "1M" else interval)
    if interval == "1M":
        klines = monthly(klines)
    run = make_run(klines, trades, funding=False)
    browser.open(saved(run, tmp_path))
    assert browser.chart()["candles"] == str(bars)
    assert browser.chart()["interval"] == interval
    assert len(browser.texts(".legend")) == 4
    assert browser.errors() == []


def monthly(klines: Any) -> Any:
    from nt_run.model import Interval  # noqa: PLC0415

    month = Interval("1M")
    first = month.number(START_MS)
    opened = pl.Series([month.opening(first + each) for each in range(len(klines))]).cast(pl.Datetime("ms", "UTC"))
    return replace(klines, interval=month, frame=klines.frame.with_columns(opened.alias("open_time")))


@pytest.mark.parametrize(
    ("focus", "marked"),
    [(Focus(trade=7), "7"), (Focus(times=TimeRange(START_MS + 600 * MINUTE, START_MS + 700 * MINUTE)), "")],
)
def test_a_page_opens_at_a_trade_or_a_range(
    browser: Browser, run: Run, data: ChartData, tmp_path: Path, focus: Focus, marked: str
) -> None:
    save_page(run, tmp_path / "run.html", focus)
    browser.open(tmp_path / "run.html")
    shown = wait_for(browser, trade=marked, interval="1m")
    wanted = (START_MS + 600 * MINUTE, START_MS + 700 * MINUTE)
    if focus.trade:
        slots = data.trades.entry_slot[6], data.trades.exit_slot[6]
        wanted = tuple(data.bars.time_ms(int(slot)) for slot in slots)
    assert int(shown["from"]) <= wanted[0] < wanted[1] <= int(shown["to"])
    assert int(shown["to"]) - int(shown["from"]) < 3 * (wanted[1] - wanted[0]) + 90 * MINUTE


def test_prices_that_waited_and_bars_in_doubt_are_drawn_and_explained(
    browser: Browser, run: Run, data: ChartData, tmp_path: Path
) -> None:
    entry, leave = (int(slots[1]) for slots in (data.trades.entry_slot, data.trades.exit_slot))
    since, until = (data.bars.time_ms(slot + 1) * 1_000_000 for slot in (entry, leave))
    price = float(data.trades.entry_price[1])
    orders = pl.DataFrame(
        {
            "order_type": ["stop_market", "limit"],
            "price": [None, price * 1.002],
            "trigger": [price * 0.998, None],
            "since": pl.Series([since, since]).cast(pl.Datetime("ns", "UTC")),
            "until": pl.Series([until, until]).cast(pl.Datetime("ns", "UTC")),
        }
    )
    listed = [{"start": f"{format_time(data.bars.time_ms(leave)).replace(' ', 'T')}:00Z"}]
    shots = []
    for each in (run, replace(run, orders=orders, summary=run.summary | {"ambiguity": {"listed": listed}})):
        browser.open(saved(each, tmp_path))
        browser.click("tr[data-trade='2']")
        wait_for(browser, trade="2", interval="1m")
        told = set(browser.texts(".legend span"))
        hide_legends(browser)
        left, top, width = (round(each) for each in pane_of(browser))
        shots.append(pixels(browser)[top : top + 300, left : left + width])
    assert {"– stop", "– target", "■ ambiguous bar"} <= told
    changed = shots[0] != shots[1]
    # The bar in doubt is shaded from top to bottom, where the trade ends; a line at each price leads there.
    stripe = np.flatnonzero(changed.mean(axis=0) > 0.9)
    rows = np.flatnonzero(changed[:, : stripe[0]].any(axis=1))
    assert 5 <= len(stripe) == stripe[-1] - stripe[0] + 1 <= 20
    assert (np.diff(rows) > 3).sum() == 1
    assert 2 <= len(rows) <= 8
    assert changed[rows[0]].sum() > 50
    assert browser.errors() == []


def test_text_of_a_run_is_text(browser: Browser, run: Run, tmp_path: Path) -> None:
    evil = "</script><img src=x onerror=alert(1)> & <b>bold</b>"
    browser.open(saved(replace(run, summary=run.summary | {"warnings": [evil], "symbol": evil}), tmp_path))
    assert browser.text(".banner") == evil
    assert evil in browser.driver.title
    assert browser.errors() == []


def test_a_liquidation_is_marked_where_it_happened(browser: Browser, run: Run, data: ChartData, tmp_path: Path) -> None:
    shots = []
    for kind in ("market", "liquidation"):
        kinds = ["market"] * 3 + [kind] + ["market"] * (len(run.fills) - 4)
        browser.open(saved(replace(run, fills=run.fills.with_columns(pl.Series("order_type", kinds))), tmp_path))
        browser.click("tr[data-trade='2']")
        shown = wait_for(browser, trade="2", interval="1m")
        # Legends tell of it, too, and are not what is looked for.
        assert ("× liquidation" in browser.texts(".legend")[0]) == (kind == "liquidation")
        hide_legends(browser)
        left, top, width = (round(each) for each in pane_of(browser))
        shots.append(pixels(browser)[top : top + 300, left : left + width])
    exit_ms = data.bars.time_ms(int(data.trades.exit_slot[1])) + MINUTE / 2
    x = width * (exit_ms - int(shown["from"])) / (int(shown["to"]) - int(shown["from"]))
    columns = np.flatnonzero((shots[0] != shots[1]).any(axis=0))
    # A cross 12 pixels wide and its border; the first and the last bar of the screen may be cut.
    assert 10 <= columns[-1] - columns[0] <= 24
    assert abs((columns[0] + columns[-1]) / 2 - x) < 10


def test_what_a_strategy_publishes_has_lines_and_panes_of_its_own(browser: Browser, run: Run, tmp_path: Path) -> None:
    rows = np.arange(3000.0)
    plots = run.equity.select("time").with_columns(
        **{"price/upper": run.klines.floats()["high"], "Mood/mood": pl.Series(np.where(rows < 2000, np.nan, rows))}
    )
    browser.open(saved(replace(run, plots=plots), tmp_path))
    assert browser.errors() == []
    browser.click("[data-interval='1m']")
    wait_for(browser, interval="1m")
    price, mood, position, *_ = (text.replace("\n", " ") for text in browser.texts(".legend"))
    assert f"upper {run.klines.floats()['high'][-1]:,.1f}" in price
    assert "EMA" not in price
    assert mood == "mood 2,999.0"
    assert position.startswith("Position")
    assert colours(browser)["#f0b90b"] > 100
