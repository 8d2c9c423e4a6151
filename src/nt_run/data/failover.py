"""From source to source until nothing is missing: monthly archive → daily archive → REST → confirmed absent.

    lacking ranges
      ├─ two days or more of a closed month, many pages ──→ monthly file ─→ short days ─→ daily files ─┐
      ├─ two days or more of the open month, many pages ─→ daily files ────────────────────────────────┤
      └─ anything smaller ──────────────────────────────────────────────────────────────────────→ REST, twice
                                            still missing, or REST failed: the files not asked for yet ←┘
                                            still missing: confirmed absent, if both say so

Each file is kept as it arrives, so a download that is interrupted goes on where it ended. A source that fails is passed
over and its reason kept; it is told if a hole remains.
"""

from collections.abc import Callable, Iterable, Sequence

from nt_run.data.archive import ArchiveClient, ArchiveFile, Arrived, Outcome, file_range
from nt_run.data.archive_csv import form_of, parse_csv
from nt_run.data.conflicts import Family
from nt_run.data.days import day_name, days_of
from nt_run.data.download import Counter, Download
from nt_run.data.kline_store import KlineStore
from nt_run.data.manifest import Hole, Source, SourceKind
from nt_run.data.ranges import in_words, intersect, join, subtract, to_grid
from nt_run.data.rest import BULK_LIMIT
from nt_run.errors import AllSourcesError, DataError, InvalidKlinesError, SourceError, UnknownSymbolError
from nt_run.klines import DAY_MS, find_gaps, no_klines
from nt_run.model import TimeRange

SMALL_MS = 2 * DAY_MS
"""Less than this goes to REST at once: fewer requests."""

_SETTLED_AFTER_MS = 600_000  # a bar missing for less may be late; one missing for longer does not come any more
_OVERDUE_MS = 45 * DAY_MS  # a month's file appears on the first Monday of the next; this one does not come any more
_MONTH_NAME, _DAY_NAME = len("2026-05"), len("2026-05-07")
_KINDS: dict[str, SourceKind] = {"monthly": "archive_monthly", "daily": "archive_daily"}


def keep_file(
    store: KlineStore,
    arrived: Arrived,
    now_ms: int,
    *,
    prefer: Family | None = None,
    replace: bool = False,
    more_follow: bool = False,
) -> list[TimeRange]:
    """Put an archive file into the store (see `KlineStore.commit`) and return the holes it has.

    Raises:
        InvalidKlinesError: Its rows are not klines of this series, or contradict those this source sent before.
    """
    period = file_range(arrived.file)
    klines, _ = parse_csv(store.symbol, store.interval, arrived.text, period, f"{arrived.file.name}.zip")
    if store.interval.ms > DAY_MS and len(klines):
        # A bar that ends behind its month may have been open yet when the file was made: REST has it.
        klines = klines.within(TimeRange(period.start_ms, store.interval.floor(period.end_ms)))
    form = form_of(arrived.text, klines)
    source = Source(
        kind=_KINDS[arrived.file.pace],
        key=arrived.file.key,
        fetched_at_ms=now_ms,
        rows=0,
        zip_sha256=arrived.zip_sha256,
        etag=arrived.etag,
        header=form.header,
        bare_zeros=form.bare_zeros,
    )
    store.commit(klines, source=source, now_ms=now_ms, prefer=prefer, replace=replace, more_follow=more_follow)
    return [gap.range for gap in find_gaps(klines, period)]


