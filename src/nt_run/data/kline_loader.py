"""Klines of one series: from the cache, and what the cache lacks from the sources, with a certificate."""

from nt_run.data.certify import certify, incomplete, oddities
from nt_run.data.conflicts import conflicts_in, disagreement, told
from nt_run.data.days import confirmed_holes, holes_in
from nt_run.data.download import Counter, Download
from nt_run.data.failover import Failover
from nt_run.data.files import download_lock
from nt_run.data.kline_store import KlineStore
from nt_run.data.loaded import LoadedKlines
from nt_run.data.manifest import Manifest
from nt_run.data.ranges import in_words, subtract, to_grid
from nt_run.data.sources import Sources
from nt_run.errors import DataError, NotCachedError, SourceError, UnknownSymbolError
from nt_run.klines import Klines, find_gaps
from nt_run.model import TimeRange, format_time

ONLINE = "Run once without --offline to fetch it."


class KlineLoader:
    """Loads ranges of one series, whose store is `store`."""

    def __init__(self, store: KlineStore, sources: Sources) -> None:
        self._store = store
        self._sources = sources
        self._reasons: dict[str, str] = {}

    def load(self, time_range: TimeRange, min_completeness: float) -> LoadedKlines:
        """Return exactly the klines that open in a range; see `MarketData.load_klines`."""
        store = self._store
        wanted = to_grid(time_range, store.interval)
        if wanted is None:
            raise DataError(f"No {store.interval} bar of {store.symbol} opens in {time_range}. Choose a longer range.")
        klines = store.read(wanted)
        lacking = self._lacking(klines, wanted)
        failure: SourceError | None = None
        if lacking and self._sources.offline:
            self._refuse_unasked(lacking)
        elif lacking:
            failure = self._try_fetch(wanted, min_completeness)
            klines = store.read(wanted)
        manifest = store.series.manifest()
        self._refuse_conflicts(manifest, wanted)
        certificate = certify(klines, wanted, manifest)
        if not len(klines) or certificate.completeness < min_completeness:
            raise failure or incomplete(store.what, klines, certificate, manifest, self._reasons)
        told = [f"{store.what}: what is missing could not be fetched: {failure}"] if failure else self._passed_over()
        return LoadedKlines(
            klines=klines,
            certificate=certificate,
            warnings=[*store.series.warnings, *told, *self._remarks(manifest, wanted)],
        )

    def _try_fetch(self, wanted: TimeRange, min_completeness: float) -> SourceError | None:
        """Fetch what is missing; where holes are allowed, a source's failure is returned."""
        try:
            self._fetch(wanted)
        except SourceError as exc:
            if min_completeness >= 1:
                raise
            return exc
        return None

    def _refuse_unasked(self, lacking: list[TimeRange]) -> None:
        """Offline: a hole that was asked for is a hole, what was never asked for is not cached."""
        days = self._store.series.manifest().days
        asked = [TimeRange(hole.from_ms, hole.to_ms) for one in lacking for hole in holes_in(days, one)]
        if unasked := subtract(lacking, asked):
            raise NotCachedError(self._store.what, in_words(unasked, self._store.interval), ONLINE)

    def _lacking(self, klines: Klines, wanted: TimeRange) -> list[TimeRange]:
        """The holes that are worth asking for."""
        gaps = [gap.range for gap in find_gaps(klines, wanted)]
        if not gaps:
            return []
        known = confirmed_holes(self._store.series.manifest().days, wanted)
        return subtract(gaps, [TimeRange(hole.from_ms, hole.to_ms) for hole in known])

    def _fetch(self, wanted: TimeRange) -> None:
        store, sources = self._store, self._sources
        self._refuse_future(wanted)
        with download_lock(store.series.folder, lambda: sources.say(f"another run is fetching {store.what}, waiting")):
            # Another run may have done the work meanwhile.
            lacking = self._lacking(store.read(wanted), wanted)
            if not lacking:
                return
            self._refuse_before_listing(wanted)
            total = sum(one.bars(store.interval) for one in lacking)
            counter = Counter(store.what, total, sources.progress)
            failover = Failover(
                store,
                archive=sources.archive(),
                download=lambda: self._download(counter),
                now_ms=sources.now_ms or 0,
                counter=counter,
            )
            try:
                failover.fill(lacking)
            finally:
                self._reasons = failover.reasons

    def _download(self, counter: Counter) -> Download:
        if self._sources.failure is not None:
            raise self._sources.failure
        return Download(self._sources.rest(), self._store, self._sources.now_ms or 0, counter)

    def _refuse_future(self, wanted: TimeRange) -> None:
        store = self._store
        closed = self._sources.closed_until(store.interval, wanted.end_ms)
        if wanted.end_ms > closed:
            raise DataError(
                f"{store.symbol} {store.interval}: the range ends at {format_time(wanted.end_ms)}, but the newest "
                f"closed bar ends at {format_time(closed)} UTC. Choose --end {_iso(closed)} or earlier."
            )

    def _refuse_before_listing(self, wanted: TimeRange) -> None:
        store = self._store
        manifest = store.series.manifest()
        if any(one.first_ms <= wanted.start_ms for one in manifest.partitions.values()):
            return
        first = manifest.first_ms
        if first is None:
            try:
                first = self._download(Counter("", 0, None)).first_open_ms()
            except (SourceError, UnknownSymbolError):
                # The archive may still have it: contracts that are no longer listed, an exchange out of reach.
                if self._sources.archive_url:
                    return
                raise
            if first is None:
                raise DataError(f"{store.symbol}: the exchange has no {store.interval} klines at all.")
            store.set_first(first)
        if wanted.start_ms < first:
            raise DataError(
                f"{store.symbol}: the range starts at {format_time(wanted.start_ms)}, but the exchange's first "
                f"{store.interval} kline is of {format_time(first)} UTC. Choose --start {_iso(first)} or later."
            )

    def _refuse_conflicts(self, manifest: Manifest, wanted: TimeRange) -> None:
        undecided = [one for one in conflicts_in(manifest, wanted) if one.kept is None]
        if undecided:
            raise disagreement(self._store.what, undecided, self._store.interval)

    def _remarks(self, manifest: Manifest, wanted: TimeRange) -> list[str]:
        decided = conflicts_in(manifest, wanted)
        return [*told(self._store.what, decided, self._store.interval), *oddities(manifest, wanted)]

    def _passed_over(self) -> list[str]:
        """What failed on the way, though other sources made up for it."""
        failed = [f"{kind}: {reason}" for kind, reason in sorted(self._reasons.items()) if not kind.endswith(" ")]
        return [f"{self._store.what}: not every source could be used ({'; '.join(failed)})."] if failed else []


def _iso(time_ms: int) -> str:
    return format_time(time_ms).replace(" ", "T")
