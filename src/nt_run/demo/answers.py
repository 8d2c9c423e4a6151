"""What the exchange answers: a status, headers and a body, before faults and compression."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

type Query = Mapping[str, str]
type Clock = Callable[[], int]
"""Returns the exchange's time, in milliseconds since the epoch."""

JSON_TYPE = "application/json"

_WHOLE = "^[0-9]{1,18}$"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; `weight` is what the request costs."""

    body: bytes
    status: int = 200
    content_type: str = JSON_TYPE
    weight: int = 0
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def to_json(value: object) -> bytes:
    """Return compact JSON, as the exchange writes it."""
    return json.dumps(value, separators=(",", ":")).encode()


class RefusedError(Exception):
    """A request the exchange refuses; it becomes an answer and never leaves the server."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        self.answer = Answer(to_json({"code": code, "msg": message}), status, weight=1)
        super().__init__(message)


def missing(name: str) -> RefusedError:
    """Return the refusal of a request that lacks a parameter."""
    return RefusedError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def invalid(name: str) -> RefusedError:
    """Return the refusal of a parameter out of its bounds."""
    return RefusedError(-1130, f"Data sent for parameter '{name}' is not valid.")


def whole(query: Query, name: str) -> int | None:
    """Return a parameter as a whole number, `None` if it was not sent.

    Raises:
        RefusedError: It is not a number, or longer than any the exchange uses.
    """
    text = query.get(name)
    if not text:
        return None
    if re.fullmatch(_WHOLE, text) is None:
        raise RefusedError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{_WHOLE}'.")
    return int(text)
