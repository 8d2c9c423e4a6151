"""Faults the exchange can be told to show, each described in one line.

    Fault("/klines", "429", times=2, retry_after=1)         the first two requests for klines are refused
    Fault("symbol=ETHUSDT", "cut", skip=3)                  the fourth answer about ETHUSDT stops half-way
    Fault("/klines", "rows", edit=lambda rows: rows[1:])    one answer lacks its first kline

Requests are counted per fault, in the order they arrive.
"""

import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from nt_run.demo.answers import Answer, to_json

type RowsEdit = Callable[[list[Any]], list[Any]]

FaultKind = Literal[
    "429", "418", "500", "503", "404", "403", "html", "redirect", "cut", "slow", "timeout", "reset", "corrupt", "rows"
]
"""`html`: a page with status 200. `redirect`: sent to `location`. `slow`: the body comes in drips. `cut`: the body ends
before its declared length. `timeout`: no answer, for longer than a client waits. `reset`: the connection is reset.
`corrupt`: one byte of the body differs. `rows`: `edit` changes the klines of an answer."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to requests whose path and query contain `match`: `skip` pass first, then `times` are hit.

    `times` is `None` for all of them. `retry_after` (seconds, or a date as HTTP writes it) goes with refusals as
    `Retry-After`; 429 and 418 have one in any case, of one second. `edit` takes the
    rows of an answer with klines or funding rates as the exchange wrote them and returns those to send.
    """

    match: str
    kind: FaultKind
    times: int | None = 1
    skip: int = 0
    retry_after: int | str | None = None
    edit: RowsEdit | None = None
    location: str = ""

    @property
    def mishap(self) -> Literal["cut", "slow", "timeout", "reset"] | None:
        """What the connection does, for the faults that happen below HTTP."""
        match self.kind:
            case "cut" | "slow" | "timeout" | "reset":
                return self.kind
            case _:
                return None

    def apply(self, answer: Answer) -> Answer:
        """Return `answer` as this fault leaves it; a mishap is up to the connection."""
        if self.kind in _REFUSALS:
            status, body = _REFUSALS[self.kind]
            wait = 1 if self.retry_after is None and self.kind in {"429", "418"} else self.retry_after
            headers = {} if wait is None else {"Retry-After": str(wait)}
            return Answer(to_json(body), status, weight=answer.weight, headers=headers)
        if self.kind == "redirect":
            return Answer(b"", 302, headers={"Location": self.location})
        if self.kind == "html":
            return replace(answer, body=_PAGE, content_type="text/html")
        if self.kind == "corrupt":
            middle = len(answer.body) // 2
            return replace(answer, body=_flip(answer.body, middle))
        if self.kind == "rows" and self.edit is not None and answer.body.startswith(b"["):
            return replace(answer, body=to_json(self.edit(json.loads(answer.body))))
        return answer


@dataclass(slots=True)
class Faults:
    """The faults in force and how often each was met. Safe to use from several threads."""

    plan: Iterable[Fault] = ()
    _seen: dict[int, int] = field(default_factory=dict[int, int])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.plan = tuple(self.plan)

    def next(self, target: str) -> Fault | None:
        """Return the fault that hits this request for `target` (path and query), if any; the first match wins."""
        hit: Fault | None = None
        with self._lock:
            for index, fault in enumerate(self.plan):
                if fault.match not in target:
                    continue
                seen = self._seen.get(index, 0)
                due = seen >= fault.skip and (fault.times is None or seen < fault.skip + fault.times)
                if due and hit is not None:
                    # Another fault has this request; this one keeps its turn.
                    continue
                self._seen[index] = seen + 1
                hit = fault if due else hit
        return hit


_TOO_MANY = "Too many requests; current limit of IP is 2400 requests per minute. Please slow down."
_BANNED = "Way too many requests; IP banned. Please use the websocket for live updates to avoid bans."
_REFUSALS: dict[str, tuple[int, dict[str, Any]]] = {
    "429": (429, {"code": -1003, "msg": _TOO_MANY}),
    "418": (418, {"code": -1003, "msg": _BANNED}),
    "403": (403, {"code": 0, "msg": "Forbidden"}),
    "404": (404, {"code": -5000, "msg": "Path is invalid"}),
    "500": (500, {"code": -1000, "msg": "An unknown error occurred while processing the request."}),
    "503": (503, {"code": -1008, "msg": "Server is currently overloaded with other requests. Please try again."}),
}
_PAGE = b"<!DOCTYPE html><html><head><title>Just a moment</title></head><body>Checking your browser.</body></html>"


def _flip(body: bytes, place: int) -> bytes:
    return body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :] if body else body
