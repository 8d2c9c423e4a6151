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
    """Why REST did not even tell the time, where the archive may do without."""
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
        self.now_ms = self.rest().server_time_ms()
        return self.now_ms

    def closed_until(self, interval: Interval, needed_ms: int) -> int:
        """Return the end of the newest bar that counts as closed; the exchange is asked again only if that may matter.

        If REST does not answer and there is an archive, this machine's clock stands in: the archive publishes nothing
        that is not closed.

        Raises:
            SourceError: The exchange gave no usable answer, and there is no archive.
        """
        if self.now_ms is None or self._closed(interval, self.now_ms) < needed_ms:
            try:
                self.server_time_ms()
            except SourceError as exc:
                if not self.archive_url:
                    raise
                self.failure, self.now_ms = exc, int(self.clock() * 1000)
        return self._closed(interval, self.now_ms or 0)

    def say(self, text: str) -> None:
        """Tell the user why nothing happens."""
        if self.progress is not None:
            self.progress(text, 0, 0, 0)

    def _closed(self, interval: Interval, now_ms: int) -> int:
        return interval.floor(now_ms - CLOSED_AFTER_MS)
