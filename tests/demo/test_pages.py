"""Pages of klines against a plain reading of the protocol."""

import datetime as dt
import json
from functools import lru_cache
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from nt_run.demo.pages import Pages
from nt_run.demo.recorded import RecordedMarket
from nt_run.model import Interval

MINUTE = 60_000
START = dt.datetime(2025, 5, 4, 15, 33, tzinfo=dt.UTC)
START_MS = int(START.timestamp() * 1000)
COUNT = 9 * 1440  # more than two of the blocks that are kept


@lru_cache
def market() -> RecordedMarket:
    """Nine days of minutes, in which a hole of two hours and one of five days stand."""
    minutes = [m for m in range(COUNT) if not 300 <= m < 420 and not 1600 <= m < 1600 + 5 * 1440]
    prices = [float(100 + m % 7) for m in minutes]
    return RecordedMarket(
        "BTCUSDT",
        pl.DataFrame(
            {
                "open_time": [START + dt.timedelta(minutes=m) for m in minutes],
                **dict.fromkeys(("open", "high", "low", "close"), prices),
                "volume": [1.0] * len(minutes),
            }
        ),
    )


@lru_cache
def pages() -> Pages:
    return Pages(market(), "klines")


@lru_cache
def every_row(interval: Interval, now_ms: int) -> list[list[Any]]:
    candles = market().candles("klines", 0, now_ms).as_of(now_ms).aggregate(interval)
    return json.loads(b"[" + bytes(candles.json_rows())[:-1] + b"]")


moments = st.integers(-3 * 1440 * 60, (COUNT + 2000) * 60).map(lambda second: START_MS + second * 1000)


@given(
    interval=st.sampled_from([*map(Interval, ("1m", "5m", "1h", "4h", "1d", "3d", "1w", "1M"))]),
    start_ms=st.none() | moments,
    end_ms=st.none() | moments,
    limit=st.integers(1, 1500),
    now_ms=moments,
)
@settings(max_examples=200, deadline=None)
def test_a_page_is_what_a_plain_reading_of_the_protocol_gives(
    interval: Interval, start_ms: int | None, end_ms: int | None, limit: int, now_ms: int
) -> None:
    inside = [
        row
        for row in every_row(interval, now_ms)
        if (start_ms is None or row[0] >= start_ms) and (end_ms is None or row[0] <= end_ms)
    ]
    expected = inside[-limit:] if start_ms is None else inside[:limit]
    assert json.loads(pages().json(interval, start_ms, end_ms, limit=limit, now_ms=now_ms)) == expected
