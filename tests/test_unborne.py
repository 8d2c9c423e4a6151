"""What waiting orders opened, and what was refused, against the margin: by hand, 1,000 to begin with, 10 x."""

from dataclasses import replace
from decimal import Decimal
from typing import Literal

import numpy as np
import pytest

from made_fills import made_fill
from nt_run.held import MarginTerms, Tier, follow
from nt_run.matching import MatchBars
from nt_run.model import Fill, Side
from nt_run.resting import RestingOrder
from nt_run.unborne import check_borne

D = Decimal
BUY, SELL = Side.BUY, Side.SELL
MINUTE = 60_000_000_000
ANY = D("Infinity")
TERMS = MarginTerms(
    mode="isolated",
    leverage=D(10),
    tiers=[Tier(floor=D(0), cap=ANY, rate=D("0.004"), cum=D(0))],
    taker=D("0.0005"),
    liquidation_fee=D("0.0125"),
    tick=D("0.1"),
)
NUMBERS = np.arange(4, dtype=np.int64)
FLAT, HIGH = np.array([100, 104, 104, 104], dtype=np.int64), np.array([100, 104, 106, 104], dtype=np.int64)
BARS = MatchBars(NUMBERS * 60_000, (NUMBERS + 1) * 60_000, FLAT, HIGH, FLAT, FLAT, 0)

SHORT = made_fill(MINUTE, SELL, "95", "100", order_id="O-1")
# 1,000 − 380 are left: 6,200 at most.
CLOSED = made_fill(2 * MINUTE, BUY, "95", "104", order_id="O-2")


def stop(quantity: str, ended: str = "refused", trigger: str = "106") -> RestingOrder:
    return RestingOrder(
        order_id="O-3",
        side=BUY,
        order_type="stop_market",
        quantity=D(quantity),
        price=None,
        trigger=D(trigger),
        sent_ns=MINUTE,
        since_ns=MINUTE,
        until_ns=3 * MINUTE,
        ended=ended,
    )


def wrong(
    fills: list[Fill], *orders: RestingOrder, most: Decimal = ANY, terms: MarginTerms = TERMS
) -> list[tuple[str, str, str]]:
    course = follow(fills, [], {order.order_id: order.sent_ns for order in orders}, balance=D(1000), leverage=D(10))
    return [(each.what, each.expected, each.found) for each in check_borne(course, orders, BARS, terms, most)]


@pytest.mark.parametrize(
    ("quantity", "kind", "found"),
    [
        ("58.4", "stop_market", []),  # × 106 = 6,190.40
        ("58.6", "stop_market", [("notional that O-3 opened", "at most 6200.00", "6211.60")]),
        # Fees paid since a limit order was sent may be lacking: 4 × 0.0005 × 6,211.60 × 10 = 124.23 of notional.
        ("58.6", "limit", []),
        ("59.8", "limit", [("notional that O-3 opened", "at most 6326.78", "6338.80")]),
        ("58.6", "market", []),
    ],
)
def test_what_a_stop_opened_is_held_against_what_was_left(
    quantity: str, kind: str, found: list[tuple[str, str, str]]
) -> None:
    last = made_fill(3 * MINUTE, BUY, quantity, "106", order_id="O-3", order_type=kind)
    assert wrong([SHORT, CLOSED, last], stop(quantity, "filled")) == found


def test_a_stop_that_closes_opens_nothing_and_one_that_adds_needs_what_is_free() -> None:
    closes = made_fill(3 * MINUTE, BUY, "95", "109.9", order_id="O-3", order_type="stop_market")
    assert wrong([SHORT, closes], stop("95", "filled")) == []
    # 9,500 of 10,000 are tied up: 5 more at 104 are 520.
    adds = made_fill(3 * MINUTE, SELL, "5", "104", order_id="O-3", order_type="market_if_touched")
    assert wrong([SHORT, adds], stop("5", "filled")) == [("notional that O-3 opened", "at most 500.00", "520.00")]


def test_open_losses_take_of_what_is_free_with_cross_margin_alone() -> None:
    # The short of 50 loses 200 at 104: (1,000 − 200) × 10 − 50 × 104 = 2,800; isolated has 10,000 − 5,000 free.
    short = replace(SHORT, quantity=D(50))
    cross = replace(TERMS, mode="cross")
    adds = made_fill(3 * MINUTE, SELL, "27", "104", order_id="O-3", order_type="market_if_touched")
    assert wrong([short, adds], stop("27", "filled")) == []
    assert wrong([short, adds], stop("27", "filled"), terms=cross) == [
        ("notional that O-3 opened", "at most 2800.00", "2808.00")
    ]
    limit = replace(adds, order_type="limit")
    assert wrong([short, limit], replace(stop("27", "filled"), order_type="limit"), terms=cross) == []


def test_a_turn_needs_what_closing_leaves() -> None:
    # At 106 the short has lost 570 and pays 5.035: 424.965 are left, good for 4,249.65; 41 × 106 = 4,346.
    turns = made_fill(3 * MINUTE, BUY, "136", "106", order_id="O-3", order_type="stop_market")
    told = [("notional that O-3 opened", "at most 4249.65", "4346.00")]
    assert wrong([SHORT, turns], stop("136", "filled")) == told
    assert wrong([SHORT, replace(turns, quantity=D(135))], stop("135", "filled")) == []


def test_a_refusal_is_right_where_margin_lacks_and_wrong_elsewhere() -> None:
    named = "refusal of O-3"
    assert wrong([SHORT, CLOSED], stop("95")) == []
    assert wrong([SHORT, CLOSED], stop("58")) == [(named, "where margin lacks", "with enough of it")]
    # It would have closed the short.
    assert wrong([SHORT], stop("95")) == [(named, "where margin lacks", "with enough of it")]
    # By the brackets, not by the account.
    assert wrong([SHORT, CLOSED], stop("58"), most=D(6000)) == []
    # Behind a gap: the bar begins at 104.
    assert wrong([SHORT, CLOSED], stop("95", trigger="103")) == []
    assert wrong([SHORT, CLOSED], stop("95", trigger="107")) == [(named, "as the market comes to it", "without that")]


@pytest.mark.parametrize(
    ("side", "limit", "came"),
    [(BUY, "107", True), (BUY, "104", True), (BUY, "103", False), (SELL, "103", True), (SELL, "107", False)],
)
def test_a_limit_is_come_to_where_the_market_is_better_than_it(side: Side, limit: str, came: bool) -> None:
    # Triggered and refused in the bar from 104 to 106, for want of margin.
    order = replace(stop("95"), side=side, order_type="limit_if_touched", price=D(limit), trigger=None)
    held = [SHORT, CLOSED] if side is BUY else [SHORT]
    told = [] if came else [("refusal of O-3", "as the market comes to it", "without that")]
    assert wrong(held, order) == told


@pytest.mark.parametrize("ended", ["cancelled", "filled", "open"])
def test_only_what_is_said_to_be_refused_is_held_to_it(ended: Literal["cancelled", "filled", "open"]) -> None:
    assert wrong([SHORT, CLOSED], stop("58", ended)) == []
