"""The page of several runs: their returns over each other, drawdowns, figures side by side, and how they were set."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nt_run.chart import sheet
from nt_run.chart.bars import Bars
from nt_run.chart.compare import Comparison, compare
from nt_run.chart.focus import Focus, Span, range_span, whole_span
from nt_run.chart.levels import SPANS, Floats, Ints
from nt_run.chart.overview import banners
from nt_run.chart.packing import Column, column, gapped_columns
from nt_run.chart.writing import check_target, write_whole
from nt_run.differences import differing
from nt_run.formats import amount, percent, short_time, signed
from nt_run.results import Run

SCRIPTS = ("dom", "unpack", "palette", "lines", "panes", "shell", "compare")
MOST_POINTS = 6_000
"""Points a curve has at most: no screen shows more of a whole run, and nobody trades on this page."""
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
_DECIMALS = 6
"""Of a return as a fraction: a ten-thousandth of a per cent."""
_FIGURES: tuple[tuple[str, str, str], ...] = (
    ("Return", "total_return", "percent"),
    ("Net PnL", "net", "money"),
    ("Max drawdown", "max_drawdown", "percent"),
    ("Sharpe", "sharpe", "number"),
    ("Sortino", "sortino", "number"),
    ("Volatility", "volatility", "percent"),
    ("Exposure", "exposure", "percent"),
    ("Trades", "trades", "count"),
    ("Win rate", "win_rate", "percent"),
    ("Profit factor", "profit_factor", "number"),
    ("Expectancy", "expectancy", "money"),
    ("Fees", "fees", "money"),
    ("Funding", "funding", "money"),
    ("Starting balance", "starting_balance", "amount"),
    ("Final equity", "final_equity", "amount"),
)


def save_compare_page(runs: Sequence[Run], path: Path, focus: Focus | None = None) -> None:
    """Write the page of several runs; the file appears whole or not at all.

    Raises:
        ChartError: The file is not named as a page or cannot be written, its folder is missing, the runs lie too far
            apart, or there is no bar in the range.
    """
    check_target(path, ".html", "The page", "pages are HTML files")
    write_whole(path, compare_html(runs, focus).encode(), "page")


def compare_html(runs: Sequence[Run], focus: Focus | None = None) -> str:
    """Return the page of several runs. The same runs give the same text.

    Raises:
        ChartError: They lie too far apart for one time axis, or there is no bar in the range.
    """
    comparison = compare(runs)
    bars = comparison.bars
    first, unit = _groups(bars)
    span = whole_span(bars) if focus is None or focus.times is None else range_span(bars, focus.times)
    facts = _facts(runs, comparison) | {"unit": unit, "focus": _ends(bars, span)}
    return sheet.page("compare.html", SCRIPTS, facts, _columns(comparison, first))


def _groups(bars: Bars) -> tuple[Ints, str]:
    """Return the first row of each point, and how long a point is: bars as they are, or whole hours, days, weeks."""
    if len(bars.slot) <= MOST_POINTS or bars.interval.is_month:
        return np.arange(len(bars.slot)), bars.interval.name
    # The longest of them holds a week and more than the forty years of an axis.
    name, ms = next((name, ms) for name, ms in SPANS.items() if bars.slots * bars.interval.ms <= MOST_POINTS * ms)
    group = bars.open_ms // ms
    return np.flatnonzero(np.r_[True, group[1:] != group[:-1]]), name


def _columns(comparison: Comparison, first: Ints) -> list[Column]:
    bars = comparison.bars
    last = np.r_[first[1:], len(bars.slot)] - 1
    columns = [column("time", bars.open_ms[first] // 1000, running=True)]
    for number, course in enumerate(comparison.courses):
        columns += gapped_columns(f"returns_{number}", _last_known(course.returns, first, last), _DECIMALS)
        columns += gapped_columns(f"drawdown_{number}", np.fmin.reduceat(course.drawdown, first), _DECIMALS)
    return columns


def _last_known(values: Floats, first: Ints, last: Ints) -> Floats:
    """Return the last value of each group that is one, NaN where there is none."""
    rows = np.maximum.accumulate(np.where(np.isfinite(values), np.arange(len(values)), -1))[last]
    return np.where(rows >= first, values[np.maximum(rows, 0)], np.nan)


def _ends(bars: Bars, span: Span) -> list[int]:
    places = (max(span.left, 0), min(span.right, bars.slots - 1))
    return [bars.time_ms(place) // 1000 for place in places]


def _facts(runs: Sequence[Run], comparison: Comparison) -> dict[str, Any]:
    return {
        "title": comparison.title,
        "subtitle": comparison.subtitle,
        "banners": _banners(runs, comparison),
        "courses": [
            {"name": course.name, "total": course.total, "market": course.is_market} for course in comparison.courses
        ],
        "runs": [run.run_id for run in runs],
        "figures": [[title, *(_figure(run, key, kind) for run in runs)] for title, key, kind in _FIGURES],
        "configuration": [[key, *map(_setting, values)] for key, values in differing(runs)],
    }


def _banners(runs: Sequence[Run], comparison: Comparison) -> list[tuple[str, str]]:
    """Return what has to be said first: of all runs once, of some of them with their names."""
    names = [course.name for course in comparison.courses]
    told: dict[tuple[str, str], list[str]] = {}
    for name, run in zip(names, runs, strict=False):
        for banner in dict.fromkeys(banners(run.summary)):
            told.setdefault(banner, []).append(name)
    return [
        (kind, text if len(whose) == len(runs) else f"{', '.join(whose)}: {text}")
        for (kind, text), whose in told.items()
    ]


def _setting(value: object) -> str:
    text = f"{value}"
    return short_time(text) if _MOMENT.fullmatch(text) else text


def _figure(run: Run, key: str, kind: str) -> list[Any]:
    """Return a figure of a run as text, and the sign that colours it."""
    tables = ("metrics", "pnl", "account")
    value = next((table[key] for name in tables if key in (table := _table(run, name))), run.summary.get(key))
    if value is None:
        return ["–", 0]
    number = float(value)
    sign = (
        0 if kind in {"count", "amount"} or key in {"volatility", "exposure", "win_rate", "profit_factor"} else number
    )
    texts = {
        "percent": lambda: percent(number),
        "money": lambda: signed(str(value)),
        "amount": lambda: amount(str(value)),
        "count": lambda: f"{number:,.0f}",
        "number": lambda: f"{number:,.2f}",
    }
    return [texts[kind](), (sign > 0) - (sign < 0)]


def _table(run: Run, name: str) -> Mapping[str, Any]:
    return run.summary.get(name) or {}
