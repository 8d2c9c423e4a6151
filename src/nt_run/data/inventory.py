"""What the cache holds, read off its manifests."""

from dataclasses import dataclass
from pathlib import Path

from nt_run.data.kline_store import MARKET
from nt_run.data.manifest import FILE, DamagedManifestError, Manifest, load_manifest
from nt_run.data.snapshots import SnapshotStore
from nt_run.errors import StoreError
from nt_run.model import INTERVALS


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedSeries:
    """One line of `nt-run data list`.

    `first_ms` is the first open time (or settlement, or answer), `last_ms` the end of the last bar (or the last
    settlement or answer). `holes` counts bars that were asked for and do not exist.
    """

    kind: str
    symbol: str
    interval: str
    first_ms: int
    last_ms: int
    rows: int
    bytes: int
    holes: int


def list_cached(root: Path) -> list[CachedSeries]:
    """Return every series under a cache folder, by kind, symbol and interval.

    Raises:
        StoreError: A manifest is damaged, or was written by a newer version.
    """
    found = [one for path in (root / MARKET).glob(f"*/*/**/{FILE}") if (one := _series(path))]
    snapshots = SnapshotStore(root).all()
    if snapshots:
        found.append(
            CachedSeries(
                kind="exchangeInfo",
                symbol="",
                interval="",
                first_ms=snapshots[0].fetched_at_ms,
                last_ms=snapshots[-1].last_seen_ms,
                rows=len(snapshots),
                bytes=sum(snapshot.bytes for snapshot in snapshots),
                holes=0,
            )
        )
    return sorted(found, key=lambda one: (one.kind, one.symbol, INTERVALS.get(one.interval, 0)))


def _series(path: Path) -> CachedSeries | None:
    try:
        manifest = load_manifest(path, Manifest)
    except DamagedManifestError as exc:
        raise StoreError(str(path), "is damaged", "Run once without --offline to fetch the series again.") from exc
    if manifest is None or not manifest.partitions:
        return None
    step = INTERVALS.get(manifest.interval, 0)
    partitions = manifest.partitions.values()
    holes = [hole for day in manifest.days.values() for hole in day.missing]
    return CachedSeries(
        kind=manifest.kind,
        symbol=manifest.symbol,
        interval=manifest.interval,
        first_ms=min(one.first_ms for one in partitions),
        last_ms=max(one.last_ms for one in partitions) + step,
        rows=sum(one.rows for one in partitions),
        bytes=sum(one.bytes for one in partitions),
        holes=sum((hole.to_ms - hole.from_ms) // step for hole in holes) if step else 0,
    )
