"""Stops that come to be inside a bar, beside the entry that fills there."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from nautilus_trader.model import OrderSide, OrderType

from nt_run.engine.prices import CROSSED
from nt_run.engine.run import EngineOutput
from nt_run.execution import Execution, Slippage
from nt_run.klines import Klines

D = Decimal
type Run = Callable[..., EngineOutput]
type Make = Callable[..., Klines]

SIDES = {"buy": OrderSide.BUY, "sell": OrderSide.SELL}
DOWN = [(100, 100, 100, 100, 10_000)] * 2 + [(100, 101, 95, 97, 10_000)] + [(97, 97, 97, 97, 10_000)] * 2
UP = [(100, 100, 100, 100, 10_000)] * 2 + [(100, 105, 99, 103, 10_000)] + [(103, 103, 103, 103, 10_000)] * 2


def bracket(side: str, entry: str | None, stop: str, target: str) -> Callable[[Any, Any], None]:
    """A bracket of 2 with a limit entry, or one at the market."""

    def act(strategy: Any, _bar: Any) -> None:
        orders = strategy.order_factory.bracket(
            instrument_id=strategy.own["instrument_id"],
            order_side=SIDES[side],
            quantity=strategy.amount("2"),
            entry_order_type=OrderType.MARKET if entry is None else OrderType.LIMIT,
            entry_price=None if entry is None else strategy.price(entry),
            sl_trigger_price=strategy.price(stop),
            tp_price=strategy.price(target),
        )
        strategy.submit_order_list(orders)

    return act


def filled(output: EngineOutput) -> list[tuple[str, str, Decimal]]:
    return [(fill.order_type, fill.side.value, fill.price) for fill in output.fills]


@pytest.mark.parametrize(
    ("execution", "slipped"),
    [(Execution(), "0"), (Execution(fill="next-open"), "0"), (Execution(slippage=Slippage(ticks=3)), "0.3")],
)
def test_the_stop_of_an_entry_that_fills_on_the_way_is_triggered_on_the_way(
    execution: Execution, slipped: str, run: Run, make_klines: Make
) -> None:
    # Bought at 98 on the way down to 95, stopped at 96; the bar's low comes after both.
    output = run(make_klines(DOWN), {0: [bracket("buy", "98", "96", "110")]}, execution=execution)
    assert filled(output) == [("limit", "buy", D(98)), ("stop_market", "sell", D(96) - D(slipped))]
    assert [fill.reference for fill in output.fills] == [D(98), D(96)]
    assert output.denials == []
    assert output.fills[0].time_ns == output.fills[1].time_ns
    mirrored = run(make_klines(UP), {0: [bracket("sell", "102", "104", "90")]}, execution=execution)
    assert filled(mirrored) == [("limit", "sell", D(102)), ("stop_market", "buy", D(104) + D(slipped))]


def test_behind_a_gap_that_jumped_over_entry_and_stop_the_stop_meets_the_open(run: Run, make_klines: Make) -> None:
    # The bar opens at 95.5; the purchase gets its own price of 98, which is to its disadvantage.
    rows = [*DOWN[:2], (95.5, 97, 95, 95.5, 10_000), *[(95.5, 95.5, 95.5, 95.5, 10_000)] * 2]
    output = run(make_klines(rows), {0: [bracket("buy", "98", "96", "110")]})
    assert filled(output) == [("limit", "buy", D(98)), ("stop_market", "sell", D("95.5"))]
    # An open between the two is before the stop.
    rows = [*DOWN[:2], (97, 97, 95, 95.5, 10_000), *[(95.5, 95.5, 95.5, 95.5, 10_000)] * 2]
    output = run(make_klines(rows), {0: [bracket("buy", "98", "96", "110")]})
    assert filled(output) == [("limit", "buy", D(98)), ("stop_market", "sell", D(96))]


def test_a_stop_crossed_when_it_is_sent_is_refused_in_such_a_run_too(run: Run, make_klines: Make, kit: Any) -> None:
    def late(strategy: Any, _bar: Any) -> None:
        terms = (strategy.own["instrument_id"], OrderSide.SELL, strategy.amount("2"), strategy.price("99"))
        strategy.submit_order(strategy.order_factory.stop_market(*terms))

    source = kit.Source(kit.Scripted, {"script": {0: [bracket("buy", "98", "96", "110")], 3: [late]}})
    output = run(make_klines(DOWN), source)
    assert filled(output) == [("limit", "buy", D(98)), ("stop_market", "sell", D(96))]
    assert [each.reason for each in output.denials] == [CROSSED]
    assert len(source.built) == 2


def test_a_bracket_whose_stop_stays_out_of_the_bar_is_made_in_one_go(run: Run, make_klines: Make, kit: Any) -> None:
    source = kit.Source(kit.Scripted, {"script": {0: [bracket("buy", "98", "94", "110")]}})
    output = run(make_klines(DOWN), source)
    assert filled(output) == [("limit", "buy", D(98))]
    assert len(source.built) == 1


def test_the_stop_of_a_market_entry_that_the_market_has_crossed_is_refused_as_ever(run: Run, make_klines: Make) -> None:
    script = {0: [bracket("buy", None, "100.5", "110")], 1: [bracket("buy", "98", "96", "110")]}
    output = run(make_klines(DOWN), script)
    assert ("stop_market", "sell", D(96)) in filled(output)
    assert CROSSED in [each.reason for each in output.denials]
    assert all(fill.price != D("100.5") for fill in output.fills)
