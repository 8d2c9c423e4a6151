"""Sizes against leverage brackets, and stops against the price of liquidation, by hand: 10,000 to begin with, 20 x."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

import numpy as np
import pytest

from made_fills import made_fill
from nt_run.allowance import check_sizes, count_beyond, lives_of
from nt_run.held import Course, MarginTerms, Tier, follow
from nt_run.matching import MatchBars
from nt_run.model import Fill, Side
from nt_run.resting import RestingOrder

D = Decimal
MINUTE = 60_000_000_000
MOST = D(10_000)


def bars(*closes: int) -> MatchBars:
    """Minutes from 0 on; only their closes matter."""
    number, price = np.arange(len(closes), dtype=np.int64), np.array(closes, dtype=np.int64)
    return MatchBars(number * 60_000, (number + 1) * 60_000, price, price, price, price, 0)


def fill(minute: int, side: Side, quantity: str, price: str = "100", kind: str = "market") -> Fill:
    return made_fill(minute * MINUTE, side, quantity, price, order_id=f"O-{minute}", order_type=kind)


def rest(
    sent: int, until: int, side: Side, quantity: str, *, price: str | None = None, trigger: str | None = None
) -> RestingOrder:
    """An order that filled at the minute it is named after."""
    return RestingOrder(
        order_id=f"O-{until}",
        side=side,
        order_type="limit" if trigger is None else "stop_market",
        quantity=D(quantity),
        price=None if price is None else D(price),
        trigger=None if trigger is None else D(trigger),
        sent_ns=sent * MINUTE,
        since_ns=sent * MINUTE,
        until_ns=until * MINUTE,
        ended="filled",
    )


def course(fills: Sequence[Fill]) -> Course:
    return follow(fills, [], {}, balance=D(10_000), leverage=D(20))


@pytest.mark.parametrize(
    ("fills", "orders", "closes", "wrong"),
    [
        # 60 and 40 at 100 are 10,000; a thousandth more is 0.10 too much.
        ([fill(1, Side.BUY, "60"), fill(2, Side.BUY, "40")], [], (100, 100), []),
        ([fill(1, Side.BUY, "60"), fill(2, Side.BUY, "40.001")], [], (100, 100), [2]),
        # At the next open the fill may be dearer: what counted was the close it was sent at.
        ([fill(1, Side.SELL, "100", "103")], [], (100,), []),
        # What is held counts at the price of the new order: 80 × 125 = 10,000.
        ([fill(1, Side.BUY, "60"), fill(2, Side.BUY, "20", "125")], [], (100, 125), []),
        ([fill(1, Side.BUY, "60"), fill(2, Side.BUY, "20.1", "125")], [], (100, 125), [2]),
        # A limit that waited counts at its own price: 111 × 90 = 9,990, 112 × 90 = 10,080.
        (
            [fill(1, Side.BUY, "60"), fill(3, Side.BUY, "51", "90", "limit")],
            [rest(1, 3, Side.BUY, "51", price="90")],
            (100,) * 3,
            [],
        ),
        (
            [fill(1, Side.BUY, "60"), fill(3, Side.BUY, "52", "90", "limit")],
            [rest(2, 3, Side.BUY, "52", price="90")],
            (100,) * 3,
            [3],
        ),
        # One sent before is not judged again as it fills: 40 at 110 waited as 60 were sold at 100.
        (
            [fill(2, Side.SELL, "60"), fill(3, Side.SELL, "40", "110", "limit")],
            [rest(1, 3, Side.SELL, "40", price="110")],
            (100,) * 3,
            [],
        ),
        # Turned round, only what is opened counts; closed in part, only what is left.
        ([fill(1, Side.BUY, "60"), fill(2, Side.SELL, "160")], [], (100, 100), []),
        ([fill(1, Side.BUY, "60"), fill(2, Side.SELL, "160.1")], [], (100, 100), [2]),
        ([fill(1, Side.BUY, "60"), fill(2, Side.SELL, "30")], [], (100, 400), []),
    ],
)
def test_positions_beyond_what_the_brackets_allow_are_named(
    fills: list[Fill], orders: list[RestingOrder], closes: tuple[int, ...], wrong: list[int]
) -> None:
    found = check_sizes(course(fills), lives_of(orders), bars(*closes), MOST)
    assert [each.time_ns for each in found] == [minute * MINUTE for minute in wrong]
    assert check_sizes(course(fills), lives_of(orders), bars(*closes), D("Infinity")) == []


@pytest.mark.parametrize(
    ("side", "stop", "mode", "counts"),
    [
        # 2 at 100: a margin of 10. A long is liquidated at 190 ÷ 1.98 = 95.9596, a short at 210 ÷ 2.02 = 103.9604. A
        # tenth of a per cent of 200 around it is open: 0.20 is what 0.10 of price take.
        (Side.BUY, "95.8", "isolated", (1, 1)),
        (Side.BUY, "95.96", "isolated", (0, 1)),
        (Side.BUY, "96.1", "isolated", (0, 0)),
        (Side.SELL, "104.1", "isolated", (1, 1)),
        (Side.SELL, "103.8", "isolated", (0, 0)),
        # The whole balance lasts to (10,000 + 200) ÷ 2.02 = 5,049.50.
        (Side.SELL, "104.1", "cross", (0, 0)),
        (Side.SELL, "5100", "cross", (1, 1)),
    ],
)
def test_stops_that_liquidation_comes_before_are_counted(
    side: Side, stop: str, mode: Literal["isolated", "cross"], counts: tuple[int, int]
) -> None:
    tiers = [Tier(floor=D(0), cap=D("Infinity"), rate=D("0.01"), cum=D(0))]
    terms = MarginTerms(mode=mode, leverage=D(20), tiers=tiers, taker=D(0), liquidation_fee=D(0), tick=D("0.1"))
    away = Side.SELL if side is Side.BUY else Side.BUY
    held = course([fill(1, side, "2"), fill(2, away, "2")])
    stops = [rest(1, 2, away, "2", trigger=stop)]
    assert count_beyond(held, stops, bars(100, 100), terms) == counts
    # A trade that had no stop from the start may have had any; one that is still open is none.
    assert count_beyond(held, [], bars(100, 100), terms) == (0, 1)
    assert count_beyond(course([fill(1, side, "2")]), stops, bars(100, 100), terms) == (0, 0)
