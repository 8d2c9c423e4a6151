"""Whether liquidation is in reach, by hand. Brackets: 300,000 at 0.4 %, beyond at 0.5 %; no fees, no funding."""

from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from nt_run.klines import SCHEMA, Exponents, Klines
from nt_run.liquidation import (
    MarginPlan,
    find_extremes,
    is_reachable,
    margin_object,
    match_extremes,
    outgrown,
)
from nt_run.margin import MarginRules, build_brackets
from nt_run.matching import mark_extremes
from nt_run.model import Fees, Fill, FundingRate, Interval, Liquidity, Side
from nt_run.solvency import deciding_bars

D = Decimal
ROWS = [(D(0), D(300_000), D("0.004"), D(150)), (D(300_000), D(10**9), D("0.005"), D(100))]
RULES = MarginRules(symbol="BTCUSDT", brackets=build_brackets(ROWS), as_of_ms=0, source="test")
FREE = Fees(maker=D(0), taker=D(0), source="test")


def klines(*prices: tuple[int, int], exponent: int = 1, start: int = 0) -> Klines:
    """One bar per (low, high), in whole units."""
    unit = 10**exponent
    rows: dict[str, Any] = {name: [1] * len(prices) for name in SCHEMA}
    rows["open_time"] = [start + minute * 60_000 for minute in range(len(prices))]
    rows["low"] = rows["open"] = [low * unit for low, _ in prices]
    rows["high"] = rows["close"] = [high * unit for _, high in prices]
    return Klines("BTCUSDT", Interval("1m"), Exponents(exponent, 3, 4), pl.DataFrame(rows, schema=SCHEMA))


def reachable(bars: Klines, leverage: int, *, rate: str = "0", balance: int = 1000, fees: Fees = FREE) -> bool:
    rates = [FundingRate(time_ms=0, slot_ms=0, rate=D(rate), mark_price=None)]
    return is_reachable(bars, rates, RULES, fees, leverage=D(leverage), balance=D(balance))


@pytest.mark.parametrize(
    ("low", "leverage", "expected"),
    [
        # The mark may be a tenth beyond the last prices, 90 … 110. A long from 100: 100 × 0.9 ÷ 0.996 = 90.36.
        (100, 10, True),
        (100, 9, False),  # 89.2, and a short from 100: 110.7
        (74, 2, False),  # a short from 74: 74 × 1.5 ÷ 1.004 = 110.6
        (73, 2, True),  # 109.1
        (60, 1, False),  # 119.5
    ],
)
def test_the_reach_by_hand(low: int, leverage: int, expected: bool) -> None:
    assert reachable(klines((low, 100)), leverage) is expected


def test_a_short_without_leverage_needs_the_price_to_double_but_for_a_tenth() -> None:
    # 100 × 2 ÷ 1.004 = 199.2: reached from 181.1 on, a tenth below.
    assert not reachable(klines((100, 181)), 1)
    assert reachable(klines((100, 182)), 1)


def test_funding_and_fees_bring_it_nearer() -> None:
    # A short from 75 at 2 x: 112.05; with 0.05 × 100 ÷ 75 taken 107.1, with 2 × 0.02 × 100 ÷ 75 taken 108.1.
    bars = klines((75, 100))
    assert not reachable(bars, 2)
    assert reachable(bars, 2, rate="0.05")
    assert reachable(bars, 2, fees=Fees(maker=D(0), taker=D("0.02"), source="test"))


def test_an_account_that_grew_tenfold_is_looked_at_again() -> None:
    def fill(side: Side, quantity: str) -> Fill:
        return Fill(
            time_ns=0, order_id="O", side=side, quantity=D(quantity), price=D(100), reference=D(100), fee=D(0),
            liquidity=Liquidity.TAKER, order_type="market",
        )  # fmt: skip

    # 1,000 at 2 x: ten times that are 20,000, 200 at 100.
    assert not outgrown([fill(Side.BUY, "200"), fill(Side.SELL, "400")], D(2), D(1000))
    assert outgrown([fill(Side.BUY, "200"), fill(Side.SELL, "400.1")], D(2), D(1000))


def test_without_mark_klines_the_bars_own_extremes_decide() -> None:
    extremes = find_extremes(klines((90, 110), (80, 100)), None)
    assert (extremes.low.tolist(), extremes.high.tolist(), extremes.exponent) == ([900, 800], [1100, 1000], 1)
    assert extremes.source == "bar extremes"


@pytest.mark.parametrize(("own", "theirs"), [(1, 8), (8, 1), (2, 2)])
def test_mark_klines_decide_whatever_their_decimals(own: int, theirs: int) -> None:
    bars = klines((90, 110), (80, 100), (70, 100), exponent=own)
    extremes = find_extremes(bars, klines((95, 105), (75, 99), exponent=theirs, start=60_000))
    scale = 10**extremes.exponent
    assert [low // scale for low in extremes.low.tolist()] == [90, 95, 75]
    assert [high // scale for high in extremes.high.tolist()] == [110, 105, 99]
    assert (extremes.source, extremes.missing) == ("mark klines", 1)


def test_what_is_told_of_a_run_that_nothing_could_liquidate() -> None:
    plan = MarginPlan(mode="isolated", rules=RULES, followed=False)
    told = margin_object(plan, klines((90, 110)), D(100), [])
    assert told["liquidations"] == []
    assert told["margin"]["liquidation_prices"] == "not reachable"
    assert (told["margin"]["max_leverage"], told["margin"]["max_notional"]) == ("150", "1000000000")
    assert told["margin"]["brackets"][1] == {
        "floor": "300000",
        "cap": "1000000000",
        "rate": "0.005",
        "max_leverage": "100",
        "cum": "300",
    }


def test_finer_bars_of_a_bar_without_a_mark_kline_keep_their_own_extremes() -> None:
    # Two bars of three minutes, both in minutes; the second one has a mark kline, 80 … 120, the first has none.
    fine = klines((90, 100), (99, 100), (99, 100), (95, 100), (99, 100), (99, 100))
    whole = fine.frame[::3].with_columns(low=pl.Series([900, 950]))
    bars = Klines("BTCUSDT", Interval("3m"), fine.exponents, whole)
    marks = Klines(
        "BTCUSDT", Interval("3m"), fine.exponents, whole[1:].with_columns(low=pl.lit(800), high=pl.lit(1200))
    )
    marks = Klines("BTCUSDT", marks.interval, marks.exponents, marks.frame.cast(pl.Schema(SCHEMA)))
    decided = match_extremes(bars, fine, MarginPlan(mode="isolated", rules=RULES, marks=marks))
    # What the first bar reached in its first minute, 90, does not count again in its last.
    assert decided.low.tolist() == [900, 990, 990, 950, 990, 800]
    assert decided.high.tolist() == [1000, 1000, 1000, 1000, 1000, 1200]
    audited = deciding_bars(bars, fine, mark_extremes(marks, bars.open_times()), None)
    assert (audited.low.tolist(), audited.high.tolist()) == (decided.low.tolist(), decided.high.tolist())
