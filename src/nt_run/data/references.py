"""What klines are cross-checked against: a second source, else mark prices, else the tick size."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import numpy as np

from nt_run.data.conflicts import find_clashes
from nt_run.data.crosscheck import (
    Finding,
    find_disagreements,
    find_far_from_mark,
    find_finer_steps,
    find_tick_break,
    narrowed,
    ranges_of,
)
from nt_run.data.kline_loader import KlineLoader
from nt_run.data.kline_store import KLINES, MARK_KLINES, KlineStore
from nt_run.data.selection import Selection, SeriesRef, find_series
from nt_run.data.snapshots import SnapshotStore
from nt_run.data.sources import Sources
from nt_run.errors import DataError
from nt_run.klines import PRICES, Klines
from nt_run.model import Interval, TimeRange
from nt_run.rule_changes import ALL, RuleChange
from nt_run.specs import parse_specs

EXCHANGE, IMPORTED = "from the exchange", "imported before"
"""Whose klines others are compared with."""
PRICED = frozenset(PRICES)
REFERENCE = Interval("1h")
"""Long bars cost few requests, and one of them holds every row of the shorter ones."""


@dataclass(slots=True, kw_only=True)
class CrossChecked:
    """What klines were compared with, and what looks like another market."""

    bars: dict[str, int] = field(default_factory=dict[str, int])
    """How many were compared with each source, which is named by what it is and whose."""
    tick_size: Decimal | None = None
    """What their prices were held against; `None` if it is not known, or was not needed."""
    findings: list[Finding] = field(default_factory=list[Finding])
    remarks: list[str] = field(default_factory=list[str])

    @property
    def against(self) -> list[str]:
        """Return in words what they were compared with, with the number of bars; empty if there was nothing."""
        ticks = [] if self.tick_size is None else [f"the tick size {self.tick_size}"]
        return [*(f"{count:,} {source}" for source, count in self.bars.items()), *ticks]

    def compared(self, count: int, source: str) -> None:
        """Count bars that were compared with a source."""
        if count:
            self.bars[source] = self.bars.get(source, 0) + count

    def told_by_whom(self, symbol: str) -> list[str]:
        """Return what to say if no source of the exchange's own was among what they were compared with."""
        if any(not source.endswith(IMPORTED) for source in self.bars):
            return []
        own = f"no one says that these rows are {symbol}'s own"
        if self.bars:
            return [f"compared with imported klines, which prove nothing but that the files agree: {own}"]
        if self.tick_size is not None:
            return [f"compared with the tick size alone, which finds finer steps and nothing else: {own}"]
        return [f"compared with nothing: {own}"]


