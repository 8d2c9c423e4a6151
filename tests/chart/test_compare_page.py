"""The page of several runs: what it carries, and how it looks in a real browser."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chart.browser import Browser, hide_legends, pixels, rectangles, vivid
from chart.made_up_runs import START_MS, make_klines, make_run
from nt_run.chart import compare_page
from nt_run.chart.compare import compare
from nt_run.chart.compare_page import _columns, _facts, _groups, compare_html, save_compare_page
from nt_run.chart.focus import Focus
from nt_run.config import load_config
from nt_run.errors import ChartError
from nt_run.model import TimeRange
from nt_run.results import Run


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    klines = make_klines(600)
    other = make_run(klines, 9, seed=5)
    config = load_config(None, {"symbol": "BTCUSDT", "strategy.params.fast": 5})
    return [make_run(klines, 4), replace(other, run_id="other", config=config)]


def test_long_runs_are_told_in_whole_spans_with_their_last_return_and_deepest_drawdown(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_page, "MOST_POINTS", 20)
    comparison = compare(runs)
    first, unit = _groups(comparison.bars)
    # 600 minutes in at most 20 points: half hours.
    assert (unit, first.tolist()) == ("30m", list(range(0, 600, 30)))
    columns = {each.name: each for each in _columns(comparison, first)}
    course = comparison.courses[1]
    assert columns["time"].scaled[1] == START_MS // 1000 + 1800
    assert columns["returns_1"].scaled[0] == round(course.returns[29] * 1e6)
    assert columns["drawdown_1"].scaled[3] == round(course.drawdown[90:120].min() * 1e6)


def test_short_runs_are_told_bar_by_bar_and_a_point_without_a_value_has_none(runs: list[Run]) -> None:
    late = replace(
        runs[0], klines=replace(runs[0].klines, frame=runs[0].klines.frame[100:]), equity=runs[0].equity[100:]
    )
    comparison = compare([runs[1], late])
    first, unit = _groups(comparison.bars)
    assert (unit, len(first)) == ("1m", 600)
    columns = {each.name: each for each in _columns(comparison, first)}
    assert columns["returns_1_edges"].scaled.tolist() == [0, 100]
    assert len(columns["returns_0_edges"].scaled) == 0
    assert np.isfinite(columns["returns_1"].scaled).all()


def test_figures_stand_side_by_side_and_only_what_differs_of_the_configuration(runs: list[Run]) -> None:
    facts = _facts(runs, compare(runs))
    assert ["symbol"] not in [row[:1] for row in facts["configuration"]]
    assert ["strategy.params.fast", "–", "5"] in facts["configuration"]
    figures = {row[0]: row[1:] for row in facts["figures"]}
    assert figures["Trades"] == [["4", 0], ["9", 0]]
    text, sign = figures["Max drawdown"][0]
    assert text == f"{runs[0].summary['metrics']['max_drawdown'] * 100:.2f} %"
    assert sign == -1
    assert figures["Sharpe"] == [["–", 0], ["–", 0]]


def test_the_same_runs_give_the_same_page_and_a_range_is_what_it_shows_first(runs: list[Run]) -> None:
    page = compare_html(runs)
    assert page == compare_html(runs)
    part = Focus(times=TimeRange(START_MS + 60 * 60_000, START_MS + 120 * 60_000))
    assert f'"focus":[{START_MS // 1000 + 3570},{START_MS // 1000 + 7170}]' in compare_html(runs, part)
    with pytest.raises(ChartError, match="no bar of this chart"):
        compare_html(runs, Focus(times=TimeRange(0, 60_000)))


def test_what_has_to_be_said_of_some_runs_is_said_with_their_names(runs: list[Run]) -> None:
    lost = [{"lost": "12.5"}]
    liquidated = replace(runs[1], summary=runs[1].summary | {"liquidations": lost, "warnings": ["Bars are missing."]})
    warned = replace(runs[0], summary=runs[0].summary | {"warnings": ["Bars are missing."]})
    told = _facts([warned, liquidated], compare([warned, liquidated]))["banners"]
    name = compare([warned, liquidated]).courses[1].name
    asset = liquidated.summary["account"].get("asset", "")
    assert told == [("", "Bars are missing."), ("alarm", f"{name}: Liquidated once: 12.50 {asset} lost")]


def test_no_word_of_its_tables_is_broken(browser: Browser, runs: list[Run], tmp_path: Path) -> None:
    config = load_config(
        None, {"symbol": "BTCUSDT", "start": "2025-05-01", "end": "2025-05-02", "account.leverage": 75}
    )
    four = [*runs, replace(runs[0], run_id="third", config=config), replace(runs[1], run_id="fourth")]
    save_compare_page(four, tmp_path / "four.html")
    browser.open(tmp_path / "four.html")
    heights = browser.run(
        "return [...document.querySelectorAll('main.even tbody :is(th, td)')].map((each) => each.clientHeight)"
    )
    # One line of 17 pixels with its air; two would be 41.
    assert len(heights) > 60
    assert max(heights) < 30
    assert browser.run("return document.documentElement.scrollWidth") <= 1280


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (1280, "light"), (390, "dark")])
def test_it_is_ready_without_a_complaint_and_draws_every_run(
    browser: Browser, runs: list[Run], tmp_path: Path, width: int, scheme: str
) -> None:
    save_compare_page(runs, tmp_path / "both.html")
    browser.open(tmp_path / "both.html", width=width, scheme=scheme)
    assert browser.errors() == []
    assert {url for url in browser.requests() if not url.startswith("data:")} == {(tmp_path / "both.html").as_uri()}
    assert browser.run("return document.documentElement.scrollWidth") <= width
    browser.run("document.querySelector('#frame').scrollIntoView()")
    for name in ("run0", "run1"):
        colour = browser.run(f"return getComputedStyle(document.documentElement).getPropertyValue('--{name}').trim()")
        image = browser.shot()
        top, left = browser.run(
            "const box = document.querySelector('#chart').getBoundingClientRect(); return [box.y, box.x]"
        )
        seen = sum(
            image.pixelColor(x, y).name() == colour
            for x in range(int(left), image.width() - 90)
            for y in range(int(top) + 90, image.height())
        )
        assert seen > 50
    assert len(browser.texts("#courses .card")) == 3
    totals = [f"{course.total * 100:+.2f}%" for course in compare(runs).courses]
    assert [browser.texts("#courses .card b")[at] for at in range(3)] == totals
    assert all(total in browser.text(".legend") for total in totals)


def test_the_legend_names_return_and_drawdown_of_every_curve_and_hides_none(
    browser: Browser, runs: list[Run], tmp_path: Path
) -> None:
    save_compare_page(runs, tmp_path / "both.html")
    browser.open(tmp_path / "both.html")
    rows = browser.run(
        "return [...document.querySelectorAll('.legend tr')].map((row) => [...row.cells].map((cell) => cell.innerText))"
    )
    courses = compare(runs).courses
    assert rows[0][1:] == ["return", "drawdown"]
    assert [row[0] for row in rows[1:]] == [f"■ {course.name}" for course in courses]
    for row, course in zip(rows[1:], courses, strict=True):
        assert row[1:] == [f"{course.returns[-1] * 100:+.2f}%", f"{course.drawdown[-1] * 100:.2f}%"]
    boxes = rectangles(browser, ".legend")
    hide_legends(browser)
    image = pixels(browser)
    assert [int(vivid(image[top:bottom, left:right]).sum()) for left, top, right, bottom in boxes] == [0, 0]


def test_a_run_that_ended_earlier_has_no_value_and_no_per_cent_sign_there(
    browser: Browser, runs: list[Run], tmp_path: Path
) -> None:
    early = replace(
        runs[0], klines=replace(runs[0].klines, frame=runs[0].klines.frame[:300]), equity=runs[0].equity[:300]
    )
    save_compare_page([runs[1], early], tmp_path / "both.html")
    browser.open(tmp_path / "both.html")
    assert browser.texts(".legend tr:nth-child(3) td")[1:] == ["–", "–"]


def test_the_whole_stays_in_sight_when_the_window_becomes_narrower(
    browser: Browser, runs: list[Run], tmp_path: Path
) -> None:
    save_compare_page(runs, tmp_path / "both.html")
    widths = []
    for width in (1400, 700):
        if not widths:
            browser.open(tmp_path / "both.html", width=width)
        else:
            browser.cdp(
                "Emulation.setDeviceMetricsOverride", width=width, height=1000, deviceScaleFactor=1, mobile=False
            )
            browser.driver.execute_async_script("setTimeout(arguments[0], 400)")
        hide_legends(browser)
        left, top, right, bottom = rectangles(browser, "#chart tr:has(.legend) canvas")[0]
        columns = np.flatnonzero(vivid(pixels(browser)[top:bottom, left:right]).any(axis=0))
        widths.append((columns[-1] - columns[0]) / (right - left))
    # Curves go from border to border in both.
    assert min(widths) > 0.97
    assert browser.errors() == []


def test_on_a_phone_the_legend_has_its_numbers_and_leaves_the_names_to_the_cards(
    browser: Browser, runs: list[Run], tmp_path: Path
) -> None:
    save_compare_page(runs, tmp_path / "both.html")
    browser.open(tmp_path / "both.html", width=390, height=844)
    frame = rectangles(browser, "#chart tr:has(.legend) canvas")[0]
    cells = rectangles(browser, ".legend td")
    assert len(cells) == 3 * (1 + 3)
    assert max(right for _, _, right, _ in cells) <= frame[2]
