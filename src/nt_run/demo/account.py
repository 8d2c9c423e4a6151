"""The one account of the embedded exchange, and what the exchange tells account holders only: leverage brackets.

A signed request carries the key in a header, its time, and as its last parameter the HMAC-SHA256 of everything before
it. Refusals are the exchange's.
"""

import hashlib
import hmac
from typing import Any
from urllib.parse import parse_qsl

from nt_run.demo.answers import Answer, RefusedError, missing, to_json, whole

API_KEY = "key-of-the-demo"
API_SECRET = "secret-of-the-demo"  # noqa: S105 - opens nothing but the embedded exchange
SIGNED = "/fapi/v1/leverageBracket"

_GOOD_FOR_MS = 5_000
_AHEAD_MS = 1_000
_CONTRACTS: dict[str, tuple[tuple[int, int, str, int], ...]] = {
    "BTCUSDT": ((0, 300_000, "0.004", 150), (300_000, 800_000, "0.005", 100), (800_000, 3_000_000, "0.0065", 75)),
    "ETHUSDT": ((0, 300_000, "0.005", 100), (300_000, 800_000, "0.0065", 75), (800_000, 3_000_000, "0.01", 50)),
}
"""(floor, cap, rate, most leverage): invented in the exchange's manner."""


def answer_signed(query_text: str, key: str, now_ms: int) -> Answer:
    """Return the leverage brackets, or why the exchange would not tell them.

    Args:
        query_text: The query as it was sent.
        key: The key that came with the request.
        now_ms: The exchange's time.
    """
    try:
        _check(query_text, key, now_ms)
        return _brackets(dict(parse_qsl(query_text)).get("symbol"))
    except RefusedError as exc:
        return exc.answer


def _check(query_text: str, key: str, now_ms: int) -> None:
    query = dict(parse_qsl(query_text))
    if not key:
        raise RefusedError(-2014, "API-key format invalid.", 401)
    if key != API_KEY:
        raise RefusedError(-2015, "Invalid API-key, IP, or permissions for action", 401)
    sent = whole(query, "timestamp")
    if sent is None:
        raise missing("timestamp")
    if not now_ms - (whole(query, "recvWindow") or _GOOD_FOR_MS) <= sent <= now_ms + _AHEAD_MS:
        raise RefusedError(-1021, "Timestamp for this request is outside of the recvWindow.")
    signed, _, signature = query_text.partition("&signature=")
    expected = hmac.new(API_SECRET.encode(), signed.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, signature):
        raise RefusedError(-1022, "Signature for this request is not valid.")


def _brackets(symbol: str | None) -> Answer:
    if symbol is not None and symbol not in _CONTRACTS:
        raise RefusedError(-1121, "Invalid symbol.")
    rows = [_contract(name) for name in _CONTRACTS if symbol in (None, name)]
    return Answer(to_json(rows), weight=1)


def _contract(symbol: str) -> dict[str, Any]:
    brackets: list[dict[str, Any]] = []
    cum = before = 0.0
    for number, (floor, cap, rate, leverage) in enumerate(_CONTRACTS[symbol], start=1):
        cum += floor * (float(rate) - before)
        before = float(rate)
        brackets.append(
            {
                "bracket": number,
                "initialLeverage": leverage,
                "notionalCap": cap,
                "notionalFloor": floor,
                "maintMarginRatio": float(rate),
                "cum": round(cum, 2),
            }
        )
    return {"symbol": symbol, "brackets": brackets}
