import hashlib
import hmac
import json
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from nt_run.data.brackets import parse_brackets
from nt_run.demo import DEMO_NOW_MS, DemoExchange
from nt_run.demo.account import API_KEY, API_SECRET


def ask(exchange: DemoExchange, query: str, *, key: str | None = API_KEY, secret: str = API_SECRET) -> list[dict]:
    signature = hmac.new(secret.encode(), query.encode(), hashlib.sha256).hexdigest()
    url = f"{exchange.rest_url}/fapi/v1/leverageBracket?{query}&signature={signature}"
    headers = {} if key is None else {"X-MBX-APIKEY": key}
    with urlopen(Request(url, headers=headers)) as response:  # noqa: S310 - the loopback address
        return json.loads(response.read())


def test_a_signed_request_is_told_brackets_that_hold_together() -> None:
    with DemoExchange() as exchange:
        rows = ask(exchange, f"timestamp={DEMO_NOW_MS}")
        assert [row["symbol"] for row in rows] == ["BTCUSDT", "ETHUSDT"]
        for row in rows:
            assert len(parse_brackets(rows, row["symbol"], as_of_ms=0, source="test").brackets) == 3
        assert len(ask(exchange, f"symbol=ETHUSDT&timestamp={DEMO_NOW_MS}")) == 1


@pytest.mark.parametrize(
    ("query", "changes", "status", "code"),
    [
        (f"timestamp={DEMO_NOW_MS}", {"key": None}, 401, -2014),
        (f"timestamp={DEMO_NOW_MS}", {"key": "another"}, 401, -2015),
        (f"timestamp={DEMO_NOW_MS}", {"secret": "another"}, 400, -1022),
        (f"timestamp={DEMO_NOW_MS - 5_001}", {}, 400, -1021),
        (f"timestamp={DEMO_NOW_MS + 1_001}", {}, 400, -1021),
        ("recvWindow=5000", {}, 400, -1102),
        (f"symbol=NONE&timestamp={DEMO_NOW_MS}", {}, 400, -1121),
    ],
)
def test_what_the_exchange_would_refuse_is_refused(query: str, changes: dict, status: int, code: int) -> None:
    with DemoExchange() as exchange, pytest.raises(HTTPError) as caught:
        ask(exchange, query, **changes)
    with caught.value as answer:
        assert (answer.code, json.loads(answer.read())["code"]) == (status, code)
