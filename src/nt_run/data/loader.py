"""Market data for a run: from the cache, and what the cache lacks from the exchange.

`MarketData` is what the rest of the package uses. It asks the exchange for nothing that is cached, except for the
trading rules: those are live unless it is offline.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

from nt_run.data.certify import certify, incomplete, oddities
from nt_run.data.days import confirmed_holes
from nt_run.data.download import CLOSED_AFTER_MS, Download, DownloadProgress
from nt_run.data.funding import FundingStore, find_odd_steps
from nt_run.data.inventory import CachedSeries, list_cached
from nt_run.data.kline_store import KlineStore
from nt_run.data.loaded import LoadedFunding, LoadedKlines, LoadedSpecs
from nt_run.data.ranges import in_words, subtract, to_grid
from nt_run.data.rest import RestClient
from nt_run.data.snapshots import Snapshot, SnapshotStore
from nt_run.errors import DataError, NotCachedError, SourceError
from nt_run.klines import Klines, find_gaps
from nt_run.model import Interval, MarketState, TimeRange, format_time
from nt_run.specs import parse_specs

_ONLINE = "Run once without --offline to fetch it."


@dataclass(slots=True)
class MarketData:
    """Market data of one cache folder and one exchange; use it as a context manager, or `close` it.

    Args:
        root: The cache folder.
        rest_url: The exchange's REST address.
        offline: Open no socket; what is not cached is an error.
        progress: Told how far downloads are, and why they wait.
        sleep: Waits for seconds, where the exchange asks to.
        clock: Seconds since the epoch; only for the age of a snapshot and the request budget. What is closed is
            decided by the exchange's clock alone.
        timeout_s: For one request.
    """

    root: Path
    rest_url: str
    offline: bool = False
    progress: DownloadProgress | None = None
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.time
    timeout_s: float = 10.0
    _client: RestClient | None = field(default=None, init=False, repr=False)
    _now_ms: int | None = field(default=None, init=False, repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, if any were opened."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def server_time_ms(self) -> int:
        """Return the exchange's time, asked for now.

        Raises:
            NotCachedError: Offline.
            SourceError: The exchange gave no usable answer.
        """
        if self.offline:
            raise NotCachedError("the exchange's time", ["it is never cached"], "Give --start and --end.")
        self._now_ms = self._rest().server_time_ms()
        return self._now_ms

    def load_specs(self, symbol: str) -> LoadedSpecs:
        """Return the trading rules of a symbol, live if possible; every live answer is kept.

        Raises:
            NotCachedError: Offline, and no answer was ever kept.
            SourceError: The exchange gave no usable answer, and no answer was ever kept.
            UnknownSymbolError: The exchange does not list the symbol.
            NotTradableError: It is not a perpetual, or does not trade.
        """
        store = SnapshotStore(self.root)
        if self.offline:
            newest = store.newest()
            if newest is None:
                raise NotCachedError("the exchange's trading rules", ["no exchangeInfo was kept"], _ONLINE)
            return self._kept_specs(store, newest, symbol, [])
        try:
            fetched_at = self.server_time_ms()
            answer = self._rest().exchange_info()
        except SourceError as exc:
            newest = store.newest()
            if newest is None:
                raise
            age = max(0.0, self.clock() - newest.last_seen_ms / 1000)
            warning = (
                f"The exchange's trading rules could not be fetched: {exc.source} {exc.reason}. "
                f"Those of {format_time(newest.last_seen_ms)} UTC are used, {_age(age)} old."
            )
            return self._kept_specs(store, newest, symbol, [warning])
        snapshot = store.keep(answer, fetched_at)
        specs = parse_specs(answer, symbol, as_of_ms=fetched_at, source=self.rest_url)
        return LoadedSpecs(specs=specs, snapshot=snapshot.file, warnings=[])

    def load_market_state(self, symbol: str) -> MarketState | None:
        """Return mark price and funding of this moment; `None` offline, for they are never cached.

        Raises:
            SourceError: The exchange gave no usable answer.
        """
        if self.offline:
            return None
        answer = self._rest().premium_index(symbol)
        last = self._rest().funding_rates(symbol, None, limit=1)
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
            IncompleteDataError: Less than `min_completeness` (a fraction) of the bars exist in any source.
            InvalidKlinesError: The exchange's rows contradict themselves, or rows stored before.
            DataError: The range starts before the first kline, ends in the future, or is without a bar.
            StoreError: A file of the cache is damaged, and this is offline.
        """
        wanted = to_grid(time_range, interval)
        if wanted is None:
            raise DataError(f"No {interval} bar of {symbol} opens in {time_range}. Choose a longer range.")
        store = KlineStore(self.root, symbol, interval, repair=not self.offline)
        klines = store.read(wanted)
        lacking = self._lacking(store, klines, wanted)
        if lacking and self.offline:
            raise NotCachedError(f"{symbol} {interval} klines", in_words(lacking, interval), _ONLINE)
        if lacking:
            self._download(store, wanted, lacking)
            klines = store.read(wanted)
        manifest = store.series.manifest()
        certificate = certify(klines, wanted, manifest)
        if certificate.completeness < min_completeness:
            raise incomplete(klines, certificate)
        return LoadedKlines(
            klines=klines, certificate=certificate, warnings=[*store.series.warnings, *oddities(manifest, wanted)]
        )

    def load_funding(self, symbol: str, time_range: TimeRange) -> LoadedFunding:
        """Return the settlements with start ≤ slot < end; a settlement that is missing is told, not invented.

        Raises:
            NotCachedError: Offline, and a part of the range was never fetched.
            SourceError: The exchange gave no usable answer.
            InvalidKlinesError: The exchange's rows contradict themselves, or rows stored before.
        """
        store = FundingStore(self.root, symbol, repair=not self.offline)
        rates = store.read(time_range)
        lacking = store.lacking(time_range)
        if lacking and self.offline:
            raise NotCachedError(f"{symbol} funding rates", in_words(lacking), _ONLINE)
        if lacking:
            now_ms = self.server_time_ms()
            for part in lacking:
                store.fetch(self._rest(), part, now_ms)
            rates = store.read(time_range)
        odd = [f"{symbol} funding: {words}." for words in find_odd_steps(rates, time_range)]
        odd += [
            f"{symbol} funding: the settlement of {format_time(slot)} was not published yet and is not charged."
            for slot in store.unpublished(time_range, rates)
        ]
        return LoadedFunding(rates=rates, warnings=[*store.series.warnings, *odd])

    def cached(self) -> list[CachedSeries]:
        """Return what the cache holds, by kind, symbol and interval; no network.

        Only files in use count, not those that were replaced and wait for their removal. A series whose manifest
        cannot be used is listed as `damaged`.

        Raises:
            StoreError: The cache folder is no folder, or cannot be read.
        """
        return list_cached(self.root)

    def newest_cached_range(self, symbol: str, interval: Interval) -> TimeRange | None:
        """Return the newest range of klines without a hole in the cache; no network. `None` if there is none."""
        store = KlineStore(self.root, symbol, interval, repair=not self.offline)
        partitions = store.series.manifest().partitions.values()
        if not partitions:
            return None
        whole = TimeRange(min(one.first_ms for one in partitions), max(one.last_ms for one in partitions) + interval.ms)
        gaps = find_gaps(store.read(whole), whole)
        return TimeRange(gaps[-1].range.end_ms, whole.end_ms) if gaps else whole

    def _rest(self) -> RestClient:
        if self._client is None:
            self._client = RestClient(
                self.rest_url, timeout_s=self.timeout_s, notice=self._say, sleep=self.sleep, clock=self.clock
            )
        return self._client

    def _say(self, text: str) -> None:
        if self.progress is not None:
            self.progress(text, 0, 0, 0)

    def _kept_specs(self, store: SnapshotStore, snapshot: Snapshot, symbol: str, warnings: list[str]) -> LoadedSpecs:
        specs = parse_specs(store.read(snapshot), symbol, as_of_ms=snapshot.last_seen_ms, source=snapshot.file)
        return LoadedSpecs(specs=specs, snapshot=snapshot.file, warnings=warnings)

    def _lacking(self, store: KlineStore, klines: Klines, wanted: TimeRange) -> list[TimeRange]:
        """The holes that are worth asking for."""
        gaps = [gap.range for gap in find_gaps(klines, wanted)]
        if not gaps:
            return []
        known = confirmed_holes(store.series.manifest().days, wanted)
        return subtract(gaps, [TimeRange(hole.from_ms, hole.to_ms) for hole in known])

    def _download(self, store: KlineStore, wanted: TimeRange, lacking: list[TimeRange]) -> None:
        closed = self._closed_until(store.interval, wanted.end_ms)
        if wanted.end_ms > closed:
            raise DataError(
                f"{store.symbol} {store.interval}: the range ends at {format_time(wanted.end_ms)}, but the newest "
                f"closed bar ends at {format_time(closed)} UTC. Choose --end {_iso(closed)} or earlier."
            )
        download = Download(self._rest(), store, self._now_ms or 0, self.progress)
        self._check_listed(store, download, wanted)
        download.fill(lacking)

    def _closed_until(self, interval: Interval, needed_ms: int) -> int:
        """The end of the newest bar that counts as closed; the exchange is asked again only if that may matter."""
        if self._now_ms is None or (self._now_ms - CLOSED_AFTER_MS) // interval.ms * interval.ms < needed_ms:
            self.server_time_ms()
        return ((self._now_ms or 0) - CLOSED_AFTER_MS) // interval.ms * interval.ms

    def _check_listed(self, store: KlineStore, download: Download, wanted: TimeRange) -> None:
        manifest = store.series.manifest()
        if any(one.first_ms <= wanted.start_ms for one in manifest.partitions.values()):
            return
        first = manifest.first_ms
        if first is None:
            first = download.first_open_ms()
            if first is None:
                raise DataError(f"{store.symbol}: the exchange has no {store.interval} klines at all.")
            store.set_first(first)
        if wanted.start_ms < first:
            raise DataError(
                f"{store.symbol}: the range starts at {format_time(wanted.start_ms)}, but the exchange's first "
                f"{store.interval} kline is of {format_time(first)} UTC. Choose --start {_iso(first)} or later."
            )


def _decimal(value: Any) -> Decimal | None:  # noqa: ANN401 - the exchange's JSON
    return Decimal(str(value)) if value not in (None, "") else None


def _iso(time_ms: int) -> str:
    return format_time(time_ms).replace(" ", "T")


def _age(seconds: float) -> str:
    hours = seconds / 3600
    if hours < 1:
        return f"{seconds / 60:.0f} minutes"
    return f"{hours:.0f} hours" if hours < 48 else f"{hours / 24:.0f} days"  # noqa: PLR2004 - two days
