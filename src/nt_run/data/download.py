"""Klines from REST into the store: page by page, kept as they come, what is missing asked for twice."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from nt_run.data.conflicts import Family
from nt_run.data.ingest import parse_rows
from nt_run.data.kline_store import MARK_KLINES, KlineStore
from nt_run.data.manifest import Source
from nt_run.data.ranges import hulls
from nt_run.data.rest import BULK_LIMIT, TAIL_LIMIT, RestClient
from nt_run.errors import InvalidKlinesError, NtRunError
from nt_run.klines import find_gaps
from nt_run.model import TimeRange, format_time

CLOSED_AFTER_MS = 5_000
"""A kline is stored only if it closed this long before the exchange's time: late trades may still change it."""

_PAGES_A_COMMIT = 60


class DownloadProgress(Protocol):
    """Told how far a download is; `label` names it, or says why it waits."""

    def __call__(self, label: str, done: int, total: int, rows: int) -> None:
        """Take note: `done` of `total` units (bars of the grid), `rows` rows so far."""
        ...


class Counter:
    """Counts bars and rows of one download, over all its sources, and tells them."""

    def __init__(self, label: str, total: int, progress: DownloadProgress | None) -> None:
        self._label = label
        self._total = total
        self._progress = progress
        self._done = 0
        self._rows = 0
        self.add(0, 0)

    def add(self, bars: int, rows: int) -> None:
        """Count bars that are settled, one way or another, and rows that came."""
        self._done += bars
        self._rows += rows
        if self._progress is not None:
            self._progress(self._label, min(self._done, self._total), self._total, self._rows)


class Download:
    """One download of klines over REST.

    Args:
        rest: Where to ask.
        store: Where to keep.
        now_ms: The exchange's time: no bar that closed later than 5 s before it is kept.
        count: Told after every page.
        prefer: See `KlineStore.commit`.
    """

    def __init__(
        self,
        rest: RestClient,
        store: KlineStore,
        now_ms: int,
        count: "Counter",
        prefer: Family | None = None,
    ) -> None:
        self._rest = rest
        self._store = store
        self._now_ms = now_ms
        self._count = count
        self._prefer: Family | None = prefer
        self._mark = store.kind == MARK_KLINES
        self._interval = store.interval
        self._pending: list[list[object]] = []

    def fill(self, gaps: Sequence[TimeRange]) -> list[TimeRange]:
        """Fetch what opens in `gaps` (on the grid) and return what did not come though it was asked for twice.

        What arrived is kept even if this ends with an error.

        Raises:
            SourceError: The exchange gave no usable answer.
            InvalidKlinesError: Its rows contradict themselves or those stored before; none of them is kept.
        """
        try:
            for gap in gaps:
                self._fetch(gap)
        except BaseException:
            with suppress(NtRunError):
                self._flush()
            raise
        self._flush()
        missing = [hole for gap in gaps for hole in self._missing(gap)]
        if not missing:
            return []
        for hull in hulls(missing, BULK_LIMIT * self._interval.ms):
            self._fetch(hull)
        self._flush()
        return [hole for gap in missing for hole in self._missing(gap)]

    def fetch_again(self, time_range: TimeRange) -> None:
        """Fetch a range whatever is stored of it.

        Raises:
            SourceError: The exchange gave no usable answer.
            InvalidKlinesError: Its rows contradict themselves.
        """
        self._fetch(time_range)
        self._flush()

    def first_open_ms(self) -> int | None:
        """Return the open time of the very first kline the exchange has; `None` if it has none."""
        everything = TimeRange(0, self._now_ms)
        rows = self._ask(everything, 1)
        return int(str(rows[0][0])) if rows else None

    def _fetch(self, gap: TimeRange) -> None:
        cursor, pages = gap.start_ms, 0
        while cursor < gap.end_ms:
            rest = TimeRange(cursor, gap.end_ms)
            limit = BULK_LIMIT if rest.bars(self._store.interval) > TAIL_LIMIT else TAIL_LIMIT
            rows = self._ask(rest, limit)
            self._refuse_strangers(rows, rest)
            closed = [row for row in rows if self._is_closed(row)]
            self._pending += closed
            # An empty page, not a short one, says that nothing follows: a page may lack rows in its middle.
            upto = self._interval.end(self._last_open(closed)) if closed else gap.end_ms
            upto = max(upto, self._interval.end(cursor))
            self._count.add(TimeRange(cursor, upto).bars(self._interval), len(closed))
            cursor = upto
            pages += 1
            if pages % _PAGES_A_COMMIT == 0:
                self._flush()

    def _ask(self, time_range: TimeRange, limit: int) -> list[list[object]]:
        return self._rest.klines(self._store.symbol, self._store.interval, time_range, limit=limit, mark=self._mark)

    def _refuse_strangers(self, rows: Sequence[Sequence[object]], asked: TimeRange) -> None:
        times = [row[0] for row in rows if row and isinstance(row[0], int)]
        outside = [time for time in times if not asked.start_ms <= time < asked.end_ms]
        if outside:
            where = [format_time(time) for time in outside]
            raise InvalidKlinesError(
                f"{self._store.what} from REST", f"rows were sent that {asked} does not hold", where
            )

    def _is_closed(self, row: Sequence[object]) -> bool:
        opened = row[0] if row else None
        # What is not a time at all is left to the ingest rules, which refuse it with a message.
        return not isinstance(opened, int) or self._interval.end(opened) <= self._now_ms - CLOSED_AFTER_MS

    def _last_open(self, rows: Sequence[Sequence[object]]) -> int:
        return max((row[0] for row in rows if row and isinstance(row[0], int)), default=0)

    def _missing(self, gap: TimeRange) -> list[TimeRange]:
        return [hole.range for hole in find_gaps(self._store.read(gap), gap)]

    def _flush(self) -> None:
        rows, self._pending = self._pending, []
        if not rows:
            return
        key = f"/fapi/v1/{self._store.kind}"
        source = Source(kind="rest", key=key, fetched_at_ms=self._now_ms, rows=0)
        klines, _ = parse_rows(self._store.symbol, self._store.interval, rows, f"{self._store.what} from REST")
        self._store.commit(klines, source=source, now_ms=self._now_ms, prefer=self._prefer)
