"""The embedded exchange: a loopback server that speaks the exchange's REST and archive protocols.

with DemoExchange() as exchange:
    requests.get(f"{exchange.rest_url}/fapi/v1/time")

Nothing leaves the machine. Every answer carries the header `X-NT-Run-Demo: synthetic` (or `recorded`).
"""

import gzip
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, NamedTuple, Self, cast, override
from urllib.parse import parse_qsl, urlsplit

from nt_run.demo.answers import Answer, Query
from nt_run.demo.archive import Archive
from nt_run.demo.candles import Market
from nt_run.demo.faults import Fault, Faults
from nt_run.demo.market import SyntheticMarket
from nt_run.demo.regimes import CONTRACTS
from nt_run.demo.rest import RestApi
from nt_run.demo.rules import WEIGHT_LIMIT, build_exchange_info

MARKER = "X-NT-Run-Demo"
"""Header of every answer: the market is `synthetic`, or `recorded`."""

_ADDRESS = "127.0.0.1"
_MINUTE = 60.0
_LONGEST_WAIT = 600.0
_GZIP_FROM = 1024
"""Bytes; smaller bodies are sent as they are."""


class Served(NamedTuple):
    """One request the exchange received, and how it ended: status 0 if nothing was answered."""

    method: str
    path: str
    query: Query
    status: int


class DemoExchange:
    """An exchange on a free port of the loopback address, from `with` to the end of its block.

    Args:
        faults: What goes wrong (see `nt_run.demo.faults`).
        market: One market or several; the synthetic ones unless given.
        clock_ms: The exchange's time, which stands still; the market's own moment unless given. May be set later.
        exchange_info: The exchangeInfo answer to give instead of the synthetic one; its `serverTime` is replaced.
        weight_limit: Request weight a minute; beyond it 429 is answered, as the exchange does.
        port: 0 takes a free one.
        timer: Seconds, monotonic; tells when a minute of weight is over.
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
        if market is None:
            market = [SyntheticMarket(symbol) for symbol in CONTRACTS]
        markets = list(market) if isinstance(market, Sequence) else [market]
        self.origin = "synthetic" if all(isinstance(each, SyntheticMarket) for each in markets) else "recorded"
        self.clock_ms = max(each.now_ms for each in markets) if clock_ms is None else clock_ms
        self.requests: list[Served] = []
        self.weight = 0
        self.faults = Faults(faults)
        self.stopping = threading.Event()
        self._info = exchange_info
        self._weight_limit = weight_limit
        self._timer = timer
        self._minute = (timer(), 0)
        self._lock = threading.Lock()
        by_symbol = {each.symbol: each for each in markets}
        self._rest = RestApi(by_symbol, self._exchange_info, lambda: self.clock_ms)
        self._archive = Archive(by_symbol, lambda: self.clock_ms)
        self._server = _Server((_ADDRESS, port), self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def rest_url(self) -> str:
        """Stands for https://fapi.binance.com."""
        return f"http://{_ADDRESS}:{self._server.server_port}"

    @property
    def archive_url(self) -> str:
        """Stands for https://data.binance.vision."""
        return self.rest_url

    def start(self) -> Self:
        """Begin to serve; `with` does it."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End all connections and wait for their threads; `with` does it."""
        self.stopping.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.end_connections()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def answer(self, path: str, query: Query) -> Answer:
        """Return the answer to a GET, faults and connection aside, and spend its weight."""
        if not path.startswith("/fapi/"):
            return self._archive.answer(path)
        answer = self._rest.answer(path, query)
        used, left = self._spend(answer.weight)
        headers = {**answer.headers, "X-MBX-USED-WEIGHT-1M": str(used)}
        if used <= self._weight_limit:
            return Answer(answer.body, answer.status, answer.content_type, answer.weight, headers)
        refused = Fault(path, "429", retry_after=int(left) + 1).apply(answer)
        return Answer(refused.body, refused.status, weight=answer.weight, headers={**headers, **refused.headers})

    def record(self, served: Served) -> None:
        """Keep one request."""
        with self._lock:
            self.requests.append(served)

    def _spend(self, weight: int) -> tuple[int, float]:
        """Return the weight used in this minute, this request included, and the seconds the minute still has."""
        with self._lock:
            self.weight += weight
            began, used = self._minute
            now = self._timer()
            if now - began >= _MINUTE:
                began, used = now, 0
            self._minute = (began, used + weight)
            return used + weight, began + _MINUTE - now

    def _exchange_info(self, now_ms: int) -> Mapping[str, Any]:
        if self._info is not None:
            return {**self._info, "serverTime": now_ms}
        return build_exchange_info(now_ms, self._weight_limit)


