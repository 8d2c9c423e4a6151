"""Rows of two sources for one open time that differ: found, kept on record, settled by what the user prefers."""

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import groupby
from typing import Literal, NamedTuple

import msgspec
import numpy as np
import polars as pl

from nt_run.data.days import day_name, days_of
from nt_run.data.ingest import merge_klines, rescale
from nt_run.data.manifest import Conflict, Day, Manifest, Source, SourceKind
from nt_run.data.ranges import in_words
from nt_run.errors import SourcesDisagreeError
from nt_run.klines import DAY_MS, OPTIONAL, SCHEMA, Klines
from nt_run.model import Interval, TimeRange

Family = Literal["archive", "rest", "import"]
"""What a user can prefer; a later file of the archive is preferred over an earlier one."""
_FAMILIES: dict[SourceKind, Family] = {"archive_monthly": "archive", "archive_daily": "archive", "rest": "rest"}


def family(kind: SourceKind) -> Family:
    """Return the family of a source; rows of unknown origin may be a user's own."""
    return _FAMILIES.get(kind, "import")


class Merged(NamedTuple):
    """The union of stored and fresh rows."""

    klines: Klines
    clashes: Mapping[int, tuple[str, ...]] = {}
    """Where they differ: columns by open time (ms), in time order."""
    completed: Sequence[int] = ()
    """Open times (ms) of stored rows of which the fresh ones know more, and took the place."""


def merge_preferring(stored: Klines, fresh: Klines, *, fresh_wins: bool, what: str) -> Merged:
    """Return the union of two sources; of two rows that agree the one that knows more is used."""
    if not len(stored) or not len(fresh):
        return Merged(stored if len(stored) else fresh)
    clashes = find_clashes(stored, fresh, what)
    completed, needless = _partly_known(stored, fresh, clashes)
    if not (clashes or completed or needless):
        return Merged(merge_klines([stored, fresh], what))
    stored = _without(stored, [*completed, *(clashes if fresh_wins else ())])
    fresh = _without(fresh, [*needless, *(() if fresh_wins else clashes)])
    return Merged(merge_klines([stored, fresh], what), clashes, completed)


def find_clashes(one: Klines, other: Klines, what: str) -> dict[int, tuple[str, ...]]:
    """Return the columns that differ, by open time (ms), of the rows that both have; in time order.

    What one of the two does not know is no difference.
    """
    both = one.exponents.widest(other.exponents)
    common = np.intersect1d(one.open_times(), other.open_times(), assume_unique=True)
    if not len(common):
        return {}
    left, right = (rescale(each, both, what).frame.filter(np.isin(each.open_times(), common)) for each in (one, other))
    differs = pl.DataFrame(
        [(left[name] != right[name]).fill_null(value=False).alias(name) for name in SCHEMA if name != "open_time"]
    )
    rows = np.flatnonzero(differs.select(pl.any_horizontal(pl.all())).to_series().to_numpy())
    return {
        int(common[row]): tuple(name for name, value in differs.row(row, named=True).items() if value)
        for row in rows.tolist()
    }


