"""Market data for a run: from the cache, and what the cache lacks from the exchange.

`MarketData` is what the rest of the package uses. It asks the exchange for nothing that is cached, except for the
trading rules: those are live unless it is offline.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Self

from nt_run.data.audit import Problem, Verified, verify
from nt_run.data.brackets import assumed_rules, choose_rules, kept_rules, read_brackets, shipped_rules
from nt_run.data.conflicts import Family
from nt_run.data.credentials import Credentials
from nt_run.data.download import DownloadProgress
from nt_run.data.funding import FundingStore
from nt_run.data.funding_loader import FundingLoader
from nt_run.data.importing import Imported, ImportOrder, import_klines
from nt_run.data.inventory import CachedSeries, list_cached
from nt_run.data.kline_loader import KlineLoader
from nt_run.data.kline_store import KLINES, MARK_KLINES, KlineStore
from nt_run.data.loaded import LoadedBrackets, LoadedFunding, LoadedKlines, LoadedSpecs
from nt_run.data.mend import Mended, Mender
from nt_run.data.references import CrossChecked, cross_check
from nt_run.data.rules import RuleBook
from nt_run.data.selection import Selection, SeriesRef
from nt_run.data.settlement_prices import HOURS, with_mark_prices
from nt_run.data.snapshots import BRACKETS, SnapshotStore
from nt_run.data.sources import Sources
from nt_run.errors import SourceError
from nt_run.klines import find_gaps
from nt_run.model import Interval, MarketState, TimeRange
from nt_run.rule_changes import RuleChange


@dataclass(slots=True)
class MarketData:
    """Market data of one cache folder and one exchange; use it as a context manager, or `close` it.

    Args:
        root: The cache folder.
        rest_url: The exchange's REST address.
        archive_url: The address of its public archive; `None` does without.
        archive_list_url: The address of the listing of its files; `None` does without.
        offline: Open no socket; what is not cached is an error.
        progress: Told how far downloads are, and why they wait.
        sleep: Waits for seconds, where the exchange asks to.
        clock: Seconds since the epoch; only for the age of a snapshot. What is closed is decided by the exchange's
            clock alone.
        timeout_s: For one request.
        changes: Dated changes that are known of the exchange's rules.
        credentials: The key of an account, for what the exchange tells account holders only: leverage brackets.
    """

    root: Path
    rest_url: str
    archive_url: str | None = None
    archive_list_url: str | None = None
    offline: bool = False
    progress: DownloadProgress | None = None
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.time
    timeout_s: float = 10.0
    changes: Sequence[RuleChange] = ()
    credentials: Credentials | None = None
    _sources: Sources = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._sources = Sources(
            self.rest_url,
            self.archive_url,
            self.archive_list_url,
            offline=self.offline,
            progress=self.progress,
            sleep=self.sleep,
            clock=self.clock,
            timeout_s=self.timeout_s,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, if any were opened."""
        self._sources.close()

    def server_time_ms(self) -> int:
        """Return the exchange's time, asked for now.

        Raises:
            NotCachedError: Offline.
            SourceError: The exchange gave no usable answer.
        """
        return self._sources.server_time_ms()

    def newest_closed_ms(self, interval: Interval) -> int:
        """Return the end of the newest closed bar, by the exchange's time, asked for now; see `server_time_ms`."""
        self.server_time_ms()
        return self.closed_until(interval, 0)

    def closed_until(self, interval: Interval, needed_ms: int) -> int:
        """Return the end of the newest closed bar; the exchange is asked only if that may be before `needed_ms`.

        Raises:
            SourceError: The exchange gave no usable answer, and the archive cannot do without.
        """
        return self._sources.closed_until(interval, needed_ms)

    def remarks(self) -> list[str]:
        """Return what to tell the user of the sources as such, once everything is loaded."""
        return self._sources.clock_remarks

    def load_specs(self, symbol: str) -> LoadedSpecs:
        """Return the trading rules of a symbol, live if possible; every live answer is kept.

        Raises:
            NotCachedError: Offline, and no answer was ever kept.
            SourceError: The exchange gave no usable answer, and no answer was ever kept.
            UnknownSymbolError: The exchange does not list the symbol.
            NotTradableError: It is not a perpetual, or does not trade.
        """
        return self._rules().today(symbol)

    def load_run_specs(self, symbol: str, at: str, time_range: TimeRange) -> LoadedSpecs:
        """Return the trading rules a run of a range asks for: `today`, `range` or a date; see `RuleBook.of_run`."""
        return self._rules().of_run(symbol, at, time_range)

    def load_dated_specs(self, symbol: str, date: str) -> LoadedSpecs:
        """Return the trading rules kept of a date; see `RuleBook.of_date`."""
        return self._rules().of_date(symbol, date)

    def keep_rules(self) -> list[str]:
        """Keep today's trading rules of all contracts, and return what to tell of it; see `RuleBook.keep_today`."""
        return self._rules().keep_today()

    def load_brackets(self, symbol: str, at_ms: int, file: Path | None = None) -> LoadedBrackets:
        """Return the leverage brackets in force at a time: those of `file`, else of a dated table.

        With `credentials` the exchange is asked, and its answer is kept; the tables are the kept answers and those
        that come with the package. Without any of the symbol a flat rate stands in, and `rules.known` is false.

        Raises:
            UsageError: The file cannot be read, or lacks the symbol.
            DataError: The brackets contradict themselves.
        """
        if file is not None:
            return LoadedBrackets(rules=read_brackets(file, symbol), warnings=[])
        store, warnings = SnapshotStore(self.root, BRACKETS, repair=not self.offline), list[str]()
        if self.credentials is not None and not self.offline:
            try:
                self._fetch_brackets(self.credentials, store)
            except SourceError as exc:
                warnings.append(f"The exchange's leverage brackets could not be fetched: {exc.source} {exc.reason}.")
        tables = [*kept_rules(store, symbol, at_ms), *shipped_rules(symbol)]
        rules = choose_rules(tables, at_ms) or assumed_rules(symbol)
        return LoadedBrackets(rules=rules, warnings=[*warnings, *store.warnings])

    def _fetch_brackets(self, credentials: Credentials, store: SnapshotStore) -> None:
        now_ms = self.server_time_ms()
        store.keep({BRACKETS: self._sources.rest().leverage_brackets(credentials, now_ms)}, now_ms)

    def load_market_state(self, symbol: str) -> MarketState | None:
        """Return mark price and funding of this moment; `None` offline, for they are never cached.

        Raises:
            SourceError: The exchange gave no usable answer.
        """
        if self.offline:
            return None
        answer = self._sources.rest().premium_index(symbol)
        last = self._sources.rest().funding_rates(symbol, None, limit=1)
        following = int(answer.get("nextFundingTime") or 0) or None
        settled = int(last[-1]["fundingTime"]) if last else None
        step = None
        if following and settled and following > settled:
            step = round((following - settled) / 3_600_000) * 3_600_000 or None
        return MarketState(
            time_ms=int(answer.get("time") or 0),
            mark_price=Decimal(str(answer["markPrice"])),
            index_price=_decimal(answer.get("indexPrice")),
            last_funding_rate=_decimal(answer.get("lastFundingRate")),
            next_funding_ms=following,
            funding_interval_ms=step,
        )

    def load_klines(
        self, symbol: str, interval: Interval, time_range: TimeRange, *, min_completeness: float = 1.0
    ) -> LoadedKlines:
        """Return exactly the klines that open in `[start, end)`.

        What the cache has is not asked for again; a range that is cached as a whole costs no request at all. An
        interrupted download keeps what arrived.

        Raises:
            NotCachedError: Offline, and bars are missing that were never fetched; it names them.
            SourceError: The exchange gave no usable answer.
            IncompleteDataError: Less than `min_completeness` (a fraction) of the bars exist in any source, or none.
                With less than 1, a source's failure is a warning as long as there is enough.
            InvalidKlinesError: The exchange's rows contradict themselves, or rows stored before.
            DataError: The range starts before the first kline, ends in the future, or is without a bar.
            StoreError: A file of the cache is damaged, and this is offline.
        """
        return self._kline_loader(symbol, interval, KLINES).load(time_range, min_completeness)

    def load_mark_klines(
        self, symbol: str, interval: Interval, time_range: TimeRange, *, min_completeness: float = 1.0
    ) -> LoadedKlines:
        """Return the mark price klines that open in `[start, end)`; they have no volume. See `load_klines`."""
        return self._kline_loader(symbol, interval, MARK_KLINES).load(time_range, min_completeness)

    def load_funding(self, symbol: str, time_range: TimeRange, *, min_completeness: float = 1.0) -> LoadedFunding:
        """Return the settlements with start ≤ slot < end; none is invented, and before the very first none is missing.

        Raises:
            NotCachedError: Offline, and a part of the range was never fetched.
            SourceError: The exchange gave no usable answer.
            IncompleteDataError: Less than `min_completeness` (a fraction) of the settlements exist in any source.
            InvalidKlinesError: The exchange's rows contradict themselves, or rows stored before.
        """
        store = FundingStore(self.root, symbol, repair=not self.offline)
        return FundingLoader(store, self._sources).load(time_range, min_completeness)

    def load_settlements(self, symbol: str, time_range: TimeRange, *, min_completeness: float = 1.0) -> LoadedFunding:
        """Return settlements as `load_funding` does, each with a mark price: its own, or that of a mark kline.

        Where there is neither, as before 2019-12-23, it has none, and what could not be had is among the warnings.
        """
        loaded = self.load_funding(symbol, time_range, min_completeness=min_completeness)
        marks = KlineStore(self.root, symbol, HOURS, repair=not self.offline, kind=MARK_KLINES)
        return with_mark_prices(loaded, marks, self._sources)

    def cached(self) -> list[CachedSeries]:
        """Return what the cache holds, by kind, symbol and interval; no network.

        Only files in use count, not those that were replaced and wait for their removal. A series whose manifest
        cannot be used is listed as `damaged`.

        Raises:
            StoreError: The cache folder is no folder, or cannot be read.
        """
        return list_cached(self.root)

    def verify(self, selection: Selection, *, remote: bool = False) -> Verified:
        """Check what the cache holds; with `remote` also whether the archive has replaced what came from it."""
        if not remote:
            return verify(self.root, selection)
        return verify(self.root, selection, self._sources.archive(), self._sources.archive_list())

    def mend(self, problems: Sequence[Problem], prefer: Family | None = None) -> Mended:
        """Fetch again what `verify` found wrong, and return in words what was done and what failed; see `Mender`."""
        key = self.credentials
        fetch_brackets = None if key is None else partial(self._fetch_brackets, key)
        load_funding = partial(self.load_funding, min_completeness=0.0)
        return Mender(self.root, self._sources, load_funding, prefer, fetch_brackets).mend(problems)

    def import_file(self, order: ImportOrder) -> Imported:
        """Take klines from a user's own file; see `importing.import_klines`."""
        return import_klines(self.root, self._sources, order, self.changes)

    def cross_check(self, selection: Selection) -> list[tuple[SeriesRef, CrossChecked]]:
        """Compare every cached series of klines with a second source or mark prices; see `CrossChecker.check`."""
        return cross_check(self.root, self._sources, selection, self.changes)

    def newest_cached_range(self, symbol: str, interval: Interval, kind: str = KLINES) -> TimeRange | None:
        """Return the newest range of klines without a hole in the cache; no network. `None` if there is none."""
        store = KlineStore(self.root, symbol, interval, repair=not self.offline, kind=kind)
        partitions = store.series.manifest().partitions.values()
        if not partitions:
            return None
        whole = TimeRange(min(one.first_ms for one in partitions), interval.end(max(one.last_ms for one in partitions)))
        gaps = find_gaps(store.read(whole), whole)
        return TimeRange(gaps[-1].range.end_ms, whole.end_ms) if gaps else whole

    def _kline_loader(self, symbol: str, interval: Interval, kind: str) -> KlineLoader:
        store = KlineStore(self.root, symbol, interval, repair=not self.offline, kind=kind)
        return KlineLoader(store, self._sources)

    def _rules(self) -> RuleBook:
        return RuleBook(self.root, self._sources, self.changes)


def _decimal(value: Any) -> Decimal | None:  # noqa: ANN401 - the exchange's JSON
    return Decimal(str(value)) if value not in (None, "") else None
