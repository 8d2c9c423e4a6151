"""A folder of immutable Parquet files under one manifest: locked writers, lock-free verified readers.

Every byte that is read is compared with its sha256 before it is decoded. A file that does not match is set aside and
forgotten, so that its rows are fetched again; without a network it is an error that names the file.

What is inside a file is `data_file`'s.
"""

import os
from collections.abc import Buffer, Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import msgspec
import polars as pl

from nt_run.data.data_file import Rows, decode, encode
from nt_run.data.days import partition_range
from nt_run.data.files import Reader, set_aside, sha256, sweep, write_whole, writers_lock
from nt_run.data.losses import loss_in_words, losses_of, still_lost
from nt_run.data.manifest import FILE, DamagedManifestError, Day, Manifest, Partition, load_manifest, save_manifest
from nt_run.data.ranges import intersect, subtract
from nt_run.errors import StoreError
from nt_run.model import TimeRange

_THREADS = min(4, os.process_cpu_count() or 1)
_ATTEMPTS = 20
_OFFLINE_HINT = "Run once without --offline to fetch it again."


class _DamagedFileError(Exception):
    def __init__(self, key: str, partition: Partition) -> None:
        self.key = key
        self.partition = partition
        super().__init__(key)


class Series:
    """One series on disk.

    Args:
        folder: Where its files are; made by the first writer.
        empty: A manifest without content: kind, symbol, interval.
        time_column: The column that files are cut by.
        repair: Set damaged files aside. Without it they are errors.
        take_back: Enters what data files still tell into an empty manifest, in place of one that was lost.
    """

    def __init__(
        self,
        folder: Path,
        empty: Manifest,
        time_column: str,
        *,
        repair: bool,
        take_back: Callable[[Manifest], None],
    ) -> None:
        self.folder = folder
        self.repair = repair
        self.warnings: list[str] = []
        """What was set aside, in words."""
        self._empty = empty
        self._time_column = time_column
        self._take_back = take_back

    def manifest(self) -> Manifest:
        """Return the manifest of this moment; one that was lost is made again from the data files first.

        Raises:
            StoreError: It is too new, or lost and not to be repaired.
        """
        path = self.folder / FILE
        try:
            manifest = load_manifest(path, Manifest)
            if manifest is None and any(self.folder.glob("*.parquet")):
                # No writer leaves data files without a manifest, but one may have begun a moment ago.
                manifest = load_manifest(path, Manifest)
                flaw = "is gone, though there are data files" if manifest is None else ""
            else:
                flaw = ""
        except DamagedManifestError:
            manifest, flaw = None, "is damaged"
        if flaw and not self.repair:
            raise StoreError(str(path), flaw, "nt-run data repair makes it again from what is left.")
        if flaw:
            with self.writing() as made:
                return made
        return self._own(manifest)

    def _own(self, manifest: Manifest | None) -> Manifest:
        own = self._empty
        if manifest is None:
            return Manifest(kind=own.kind, symbol=own.symbol, interval=own.interval)
        if (manifest.kind, manifest.symbol, manifest.interval) != (own.kind, own.symbol, own.interval):
            raise StoreError(
                str(self.folder / FILE),
                f"belongs to {manifest.kind} {manifest.symbol} {manifest.interval}",
                "Move the folder back to where it was.",
            )
        return manifest

    def read(self, time_range: TimeRange | None = None) -> list[tuple[Partition, pl.DataFrame]]:
        """Return the verified files that touch `time_range` (`None`: all), in time order, whole.

        Raises:
            StoreError: A file is damaged and not to be repaired.
        """
        wanted, frames = self._undisturbed(time_range, self.read_files)
        return [(partition, frames[key]) for key, partition in wanted.items()]

    def read_rows(self, time_range: TimeRange) -> Rows:
        """Return the klines of the verified files that touch `time_range`, whole.

        Raises:
            StoreError: A file is damaged and not to be repaired.
        """

        def load(wanted: Mapping[str, Partition]) -> Rows:
            rows = Rows(list(wanted.values()))
            self._verified(wanted, rows.take)
            return rows

        return self._undisturbed(time_range, load)[1]

    def read_files(self, partitions: Mapping[str, Partition]) -> dict[str, pl.DataFrame]:
        """Return verified files by their key; the errors of a single attempt come out as they are."""
        return self._verified(partitions, lambda partition, content: decode(content, partition.exponents))

    def _undisturbed[T](
        self, time_range: TimeRange | None, load: Callable[[Mapping[str, Partition]], T]
    ) -> tuple[dict[str, Partition], T]:
        """Load the files that touch a range, once more where a writer or a repair came in between."""
        for _ in range(_ATTEMPTS):
            manifest = self.manifest()
            wanted = {
                key: one
                for key, one in sorted(manifest.partitions.items(), key=lambda item: item[1].first_ms)
                if time_range is None or (one.first_ms < time_range.end_ms and one.last_ms >= time_range.start_ms)
            }
            try:
                return wanted, load(wanted)
            except FileNotFoundError as exc:
                # A writer replaced the file a moment ago; if the manifest did not change, the file is lost.
                if self.manifest() == manifest:
                    self._lose(manifest, Path(str(exc.filename)).name)
            except _DamagedFileError as exc:
                self._forget(exc.key, exc.partition, "is damaged: its sha256 is not the one it was written with")
        raise StoreError(str(self.folder), "changes faster than it can be read", "Try again.")

    def _verified[T](self, partitions: Mapping[str, Partition], use: Callable[[Partition, Buffer], T]) -> dict[str, T]:
        """Do something with the content of files, each of them verified; the content stands no longer than that."""
        reader = Reader()

        def load(item: tuple[str, Partition]) -> tuple[str, T]:
            key, partition = item
            content = reader.read(self.folder / partition.file)
            if sha256(content) != partition.sha256:
                raise _DamagedFileError(key, partition)
            return key, use(partition, content)

        if len(partitions) == 1:
            return dict(map(load, partitions.items()))
        with ThreadPoolExecutor(_THREADS) as pool:
            return dict(pool.map(load, partitions.items()))

    @contextmanager
    def writing(self) -> Generator[Manifest]:
        """Hold the writers' lock; the manifest given is fresh, and is saved when the block ends without an error."""
        with writers_lock(self.folder):
            manifest = self._for_update()
            before = msgspec.json.encode(manifest)
            if not (self.folder / FILE).exists():
                # Before the first data file, so that files without a manifest always mean that it was lost.
                save_manifest(self.folder / FILE, manifest)
            yield manifest
            manifest.lost = still_lost(manifest)
            if msgspec.json.encode(manifest) != before:
                save_manifest(self.folder / FILE, manifest)
            sweep(self.folder, {one.file for one in manifest.partitions.values()}, "*.parquet")

    def _for_update(self) -> Manifest:
        """The manifest of this moment, under the lock."""
        path = self.folder / FILE
        try:
            manifest = load_manifest(path, Manifest)
        except DamagedManifestError as exc:
            if not self.repair:
                raise StoreError(str(path), "is damaged", _OFFLINE_HINT) from exc
            set_aside(path)
            manifest = None
        lost = manifest is None
        manifest = self._own(manifest)
        if lost and self.repair and any(self.folder.glob("*.parquet")):
            self._take_back(manifest)
            rows = sum(one.rows for one in manifest.partitions.values())
            self.warnings.append(
                f"{path} was lost. {rows:,} rows were taken back from data files whose names prove what is in them; "
                "where they came from is not known any more."
            )
        return manifest

    def put(self, manifest: Manifest, key: str, frame: pl.DataFrame, exponents: tuple[int, ...]) -> None:
        """Write one partition and enter it into `manifest`. Only inside `writing`."""
        content = encode(frame, exponents)
        digest = sha256(content)
        name = f"{key}.{digest[:12]}.parquet"
        write_whole(self.folder / name, content)
        times = frame[self._time_column].to_physical()
        manifest.partitions[key] = Partition(
            file=name,
            sha256=digest,
            rows=frame.height,
            bytes=len(content),
            first_ms=int(times[0]),
            last_ms=int(times[-1]),
            exponents=exponents,
        )

    def read_for_update(self, manifest: Manifest, keys: set[str]) -> dict[str, pl.DataFrame]:
        """Return the files of `keys` inside `writing`; a damaged or lost one is set aside and forgotten."""
        frames: dict[str, pl.DataFrame] = {}
        for key in sorted(keys & set(manifest.partitions)):
            try:
                frames |= self.read_files({key: manifest.partitions[key]})
            except (_DamagedFileError, FileNotFoundError):
                self._lay_aside(manifest, key)
        return frames

    def forget(self, key: str, reason: str) -> None:
        """Set a partition aside, with what the manifest says of its days; their hashes are remembered."""
        partition = self.manifest().partitions.get(key)
        if partition is not None:
            self._forget(key, partition, reason)

    def _lose(self, manifest: Manifest, name: str) -> None:
        for key, partition in manifest.partitions.items():
            if partition.file == name:
                self._forget(key, partition, "is gone")
                return

    def _forget(self, key: str, partition: Partition, reason: str) -> None:
        path = self.folder / partition.file
        if not self.repair:
            raise StoreError(str(path), reason, _OFFLINE_HINT)
        with self.writing() as manifest:
            if manifest.partitions.get(key) == partition:
                self._lay_aside(manifest, key)

    def _lay_aside(self, manifest: Manifest, key: str) -> None:
        path = self.folder / manifest.partitions[key].file
        set_aside(path)
        known = len(manifest.lost)
        _drop(manifest, key)
        own = [loss_in_words(one) for one in manifest.lost[known:] if one.imported or one.unknown]
        told = f" It {'; '.join(own)}." if own else ""
        self.warnings.append(f"{path.name} was damaged; it was set aside and its rows are fetched again.{told}")


