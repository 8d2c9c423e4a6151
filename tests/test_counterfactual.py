from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from nt_run.counterfactual import with_other_future, without_future
from nt_run.data.ingest import refuse_impossible
from nt_run.klines import SCHEMA, Exponents, Klines
from nt_run.model import Interval
from nt_run.quality import count_oddities
from nt_run.steps import find_finer

TICK = Decimal("0.10")
MINUTE = 60_000


def market(bars: int = 200, *, sigma: float = 0.001, seed: int = 1) -> Klines:
    """A walk from 40,000.0 on the tick 0.10; prices in cents."""
    steps = np.random.default_rng(seed).normal(0, sigma, bars) if sigma else np.zeros(bars)
    close = (np.round(400_000 * np.exp(np.cumsum(steps))) * 10).astype(np.int64)
    opened = np.concatenate([[4_000_000], close[:-1]])
    frame = pl.DataFrame(
        {
            "open_time": np.arange(bars) * MINUTE,
            "open": opened,
            "high": np.maximum(opened, close) + 50,
            "low": np.minimum(opened, close) - 50,
            "close": close,
            "volume": np.arange(bars) + 1000,
            "quote_volume": (np.arange(bars) + 1000) * close,
            "trades": np.arange(bars),
            "taker_buy_volume": np.arange(bars) + 400,
            "taker_buy_quote_volume": (np.arange(bars) + 400) * close,
        }
    ).with_columns(pl.col("open_time").cast(pl.Datetime("ms", "UTC")))
    return Klines("BTCUSDT", Interval("1m"), Exponents(2, 3, 5), frame.cast(dict(SCHEMA)))


@given(bars=st.integers(1, 60), kept=st.integers(0, 60), seed=st.integers(0, 9), mirrored=st.booleans())
def test_the_past_is_kept_and_the_future_is_valid_and_on_the_tick(
    bars: int, kept: int, seed: int, mirrored: bool
) -> None:
    klines = market(bars, seed=seed)
    changed = with_other_future(klines, kept * MINUTE, TICK, seed=seed, mirrored=mirrored)
    assert_frame_equal(changed.frame[:kept], klines.frame[:kept])
    assert_frame_equal(changed.frame.select("open_time"), klines.frame.select("open_time"))
    refuse_impossible(changed, "noise")
    assert find_finer(changed, TICK, Decimal("0.001")) is None
    assert count_oddities(changed) == {}


def test_the_future_goes_on_from_the_last_close_and_differs_in_every_bar() -> None:
    klines = market()
    changed = with_other_future(klines, 100 * MINUTE, TICK, seed=1)
    # The market has no gaps, so the noise has none.
    assert changed.frame["open"][100] == klines.frame["close"][99]
    assert (changed.frame["close"][100:] != klines.frame["close"][100:]).sum() >= 98


def test_a_bar_that_had_not_closed_is_replaced() -> None:
    klines = market()
    changed = with_other_future(klines, 100 * MINUTE - 1, TICK, seed=1)
    assert_frame_equal(changed.frame[:99], klines.frame[:99])
    assert changed.frame["close"][99] != klines.frame["close"][99]


def test_of_a_future_and_its_mirror_one_goes_the_other_way_than_the_real_one() -> None:
    klines = market()
    for kept in range(10, 190, 7):
        up = {
            klines.frame["close"][kept] > klines.frame["close"][kept - 1],
            *(
                with_other_future(klines, kept * MINUTE, TICK, seed=kept, mirrored=side).frame["close"][kept]
                > klines.frame["close"][kept - 1]
                for side in (False, True)
            ),
        }
        assert up == {True, False}


@pytest.mark.parametrize("sigma", [0, 0.1], ids=["a market that stands still", "a market that goes mad"])
def test_extreme_markets_still_give_a_moving_future_above_zero(sigma: float) -> None:
    changed = with_other_future(market(2_000, sigma=sigma), 1_000 * MINUTE, TICK, seed=1)
    refuse_impossible(changed, "noise")
    assert changed.frame["close"][1_000:].n_unique() > 20


def test_the_same_seed_gives_the_same_future() -> None:
    klines = market()
    same = [with_other_future(klines, 0, TICK, seed=5).frame for _ in range(2)]
    assert_frame_equal(*same)
    assert not same[0].equals(with_other_future(klines, 0, TICK, seed=6).frame)


def test_nothing_is_replaced_where_nothing_is_left() -> None:
    klines = market(5)
    assert with_other_future(klines, 5 * MINUTE, TICK, seed=1) is klines


def test_the_noise_can_begin_at_the_open_that_came() -> None:
    klines = market()
    opened = klines.frame["open"].to_list()
    opened[100] += 20
    moved = Klines("BTCUSDT", Interval("1m"), klines.exponents, klines.frame.with_columns(pl.Series("open", opened)))
    changed = with_other_future(moved, 100 * MINUTE, TICK, seed=1, keep_open=True)
    assert changed.frame["open"][100] == opened[100]
    assert (changed.frame["close"][100:] != moved.frame["close"][100:]).sum() >= 98


def test_a_market_that_ends_has_the_rows_that_had_closed() -> None:
    klines = market(10)
    assert_frame_equal(without_future(klines, 5 * MINUTE).frame, klines.frame[:5])
    assert_frame_equal(without_future(klines, 5 * MINUTE - 1).frame, klines.frame[:4])
    assert len(without_future(klines, -1)) == 0
