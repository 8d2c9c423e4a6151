"""`repair`: fetch again only what is wrong; nothing is deleted, and former content hashes are kept."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nt_run.data.archive import ArchiveFile
from nt_run.data.audit import Problem, archive_file
from nt_run.data.conflicts import Family, family, is_stored, settle
from nt_run.data.days import day_name, partition_range
from nt_run.data.download import Counter, Download
from nt_run.data.failover import keep_file
from nt_run.data.funding import KIND as FUNDING
from nt_run.data.funding import FundingStore
from nt_run.data.kline_loader import KlineLoader
from nt_run.data.kline_store import KlineStore
from nt_run.data.loaded import LoadedFunding
from nt_run.data.losses import loss_in_words, lost_in, lost_range
from nt_run.data.manifest import FILE, Conflict
from nt_run.data.ranges import join, subtract
from nt_run.data.recovery import find_orphans
from nt_run.data.selection import SeriesRef
from nt_run.data.snapshots import BRACKETS, SnapshotStore
from nt_run.data.sources import Sources
from nt_run.data.store import Series
from nt_run.errors import DataError, SourceError, StoreError
from nt_run.formats import counted
from nt_run.klines import DAY_MS
from nt_run.model import TimeRange

_NAMED = 5

Job = Callable[[], str]
"""One repair; says in words what it did."""


@dataclass(frozen=True, slots=True)
class Mended:
    """What a repair did and what it could not do, in words; what is left stays for the next `verify`."""

    done: list[str]
    failed: list[str]


class Mender:
    """Repairs series of one cache folder.

    Args:
        root: The cache folder.
        sources: The exchange.
        load_funding: Loads the settlements of a symbol and a range, those that are not cached from the exchange.
        prefer: Whose rows to use where two sources disagree.
        fetch_brackets: Keeps today's leverage brackets in a store; `None` without the key of an account.
    """

    def __init__(
        self,
        root: Path,
        sources: Sources,
        load_funding: Callable[[str, TimeRange], LoadedFunding],
        prefer: Family | None = None,
        fetch_brackets: Callable[[SnapshotStore], None] | None = None,
    ) -> None:
        self._root = root
        self._sources = sources
        self._load_funding = load_funding
        self._prefer: Family | None = prefer
        self._fetch_brackets = fetch_brackets

    def mend(self, problems: Sequence[Problem]) -> Mended:
        """Repair what can be repaired; where one thing cannot, the others still are."""
        mended = Mended([], [])
        own: dict[SeriesRef | None, list[Problem]] = {}
        for problem in problems:
            own.setdefault(problem.series, []).append(problem)
        for ref, each in own.items():
            name = ref or "exchangeInfo"
            try:
                jobs = self._jobs(ref, each) if ref else self._rules_jobs(each)
            except DataError as exc:
                mended.failed.append(f"{name}: {exc}")
                continue
            for job in jobs:
                try:
                    mended.done.append(f"{name}: {job()}")
                except DataError as exc:
                    mended.failed.append(f"{name}: {exc}")
        return mended

    def _jobs(self, ref: SeriesRef, problems: Sequence[Problem]) -> list[Job]:
        """What is to be done for a series, each thing on its own."""
        if ref.kind == BRACKETS:
            return [partial(self._mend_brackets, one.file) for one in problems]
        jobs = self._file_jobs(ref, [one for one in problems if one.kind in {"damaged", "lost", "contradicts"}])
        if any(one.kind == "gone" for one in problems):
            jobs += self._lost_jobs(ref)
        jobs += [partial(self._fetch_replaced, ref, one) for one in problems if one.kind == "replaced"]
        if self._prefer is not None and any(one.kind == "conflict" for one in problems):
            jobs.append(partial(self._decide, ref, self._prefer))
        return jobs

    def _rules_jobs(self, problems: Sequence[Problem]) -> list[Job]:
        jobs = [self._list_rules] if any(one.file == FILE for one in problems) else []
        return [*jobs, *(partial(self._fetch_rules, one.file) for one in problems if one.file != FILE)]

    def _list_rules(self) -> str:
        return f"made the list of {SnapshotStore(self._root).restore()} answers again"

    def _fetch_rules(self, file: str) -> str:
        """Fetch the rules again where the damaged answer is the newest one; older ones only a user may still have."""
        store = SnapshotStore(self._root)
        newest = store.newest()
        if newest is None or newest.file <= file:
            now_ms = self._sources.server_time_ms()
            store.keep(self._sources.rest().exchange_info(), now_ms)
        store.check(file)
        if all(one.file != file for one in store.all()):
            return f"fetched today's rules, which are those of {file}, in its place"
        return f"fetched the rules of {file} again"

    def _mend_brackets(self, file: str) -> str:
        """Fetch the newest answer again; an older one, or without a key, is set aside: other tables stand in."""
        store = SnapshotStore(self._root, BRACKETS)
        if file == FILE:
            return f"made the list of {store.restore()} answers again"
        newest = store.newest()
        if self._fetch_brackets is not None and (newest is None or newest.file <= file):
            self._fetch_brackets(store)
        with suppress(StoreError):
            store.check(file)
            return f"fetched the brackets of {file} again"
        store.forget(file)
        return f"{file} cannot be fetched again and was set aside; the tables of other dates stand in"

    def _file_jobs(self, ref: SeriesRef, problems: Sequence[Problem]) -> list[Job]:
        """Set aside what is wrong; the ranges it held are to be fetched."""
        if not problems:
            return []
        series = self._series(ref)
        if any(not problem.partition for problem in problems):
            if ref.kind == FUNDING:
                periods = [self._closed(partition_range(one.key)) for one in find_orphans(ref.folder)]
                return [partial(self._fetch, ref, one) for one in join(periods)]
            return [partial(self._take_back, series), *self._lost_jobs(ref)]
        lost = self._ranges(ref, problems)
        for problem in problems:
            series.forget(problem.partition, problem.reason)
        return [partial(self._fetch, ref, one) for one in join(lost)]

    def _take_back(self, series: Series) -> str:
        """Say what was saved of a series whose manifest was lost; the store does it as soon as it is opened."""
        partitions = series.manifest().partitions.values()
        rows = sum(one.rows for one in partitions)
        if not rows:
            return "began a new manifest: no data file proved what is in it"
        files = counted(len(partitions), "file")
        return (
            f"took back {rows:,} rows in {files} that prove what is in them; where they came from is not known any more"
        )

    def _lost_jobs(self, ref: SeriesRef) -> list[Job]:
        """Fetch what is on record as lost."""
        lost = [self._closed(lost_range(one)) for one in self._series(ref).manifest().lost]
        return [partial(self._fetch, ref, one) for one in join(lost)]

    def _fetch(self, ref: SeriesRef, lost: TimeRange) -> str:
        try:
            if ref.kind == FUNDING:
                done = f"fetched {len(self._load_funding(ref.symbol, lost).rates):,} settlements again ({lost})"
            else:
                rows = len(KlineLoader(self._store(ref), self._sources).load(lost, 0.0).klines)
                done = f"fetched {rows:,} rows again ({lost})"
        except DataError as exc:
            raise DataError(
                f"{lost} could not be fetched again and is missing now; {self._way(ref, lost)}. {exc}"
            ) from exc
        if lost_in(self._series(ref).manifest(), lost):
            raise DataError(f"{done}, but not all: {self._way(ref, lost)}.")
        return done

    def _way(self, ref: SeriesRef, lost: TimeRange) -> str:
        """What the user can do about rows that did not come."""
        own = lost_in(self._series(ref).manifest(), lost)
        imported = [loss_in_words(one) for one in own if one.imported or one.unknown]
        return "; ".join(imported) or "nt-run data get fetches it"

    def _ranges(self, ref: SeriesRef, problems: Sequence[Problem]) -> list[TimeRange]:
        """What the files in question held."""
        manifest = self._series(ref).manifest()
        keys = {one.partition for one in problems} & manifest.partitions.keys()
        if ref.kind == FUNDING:
            # Also where nothing was settled: that is known of a range, too.
            periods, covered = [partition_range(key) for key in keys], [TimeRange(*one) for one in manifest.covered]
            return subtract(covered, subtract(covered, periods))
        held = [manifest.partitions[key] for key in keys]
        return [TimeRange(one.first_ms, self._store(ref).interval.end(one.last_ms)) for one in held]

    def _closed(self, period: TimeRange) -> TimeRange:
        """What of a period has certainly closed."""
        now = self._sources.server_time_ms() // DAY_MS * DAY_MS
        return TimeRange(period.start_ms, min(period.end_ms, max(now, period.start_ms + DAY_MS)))

    def _fetch_replaced(self, ref: SeriesRef, problem: Problem) -> str:
        """Fetch a file that the archive has replaced; its rows replace the stored ones."""
        archive, store = self._sources.archive(), self._store(ref)
        file = ArchiveFile(ref.kind, ref.symbol, ref.interval, problem.partition)
        arrived = archive.fetch(file) if archive else None
        if arrived is None:
            return f"{problem.file} is no longer in the archive; the stored rows stay"
        before = {name: day.content_sha256 for name, day in store.series.manifest().days.items()}
        keep_file(store, arrived, self._sources.server_time_ms(), replace=True)
        days = store.series.manifest().days
        changed = [name for name, day in sorted(days.items()) if day.content_sha256 != before.get(name, "")]
        more = f" and {len(changed) - _NAMED} days more" if len(changed) > _NAMED else ""
        what = f"other rows on {', '.join(changed[:_NAMED])}{more}" if changed else "the same rows"
        return f"took over {problem.file} as it is now: {what}"

    def _decide(self, ref: SeriesRef, prefer: Family) -> str:
        """Use the rows of the preferred source wherever two disagree."""
        store = self._store(ref)
        with store.series.writing() as manifest:
            undecided = settle(manifest, lambda one: is_stored(one, prefer))
        for conflict in undecided:
            self._fetch_preferred(store, conflict, prefer)
        with store.series.writing() as manifest:
            settle(manifest, lambda _one: True)
        return f"the rows of {prefer} are used where sources disagreed"

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

    def _series(self, ref: SeriesRef) -> Series:
        if ref.kind == FUNDING:
            return FundingStore(self._root, ref.symbol, repair=True).series
        return self._store(ref).series

    def _store(self, ref: SeriesRef) -> KlineStore:
        if ref.step is None:
            raise DataError(f"{ref} has no klines.")
        return KlineStore(self._root, ref.symbol, ref.step, repair=True, kind=ref.kind)
