"""The page for hands and eyes: on a phone, by keyboard, in both themes."""

import base64
import re
from importlib.resources import files
from pathlib import Path

import pytest

from chart.browser import Browser, saved, wait_for
from chart.made_up_runs import make_klines, make_run

LEAST_CONTRAST = 4.5
"""Of text, by WCAG 2.2 (1.4.3, level AA)."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(make_run(make_klines(3000), 40), tmp_path_factory.mktemp("use"))


def test_a_phone_reaches_every_column_of_the_trades_and_number_and_result_stay(browser: Browser, page: Path) -> None:
    browser.open(page, width=390, height=844)
    titles = [text.removesuffix(" ↑") for text in browser.texts("#trades th")]
    assert titles[:4] == ["#", "Side", "Entry", "Exit"]
    assert titles[-1] == "PnL"
    seen = set()
    for share in (0, 0.5, 1):
        browser.run(
            "const box = document.querySelector('#trades .scroll');"
            "box.scrollLeft = arguments[0] * (box.scrollWidth - box.clientWidth)",
            share,
        )
        now = browser.run(
            "const heads = [...document.querySelectorAll('#trades th')];"
            "const boxes = heads.map((each) => each.getBoundingClientRect());"
            "const left = boxes[0].right - 1, right = boxes.at(-1).left + 1;"
            "return heads.filter((each, i) => i === 0 || i === heads.length - 1"
            "  || (boxes[i].left >= left && boxes[i].right <= right)).map((each) => each.innerText)"
        )
        assert "PnL" in now
        assert now[0].startswith("#")
        seen |= {text.removesuffix(" ↑") for text in now}
    assert seen == set(titles)
    assert browser.run("return document.documentElement.scrollWidth") == 390


def test_on_a_phone_the_chart_begins_on_the_first_screen(browser: Browser, page: Path) -> None:
    browser.open(page, width=390, height=844)
    top, cards = browser.run(
        "return ['chart', 'cards'].map((name) => document.getElementById(name).getBoundingClientRect().top)"
    )
    assert cards < top < 844 * 0.4
    assert len([text for text in browser.texts("#cards .card") if text]) == 9


def test_trades_are_reached_and_sorted_by_keyboard(browser: Browser, page: Path) -> None:
    browser.open(page)
    focused = "return document.activeElement.dataset.trade"
    browser.run("document.querySelector('#trades th:last-child button').focus()")
    browser.key("Tab")
    assert browser.run(focused) == "1"
    for key, number in (("ArrowDown", "2"), ("ArrowDown", "3"), ("ArrowUp", "2")):
        browser.key(key)
        assert browser.run(focused) == number
    assert browser.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    browser.key("Enter")
    wait_for(browser, trade="2")
    # One row alone is a stop: Tab leaves the table, and comes back to where one was.
    browser.key("Tab")
    assert browser.run(focused) is None
    assert browser.run("return document.querySelectorAll('#trades tr[tabindex=\"0\"]').length") == 1
    browser.run("document.querySelector('#trades th:last-child button').click()")
    assert browser.run("return [...document.querySelectorAll('#trades [aria-sort]')].map((each) => each.ariaSort)") == [
        "ascending"
    ]
    assert browser.errors() == []


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", [0, 1])
def test_every_colour_of_text_stands_out_from_its_ground(theme: int) -> None:
    style = files("nt_run.chart").joinpath("web", "style.css").read_text(encoding="utf-8")
    blocks = re.findall(r"^:root[^{]*{([^}]*--background[^}]*)}", style, re.MULTILINE)
    colours = dict(re.findall(r"--(\w+): (#\w{6})", blocks[theme]))
    ground = luminance(colours["background"])
    no_text = {"background", "panel", "border", "grid", "tag", "crosshair"}
    found = {}
    for name in set(colours) - no_text:
        low, high = sorted((ground, luminance(colours[name])))
        found[name] = (high + 0.05) / (low + 0.05)
    assert len(found) > 20
    assert {name: ratio for name, ratio in found.items() if ratio < LEAST_CONTRAST} == {}


def test_paper_shows_a_light_picture_of_the_chart_with_its_legends_and_the_screen_is_as_before(
    browser: Browser, tmp_path: Path
) -> None:
    browser.open(saved(make_run(make_klines(3000), 150), tmp_path))
    before = browser.chart()
    # As a browser does it: the event first, then the paper.
    browser.run("window.dispatchEvent(new Event('beforeprint'))")
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.cdp("Emulation.setEmulatedMedia", media="print", features=dark)
    assert browser.run("return document.documentElement.dataset.theme") == "light"
    assert browser.run("return getComputedStyle(document.getElementById('chart')).visibility") == "hidden"
    legends = browser.run("return [...document.querySelectorAll('figure .legend')].map((each) => each.innerText)")
    assert len(legends) == 5
    assert legends[0].startswith(f"{before['interval']} candle")
    ground, rise = browser.run(
        "const canvas = document.querySelector('figure canvas'), context = canvas.getContext('2d');"
        "const data = context.getImageData(0, 0, canvas.width, canvas.height).data; let ground = 0, rise = 0;"
        "for (let i = 0; i < data.length; i += 4) {"
        "  ground += data[i] > 240; rise += data[i] === 9 && data[i + 1] === 130; }"
        "return [ground / (canvas.width * canvas.height), rise]"
    )
    assert ground > 0.5
    assert rise > 500
    assert "The first 100 of 150." in browser.text("#trades")
    assert browser.run("return document.querySelectorAll('#trades tbody tr')[100].offsetHeight") == 0
    browser.cdp("Emulation.setEmulatedMedia", media="", features=dark)
    browser.run("window.dispatchEvent(new Event('afterprint'))")
    assert browser.run("return document.querySelector('figure')") is None
    assert browser.run("return document.documentElement.dataset.theme") == "dark"
    browser.until(lambda: browser.chart() == before)
    assert len(base64.b64decode(browser.cdp("Page.printToPDF", printBackground=True)["data"])) > 50_000
    assert browser.errors() == []


def test_on_a_phone_no_number_of_a_legend_is_torn_from_its_name(browser: Browser, page: Path) -> None:
    browser.open(page, width=390, height=844)
    tops = browser.run(
        "return [...document.querySelectorAll('.legend .small')].map((each) =>"
        " [each, each.nextElementSibling].map((one) => one.getBoundingClientRect().top))"
    )
    assert len(tops) >= 5
    assert [name - value for name, value in tops] == [0] * len(tops)


def test_on_a_phone_a_legend_has_no_gap_where_words_are_left_out(browser: Browser, tmp_path: Path) -> None:
    browser.open(saved(make_run(make_klines(3000), 40), tmp_path), width=390, height=844)
    hidden = browser.run(
        "return [...document.querySelectorAll('.legend .group')]"
        ".filter((each) => [...each.children].every((part) => part.classList.contains('wide')))"
        ".map((each) => getComputedStyle(each).display)"
    )
    # At 15 minutes averages are hidden, and what says so is too.
    assert hidden == ["none"]
