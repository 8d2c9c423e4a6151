"""`verify`: every byte, every rule and every claim of the manifest, and what the archive has replaced since."""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl

from nt_run.data.archive import PARALLEL, ArchiveClient, ArchiveFile
from nt_run.data.archive_list import ArchiveList, find_suspects
from nt_run.data.content import hash_days
from nt_run.data.data_file import decode
from nt_run.data.days import day_name
from nt_run.data.files import sha256
from nt_run.data.ingest import refuse_impossible
from nt_run.data.losses import loss_in_words
from nt_run.data.manifest import FILE, DamagedManifestError, Day, Manifest, Partition, Source, load_manifest
from nt_run.data.selection import Selection, SeriesRef, find_series
from nt_run.data.snapshots import BRACKETS, ENDPOINTS, SnapshotStore
from nt_run.errors import InvalidKlinesError, SourceError, StoreError
from nt_run.intervals import INTERVALS
from nt_run.klines import SCHEMA, Exponents, Klines
from nt_run.model import Interval

ProblemKind = Literal["damaged", "lost", "contradicts", "conflict", "replaced", "unreachable", "gone", "unusable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something wrong with a series.

    `damaged` and `lost` concern a file of the cache, `contradicts` a file against its manifest or against the rules of
    klines, `conflict` sources that disagree, `replaced` and `unreachable` a file of the archive, `gone` rows that
    were lost some time ago and have not come back, `unusable` a manifest that is too new or cannot be read: no repair
    helps.
    """

    kind: ProblemKind
    series: SeriesRef | None
    """`None` for a snapshot of the trading rules."""
    file: str
    partition: str
    """Key of the partition, empty where no single one is concerned."""
    reason: str

    def __str__(self) -> str:
        return f"{self.series or 'exchangeInfo'}: {self.file} {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What `verify` looked at, and what it found."""

    series: int
    files: int
    rows: int
    snapshots: int
    """Kept answers with trading rules or leverage brackets."""
    remote: int
    """Files of the archive that were compared."""
    problems: list[Problem]
    notes: list[str] = field(default_factory=list[str])
    """What to know about how it was compared."""


def verify(
    root: Path, selection: Selection, archive: ArchiveClient | None = None, listing: ArchiveList | None = None
) -> Verified:
    """Re-hash every file, check every row, and compare with the manifest.

    With `archive` also with its checksums, as far as `listing` does not say that a file is still the same.
    """
    found = find_series(root, selection)
    manifests = {ref: _manifest(ref) for ref in found}
    jobs = [
        (ref, manifest, key)
        for ref, manifest in manifests.items()
        if isinstance(manifest, Manifest)
        for key in manifest.partitions
    ]
    problems = [manifest for manifest in manifests.values() if isinstance(manifest, Problem)]
    with ThreadPoolExecutor(PARALLEL) as pool:
        for each in pool.map(_check_file, *zip(*jobs, strict=True)) if jobs else ():
            problems += each
    good = {ref: manifest for ref, manifest in manifests.items() if isinstance(manifest, Manifest)}
    problems += [one for ref, manifest in good.items() for one in (*_undecided(ref, manifest), *_gone(ref, manifest))]
    snapshots = 0
    for endpoint in ENDPOINTS if not selection.kinds | selection.symbols else ():
        count, flaws = _check_snapshots(root, endpoint)
        snapshots += count
        problems += flaws
    remote = {ref: archive_sources(manifest) for ref, manifest in good.items()} if archive else {}
    notes: list[str] = []
    if archive:
        problems += _check_remote(archive, listing, remote, notes)
    return Verified(
        series=len(found),
        files=len(jobs),
        rows=sum(manifest.partitions[key].rows for _, manifest, key in jobs),
        remote=sum(map(len, remote.values())),
        snapshots=snapshots,
        problems=problems,
        notes=notes,
    )


def archive_sources(manifest: Manifest) -> dict[ArchiveFile, Source]:
    """Return the archive's files that rows of a series came from, and what is known of each."""
    return {
        archive_file(source.key): source
        for day in manifest.days.values()
        for source in day.sources
        if source.zip_sha256
    }


def archive_file(key: str) -> ArchiveFile:
    """Return the file of a key such as `data/futures/um/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2026-05.zip`."""
    _, _, _, pace, kind, symbol, interval, name = key.split("/")
    length = len("2026-05") if pace == "monthly" else len("2026-05-07")
    interval = next(each for each in INTERVALS if Interval(each).file_name == interval)
    return ArchiveFile(kind, symbol, interval, name.removesuffix(".zip")[-length:])


def _manifest(ref: SeriesRef) -> Manifest | Problem:
    try:
        manifest = load_manifest(ref.folder / FILE, Manifest)
    except DamagedManifestError:
        return Problem(kind="damaged", series=ref, file=FILE, partition="", reason="is damaged")
    except StoreError as exc:
        reason = f"{exc.reason}. {exc.hint}"
        return Problem(kind="unusable", series=ref, file=FILE, partition="", reason=reason)
    if manifest is None:
        return Problem(kind="lost", series=ref, file=FILE, partition="", reason="is gone, though there are data files")
    if (manifest.kind, manifest.symbol, manifest.interval) != (ref.kind, ref.symbol, ref.interval):
        own = f"{manifest.kind} {manifest.symbol} {manifest.interval}"
        return Problem(kind="contradicts", series=ref, file=FILE, partition="", reason=f"belongs to {own}")
    return manifest


def _check_file(ref: SeriesRef, manifest: Manifest, key: str) -> list[Problem]:
    partition = manifest.partitions[key]

    def problem(kind: ProblemKind, reason: str) -> Problem:
        return Problem(kind=kind, series=ref, file=partition.file, partition=key, reason=reason)

    try:
        content = (ref.folder / partition.file).read_bytes()
    except FileNotFoundError:
        return [problem("lost", "is gone")]
    if sha256(content) != partition.sha256:
        return [problem("damaged", "is damaged: its sha256 is not the one it was written with")]
    frame = decode(content, partition.exponents)
    return [problem("contradicts", reason) for reason in _contradictions(ref, manifest, partition, frame, key)]


def _contradictions(
    ref: SeriesRef, manifest: Manifest, partition: Partition, frame: pl.DataFrame, key: str
) -> Iterator[str]:
    if frame.height != partition.rows:
        yield f"has {frame.height} rows and the manifest says {partition.rows}"
    step = ref.step
    if step is None:
        return
    price, quantity, quote = partition.exponents
    klines = Klines(ref.symbol, step, Exponents(price, quantity, quote), frame.select(list(SCHEMA)))
    try:
        refuse_impossible(klines, partition.file)
    except InvalidKlinesError as exc:
        yield f"breaks a rule: {exc.rule}, at {exc.where[0]}"
        return
    yield from _day_contradictions(
        {day_name(start): content for start, content in hash_days(klines).items()},
        {name: day for name, day in manifest.days.items() if name.startswith(key)},
    )


def _day_contradictions(found: Mapping[str, str], claimed: Mapping[str, Day]) -> Iterator[str]:
    for name in sorted(found.keys() | {name for name, day in claimed.items() if day.rows}):
        day = claimed.get(name)
        if day is None:
            yield f"holds rows of {name}, of which the manifest says nothing"
        elif day.content_sha256 != found.get(name):
            yield f"holds other rows of {name} than the manifest says"


def _undecided(ref: SeriesRef, manifest: Manifest) -> Iterator[Problem]:
    for name, day in manifest.days.items():
        open_conflicts = [one for one in day.conflicts if one.kept is None]
        if open_conflicts:
            kinds = sorted({kind for one in open_conflicts for kind in (*one.stored, one.other)})
            reason = f"{name}: {' and '.join(kinds)} disagree"
            yield Problem(kind="conflict", series=ref, file=FILE, partition="", reason=reason)


def _gone(ref: SeriesRef, manifest: Manifest) -> Iterator[Problem]:
    for one in manifest.lost:
        yield Problem(kind="gone", series=ref, file=one.file, partition="", reason=loss_in_words(one))


def _check_snapshots(root: Path, endpoint: str) -> tuple[int, list[Problem]]:
    """How many answers of an endpoint are listed, and what is wrong with the list and with them."""
    store = SnapshotStore(root, endpoint, repair=False)
    ref = SeriesRef(BRACKETS, "", "", store.folder) if endpoint == BRACKETS else None
    problems: list[Problem] = []

    def problem(kind: ProblemKind, file: str, reason: str) -> None:
        problems.append(Problem(kind=kind, series=ref, file=file, partition="", reason=reason))

    try:
        flaw = store.flaw()
    except StoreError as exc:
        problem("contradicts", FILE, exc.reason)
        return 0, problems
    if flaw:
        problem("lost" if flaw.startswith("is gone") else "damaged", FILE, flaw)
    listed = store.all()
    for snapshot in listed:
        try:
            store.read(snapshot)
        except StoreError as exc:
            problem("damaged", snapshot.file, exc.reason)
    for name in store.strays():
        problem("damaged", name, "is damaged, and the list does not have it")
    return len(listed), problems


def _check_remote(
    archive: ArchiveClient,
    listing: ArchiveList | None,
    sources: Mapping[SeriesRef, Mapping[ArchiveFile, Source]],
    notes: list[str],
) -> Iterable[Problem]:
    jobs: list[tuple[SeriesRef, ArchiveFile, str | None]] = []
    for ref, known_files in sources.items():
        suspects, note = find_suspects(listing, known_files)
        jobs += [(ref, file, known_files[file].zip_sha256) for file in suspects]
        notes += [note] if known_files and note and note not in notes else []

    def check(job: tuple[SeriesRef, ArchiveFile, str | None]) -> Problem | None:
        ref, file, known = job
        try:
            now = archive.checksum(file)
        except SourceError as exc:
            return Problem(kind="unreachable", series=ref, file=f"{file.name}.zip", partition="", reason=exc.reason)
        if now == known:
            return None
        reason = "is no longer in the archive" if now is None else "was replaced in the archive since"
        return Problem(kind="replaced", series=ref, file=f"{file.name}.zip", partition=file.period, reason=reason)

    with ThreadPoolExecutor(PARALLEL) as pool:
        return [one for one in pool.map(check, jobs) if one is not None]
