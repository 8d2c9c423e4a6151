"""Recorded markets: floats become the exchange's text again."""

import datetime as dt
import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from nt_run.demo import DemoExchange, RecordedMarket
from nt_run.klines import Exponents
from nt_run.model import FundingRate

START = dt.datetime(2025, 5, 4, 15, 33, tzinfo=dt.UTC)
START_MS = int(START.timestamp() * 1000)
MINUTE = 60_000

type Fetch = Callable[..., Any]


def frame(count: int = 5, **columns: list[float]) -> pl.DataFrame:
    data = {
        "open_time": [START + dt.timedelta(minutes=minute) for minute in range(count)],
        "open": [95505.4] * count,
        "high": [95505.5] * count,
        "low": [95502.7] * count,
        "close": [95502.7] * count,
        "volume": [16.536] * count,
    }
    return pl.DataFrame({**data, **columns})


def test_floats_are_served_as_the_decimal_numbers_they_stand_for(fetch: Fetch) -> None:
    market = RecordedMarket("BTCUSDT", frame())
    with DemoExchange(market=market) as exchange:
        got = fetch(exchange.rest_url, "klines", symbol="BTCUSDT", interval="1m")
    assert got.headers["x-nt-run-demo"] == "recorded"
    assert len(got.json) == 5
    # 16.536 × 95502.7 = 1579232.6472: the made-up quote volume is exact.
    assert got.json[0] == [
        START_MS,
        *("95505.40", "95505.50", "95502.70", "95502.70", "16.536"),
        START_MS + MINUTE - 1,
        *("1579232.64720", 1, "0.000", "0.00000", "0"),
    ]


def test_what_the_recording_has_is_kept(fetch: Fetch) -> None:
    more = frame(1, quote_volume=[1579240.5], trades=[321], taker_buy_volume=[8.2], taker_buy_quote_volume=[783122.5])
    with DemoExchange(market=RecordedMarket("BTCUSDT", more)) as exchange:
        row = fetch(exchange.rest_url, "klines", symbol="BTCUSDT", interval="1m").json[0]
    assert row[7:11] == ["1579240.50000", 321, "8.200", "783122.50000"]


