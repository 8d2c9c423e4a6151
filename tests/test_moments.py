from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import polars as pl
import pytest

from nt_run.klines import SCHEMA, Exponents, Klines
from nt_run.model import Fill, Interval, Liquidity, SentOrder, Side
from nt_run.moments import choose_moments, early_moments

MINUTE = 60_000
NS = 1_000_000


def market(bars: int = 100) -> Klines:
    frame = pl.DataFrame(
        {"open_time": [MINUTE * number for number in range(bars)]} | dict.fromkeys(list(SCHEMA)[1:], [1000] * bars)
    ).with_columns(pl.col("open_time").cast(pl.Datetime("ms", "UTC")))
    return Klines("BTCUSDT", Interval("1m"), Exponents(1, 3, 4), frame.cast(dict(SCHEMA)))


def order(bar: int, side: Side = Side.BUY, order_type: str = "market", action: str = "new") -> SentOrder:
    """An order sent at the close of a bar, counted from 1."""
    time_ns = bar * MINUTE * NS
    return SentOrder(time_ns=time_ns, side=side, action=action, order_type=order_type, quantity=Decimal(1))


def fill(bar: int, side: Side) -> Fill:
    return Fill(
        time_ns=bar * MINUTE * NS, order_id="1", side=side, quantity=Decimal(1), price=Decimal(100),
        reference=Decimal(100), fee=Decimal(0), liquidity=Liquidity.TAKER, order_type="market",
    )  # fmt: skip


@dataclass
class Outcome:
    sent: Sequence[SentOrder]
    fills: Sequence[Fill] = field(default_factory=list[Fill])


def trading(bars: int, every: int = 10) -> Outcome:
    """Buys each tenth bar, and sells five bars later."""
    entries = range(every, bars, every)
    sent = [each for bar in entries for each in (order(bar), order(bar + 5, Side.SELL))]
    return Outcome(sent, [fill(each.time_ns // MINUTE // NS, each.side) for each in sent])


def test_moments_are_those_of_orders_first_and_leave_a_future() -> None:
    klines = market()
    sent = Outcome([order(bar) for bar in (1, 40, 80, 100)])
    moments = choose_moments(klines, sent, 5, seed=1)
    # Three of five are moments of orders; after the order of bar 100 there is nothing left to replace.
    assert {MINUTE, 40 * MINUTE, 80 * MINUTE} <= set(moments)
    assert len(moments) == 5
    assert max(moments) < 100 * MINUTE
    assert choose_moments(klines, sent, 5, seed=1) == moments


def test_there_are_no_more_moments_than_bars() -> None:
    assert choose_moments(market(2), Outcome([]), 9, seed=1) == [MINUTE]


def test_each_kind_of_order_has_its_turn_and_those_that_open_come_first() -> None:
    # 98 limit orders that are cancelled, and one market order of each kind.
    sent = [order(bar, order_type="limit", action="cancelled") for bar in range(2, 100)]
    whole = Outcome(
        sorted([*sent, order(30), order(50, Side.SELL)], key=lambda each: each.time_ns),
        [fill(30, Side.BUY), fill(50, Side.SELL)],
    )
    for seed in range(20):
        assert {30 * MINUTE, 50 * MINUTE} <= set(choose_moments(market(), whole, 5, seed))
        # With one moment, it is that of the order that opens.
        assert choose_moments(market(), whole, 1, seed) == [30 * MINUTE]


@pytest.mark.parametrize("seed", range(5))
def test_early_moments_are_of_entries_and_exits_alike(seed: int) -> None:
    moments = early_moments(market(10_000), trading(9_990), 60, seed)
    entries = sum(time // MINUTE % 10 == 0 for time in moments)
    assert (len(moments), entries) == (60, 30)


def test_early_moments_lie_where_runs_up_to_them_are_short() -> None:
    klines, whole = market(10_000), trading(9_990)
    seeds = [early_moments(klines, whole, 60, seed) for seed in (1, 2)]
    assert seeds[0] == early_moments(klines, whole, 60, 1) != seeds[1]
    # 60 runs may take 20,000 bars together, 333 each: orders at bars 10, 15, … 655 are 332.5 bars away on average.
    assert max(max(moments) for moments in seeds) <= 655 * MINUTE
    assert min(max(moments) for moments in seeds) > 500 * MINUTE
    # In ten times the range they may take 200,000.
    assert 3_000 * MINUTE < max(early_moments(market(100_000), trading(99_990), 60, 1)) <= 6_660 * MINUTE


def test_with_few_orders_early_moments_reach_further() -> None:
    # One each thousand bars: 1,000 + … + 5,000 = 15,000 are within 20,000, and another 6,000 are not.
    # Twice the range is less than either.
    whole = Outcome([order(bar) for bar in range(1_000, 7_000, 1_000)])
    assert early_moments(market(7_000), whole, 90, seed=1) == [bar * MINUTE for bar in range(1_000, 6_000, 1_000)]


def test_without_orders_there_are_no_early_moments() -> None:
    assert early_moments(market(), Outcome([]), 90, seed=1) == []
