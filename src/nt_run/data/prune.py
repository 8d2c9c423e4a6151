"""`prune`: what of a cache could go. Nothing goes without being asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nt_run.data.days import partition_range
from nt_run.data.files import writers_lock
from nt_run.data.losses import loss_in_words
from nt_run.data.manifest import FILE, DamagedManifestError, Manifest, load_manifest, save_manifest
from nt_run.data.selection import Selection, SeriesRef, find_series
from nt_run.data.snapshots import ENDPOINTS, SnapshotStore
from nt_run.data.store import drop_partition

Why = Literal["set aside", "replaced", "torn", "old"]
"""`set aside`: damaged; `torn`: a write that was killed; `old`: in use, and asked for by its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waste:
    """One file that could go: nothing refers to it, or it is the partition of a series and `old`."""

    series: SeriesRef
    path: Path
    bytes: int
    partition: str
    why: Why


def find_given_up(root: Path, selection: Selection) -> dict[SeriesRef, list[str]]:
    """Return what is on record as lost, in words; with its left-over files it is given up."""
    manifests = {ref: _manifest(ref) for ref in find_series(root, selection)}
    return {ref: [loss_in_words(loss) for loss in one.lost] for ref, one in manifests.items() if one and one.lost}


def find_waste(
    root: Path, selection: Selection, *, before_ms: int | None = None, left_overs: bool = True
) -> list[Waste]:
    """Return files that nothing refers to (damaged ones set aside, replaced ones), and old partitions.

    Args:
        root: The cache folder.
        selection: Which series are meant; with intervals, only series that have one of them.
        before_ms: Partitions whose year, month or day ends at or before this time are meant too; `None` means none.
        left_overs: Whether files that nothing refers to are meant.
    """
    found: list[Waste] = []
    for ref in find_series(root, selection):
        manifest = _manifest(ref)
        if manifest is None or (selection.intervals and not ref.interval):
            continue
        known = {one.file: key for key, one in manifest.partitions.items()}
        for path in sorted((*ref.folder.glob("*.parquet"), *ref.folder.glob("*.bad"), *ref.folder.glob(".tmp-*"))):
            key = known.get(path.name, "")
            old = bool(key) and before_ms is not None and partition_range(key).end_ms <= before_ms
            if old or (left_overs and not key):
                size = path.stat().st_size
                found.append(Waste(series=ref, path=path, bytes=size, partition=key, why=_why(path, key)))
    if left_overs and not selection.kinds | selection.symbols | selection.intervals:
        for endpoint in ENDPOINTS:
            folder = SnapshotStore(root, endpoint, repair=False).folder
            ref = SeriesRef(endpoint, "", "", folder)
            found += [
                Waste(series=ref, path=path, bytes=path.stat().st_size, partition="", why=_why(path))
                for path in sorted((*folder.glob("*.bad"), *folder.glob(".tmp-*")))
            ]
    return found


def remove(waste: list[Waste]) -> int:
    """Remove files and return how many bytes are free; the manifests forget what they held."""
    for ref in dict.fromkeys(one.series for one in waste):
        own = [one for one in waste if one.series == ref]
        with writers_lock(ref.folder):
            manifest = _manifest(ref)
            if manifest is not None and any(one.partition for one in own):
                for one in own:
                    _forget(manifest, one)
                # First the manifest: a reader must never be promised a file that is gone.
                save_manifest(ref.folder / FILE, manifest)
            # A writer may have taken the file up since it was found.
            used = {one.file for one in manifest.partitions.values()} if manifest else set[str]()
            for one in own:
                if one.path.name not in used:
                    one.path.unlink(missing_ok=True)
    return sum(one.bytes for one in waste)


def _why(path: Path, partition: str = "") -> Why:
    if partition:
        return "old"
    return "set aside" if path.suffix == ".bad" else "torn" if path.name.startswith(".tmp-") else "replaced"


def _forget(manifest: Manifest, waste: Waste) -> None:
    partition = manifest.partitions.get(waste.partition)
    if partition is not None and partition.file == waste.path.name:
        drop_partition(manifest, waste.partition)


def _manifest(ref: SeriesRef) -> Manifest | None:
    try:
        return load_manifest(ref.folder / FILE, Manifest)
    except DamagedManifestError:
        # What a damaged manifest refers to is not known, so nothing of the series may go.
        return None
