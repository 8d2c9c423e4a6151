"""The synthetic market: exact, deterministic, the same however it is cut, and like a market."""

import hashlib
from decimal import Decimal
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nt_run.demo.candles import Candles, Kind
from nt_run.demo.market import DEMO_NOW_MS, DEMO_START_MS, SyntheticMarket

MINUTE = 60_000
DAY = 1440 * MINUTE
DAYS = (DEMO_NOW_MS - DEMO_START_MS) // DAY
TICKS = {"BTCUSDT": 10, "ETHUSDT": 1}
COLUMNS = ("open_time", "open", "high", "low", "close", "volume", "quote_volume", "trades")

symbols = pytest.mark.parametrize("symbol", TICKS)


@lru_cache
def history(symbol: str, kind: Kind = "klines") -> Candles:
    return SyntheticMarket(symbol).candles(kind, DEMO_START_MS, DEMO_START_MS + DAYS * DAY)


def same(left: Candles, right: Candles) -> bool:
    return all(np.array_equal(getattr(left, name), getattr(right, name)) for name in COLUMNS)


def returns(symbol: str) -> np.ndarray:
    return np.diff(np.log(history(symbol).close))


@symbols
def test_every_minute_of_eighteen_months_has_one_kline(symbol: str) -> None:
    candles = history(symbol)
    assert len(candles) == DAYS * 1440 == 546 * 1440
    assert (np.diff(candles.open_time) == MINUTE).all()


@symbols
def test_prices_are_multiples_of_the_tick_and_lie_between_low_and_high(symbol: str) -> None:
    candles = history(symbol)
    for prices in (candles.open, candles.high, candles.low, candles.close):
        assert (prices % TICKS[symbol] == 0).all()
        assert (prices >= candles.low).all()
        assert (prices <= candles.high).all()
    assert (candles.low > 0).all()


@symbols
def test_volumes_agree_with_each_other_and_with_the_prices(symbol: str) -> None:
    candles = history(symbol)
    assert (candles.volume > 0).all()
    assert (candles.taker_volume <= candles.volume).all()
    assert (candles.taker_quote_volume <= candles.quote_volume).all()
    assert (candles.quote_volume >= candles.low * candles.volume).all()
    assert (candles.quote_volume <= candles.high * candles.volume).all()
    assert (candles.trades >= 1).all()
    assert (candles.trades <= candles.volume).all()


@symbols
def test_a_kline_opens_within_a_few_ticks_of_the_last_close_at_midnight_too(symbol: str) -> None:
    candles = history(symbol)
    assert (np.abs(candles.open[1:] - candles.close[:-1]) <= 3 * TICKS[symbol]).all()


@symbols
def test_prices_stay_at_levels_one_would_believe(symbol: str) -> None:
    low, high = {"BTCUSDT": (60_000, 125_000), "ETHUSDT": (1_400, 4_900)}[symbol]
    candles = history(symbol)
    assert candles.low.min() / 100 > low
    assert candles.high.max() / 100 < high


@symbols
def test_returns_have_fat_tails_and_no_memory_but_their_size_has(symbol: str) -> None:
    change = returns(symbol)
    size = np.abs(change)
    kurtosis = ((change - change.mean()) ** 4).mean() / change.var() ** 2
    assert 6 < kurtosis < 50
    assert abs(np.corrcoef(change[:-1], change[1:])[0, 1]) < 0.02
    for lag, least in ((1, 0.15), (60, 0.1), (1440, 0.05)):
        assert np.corrcoef(size[:-lag], size[lag:])[0, 1] > least


@symbols
def test_volatility_is_the_same_whatever_clock_measures_it(symbol: str) -> None:
    log = np.log(history(symbol).close)
    daily = [np.diff(log[step - 1 :: step]).std() * (1440 / step) ** 0.5 for step in (1, 60, 480, 1440)]
    assert min(daily) > 0.015
    assert max(daily) < 0.05
    assert max(daily) / min(daily) < 1.15


@symbols
def test_prices_go_as_far_in_eight_hours_as_their_minutes_say_in_quiet_times_and_in_loud_ones(symbol: str) -> None:
    log = np.log(history(symbol).close)
    change = np.diff(log, prepend=log[0]).reshape(-1, 480)
    walked = np.sqrt((change**2).sum(axis=1))
    share = change.sum(axis=1) / walked
    for quarter in np.array_split(np.argsort(walked), 4):
        assert 0.9 < share[quarter].std() < 1.1


