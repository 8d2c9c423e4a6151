"""The exchange's REST interface, and the only door to its SDK.

Every failure of the SDK becomes an error a person understands, here. What is worth another try is tried again here:
the SDK's own retries are off, because it never waits for a 429 and its default time-out is one second. Raw JSON is
asked for, not the SDK's models. `send_request` is taken from the SDK's common package: the client's own method of that
name raises a TypeError in 18.0.1, and importing the client with its hundreds of models costs a second of CPU.
"""

import json
import logging
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, cast
from urllib.parse import urlsplit

from nt_run.data.credentials import Credentials
from nt_run.data.weight import LONGEST_WAIT_S, HeldError, WeightLedger
from nt_run.errors import SourceError, UnknownSymbolError, UsageError
from nt_run.model import Interval, TimeRange

BULK_LIMIT = 499
"""Rows of a page at the best price: weight 2 for 499 klines."""
TAIL_LIMIT = 99
"""Rows of a page that costs weight 1."""
FUNDING_LIMIT = 1000

_INVALID_SYMBOL = -1121
_DEFAULT_WAIT_S = 60
_DEFAULT_BAN_S = 120
_BACKOFF_S = 0.5
_SIGNED_FOR_MS = 30_000
"""How long a signed request stays good."""
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_HINT = "Use --offline if the range is in the cache, or --demo for the embedded exchange."


