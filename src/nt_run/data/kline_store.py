"""Klines on disk: months, days of the open month, years for intervals of an hour or more."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import msgspec
import polars as pl

from nt_run.data.conflicts import Family, Merged, family, merge_preferring, record_conflicts
from nt_run.data.content import days_with_rows, hash_days, split_days
from nt_run.data.days import (
    HOUR_MS,
    day_name,
    days_of,
    partition_key,
    partition_range,
    record_day,
    with_source,
    with_state,
)
from nt_run.data.files import set_aside
from nt_run.data.ingest import distinct, merge_klines
from nt_run.data.manifest import Conflict, Day, Hole, Loss, Manifest, Source
from nt_run.data.recovery import by_partition, find_orphans
from nt_run.data.store import Series, forget_if_back, remember
from nt_run.errors import InvalidKlinesError
from nt_run.klines import DAY_MS, SCHEMA, Exponents, Klines, no_klines, tightened
from nt_run.model import Interval, TimeRange, format_time
from nt_run.quality import count_oddities

MARKET = "v1/binance/um"
KLINES = "klines"
MARK_KLINES = "markPriceKlines"


class KlineStore:
    """The klines of one symbol and interval under a cache folder; see `Series` for `repair`."""

    def __init__(self, root: Path, symbol: str, interval: Interval, *, repair: bool, kind: str = KLINES) -> None:
        self.symbol = symbol
        self.interval = interval
        self.kind = kind
        self.what = f"{symbol} {interval} {'mark price klines' if kind == MARK_KLINES else 'klines'}"
        folder = root / MARKET / kind / symbol / interval.file_name
        empty = Manifest(kind=kind, symbol=symbol, interval=interval.name)
        self.series = Series(folder, empty, "open_time", repair=repair, take_back=self._take_back)

    def read(self, time_range: TimeRange) -> Klines:
        """Return the stored klines that open in a range, verified; holes are simply not there.

        Raises:
            StoreError: A file is damaged and not to be repaired, or the format is too new.
        """
        rows = self.series.read_rows(time_range).klines(self.symbol, self.interval)
        return distinct(rows, str(self.series.folder))[0].within(time_range)

    def read_all(self) -> Klines:
        """Return every stored kline, verified; see `read`."""
        partitions = self.series.manifest().partitions.values()
        if not partitions:
            return no_klines(self.symbol, self.interval)
        first, last = min(one.first_ms for one in partitions), max(one.last_ms for one in partitions)
        return self.read(TimeRange(first, self.interval.end(last)))

    def commit(
        self,
        rows: Klines,
        *,
        source: Source,
        holes: Sequence[Hole] = (),
        now_ms: int,
        prefer: Family | None = None,
        replace: bool = False,
        more_follow: bool = False,
    ) -> None:
        """Add rows and what is known of holes; rows that are there already may come again.

        Rows of another source that differ from stored ones are recorded as a conflict: see `data.conflicts`. Days of
        a month that has ended are put together into one file, those of earlier commits too.

        Args:
            rows: New rows.
            source: Where they came from.
            holes: Bars that were asked for and did not come.
            now_ms: The exchange's time.
            prefer: The family of sources whose rows are used where two sources differ.
            replace: New rows replace stored ones of the same source too; the former hashes are kept.
            more_follow: Other days of the month come at once. Until the next commit without this, they have files of
                their own if the month has none yet: else the month were written again with each of them.

        Raises:
            InvalidKlinesError: A row differs from the one that the same source sent before. Nothing is changed then.
            StoreError: The format is too new.
        """
        source = msgspec.structs.replace(source, decimals=astuple(rows.exponents))
        commit = _Commit(source, holes, now_ms, prefer, replace)
        with self.series.writing() as manifest:
            fresh = set(days_with_rows(rows))
            touched = fresh | {day for hole in holes for day in days_of(TimeRange(hole.from_ms, hole.to_ms))}
            for key, days in self._targets(manifest, touched, now_ms, more_follow=more_follow).items():
                came = days & fresh
                new = rows.within(TimeRange(min(came), max(came) + DAY_MS)) if came else None
                self._write(manifest, key, days & touched, new, commit)

    def set_first(self, first_ms: int) -> None:
        """Keep the open time of the exchange's very first kline."""
        with self.series.writing() as manifest:
            manifest.first_ms = first_ms

    def _take_back(self, manifest: Manifest) -> None:
        """Enter the files that prove themselves, later rows over earlier ones; the others are set aside."""
        orphans = find_orphans(self.series.folder)
        for lost in (one for one in orphans if one.rows is None):
            set_aside(lost.path)
            period = partition_range(lost.key)
            manifest.lost.append(Loss(lost.path.name, period.start_ms, period.end_ms, unknown=True))
        for key, files in by_partition([one for one in orphans if one.rows is not None]).items():
            merged = Merged(no_klines(self.symbol, self.interval))
            for one in files:
                if one.rows is not None:
                    fresh = self._klines(one.rows, one.exponents)
                    merged = merge_preferring(merged.klines, fresh, fresh_wins=True, what=self.what)
            self.series.put(manifest, key, merged.klines.frame, astuple(merged.klines.exponents))
            last = files[-1]
            source = Source(kind="recovered", key=last.path.name, fetched_at_ms=last.written_ms, rows=0)
            self._record(
                manifest,
                days_with_rows(merged.klines),
                Merged(merged.klines),
                _Commit(source, (), last.written_ms, None, replace=True),
            )

    def _targets(self, manifest: Manifest, touched: set[int], now_ms: int, *, more_follow: bool) -> dict[str, set[int]]:
        """The partitions to write, and the touched days of each."""
        targets: dict[str, set[int]] = {}
        apart = more_follow and self.interval.ms < HOUR_MS
        for day in touched:
            key = partition_key(day_name(day), self.interval, now_ms)
            targets.setdefault(day_name(day) if apart and key not in manifest.partitions else key, set()).add(day)
        if self.interval.ms < HOUR_MS and not more_follow:
            for key in manifest.partitions:
                target = partition_key(key, self.interval, now_ms) if len(key) > len("2024-01") else key
                if target != key:
                    targets.setdefault(target, set())
        return targets

    def _write(self, manifest: Manifest, key: str, days: set[int], fresh: Klines | None, commit: "_Commit") -> None:
        """Write one partition and the records of its `days`."""
        before = {name for name in manifest.partitions if _belongs(name, key)}
        merged = Merged(self._stored(manifest, key))
        if fresh is not None:
            merged = merge_preferring(merged.klines, fresh, fresh_wins=commit.fresh_wins, what=self.what)
        self._refuse_contradictions(manifest, merged.clashes, commit)
        # Text shows `97123.50` where one decimal holds every price: kept is what the values need, a tenth smaller.
        merged = merged._replace(klines=tightened(merged.klines))
        if len(merged.klines) and (fresh is not None or before != {key}):
            self.series.put(manifest, key, merged.klines.frame, astuple(merged.klines.exponents))
        self._record(manifest, sorted(days), merged, commit)

    def _refuse_contradictions(self, manifest: Manifest, clashes: Iterable[int], commit: "_Commit") -> None:
        """A source that contradicts itself is refused: that is no conflict of two."""
        own = [time for time in clashes if _only_from(manifest.days.get(day_name(time)), commit.source)]
        if own and not commit.replace:
            where = [format_time(time) for time in own]
            raise InvalidKlinesError(self.what, "two different rows for one open time", where)

    def _record(self, manifest: Manifest, days: Sequence[int], merged: Merged, commit: "_Commit") -> None:
        if not days:
            return
        clashes = merged.clashes
        part = merged.klines.within(TimeRange(days[0], days[-1] + DAY_MS))
        plain = self.kind == MARK_KLINES or not ((part.frame["volume"] == 0).any() or count_oddities(part))
        by_day, hashes, none = split_days(part), hash_days(part), no_klines(self.symbol, self.interval)
        conflicts = commit.conflicts(manifest.days, clashes, self.interval)
        changed = {time // DAY_MS * DAY_MS for time in clashes} if commit.fresh_wins else set[int]()
        for start in days:
            name, rows = day_name(start), by_day.get(start, none)
            before = manifest.days.get(name)
            if before and start in changed:
                remember(manifest, name, before.content_sha256)
            day = record_day(start, rows, before, content_sha256=hashes.get(start, ""), holes=commit.holes, plain=plain)
            completed = sum(start <= time < start + DAY_MS for time in merged.completed)
            day = with_source(day, commit.source, len(rows) - (before.rows if before else 0), completed=completed)
            day = msgspec.structs.replace(day, conflicts=conflicts.get(start, day.conflicts))
            manifest.days[name] = with_state(day, ended=start + DAY_MS <= commit.now_ms)
            forget_if_back(manifest, name)

    def _stored(self, manifest: Manifest, key: str) -> Klines:
        """The rows of a partition and of the days that become part of it."""
        old = {name for name in manifest.partitions if _belongs(name, key)}
        exponents = {name: manifest.partitions[name].exponents for name in old}
        frames = self.series.read_for_update(manifest, old)
        for name in frames.keys() - {key}:
            del manifest.partitions[name]
        parts = [self._klines(frame, exponents[name]) for name, frame in sorted(frames.items())]
        return merge_klines(parts, self.what) if parts else no_klines(self.symbol, self.interval)

    def _klines(self, frame: pl.DataFrame, exponents: tuple[int, ...]) -> Klines:
        price, quantity, quote = exponents
        return Klines(self.symbol, self.interval, Exponents(price, quantity, quote), frame.select(list(SCHEMA)))


def _belongs(name: str, key: str) -> bool:
    """Whether a partition is that of `key` or of one of its days."""
    return name == key or name.startswith(f"{key}-")


@dataclass(frozen=True, slots=True)
class _Commit:
    """What one commit brings, but for its rows."""

    source: Source
    holes: Sequence[Hole]
    now_ms: int
    prefer: Family | None
    replace: bool

    @property
    def fresh_wins(self) -> bool:
        """Whether new rows replace stored ones that differ."""
        return self.replace or self.prefer == family(self.source.kind)

    def conflicts(
        self, days: Mapping[str, Day], clashes: Mapping[int, tuple[str, ...]], interval: Interval
    ) -> dict[int, tuple[Conflict, ...]]:
        """Return what is to be kept on record of clashes with other sources, by day."""
        foreign = {
            time: names for time, names in clashes.items() if not _only_from(days.get(day_name(time)), self.source)
        }
        kept = self.source.kind if self.fresh_wins else "stored" if self.prefer else None
        return record_conflicts(days, foreign, self.source, interval=interval, kept=kept)


def _only_from(day: Day | None, source: Source) -> bool:
    """Whether all rows of a day came from a source of this kind."""
    return day is None or all(one.kind == source.kind for one in day.sources)
