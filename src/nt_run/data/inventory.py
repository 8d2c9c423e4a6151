"""What the cache holds, read off its manifests."""

from dataclasses import dataclass
from pathlib import Path

from nt_run.data.files import check_folder
from nt_run.data.kline_store import MARKET
from nt_run.data.losses import loss_in_words
from nt_run.data.manifest import FILE, DamagedManifestError, Manifest, load_manifest
from nt_run.data.snapshots import ENDPOINTS, SnapshotStore
from nt_run.errors import StoreError
from nt_run.intervals import INTERVALS
from nt_run.model import Interval, TimeRange


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedSeries:
    """One line of `nt-run data list`: `rows / expected` of it is there."""

    kind: str
    symbol: str
    interval: str
    first_ms: int
    """The first open time, settlement or answer; 0 when `damaged`."""
    last_ms: int
    """The end of the last bar, or the last settlement or answer; 0 when `damaged`."""
    rows: int
    expected: int
    """Bars from `first_ms` to `last_ms`, fetched or not. Funding rates have no grid to count by: as many as there would
    be if those of the time never asked for came at the pace of the others. Trading rules: as many as `rows`."""
    bytes: int
    """Size of the files in use; those they replaced, which are removed an hour later, do not count."""
    holes: int
    """Bars the exchange confirmed not to have; a bar nobody asked for yet is no hole."""
    disputed: int = 0
    """Bars of which two sources have different rows, and nobody has said whose to use."""
    damaged: str | None = None
    """Why nothing is known of the series, as in `is damaged`; all counts are 0 then."""


def list_cached(root: Path) -> list[CachedSeries]:
    """Return every series under a cache folder, by kind, symbol and interval; a damaged one is told, not raised.

    Only files in use count: those the manifests name.

    Raises:
        StoreError: `root` is no folder, or cannot be read.
    """
    check_folder(root)
    market = root / MARKET
    found = [_series(path, path.parent.relative_to(market).parts) for path in market.glob(f"*/*/**/{FILE}")]
    listed = [one for one in (*found, *(_answers(root, endpoint) for endpoint in ENDPOINTS)) if one is not None]
    return sorted(listed, key=lambda one: (one.kind, one.symbol, INTERVALS.get(one.interval, 0)))


def _answers(root: Path, endpoint: str) -> CachedSeries | None:
    try:
        snapshots = SnapshotStore(root, endpoint).all()
    except StoreError as exc:
        return _damaged((endpoint,), exc.reason)
    if not snapshots:
        return None
    return CachedSeries(
        kind=endpoint,
        symbol="",
        interval="",
        first_ms=snapshots[0].fetched_at_ms,
        last_ms=snapshots[-1].last_seen_ms,
        rows=len(snapshots),
        expected=len(snapshots),
        bytes=sum(snapshot.bytes for snapshot in snapshots),
        holes=0,
    )


def _series(path: Path, place: tuple[str, ...]) -> CachedSeries | None:
    try:
        manifest = load_manifest(path, Manifest)
    except DamagedManifestError:
        return _damaged(place, "is damaged")
    except StoreError as exc:
        return _damaged(place, exc.reason)
    if manifest is None or not manifest.partitions:
        return _damaged(place, loss_in_words(manifest.lost[0])) if manifest and manifest.lost else None
    interval = Interval(manifest.interval) if manifest.interval in INTERVALS else None
    partitions = manifest.partitions.values()
    first = min(one.first_ms for one in partitions)
    last = max(one.last_ms for one in partitions)
    last = interval.end(last) if interval else last
    rows = sum(one.rows for one in partitions)
    holes = [hole for day in manifest.days.values() for hole in day.missing if hole.status == "confirmed_absent"]
    return CachedSeries(
        kind=manifest.kind,
        symbol=manifest.symbol,
        interval=manifest.interval,
        first_ms=first,
        last_ms=last,
        rows=rows,
        expected=TimeRange(first, last).bars(interval) if interval else _expected_events(manifest, rows),
        bytes=sum(one.bytes for one in partitions),
        disputed=sum(one.bars(interval) for one in _disputed(manifest)) if interval else 0,
        holes=sum(TimeRange(hole.from_ms, hole.to_ms).bars(interval) for hole in holes) if interval else 0,
    )


def _disputed(manifest: Manifest) -> list[TimeRange]:
    conflicts = (one for day in manifest.days.values() for one in day.conflicts)
    return [TimeRange(one.from_ms, one.to_ms) for one in conflicts if one.kept is None]


def _expected_events(manifest: Manifest, rows: int) -> int:
    covered = sorted(manifest.covered)
    asked = sum(end - start for start, end in covered)
    return round(rows * (covered[-1][1] - covered[0][0]) / asked) if asked else rows


def _damaged(place: tuple[str, ...], reason: str) -> CachedSeries:
    """A series of which only the place is known: kind, symbol and interval, as far as it has them."""
    kind, symbol, interval, *_ = (*place, "", "", "")
    return CachedSeries(
        kind=kind,
        symbol=symbol,
        interval=interval,
        first_ms=0,
        last_ms=0,
        rows=0,
        expected=0,
        bytes=0,
        holes=0,
        damaged=reason,
    )