class RestClient:
    """Requests to one REST address.

    Args:
        base_url: Such as `https://fapi.binance.com`.
        timeout_s: For one request.
        retries: How often a request is repeated after a failure that may pass.
        notice: Told in words why nothing happens, while it waits.
        sleep: Waits for seconds.
        timer: Seconds of a clock that all processes share and nobody sets, for the request budget.

    All methods raise `SourceError` when the exchange does not give a usable answer.

    Raises:
        UsageError: `base_url` is not an http address.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout_s: float = 10.0,
        retries: int = 3,
        notice: Callable[[str], None] = lambda _text: None,
        sleep: Callable[[float], None] = time.sleep,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        _check_address(base_url)
        self.base_url = base_url.rstrip("/")
        self.requests = 0
        """Requests sent so far, repeated ones included."""
        self._timeout_s = timeout_s
        self._retries = retries
        self._notice = notice
        self._sleep = sleep
        host = urlsplit(base_url).netloc.rpartition("@")[2]
        self._ledger = WeightLedger(host, sleep=sleep, notice=notice, timer=timer)
        self._answered = False
        self._refused = "an earlier run"
        self._session, self._send = _connect(self.base_url, timeout_s)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def server_time_ms(self) -> int:
        """Return the exchange's clock: it decides which klines are closed."""
        answer = self._get("/fapi/v1/time", {}, weight=1)
        return int(self._field(answer, "serverTime", "/fapi/v1/time"))

    def exchange_info(self) -> dict[str, Any]:
        """Return the whole exchangeInfo answer."""
        answer = self._get("/fapi/v1/exchangeInfo", {}, weight=1)
        self._field(answer, "symbols", "/fapi/v1/exchangeInfo")
        self._ledger.learn_limit(answer.get("rateLimits"))
        return cast("dict[str, Any]", answer)

    def klines(
        self, symbol: str, interval: Interval, time_range: TimeRange, *, limit: int, mark: bool = False
    ) -> list[list[object]]:
        """Return at most `limit` rows that open in `time_range`, oldest first; `mark` asks for mark price klines."""
        path = "/fapi/v1/markPriceKlines" if mark else "/fapi/v1/klines"
        params = {"symbol": symbol, "interval": interval.name, **_inclusive(time_range), "limit": limit}
        return self._list(path, params, weight=_kline_weight(limit))

    def funding_rates(self, symbol: str, time_range: TimeRange | None, *, limit: int = FUNDING_LIMIT) -> list[Any]:
        """Return at most `limit` settlements in `time_range`, oldest first; without a range, the newest ones."""
        params = {"symbol": symbol, **(_inclusive(time_range) if time_range else {}), "limit": limit}
        return self._list("/fapi/v1/fundingRate", params, weight=1)

    def premium_index(self, symbol: str) -> dict[str, Any]:
        """Return mark price, index price, last funding rate and next funding time."""
        answer = self._get("/fapi/v1/premiumIndex", {"symbol": symbol}, weight=1)
        self._field(answer, "markPrice", "/fapi/v1/premiumIndex")
        return cast("dict[str, Any]", answer)

    def leverage_brackets(self, credentials: Credentials, time_ms: int) -> list[Any]:
        """Return the leverage brackets of all contracts; signed, as of the exchange's time `time_ms`."""
        params = {"recvWindow": _SIGNED_FOR_MS, "timestamp": time_ms}
        return self._list("/fapi/v1/leverageBracket", params, weight=1, credentials=credentials)

    def _list(
        self, path: str, params: Mapping[str, object], *, weight: int, credentials: Credentials | None = None
    ) -> list[Any]:
        answer = self._get(path, params, weight=weight, credentials=credentials)
        if not isinstance(answer, list):
            self._fail(path, f"answered with something that is not a list of rows ({str(answer)[:60]!r})")
        return cast("list[Any]", answer)

    def _field(self, answer: object, name: str, path: str) -> Any:  # noqa: ANN401 - a value of the exchange's JSON
        if not isinstance(answer, dict) or name not in answer:
            self._fail(path, f"answered without {name} ({str(cast('object', answer))[:60]!r})")
        return cast("dict[str, Any]", answer)[name]

    def _get(
        self, path: str, params: Mapping[str, object], *, weight: int, credentials: Credentials | None = None
    ) -> Any:  # noqa: ANN401 - JSON
        attempt = 0
        while True:
            self._spend(weight, path)
            self.requests += 1
            try:
                response = self._send(path, params, credentials)
                self._ledger.note(response.headers)
                self._answered = True
                return response.data()
            except Exception as exc:  # noqa: BLE001 - the SDK also lets bare ValueError and AttributeError out
                pause = self._judge(exc, path, params, attempt)
            attempt += 1
            if pause:
                self._sleep(pause)

    def _spend(self, weight: int, path: str) -> None:
        try:
            self._ledger.spend(weight)
        except HeldError as exc:
            reason = f"keeps this address out for {_duration(exc.seconds)} more (HTTP {exc.status} to {self._refused})"
            self._fail(path, reason, exc)

    def _judge(self, exc: Exception, path: str, params: Mapping[str, object], attempt: int) -> float:
        """Return how many seconds to wait before the next attempt, or raise what the failure means.

        After a 429 it is the request budget that waits.
        """
        import binance_common.errors as sdk  # noqa: PLC0415 - see _connect

        if isinstance(exc, sdk.BadRequestError) and exc.status_code == _INVALID_SYMBOL:
            raise UnknownSymbolError(str(params.get("symbol"))) from exc
        if isinstance(exc, sdk.RateLimitBanError):
            self._ledger.hold(float(exc.retry_after or _DEFAULT_BAN_S), 418)
            self._refused = "this run"
            lasts = f"for {_duration(exc.retry_after)}" if exc.retry_after else "for 2 minutes to 3 days"
            self._fail(path, f"banned this address {lasts} (HTTP 418), after too many requests", exc)
        if isinstance(exc, sdk.TooManyRequestsError):
            pause = float(exc.retry_after or _DEFAULT_WAIT_S)
            # The ledger waits, in every process: this one asks it again at once.
            self._ledger.hold(pause, 429)
            if pause > LONGEST_WAIT_S or attempt >= self._retries:
                self._fail(path, f"asks to slow down for {_duration(pause)} (HTTP 429)", exc)
            return 0.0
        reason, passing = self._reason(exc)
        if not passing or attempt >= self._retries:
            self._fail(path, reason, exc)
        pause = _BACKOFF_S * 2**attempt * random.uniform(0.5, 1.0)  # noqa: S311 - jitter needs no secrecy
        self._notice(f"the exchange {reason}, trying again in {pause:.1f} s")
        return pause

    def _reason(self, exc: Exception) -> tuple[str, bool]:
        """Return what a failure means in words, and whether it may pass by itself."""
        import binance_common.errors as sdk  # noqa: PLC0415 - see _connect

        if isinstance(exc, sdk.NetworkError):
            return self._network_reason(exc.__cause__ or exc)
        if isinstance(exc, sdk.ServerError):
            return f"has a fault of its own (HTTP {exc.status_code})", True
        if isinstance(exc, sdk.ForbiddenError):
            return "refused the request (HTTP 403): its firewall does not let this address through", False
        if isinstance(exc, sdk.NotFoundError):
            return "does not know this path (HTTP 404): the address may be wrong", False
        if isinstance(exc, sdk.Error):
            told = getattr(exc, "error_message", exc)
            return f"refused the request: {told} (code {getattr(exc, 'status_code', None)})", False
        return self._network_reason(exc)

    def _network_reason(self, cause: BaseException) -> tuple[str, bool]:
        import requests  # noqa: PLC0415 - see _connect

        if isinstance(cause, requests.Timeout):
            return f"did not answer within {self._timeout_s:g} s", self._answered
        begins = str(getattr(cause, "doc", "")).lstrip()[:40]
        torn = requests.exceptions.ChunkedEncodingError | requests.exceptions.ContentDecodingError
        if isinstance(cause, torn) or begins.startswith(("[", "{")):
            return "sent an answer that was cut off", True
        if isinstance(cause, json.JSONDecodeError):
            return f"answered with something that is not JSON ({begins!r})", False
        # An address that never answered is wrong or out of reach; one that did is worth another try.
        return f"is not reachable: {_root(cause)}", self._answered

    def _fail(self, path: str, reason: str, exc: Exception | None = None) -> NoReturn:
        raise SourceError(f"{self.base_url}{path}", reason, _HINT) from exc


