"""The embedded exchange: a loopback server that speaks the exchange's REST and archive protocols.

    with DemoExchange() as exchange:
        urllib.request.urlopen(f"{exchange.rest_url}/fapi/v1/time")

Nothing leaves the machine, and every answer carries the header `X-NT-Run-Demo`.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl, urlsplit

from nt_run.demo.account import SIGNED, answer_signed
from nt_run.demo.answers import Answer, Query
from nt_run.demo.archive import Amendment, Archive
from nt_run.demo.bucket import PATH as BUCKET
from nt_run.demo.bucket import Bucket
from nt_run.demo.candles import Market
from nt_run.demo.faults import Fault, Faults
from nt_run.demo.market import SyntheticMarket
from nt_run.demo.regimes import CONTRACTS
from nt_run.demo.rest import RestApi
from nt_run.demo.rules import WEIGHT_LIMIT, build_exchange_info
from nt_run.demo.wire import ADDRESS, LoopbackServer, Reply

MARKER = "X-NT-Run-Demo"
"""Header of every answer; its value says whether the market is `synthetic` or `recorded`."""

_MINUTE = 60.0


class Served(NamedTuple):
    """One request the exchange received, and the status it answered: 0 if the connection failed instead."""

    method: str
    path: str
    query: Query
    status: int


class DemoExchange:
    """An exchange on the loopback address, from `with` to the end of its block.

    `requests` lists what was served, `weight` sums what it cost. `clock_ms` may be set while it serves.

    Args:
        faults: What goes wrong; see `nt_run.demo.faults`.
        market: One market or several; the synthetic ones unless given.
        clock_ms: The exchange's time, which stands still; the latest of the markets' own moments unless given.
        exchange_info: The answer to exchangeInfo instead of the synthetic one; its `serverTime` is replaced.
        weight_limit: Request weight a minute, as exchangeInfo tells it; beyond it 429 is answered.
        port: 0 takes a free one.
        timer: Monotonic seconds; tells when a minute of weight is over.
    """

    def __init__(
        self,
        faults: Iterable[Fault] = (),
        *,
        market: Market | Sequence[Market] | None = None,
        clock_ms: int | None = None,
        exchange_info: Mapping[str, Any] | None = None,
        weight_limit: int = WEIGHT_LIMIT,
        port: int = 0,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        chosen = [SyntheticMarket(symbol) for symbol in CONTRACTS] if market is None else market
        markets = chosen if isinstance(chosen, Sequence) else [chosen]
        self.clock_ms = max(each.now_ms for each in markets) if clock_ms is None else clock_ms
        self.requests: list[Served] = []
        self.weight = 0
        origin = "synthetic" if all(isinstance(each, SyntheticMarket) for each in markets) else "recorded"
        self._info = exchange_info
        self._weight_limit = weight_limit
        self._faults = Faults(faults)
        self._timer = timer
        self._minute = (timer(), 0)
        self._lock = threading.Lock()
        by_symbol = {each.symbol: each for each in markets}
        self._rest = RestApi(by_symbol, self._exchange_info, lambda: self.clock_ms)
        self._archive = Archive(by_symbol, lambda: self.clock_ms)
        self._bucket = Bucket(self._archive)
        self._server = LoopbackServer(port, self._respond, {MARKER: origin})

    @property
    def rest_url(self) -> str:
        """Stands for https://fapi.binance.com."""
        return f"http://{ADDRESS}:{self._server.server_port}"

    @property
    def archive_url(self) -> str:
        """Stands for https://data.binance.vision."""
        return self.rest_url

    @property
    def archive_list_url(self) -> str:
        """Stands for https://s3-ap-northeast-1.amazonaws.com/data.binance.vision, the archive's object store."""
        return self.rest_url + BUCKET

    def amend_archive(self, match: str, change: Amendment) -> None:
        """Change what the archive's klines files hold from now on: short, corrected and replaced ones.

        Checksums fit. `match` is a part of such a name as `monthly/klines/BTCUSDT-1m-2026-05`.
        """
        self._archive.amend(match, change)

    def start(self) -> Self:
        """Begin to serve in the background; `with` does it."""
        self._server.start()
        return self

    def stop(self) -> None:
        """End all connections and threads; `with` does it."""
        self._server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _respond(self, method: str, target: str, key: str) -> Reply:
        url = urlsplit(target)
        query = dict(parse_qsl(url.query))
        fault = self._faults.next(target)
        answer = (
            self._answer(url.path, query)
            if url.path != SIGNED
            else self._charge(url.path, answer_signed(url.query, key, self.clock_ms))
        )
        if fault is not None:
            answer = fault.apply(answer)
        mishap = fault.mishap if fault is not None else None
        with self._lock:
            lost = mishap in {"timeout", "reset"}
            self.requests.append(Served(method, url.path, query, 0 if lost else answer.status))
        return Reply(answer, mishap)

    def _answer(self, path: str, query: Query) -> Answer:
        if path.rstrip("/") == BUCKET:
            return self._bucket.answer(query)
        if not path.startswith("/fapi/"):
            return self._archive.answer(path)
        return self._charge(path, self._rest.answer(path, query))

    def _charge(self, path: str, answer: Answer) -> Answer:
        """Charge the request's weight, which may be more than there is left."""
        used, left = self._spend(answer.weight)
        if used > self._weight_limit:
            answer = Fault(path, "429", retry_after=int(left) + 1).apply(answer)
        return replace(answer, headers={**answer.headers, "X-MBX-USED-WEIGHT-1M": str(used)})

    def _spend(self, weight: int) -> tuple[int, float]:
        """Return the weight used in this minute, this request included, and the seconds the minute still has."""
        with self._lock:
            self.weight += weight
            now = self._timer()
            began, used = self._minute
            if now - began >= _MINUTE:
                began, used = now, 0
            self._minute = (began, used + weight)
            return used + weight, began + _MINUTE - now

    def _exchange_info(self, now_ms: int) -> Mapping[str, Any]:
        if self._info is not None:
            return {**self._info, "serverTime": now_ms}
        return build_exchange_info(now_ms, self._weight_limit)
