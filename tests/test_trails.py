"""The bounds of a trailing stop inside one bar, by hand and against random paths through the bar."""

import random
from decimal import Decimal
from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nt_run.model import Side
from nt_run.outcomes import Span
from nt_run.resting import RestingOrder, Trailing
from nt_run.trails import find_trails, with_trails

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
    # 1 % behind 103.5 is 102.465, on the tick 102.4; 15 ticks behind is 102.
    [(Trailing(D(100), "basis_points"), "102.4"), (Trailing(D(15), "ticks"), "102")],
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
