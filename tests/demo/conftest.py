import json
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlencode

import pytest

from nt_run.demo import DemoExchange


class Got(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def _fetch(base: str, path: str, *, method: str = "GET", timeout: float = 10, **query: object) -> Got:
    """Ask an exchange: a bare name is an endpoint of the REST protocol, a path is taken as it is."""
    full = path if path.startswith("/") else f"/fapi/v1/{path}"
    url = f"{base}{full}" + (f"?{urlencode(query)}" if query else "")
    request = urllib.request.Request(url, method=method)  # noqa: S310 (loopback)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as reply:  # noqa: S310 (loopback)
            return Got(reply.status, {name.lower(): text for name, text in reply.headers.items()}, reply.read())
    except HTTPError as exc:
        with exc:
            return Got(exc.code, {name.lower(): text for name, text in exc.headers.items()}, exc.read())


@pytest.fixture(scope="session")
def fetch() -> Callable[..., Got]:
    return _fetch


@pytest.fixture(scope="module")
def exchange() -> Iterator[DemoExchange]:
    with DemoExchange(weight_limit=1_000_000) as running:
        yield running


@pytest.fixture
def get(exchange: DemoExchange) -> Callable[..., Got]:
    """Ask the shared exchange: `get("klines", symbol="BTCUSDT", …)`."""
    return lambda path, **query: _fetch(exchange.rest_url, path, **query)
