"""The bounds of a trailing stop inside one bar, by hand and against random paths through the bar."""

import random
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Literal

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nt_run.model import Side
from nt_run.outcomes import Span
from nt_run.resting import RestingOrder, Trailing
from nt_run.trails import carried, find_trails, may_fill, with_trails

D = Decimal
TICK = D("0.1")


def stop(side: Side, trigger: Decimal, trailing: Trailing) -> RestingOrder:
    return RestingOrder(
        order_id="stop",
        side=side,
        order_type="trailing_stop_market",
        quantity=D(1),
        price=None,
        trigger=trigger,
        sent_ns=0,
        since_ns=0,
        until_ns=None,
        ended="open",
        trailing=trailing,
    )


def bar(opened: str, high: str, low: str, close: str) -> Span:
    return Span(start=D(opened), approach=0, high=D(high), low=D(low), close=D(close))


@pytest.mark.parametrize(
    ("span", "first", "last", "certain"),
    [
        # Two behind: from 98 at the open to 101.5 at the high of 103.5. The close below 101.5 leaves no way out, and
        # the low of 100 is the least it may have fetched.
        (bar("100", "103.5", "100", "101"), "100", "101.5", True),
        # The low is beyond the first trigger: met on every path.
        (bar("100", "103.5", "97", "103"), "98", "101.5", True),
        # Low first, then the high, and a close above the last trigger: never met.
        (bar("100", "103.5", "100", "103"), "100", "101.5", False),
        # It could not follow: where it fills is certain.
        (bar("100", "100", "97", "99"), "98", "98", True),
    ],
)
def test_a_trailing_stop_fills_between_its_first_and_its_last_trigger(
    span: Span, first: str, last: str, certain: bool
) -> None:
    (trail,) = find_trails(span, [stop(Side.SELL, D(98), Trailing(D(2), "price"))], TICK)
    assert (trail.first, trail.last, trail.certain) == (D(first), D(last), certain)


@pytest.mark.parametrize(
    "span", [bar("97", "103.5", "96", "100"), bar("100", "101", "99.5", "100.5")], ids=["gap", "not reached"]
)
def test_a_gap_and_a_bar_that_moves_less_than_the_offset_leave_no_doubt(span: Span) -> None:
    assert find_trails(span, [stop(Side.SELL, D(98), Trailing(D(2), "price"))], TICK) == []


@pytest.mark.parametrize(
    ("trailing", "last"),
    # 1 % behind 103.5 is 102.465, to the nearest tick 102.5; 15 ticks behind is 102.
    [(Trailing(D(100), "basis_points"), "102.5"), (Trailing(D(15), "ticks"), "102")],
)
def test_offsets_in_basis_points_and_ticks(trailing: Trailing, last: str) -> None:
    (trail,) = find_trails(bar("100", "103.5", "97", "103"), [stop(Side.SELL, D(98), trailing)], TICK)
    assert trail.last == D(last)


def test_a_path_that_closes_the_position_before_stays_possible() -> None:
    trails = find_trails(bar("100", "103.5", "97", "103"), [stop(Side.SELL, D(98), Trailing(D(2), "price"))], TICK)
    paths = with_trails([{"target": D(1)}], trails, D(1), gapped=False)
    assert {"target": D(1)} in paths
    assert {"stop first": D(1)} in paths
    assert {"stop last": D(1)} in paths
    assert {} not in paths
    assert with_trails([{"gone": D(1)}], trails, D(1), gapped=True) == [{"gone": D(1)}]


def test_a_stop_that_must_fill_does_not_where_another_leaves_it_nothing() -> None:
    # Each sells what it can of 1. A target of 0.7 may come before; on the way down to 97 the one at 99 is first.
    orders = [replace(stop(Side.SELL, D(level), Trailing(D(8), "price")), order_id=level) for level in ("98", "99")]
    trails = find_trails(bar("100", "101", "97", "100"), orders, TICK)
    assert [trail.certain for trail in trails] == [True, True]
    paths = with_trails([{"target": D("0.7")}], trails, D(1), gapped=False)
    assert {"target": D("0.7"), "99 first": D("0.3")} in paths
    assert {"target": D("0.7")} not in paths


