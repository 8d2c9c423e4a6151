"""`coverage`: month by month, what of a series is complete, short, absent, open or was never fetched."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nt_run.data.archive import ArchiveFile, file_range
from nt_run.data.days import day_name, days_of
from nt_run.data.funding import FundingStore
from nt_run.data.losses import loss_in_words
from nt_run.data.manifest import FILE, DamagedManifestError, Day, Hole, Manifest, load_manifest
from nt_run.data.missing import find_missing
from nt_run.data.ranges import intersect, subtract
from nt_run.data.selection import Selection, SeriesRef, find_series
from nt_run.errors import StoreError
from nt_run.klines import DAY_MS
from nt_run.model import FundingRate, Interval, TimeRange

MonthState = Literal["complete", "short", "absent", "open", "part", "none"]
"""`short`: a day lacks bars that some source may have. `absent`: it lacks only bars that no source has. `open`: a day
has not ended. `part`: days were never fetched, the others are whole. `none`: no day was. For settlements the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthCover:
    """One month of a series; `days` counts those that are known, of `of`."""

    month: str
    state: MonthState
    days: int
    of: int
    rows: int
    missing: int
    """Bars or settlements that were asked for and are not there, confirmed or not."""
    sources: tuple[str, ...]
    disputed: bool = False
    """Whether sources disagree on bars and nobody has said whose to use: a run over them is refused."""


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
        if manifest.lost and not manifest.partitions:
            return SeriesCover(series=ref, months=[], damaged=loss_in_words(manifest.lost[0]))
        if not ref.interval:
            return SeriesCover(series=ref, months=_months_of_events(root, manifest))
    except DamagedManifestError:
        return SeriesCover(series=ref, months=[], damaged="is damaged")
    except StoreError as exc:
        return SeriesCover(series=ref, months=[], damaged=f"{exc.reason}. {exc.hint}")
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
        disputed=any(one.kept is None for day in days for one in day.conflicts),
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
    store = FundingStore(root, manifest.symbol, repair=False)
    first = store.first_ms() or 0
    asked = [TimeRange(max(one.start_ms, first), one.end_ms) for one in store.asked() if one.end_ms > first]
    if not asked:
        return []
    start, end = asked[0].start_ms, asked[-1].end_ms
    rates = store.read(TimeRange(start, end))
    months = _months(day_name(start)[:7], day_name(max(end - 2, start))[:7])
    return [_month_of_events(manifest, month, asked, rates) for month in months]


def _month_of_events(
    manifest: Manifest, month: str, asked: Sequence[TimeRange], rates: Sequence[FundingRate]
) -> MonthCover:
    period = file_range(ArchiveFile(manifest.kind, manifest.symbol, "", month))
    parts = intersect(asked, TimeRange(period.start_ms + 1, period.end_ms + 1))
    inside = TimeRange(max(period.start_ms, manifest.first_ms or 0) + 1, period.end_ms)
    missing = [
        one
        for part in parts
        for one in find_missing([rate for rate in rates if part.start_ms <= rate.slot_ms < part.end_ms], part)
    ]
    covered = [TimeRange(start, end) for start, end in manifest.covered]
    today = manifest.asked_ms // DAY_MS * DAY_MS
    state: MonthState = "complete"
    if not parts:
        state = "none"
    elif any(part.start_ms <= manifest.asked_ms and part.end_ms > today + 1 for part in parts):
        state = "open"
    elif subtract([inside], asked):
        state = "part"
    elif missing:
        state = "short" if any(subtract([one.range], covered) for one in missing) else "absent"
    return MonthCover(
        month=month,
        state=state,
        # A part of a day's first moment is the settlement that ends the day before.
        days=len(
            {day for one in parts for day in days_of(TimeRange(one.start_ms, max(one.end_ms, one.start_ms + 2) - 1))}
        ),
        of=len(days_of(period)),
        rows=sum(period.start_ms < rate.slot_ms <= period.end_ms for rate in rates),
        missing=sum(one.count for one in missing),
        sources=manifest.origins.get(month, ()),
    )


def _months(first: str, last: str) -> list[str]:
    start, end = (int(month[:4]) * 12 + int(month[5:]) - 1 for month in (first, last))
    return [f"{at // 12}-{at % 12 + 1:02}" for at in range(start, end + 1)]
