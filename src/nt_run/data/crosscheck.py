"""Rows of another market among a perpetual's klines, found by what the exchange says elsewhere. Pure.

Three ways, from the surest: a second source of the same klines (prices must be equal), the mark price (last price and
mark price meet every few hours), the tick size (rows that begin to move in finer steps than the exchange allows).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from nt_run.klines import PRICES, Klines
from nt_run.model import Interval, TimeRange, parse_time
from nt_run.quality import aggregate, compare_klines, observed_tick

MARK_WINDOW = 12
"""Bars that are judged together; with fewer than `MARK_LEAST` nothing is said."""
MARK_LEAST = 8
MARK_LIMIT = 2.5e-4
"""How far (a fraction of mark) a quarter of the opens and closes of a window may all stay away.

Measured on hourly bars: at most 1.97e-4 in 38,000 recorded hours of the BTCUSDT perpetual from 2022 on, and 0.7e-4 of
ETHUSDT in 2025; at least 2.94e-4 in two days of spot BTCUSDT, February 2025. The limit was chosen on these very
recordings, so they do not prove it: other contracts are not measured. Spot that trades within it is not found this way.
"""
MARK_SETTLED_MS = parse_time("2022-01-01")
MARK_LIMIT_BEFORE = 1e-2
"""Before, mark and last price ran apart for hours, by 15e-4 and more: only another contract is found there."""

_TICK_WINDOW = 50
_TICK_SHARE = 0.5
_TICKS = 1.5
_STRAY = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Suspicious rows: they open in `range`; `rows` of them; `reason` goes on from "rows that"."""

    range: TimeRange
    rows: int
    reason: str

    def __str__(self) -> str:
        return f"{self.range}: {self.rows:,} rows {self.reason}"


def find_disagreements(klines: Klines, other: Klines, source: str) -> tuple[list[Finding], int, int]:
    """Compare with a second source.

    Returns:
        Where prices differ; how many bars were compared; how many differ in volume alone, as they do where the
        exchange has corrected the one and not the other.
    """
    comparison = compare_klines(klines, other)
    priced = [time for time, names in comparison.disagreeing.items() if any(name in PRICES for name in names)]
    findings = [
        _finding(klines, found, f"differ in price from {source}")
        for found in ranges_of(np.array(priced, np.int64), comparison.interval)
    ]
    return findings, comparison.compared, len(comparison.disagreeing) - len(priced)


def find_far_from_mark(klines: Klines, mark: Klines) -> tuple[list[Finding], int]:
    """Return where the last price stays away from the mark price, and how many bars were compared.

    The mark price follows the contract's own price, so that opens and closes of the two meet within hours. Those of
    another market differ by the basis, to one side and all the time. See `MARK_LIMIT` for what that was measured on.
    """
    interval = max(klines.interval, mark.interval, key=lambda each: each.ms)
    last, marked = aggregate(klines, interval), aggregate(mark, interval)
    common, left, right = np.intersect1d(
        last.open_times(), marked.open_times(), assume_unique=True, return_indices=True
    )
    if len(common) < MARK_LEAST:
        return [], 0
    away = np.stack(
        [np.abs(last.column(name)[left] / marked.column(name)[right] - 1) for name in ("open", "close")], axis=1
    )
    tick = float(observed_tick(klines)) / last.column("open")[left]
    limit = np.where(common >= MARK_SETTLED_MS, np.maximum(MARK_LIMIT, _TICKS * tick), MARK_LIMIT_BEFORE)
    width = min(MARK_WINDOW, len(common))
    windows = np.lib.stride_tricks.sliding_window_view(away, width, axis=0).reshape(-1, 2 * width)
    apart = np.quantile(windows, 0.25, axis=1) > limit[width - 1 :]
    far = _covered(apart, width) & (away.max(axis=1) > limit)
    reason = "stay away from the mark price, as rows of another market do"
    # One bar in between that is near by chance does not end the stretch.
    found = ranges_of(common[far], interval, longest_break=width * interval.ms)
    return [_finding(klines, one, reason) for one in found], len(common)


def find_finer_steps(klines: Klines, tick_size: Decimal, held_from_ms: int | None = None) -> list[Finding]:
    """Return where rows move in finer steps than the tick size after others kept to it, or since it is known to hold.

    Data that begin with finer steps may be older than the tick size; a single row is an order that was. Here half of
    fifty rows must be off, after fifty that were not.

    Args:
        klines: What is judged.
        tick_size: The exchange's.
        held_from_ms: From when on it is known to have held: rows since then need no others before them.
    """
    off = off_tick(klines, tick_size)
    width = _TICK_WINDOW if held_from_ms is None else min(_TICK_WINDOW, len(off))
    if len(off) < (2 * width if held_from_ms is None else MARK_LEAST):
        return []
    counts = np.lib.stride_tricks.sliding_window_view(off, width).sum(axis=1)
    kept = np.flatnonzero(counts == 0)
    first = kept[0] if len(kept) else len(counts)
    if held_from_ms is not None:
        first = min(first, int(np.searchsorted(klines.open_times(), held_from_ms)))
    finer = counts >= _TICK_SHARE * width
    finer[:first] = False
    rows = _covered(finer, width) & off
    step = klines.interval
    found = ranges_of(klines.open_times()[rows], step, longest_break=_TICK_WINDOW * step.ms)
    return [_finding(klines, one, f"move in finer steps than the tick size {tick_size}") for one in found]


