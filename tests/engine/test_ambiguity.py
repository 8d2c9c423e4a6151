"""What the engine booked in bars that do not tell what came first, and what else may have happened there."""

import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nautilus_trader.model import OrderSide, OrderType

from nt_run.ambiguity import Ambiguity, Booked, ambiguity_object, find_ambiguities
from nt_run.engine.run import EngineOutput
from nt_run.execution import PLAIN, Execution, Slippage
from nt_run.klines import Klines
from nt_run.matching import match_bars
from nt_run.model import Fees, Side
from nt_run.outcomes import Costs
from nt_run.specs import InstrumentSpecs

type Run = Callable[..., EngineOutput]
type Make = Callable[..., Klines]

D = Decimal
STEADY = [(100, 101, 99, 100, 40)]
BOTH = (100, 106, 94, 100, 40)
"""Reaches 105 and 95 from 100."""


@pytest.fixture
def find(run: Run, btc: InstrumentSpecs, fees: Fees) -> Callable[..., list[Ambiguity]]:
    """Run a script over klines and find what is ambiguous in it: maker 0.02 %, taker 0.05 %, a tick of 0.1."""

    def go(klines: Klines, script: Any, execution: Execution = PLAIN, **changes: Any) -> list[Ambiguity]:
        output = run(klines, script, execution=execution, **changes)
        return find_ambiguities(
            Booked(
                bars=match_bars(klines, changes.get("fine")),
                resting=output.resting,
                fills=output.fills,
                payments=output.payments,
                costs=Costs(fees=fees, slippage=execution.slippage, tick=btc.tick_size),
            )
        )

    return go


def bracket(
    target: str, stop: str, *, side: OrderSide = OrderSide.BUY, quantity: str = "10", entry: str | None = None
) -> Callable[..., None]:
    def act(strategy: Any, _bar: Any) -> None:
        more: dict[str, Any] = {}
        if entry is not None:
            more = {"entry_order_type": OrderType.LIMIT, "entry_price": strategy.price(entry)}
        strategy.submit_order_list(
            strategy.order_factory.bracket(
                instrument_id=strategy.own["instrument_id"],
                order_side=side,
                quantity=strategy.amount(quantity),
                tp_price=strategy.price(target),
                sl_trigger_price=strategy.price(stop),
                **more,
            )
        )

    return act


def resting(kind: str, side: OrderSide, quantity: str, price: str, **more: Any) -> Callable[..., None]:
    def act(strategy: Any, _bar: Any) -> None:
        make = getattr(strategy.order_factory, kind)
        instrument = strategy.own["instrument_id"]
        strategy.submit_order(make(instrument, side, strategy.amount(quantity), strategy.price(price), **more))

    return act


def test_a_bar_with_stop_and_target_of_a_long_may_have_ended_at_the_stop(find: Any, make_klines: Make) -> None:
    klines = make_klines([*STEADY * 2, BOTH, *STEADY])
    (one,) = find(klines, {1: [bracket("105", "95")]})
    assert (one.side, one.quantity, one.entry, one.stop, one.target) == (Side.BUY, 10, None, 95, 105)
    assert one.bar.start_ms == klines.range.start_ms + 2 * 60_000
    # Booked up first: sold at 105, a maker, 10 × 105 × 0.0002 = 0.21. The stop sells at 95, a taker, 0.475:
    # 10 × (95 − 105) − (0.475 − 0.21) = −100.265
    assert (one.chosen, one.worst, one.best) == ("target", D("-100.265"), 0)


def test_a_bar_with_stop_and_target_of_a_short_may_have_ended_at_the_target(find: Any, make_klines: Make) -> None:
    klines = make_klines([*STEADY * 2, BOTH, *STEADY])
    (one,) = find(klines, {1: [bracket("95", "105", side=OrderSide.SELL)]})
    # Booked up first: bought back at 105, 0.525 of fee. The target: at 95, 0.19: 10 × (105 − 95) + 0.525 − 0.19
    assert (one.side, one.chosen, one.worst, one.best) == (Side.SELL, "stop", 0, D("100.335"))