@symbols
def test_no_seam_shows_at_midnight_or_at_the_settlements(symbol: str) -> None:
    size = np.abs(returns(symbol))
    minute = np.arange(1, len(size) + 1) % 480
    seam, around = size[minute < 2].mean(), size[(minute > 470) | ((minute > 1) & (minute < 12))].mean()
    assert 0.8 < seam / around < 1.25


@symbols
def test_volume_goes_with_movement_and_afternoons_are_louder_than_mornings(symbol: str) -> None:
    size, volume = np.abs(returns(symbol)), history(symbol).volume[1:]
    assert np.corrcoef(size, np.log(volume))[0, 1] > 0.3
    hour = np.arange(1, len(size) + 1) // 60 % 24
    assert size[hour == 14].mean() > 1.3 * size[hour == 5].mean()


def test_the_two_contracts_move_together_but_not_as_one() -> None:
    assert 0.6 < np.corrcoef(returns("BTCUSDT"), returns("ETHUSDT"))[0, 1] < 0.95


@symbols
@given(start=st.integers(-2000, DAYS * 1440), count=st.integers(0, 3000))
@settings(max_examples=25, deadline=None)
def test_any_stretch_is_the_same_however_it_is_asked_for(symbol: str, start: int, count: int) -> None:
    first, last = DEMO_START_MS + start * MINUTE, DEMO_START_MS + (start + count) * MINUTE
    piece = SyntheticMarket(symbol).candles("klines", first, last)
    whole = history(symbol).between(first, last)
    inside = piece.between(first, DEMO_START_MS + DAYS * DAY)
    assert same(inside, whole)


@symbols
def test_there_is_nothing_before_the_market_started_and_nothing_after_its_last_regime(symbol: str) -> None:
    market = SyntheticMarket(symbol)
    for kind in ("klines", "markPriceKlines"):
        assert len(market.candles(kind, 0, DEMO_START_MS)) == 0
        assert len(market.candles(kind, DEMO_NOW_MS + 1000 * DAY, DEMO_NOW_MS + 1001 * DAY)) == 0
    assert market.funding(0, DEMO_START_MS) == []


def test_the_market_of_today_is_the_market_of_every_day() -> None:
    # Documents show numbers of this market: a change of these hashes changes what every user sees.
    digests = {}
    for symbol in TICKS:
        candles = SyntheticMarket(symbol).candles("klines", DEMO_NOW_MS - 7 * DAY, DEMO_NOW_MS)
        digests[symbol] = hashlib.sha256(bytes(candles.csv_rows())).hexdigest()[:16]
    assert digests == {"BTCUSDT": "85a0e55fe0491f62", "ETHUSDT": "285d94516cd3f0dc"}


@symbols
def test_mark_prices_stay_close_to_last_prices_and_join_without_a_gap(symbol: str) -> None:
    mark, last = history(symbol, "markPriceKlines"), history(symbol)
    assert np.abs(mark.close / 1e8 / (last.close / 100) - 1).max() < 0.001
    assert (mark.open[1:] == mark.close[:-1]).all()
    assert (mark.low <= np.minimum(mark.open, mark.close)).all()
    assert (mark.high >= np.maximum(mark.open, mark.close)).all()


@symbols
def test_funding_comes_every_eight_hours_a_little_late_and_with_both_signs(symbol: str) -> None:
    rows = SyntheticMarket(symbol).funding(DEMO_START_MS, DEMO_NOW_MS)
    assert [row.slot_ms for row in rows] == list(range(DEMO_START_MS, DEMO_NOW_MS, 8 * 60 * MINUTE))
    late = [row.time_ms - row.slot_ms for row in rows]
    assert min(late) == 0
    assert 5 < max(late) <= 31
    rates = [row.rate for row in rows]
    assert min(rates) < 0 < max(rates)
    assert max(abs(rate) for rate in rates) < Decimal("0.003")
    assert all(-row.rate.as_tuple().exponent == 8 for row in rows)


@symbols
def test_a_settlement_uses_the_mark_price_of_its_minute(symbol: str) -> None:
    market = SyntheticMarket(symbol)
    mark = history(symbol, "markPriceKlines")
    opens = dict(zip(mark.open_time.tolist(), mark.open.tolist(), strict=True))
    for row in market.funding(DEMO_START_MS, DEMO_NOW_MS - DAY)[::50]:
        assert row.mark_price is not None
        assert abs(row.mark_price - Decimal(opens[row.slot_ms]).scaleb(-8)) <= Decimal("2e-8")