def drop_partition(manifest: Manifest, key: str) -> dict[str, Day]:
    """Forget a partition with what is claimed of its days and of its range; return the days that were forgotten."""
    del manifest.partitions[key]
    for ranges in (manifest.covered, manifest.unexplained):
        left = subtract([TimeRange(start, end) for start, end in ranges], [partition_range(key)])
        ranges[:] = [(one.start_ms, one.end_ms) for one in left]
    manifest.origins = {month: kinds for month, kinds in manifest.origins.items() if not month.startswith(key)}
    return {day: manifest.days.pop(day) for day in list(manifest.days) if day.startswith(key)}


def _drop(manifest: Manifest, key: str) -> None:
    """Forget a partition that is lost; the hashes of its days are remembered, and that rows are lost."""
    file, covered = manifest.partitions[key].file, [TimeRange(*one) for one in manifest.covered]
    covered = intersect(covered, partition_range(key))
    forgotten = drop_partition(manifest, key)
    for day, record in forgotten.items():
        remember(manifest, day, record.content_sha256)
    manifest.lost += losses_of(file, forgotten, covered)


def remember(manifest: Manifest, day: str, content_sha256: str) -> None:
    """Keep the content hash of a day that is lost or about to be replaced."""
    if content_sha256 and content_sha256 not in manifest.former.get(day, []):
        manifest.former[day] = [*manifest.former.get(day, []), content_sha256]


def forget_if_back(manifest: Manifest, day: str) -> None:
    """Drop a former content hash that is the present one again."""
    former = [one for one in manifest.former.get(day, []) if one != manifest.days[day].content_sha256]
    if former:
        manifest.former[day] = former
    else:
        manifest.former.pop(day, None)