def test_the_stop_that_was_not_booked_slips_as_the_run_does(find: Any, make_klines: Make) -> None:
    klines = make_klines([*STEADY * 2, BOTH, *STEADY])
    (one,) = find(klines, {1: [bracket("105", "95")]}, Execution(slippage=Slippage(ticks=2)))
    # 95 less two ticks: 94.8, fee 0.474: 10 × (94.8 − 105) − (0.474 − 0.21)
    assert one.worst == D("-102.264")


@pytest.mark.parametrize(
    "bar",
    [
        (100, 106, 96, 100, 40),  # the target alone
        (100, 104, 94, 100, 40),  # the stop alone
        (94, 106, 93, 100, 40),  # opens behind the stop
        (106, 107, 94, 100, 40),  # opens behind the target
        (100, 104, 96, 100, 40),  # neither
    ],
)
def test_a_bar_that_leaves_no_doubt_is_not_listed(bar: tuple[Any, ...], find: Any, make_klines: Make) -> None:
    assert find(make_klines([*STEADY * 2, bar, *STEADY]), {1: [bracket("105", "95")]}) == []


def test_an_order_that_was_cancelled_before_the_bar_does_not_count(find: Any, make_klines: Make, kit: Any) -> None:
    def cancel(strategy: Any, _bar: Any) -> None:
        strategy.cancel_all_orders(strategy.own["instrument_id"])

    stop = resting("stop_market", OrderSide.SELL, "10", "95", reduce_only=True)
    target = resting("limit", OrderSide.SELL, "10", "105", reduce_only=True)
    script = {0: [kit.buy("10"), target], 1: [cancel, stop]}
    assert find(make_klines([*STEADY * 2, BOTH, *STEADY]), script) == []


def test_market_orders_are_never_ambiguous(find: Any, make_klines: Make, kit: Any) -> None:
    assert find(make_klines([*STEADY * 2, BOTH, *STEADY]), {0: [kit.buy("1")], 2: [kit.sell("1")]}) == []


def test_a_target_of_a_part_only_takes_its_part(find: Any, make_klines: Make, kit: Any) -> None:
    stop = resting("stop_market", OrderSide.SELL, "10", "95", reduce_only=True)
    target = resting("limit", OrderSide.SELL, "4", "105", reduce_only=True)
    (one,) = find(make_klines([*STEADY * 2, BOTH, *STEADY]), {1: [kit.buy("10"), stop, target]})
    # Booked up first: 4 at 105, the other 6 at 95. Down first: all 10 at 95:
    # 4 × (95 − 105) − 4 × 95 × 0.0005 + 4 × 105 × 0.0002 = −40 − 0.19 + 0.084
    assert (one.chosen, one.worst, one.best) == ("target and stop", D("-40.106"), 0)


def test_a_limit_entry_and_its_exits_in_one_bar_may_end_in_any_way(find: Any, make_klines: Make) -> None:
    klines = make_klines([*STEADY * 2, BOTH, *STEADY])
    (one,) = find(klines, {1: [bracket("105", "95", entry="98")]})
    # The engine is at 94 when it has bought at 98, and refuses a stop above; the position is open at the end, at 100.
    # The stop: 10 × (95 − 100) − 0.475. The target, if the high came after the entry: 10 × (105 − 100) − 0.21.
    assert (one.entry, one.chosen, one.worst, one.best) == (98, "open", D("-50.475"), D("49.79"))


def test_an_entry_whose_stop_must_have_been_hit_is_listed_though_the_engine_kept_it(
    find: Any, make_klines: Make
) -> None:
    klines = make_klines([*STEADY * 2, (100, 101, 94, 97, 40), (97, 99, 96, 98, 40)])
    (one,) = find(klines, {1: [bracket("105", "95", entry="98")]})
    # Open at the end, at 98; down to 94 it went through 98 and then through 95: 10 × (95 − 98) − 0.475
    assert (one.stop, one.target, one.chosen, one.worst, one.best) == (95, None, "open", D("-30.475"), 0)


