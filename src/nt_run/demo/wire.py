"""HTTP on the loopback address: connections, compression, and the faults that happen below HTTP."""

import contextlib
import socket
import struct
import threading
import zlib
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Literal, NamedTuple, cast, override

from nt_run.demo.answers import JSON_TYPE, Answer

ADDRESS = "127.0.0.1"

_GZIP_FROM = 1024
"""Bytes; smaller bodies are sent as they are."""
_LONGEST_WAIT = 600.0
_DRIP, _BETWEEN_DRIPS = 64, 0.02


class Reply(NamedTuple):
    """An answer, and what the connection does to it: `timeout` and `reset` send nothing.

    `cut` sends half, `slow` sends a piece of the body every now and then.
    """

    answer: Answer
    mishap: Literal["timeout", "reset", "cut", "slow"] | None = None


type Respond = Callable[[str, str, str], Reply]
"""Takes the method, the request's target (path and query) and its API key, empty if there is none."""


class LoopbackServer(HTTPServer):
    """Serves on `port` of the loopback address, one thread per connection, until `stop` ends them all.

    `headers` go with every answer, those to malformed requests included.
    """

    request_queue_size = 64
    allow_reuse_address = True

    def __init__(self, port: int, respond: Respond, headers: Mapping[str, str]) -> None:
        self.respond = respond
        self.headers = headers
        self.stopping = threading.Event()
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._guard = threading.Lock()
        super().__init__((ADDRESS, port), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)

    def start(self) -> None:
        """Begin to serve, in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Close the port, end all connections and wait for their threads."""
        self.stopping.set()
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join()
        self.server_close()
        with self._guard:
            left = list(self._connections.items())
        for connection, thread in left:
            # A thread that waits for the next request sees the end of the stream.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join()

    @override
    def server_bind(self) -> None:
        # HTTPServer would ask the name service for this machine's name; the loopback address needs none.
        super(HTTPServer, self).server_bind()
        self.server_name, self.server_port = ADDRESS, int(self.server_address[1])

    @override
    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(target=self._converse, args=(request, client_address), daemon=True)
        with self._guard:
            self._connections[request] = thread
        thread.start()

    def _converse(self, request: socket.socket, client_address: object) -> None:
        try:
            # The client may go away at any time, and a reset closes the connection under our feet.
            with contextlib.suppress(OSError):
                self.finish_request(request, client_address)
        finally:
            self.shutdown_request(request)
            with self._guard:
                self._connections.pop(request, None)


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
        """Stay quiet: the exchange keeps its own list of requests."""

    @override
    def version_string(self) -> str:
        return "nt-run-demo"

    @override
    def end_headers(self) -> None:
        for name, value in cast("LoopbackServer", self.server).headers.items():
            self.send_header(name, value)
        super().end_headers()

    def _serve(self, *, send_body: bool) -> None:
        server = cast("LoopbackServer", self.server)
        reply = server.respond(self.command, self.path, self.headers.get("X-MBX-APIKEY", ""))
        if reply.mishap is not None:
            self.close_connection = True
        if reply.mishap == "timeout":
            server.stopping.wait(_LONGEST_WAIT)
        elif reply.mishap == "reset":
            # Lingering for no time makes the close a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            self._send(reply.answer, send_body=send_body, mishap=reply.mishap)

    def _send(self, answer: Answer, *, send_body: bool, mishap: str | None) -> None:
        body, headers = answer.body, {"Content-Type": answer.content_type, **answer.headers}
        accepted = self.headers.get("Accept-Encoding", "")
        if answer.content_type == JSON_TYPE and "gzip" in accepted and len(body) >= _GZIP_FROM:
            body, headers["Content-Encoding"] = _gzip(body), "gzip"
        self.send_response(answer.status, HTTPStatus(answer.status).phrase)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not send_body:
            return
        if mishap == "slow":
            self._drip(body)
            return
        self.wfile.write(body[: len(body) // 2] if mishap == "cut" else body)

    def _drip(self, body: bytes) -> None:
        for start in range(0, len(body), _DRIP):
            if cast("LoopbackServer", self.server).stopping.wait(_BETWEEN_DRIPS):
                return
            self.wfile.write(body[start : start + _DRIP])
            self.wfile.flush()


def _gzip(body: bytes) -> bytes:
    """Compress at the least cost: on loopback bytes are cheap and the processor is not."""
    packer = zlib.compressobj(1, wbits=31)
    return packer.compress(body) + packer.flush()
