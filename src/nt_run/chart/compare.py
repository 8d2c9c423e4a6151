"""Several runs over one time axis: what each made of its starting balance, and what holding the market made.

A curve is a return since the start of its own run, a fraction. It has no value before that run's first close, after its
last one, or where the run has no bars.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nt_run.chart.bars import Bars
from nt_run.chart.view import strategy_label
from nt_run.differences import differing
from nt_run.errors import ChartError
from nt_run.klines import bar_openings
from nt_run.model import format_time, instrument_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nt_run.chart.levels import Floats, Ints
    from nt_run.results import Run

MAX_SLOTS = 20_000_000
"""Some forty years of minutes: more would take gigabytes."""
_LONGEST_NOTE = 40
"""Letters; more are no name."""


@dataclass(frozen=True, slots=True)
class Course:
    """One curve: returns and drawdowns (≤ 0) as fractions, one per slot, and the return at its end."""

    name: str
    returns: Floats
    drawdown: Floats
    total: float
    is_market: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything a chart of several runs draws; markets, held from start to end, come after the runs."""

    title: str
    subtitle: str
    demo: bool
    bars: Bars
    courses: tuple[Course, ...]


def compare(runs: Sequence[Run]) -> Comparison:
    """Lay runs over one time axis, in the finest of their intervals.

    Raises:
        ChartError: They lie too far apart for one axis.
    """
    bars = _axis(runs)
    ends = bars.open_ms + np.diff(np.r_[bars.open_ms, bars.time_ms(bars.slots)])
    courses = [_run_course(run, name, ends) for run, name in zip(runs, _names(runs), strict=True)]
    widest: dict[str, Run] = {}
    for run in sorted(runs, key=lambda run: run.klines.range.ms):
        widest[run.klines.symbol] = run
    courses += [_market_course(run, ends) for _, run in sorted(widest.items())]
    start, end = (format_time(bars.time_ms(place)).removesuffix(" 00:00") for place in (0, bars.slots))
    title = " · ".join(instrument_id(symbol) for symbol in sorted(widest))
    return Comparison(
        title=f"{len(runs)} runs",
        subtitle=f"{title} · {start} → {end} UTC",
        demo=any(run.summary.get("demo", False) for run in runs),
        bars=bars,
        courses=tuple(courses),
    )


def _axis(runs: Sequence[Run]) -> Bars:
    interval = min((run.klines.interval for run in runs), key=lambda interval: interval.ms)
    start = min(run.klines.range.start_ms for run in runs)
    end = max(run.klines.range.end_ms for run in runs)
    first, stop = interval.number(start), interval.number(interval.ceil(end))
    if stop - first > MAX_SLOTS:
        raise ChartError(
            f"From {format_time(start)} to {format_time(end)} there are {stop - first:,} bars of {interval}, too many "
            "for one chart. Compare runs that lie closer together."
        )
    nothing = np.full(stop - first, np.nan)
    opens = bar_openings(interval, first + np.arange(stop - first, dtype=np.int64))
    return Bars(interval, opens, np.arange(stop - first), nothing, nothing, nothing, nothing, nothing)


def _names(runs: Sequence[Run]) -> list[str]:
    """Return what tells the runs apart: strategy, market and interval; where these are the same, how they were set."""
    plain = [f"{strategy_label(run.summary['strategy'])} · {run.klines.symbol} {run.klines.interval}" for run in runs]
    names = list(plain)
    for name, count in Counter(plain).items():
        places = [place for place, each in enumerate(plain) if each == name]
        if count > 1:
            for place, note in zip(places, _notes([runs[place] for place in places]), strict=True):
                names[place] = f"{name} · {note}"
    return names


def _notes(runs: Sequence[Run]) -> list[str]:
    """Return the settings in which runs differ, such as `leverage 20`; their ids where these are many or the same."""
    rows = differing(runs)
    notes = [
        ", ".join(f"{key.rsplit('.', 1)[-1]} {values[place]}" for key, values in rows) for place in range(len(runs))
    ]
    if len(set(notes)) == len(runs) and max(map(len, notes)) <= _LONGEST_NOTE:
        return notes
    return [run.run_id.split("-", 1)[0] for run in runs]


def _run_course(run: Run, name: str, ends: Ints) -> Course:
    times = run.equity["time"].dt.epoch("ms").to_numpy()
    equity = run.equity["equity"].cast(float).to_numpy()
    known = run.summary["account"].get("starting_balance")
    start = float(equity[0] if known is None else known)
    rows = _rows(run, times, ends)
    returns = _at(rows, equity) / start - 1 if start > 0 else np.full(len(ends), np.nan)
    drawdown = _at(rows, run.equity["drawdown"].cast(float).to_numpy())
    return Course(name, returns, drawdown, float(equity[-1]) / start - 1 if start > 0 else 0.0)


def _market_course(run: Run, ends: Ints) -> Course:
    frame = run.klines.floats()
    closes, first = frame["close"].to_numpy(), float(frame["open"][0])
    rows = _rows(run, run.klines.close_times(), ends)
    tops = np.maximum.accumulate(np.maximum(closes, first))
    name = f"buy & hold {run.klines.symbol}"
    return Course(name, _at(rows, closes / first - 1), _at(rows, closes / tops - 1), closes[-1] / first - 1, True)


def _rows(run: Run, times: Ints, ends: Ints) -> Ints:
    """Return which of `times` (ms, closes) each slot shows, −1 for none: the last one, unless it lies before a hole."""
    rows = np.searchsorted(times, ends, side="right") - 1
    found = np.maximum(rows, 0)
    opens = run.klines.frame["open_time"].dt.epoch("ms").to_numpy()
    # Between two closes the earlier one stands as long as a bar is under way.
    under_way = np.searchsorted(opens, ends) - 1
    closes = run.klines.close_times()
    inside = (under_way >= 0) & (closes[np.maximum(under_way, 0)] >= ends)
    return np.where((rows >= 0) & ((times[found] == ends) | inside), rows, -1)


def _at(rows: Ints, values: Floats) -> Floats:
    return np.where(rows >= 0, values[np.maximum(rows, 0)], np.nan)
