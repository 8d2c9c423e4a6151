"""How often, and after what wait, the archive is asked again; what stays becomes an error a person understands."""

import random
import time
from collections.abc import Callable
from typing import NoReturn

from nt_run.data.archive_http import RETRIES, LastingError, PassingError
from nt_run.errors import SourceError

LONGEST_WAIT_S = 60
"""What a source asks to wait for longer than this is an error instead: the next source is there at once."""

_BACKOFF_S = 0.5
_IN_A_ROW = 3


class Patience:
    """Repeats what may pass, for all threads that ask one address; one that never answers is given up for all files.

    So is one that fails file after file.

    Args:
        base_url: The address, for errors.
        notice: Told in words what is tried again.
        sleep: Waits for seconds.
    """

    def __init__(self, base_url: str, *, notice: Callable[[str], None], sleep: Callable[[float], None]) -> None:
        self.base_url = base_url.rstrip("/")
        self._notice = notice
        self._sleep = sleep
        self._dead: SourceError | None = None
        self._quiet_until = 0.0
        self._failed = 0

    def ask[T](self, key: str, work: Callable[[], T]) -> T:
        """Return what `work` returns, asked again where that may help.

        Raises:
            SourceError: It does not; `key` is what was asked for.
        """
        attempt = 0
        while True:
            if self._dead is not None:
                raise self._dead
            self._keep_quiet()
            try:
                answer = work()
            except PassingError as exc:
                self._judge(key, exc, attempt)
            except LastingError as exc:
                if exc.whole:
                    self._give_up(str(exc), exc)
                self.fail(key, str(exc), exc)
            else:
                self._failed = 0
                return answer
            attempt += 1

    def fail(self, key: str, reason: str, exc: Exception | None = None) -> NoReturn:
        """Raise the error that one file's failure means."""
        raise SourceError(f"{self.base_url}/{key}", reason) from exc

    def _judge(self, key: str, exc: PassingError, attempt: int) -> None:
        """Wait before the next attempt, or raise what the failure means."""
        if exc.wait_s is not None and exc.wait_s > LONGEST_WAIT_S:
            self._give_up(f"{exc} and asks to wait for {exc.wait_s:,.0f} s", exc)
        if attempt >= exc.retries:
            # A wrong checksum is one file's own fault; what is worth all the attempts is the address's.
            self._failed += exc.retries == RETRIES
            if self._failed >= _IN_A_ROW:
                self._give_up(f"failed {_IN_A_ROW} files in a row, {key.rpartition('/')[2]} {exc}", exc)
            self.fail(key, str(exc), exc)
        name = key.rpartition("/")[2]
        if exc.wait_s is not None:
            self._notice(f"{name} {exc}; trying again in {exc.wait_s:.0f} s, as asked")
            self._quiet_until = max(self._quiet_until, time.monotonic() + exc.wait_s)
            return
        self._notice(f"{name} {exc}; trying again")
        self._sleep(_BACKOFF_S * 2**attempt * random.uniform(0.5, 1.0))  # noqa: S311 - jitter needs no secrecy

    def _keep_quiet(self) -> None:
        """Wait as long as any thread was asked to: who is refused once is refused with every further request."""
        left = self._quiet_until - time.monotonic()
        if left > 0:
            self._sleep(left)

    def _give_up(self, reason: str, exc: Exception) -> NoReturn:
        self._dead = SourceError(self.base_url, reason)
        raise self._dead from exc
