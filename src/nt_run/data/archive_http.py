"""HTTP for the public archive, and the only door to its client: whole bodies, or why not.

Redirects are followed on the same host alone: a checksum comes from where its file comes from, so a strange host could
vouch for itself.
"""

import threading
import time
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

RETRIES = 3

_REDIRECTS = 3
_CHUNK = 1 << 16
_SLOWEST = 20_000  # bytes a second, beyond the first seconds: a body that drips is no better than none
_LARGEST_BODY = 1 << 26
_OK, _NOT_FOUND, _TOO_MANY, _SERVER_FAULT = 200, 404, 429, 500
_MOVED = {301, 302, 303, 307, 308}
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class PassingError(Exception):
    """A failure that may pass: worth at most `retries` more attempts. Never leaves the archive's client.

    `wait_s` are the seconds that the answer asked to wait for.
    """

    def __init__(self, reason: str, retries: int = RETRIES, *, wait_s: float | None = None) -> None:
        self.retries = retries
        self.wait_s = wait_s
        super().__init__(reason)


class LastingError(Exception):
    """A failure that stays; with `whole` it concerns every file. Never leaves the archive's client."""

    def __init__(self, reason: str, *, whole: bool = False) -> None:
        self.whole = whole
        super().__init__(reason)


class HttpSource:
    """GET under one address, over a pool of `connections`; `timeout_s` is for a connection and for the next bytes."""

    def __init__(self, base_url: str, *, timeout_s: float, connections: int) -> None:
        self.base_url = base_url.rstrip("/")
        self._timeout_s = timeout_s
        self._pool = _connect(self.base_url, timeout_s, connections)
        self._answered = False
        self._stop = threading.Event()

    def close(self) -> None:
        """Close the connections; downloads under way end with their next bytes."""
        self._stop.set()
        self._pool.clear()

    def get(self, key: str) -> tuple[bytes, str | None] | None:
        """Return the body and the ETag of a key, `None` for a 404.

        Raises:
            PassingError: Another attempt may do better.
            LastingError: None will.
        """
        import urllib3.exceptions as vendor  # noqa: PLC0415 - see _connect

        url = f"{self.base_url}/{key}"
        for _ in range(_REDIRECTS + 1):
            try:
                response = self._pool.request("GET", url, preload_content=False, redirect=False, retries=False)
                self._answered = True
                if response.status not in _MOVED:
                    return self._content(response)
                response.drain_conn()
            except vendor.HTTPError as exc:
                self._translate(exc)
            url = _follow(url, response.headers.get("Location", ""))
        raise LastingError(f"was redirected more than {_REDIRECTS} times")

    def _content(self, response: Any) -> tuple[bytes, str | None] | None:  # noqa: ANN401 - urllib3's answer
        if response.status != _OK:
            response.drain_conn()
            if response.status == _NOT_FOUND:
                return None
            reason = f"was answered with HTTP {response.status}"
            if response.status >= _SERVER_FAULT or response.status == _TOO_MANY:
                raise PassingError(reason, wait_s=_asked_wait(response.headers))
            raise LastingError(reason)
        try:
            body = self._read(response)
        except BaseException:
            response.close()
            raise
        response.release_conn()
        return body, response.headers.get("ETag")

    def _read(self, response: Any) -> bytes:  # noqa: ANN401 - urllib3's answer
        began = time.monotonic()
        body = bytearray()
        # What has come, not a full chunk: a body that drips must be noticed while it does.
        while chunk := response.read1(_CHUNK):
            body += chunk
            if len(body) > _LARGEST_BODY:
                raise LastingError(f"is larger than {_LARGEST_BODY:,} bytes, so it was not used")
            if self._stop.is_set() or time.monotonic() - began > self._timeout_s + len(body) / _SLOWEST:
                raise PassingError(f"came too slowly ({len(body):,} bytes in {time.monotonic() - began:.0f} s)")
        return bytes(body)

    def _translate(self, exc: Exception) -> NoReturn:
        import urllib3.exceptions as vendor  # noqa: PLC0415 - see _connect

        if isinstance(exc, vendor.ProtocolError) and self._answered:
            raise PassingError("was cut off on the way") from exc
        waited = isinstance(exc, vendor.TimeoutError) and not isinstance(exc, vendor.NewConnectionError)
        reason = f"was not answered within {self._timeout_s:g} s" if waited else f"is not reachable ({_root(exc)})"
        if self._answered:
            raise PassingError(reason) from exc
        # It never answered: each further file would wait as long as the first.
        raise LastingError(reason, whole=True) from exc


def _connect(base_url: str, timeout_s: float, connections: int) -> Any:  # noqa: ANN401 - its types end in this file
    import urllib3  # noqa: PLC0415 - a run served by the cache need not pay for it

    address = urlsplit(base_url)
    options: dict[str, Any] = {
        "maxsize": connections,
        "timeout": urllib3.Timeout(connect=timeout_s, read=timeout_s),
        # A zip does not get smaller, and a stored ETag must mean the same bytes everywhere.
        "headers": {"Accept-Encoding": "identity", "User-Agent": "nt-run"},
    }
    host = address.hostname or ""
    proxy = getproxies().get(address.scheme)
    if proxy and host not in _LOOPBACK and not proxy_bypass(host):
        return urllib3.ProxyManager(proxy, **options)
    return urllib3.PoolManager(**options)


def _follow(url: str, location: str) -> str:
    target = urljoin(url, location)
    here, there = urlsplit(url), urlsplit(target)
    if not location or (here.scheme, here.netloc) != (there.scheme, there.netloc):
        raise LastingError(f"is redirected to another address ({location[:60] or 'none'}), which is not followed")
    return target


def _asked_wait(headers: Any) -> float | None:  # noqa: ANN401 - urllib3's headers
    """Return the seconds that `Retry-After` says, a number or a date; the date is held to the answer's own clock."""
    told = str(headers.get("Retry-After", "")).strip()
    if told.isdecimal():
        return float(told)
    try:
        wait = parsedate_to_datetime(told) - parsedate_to_datetime(headers.get("Date", ""))
    except (ValueError, TypeError):
        return None
    return max(wait.total_seconds(), 0.0)


def _root(exc: BaseException) -> str:
    """The innermost cause in words: `Connection refused`, not the tower of exceptions around it."""
    seen: BaseException = exc
    while (inner := seen.__cause__ or seen.__context__) is not None:
        seen = inner
    if isinstance(seen, OSError) and seen.strerror:
        return seen.strerror
    return str(seen)[:80] or type(seen).__name__
