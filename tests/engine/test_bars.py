from collections.abc import Callable
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nt_run.engine import bars
from nt_run.engine.bars import bar_type_name, make_bars
from nt_run.engine.instrument import build_instrument
from nt_run.klines import SCHEMA, Exponents, Klines
from nt_run.model import Interval
from nt_run.specs import InstrumentSpecs, parse_symbol_specs


def one_row(open_ms: int, price: int, volume: int, exponents: Exponents) -> Klines:
    row = dict.fromkeys(SCHEMA, 0) | {"open_time": open_ms, "volume": volume}
    row |= dict.fromkeys(("open", "high", "low", "close"), price)
    frame = pl.DataFrame([row]).with_columns(pl.col("open_time").cast(pl.Datetime("ms", "UTC"))).cast(dict(SCHEMA))
    return Klines("BTCUSDT", Interval("1m"), exponents, frame)


def test_a_bar_is_stamped_with_its_close_time(btc: InstrumentSpecs, make_klines: Callable[..., Klines]) -> None:
    klines = make_klines([(100, 101, 99, 100, 1)], start=1_700_000_040_000)
    (bar,) = next(make_bars(klines, build_instrument(btc, klines), bar_type_name(btc.instrument_id, klines.interval)))
    assert bar.ts_event == bar.ts_init == 1_700_000_100_000 * 1_000_000


def test_columns_keep_their_places(btc: InstrumentSpecs, make_klines: Callable[..., Klines]) -> None:
    klines = make_klines([("100.1", "104.4", "98.7", "103.2", "12.345")])
    (bar,) = next(make_bars(klines, build_instrument(btc, klines), bar_type_name(btc.instrument_id, klines.interval)))
    values = [bar.open, bar.high, bar.low, bar.close, bar.volume]
    assert [str(value) for value in values] == ["100.1", "104.4", "98.7", "103.2", "12.345"]


# The engine's own limits: prices to 17 trillion, quantities to 34 trillion, 16 decimals.
@given(
    price=st.integers(min_value=1, max_value=10**13),
    volume=st.integers(min_value=0, max_value=10**13),
    decimals=st.tuples(st.integers(0, 8), st.integers(0, 8)),
)
def test_every_digit_survives(price: int, volume: int, decimals: tuple[int, int]) -> None:
    exponents = Exponents(decimals[0], decimals[1], 0)
    klines = one_row(0, price, volume, exponents)
    entry = {
        "symbol": "BTCUSDT",
        "baseAsset": "BTC",
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "1"},
            {"filterType": "LOT_SIZE", "minQty": "1", "maxQty": "1000", "stepSize": "1"},
            {"filterType": "MIN_NOTIONAL", "notional": "5"},
        ],
    }
    specs = parse_symbol_specs(entry, as_of_ms=0, source="test")
    (bar,) = next(
        make_bars(klines, build_instrument(specs, klines), bar_type_name(specs.instrument_id, Interval("1m")))
    )
    assert bar.close.as_decimal() == Decimal(price).scaleb(-decimals[0])
    assert bar.volume.as_decimal() == Decimal(volume).scaleb(-decimals[1])


def test_chunks_hold_every_row_once(
    btc: InstrumentSpecs, random_market: Callable[..., Klines], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bars, "CHUNK", 7)
    klines = random_market(23)
    chunks = list(make_bars(klines, build_instrument(btc, klines), bar_type_name(btc.instrument_id, klines.interval)))
    assert [len(chunk) for chunk in chunks] == [7, 7, 7, 2]
    times = [bar.ts_event // 1_000_000 - 60_000 for chunk in chunks for bar in chunk]
    assert times == klines.frame["open_time"].dt.epoch("ms").to_list()


@pytest.mark.parametrize(
    ("interval", "name"),
    [("1m", "1-MINUTE"), ("15m", "15-MINUTE"), ("1h", "1-HOUR"), ("12h", "12-HOUR"), ("1d", "1-DAY")],
)
def test_every_interval_has_an_engine_name(interval: str, name: str, btc: InstrumentSpecs) -> None:
    expected = f"BTCUSDT-PERP.BINANCE-{name}-LAST-EXTERNAL"
    assert bar_type_name(btc.instrument_id, Interval(interval)) == expected


def test_volume_of_one_bar_may_be_zero(btc: InstrumentSpecs, make_klines: Callable[..., Any]) -> None:
    klines = make_klines([(100, 100, 100, 100, 0)])
    (bar,) = next(make_bars(klines, build_instrument(btc, klines), bar_type_name(btc.instrument_id, klines.interval)))
    assert str(bar.volume) == "0.000"
