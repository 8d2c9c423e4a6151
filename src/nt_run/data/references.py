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
from nt_run.specs import parse_specs

PRICED = frozenset(PRICES)
REFERENCE = Interval("1h")
"""Long bars cost few requests, and one of them holds every row of the shorter ones."""


@dataclass(slots=True, kw_only=True)
class CrossChecked:
    """What klines were compared with, and what looks like another market."""

    against: list[str] = field(default_factory=list[str])
    """In words, with the number of bars; empty if there was nothing to compare with."""
    findings: list[Finding] = field(default_factory=list[Finding])
    remarks: list[str] = field(default_factory=list[str])


class CrossChecker:
    """Compares klines with what one cache folder and its exchange know."""

    def __init__(self, root: Path, sources: Sources) -> None:
        self._root = root
        self._sources = sources

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
        whole = False if stored and own_is_reference else self._compare_second(klines, checked)
        # A source that covers only a part leaves the rest to the next one.
        whole = whole or self._compare_mark(klines, checked)
        if not whole and tick_size is not None:
            checked.against.append(f"the tick size {tick_size}")
            _add(checked, find_finer_steps(klines, tick_size))
        checked.findings = narrowed(checked.findings, klines, tick_size, self._reference(klines).ms)
        return checked

    def _compare_rows(self, klines: Klines, checked: CrossChecked) -> None:
        """Row by row with those the cache has of the same series."""
        known = KlineStore(self._root, klines.symbol, klines.interval, repair=not self._sources.offline)
        rows = known.read(klines.range)
        if not len(rows):
            return
        clashes = find_clashes(rows, klines, known.what)
        checked.against.append(f"{len(rows):,} rows of the cache")
        priced = np.array([time for time, names in clashes.items() if not PRICED.isdisjoint(names)], np.int64)
        checked.findings += [
            Finding(range=one, rows=one.bars(klines.interval), reason="differ in price from those of the cache")
            for one in ranges_of(priced, klines.interval.ms)
        ]
        if len(clashes) > len(priced):
            words = f"{len(clashes) - len(priced)} rows differ from those of the cache, but not in price"
            checked.remarks.append(f"{words}; the cache keeps its own")

    def _compare_second(self, klines: Klines, checked: CrossChecked) -> bool:
        """Return whether every bar of the second source's interval was compared."""
        other = self._load(klines, KLINES)
        if other is None:
            return False
        findings, compared, corrected = find_disagreements(klines, other, f"the {other.interval} klines")
        if compared:
            checked.against.append(f"{compared:,} klines of {other.interval}")
        if corrected:
            checked.remarks.append(f"{corrected} bars of {other.interval} differ in volume alone, as corrected ones do")
        _add(checked, findings)
        return compared >= klines.range.ms // other.interval.ms - 1

    def _compare_mark(self, klines: Klines, checked: CrossChecked) -> bool:
        """Return whether anything was compared."""
        mark = self._load(klines, MARK_KLINES)
        if mark is None:
            return False
        findings, compared = find_far_from_mark(klines, mark)
        if compared:
            checked.against.append(f"{compared:,} mark price klines of {mark.interval}")
        _add(checked, findings)
        return compared > 0

    def _load(self, klines: Klines, kind: str) -> Klines | None:
        """Return what there is of the reference inside the range of klines; `None` if there is nothing."""
        step, whole = self._reference(klines), klines.range
        start, end = -(-whole.start_ms // step.ms) * step.ms, whole.end_ms // step.ms * step.ms
        if start >= end:
            return None
        wanted = TimeRange(start, end)
        store = KlineStore(self._root, klines.symbol, step, repair=not self._sources.offline, kind=kind)
        try:
            found = KlineLoader(store, self._sources).load(wanted, 0.0).klines
        except DataError:
            # Out of reach, not listed any more, before the first: what was kept still serves.
            found = store.read(wanted)
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


def _add(checked: CrossChecked, findings: Sequence[Finding]) -> None:
    """Add findings where nothing was found by a surer comparison."""
    known = [one.range for one in checked.findings]
    checked.findings += [
        one
        for one in findings
        if not any(one.range.start_ms < each.end_ms and each.start_ms < one.range.end_ms for each in known)
    ]


def cross_check(root: Path, sources: Sources, selection: Selection) -> list[tuple[SeriesRef, CrossChecked]]:
    """Compare every cached series of klines that is meant."""
    found: list[tuple[SeriesRef, CrossChecked]] = []
    checker = CrossChecker(root, sources)
    for ref in find_series(root, selection):
        if ref.kind != KLINES or ref.step is None:
            continue
        klines = KlineStore(root, ref.symbol, ref.step, repair=not sources.offline).read_all()
        if len(klines):
            found.append((ref, checker.check(klines, stored=True)))
    return found