class _Server(HTTPServer):
    """One thread per connection, all of which can be ended at once."""

    request_queue_size = 64

    def __init__(self, address: tuple[str, int], exchange: DemoExchange) -> None:
        self.exchange = exchange
        self._open: dict[socket.socket, threading.Thread] = {}
        self._guard = threading.Lock()
        super().__init__(address, _Handler)

    @override
    def server_bind(self) -> None:
        # HTTPServer asks the name service for this machine's name here; loopback needs none.
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = _ADDRESS, int(self.server_address[1])

    @override
    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(target=self._serve, args=(request, client_address), daemon=True)
        with self._guard:
            self._open[request] = thread
        thread.start()

    def _serve(self, request: socket.socket, client_address: object) -> None:
        try:
            self.finish_request(request, client_address)
        except OSError:
            pass  # the client went away, as clients do
        finally:
            with self._guard:
                self._open.pop(request, None)
            self.shutdown_request(request)

    def end_connections(self) -> None:
        """Wake every connection's thread and wait until it is gone."""
        with self._guard:
            still = list(self._open.items())
            for connection, _ in still:
                # A thread that waits for the next request sees the end of the stream.
                _hang_up(connection)
        for _, thread in still:
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave in one piece

    def do_GET(self) -> None:
        self._serve(send_body=True)

    def do_HEAD(self) -> None:
        self._serve(send_body=False)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet: `DemoExchange.requests` is the log."""

    @override
    def version_string(self) -> str:
        return "nt-run-demo"

    def _serve(self, *, send_body: bool) -> None:
        exchange = cast("_Server", self.server).exchange
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query))
        answer = exchange.answer(url.path, query)
        fault = exchange.faults.next(self.path)
        silent = fault is not None and fault.kind in {"timeout", "reset"}
        if fault is not None:
            answer = fault.apply(answer)
        exchange.record(Served(self.command, url.path, query, 0 if silent else answer.status))
        if fault is not None and fault.kind == "timeout":
            exchange.stopping.wait(_LONGEST_WAIT)
            self.close_connection = True
        elif fault is not None and fault.kind == "reset":
            _reset(self.connection)
            self.close_connection = True
        else:
            self._send(answer, exchange.origin, send_body=send_body, cut=fault is not None and fault.kind == "cut")

    def _send(self, answer: Answer, origin: str, *, send_body: bool, cut: bool) -> None:
        body, headers = answer.body, {**answer.headers, MARKER: origin, "Content-Type": answer.content_type}
        packed = "gzip" in self.headers.get("Accept-Encoding", "") and answer.content_type.startswith(
            "application/json"
        )
        if packed and len(body) >= _GZIP_FROM:
            # The lowest level: on loopback the bytes are cheap and the processor is not.
            body, headers["Content-Encoding"] = gzip.compress(body, 1, mtime=0), "gzip"
        self.send_response(answer.status, _reason(answer.status))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if cut:
            body = body[: len(body) // 2]
            self.close_connection = True
        if send_body:
            self.wfile.write(body)


def _reason(status: int) -> str:
    return HTTPStatus(status).phrase


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # already gone


def _reset(connection: socket.socket) -> None:
    """Close so that the client sees a reset: lingering for no time drops the connection at once."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
