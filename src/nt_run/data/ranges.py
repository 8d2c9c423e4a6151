"""Arithmetic of half-open time ranges, and how they are named in messages."""

from collections.abc import Iterable, Sequence

from nt_run.model import Interval, TimeRange


def subtract(ranges: Iterable[TimeRange], known: Iterable[TimeRange]) -> list[TimeRange]:
    """Return what of `ranges` is not in `known`, in time order."""
    left = sorted(ranges)
    for hole in sorted(known):
        left = [
            TimeRange(start, end)
            for one in left
            for start, end in (
                (one.start_ms, min(one.end_ms, hole.start_ms)),
                (max(one.start_ms, hole.end_ms), one.end_ms),
            )
            if start < end
        ]
    return sorted(set(left))


def intersect(ranges: Iterable[TimeRange], bounds: TimeRange) -> list[TimeRange]:
    """Return what of `ranges` lies inside `bounds`, in their order."""
    return [
        TimeRange(max(one.start_ms, bounds.start_ms), min(one.end_ms, bounds.end_ms))
        for one in ranges
        if one.start_ms < bounds.end_ms and one.end_ms > bounds.start_ms
    ]


def join(ranges: Iterable[TimeRange]) -> list[TimeRange]:
    """Return the union, in as few ranges as possible."""
    joined: list[TimeRange] = []
    for one in sorted(ranges):
        if joined and one.start_ms <= joined[-1].end_ms:
            joined[-1] = TimeRange(joined[-1].start_ms, max(joined[-1].end_ms, one.end_ms))
        else:
            joined.append(one)
    return joined


def hulls(ranges: Sequence[TimeRange], longest_ms: int) -> list[TimeRange]:
    """Return ranges that contain the given ones, neighbours put together up to a length: fewer requests."""
    found: list[TimeRange] = []
    for one in sorted(ranges):
        if found and one.end_ms - found[-1].start_ms <= longest_ms:
            found[-1] = TimeRange(found[-1].start_ms, max(one.end_ms, found[-1].end_ms))
        else:
            found.append(one)
    return found


def to_grid(time_range: TimeRange, interval: Interval) -> TimeRange | None:
    """Return the range from the first bar that opens in `time_range` to the end of the last; `None` without a bar."""
    start, end = interval.ceil(time_range.start_ms), interval.ceil(time_range.end_ms)
    return TimeRange(start, end) if start < end else None


def in_words(ranges: Iterable[TimeRange], interval: Interval | None = None) -> list[str]:
    """Return ranges for people: `2025-05-04 15:33 → 2025-05-04 15:40 (7 bars)`."""
    return [f"{one} ({one.bars(interval)} bars)" if interval else str(one) for one in ranges]
