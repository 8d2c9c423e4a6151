"""The REST protocol: what the exchange's documents and recordings say, asked over a real connection."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from nt_run.demo import DEMO_NOW_MS, DEMO_START_MS, DemoExchange
from nt_run.specs import decimals, parse_symbol_specs

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
OPEN = DEMO_NOW_MS // MINUTE * MINUTE
BTC = {"symbol": "BTCUSDT", "interval": "1m"}

type Get = Callable[..., Any]


def test_the_clock_stands_still_half_a_minute_into_july_2026(get: Get) -> None:
    assert get("time").json == {"serverTime": DEMO_NOW_MS} == get("time").json
    assert get("ping").json == {}


def test_every_answer_says_that_the_market_is_synthetic_and_no_body_does(get: Get) -> None:
    for path, method in (
        ("time", "GET"),
        ("exchangeInfo", "GET"),
        ("nothing", "GET"),
        ("/data/nothing.zip", "GET"),
        ("order", "POST"),
    ):
        got = get(path, method=method)
        assert got.headers["x-nt-run-demo"] == "synthetic"
        assert b"synthetic" not in got.body.lower()


def test_klines_are_twelve_columns_with_numbers_as_text_and_times_as_numbers(get: Get) -> None:
    rows = get("klines", **BTC, startTime=DEMO_START_MS, limit=3).json
    assert [row[0] for row in rows] == [DEMO_START_MS + minute * MINUTE for minute in range(3)]
    for row in rows:
        assert len(row) == 12
        assert [type(value) for value in row] == [int, *[str] * 5, int, str, int, str, str, str]
        assert row[6] == row[0] + MINUTE - 1
        assert [len(row[place].partition(".")[2]) for place in (1, 2, 3, 4, 5, 7, 9, 10)] == [2, 2, 2, 2, 3, 5, 3, 5]
        low, high, volume, quote = (Decimal(row[place]) for place in (3, 2, 5, 7))
        assert low <= quote / volume <= high


def test_both_ends_of_the_range_are_included(get: Get) -> None:
    start = DEMO_START_MS + 10 * MINUTE
    assert len(get("klines", **BTC, startTime=start, endTime=start).json) == 1
    assert len(get("klines", **BTC, startTime=start, endTime=start + 5 * MINUTE).json) == 6
    assert [row[0] for row in get("klines", **BTC, startTime=start + 1, endTime=start + MINUTE).json] == [
        start + MINUTE
    ]


def test_with_a_start_the_first_klines_come_and_without_one_the_newest(get: Get) -> None:
    first = get("klines", **BTC, startTime=DEMO_START_MS, endTime=DEMO_START_MS + DAY, limit=5).json
    assert [row[0] for row in first] == [DEMO_START_MS + place * MINUTE for place in range(5)]
    end = DEMO_START_MS + 20 * DAY
    newest = get("klines", **BTC, endTime=end, limit=5).json
    assert [row[0] for row in newest] == [end + (place - 4) * MINUTE for place in range(5)]
    assert len(get("klines", **BTC).json) == 500


def test_the_kline_still_open_is_returned_and_differs_from_what_it_will_be(
    get: Get, fetch: Get, exchange: DemoExchange
) -> None:
    newest = get("klines", **BTC, limit=2).json
    assert [row[0] for row in newest] == [OPEN - MINUTE, OPEN]
    assert newest[1][6] > DEMO_NOW_MS
    with DemoExchange(clock_ms=OPEN + MINUTE) as later:
        closed = fetch(later.rest_url, "klines", **BTC, startTime=OPEN, endTime=OPEN).json
    assert closed[0][0] == OPEN
    assert closed[0] != newest[1]
    assert closed[0][1] == newest[1][1]


def test_a_longer_kline_still_open_holds_what_has_traded_so_far(fetch: Get) -> None:
    with DemoExchange(clock_ms=OPEN + 7 * MINUTE + 12_000) as exchange:
        hour = fetch(exchange.rest_url, "klines", symbol="BTCUSDT", interval="1h", limit=1).json[0]
        minutes = fetch(exchange.rest_url, "klines", **BTC, startTime=OPEN).json
    assert len(minutes) == 8
    assert hour[0] == OPEN
    assert hour[1] == minutes[0][1]
    assert hour[4] == minutes[-1][4]
    assert Decimal(hour[5]) == sum(Decimal(row[5]) for row in minutes)


def test_a_kline_that_opens_now_is_not_there_yet_and_none_comes_from_the_future(fetch: Get) -> None:
    with DemoExchange(clock_ms=OPEN) as exchange:
        assert fetch(exchange.rest_url, "klines", **BTC, limit=1).json[0][0] == OPEN - MINUTE
        for start in (OPEN, OPEN + 1, OPEN + DAY, OPEN + 1000 * DAY):
            assert fetch(exchange.rest_url, "klines", **BTC, startTime=start).json == []


def test_pages_of_any_size_join_to_the_same_klines(get: Get) -> None:
    # The pages cross the edges of the blocks the exchange keeps.
    end = DEMO_START_MS + 10 * DAY
    paged: dict[int, list[list[Any]]] = {}
    for size in (499, 1500):
        cursor, paged[size] = DEMO_START_MS + 3 * DAY, []
        while cursor < end:
            rows = get("klines", **BTC, startTime=cursor, endTime=end - 1, limit=size).json
            paged[size] += rows
            cursor = rows[-1][0] + MINUTE
    assert paged[499] == paged[1500]
    assert len(paged[499]) == 7 * 1440


def test_longer_intervals_are_made_of_minutes(get: Get) -> None:
    minutes = get("klines", **BTC, startTime=DEMO_START_MS, limit=1440).json
    for interval, count in (("5m", 5), ("1h", 60), ("4h", 240), ("1d", 1440)):
        rows = get("klines", symbol="BTCUSDT", interval=interval, startTime=DEMO_START_MS, limit=1440 // count).json
        for index, row in enumerate(rows):
            part = minutes[index * count : (index + 1) * count]
            assert row[:2] == part[0][:2]
            assert row[4] == part[-1][4]
            assert row[6] == part[-1][6]
            assert Decimal(row[2]) == max(Decimal(each[2]) for each in part)
            assert Decimal(row[3]) == min(Decimal(each[3]) for each in part)
            for place in (5, 7, 8, 9, 10):
                assert Decimal(row[place]) == sum(Decimal(each[place]) for each in part)


def test_mark_price_klines_have_eight_decimals_and_no_volume(get: Get) -> None:
    (row,) = get("markPriceKlines", **BTC, startTime=DEMO_START_MS, limit=1).json
    assert all(len(row[place].partition(".")[2]) == 8 for place in (1, 2, 3, 4))
    assert (row[5], row[7], row[8], row[9], row[10]) == ("0", "0", 60, "0", "0")


@pytest.mark.parametrize(
    ("limit", "weight"), [(1, 1), (99, 1), (100, 2), (499, 2), (500, 5), (1000, 5), (1001, 10), (1500, 10), (None, 5)]
)
def test_klines_weigh_by_their_limit(get: Get, exchange: DemoExchange, limit: int | None, weight: int) -> None:
    before = exchange.weight
    got = get("klines", **BTC, startTime=DEMO_START_MS, **({"limit": limit} if limit else {}))
    assert exchange.weight - before == weight
    assert int(got.headers["x-mbx-used-weight-1m"]) == exchange.weight


@pytest.mark.parametrize(
    ("path", "query", "status", "code"),
    [
        ("klines", {"symbol": "NOSUCH", "interval": "1m"}, 400, -1121),
        ("klines", {"interval": "1m"}, 400, -1102),
        ("klines", {"symbol": "BTCUSDT"}, 400, -1102),
        ("klines", {"symbol": "BTCUSDT", "interval": "7m"}, 400, -1120),
        ("klines", {**BTC, "limit": 1501}, 400, -1130),
        ("klines", {**BTC, "limit": 0}, 400, -1130),
        ("klines", {**BTC, "startTime": "yesterday"}, 400, -1100),
        ("klines", {**BTC, "startTime": 10**19}, 400, -1100),
        ("klines", {**BTC, "startTime": 2, "endTime": 1}, 400, -1023),
        ("fundingRate", {"symbol": "NOSUCH"}, 400, -1121),
        ("premiumIndex", {"symbol": "NOSUCH"}, 400, -1121),
        ("depth", {"symbol": "BTCUSDT"}, 404, -5000),
    ],
)
def test_a_wrong_request_gets_the_exchange_s_own_refusal(
    get: Get, path: str, query: dict[str, object], status: int, code: int
) -> None:
    got = get(path, **query)
    assert got.status == status
    assert got.json["code"] == code
    assert got.json["msg"]


def test_exchange_info_parses_and_holds_one_contract_for_each_way_to_be_refused(get: Get) -> None:
    answer = get("exchangeInfo").json
    specs = {
        entry["symbol"]: parse_symbol_specs(entry, as_of_ms=answer["serverTime"], source="test")
        for entry in answer["symbols"]
    }
    btc, eth = specs["BTCUSDT"], specs["ETHUSDT"]
    assert (btc.tick_size, btc.step_size, btc.min_quantity) == (Decimal("0.10"), Decimal("0.001"), Decimal("0.001"))
    assert (btc.max_quantity, btc.market_max_quantity, btc.min_notional) == (1000, 120, 50)
    assert (eth.tick_size, eth.step_size, eth.market_max_quantity, eth.min_notional) == (
        Decimal("0.01"),
        Decimal("0.001"),
        2000,
        20,
    )
    assert decimals(btc.tick_size) == 1
    assert {(each.contract_type, each.status) for each in specs.values()} == {
        ("PERPETUAL", "TRADING"),
        ("PERPETUAL", "SETTLING"),
        ("CURRENT_QUARTER", "TRADING"),
    }
    assert answer["serverTime"] == DEMO_NOW_MS


def test_prices_of_klines_are_multiples_of_the_tick_the_rules_name(get: Get) -> None:
    for symbol, tick in (("BTCUSDT", "0.10"), ("ETHUSDT", "0.01")):
        for row in get("klines", symbol=symbol, interval="1h", limit=100).json:
            assert all(Decimal(row[place]) % Decimal(tick) == 0 for place in (1, 2, 3, 4))


def test_a_listed_contract_without_a_market_is_known_and_empty(get: Get) -> None:
    for symbol in ("MATICUSDT", "BTCUSDT_260925"):
        assert get("klines", symbol=symbol, interval="1m").json == []
        assert get("fundingRate", symbol=symbol).json == []
        assert get("premiumIndex", symbol=symbol).json["code"] == -1122


def test_funding_rates_are_inclusive_ascending_and_limited(get: Get) -> None:
    rows = get("fundingRate", symbol="BTCUSDT", startTime=DEMO_START_MS, endTime=DEMO_START_MS + 10 * DAY).json
    times = [row["fundingTime"] for row in rows]
    assert times == sorted(times)
    assert all(0 <= time % (8 * HOUR) <= 31 for time in times)
    again = get("fundingRate", symbol="BTCUSDT", startTime=times[2], endTime=times[5]).json
    assert [row["fundingTime"] for row in again] == times[2:6]
    assert rows[0].keys() == {"symbol", "fundingTime", "fundingRate", "markPrice"}
    assert all(len(row[name].partition(".")[2]) == 8 for row in rows for name in ("fundingRate", "markPrice"))
    assert len(get("fundingRate", symbol="BTCUSDT", startTime=DEMO_START_MS).json) == 100
    assert len(get("fundingRate", symbol="BTCUSDT", startTime=DEMO_START_MS, limit=1000).json) == 1000
    assert len(get("fundingRate", symbol="BTCUSDT").json) == 200
    newest = get("fundingRate", symbol="BTCUSDT", limit=3).json
    assert newest[-1]["fundingTime"] // HOUR == DEMO_NOW_MS // HOUR
    assert {row["symbol"] for row in get("fundingRate", limit=4).json} == {"BTCUSDT", "ETHUSDT"}


def test_too_many_funding_rates_are_refused_in_that_endpoint_s_own_words(get: Get) -> None:
    got = get("fundingRate", symbol="BTCUSDT", limit=1001)
    assert got.status == 400
    assert got.json["errorData"] == {"limit": "limit can not greater than 1000"}


def test_the_premium_index_gives_mark_price_and_next_settlement(get: Get) -> None:
    one = get("premiumIndex", symbol="ETHUSDT").json
    assert one["time"] == DEMO_NOW_MS
    assert one["nextFundingTime"] == DEMO_NOW_MS // (8 * HOUR) * 8 * HOUR + 8 * HOUR
    last = get("klines", symbol="ETHUSDT", interval="1m", limit=1).json[0][4]
    assert abs(Decimal(one["markPrice"]) / Decimal(last) - 1) < Decimal("0.001")
    assert [each["symbol"] for each in get("premiumIndex").json] == ["BTCUSDT", "ETHUSDT"]


def test_usual_funding_intervals_are_not_listed_as_adjusted(get: Get) -> None:
    assert get("fundingInfo").json == []