def _check_address(base_url: str) -> None:
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(f"exchange.rest_url {base_url!r} is not an address; write https://host")


type _Send = Callable[[str, Mapping[str, object], Credentials | None], Any]


def _connect(base_url: str, timeout_s: float) -> tuple[Any, _Send]:
    """Return a session, and what sends a GET over it, signed if there is a key, and returns the SDK's answer."""
    # Imported here: it costs 0.4 s of CPU, which a run served by the cache need not pay.
    import binance_common.utils as sdk  # noqa: PLC0415 - see above
    import requests  # noqa: PLC0415 - see above
    from binance_common.configuration import ConfigurationRestAPI  # noqa: PLC0415 - see above

    logging.getLogger("ConnectorLogger").setLevel(logging.CRITICAL)
    common: Any = {"base_path": base_url, "timeout": round(timeout_s * 1000), "retries": 0}
    plain = ConfigurationRestAPI(**common)
    session = requests.Session()
    # A proxy set for the outside world cannot reach a server on this machine.
    session.trust_env = urlsplit(base_url).hostname not in _LOOPBACK

    def get(path: str, params: Mapping[str, object], key: Credentials | None) -> Any:  # noqa: ANN401 - the SDK's types end in this file
        signed = ConfigurationRestAPI(api_key=key.key, api_secret=key.secret, **common) if key else plain
        return cast("Any", sdk).send_request(session, signed, "GET", path, dict(params), is_signed=key is not None)

    return session, get


def _inclusive(time_range: TimeRange) -> dict[str, int]:
    """The exchange's bounds: both are inclusive."""
    return {"startTime": time_range.start_ms, "endTime": time_range.end_ms - 1}


def _kline_weight(limit: int) -> int:
    return next((weight for most, weight in ((TAIL_LIMIT, 1), (BULK_LIMIT, 2), (1000, 5)) if limit <= most), 10)


def _duration(seconds: float) -> str:
    for unit, length, least in (("days", 86_400, 2), ("h", 3600, 3), ("min", 60, 2)):
        if seconds >= least * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _root(exc: BaseException) -> str:
    """The innermost cause in words: `Connection refused`, not the tower of exceptions around it."""
    seen: BaseException = exc
    while True:
        inner = seen.__cause__ or seen.__context__
        if inner is None:
            break
        seen = inner
    if isinstance(seen, OSError) and seen.strerror:
        return seen.strerror
    return str(seen)[:80] or type(seen).__name__
