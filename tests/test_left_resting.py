"""Stop-limit orders that a bar went through, by hand: one minute from 100.0 down to 95.0, the next at about 95."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from nt_run.left_resting import find_left
from nt_run.matching import MatchBars
from nt_run.model import LIQUIDATION, MS, Fill, Liquidity, Side
from nt_run.resting import RestingOrder

D = Decimal
MINUTE = 60_000 * MS


def ints(*values: int) -> Any:
    return np.array(values, dtype=np.int64)


BARS = MatchBars(
    opened=ints(0, 60_000),
    closed=ints(60_000, 120_000),
    open=ints(1000, 950),
    high=ints(1002, 960),
    low=ints(940, 945),
    close=ints(950, 952),
    exponent=1,
)
# A sale from 98 on, for 97 or more: on the way down the market is at 98, where 97 is to be had.
WAITED = RestingOrder(
    order_id="O-1",
    side=Side.SELL,
    order_type="stop_limit",
    quantity=D(1),
    price=D(97),
    trigger=D(98),
    sent_ns=0,
    since_ns=0,
    until_ns=MINUTE,
    ended="triggered",
)
RESTED = replace(WAITED, trigger=None, since_ns=MINUTE, until_ns=None, ended="open")


def left(waited: RestingOrder, after: RestingOrder, *fills: Fill) -> bool:
    return find_left([waited, after], fills, BARS) == [waited]


@pytest.mark.parametrize("ended", ["open", "filled", "cancelled", "modified"])
def test_an_order_that_the_bar_went_through_and_did_not_fill_was_left_resting(ended: str) -> None:
    assert left(WAITED, replace(RESTED, ended=ended, until_ns=None if ended == "open" else 2 * MINUTE))


def test_one_that_filled_in_the_bar_or_was_refused_was_not() -> None:
    assert not left(WAITED, replace(RESTED, ended="filled", until_ns=MINUTE))
    assert not left(WAITED, replace(RESTED, ended="refused", until_ns=MINUTE))
    # Cancelled as the strategy saw the bar, it was.
    assert left(WAITED, replace(RESTED, ended="cancelled", until_ns=MINUTE))


def test_one_with_a_limit_that_its_trigger_does_not_reach_rests_on_an_exchange_as_well() -> None:
    assert not left(replace(WAITED, price=D("98.1")), RESTED)
    assert left(replace(WAITED, price=D(98)), RESTED)


def test_one_that_the_open_jumped_over_rests_on_an_exchange_as_well() -> None:
    # It opens at 100, below the limit.
    jumped = replace(WAITED, price=D("100.1"), trigger=D("100.5"))
    assert not left(jumped, RESTED)
    # One that came to be inside the bar met no open.
    assert left(replace(jumped, since_ns=MINUTE), RESTED)


def test_one_that_a_liquidation_comes_before_was_not() -> None:
    liquidation = Fill(
        time_ns=MINUTE,
        order_id="O-2",
        side=Side.SELL,
        quantity=D(1),
        price=D(99),
        reference=D(99),
        fee=D(0),
        liquidity=Liquidity.TAKER,
        order_type=LIQUIDATION,
    )
    assert not left(WAITED, replace(RESTED, ended="cancelled", until_ns=MINUTE), liquidation)
    assert left(WAITED, RESTED, replace(liquidation, order_type="market"))
