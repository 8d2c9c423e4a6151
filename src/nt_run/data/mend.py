"""`repair`: fetch again only what is wrong; nothing is deleted, and former content hashes are kept."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from nt_run.data.archive import ArchiveFile
from nt_run.data.audit import Problem, archive_file
from nt_run.data.conflicts import Family, family, is_stored, settle
from nt_run.data.days import day_name, partition_range
from nt_run.data.download import Counter, Download
from nt_run.data.failover import keep_file
from nt_run.data.funding import KIND as FUNDING
from nt_run.data.kline_loader import KlineLoader
from nt_run.data.kline_store import KlineStore
from nt_run.data.manifest import FILE, Conflict
from nt_run.data.ranges import join
from nt_run.data.selection import SeriesRef
from nt_run.data.snapshots import SnapshotStore
from nt_run.data.sources import Sources
from nt_run.errors import DataError, SourceError
from nt_run.klines import DAY_MS
from nt_run.model import TimeRange

_PERIOD = re.compile(r"(\d{4}(?:-\d\d){0,2})\.[0-9a-f]{12}\.parquet(?:\.bad)?")


class Mender:
    """Repairs series of one cache folder; `prefer` says whose rows to use where two sources disagree."""

    def __init__(self, root: Path, sources: Sources, prefer: Family | None = None) -> None:
        self._root = root
        self._sources = sources
        self._prefer: Family | None = prefer

    def mend(self, problems: Sequence[Problem]) -> list[str]:
        """Repair what can be repaired and return in words what was done; what is left stays for the next `verify`.

        Raises:
            SourceError: No source could be asked.
            DataError: What came in place of the damaged rows is no better.
        """
        done: list[str] = []
        if any(one.series is None and one.file == FILE for one in problems):
            done.append(f"exchangeInfo: made the list of {SnapshotStore(self._root).restore()} answers again")
        series = dict.fromkeys(one.series for one in problems if one.series is not None)
        for ref in series:
            own = [one for one in problems if one.series == ref]
            done += self._mend_files(ref, [one for one in own if one.kind in {"damaged", "lost", "contradicts"}])
            done += self._fetch_replaced(ref, [one for one in own if one.kind == "replaced"])
            if any(one.kind == "conflict" for one in own) and self._prefer is not None:
                done += self._decide(ref, self._prefer)
        return done

    def _mend_files(self, ref: SeriesRef, problems: Sequence[Problem]) -> list[str]:
        """Set aside what is wrong, then fetch the ranges it held."""
        if not problems:
            return []
        lost = self._ranges(ref, problems)
        if ref.kind == FUNDING:
            return [f"{ref}: run nt-run data get --symbol {ref.symbol} to fetch the settlements again"]
        store = self._store(ref)
        for problem in problems:
            if problem.partition:
                store.series.forget(problem.partition, problem.reason)
        loader = KlineLoader(store, self._sources)
        rows = sum(len(loader.load(one, 0.0).klines) for one in join(lost))
        return [f"{ref}: fetched {rows:,} rows again ({', '.join(str(one) for one in join(lost))})"] if lost else []

    def _ranges(self, ref: SeriesRef, problems: Sequence[Problem]) -> list[TimeRange]:
        """What the files in question held: by the manifest, or by the names of files if it is damaged itself."""
        store = self._store(ref)
        manifest = store.series.manifest()
        if any(not problem.partition for problem in problems):
            found = (_period(path.name) for path in ref.folder.glob("*.parquet*"))
            return [self._closed(one) for one in found if one is not None]
        held = [manifest.partitions[one.partition] for one in problems if one.partition in manifest.partitions]
        return [TimeRange(one.first_ms, store.interval.end(one.last_ms)) for one in held]

    def _closed(self, period: TimeRange) -> TimeRange:
        """What of a period has certainly closed."""
        now = self._sources.server_time_ms() // DAY_MS * DAY_MS
        return TimeRange(period.start_ms, min(period.end_ms, max(now, period.start_ms + DAY_MS)))

    def _fetch_replaced(self, ref: SeriesRef, problems: Iterable[Problem]) -> list[str]:
        """Fetch files that the archive has replaced; their rows replace the stored ones."""
        archive, done = self._sources.archive(), list[str]()
        store = self._store(ref)
        for problem in problems:
            file = ArchiveFile(ref.kind, ref.symbol, ref.interval, problem.partition)
            arrived = archive.fetch(file) if archive else None
            if arrived is None:
                done.append(f"{ref}: {problem.file} is no longer in the archive; the stored rows stay")
                continue
            keep_file(store, arrived, self._sources.server_time_ms(), replace=True)
            done.append(f"{ref}: took over {problem.file} as it is now")
        return done

    def _decide(self, ref: SeriesRef, prefer: Family) -> list[str]:
        """Use the rows of the preferred source wherever two disagree."""
        store = self._store(ref)
        with store.series.writing() as manifest:
            undecided = settle(manifest, lambda one: is_stored(one, prefer))
        for conflict in undecided:
            self._fetch_preferred(store, conflict, prefer)
        with store.series.writing() as manifest:
            settle(manifest, lambda _one: True)
        return [f"{ref}: the rows of {prefer} are used where sources disagreed"]

    def _fetch_preferred(self, store: KlineStore, conflict: Conflict, prefer: Family) -> None:
        where = TimeRange(conflict.from_ms, conflict.to_ms)
        now_ms = self._sources.server_time_ms()
        if prefer == "import":
            hint = "Prefer archive or rest."
            raise SourceError(
                f"An imported file of {where}", "cannot be fetched again, so it cannot be preferred", hint
            )
        if prefer == "rest":
            Download(self._sources.rest(), store, now_ms, Counter(store.what, 0, None), prefer).fetch_again(where)
            return
        archive = self._sources.archive()
        for key in self._archive_keys(store, conflict):
            arrived = archive.fetch(archive_file(key)) if archive else None
            if arrived is None:
                raise SourceError(key, "is not in the archive any more, so its rows cannot be preferred")
            keep_file(store, arrived, now_ms, prefer=prefer)

    def _archive_keys(self, store: KlineStore, conflict: Conflict) -> list[str]:
        """The files of the archive that held the rows in question, monthly ones last: the last one wins."""
        if family(conflict.other) == "archive":
            return [conflict.key]
        day = store.series.manifest().days[day_name(conflict.from_ms)]
        keys = (source.key for source in day.sources if family(source.kind) == "archive")
        return sorted(keys, key=lambda key: "/monthly/" in key)

    def _store(self, ref: SeriesRef) -> KlineStore:
        if ref.step is None:
            raise DataError(f"{ref} has no klines.")
        return KlineStore(self._root, ref.symbol, ref.step, repair=True, kind=ref.kind)


def _period(name: str) -> TimeRange | None:
    match = _PERIOD.fullmatch(name)
    return partition_range(match[1]) if match else None
