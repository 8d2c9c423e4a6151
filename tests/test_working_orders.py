"""Orders that rested, by hand: a minute of three bars, the market falls from 100 to 96 and comes back."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from nt_run.frames import orders_frame
from nt_run.matching import MatchBars
from nt_run.model import MS, Fill, Liquidity, Side
from nt_run.readback import read_limits
from nt_run.resting import RestingOrder
from nt_run.working_orders import check_orders

D = Decimal
MINUTE = 60_000


def ints(*values: int) -> Any:
    return np.array(values, dtype=np.int64)


# Prices in tenths: 100.0 → 98.0, then open 97.0 → 99.0 with a low of 96.0, then up to 101.0.
BARS = MatchBars(
    opened=ints(0, MINUTE, 2 * MINUTE),
    closed=ints(MINUTE, 2 * MINUTE, 3 * MINUTE),
    open=ints(1000, 970, 990),
    high=ints(1002, 990, 1010),
    low=ints(980, 960, 985),
    close=ints(980, 990, 1010),
    exponent=1,
)
STOP = RestingOrder(
    order_id="O-1",
    side=Side.SELL,
    order_type="stop_market",
    quantity=D(2),
    price=None,
    trigger=D("96.5"),
    sent_ns=MINUTE * MS,
    since_ns=MINUTE * MS,
    until_ns=2 * MINUTE * MS,
    ended="filled",
)
FILL = Fill(
    time_ns=2 * MINUTE * MS,
    order_id="O-1",
    side=Side.SELL,
    quantity=D(2),
    price=D("96.5"),
    reference=D("96.5"),
    fee=D(0),
    liquidity=Liquidity.TAKER,
    order_type="stop_market",
)


def wrong(*orders: RestingOrder, fills: tuple[Fill, ...] = (FILL,)) -> list[str]:
    found = check_orders(orders, fills, BARS, tick=D("0.1"), step=D("0.001"))
    return [each.what.removesuffix(" of O-1") for each in found]


def test_a_stop_that_filled_at_its_trigger_is_in_order() -> None:
    assert wrong(STOP) == []


def test_behind_a_gap_a_stop_gets_the_open_and_nothing_else() -> None:
    # The second bar opens at 97.0, below the trigger.
    late = replace(STOP, trigger=D("97.5"))
    assert wrong(late, fills=(replace(FILL, reference=D("97.0")),)) == []
    assert wrong(late, fills=(replace(FILL, reference=D("97.1")),)) == ["price"]


def test_a_stop_that_got_a_better_open_is_wrong() -> None:
    # A sale at 97.0 with its trigger at 96.5, which the market reached only later.
    assert wrong(STOP, fills=(replace(FILL, reference=D("97.0")),)) == ["price"]


def test_a_fill_without_its_order_and_an_order_without_its_fill_are_named() -> None:
    assert wrong() == ["stretch"]
    assert wrong(STOP, fills=()) == ["quantity filled"]
    assert wrong(STOP, STOP) == ["stretch"]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"side": Side.BUY}, "side and type"),
        ({"order_type": "limit"}, "side and type"),
        ({"quantity": D(3)}, "quantity filled"),
        ({"quantity": D("2.0001")}, "quantity off the step"),
        ({"trigger": D("96.4")}, "price"),
        ({"trigger": D("96.51")}, "trigger off the tick"),
        ({"trigger": None}, "price"),
        ({"sent_ns": 3 * MINUTE * MS}, "times"),
        ({"since_ns": 3 * MINUTE * MS}, "stretch"),
        ({"until_ns": 3 * MINUTE * MS}, "end"),
        ({"until_ns": None}, "end"),
        ({"ended": "cancelled"}, "quantity filled"),
        ({"ended": "modified"}, "stretch"),
        ({"ended": "gone"}, "end"),
    ],
    ids=str,
)
def test_a_changed_field_is_named(changed: dict[str, Any], named: str) -> None:
    assert named in wrong(replace(STOP, **changed))


def test_an_order_the_price_of_which_a_bar_reached_must_have_filled() -> None:
    # The low of the second bar, 96.0, is below both; the order that was cancelled as that bar ended tells nothing.
    idle = replace(STOP, ended="cancelled", until_ns=3 * MINUTE * MS)
    assert wrong(idle, fills=()) == ["missed fill"]
    assert wrong(replace(idle, trigger=D("95.9")), fills=()) == []
    assert wrong(replace(idle, until_ns=2 * MINUTE * MS), fills=()) == []
    limit = replace(idle, side=Side.BUY, order_type="limit", price=D("96.0"), trigger=None)
    assert wrong(limit, fills=()) == ["missed fill"]
    assert wrong(replace(limit, price=D("95.9")), fills=()) == []


def test_the_stretches_of_a_modified_order_follow_one_another() -> None:
    first = replace(STOP, trigger=D("96.2"), since_ns=0, sent_ns=0, until_ns=MINUTE * MS, ended="modified")
    assert wrong(first, STOP) == []
    assert wrong(replace(first, until_ns=MINUTE * MS - 1), STOP) == ["stretch"]
    assert wrong(first, fills=()) == ["stretch"]


def test_a_limit_gets_its_own_price_or_at_once_a_better_one() -> None:
    limit = replace(STOP, side=Side.BUY, order_type="limit", price=D("97.0"), trigger=None)
    made = {"price": D("97.0"), "reference": D("97.0"), "liquidity": Liquidity.MAKER}
    fill = replace(FILL, side=Side.BUY, order_type="limit", **made)
    assert wrong(limit, fills=(fill,)) == []
    assert wrong(limit, fills=(replace(fill, reference=D("96.9")),)) == ["price"]
    # Sent above the market, it took at 96.9.
    assert wrong(replace(limit, since_ns=2 * MINUTE * MS), fills=(replace(fill, reference=D("96.9")),)) == []


def test_what_rested_in_the_book_makes_the_market() -> None:
    stop = replace(STOP, order_type="stop_limit", price=D("98.5"), sent_ns=0)
    waited = replace(stop, ended="triggered", since_ns=0, until_ns=MINUTE * MS)
    rested = replace(waited, trigger=None, ended="filled", since_ns=MINUTE * MS, until_ns=2 * MINUTE * MS)
    fill = replace(FILL, order_type="stop_limit", price=D("98.5"), reference=D("98.5"))
    assert wrong(waited, rested, fills=(fill,)) == ["liquidity"]
    assert wrong(waited, rested, fills=(replace(fill, liquidity=Liquidity.MAKER),)) == []
    # One that takes where it is triggered has not rested.
    at_once = replace(rested, since_ns=2 * MINUTE * MS)
    assert wrong(replace(waited, until_ns=2 * MINUTE * MS), at_once, fills=(fill,)) == []


@pytest.mark.parametrize("stretches", [2, 8, 40])
def test_the_limit_that_counts_is_the_last_one_also_of_an_order_changed_as_it_is_triggered(stretches: int) -> None:
    # All of them from one moment on, at 97.0, 97.1, …
    orders = [
        replace(STOP, order_id=f"O-{number}", order_type="stop_limit", price=D(97) + D(tenths) / 10)
        for number in range(50)
        for tenths in range(stretches)
    ]
    limits = read_limits(orders_frame(orders))
    assert {limit.price for limit in limits.values()} == {D(97) + D(stretches - 1) / 10}
