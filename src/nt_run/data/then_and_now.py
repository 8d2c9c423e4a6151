"""The klines of a run beside those the cache has now: the same rows, other ones since, or none that it ever had.

The records of the days tell. Rows are read only of days whose hash is not that of the run's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from nt_run.data.conflicts import find_clashes
from nt_run.data.content import days_with_rows, hash_days
from nt_run.data.days import day_name, days_of
from nt_run.data.kline_store import KlineStore
from nt_run.data.manifest import Day, Manifest
from nt_run.klines import DAY_MS, SCHEMA, Klines
from nt_run.model import TimeRange


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Klines a run was made of.

    Args:
        klines: They.
        asked: The range they are of.
        whole: Whether they are all bars of it, and not some of them.
        made_ms: When the run was made.
    """

    klines: Klines
    asked: TimeRange
    whole: bool
    made_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlike:
    """Bars in which run and cache differ, and what the two have of the first of them, in words."""

    bars: int
    first_ms: int
    cached: str
    given: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What the cache says of a run's klines.

    `unknown` is how many it knows nothing of. Where it has other rows, these came `since` the run was made, or the
    cache had them then already and `never` those of the run.
    """

    unknown: int
    since: Unlike | None
    never: Unlike | None


def put_beside(kept: Kept, store: KlineStore) -> Beside:
    """Compare the klines of a run with those of the cache; no network.

    Raises:
        StoreError: The cache is damaged there.
    """
    klines = kept.klines
    if len(again := np.flatnonzero(np.diff(klines.open_times()) <= 0)):
        at = int(klines.open_times()[again[0] + 1])
        wrong = Unlike(bars=len(again), first_ms=at, cached="one for each time", given="another, or out of order")
        return Beside(unknown=0, since=None, never=wrong)
    hashes, manifest = hash_days(klines), store.series.manifest()
    unknown, unlike = 0, list[int]()
    for start in days_of(kept.asked) if kept.whole else days_with_rows(klines):
        record = manifest.days.get(day_name(start))
        if record is None:
            unknown += len(klines.within(TimeRange(start, start + DAY_MS)))
        elif not _covers(kept, start) or record.content_sha256 != hashes.get(start, ""):
            unlike.append(start)
    found: dict[bool, list[Unlike]] = {True: [], False: []}
    for start, theirs in _read(store, unlike):
        day = _Day(kept, manifest, start, theirs, hashes.get(start, ""))
        unknown += day.unknown
        if bars := day.unlike:
            found[day.came_since()].append(bars)
    return Beside(unknown=unknown, since=_together(found[True]), never=_together(found[False]))


class _Day:
    """One UTC day, or the part of it that was asked for: the run's rows and the cache's."""

    def __init__(self, kept: Kept, manifest: Manifest, start: int, theirs: Klines, content: str) -> None:
        span = TimeRange(max(start, kept.asked.start_ms), min(start + DAY_MS, kept.asked.end_ms))
        self._ours, self._theirs = kept.klines.within(span), theirs.within(span)
        self._made_ms, self._content = kept.made_ms, content
        self._record: Day = manifest.days[day_name(start)]
        self._former: Sequence[str] = manifest.former.get(day_name(start), [])
        self._clashes = find_clashes(self._theirs, self._ours, f"{theirs.symbol} {theirs.interval} klines")
        here, there = self._ours.open_times(), self._theirs.open_times()
        extra = np.setdiff1d(here, there)
        in_hole = np.array([self._is_hole(time) for time in extra.tolist()], dtype=np.bool_)
        self.unknown = int(np.count_nonzero(~in_hole))
        """Bars that nobody asked for since."""
        self._extra = extra[in_hole]
        self._lost: NDArray[np.int64] = np.setdiff1d(there, here) if kept.whole else extra[:0]

    @property
    def unlike(self) -> Unlike | None:
        """The bars that differ, if any do."""
        bars = sorted({*self._clashes, *self._lost.tolist(), *self._extra.tolist()})
        if not bars:
            return None
        columns = self._clashes.get(bars[0], ())
        cached, given = (_in_words(rows, bars[0], columns) for rows in (self._theirs, self._ours))
        return Unlike(bars=len(bars), first_ms=bars[0], cached=cached, given=given)

    def came_since(self) -> bool:
        """Return whether the cache came to its rows after the run: what a day was before is on record."""
        times = [one.fetched_at_ms for one in self._record.sources] + [hole.at_ms for hole in self._record.missing]
        later = [time > self._made_ms for time in times]
        only_more = not self._clashes and not len(self._extra)
        return self._content in self._former or all(later) or (any(later) and (only_more or bool(self._former)))

    def _is_hole(self, time: int) -> bool:
        return any(hole.from_ms <= time < hole.to_ms for hole in self._record.missing)


def _covers(kept: Kept, start: int) -> bool:
    return kept.whole and kept.asked.start_ms <= start and start + DAY_MS <= kept.asked.end_ms


def _read(store: KlineStore, days: Sequence[int]) -> Iterator[tuple[int, Klines]]:
    """Yield each day with rows that include its own, read month by month."""
    for _, group in groupby(days, key=lambda start: day_name(start)[:7]):
        month = list(group)
        rows = store.read(TimeRange(month[0], month[-1] + DAY_MS))
        yield from ((start, rows) for start in month)


def _in_words(rows: Klines, time: int, columns: Sequence[str]) -> str:
    """Return what a bar has in some columns; that it is there, where none are given."""
    row = rows.within(TimeRange(time, time + 1)).frame
    if row.is_empty() or not columns:
        return "none" if row.is_empty() else "a bar"
    amounts = ((name, rows.exponents.of(name), row[name][0]) for name in SCHEMA if name in columns)
    return ", ".join(f"{name.replace('_', ' ')} {Decimal(value).scaleb(-digits):f}" for name, digits, value in amounts)


def _together(parts: Sequence[Unlike]) -> Unlike | None:
    if not parts:
        return None
    first = parts[0]
    bars = sum(one.bars for one in parts)
    return Unlike(bars=bars, first_ms=first.first_ms, cached=first.cached, given=first.given)
