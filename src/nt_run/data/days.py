"""The record of each UTC day of klines: what is there, what is missing and why, where it came from."""

import datetime as dt
from collections.abc import Mapping, Sequence
from itertools import groupby

import msgspec

from nt_run.data.manifest import Day, DayState, Hole, Source
from nt_run.klines import DAY_MS, Klines, find_gaps, find_zero_volume_runs
from nt_run.model import Interval, TimeRange
from nt_run.quality import count_oddities

HOUR_MS = 3_600_000
_EPOCH_DAY = dt.date(1970, 1, 1).toordinal()


def day_name(time_ms: int) -> str:
    """Return the UTC day of a time as `2024-01-31`."""
    return dt.date.fromordinal(_EPOCH_DAY + time_ms // DAY_MS).isoformat()


def days_of(time_range: TimeRange) -> range:
    """Return the starts (ms) of the UTC days a range touches."""
    return range(time_range.start_ms // DAY_MS * DAY_MS, time_range.end_ms, DAY_MS)


def partition_key(day: str, interval: Interval, now_ms: int) -> str:
    """Return the partition of a day: its year for intervals of an hour or more, its month once that has ended."""
    if interval.ms >= HOUR_MS:
        return day[:4]
    month = day[:7]
    return month if month < day_name(now_ms)[:7] else day


def partition_range(key: str) -> TimeRange:
    """Return the range of time a partition is for, by its key: `2024`, `2024-01` or `2024-01-31`."""
    year, month, day = (*map(int, key.split("-")), 0, 0)[:3]
    first = dt.datetime(year, month or 1, day or 1, tzinfo=dt.UTC)
    # A day more than the longest month or year is in the next one.
    last = first + dt.timedelta(days=1 if day else 32 if month else 367)
    if not day:
        last = last.replace(day=1) if month else last.replace(month=1, day=1)
    return TimeRange(int(first.timestamp()) * 1000, int(last.timestamp()) * 1000)


def record_day(
    start_ms: int, rows: Klines, before: Day | None, *, content_sha256: str, holes: Sequence[Hole], plain: bool
) -> Day:
    """Return the record of a day from its rows; `state`, sources and conflicts are left as they were.

    Args:
        start_ms: The start of the day.
        rows: All rows of the day, with those that just came.
        before: What was known of the day.
        content_sha256: Hash of the rows.
        holes: What was asked for just now and did not come.
        plain: Nothing odd is among the rows and something was traded in each, so that nobody need look.
    """
    day = TimeRange(start_ms, start_ms + DAY_MS)
    known = before or Day(state="open", rows=0, expected=0)
    runs = [] if plain else find_zero_volume_runs(rows)
    return Day(
        state=known.state,
        rows=len(rows),
        expected=day.bars(rows.interval),
        content_sha256=content_sha256,
        missing=_holes(rows, day, [*known.missing, *holes]),
        zero_volume_runs=tuple((run.start_ms, run.end_ms) for run in runs),
        sources=known.sources,
        oddities={} if plain else count_oddities(rows),
        conflicts=known.conflicts,
    )


def with_source(day: Day, source: Source, rows: int, *, completed: int = 0) -> Day:
    """Return a day to which `source` has added rows; the number in `source` itself is ignored.

    `completed` is how many rows of imported or recovered files gave way to this source's, which know more.
    """
    known: list[Source] = []
    left = completed
    for one in day.sources:
        given = min(left, one.rows) if one.kind in {"import", "recovered"} and one.key != source.key else 0
        left -= given
        if given < one.rows or not given:
            known.append(msgspec.structs.replace(one, rows=one.rows - given))
    return msgspec.structs.replace(day, sources=_sources(known, source, rows + completed - left))


def with_state(day: Day, *, ended: bool) -> Day:
    """Return a day with the state that its rows amount to."""
    return msgspec.structs.replace(day, state=_state(day.rows, day.expected, ended=ended))


def holes_in(days: Mapping[str, Day], time_range: TimeRange) -> list[Hole]:
    """Return what is known of the holes of a range, clipped to it, in time order."""
    return [
        Hole(
            max(hole.from_ms, time_range.start_ms), min(hole.to_ms, time_range.end_ms), hole.status, hole.by, hole.at_ms
        )
        for start in days_of(time_range)
        if (day := days.get(day_name(start)))
        for hole in day.missing
        if hole.from_ms < time_range.end_ms and hole.to_ms > time_range.start_ms
    ]


def confirmed_holes(days: Mapping[str, Day], time_range: TimeRange) -> list[Hole]:
    """Return the holes of a range that the sources confirmed, clipped to it."""
    return [hole for hole in holes_in(days, time_range) if hole.status == "confirmed_absent"]


def _state(rows: int, expected: int, *, ended: bool) -> DayState:
    if not ended:
        return "open"
    if rows == expected:
        return "complete"
    return "short" if rows else "absent"


def _holes(rows: Klines, day: TimeRange, known: Sequence[Hole]) -> tuple[Hole, ...]:
    """The known holes that are still holes, later knowledge over earlier."""
    if not known:
        return ()
    interval = rows.interval
    empty = {bar for gap in find_gaps(rows, day) for bar in _bars(gap.range, interval)}
    latest = {
        bar: hole for hole in known for bar in _bars(TimeRange(hole.from_ms, hole.to_ms), interval) if bar in empty
    }
    ordered = sorted(latest.items())
    holes: list[Hole] = []
    # Bars of one hole are numbered without a gap, so number − position is the same for all of them.
    for _, group in groupby(enumerate(ordered), lambda item: (item[1][0] - item[0], item[1][1])):
        bars = [bar for _, bar in group]
        hole = bars[0][1]
        start, end = interval.opening(bars[0][0]), interval.opening(bars[-1][0] + 1)
        holes.append(Hole(start, end, hole.status, hole.by, hole.at_ms))
    return tuple(holes)


def _bars(time_range: TimeRange, interval: Interval) -> range:
    """The numbers of the bars that open in a range."""
    first, end = (interval.number(interval.ceil(edge)) for edge in (time_range.start_ms, time_range.end_ms))
    return range(first, end)


def _sources(known: Sequence[Source], new: Source, rows: int) -> tuple[Source, ...]:
    """The sources of a day, rows of the same source added up."""
    same = [one for one in known if (one.kind, one.key) == (new.kind, new.key)]
    if rows <= 0 and not same:
        return tuple(known)
    others = [one for one in known if (one.kind, one.key) != (new.kind, new.key)]
    total = max(rows, 0) + sum(one.rows for one in same)
    shown = [one.decimals for one in (*same, new) if one.decimals]
    decimals = tuple(max(each) for each in zip(*shown, strict=True))
    return (*others, msgspec.structs.replace(new, rows=total, decimals=decimals))