def test_an_entry_that_saw_its_target_before_or_after_is_ambiguous_unless_the_close_tells(
    find: Any, make_klines: Make
) -> None:
    # Bought at 98 on the way down; 99 was passed before, and again by a close of 99.5.
    told = make_klines([*STEADY * 2, (100, 101, 97, "99.5", 40), *STEADY])
    assert find(told, {1: [bracket("99", "90", entry="98")]}) == []
    unclear = make_klines([*STEADY * 2, (100, 101, 97, "98.5", 40), ("98.5", "98.8", 98, "98.2", 40)])
    (one,) = find(unclear, {1: [bracket("99", "90", entry="98")]})
    # Open at the end, at 98.2; the target: 10 × (99 − 98.2) − 10 × 99 × 0.0002
    assert (one.chosen, one.worst, one.best) == ("open", 0, D("7.802"))


def test_a_position_that_may_have_stayed_open_is_followed_to_its_exit(find: Any, make_klines: Make) -> None:
    # A short sold at 102 on the way up, its stop at 103 certain (high 104), its target at 99 unclear: low 98.
    rows = [*STEADY * 2, (100, 104, 98, 101, 40), (101, 102, 100, 101, 40)]
    klines = make_klines(rows)
    (one,) = find(klines, {1: [bracket("99", "103", side=OrderSide.SELL, entry="102")]})
    assert (one.entry, one.stop, one.target) == (102, 103, 99)
    assert one.worst <= 0 <= one.best


def test_the_pnl_of_a_run_is_given_with_its_bounds(find: Any, make_klines: Make) -> None:
    found = find(make_klines([*STEADY * 2, BOTH, *STEADY]), {1: [bracket("105", "95")]})
    made = ambiguity_object(found, bars=4, net=D("49.29"))
    assert (made["bars"], made["of"]) == (1, 4)
    assert made["pnl"] == {"worst": "-50.97500000", "chosen": "49.29000000", "best": "49.29000000"}
    assert made["listed"][0] | {"start": "", "end": ""} == {
        "start": "",
        "end": "",
        "side": "long",
        "quantity": "10.000",
        "entry": None,
        "stop": "95.0",
        "target": "105.0",
        "chosen": "target",
        "worst": "-100.26500000",
        "best": "0.00000000",
    }


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), slips=st.integers(0, 3), ahead=st.booleans())
def test_whatever_a_strategy_does_the_booked_pnl_lies_between_the_bounds(
    seed: int, slips: int, ahead: bool, find: Any, random_market: Make
) -> None:
    draws = random.Random(seed)
    klines = random_market(80, seed % 1000, sigma=0.004)

    def act(strategy: Any, bar: Any) -> None:
        side = draws.choice([OrderSide.BUY, OrderSide.SELL])
        sign = 1 if side == OrderSide.BUY else -1
        close, far = bar.close.as_decimal(), [Decimal(draws.randrange(1, 300)) for _ in range(3)]
        entry = close - sign * far[0] if draws.random() < 0.5 else None
        base = close if entry is None else entry
        bracket(
            str(base + sign * far[1]),
            str(base - sign * far[2]),
            side=side,
            quantity=str(Decimal(draws.randrange(2, 200)) / 1000),
            entry=None if entry is None else str(entry),
        )(strategy, bar)

    script = {number: [act] for number in range(79) if draws.random() < 0.3}
    execution = Execution(fill="next-open" if ahead else "close", slippage=Slippage(ticks=slips))
    for one in find(klines, script, execution):
        assert one.worst <= 0 <= one.best
        # Nobody loses or makes more than the whole way through a bar and the run, and its fees.
        assert one.best - one.worst < one.quantity * 45_000
