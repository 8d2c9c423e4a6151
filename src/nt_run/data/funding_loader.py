"""Funding rates of one contract: from the cache, and what the cache lacks from REST, asked twice, and the archive.

A settlement that is missing is a hole like one in klines: if all sources were asked and none has it, it counts as known
not to exist; else its range stays unknown, so that the next run asks again. Either way it is missing, and stops a run
that is to be complete. Before the contract's very first settlement none is due.
"""

from dataclasses import replace
from datetime import timedelta

from nt_run.data.archive import ArchiveFile, file_range
from nt_run.data.days import day_name
from nt_run.data.files import download_lock
from nt_run.data.funding import KIND, FundingStore, parse_funding
from nt_run.data.loaded import LoadedFunding
from nt_run.data.missing import MissingSettlements, find_missing
from nt_run.data.ranges import in_words, join, subtract
from nt_run.data.sources import Sources
from nt_run.errors import (
    AllSourcesError,
    DataError,
    IncompleteDataError,
    NotCachedError,
    SourceError,
    UnknownSymbolError,
)
from nt_run.klines import GapStatus
from nt_run.model import FundingRate, TimeRange, format_time, parse_time

_ONLINE = "Run once without --offline to fetch it."
_OVERDUE_MS = timedelta(days=45) // timedelta(milliseconds=1)
"""A month's file appears on the first Monday of the next; one as old as this does not come any more."""
_PUBLISHED_AFTER_MS = 600_000
_OPENED_MS = parse_time("2019-09-01")
"""Before any contract's first settlement: the exchange opened its perpetuals on 2019-09-08."""
_FATES: dict[GapStatus, str] = {
    "confirmed_absent": "and no source has one",
    "unverified": "though one is due: nothing is charged, and the next run asks again",
}


