from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_fills import made_fill
from nt_run.costs import CostLadder, costs_object
from nt_run.execution import PLAIN
from nt_run.frames import fills_frame
from nt_run.model import Fill, Side
from nt_run.reckoning import Rebooking, check_costs

D = Decimal
BALANCE = D(10_000)


def fill(at: int, side: Side, quantity: str, price: str) -> Fill:
    return made_fill(at, side, quantity, price, fee=D(quantity) * D(price) * D("0.0005"))


# 10 − 0.5 × 13.01 = 3.495 without slippage; break-even at 1.53 bp, see `test_costs.py`.
COARSE = [fill(1, Side.BUY, "1000", "6.500"), fill(3, Side.SELL, "1000", "6.510")]
TICK = D("0.001")


def costs_of(fills: list[Fill], step: Decimal, close: Decimal) -> dict[str, Any]:
    held = sum((each.side.sign * each.quantity for each in fills), D(0))
    net = held * close - sum((each.side.sign * each.quantity * each.price + each.fee for each in fills), D(0))
    return costs_object(CostLadder(fills_frame(fills), net=net, price_step=step, balance=BALANCE), PLAIN)


def wrong(costs: dict[str, Any], fills: list[Fill], step: Decimal = TICK, close: str = "6.51") -> list[str]:
    return [what for what, _, _ in check_costs(costs, Rebooking(fills, [], D(close), BALANCE), step)]


rows = st.tuples(st.sampled_from(Side), st.integers(1, 5000), st.integers(900, 1100), st.integers(0, 9))


@given(st.lists(rows, max_size=12), st.sampled_from([D("0.01"), D("0.05"), D(1), D(7)]), st.integers(500, 1500))
def test_what_a_run_tells_is_what_is_found_again(
    orders: list[tuple[Side, int, int, int]], step: Decimal, close: int
) -> None:
    fills = [
        replace(fill(at, side, str(D(quantity) / 1000), str(price)), reference=D(price - side.sign * slipped))
        for at, (side, quantity, price, slipped) in enumerate(orders)
    ]
    assert wrong(costs_of(fills, step, D(close)), fills, step, str(close)) == []


@pytest.mark.parametrize("rung", range(5))
def test_a_rung_that_is_off_by_more_than_a_millionth_is_named(rung: int) -> None:
    costs = costs_of(COARSE, TICK, D("6.51"))
    assert wrong(costs, COARSE) == []
    row = costs["ladder"][rung]
    row["net"] = str(D(row["net"]) + D("0.000002"))
    assert wrong(costs, COARSE) == [f"ladder at {row['slippage_bps']} bp"]


@pytest.mark.parametrize("stated", ["1.52", "1.54", "2.65", "0.00", None])
def test_another_break_even_is_named(stated: str | None) -> None:
    costs = costs_of(COARSE, TICK, D("6.51"))
    assert costs["break_even_bps"] == "1.53"
    assert wrong(costs | {"break_even_bps": stated}, COARSE) == ["break_even_bps"]


def test_a_break_even_of_a_run_without_profit_is_named() -> None:
    losing = [COARSE[0], fill(3, Side.SELL, "1000", "6.490")]
    costs = costs_of(losing, TICK, D("6.51"))
    assert costs["break_even_bps"] is None
    assert wrong(costs, losing) == []
    assert wrong(costs | {"break_even_bps": "0.00"}, losing) == ["break_even_bps"]


def test_another_step_of_prices_is_named() -> None:
    costs = costs_of(COARSE, TICK, D("6.51")) | {"price_step": "0.0001"}
    assert wrong(costs, COARSE) == ["price_step"]


def test_reports_of_earlier_versions_are_held_to_prices_that_were_not_rounded() -> None:
    # A basis point cost 0.0001 × 1,000 × (6.5 + 6.51) = 1.301, and in fees 0.0005 × 0.0001 × 1,000 × (6.5 − 6.51)
    # = −0.0000005. 3.495 ÷ 1.3009995 = 2.68639…
    nets = {"0": "3.495", "1": "2.1940005", "2": "0.893001", "5": "-3.0099975", "10": "-9.514995"}
    ladder = [{"slippage_bps": bps, "net": net} for bps, net in nets.items()]
    costs = {"fill": "close", "ladder": ladder, "break_even_bps": "2.69"}
    assert wrong(costs, COARSE) == []
    assert wrong(costs | {"break_even_bps": "2.68"}, COARSE) == ["break_even_bps"]
    ladder[1]["net"] = "1.495"
    assert wrong(costs, COARSE) == ["ladder at 1 bp"]