def test_a_stop_that_its_bar_spares_has_come_to_the_extreme_unless_that_was_before_the_entry() -> None:
    # Bought at 100 on the way down; the high of 104 may have come before. Two behind the close of 101 it is at 99.
    order = stop(Side.SELL, D(96), Trailing(D(2), "price"))
    span = Span(start=D(100), approach=-1, high=D(104), low=D(99), close=D(101))
    for approach, left in {-1: [D(99), D(102)], 0: [D(102)], 1: [D(102)]}.items():
        (trail,) = find_trails(replace(span, approach=approach), [order], TICK)
        assert [each.trigger for each in trail.moved] == left


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
@given(
    prices=st.lists(st.lists(st.integers(9_000, 11_000), min_size=4, max_size=4), min_size=1, max_size=8),
    offset=st.integers(1, 900),
    unit=st.sampled_from(["price", "ticks", "basis_points"]),
    behind=st.integers(1, 800),
)
# 1 % behind 103.5 is 102.465, which the engine makes 102.5: the low.
@example(prices=[[1030, 1035, 1025, 1033]], offset=100, unit="basis_points", behind=700)
def test_no_bar_that_may_fill_a_stop_on_its_way_is_passed_over(
    side: Side,
    prices: list[list[int]],
    offset: int,
    unit: Literal["price", "ticks", "basis_points"],
    behind: int,
) -> None:
    trailing = Trailing(offset * TICK if unit == "price" else D(offset), unit)
    order = stop(side, (prices[0][0] + side.sign * behind) * TICK, trailing)
    high, low = (np.array([pick(row) for row in prices], dtype=np.int64) for pick in (max, min))
    found = may_fill(order, high, low, TICK, 1)
    for row, (opened, *_rest, close) in enumerate(prices):
        span = Span(
            start=opened * TICK, approach=0, high=int(high[row]) * TICK, low=int(low[row]) * TICK, close=close * TICK
        )
        if find_trails(span, [order], TICK) or span.reach(order) == "at once":
            assert found[row]
        order = carried(order, high=span.high, low=span.low, tick=TICK)


@given(
    seed=st.integers(0, 10**6),
    corners=st.tuples(*[st.integers(900, 1100)] * 4),
    offset=st.integers(1, 80),
    behind=st.integers(1, 80),
    side=st.sampled_from([Side.BUY, Side.SELL]),
)
def test_whatever_way_the_price_went_the_fill_is_within_the_bounds(
    seed: int, corners: tuple[int, int, int, int], offset: int, behind: int, side: Side
) -> None:
    opened, high, low, close = corners[0], max(corners), min(corners), corners[3]
    sign: Literal[1, -1] = 1 if side is Side.SELL else -1
    trigger = opened - sign * behind
    order = stop(side, trigger * TICK, Trailing(offset * TICK, "price"))
    span = Span(start=opened * TICK, approach=0, high=high * TICK, low=low * TICK, close=close * TICK)
    trails = find_trails(span, [order], TICK)
    draws = random.Random(seed)
    corner = [high, low] if draws.random() < 0.5 else [low, high]
    between = [draws.randint(low, high) for _ in range(draws.randint(0, 4))]
    legs = sorted([draws.random() for _ in range(2)])
    spots = [opened, *between[: int(legs[0] * 5)], corner[0], *between[int(legs[0] * 5) :], corner[1], close]
    filled = None
    for here, there in pairwise(spots):
        for price in range(here, there, 1 if there > here else -1) if here != there else [here]:
            trigger = max(trigger, price - offset) if sign > 0 else min(trigger, price + offset)
            if sign * (price - trigger) <= 0:
                filled = trigger
                break
        if filled is not None:
            break
    else:
        filled = trigger if sign * (close - trigger) <= 0 else None
    if filled is not None:
        (trail,) = trails
        assert min(trail.first, trail.last) <= filled * TICK <= max(trail.first, trail.last)
    elif trails:
        assert not trails[0].certain
