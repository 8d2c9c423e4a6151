"""The worst stopped trade by hand: 2 bought at 100.1 of 100, to leave at 95, left at 92 of 92.1."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from made_fills import made_fill
from nt_run.model import Fill, Side
from nt_run.resting import RestingOrder
from nt_run.worst_stop import StopTerms, check_worst_stop, find_fills

D = Decimal
MINUTE = 60_000_000_000
TERMS = StopTerms(taker=D("0.001"), bps=D(0), ticks=1, tick=D("0.1"))


def fill(minute: int, side: Side, quantity: str, price: str, reference: str) -> Fill:
    fee, kind = D(quantity) * D(price) * D("0.001"), "market" if side is Side.BUY else "stop_market"
    met = {"reference": D(reference), "fee": fee, "order_type": kind}
    return made_fill(minute * MINUTE, side, quantity, price, order_id=f"O-{minute}", **met)


ENTRY, EXIT = fill(1, Side.BUY, "2", "100.1", "100"), fill(2, Side.SELL, "2", "92", "92.1")
LIFE = (
    RestingOrder(
        order_id="O-2",
        side=Side.SELL,
        order_type="stop_market",
        quantity=D(2),
        price=None,
        trigger=D(95),
        sent_ns=MINUTE,
        since_ns=MINUTE,
        until_ns=2 * MINUTE,
        ended="filled",
    ),
)
WORST: dict[str, Any] = {
    "entry": "1970-01-01T00:01:00Z",
    "exit": "1970-01-01T00:02:00Z",
    "side": "buy",
    "quantity": "2",
    "entry_price": "100.1",
    "stop_price": "95",
    "exit_price": "92",
    # Expected: 2 × 5 of price, 2 × 0.2 of slippage, 2 × (100.1 + 94.9) × 0.001 = 0.39 of fees: 10.79, asked 10.80.
    "asked": "10.80000000",
    # Left 2.9 below 94.9: 2 × 2.9 × (1 − 0.001).
    "gap": "5.79420000",
    # Price 2 × 7.9 of 10; fees 2 × 192.1 × 0.001 = 0.3842 of 0.39.
    "over_by": {"step": "-0.01000000", "price": "5.80000000", "slippage": "0.00000000", "fees": "-0.00580000"},
}


def wrong(
    worst: dict[str, Any], known: Sequence[Decimal] = (D(100),), life: Sequence[RestingOrder] = LIFE
) -> list[str]:
    return [what for what, *_ in check_worst_stop(worst, (ENTRY, EXIT), life, known, TERMS)]


def test_a_true_report_is_right() -> None:
    assert wrong(WORST) == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"entry_price": "100.2"}, "entry_price"),
        ({"exit_price": "92.1"}, "exit_price"),
        ({"exit": "1970-01-01T00:03:00Z"}, "exit"),
        ({"gap": "5.79421"}, "gap"),
        ({"stop_price": "95.1"}, "stop_price"),
        ({"asked": "10.81"}, "over_by.step"),
    ],
)
def test_each_changed_value_is_named(changes: dict[str, str], named: str) -> None:
    assert named in wrong(WORST | changes)


@pytest.mark.parametrize("name", ["step", "price", "slippage", "fees"])
def test_each_changed_part_of_what_was_over_is_named(name: str) -> None:
    parts = WORST["over_by"]
    changed = WORST | {"over_by": parts | {name: f"{D(parts[name]) + D('0.01'):.8f}"}}
    assert any(what.startswith("over_by") for what in wrong(changed))


def test_a_size_that_was_rounded_up_is_named() -> None:
    assert wrong(WORST | {"asked": "10.78", "over_by": WORST["over_by"] | {"step": "0.01"}}) == ["over_by.step"]


def test_a_strategy_may_size_at_another_price_or_move_its_stop_but_not_both() -> None:
    assert wrong(WORST, known=[D(99)]) == []
    moved = [replace(LIFE[0], trigger=D(94))]
    assert wrong(WORST, life=moved) == []
    assert wrong(WORST, known=[D(99)], life=moved) == ["stop_price"]


def test_the_fills_of_a_trade_are_its_own_part_of_them() -> None:
    before = fill(0, Side.SELL, "1", "100.1", "100.2")
    turning, leaving = fill(1, Side.BUY, "3", "100.1", "100"), fill(2, Side.SELL, "5", "92", "92.1")
    assert find_fills(WORST, [before, turning, leaving]) == (ENTRY, EXIT)
    assert (
        find_fills(WORST, [fill(1, Side.BUY, "1", "100.1", "100"), fill(1, Side.BUY, "1", "100.1", "100"), EXIT])
        is None
    )
    assert find_fills(WORST | {"quantity": "1"}, [ENTRY, EXIT]) is None
