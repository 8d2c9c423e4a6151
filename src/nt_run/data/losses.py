"""Rows that were lost, on record until they come back: a store must not look sound where rows vanished from it."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from nt_run.data.days import day_name, days_of, partition_range
from nt_run.data.files import writers_lock
from nt_run.data.manifest import FILE, Day, Loss, Manifest, load_manifest, save_manifest
from nt_run.data.ranges import subtract
from nt_run.formats import counted
from nt_run.model import TimeRange


def losses_of(file: str, days: Mapping[str, Day], covered: Iterable[TimeRange]) -> list[Loss]:
    """Return what is lost with a file: days of klines, or the ranges of events that were asked for."""
    if not days:
        return [Loss(file, one.start_ms, one.end_ms) for one in covered]
    rows = {name: day.rows for name, day in sorted(days.items()) if day.rows}
    sources = [source for day in days.values() for source in day.sources if source.rows]
    own = tuple(sorted({source.key for source in sources if source.kind == "import"}))
    unknown = any(source.kind == "recovered" for source in sources)
    return [_loss(Loss(file, 0, 0, imported=own, unknown=unknown), rows)] if rows else []


def still_lost(manifest: Manifest) -> list[Loss]:
    """Return what of the losses on record has not come back: days with fewer rows than before, ranges not covered."""
    covered = [TimeRange(start, end) for start, end in manifest.covered]
    left: list[Loss] = []
    for one in manifest.lost:
        if not manifest.interval:
            ranges = subtract([lost_range(one)], covered)
            left += [msgspec.structs.replace(one, from_ms=part.start_ms, to_ms=part.end_ms) for part in ranges]
        elif one.days:
            rows = {name: rows for name, rows in one.days.items() if _rows(manifest, name) < rows}
            left += [_loss(one, rows)] if rows else []
        elif not any(_rows(manifest, day_name(day)) for day in days_of(lost_range(one))):
            left.append(one)
    return left


def lost_range(loss: Loss) -> TimeRange:
    """Return the range that lost rows are of."""
    return TimeRange(loss.from_ms, loss.to_ms)


def lost_in(manifest: Manifest, time_range: TimeRange) -> list[Loss]:
    """Return the losses on record that touch a range."""
    return [one for one in manifest.lost if one.from_ms < time_range.end_ms and one.to_ms > time_range.start_ms]


def loss_in_words(loss: Loss) -> str:
    """Return what is lost, and what brings it back, as in `lost 60 rows of … imported from …`."""
    rows = counted(sum(loss.days.values()), "row") if loss.days else "what it held"
    what = f"lost {rows} of {lost_range(loss)}"
    if loss.imported:
        return (
            f"{what}, imported from {' and '.join(loss.imported)}: import again what no source has, nt-run data import"
        )
    maybe = "; if they were imported, import them again: nt-run data import" if loss.unknown else ""
    return f"{what}, not fetched again yet{maybe}"


def forget_losses(folder: Path) -> None:
    """Give up what is on record as lost of a series: the user asked for it."""
    with writers_lock(folder):
        manifest = load_manifest(folder / FILE, Manifest)
        if manifest is not None and manifest.lost:
            manifest.lost = []
            save_manifest(folder / FILE, manifest)


def _loss(loss: Loss, rows: dict[str, int]) -> Loss:
    names = sorted(rows)
    start, end = partition_range(names[0]).start_ms, partition_range(names[-1]).end_ms
    return msgspec.structs.replace(loss, from_ms=start, to_ms=end, days=rows)


def _rows(manifest: Manifest, name: str) -> int:
    day = manifest.days.get(name)
    return day.rows if day else 0