def test_a_hole_stays_a_hole_and_pages_go_on_behind_it(fetch: Fetch) -> None:
    holed = pl.concat([frame(10)[:3], frame(10)[6:]])
    with DemoExchange(market=RecordedMarket("BTCUSDT", holed)) as exchange:
        rows = fetch(
            exchange.rest_url, "klines", symbol="BTCUSDT", interval="1m", startTime=START_MS + MINUTE, limit=4
        ).json
    assert [(row[0] - START_MS) // MINUTE for row in rows] == [1, 2, 6, 7]


def test_the_clock_stands_after_the_last_bar_unless_it_is_set(fetch: Fetch) -> None:
    market = RecordedMarket("BTCUSDT", frame())
    with DemoExchange(market=market) as exchange:
        assert fetch(exchange.rest_url, "time").json["serverTime"] == START_MS + 5 * MINUTE + 30_000
    with DemoExchange(market=market, clock_ms=START_MS + 90_000) as exchange:
        rows = fetch(exchange.rest_url, "klines", symbol="BTCUSDT", interval="1m").json
    assert len(rows) == 2
    assert rows[1][4] == rows[1][1] == "95505.40"
    assert rows[1][5] == "8.268"


def test_several_markets_and_a_recorded_exchange_info_are_served_together(fetch: Fetch) -> None:
    info = {"symbols": [{"symbol": "OLDUSDT"}], "serverTime": 1}
    markets = [RecordedMarket(symbol, frame()) for symbol in ("BTCUSDT", "ETHUSDT")]
    with DemoExchange(market=markets, exchange_info=info) as exchange:
        answer = fetch(exchange.rest_url, "exchangeInfo").json
        assert fetch(exchange.rest_url, "klines", symbol="OLDUSDT", interval="1m").json == []
        assert len(fetch(exchange.rest_url, "klines", symbol="ETHUSDT", interval="1m").json) == 5
    assert answer == {"symbols": [{"symbol": "OLDUSDT"}], "serverTime": exchange.clock_ms}


def test_settlements_are_served_and_may_lack_a_price(fetch: Fetch) -> None:
    rows = [
        FundingRate(time_ms=START_MS + 3, slot_ms=START_MS, rate=Decimal("0.0001"), mark_price=None),
        FundingRate(
            time_ms=START_MS + MINUTE, slot_ms=START_MS, rate=Decimal("-0.000027"), mark_price=Decimal("95000.5")
        ),
    ]
    with DemoExchange(market=RecordedMarket("BTCUSDT", frame(), funding=rows, funding_hours=4)) as exchange:
        got = fetch(exchange.rest_url, "fundingRate", symbol="BTCUSDT").json
        adjusted = fetch(exchange.rest_url, "fundingInfo").json
    assert [(row["fundingRate"], row["markPrice"]) for row in got] == [
        ("0.00010000", ""),
        ("-0.00002700", "95000.50000000"),
    ]
    assert [(row["symbol"], row["fundingIntervalHours"]) for row in adjusted] == [("BTCUSDT", 4)]


def test_mark_prices_are_the_recorded_ones_or_the_last_prices(fetch: Fetch) -> None:
    mark = frame(volume=[0.0] * 5, close=[95502.70123456] * 5)
    for market, close in (
        (RecordedMarket("BTCUSDT", frame(), mark=mark), "95502.70123456"),
        (RecordedMarket("BTCUSDT", frame()), "95502.70000000"),
    ):
        with DemoExchange(market=market) as exchange:
            row = fetch(exchange.rest_url, "markPriceKlines", symbol="BTCUSDT", interval="1m").json[0]
        assert (row[4], row[5]) == (close, "0")


def test_the_mark_price_after_the_last_bar_is_that_of_the_last_bar(fetch: Fetch) -> None:
    with DemoExchange(market=RecordedMarket("BTCUSDT", frame())) as exchange:
        assert fetch(exchange.rest_url, "premiumIndex", symbol="BTCUSDT").json["markPrice"] == "95502.70000000"


def test_an_interval_the_recording_cannot_make_is_refused(fetch: Fetch) -> None:
    with DemoExchange(market=RecordedMarket("BTCUSDT", frame(), interval="5m")) as exchange:
        assert fetch(exchange.rest_url, "klines", symbol="BTCUSDT", interval="3m").json["code"] == -1120


@pytest.mark.parametrize(
    "bad",
    [
        frame(0),
        frame(close=[95502.705, 1.0, 1.0, 1.0, 1.0]).with_columns(pl.col("close") + 0.0001),
        frame().reverse(),
        pl.concat([frame(1), frame(1)]),
    ],
)
def test_a_recording_that_would_have_to_be_rounded_or_sorted_is_refused(bad: pl.DataFrame) -> None:
    with pytest.raises(ValueError, match=r"decimals|ascend"):
        RecordedMarket("BTCUSDT", bad)


def test_a_real_recording_is_served_to_the_last_digit(recordings: Path, fetch: Fetch) -> None:
    kept = pl.read_ipc(recordings / "klines" / "BTCUSDT-1m-2025-05.feather").rename({"date": "open_time"})
    market = RecordedMarket("BTCUSDT", kept, exponents=Exponents(price=2, quantity=3, quote=5))
    served: list[list[Any]] = []
    cursor = START_MS
    with DemoExchange(market=market) as exchange:
        while rows := fetch(
            exchange.rest_url, "klines", symbol="BTCUSDT", interval="1m", startTime=cursor, limit=1500
        ).json:
            served += rows
            cursor = rows[-1][0] + MINUTE
    assert len(served) == kept.height
    for place, name in ((1, "open"), (2, "high"), (3, "low"), (4, "close"), (5, "volume")):
        assert all(
            math.isclose(float(row[place]), value, rel_tol=1e-15)
            for row, value in zip(served, kept[name].to_list(), strict=True)
        )