class CrossChecker:
    """Compares klines with what one cache folder and its exchange know.

    Imported rows vouch for nothing: rows that differ from them are found, rows that are like them are not proved.

    Args:
        root: The cache folder.
        sources: The exchange.
        changes: Dated changes that are known of its rules: they say since when a tick size holds.
    """

    def __init__(self, root: Path, sources: Sources, changes: Sequence[RuleChange] = ()) -> None:
        self._root = root
        self._sources = sources
        self._changes = changes

    def check(self, klines: Klines, *, stored: bool) -> CrossChecked:
        """Compare klines with other sources; what is fetched for that is kept.

        Args:
            klines: At least one.
            stored: They are of the cache themselves, so that their own series is no second source.
        """
        checked = CrossChecked()
        tick_size = self._tick_size(klines.symbol)
        if not stored:
            self._compare_rows(klines, checked)
        own_is_reference = klines.interval.ms >= REFERENCE.ms
        whole = False if stored and own_is_reference else self._compare_second(klines, checked, stored=stored)
        if not whole:
            # A source that covers only a part leaves the rest to the next one.
            self._compare_others(klines, checked)
            self._compare_mark(klines, checked)
            self._compare_ticks(klines, checked, tick_size)
        checked.findings = narrowed(checked.findings, klines, tick_size, self._reference(klines).ms)
        checked.remarks += checked.told_by_whom(klines.symbol)
        return checked

    def _compare_rows(self, klines: Klines, checked: CrossChecked) -> None:
        """Row by row with those the cache has of the same series."""
        known = KlineStore(self._root, klines.symbol, klines.interval, repair=not self._sources.offline)
        rows = known.read(klines.range)
        if not len(rows):
            return
        clashes = find_clashes(rows, klines, known.what)
        vouching = _of_exchange(rows, known)
        checked.compared(len(vouching), f"rows of the cache {EXCHANGE}")
        if len(rows) > len(vouching):
            words = f"{len(rows) - len(vouching):,} of these rows were imported before, which proves nothing"
            checked.remarks.append(words)
        own = np.isin(rows.open_times(), vouching.open_times(), invert=True)
        imported = set(rows.open_times()[own].tolist())
        priced = [time for time, names in clashes.items() if not PRICED.isdisjoint(names)]
        for reason, times in (
            ("differ in price from those of the cache", [time for time in priced if time not in imported]),
            ("differ in price from a file imported before: one of the two is wrong", [*imported.intersection(priced)]),
        ):
            found = ranges_of(np.array(sorted(times), np.int64), klines.interval)
            checked.findings += [Finding(range=one, rows=one.bars(klines.interval), reason=reason) for one in found]
        if len(clashes) > len(priced):
            words = f"{len(clashes) - len(priced)} rows differ from those of the cache, but not in price"
            checked.remarks.append(f"{words}; the cache keeps its own")

    def _compare_second(self, klines: Klines, checked: CrossChecked, *, stored: bool) -> bool:
        """Compare with long bars, and what no whole one holds with bars of the same length; return whether all was."""
        step, whole = self._reference(klines), klines.range
        start, end = step.ceil(whole.start_ms), step.floor(whole.end_ms)
        if start >= end:
            parts = [(klines.interval, whole)]
        else:
            ends = [(whole.start_ms, start), (end, whole.end_ms)]
            parts = [
                (step, TimeRange(start, end)),
                *((klines.interval, TimeRange(*one)) for one in ends if one[0] < one[1]),
            ]
        if stored:
            parts = [one for one in parts if one[0] != klines.interval]
        compared = [self._compare_part(klines, checked, interval, part) for interval, part in parts]
        return bool(compared) and all(compared)

    def _compare_part(self, klines: Klines, checked: CrossChecked, interval: Interval, part: TimeRange) -> bool:
        other = self._load(klines.symbol, interval, part, KLINES)
        return other is not None and _compare(klines, other, checked, EXCHANGE) >= part.bars(interval)

    def _compare_others(self, klines: Klines, checked: CrossChecked) -> None:
        """With all that the cache has of the contract in other intervals, whoever it is from."""
        kept = find_series(self._root, Selection(frozenset({KLINES}), frozenset({klines.symbol})))
        for step in (ref.step for ref in kept):
            if step is None or step == klines.interval or not _comparable(step, klines.interval):
                continue
            store = KlineStore(self._root, klines.symbol, step, repair=not self._sources.offline)
            rows = store.read(klines.range)
            own = _of_exchange(rows, store)
            if len(own) and step != self._reference(klines):
                _compare(klines, own, checked, EXCHANGE)
            if len(own) < len(rows):
                _compare(klines, _without(rows, own), checked, IMPORTED)

    def _compare_ticks(self, klines: Klines, checked: CrossChecked, tick_size: Decimal | None) -> None:
        if tick_size is None:
            _add(checked, find_tick_break(klines))
            return
        checked.tick_size = tick_size
        coarser = [one.time_ms for one in self._changes if self._is_coarser(one, klines.symbol)]
        _add(checked, find_finer_steps(klines, tick_size, max(coarser, default=0)))

    def _is_coarser(self, change: RuleChange, symbol: str) -> bool:
        return change.rule == "tick_size" and change.symbol in {symbol, ALL} and change.before < change.after

    def _compare_mark(self, klines: Klines, checked: CrossChecked) -> None:
        step, whole = self._reference(klines), klines.range
        start, end = step.ceil(whole.start_ms), step.floor(whole.end_ms)
        mark = self._load(klines.symbol, step, TimeRange(start, end), MARK_KLINES) if start < end else None
        if mark is None:
            return
        findings, compared = find_far_from_mark(klines, mark)
        checked.compared(compared, f"mark price klines of {mark.interval}")
        _add(checked, findings)

    def _load(self, symbol: str, interval: Interval, wanted: TimeRange, kind: str) -> Klines | None:
        """Return what the exchange says of a range; `None` if that is nothing."""
        store = KlineStore(self._root, symbol, interval, repair=not self._sources.offline, kind=kind)
        try:
            found = KlineLoader(store, self._sources).load(wanted, 0.0).klines
        except DataError:
            # Out of reach, not listed any more, before the first: what was kept still serves.
            found = store.read(wanted)
        found = _of_exchange(found, store)
        return found if len(found) else None

    def _reference(self, klines: Klines) -> Interval:
        return max(REFERENCE, klines.interval, key=lambda each: each.ms)

    def _tick_size(self, symbol: str) -> Decimal | None:
        """Return the tick size of the newest rules that are kept, `None` if they do not name the symbol."""
        snapshots = SnapshotStore(self._root)
        newest = snapshots.newest()
        if newest is None:
            return None
        try:
            rules = snapshots.read(newest)
            return parse_specs(rules, symbol, as_of_ms=newest.last_seen_ms, source=newest.file).tick_size
        except DataError:
            return None


