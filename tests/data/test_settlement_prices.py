"""At which price a settlement charges where its row does not say."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from nt_run.config import load_config
from nt_run.data.loader import MarketData
from nt_run.demo import DEMO_NOW_MS, DemoExchange, Fault
from nt_run.fetching import fetch
from nt_run.inputs import open_market
from nt_run.model import Interval, TimeRange, parse_time

HOURS = Interval("1h")
WEEK = TimeRange(parse_time("2026-05-01"), parse_time("2026-05-08"))

Open = Callable[..., MarketData]


def unpriced(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows as REST sends those of former years."""
    return [{**row, "markPrice": ""} for row in rows]


OLD_ROWS = Fault("/fundingRate", "rows", times=None, edit=unpriced)


def mark_requests(exchange: DemoExchange) -> int:
    return sum("markPriceKlines" in served.path for served in exchange.requests)


def test_a_settlement_without_a_mark_price_takes_the_one_its_hours_mark_kline_opens_at(open_data: Open) -> None:
    with DemoExchange([OLD_ROWS]) as exchange:
        data = open_data(exchange.rest_url)
        assert {rate.mark_price for rate in data.load_funding("BTCUSDT", WEEK).rates} == {None}
        priced = data.load_settlements("BTCUSDT", WEEK)
        marks = data.load_mark_klines("BTCUSDT", HOURS, WEEK).klines
        offline = open_data(exchange.rest_url, offline=True).load_settlements("BTCUSDT", WEEK)
    assert priced.warnings == []
    assert len(priced.rates) == 21
    # Settled every eight hours: the opens of the mark klines of 00, 08 and 16 o'clock, to the last of their decimals.
    opens = [value for (value,) in marks.frame.select("open").gather_every(8).iter_rows()]
    assert [int(rate.mark_price.scaleb(marks.exponents.price)) for rate in priced.rates if rate.mark_price] == opens
    assert offline == priced


def test_a_price_that_the_exchange_told_stays_and_nothing_is_asked_for_it(open_data: Open) -> None:
    with DemoExchange() as exchange:
        data = open_data(exchange.rest_url)
        assert data.load_settlements("BTCUSDT", WEEK) == data.load_funding("BTCUSDT", WEEK)
        assert mark_requests(exchange) == 0


def test_where_mark_klines_cannot_be_had_it_stays_unknown_and_that_is_told(open_data: Open) -> None:
    with DemoExchange([OLD_ROWS, Fault("markPriceKlines", "503", times=None)]) as exchange:
        loaded = open_data(exchange.rest_url).load_settlements("BTCUSDT", WEEK)
    assert {rate.mark_price for rate in loaded.rates} == {None}
    (told,) = loaded.warnings
    assert told.startswith("BTCUSDT funding: mark prices are lacking: ")


def test_a_settlement_of_this_minute_does_not_wait_for_its_hour_to_end(open_data: Open) -> None:
    midnight = DEMO_NOW_MS // 86_400_000 * 86_400_000
    assert DEMO_NOW_MS - midnight < 60_000
    with DemoExchange([OLD_ROWS]) as exchange:
        held = TimeRange(midnight - 86_400_000, midnight + 1)
        loaded = open_data(exchange.rest_url).load_settlements("BTCUSDT", held)
    assert loaded.warnings == []
    assert [rate.mark_price is None for rate in loaded.rates] == [False, False, False, True]


def test_what_data_get_fetches_is_priced_offline_as_online(tmp_path: Path) -> None:
    with DemoExchange([OLD_ROWS]) as exchange:
        where = {"exchange.rest_url": exchange.rest_url, "start": "2026-05-01", "end": "2026-05-02", "interval": "1h"}
        config = load_config(None, where)
        fetch(config, cache_dir=tmp_path)
        with open_market(config, cache_dir=tmp_path, offline=True) as market:
            loaded = market.load_settlements("BTCUSDT", TimeRange(WEEK.start_ms + 1, WEEK.start_ms + 86_400_001))
    assert loaded.warnings == []
    assert [rate.mark_price is None for rate in loaded.rates] == [False, False, False]
