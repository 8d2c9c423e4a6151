from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from nautilus_trader.model import OrderSide

from nt_run.engine.run import EngineOutput
from nt_run.execution import Execution, FillTime
from nt_run.klines import Klines
from nt_run.protection import ProtectionRules
from nt_run.specs import InstrumentSpecs

type Run = Callable[..., EngineOutput]
type Make = Callable[..., Klines]


def flat(price: float) -> tuple[Any, ...]:
    return (price, price, price, price, 40)


def rest(side: OrderSide, quantity: str, price: str) -> Callable[..., None]:
    def act(strategy: Any, _bar: Any) -> None:
        amount, limit = strategy.amount(quantity), strategy.price(price)
        strategy.submit_order(strategy.order_factory.limit(strategy.own["instrument_id"], side, amount, limit))

    return act


def test_the_drawdown_closes_the_position_cancels_orders_and_refuses_what_comes(
    run: Run, make_klines: Make, kit: Any
) -> None:
    # 500 bought at 100; the account holds 100,000. At 79 the position has lost 10,500 and 25 of fees: below 90,000.
    klines = make_klines([flat(price) for price in (100, 100, 90, 79, 79, 60, 79)])
    script = {0: [kit.buy("500")], 1: [rest(OrderSide.BUY, "10", "61")], 4: [kit.buy("5")], 5: [kit.sell("5")]}
    output = run(klines, script, protection=ProtectionRules(max_drawdown=Decimal("0.1")))
    assert [(fill.side.value, fill.quantity, fill.price) for fill in output.fills] == [
        ("buy", 500, 100),
        ("sell", 500, 79),
    ]
    assert Counter(denial.reason for denial in output.denials) == {"protection: max drawdown": 2}
    (use,) = output.protections
    # 100,000 − 500 × 100 × 0.0005 − 500 × 21
    assert (use.rule, use.equity, use.reference) == ("max_drawdown", Decimal(89475), Decimal(100_000))
    # Closing costs 500 × 79 × 0.0005 = 19.75.
    assert output.balance == Decimal(89475) - Decimal("19.75")


def test_a_cooldown_refuses_entries_and_lets_exits_pass(run: Run, make_klines: Make, kit: Any) -> None:
    klines = make_klines([flat(price) for price in (100, 90, 90, 90, 90, 90)])
    buys = {2: [kit.buy("3")], 3: [kit.buy("3")], 4: [kit.buy("4")]}
    script = {0: [kit.buy("2")], 1: [kit.sell("2")], **buys, 5: [kit.sell("4")]}
    output = run(klines, script, protection=ProtectionRules(cooldown=2))
    # Refused at the two closes after the exit that lost; the buy of 4 passes, and so does its exit.
    fills = [(fill.side.value, fill.quantity) for fill in output.fills]
    assert fills == [("buy", 2), ("sell", 2), ("buy", 4), ("sell", 4)]
    assert [denial.reason for denial in output.denials] == ["protection: cooldown"] * 2
    # The second trade lost its fees.
    assert [use.rule for use in output.protections] == ["cooldown", "cooldown"]
    first = output.protections[0]
    # 2 × 10 and fees of 2 × (100 + 90) × 0.0005 = 0.19
    assert (first.equity, first.reference) == (Decimal("99979.81"), Decimal(100_000))


def test_an_exit_passes_whatever_has_set_in(run: Run, make_klines: Make, kit: Any) -> None:
    klines = make_klines([flat(price) for price in (100, 90, 90, 90, 90)])
    script = {0: [kit.buy("4")], 1: [kit.sell("6")], 2: [kit.sell("1"), kit.buy("1")], 3: [kit.buy("1")]}
    output = run(klines, script, protection=ProtectionRules(cooldown=3))
    # The sale of 6 turns the position round in one order, which passed before the loss was known. More is refused.
    assert [(fill.side.value, fill.quantity) for fill in output.fills] == [
        ("buy", 4), ("sell", 6), ("buy", 1), ("buy", 1),
    ]  # fmt: skip
    assert [denial.reason for denial in output.denials] == ["protection: cooldown"]


@pytest.mark.parametrize("fill", ["close", "next-open"])
def test_an_exit_of_the_strategys_own_beside_the_protections_does_not_turn_the_position(
    fill: FillTime, run: Run, make_klines: Make, kit: Any
) -> None:
    # At 79 the protection closes 500; the strategy, which does not know, sells its 500 at the same close.
    klines = make_klines([flat(price) for price in (100, 100, 79, 79, 60)])
    script = {0: [kit.buy("500")], 2: [kit.sell("500")]}
    rules = ProtectionRules(max_drawdown=Decimal("0.1"))
    output = run(klines, script, protection=rules, execution=Execution(fill=fill))
    assert [(one.side.value, one.quantity) for one in output.fills] == [("buy", 500), ("sell", 500)]
    assert [denial.reason for denial in output.denials] == ["protection: max drawdown"]


def test_two_exits_at_once_during_a_cooldown_do_not_turn_the_position(run: Run, make_klines: Make, kit: Any) -> None:
    klines = make_klines([flat(price) for price in (100, 90, 90, 90)])
    # Turned round to −2 by an order of 6, at a loss; then two orders to buy 2, and two of 1.
    script = {0: [kit.buy("4")], 1: [kit.sell("6")], 2: [kit.buy("1"), kit.buy("1"), kit.buy("1")]}
    output = run(klines, script, protection=ProtectionRules(cooldown=3))
    assert [(fill.side.value, fill.quantity) for fill in output.fills][2:] == [("buy", 1), ("buy", 1)]
    assert [denial.reason for denial in output.denials] == ["protection: cooldown"]


def test_a_protection_closes_a_large_position_in_as_many_orders_as_it_takes(
    btc: InstrumentSpecs, run: Run, make_klines: Make, kit: Any
) -> None:
    klines = make_klines([flat(price) for price in (100, 100, 100, 70, 70)])
    specs = replace(btc, market_max_quantity=Decimal(200), min_price=None, price_multiplier_down=None)
    script = {bar: [kit.buy("167")] for bar in range(3)}
    output = run(klines, script, protection=ProtectionRules(max_drawdown=Decimal("0.1")), specs=specs)
    # 501 = 167 × 3, with 200 at most.
    assert [(fill.side.value, fill.quantity) for fill in output.fills][3:] == [("sell", 167)] * 3
    assert output.denials == []


def test_without_protection_nothing_changes(run: Run, make_klines: Make, kit: Any) -> None:
    klines = make_klines([flat(price) for price in (100, 50, 50)])
    output = run(klines, {0: [kit.buy("500")], 1: [kit.sell("500")], 2: [kit.buy("1")]})
    assert (len(output.fills), output.protections, output.denials) == (3, [], [])