def _of_exchange(klines: Klines, store: KlineStore) -> Klines:
    """Return the rows of those days that no import has a part in."""
    days = store.series.manifest().days
    own = {"import", "recovered"}
    mixed = {name for name, day in days.items() if any(one.kind in own and one.rows for one in day.sources)}
    if not mixed:
        return klines
    others = ~klines.frame["open_time"].dt.strftime("%Y-%m-%d").is_in(list(mixed))
    return Klines(klines.symbol, klines.interval, klines.exponents, klines.frame.filter(others))


def _without(klines: Klines, others: Klines) -> Klines:
    rest = klines.frame.filter(np.isin(klines.open_times(), others.open_times(), invert=True))
    return Klines(klines.symbol, klines.interval, klines.exponents, rest)


def _comparable(one: Interval, other: Interval) -> bool:
    return one.is_made_of(other) or other.is_made_of(one)


def _compare(klines: Klines, other: Klines, checked: CrossChecked, whose: str) -> int:
    """Compare with other klines of the contract, and return how many bars both have."""
    source = f"the {other.interval} klines" + (f" {whose}: one of the two is wrong" if whose == IMPORTED else "")
    findings, compared, corrected = find_disagreements(klines, other, source)
    made = "" if other.interval.ms >= klines.interval.ms else f"bars of {klines.interval} made of "
    checked.compared(compared, f"{made}klines of {other.interval} {whose}")
    if corrected:
        checked.remarks.append(f"{corrected} bars of {other.interval} differ in volume alone, as corrected ones do")
    _add(checked, findings)
    return compared


def _add(checked: CrossChecked, findings: Sequence[Finding]) -> None:
    """Add findings where nothing was found by a surer comparison."""
    known = [one.range for one in checked.findings]
    checked.findings += [
        one
        for one in findings
        if not any(one.range.start_ms < each.end_ms and each.start_ms < one.range.end_ms for each in known)
    ]


def cross_check(
    root: Path, sources: Sources, selection: Selection, changes: Sequence[RuleChange] = ()
) -> list[tuple[SeriesRef, CrossChecked]]:
    """Compare every cached series of klines that is meant."""
    found: list[tuple[SeriesRef, CrossChecked]] = []
    checker = CrossChecker(root, sources, changes)
    for ref in find_series(root, selection):
        if ref.kind != KLINES or ref.step is None:
            continue
        klines = KlineStore(root, ref.symbol, ref.step, repair=not sources.offline).read_all()
        if len(klines):
            found.append((ref, checker.check(klines, stored=True)))
    return found