def find_tick_break(klines: Klines) -> list[Finding]:
    """Return where rows move in finer steps than the first ones of the same file, which say what its tick size is."""
    first = Klines(klines.symbol, klines.interval, klines.exponents, klines.frame.head(_TICK_WINDOW))
    if first.frame["close"].n_unique() < _TICK_WINDOW // 2:
        return []  # prices that hardly moved say nothing of their steps
    own = next(
        tick
        for tick in (Decimal(1).scaleb(-digits) for digits in range(klines.exponents.price + 1))
        if not off_tick(first, tick).any() or tick == Decimal(1).scaleb(-klines.exponents.price)
    )
    return find_finer_steps(klines, own)


def narrowed(findings: Sequence[Finding], klines: Klines, tick_size: Decimal | None, reach_ms: int) -> list[Finding]:
    """Return findings cut down to the rows that are off the tick, where most of a finding's rows are.

    Args:
        findings: What another comparison found, as precisely as its interval.
        klines: The rows in question.
        tick_size: The exchange's; without it, the coarsest that nearly all other rows keep to.
        reach_ms: Length of the bars that were compared: that far rows were perhaps left out on either side.
    """
    times = klines.open_times()
    clean = np.ones(len(times), np.bool_)
    for one in findings:
        clean &= (times < one.range.start_ms) | (times >= one.range.end_ms)
    if tick_size is None:
        rest = Klines(klines.symbol, klines.interval, klines.exponents, klines.frame.filter(clean))
        tick_size = _usual_tick(rest)
    return [_narrow(one, klines, tick_size, reach_ms) for one in findings] if tick_size else list(findings)


def off_tick(klines: Klines, tick_size: Decimal) -> NDArray[np.bool_]:
    """Return for each row whether one of its prices is no multiple of the tick size."""
    digits = max(0, -int(tick_size.normalize().as_tuple().exponent) - klines.exponents.price)
    step = int(tick_size.scaleb(klines.exponents.price + digits))
    return np.logical_or.reduce([klines.frame[name].to_numpy() * 10**digits % step != 0 for name in PRICES])


def ranges_of(times: NDArray[np.int64], step: Interval, *, longest_break: int = 0) -> list[TimeRange]:
    """Return the ranges of bars that follow one another, with breaks of at most a length in milliseconds."""
    if not len(times):
        return []
    breaks = np.flatnonzero(np.diff(times) > max(step.ms, longest_break))
    firsts = times[np.concatenate([[0], breaks + 1])]
    lasts = times[np.concatenate([breaks, [len(times) - 1]])]
    return [TimeRange(int(first), step.end(int(last))) for first, last in zip(firsts, lasts, strict=True)]


def _usual_tick(klines: Klines) -> Decimal | None:
    own = klines.exponents.price
    for digits in range(own + 1) if len(klines) else ():
        tick = Decimal(1).scaleb(-digits)
        if off_tick(klines, tick).mean() < _STRAY:
            return tick
    return None


def _narrow(finding: Finding, klines: Klines, tick_size: Decimal, reach_ms: int) -> Finding:
    around = klines.within(TimeRange(finding.range.start_ms - reach_ms, finding.range.end_ms + reach_ms))
    off = off_tick(around, tick_size)
    if 2 * off.sum() < finding.rows:
        return finding
    times = around.open_times()[off]
    where = TimeRange(int(times[0]), klines.interval.end(int(times[-1])))
    reason = f"{finding.reason}; {off.sum():,} of them are off the tick size {tick_size}"
    return replace(finding, range=where, rows=len(klines.within(where)), reason=reason)


def _finding(klines: Klines, where: TimeRange, reason: str) -> Finding:
    return Finding(range=where, rows=len(klines.within(where)), reason=reason)


def _covered(windows: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Return which rows lie in any window that is marked; window i covers rows i … i + width - 1."""
    edges = np.zeros(len(windows) + width, np.int64)
    np.add.at(edges, np.flatnonzero(windows), 1)
    np.add.at(edges, np.flatnonzero(windows) + width, -1)
    return edges.cumsum()[: len(windows) + width - 1] > 0
