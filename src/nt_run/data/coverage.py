"""`coverage`: month by month, what of a series is complete, short, absent, open or was never fetched."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nt_run.data.archive import ArchiveFile, file_range
from nt_run.data.days import day_name, days_of
from nt_run.data.funding import FundingStore
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
    damaged: str | None = None
    """Why nothing is known of the series, as in `is damaged`."""


def coverage(root: Path, selection: Selection) -> list[SeriesCover]:
    """Return the months of each series that is meant; a damaged one is told, not raised."""
    covers = [_cover(root, ref) for ref in find_series(root, selection)]
    return [cover for cover in covers if cover.months or cover.damaged]


def _cover(root: Path, ref: SeriesRef) -> SeriesCover:
    try:
        manifest = load_manifest(ref.folder / FILE, Manifest)
        if manifest is None:
            return SeriesCover(series=ref, months=[], damaged="is gone, though there are data files")
        if not ref.interval:
            return SeriesCover(series=ref, months=_months_of_events(root, manifest))
    except DamagedManifestError:
        return SeriesCover(series=ref, months=[], damaged="is damaged")
    except StoreError as exc:
        return SeriesCover(series=ref, months=[], damaged=exc.reason)
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
    # What was never asked for is no hole, and a hole in the little that was does not speak for the month.
    if len(known) < length or any(_unasked(day, interval) for day in known):
        return "part"
    holes = {hole.status for day in known for hole in day.missing}
    return "complete" if not holes else "absent" if holes == {"confirmed_absent"} else "short"


def _unasked(day: Day, interval: Interval) -> int:
    """How many bars of a day nobody asked for yet."""
    return day.expected - day.rows - sum(_bars(hole, interval) for hole in day.missing)


def _months_of_events(root: Path, manifest: Manifest) -> list[MonthCover]:
    """The months of funding; a settlement at midnight ends a month, and whether the next one has it does not matter."""
    covered = [TimeRange(start, end) for start, end in manifest.covered]
    if not covered:
        return []
    whole = TimeRange(covered[0].start_ms, covered[-1].end_ms)
    slots = [rate.slot_ms for rate in FundingStore(root, manifest.symbol, repair=False).read(whole)]
    found: list[MonthCover] = []
    for month in _months(day_name(whole.start_ms)[:7], day_name(max(whole.end_ms - 2, whole.start_ms))[:7]):
        period = file_range(ArchiveFile(manifest.kind, manifest.symbol, "", month))
        inside = TimeRange(period.start_ms + 1, period.end_ms)
        unknown = [day_name(start) for part in subtract([inside], covered) for start in days_of(part)]
        length = len(days_of(period))
        known = length - len(set(unknown))
        state: MonthState = "none" if not known else "part" if unknown else "complete"
        rows = sum(period.start_ms < slot <= period.end_ms for slot in slots)
        found.append(MonthCover(month=month, state=state, days=known, of=length, rows=rows, missing=0, sources=()))
    return found


def _months(first: str, last: str) -> list[str]:
    start, end = (int(month[:4]) * 12 + int(month[5:]) - 1 for month in (first, last))
    return [f"{at // 12}-{at % 12 + 1:02}" for at in range(start, end + 1)]
