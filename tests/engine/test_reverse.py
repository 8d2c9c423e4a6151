"""A position turned round with one order: what closes needs no margin, and frees some for what opens."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from nautilus_trader.model import OrderSide

from nt_run.engine.prices import NO_NEXT_OPEN
from nt_run.engine.run import EngineOutput
from nt_run.execution import Execution
from nt_run.filters import TURN_TOO_LARGE, needs_capital, refused_by
from nt_run.klines import Klines
from nt_run.liquidation import MarginPlan
from nt_run.margin import MarginRules, build_brackets
from nt_run.sizing import SizingRules

D = Decimal
type Run = Callable[..., EngineOutput]
type Make = Callable[..., Klines]

STEADY = [(100, 101, 99, 100, 40)]
SMALL = D(10_000)


def telling(kit: Any, script: dict[int, list[Any]]) -> tuple[Any, list[Any]]:
    """A strategy that keeps what it is told of its orders and positions."""
    told: list[Any] = []

    class Told(kit.Scripted):
        def on_order_filled(self, event: Any) -> None:
            told.append((event.client_order_id.value, event.last_qty.as_decimal()))

        def on_order_denied(self, event: Any) -> None:
            told.append((event.client_order_id.value, event.reason))

        def on_position_event(self, event: Any) -> None:
            told.append(type(event).__name__)

    return kit.Source(Told, {"script": script}), told


@pytest.mark.parametrize(("first", "second"), [("buy", "sell"), ("sell", "buy")])
@pytest.mark.parametrize("leverage", [1, 5])
def test_a_turn_of_double_size_needs_margin_for_what_it_opens_alone(
    first: str, second: str, leverage: int, run: Run, make_klines: Make, kit: Any
) -> None:
    # 60 × 100 of 10,000 are tied up (or five times both): 120 more would be needed, and 60 are.
    size = 60 * leverage
    source, told = telling(kit, {0: [getattr(kit, first)(str(size))], 2: [getattr(kit, second)(str(2 * size))]})
    output = run(make_klines(STEADY * 4), source, balance=SMALL, sizing=SizingRules(leverage=D(leverage)))
    assert output.denials == []
    assert [(fill.side.value, fill.quantity, fill.price) for fill in output.fills] == [
        (first, size, 100),
        (second, size, 100),
        (second, size, 100),
    ]
    assert output.fills[1].time_ns == output.fills[2].time_ns
    # Three fees of size × 100 × 0.0005, and nothing else.
    assert output.balance == SMALL - 3 * size * D("0.05")
    names = [each for each in told if isinstance(each, str)]
    assert names == ["PositionOpened", "PositionClosed", "PositionOpened"]
    # The strategy's own order is the one that opens.
    assert [fill.order_id for fill in output.fills] == [each[0] for each in told if not isinstance(each, str)]


def test_where_the_whole_is_free_one_order_stays_one(run: Run, make_klines: Make, kit: Any) -> None:
    # 30 × 100 are tied up and some 7,000 are free: enough for 60.
    output = run(make_klines(STEADY * 4), {0: [kit.buy("30")], 2: [kit.sell("60")]}, balance=SMALL)
    assert [fill.quantity for fill in output.fills] == [30, 60]


def test_a_turn_the_account_cannot_bear_is_refused_whole_with_what_to_do(run: Run, make_klines: Make, kit: Any) -> None:
    # Bought 60 at 100, fee 3; now at 80: equity 10,000 − 3 − 60 × 20 = 8,797, less the fee of closing,
    # 60 × 80 × 0.0005 = 2.40: 8,794.60, good for 109.9325 at 80.
    klines = make_klines([*STEADY * 2, (100, 100, 80, 80, 40), (80, 80, 80, 80, 40), (80, 80, 80, 80, 40)])
    for size, quantities in (("169.932", ["60", "60", "109.932"]), ("169.933", ["60"])):
        source, told = telling(kit, {0: [kit.buy("60")], 2: [kit.sell(size)]})
        output = run(klines, source, balance=SMALL)
        assert [fill.quantity for fill in output.fills] == [D(each) for each in quantities]
        reasons = [TURN_TOO_LARGE] * (len(quantities) == 1)
        assert [denial.reason for denial in output.denials] == reasons
        assert [each[1] for each in told if each[1] == TURN_TOO_LARGE] == reasons
    assert refused_by(TURN_TOO_LARGE) == "margin"
    assert needs_capital(TURN_TOO_LARGE)


def test_with_next_open_both_parts_fill_at_the_same_open(run: Run, make_klines: Make, kit: Any) -> None:
    klines = make_klines([*STEADY * 3, (97, 98, 96, 97, 40), *STEADY])
    script = {0: [kit.buy("60")], 2: [kit.sell("120")]}
    output = run(klines, script, balance=SMALL, execution=Execution(fill="next-open"))
    assert [(fill.quantity, fill.price) for fill in output.fills] == [(60, 100), (60, 97), (60, 97)]


def test_a_turn_at_the_last_bar_has_no_next_open(run: Run, make_klines: Make, kit: Any) -> None:
    script = {0: [kit.buy("60")], 3: [kit.sell("120")]}
    output = run(make_klines(STEADY * 4), script, balance=SMALL, execution=Execution(fill="next-open"))
    assert [fill.quantity for fill in output.fills] == [60]
    assert {(denial.reason, denial.entry) for denial in output.denials} == {(NO_NEXT_OPEN, False), (NO_NEXT_OPEN, True)}


def test_the_turned_position_has_the_margin_of_its_own_entry(run: Run, make_klines: Make, kit: Any) -> None:
    rules = MarginRules(
        symbol="BTCUSDT",
        brackets=build_brackets([(D(0), D(10**10), D("0.004"), D(150))]),
        as_of_ms=0,
        source="test",
    )
    klines = make_klines([*STEADY * 3, (100, 110, 100, 109, 40), *STEADY])
    output = run(
        klines,
        {0: [kit.buy("60")], 2: [kit.sell("800")]},
        balance=SMALL,
        sizing=SizingRules(leverage=D(10)),
        margin=MarginPlan(mode="isolated", rules=rules),
    )
    # Short 740 at 100 with a margin of 7,400: (7,400 + 74,000) ÷ (740 × 1.004) = 109.5617, up to the tick.
    assert [(each.side.value, each.quantity, each.price) for each in output.liquidations] == [("sell", 740, D("109.6"))]


@pytest.mark.parametrize("execution", [Execution(), Execution(fill="next-open")])
@pytest.mark.parametrize("closes", ["order", "close_all_positions"])
def test_an_entry_sent_behind_a_close_meets_the_margin_it_frees(
    closes: str, execution: Execution, run: Run, make_klines: Make, kit: Any
) -> None:
    # 6,000 of 10,000 are tied up; the close gives them back before the entry of 6,500 is looked at.
    def close(strategy: Any, _bar: object) -> None:
        strategy.close_all_positions(strategy.own["instrument_id"])

    leave = kit.sell("60") if closes == "order" else close
    for size, filled, refused in (("65", [60, -60, -65], 0), ("120", [60, -60], 1)):
        script = {0: [kit.buy("60")], 2: [leave, kit.sell(size)]}
        output = run(make_klines(STEADY * 4), script, balance=SMALL, execution=execution)
        assert [fill.side.sign * fill.quantity for fill in output.fills] == filled
        assert len(output.denials) == refused


def test_an_order_behind_a_partial_close_closes_what_that_leaves(run: Run, make_klines: Make, kit: Any) -> None:
    # 20 of the 60 are closed by the order before: 100 close 40 and open 60.
    output = run(make_klines(STEADY * 4), {0: [kit.buy("60")], 2: [kit.sell("20"), kit.sell("100")]}, balance=SMALL)
    assert [fill.quantity for fill in output.fills] == [60, 20, 40, 60]
    assert output.denials == []


@pytest.mark.parametrize("execution", [Execution(), Execution(fill="next-open")])
@pytest.mark.parametrize("size", ["60", "25"])
def test_an_order_that_only_closes_needs_no_margin_beside_a_resting_target(
    size: str, execution: Execution, run: Run, make_klines: Make, kit: Any
) -> None:
    # 6,000 of 10,000 are tied up, and the target at 150 wants 9,000 of its own: nothing is free for 60 × 100.
    def target(strategy: Any, _bar: object) -> None:
        make, instrument = strategy.order_factory.limit, strategy.own["instrument_id"]
        order = make(instrument, OrderSide.SELL, strategy.amount("60"), strategy.price("150.0"), reduce_only=True)
        strategy.submit_order(order)

    script = {0: [kit.buy("60")], 1: [target], 3: [kit.sell(size)]}
    output = run(make_klines(STEADY * 6), script, balance=SMALL, execution=execution)
    assert output.denials == []
    assert [fill.side.sign * fill.quantity for fill in output.fills] == [60, -D(size)]
