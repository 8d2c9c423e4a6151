"""`coverage`: month by month, what of a series is complete, short, absent, open or was never fetched."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nt_run.data.archive import ArchiveFile, file_range
from nt_run.data.days import day_name, days_of
from nt_run.data.manifest import FILE, DamagedManifestError, Day, Hole, Manifest, load_manifest
from nt_run.data.ranges import subtract
from nt_run.data.selection import Selection, SeriesRef, find_series
from nt_run.errors import StoreError
from nt_run.klines import DAY_MS
from nt_run.model import Interval, TimeRange

MonthState = Literal["complete", "short", "absent", "open", "part", "none"]
"""`short`: a day lacks bars that some source may have. `absent`: it lacks only bars that no source has. `open`: a day
has not ended. `part`: days were never fetched, the others are whole. `none`: no day was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthCover:
    """One month of a series; `days` counts those that are known, of `of`."""

    month: str
    state: MonthState
    days: int
    of: int
    rows: int
    missing: int
    """Bars that were asked for and are not there, confirmed or not."""
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesCover:
    """The months of a series from the first that is known to the last."""

    series: SeriesRef
    months: list[MonthCover]


def coverage(root: Path, selection: Selection) -> list[SeriesCover]:
    """Return the months of each series that is meant.

    Raises:
        StoreError: A manifest is damaged, or was written by a newer version.
    """
    return [cover for ref in find_series(root, selection) if (cover := _cover(ref)).months]


def _cover(ref: SeriesRef) -> SeriesCover:
    path = ref.folder / FILE
    try:
        manifest = load_manifest(path, Manifest)
    except DamagedManifestError as exc:
        raise StoreError(str(path), "is damaged", "Run nt-run data repair to fetch the series again.") from exc
    if manifest is None:
        return SeriesCover(series=ref, months=[])
    if not ref.interval:
        return SeriesCover(series=ref, months=_months_of_events(manifest))
    names = sorted(manifest.days)
    months = _months(names[0][:7], names[-1][:7]) if names else []
    return SeriesCover(series=ref, months=[_month(manifest, month) for month in months])


def _month(manifest: Manifest, month: str) -> MonthCover:
    days = [day for name, day in manifest.days.items() if name.startswith(month)]
    interval = Interval(manifest.interval)
    length = _days_with_bars(month, interval)
    holes = [hole for day in days for hole in day.missing]
    return MonthCover(
        month=month,
        state=_state(days, length, interval),
        days=len(days),
        of=length,
        rows=sum(day.rows for day in days),
        missing=sum(_bars(hole, interval) for hole in holes),
        sources=tuple(sorted({source.kind for day in days for source in day.sources})),
    )


def _days_with_bars(month: str, interval: Interval) -> int:
    """How many days of a month have a bar that opens on them: all, but for intervals longer than a day."""
    whole = file_range(ArchiveFile("", "", "", month))
    days = (TimeRange(start, start + DAY_MS) for start in days_of(whole))
    return sum(day.bars(interval) > 0 for day in days)


def _bars(hole: Hole, interval: Interval) -> int:
    return TimeRange(hole.from_ms, hole.to_ms).bars(interval)


def _state(days: Iterable[Day], length: int, interval: Interval) -> MonthState:
    known = [day for day in days if day.expected]
    if not known:
        return "none"
    if any(day.state == "open" for day in known):
        return "open"
    lacking = [day for day in known if day.rows < day.expected]
    if any(not _is_explained(day, interval) for day in lacking):
        return "short"
    if lacking:
        return "absent"
    return "complete" if len(known) == length else "part"


def _is_explained(day: Day, interval: Interval) -> bool:
    """Whether all that a day lacks is confirmed not to exist."""
    absent = sum(_bars(hole, interval) for hole in day.missing if hole.status == "confirmed_absent")
    return day.rows + absent >= day.expected


def _months_of_events(manifest: Manifest) -> list[MonthCover]:
    covered = [TimeRange(start, end) for start, end in manifest.covered]
    if not covered:
        return []
    found: list[MonthCover] = []
    for month in _months(day_name(covered[0].start_ms)[:7], day_name(covered[-1].end_ms - 1)[:7]):
        whole = file_range(ArchiveFile(manifest.kind, manifest.symbol, "", month))
        unknown = [day_name(start) for part in subtract([whole], covered) for start in days_of(part)]
        length = len(days_of(whole))
        known = length - len(set(unknown))
        state: MonthState = "none" if not known else "part" if unknown else "complete"
        found.append(MonthCover(month=month, state=state, days=known, of=length, rows=0, missing=0, sources=()))
    return found


def _months(first: str, last: str) -> list[str]:
    start, end = (int(month[:4]) * 12 + int(month[5:]) - 1 for month in (first, last))
    return [f"{at // 12}-{at % 12 + 1:02}" for at in range(start, end + 1)]
