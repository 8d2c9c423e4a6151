from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from nt_run.honesty import check_future, check_later_starts, choose_moments, first_difference
from nt_run.klines import SCHEMA, Exponents, Klines
from nt_run.lens import seen_through, shown
from nt_run.model import Fill, Interval, Liquidity, SentOrder, Side

MINUTE = 60_000
NS = 1_000_000


def market(bars: int = 100) -> Klines:
    frame = pl.DataFrame(
        {"open_time": [MINUTE * number for number in range(bars)]}
        | {name: [1000 + number % 7 for number in range(bars)] for name in ("open", "high", "low", "close")}
        | dict.fromkeys(list(SCHEMA)[5:], [1000] * bars)
    ).with_columns(pl.col("open_time").cast(pl.Datetime("ms", "UTC")))
    return Klines("BTCUSDT", Interval("1m"), Exponents(1, 3, 4), frame.cast(dict(SCHEMA)))


def order(bar: int, side: Side = Side.BUY, **changes: Any) -> SentOrder:
    """An order sent at the close of a bar, counted from 1."""
    given = {"action": "new", "order_type": "market", "quantity": Decimal(1), **changes}
    return SentOrder(time_ns=bar * MINUTE * NS, side=side, **given)


@dataclass
class Outcome:
    sent: Sequence[SentOrder]
    fills: Sequence[Fill] = field(default_factory=list[Fill])


def filled(orders: Sequence[SentOrder]) -> Outcome:
    fills = [
        Fill(
            time_ns=each.time_ns, order_id="1", side=each.side, quantity=each.quantity, price=Decimal(100),
            reference=Decimal(100), fee=Decimal(0), liquidity=Liquidity.TAKER, order_type="market",
        )
        for each in orders
    ]  # fmt: skip
    return Outcome(orders, fills)


def test_the_first_difference_says_what_each_list_has_at_its_time() -> None:
    one, two, three = order(1), order(2), order(3)
    assert first_difference([one, two], [one, two]) is None
    missing = first_difference([one, two, three], [one, three])
    assert missing is not None
    assert (missing.time_ns, missing.first, missing.second) == (two.time_ns, two, None)
    other = order(2, Side.SELL)
    changed = first_difference([one, two], [one, other, three])
    assert changed is not None
    assert (changed.first, changed.second) == (two, other)


def test_moments_are_those_of_orders_first_and_leave_a_future() -> None:
    klines = market()
    sent = [order(bar) for bar in (1, 40, 80, 100)]
    moments = choose_moments(klines, sent, 5, seed=1)
    # Three of five are moments of orders; after the order of bar 100 there is nothing left to replace.
    assert {MINUTE, 40 * MINUTE, 80 * MINUTE} <= set(moments)
    assert len(moments) == 5
    assert max(moments) < 100 * MINUTE
    assert choose_moments(klines, sent, 5, seed=1) == moments


def test_there_are_no_more_moments_than_bars() -> None:
    assert choose_moments(market(2), [], 9, seed=1) == [MINUTE]


def test_only_orders_up_to_the_moment_count() -> None:
    klines = market()
    sent = [order(40), order(80)]

    def honest(fed: Klines, history: Klines, lens: object) -> Outcome:
        # What comes after the moment may change as it likes.
        return Outcome([each for each in sent if each.time_ns <= (fed.range.end_ms - 2 * MINUTE) * NS])

    assert all(moment.difference is None for moment in check_future(
        honest, klines, sent, tick=Decimal("0.1"), times=6, seed=1
    ))  # fmt: skip


def test_whoever_knows_the_next_close_is_found() -> None:
    klines = market()

    def knowing(fed: Klines, history: Klines, lens: object) -> Outcome:
        closes = history.frame["close"].to_list()
        rising = [at for at in range(1, len(fed)) if at < len(closes) and closes[at] > closes[at - 1]]
        return Outcome([order(bar) for bar in rising])

    sent = knowing(klines, klines, None).sent
    moments = check_future(knowing, klines, sent, tick=Decimal("0.1"), times=3, seed=1)
    found = [moment for moment in moments if moment.difference]
    assert found
    assert all(moment.difference is not None and moment.difference.time_ns <= moment.time_ms * NS for moment in found)


def test_a_later_start_is_equal_once_warm() -> None:
    klines = market(300)
    # The later run of 30 bars lacks the order of bar 31, as its indicator still warms up.
    whole = [order(bar, side) for bar, side in zip(range(31, 300, 10), [Side.BUY, Side.SELL] * 20, strict=False)]

    def run(fed: Klines, history: Klines, lens: object) -> Outcome:
        start = fed.range.start_ms // MINUTE
        return filled([each for each in whole if each.time_ns > (start + 10) * MINUTE * NS])

    starts = check_later_starts(run, klines, filled(whole))
    assert [(start.bars, start.agreement) for start in starts] == [(1, "equal"), (30, "equal"), (61, "equal")]
    thirty = starts[1]
    assert (thirty.compared, thirty.equal_after) == (27, 1)
    assert thirty.difference is not None
    assert (thirty.difference.first, thirty.difference.second) == (whole[0], None)


def test_decisions_in_different_positions_are_not_compared() -> None:
    klines = market(300)
    whole = [order(31), order(290, Side.SELL)]

    def run(fed: Klines, history: Klines, lens: object) -> Outcome:
        # Enters ten bars later while the whole run holds its position, and leaves earlier.
        return filled([order(80), order(100, Side.SELL)])

    # From bar 30 on: the two decide differently at bar 31, both flat, and never meet again.
    thirty = check_later_starts(run, klines, filled(whole))[1]
    assert (thirty.agreement, thirty.equal_after) == ("by_position", 1)


def test_decisions_that_differ_to_the_end_in_the_same_position_never_agree() -> None:
    klines = market(300)
    whole = [order(bar, side) for bar, side in zip(range(5, 300, 10), [Side.BUY, Side.SELL] * 20, strict=False)]

    def run(fed: Klines, history: Klines, lens: object) -> Outcome:
        moved = [(bar + 1, side) for bar, side in zip(range(5, 299, 10), [Side.BUY, Side.SELL] * 20, strict=False)]
        return filled([order(bar, side) for bar, side in moved])

    assert {start.agreement for start in check_later_starts(run, klines, filled(whole))} == {"never"}


def test_without_orders_there_is_nothing_to_compare() -> None:
    starts = check_later_starts(lambda *_: Outcome([]), market(300), Outcome([]))
    assert {start.agreement for start in starts} == {"no_orders"}


def test_a_lens_holds_as_long_as_its_context() -> None:
    klines, other = market(3), market(5)
    with seen_through(lambda _: other):
        assert shown(klines) is other
        with seen_through(None):
            assert shown(klines) is klines
    assert shown(klines) is klines


@pytest.mark.parametrize("bars", [1, 3])
def test_short_ranges_have_no_later_start(bars: int) -> None:
    assert [start.bars for start in check_later_starts(lambda *_: Outcome([]), market(bars), Outcome([]))] in ([], [1])
