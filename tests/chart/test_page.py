"""The page as a file: what is in it, what may never be, how large it is. How it looks is tested in a browser."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from chart.made_up_runs import make_klines, make_run
from nt_run.chart import compare_page, theme
from nt_run.chart.page import SCRIPTS, levels, page_html, save_page
from nt_run.chart.view import chart_data
from nt_run.errors import ChartError
from nt_run.results import Run

WEB = files("nt_run.chart").joinpath("web")


def facts_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script id="facts" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


@pytest.fixture(scope="module")
def run() -> Run:
    return make_run(make_klines(3000), 40)


@pytest.fixture(scope="module")
def page(run: Run) -> str:
    return page_html(run)


def test_the_policy_allows_no_connection_and_only_the_scripts_and_styles_of_the_page(page: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert set(rules) == {"default-src", "base-uri", "form-action", "font-src", "style-src", "script-src"}
    assert "unsafe" not in policy[1]
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    styles = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    for rule, texts in (("script-src", scripts), ("style-src", styles)):
        hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(t.encode()).digest()).decode()}'" for t in texts]
        assert rules[rule].split() == hashes


def test_nothing_is_loaded_from_anywhere(page: str) -> None:
    body = page.replace(WEB.joinpath("vendor", "lightweight-charts.js").read_text(encoding="utf-8"), "")
    assert re.findall(r"""(?:src|srcset|action|data)=["'][^"']""", body) == []
    assert set(re.findall(r'href="([^"]*)"', body)) == {"https://www.tradingview.com/"}
    assert all(target.startswith("data:font/ttf") for target in re.findall(r"url\(([^)]{0,20})", body))


def test_the_library_is_the_one_its_authors_published_with_its_licence_and_notice(page: str) -> None:
    source = WEB.joinpath("vendor", "lightweight-charts.js").read_bytes()
    digest = "e21cc5caa0226ef30bd8549c50b9ef926615f2a4ee6b4e486353477a55f598cf"
    assert hashlib.sha256(source).hexdigest() == digest
    assert source.decode() in page
    assert "Apache License" in WEB.joinpath("vendor", "LICENSE").read_text(encoding="utf-8")
    notice = WEB.joinpath("vendor", "NOTICE").read_text(encoding="utf-8").split()
    shown = re.sub(r"<[^>]*>", "", page.split("<footer")[1]).replace(",", " , ").split()
    assert [word.strip(",") for word in notice if word.strip(",") not in shown] == []


@pytest.mark.parametrize("evil", ["</script><script>alert(1)</script>", "<!--<script>", "{{script}}"])
def test_text_of_a_run_never_becomes_part_of_the_page(run: Run, page: str, evil: str) -> None:
    summary = run.summary | {"symbol": evil, "warnings": [evil], "strategy": {"name": evil, "params": {}}}
    changed = page_html(replace(run, summary=summary))
    assert changed.lower().count("<script") == page.lower().count("<script")
    assert changed.lower().count("<!--") == page.lower().count("<!--")
    assert ["", evil] in facts_of(changed)["banners"]


def test_the_same_run_gives_the_same_page(run: Run, page: str) -> None:
    assert page_html(run) == page


def test_the_dark_page_has_the_colours_of_the_picture() -> None:
    dark = WEB.joinpath("style.css").read_text(encoding="utf-8").split('[data-theme="dark"]')[1].split("}")[0]
    colours = dict(re.findall(r"--(\w+): (#\w{6})", dark))
    lists = {"run": theme.RUNS, "market": theme.MARKETS}
    many = {f"{name}{at}": value for name, values in lists.items() for at, value in enumerate(values)}
    same = {name: many.get(name) or getattr(theme, name.upper()) for name in colours if name != "panel"}
    assert {name: colours[name] for name in same} == same


def test_both_themes_define_the_same_colours() -> None:
    light, dark = WEB.joinpath("style.css").read_text(encoding="utf-8").split('[data-theme="dark"]')[:2]
    assert re.findall(r"--(\w+):", light) == re.findall(r"--(\w+):", dark)


def test_scripts_are_small_and_all_of_them_are_used() -> None:
    sources = [file for file in WEB.iterdir() if file.name.endswith(".js")]
    assert {file.name for file in sources} == {f"{name}.js" for name in (*SCRIPTS, *compare_page.SCRIPTS, "theme")}
    for file in sources:
        text = file.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 300
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)


@pytest.mark.parametrize(
    ("interval", "bars", "names"),
    [
        ("1m", 60, ["1m", "3m", "5m"]),
        ("1m", 10_080, ["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "8h"]),
        ("1h", 200, ["1h", "2h", "4h", "8h"]),
        ("1d", 100, ["1d", "3d", "1w"]),
        ("3d", 60, ["3d"]),
    ],
)
def test_candles_are_offered_in_lengths_that_divide_and_leave_enough_of_them(
    interval: str, bars: int, names: list[str]
) -> None:
    # 10,080 minutes are 168 hours: 21 candles of 8h, but 7 of 1d.
    found = levels(chart_data(make_run(make_klines(bars, interval=interval), trades=0)))
    assert [each["name"] for each in found] == names
    assert [each["base"] for each in found] == [True] + [False] * (len(names) - 1)


def test_holes_are_named_by_place_and_width() -> None:
    klines = make_klines(60)
    klines = replace(klines, frame=pl.concat([klines.frame[:10], klines.frame[25:40], klines.frame[41:]]))
    facts = facts_of(page_html(make_run(klines, trades=2)))
    assert (facts["slots"], facts["holes"]) == (60, [[10, 15], [40, 1]])


def test_a_small_account_keeps_more_than_cents() -> None:
    run = make_run(make_klines(60), trades=2)
    shrunk = run.summary | {"account": {"starting_balance": "25"}}
    assert facts_of(page_html(run))["decimals"]["money"] == 2
    assert facts_of(page_html(replace(run, summary=shrunk)))["decimals"]["money"] == 4


def test_a_week_of_minutes_is_small() -> None:
    assert len(page_html(make_run(make_klines(10_080), 400))) < 700_000


def test_a_page_is_written_whole_over_the_one_before_it(run: Run, page: str, tmp_path: Path) -> None:
    target = tmp_path / "run.HTML"
    target.write_text("old")
    save_page(run, target)
    assert target.read_text(encoding="utf-8") == page
    assert [file.name for file in tmp_path.iterdir()] == ["run.HTML"]


@pytest.mark.parametrize("name", ["run.png", "run", "run.html.gz"])
def test_a_page_that_is_not_named_as_one_is_refused(run: Run, tmp_path: Path, name: str) -> None:
    with pytest.raises(ChartError, match=r"pages are HTML files. Choose a name that ends in \.html"):
        save_page(run, tmp_path / name)


def test_a_page_needs_a_folder(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ChartError, match="does not exist"):
        save_page(run, tmp_path / "nowhere" / "run.html")