def record_conflicts(
    days: Mapping[str, Day],
    clashes: Mapping[int, tuple[str, ...]],
    source: Source,
    *,
    interval: Interval,
    kept: SourceKind | Literal["stored"] | None,
) -> dict[int, tuple[Conflict, ...]]:
    """Return the conflicts of each day (its start in ms), known ones that overlap replaced."""
    found: dict[int, tuple[Conflict, ...]] = {}
    for start, group in groupby(sorted(clashes), lambda time: time // DAY_MS * DAY_MS):
        before = days.get(day_name(start))
        kinds: tuple[SourceKind, ...] = tuple(dict.fromkeys(one.kind for one in before.sources)) if before else ()
        fresh = [
            Conflict(
                from_ms=run[0],
                to_ms=interval.end(run[-1]),
                columns=_columns_of(run, clashes),
                stored=kinds,
                other=source.kind,
                key=source.key,
                at_ms=source.fetched_at_ms,
                kept=kept,
            )
            for run in _runs(list(group), interval)
        ]
        old = [
            one
            for one in (before.conflicts if before else ())
            if not any(new.from_ms < one.to_ms and one.from_ms < new.to_ms for new in fresh)
        ]
        found[start] = tuple(sorted([*old, *fresh], key=lambda one: one.from_ms))
    return found


def conflicts_in(manifest: Manifest, time_range: TimeRange) -> list[Conflict]:
    """Return the conflicts of a range on record, in time order."""
    return [
        one
        for start in days_of(time_range)
        if (day := manifest.days.get(day_name(start)))
        for one in day.conflicts
        if one.from_ms < time_range.end_ms and one.to_ms > time_range.start_ms
    ]


def settle(manifest: Manifest, decided: Callable[[Conflict], bool]) -> list[Conflict]:
    """Mark the open conflicts whose stored rows are the preferred ones; return those that are still open."""
    left: list[Conflict] = []
    for name, day in manifest.days.items():
        marked = tuple(
            msgspec.structs.replace(one, kept="stored") if one.kept is None and decided(one) else one
            for one in day.conflicts
        )
        left += [one for one in marked if one.kept is None]
        manifest.days[name] = msgspec.structs.replace(day, conflicts=marked)
    return left


def is_stored(conflict: Conflict, prefer: Family) -> bool:
    """Return whether the stored rows are certainly those of the preferred sources."""
    return {family(kind) for kind in conflict.stored} == {prefer} and family(conflict.other) != prefer


def disagreement(what: str, open_conflicts: Sequence[Conflict], interval: Interval) -> SourcesDisagreeError:
    """Return the error of conflicts nobody has decided."""
    ranges = [TimeRange(one.from_ms, one.to_ms) for one in open_conflicts]
    bars = sum(one.bars(interval) for one in ranges)
    sources = sorted({kind for one in open_conflicts for kind in (*one.stored, one.other)})
    columns = [name for name in SCHEMA if any(name in one.columns for one in open_conflicts)]
    return SourcesDisagreeError(what, bars, in_words(ranges), sources, columns)


def told(what: str, conflicts: Sequence[Conflict], interval: Interval) -> list[str]:
    """Return one warning about conflicts that a preference has decided."""
    bars = sum(TimeRange(one.from_ms, one.to_ms).bars(interval) for one in conflicts)
    return [f"{what}: sources disagree on {bars} bars; the preferred rows are used."] if bars else []


def _partly_known(stored: Klines, fresh: Klines, clashes: Collection[int]) -> tuple[list[int], list[int]]:
    """Return which rows of `stored` and of `fresh` are to yield to rows of the other that agree and know more."""
    if not any(each.frame[name].null_count() for each in (stored, fresh) for name in OPTIONAL):
        return [], []
    unknown = pl.sum_horizontal(pl.col(OPTIONAL).is_null())
    left, right = (each.frame.select(pl.col("open_time").dt.epoch("ms"), unknown=unknown) for each in (stored, fresh))
    both = left.join(right, on="open_time", suffix="_fresh", maintain_order="left")
    both = both.filter(~pl.col("open_time").is_in(list(clashes)))
    more = pl.col("unknown") > pl.col("unknown_fresh")
    return both.filter(more)["open_time"].to_list(), both.filter(~more)["open_time"].to_list()


def _without(klines: Klines, times: Sequence[int]) -> Klines:
    kept = klines.frame.filter(~np.isin(klines.open_times(), np.array(times, np.int64)))
    return Klines(klines.symbol, klines.interval, klines.exponents, kept)


def _runs(times: Sequence[int], interval: Interval) -> list[list[int]]:
    runs: list[list[int]] = []
    for time in times:
        if runs and time == interval.end(runs[-1][-1]):
            runs[-1].append(time)
        else:
            runs.append([time])
    return runs


def _columns_of(times: Sequence[int], clashes: Mapping[int, tuple[str, ...]]) -> tuple[str, ...]:
    names = {name for time in times for name in clashes[time]}
    return tuple(name for name in SCHEMA if name in names)
