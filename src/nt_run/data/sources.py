"""Where market data comes from: the exchange's REST interface and its public archive, opened when first needed."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from nt_run.data.archive import ArchiveClient
from nt_run.data.archive_list import ArchiveList
from nt_run.data.download import CLOSED_AFTER_MS, DownloadProgress
from nt_run.data.rest import RestClient
from nt_run.errors import NotCachedError, SourceError
from nt_run.model import Interval

LONG_PAST_MS = 2 * 86_400_000
"""What ended longer ago is over by any machine's clock, were it a day wrong."""


@dataclass(slots=True)
class Sources:
    """One exchange and its archive; see `MarketData` for the arguments."""

    rest_url: str
    archive_url: str | None
    archive_list_url: str | None = None
    offline: bool = False
    progress: DownloadProgress | None = None
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.time
    timeout_s: float = 10.0
    now_ms: int | None = field(default=None, init=False)
    """The exchange's time when it was last asked for."""
    failure: SourceError | None = field(default=None, init=False)
    """Why REST did not even tell the time; it is not asked for anything else then."""
    _rest: RestClient | None = field(default=None, init=False, repr=False)
    _archive: ArchiveClient | None = field(default=None, init=False, repr=False)
    _list: ArchiveList | None = field(default=None, init=False, repr=False)

    def close(self) -> None:
        """Close the connections, if any were opened."""
        for client in (self._rest, self._archive, self._list):
            if client is not None:
                client.close()
        self._rest = self._archive = self._list = None

    def rest(self) -> RestClient:
        """Return the REST client."""
        if self._rest is None:
            self._rest = RestClient(self.rest_url, timeout_s=self.timeout_s, notice=self.say, sleep=self.sleep)
        return self._rest

    def archive(self) -> ArchiveClient | None:
        """Return the archive's client, `None` if there is no archive."""
        if self._archive is None and self.archive_url:
            self._archive = ArchiveClient(self.archive_url, timeout_s=self.timeout_s, notice=self.say, sleep=self.sleep)
        return self._archive

    def archive_list(self) -> ArchiveList | None:
        """Return what lists the archive's files, `None` if there is no such address."""
        if self._list is None and self.archive_list_url:
            self._list = ArchiveList(self.archive_list_url, timeout_s=self.timeout_s, notice=self.say, sleep=self.sleep)
        return self._list

    def server_time_ms(self) -> int:
        """Return the exchange's time, asked for now.

        Raises:
            NotCachedError: Offline.
            SourceError: The exchange gave no usable answer.
        """
        if self.offline:
            raise NotCachedError("the exchange's time", ["it is never cached"], "Give --start and --end.")
        if self.failure is not None:
            # Asked with all patience before: once is enough.
            raise self.failure
        try:
            self.now_ms = self.rest().server_time_ms()
        except SourceError as exc:
            self.failure = exc
            raise
        return self.now_ms

    def now_or_clock(self, needed_ms: int) -> int:
        """Return the exchange's time; where REST does not tell it, this machine's clock, for what ended long ago.

        Raises:
            SourceError: REST does not tell it, and there is no archive or `needed_ms` is not long past by this clock.
        """
        try:
            return self.server_time_ms()
        except SourceError:
            now_ms = int(self.clock() * 1000)
            if not self.archive_url or needed_ms > now_ms - LONG_PAST_MS:
                raise
            self.now_ms = now_ms
            return now_ms

    @property
    def clock_remarks(self) -> list[str]:
        """What to tell the user where this machine's clock stood in for the exchange's."""
        if self.failure is None or self.now_ms is None:
            return []
        reason = f"{self.failure.source} {self.failure.reason}"
        return [f"REST is out of reach ({reason}): the archive was asked alone, by the clock of this machine."]

    def closed_until(self, interval: Interval, needed_ms: int) -> int:
        """Return the end of the newest bar that counts as closed; the exchange is asked again only if that may matter.

        See `now_or_clock` for what happens where REST does not answer.

        Raises:
            SourceError: The exchange gave no usable answer, and the archive cannot do without.
        """
        if self.now_ms is None or self._closed(interval, self.now_ms) < needed_ms:
            self.now_or_clock(needed_ms)
        return self._closed(interval, self.now_ms or 0)

    def say(self, text: str) -> None:
        """Tell the user why nothing happens."""
        if self.progress is not None:
            self.progress(text, 0, 0, 0)

    def _closed(self, interval: Interval, now_ms: int) -> int:
        return interval.floor(now_ms - CLOSED_AFTER_MS)