class FundingLoader:
    """Loads settlements of the contract whose store is `store`."""

    def __init__(self, store: FundingStore, sources: Sources) -> None:
        self._store = store
        self._sources = sources
        self._what = f"{store.symbol} funding rates"
        self._reasons: dict[str, str] = {}

    def load(self, time_range: TimeRange, min_completeness: float) -> LoadedFunding:
        """Return the settlements of a range; see `MarketData.load_funding`."""
        store = self._store
        if lacking := store.lacking(time_range):
            if self._sources.offline:
                self._refuse_unasked(lacking, min_completeness)
            else:
                waiting = f"another run is fetching {self._what}, waiting"
                with download_lock(store.series.folder, lambda: self._sources.say(waiting)):
                    # Another run may have done the work meanwhile.
                    self._fetch(time_range, store.lacking(time_range))
        rates, missing = store.read(time_range), self._missing(time_range)
        self._refuse_incomplete(rates, missing, min_completeness)
        told = [
            f"{store.symbol} funding: the settlement of {format_time(slot)} was not published yet and is not charged."
            for slot in store.unpublished(time_range, rates)
            if slot >= self._settled_until(time_range)
        ]
        told += [f"{store.symbol} funding: {one}, {_FATES[one.status]}." for one in missing]
        return LoadedFunding(rates=rates, missing=missing, warnings=[*store.series.warnings, *told])

    def _refuse_unasked(self, lacking: list[TimeRange], min_completeness: float) -> None:
        """Offline: what was asked for and is unexplained may be allowed, what was never asked for is not cached."""
        asked = self._store.asked() if min_completeness < 1 else []
        if unasked := subtract(lacking, asked):
            raise NotCachedError(self._what, in_words(unasked), _ONLINE)

    def _refuse_incomplete(
        self, rates: list[FundingRate], missing: list[MissingSettlements], min_completeness: float
    ) -> None:
        lost = sum(one.count for one in missing)
        completeness = len(rates) / (len(rates) + lost) if lost else 1.0
        if completeness >= min_completeness:
            return
        self._reasons.setdefault("rest", "was asked twice and has none")
        if self._sources.archive_url is not None:
            said = any(one.status == "confirmed_absent" for one in missing)
            self._reasons.setdefault(
                "archive_monthly", "was asked and has none" if said else "does not have the month yet"
            )
        words = [one.in_full() for one in missing]
        instead = "--no-funding charges none at all"
        raise IncompleteDataError(self._what, words, self._reasons, completeness, instead)

    def _fetch(self, time_range: TimeRange, lacking: list[TimeRange]) -> None:
        if not lacking:
            return
        failure: SourceError | None = None
        now_ms = self._sources.now_or_clock(lacking[-1].end_ms)
        try:
            self._ask(lacking, now_ms)
        except (SourceError, UnknownSymbolError) as exc:
            # Contracts that are no longer listed, an exchange out of reach: the archive may still have it.
            self._note_rest(exc)
            failure = exc if isinstance(exc, SourceError) else None
            self._archived(lacking, now_ms)
            if left := [part for one in lacking for part in self._store.lacking(one)]:
                raise self._failed(left, exc) from exc
        self._ask_again(time_range, now_ms, failure)

    def _ask(self, ranges: list[TimeRange], now_ms: int) -> None:
        if self._sources.failure is not None:
            raise self._sources.failure
        for one in ranges:
            self._store.fetch(self._sources.rest(), one, now_ms)

    def _ask_again(self, time_range: TimeRange, now_ms: int, failure: SourceError | None) -> None:
        """Ask once more for what seems to be missing, then the archive; what stays unexplained stays unknown."""
        missing = [one.range for one in self._missing(time_range)]
        if not missing:
            return
        if failure is None:
            try:
                self._learn_first(time_range, now_ms)
                self._ask([one.range for one in self._missing(time_range)], now_ms)
            except UnknownSymbolError as exc:
                self._note_rest(exc)
            except SourceError as exc:
                failure = exc
                self._note_rest(exc)
            missing = [one.range for one in self._missing(time_range)]
        heard = self._archived(missing, now_ms)
        self._learn_archived_first(time_range, now_ms)
        missing = [one.range for one in self._missing(time_range)]
        if failure is None:
            missing = subtract(missing, heard) if self._sources.archive_url else []
        self._store.forget(missing)

    def _learn_first(self, time_range: TimeRange, now_ms: int) -> None:
        """Ask for the very first settlement, where there is none at the start of a range."""
        store = self._store
        if self._begins_known(time_range):
            return
        rows = self._sources.rest().funding_rates(store.symbol, TimeRange(_OPENED_MS, now_ms), limit=1)
        first, _ = parse_funding(rows, f"{self._what} from REST")
        if not first.is_empty():
            store.set_first(int(first["slot"].to_physical()[0]))

    def _learn_archived_first(self, time_range: TimeRange, now_ms: int) -> None:
        """The same where REST does not say, as of a contract that is gone: the archive lacks the month before."""
        store = self._store
        month = file_range(ArchiveFile(KIND, store.symbol, "", day_name(time_range.start_ms)[:7]))
        rates = store.read(month)
        if rates and not self._begins_known(time_range):
            before = TimeRange(month.start_ms - 1, month.start_ms)
            if self._archived([before], now_ms) and not store.has_before(month.start_ms):
                store.set_first(rates[0].slot_ms)

    def _begins_known(self, time_range: TimeRange) -> bool:
        missing, start = self._missing(time_range), time_range.start_ms
        at_start = bool(missing) and missing[0].range.start_ms == start
        return not at_start or self._store.first_ms() is not None or self._store.has_before(start)

    def _archived(self, ranges: list[TimeRange], now_ms: int) -> list[TimeRange]:
        """Ask the archive for the ended months of ranges, and return those that had their say."""
        archive = self._sources.archive()
        if archive is None or not ranges:
            return []
        heard: list[TimeRange] = []
        for file, outcome in self._store.fetch_archive(archive, ranges, now_ms):
            month = file_range(file)
            if isinstance(outcome, SourceError):
                self._reasons["archive_monthly"] = f"{outcome.source.rpartition('/')[2]} {outcome.reason}"
            elif outcome is not None or month.end_ms <= now_ms - _OVERDUE_MS:
                heard.append(month)
        if not heard:
            self._reasons.setdefault("archive_monthly", "has no file of that month")
        return join(heard)

    def _missing(self, time_range: TimeRange) -> list[MissingSettlements]:
        """What is missing of a range, and whether every source was asked for it."""
        store = self._store
        start = max(time_range.start_ms, store.first_ms() or 0)
        until = self._settled_until(time_range)
        if start >= until:
            return []
        part = TimeRange(start, until)
        return [
            one if store.lacking(one.range) else replace(one, status="confirmed_absent")
            for one in find_missing(store.read(part), part)
        ]

    def _settled_until(self, time_range: TimeRange) -> int:
        """Up to when every settlement is published; a cache that knows all of a range has no need of a clock."""
        now_ms = self._sources.now_ms
        return time_range.end_ms if now_ms is None else min(time_range.end_ms, now_ms - _PUBLISHED_AFTER_MS)

    def _note_rest(self, exc: SourceError | UnknownSymbolError) -> None:
        self._reasons["rest"] = exc.reason if isinstance(exc, SourceError) else str(exc)

    def _failed(self, left: list[TimeRange], exc: SourceError | UnknownSymbolError) -> DataError:
        if self._sources.archive_url is None or isinstance(exc, UnknownSymbolError):
            return exc
        return AllSourcesError(self._what, in_words(left), self._reasons, exc.hint)