class Failover:
    """One download over all sources.

    Args:
        store: Where to keep.
        archive: `None` if there is none to ask.
        download: REST, made when it is first needed.
        now_ms: The exchange's time.
        counter: Told of progress.
    """

    def __init__(
        self,
        store: KlineStore,
        *,
        archive: ArchiveClient | None,
        download: Callable[[], Download],
        now_ms: int,
        counter: Counter,
    ) -> None:
        self.reasons: dict[str, str] = {}
        """What sources said that did not deliver, by the kind of source."""
        self._store = store
        self._archive = archive
        self._download = download
        self._now_ms = now_ms
        self._counter = counter
        self._outcomes: dict[ArchiveFile, Outcome] = {}
        self._failure: DataError | None = None

    def fill(self, lacking: Sequence[TimeRange]) -> None:
        """Fetch what opens in `lacking` (on the grid); what no source has is recorded.

        Raises:
            AllSourcesError: Something is missing, and REST did not answer either; it names every source's reason.
            SourceError: The same, without an archive to ask.
            UnknownSymbolError: No source knows the symbol.
            InvalidKlinesError: REST's rows contradict themselves or those stored before.
        """
        left = self._from_archive(list(lacking), every=False)
        left = self._from_rest(left)
        left = self._from_archive(left, every=True)
        if left and self._failure is not None:
            raise self._failed(left, self._failure) from self._failure
        self._record(left)

    def _from_rest(self, left: list[TimeRange]) -> list[TimeRange]:
        if not left:
            return []
        try:
            return self._download().fill(left)
        except (SourceError, UnknownSymbolError) as exc:
            self._failure = exc
            self.reasons["rest"] = exc.reason if isinstance(exc, SourceError) else str(exc)
            return [gap.range for one in left for gap in find_gaps(self._store.read(one), one)]

    def _from_archive(self, left: list[TimeRange], *, every: bool) -> list[TimeRange]:
        """Ask for the files that may hold `left`: all of them, or those that are worth their requests."""
        if self._archive is None or not left:
            return left
        large = sum(one.ms for one in left) >= SMALL_MS
        if not (every or large):
            return left
        months = [file for file in self._files(left, _MONTH_NAME) if every or self._is_worth(file, left)]
        left = self._take(months, left)
        days = [file for file in self._files(left, _DAY_NAME) if every or self._is_worth_a_day(file)]
        return self._take(days, left)

    def _files(self, left: Iterable[TimeRange], length: int) -> list[ArchiveFile]:
        """The files of ended months or days, as long as their names are, with a part of `left`, not asked for yet."""
        store = self._store
        if store.interval.ms > DAY_MS and length == _DAY_NAME:
            return []  # such a bar is in no file of a day
        periods = dict.fromkeys(day_name(start)[:length] for one in left for start in days_of(one))
        files = (ArchiveFile(store.kind, store.symbol, store.interval.name, period) for period in periods)
        return [one for one in files if one not in self._outcomes and file_range(one).end_ms <= self._now_ms]

    def _is_worth(self, file: ArchiveFile, left: Iterable[TimeRange]) -> bool:
        missing = sum(one.ms for one in intersect(left, file_range(file)))
        return missing >= SMALL_MS and missing > BULK_LIMIT * self._store.interval.ms

    def _is_worth_a_day(self, file: ArchiveFile) -> bool:
        # A short day of a month that came is completed by day; else a day's file must save more than one page.
        month = ArchiveFile(file.kind, file.symbol, file.interval, file.period[:7])
        return isinstance(self._outcomes.get(month), Arrived) or BULK_LIMIT * self._store.interval.ms < DAY_MS

    def _take(self, files: Sequence[ArchiveFile], left: list[TimeRange]) -> list[TimeRange]:
        if self._archive is None or not files:
            return left
        for file, outcome in self._archive.fetch_all(files):
            # In whole bars: the last week of a month ends in the next one.
            period = to_grid(file_range(file), self._store.interval)
            if period is None:
                continue
            holes = [period]
            self._outcomes[file] = outcome
            if isinstance(outcome, Arrived):
                # The text has served once it is kept; what is remembered is that the file came.
                self._outcomes[file] = Arrived(file, b"", outcome.zip_sha256, outcome.etag)
                try:
                    holes = keep_file(self._store, outcome, self._now_ms, more_follow=file.pace == "daily")
                except InvalidKlinesError as exc:
                    self._outcomes[file] = SourceError(exc.what, f"was refused: {exc.rule}, at {exc.where[0]}")
            self._note(file, self._outcomes[file])
            settled = subtract([period], holes)
            still = subtract(left, settled)
            self._counter.add(self._bars(left) - self._bars(still), self._bars(settled))
            left = still
        return left

    def _note(self, file: ArchiveFile, outcome: Outcome) -> None:
        kind = _KINDS[file.pace]
        if isinstance(outcome, SourceError):
            self.reasons.setdefault(kind, f"{outcome.source.rpartition('/')[2]} {outcome.reason}")
        elif outcome is None:
            self.reasons.setdefault(f"{kind} ", f"has no {file.name}.zip")

    def _bars(self, ranges: Iterable[TimeRange]) -> int:
        return sum(one.bars(self._store.interval) for one in ranges)

    def _failed(self, left: list[TimeRange], failure: DataError) -> DataError:
        arrived = any(isinstance(outcome, Arrived) for outcome in self._outcomes.values())
        if self._archive is None or (isinstance(failure, UnknownSymbolError) and not arrived):
            return failure
        words = in_words(join(left), self._store.interval)
        reasons = {kind.strip(): reason for kind, reason in sorted(self.reasons.items())}
        return AllSourcesError(self._store.what, words, reasons, getattr(failure, "hint", ""))

    def _record(self, left: list[TimeRange]) -> None:
        """Keep on record what no source has: absent if both say so, else unexplained.

        That puts days of ended months together, too; not before, so that a download that was interrupted among them
        goes on with files of days.
        """
        holes = [
            self._hole(part)
            for one in left
            for start in days_of(one)
            for part in intersect([one], TimeRange(start, start + DAY_MS))
            if part.bars(self._store.interval)
        ]
        nothing = no_klines(self._store.symbol, self._store.interval)
        source = Source(kind="rest", key="", fetched_at_ms=self._now_ms, rows=0)
        self._store.commit(nothing, source=source, holes=holes, now_ms=self._now_ms)

    def _hole(self, part: TimeRange) -> Hole:
        """REST was asked twice for `part`, which lies in one day; the archive has had its say too."""
        day = day_name(part.start_ms)
        asked = {file: said for file, said in self._outcomes.items() if day.startswith(file.period)}
        came = [_KINDS[file.pace] for file, said in asked.items() if isinstance(said, Arrived)]
        failed = any(isinstance(said, SourceError) for said in asked.values())
        overdue = bool(asked) and part.end_ms <= self._now_ms - _OVERDUE_MS
        agreed = self._archive is None or (not failed and (bool(came) or overdue))
        absent = agreed and part.end_ms <= self._now_ms - _SETTLED_AFTER_MS
        return Hole(
            part.start_ms,
            part.end_ms,
            "confirmed_absent" if absent else "unverified",
            (*sorted(came), "rest"),
            self._now_ms,
        )
