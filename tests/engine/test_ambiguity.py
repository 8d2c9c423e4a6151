"""What the engine booked in bars that do not tell what came first, and what else may have happened there."""

import random
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nautilus_trader.model import OrderSide, OrderType, TrailingOffsetType, TriggerType

from nt_run.ambiguity import Ambiguity, ambiguity_object
from nt_run.engine.run import EngineOutput
from nt_run.execution import PLAIN, Execution, Slippage
from nt_run.frames import orders_frame
from nt_run.klines import SCHEMA, Klines
from nt_run.liquidation import MarginPlan
from nt_run.margin import MarginRules, build_brackets
from nt_run.matching import match_bars
from nt_run.model import Fees, Side
from nt_run.outcomes import Costs
from nt_run.readback import read_orders
from nt_run.sizing import SizingRules
from nt_run.specs import InstrumentSpecs
from nt_run.working_orders import check_orders

type Run = Callable[..., EngineOutput]
type Make = Callable[..., Klines]

D = Decimal
STEADY = [(100, 101, 99, 100, 40)]
BOTH = (100, 106, 94, 100, 40)
"""Reaches 105 and 95 from 100."""


@pytest.fixture
def find(run: Run, btc: InstrumentSpecs, fees: Fees, kit: Any) -> Callable[..., list[Ambiguity]]:
    """Run a script over klines and find what is ambiguous in it: maker 0.02 %, taker 0.05 %, a tick of 0.1."""

    def go(klines: Klines, script: Any, execution: Execution = PLAIN, **changes: Any) -> list[Ambiguity]:
        output = run(klines, script, execution=execution, **changes)
        bars = match_bars(klines, changes.get("fine"))
        kept = read_orders(orders_frame(output.resting))
        assert check_orders(kept, output.fills, bars, tick=btc.tick_size, step=btc.step_size) == []
        return kit.ambiguities(output, bars, Costs(fees=fees, execution=execution, tick=btc.tick_size))

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
    # Bought at 98 on the way down, which went on to 94: sold at 95, for 10 × 95 − 0.475. The target, if the high came
    # after the entry, and the low after that: 10 × 105 − 0.21.
    assert (one.entry, one.chosen, one.worst, one.best) == (98, "stop", 0, D("100.265"))


def test_an_entry_whose_stop_must_have_been_hit_leaves_no_doubt(find: Any, make_klines: Make) -> None:
    # Down to 94 it went through 98 and then through 95.
    klines = make_klines([*STEADY * 2, (100, 101, 94, 97, 40), (97, 99, 96, 98, 40)])
    assert find(klines, {1: [bracket("105", "95", entry="98")]}) == []


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


def trailing(side: OrderSide, trigger: str) -> Callable[..., None]:
    """A trailing stop of 10, two behind the price, that begins at a trigger."""
    return resting_trail(side, trigger, D(2))


def resting_trail(side: OrderSide, trigger: str, offset: Decimal) -> Callable[..., None]:
    def act(strategy: Any, _bar: Any) -> None:
        order = strategy.order_factory.trailing_stop_market(
            strategy.own["instrument_id"],
            side,
            strategy.amount("10"),
            trailing_offset=offset,
            trailing_offset_type=TrailingOffsetType.PRICE,
            trigger_price=strategy.price(trigger),
            trigger_type=TriggerType.LAST_PRICE,
            reduce_only=True,
        )
        strategy.submit_order(order)

    return act


def test_a_trailing_stop_that_moved_inside_its_bar_may_have_filled_before(
    find: Any, make_klines: Make, kit: Any
) -> None:
    # Long 10; up to 103.5 the stop follows from 98 to 101.5, where the engine fills it. With the low first, at 97, it
    # would have been 98: 10 × 3.5 × 0.9995 less.
    klines = make_klines([*STEADY * 2, (100, "103.5", 97, 103, 4), *STEADY])
    (one,) = find(klines, {1: [kit.buy("10"), trailing(OrderSide.SELL, "98")]})
    assert (one.chosen, one.stop, one.target, one.side) == ("stop", D(98), None, Side.BUY)
    assert (one.worst, one.best) == (D("-34.98250"), 0)


def test_a_trailing_stop_that_could_not_follow_leaves_no_doubt(find: Any, make_klines: Make, kit: Any) -> None:
    klines = make_klines([*STEADY * 2, (100, 100, 97, 99, 4), *STEADY])
    assert find(klines, {1: [kit.buy("10"), trailing(OrderSide.SELL, "98")]}) == []


def test_a_trailing_stop_that_was_not_filled_may_have_been(find: Any, make_klines: Make, kit: Any) -> None:
    # Short 10; the high of 101.5 comes first on the engine's path, then the low of 97 brings the stop to 99, and the
    # close of 98.5 is below. With the low first the way up to 101.5 fills it: at 99, or had it moved less by then at up
    # to 101.5. What stayed open is worth 98.5 at the end: 10 × (98.5 − 101.5 × 1.0005) = −30.5075 for the worst.
    klines = make_klines([*STEADY * 2, (100, "101.5", 97, "98.5", 4), ("98.5", "98.5", "98.5", "98.5", 4)])
    (one,) = find(klines, {1: [kit.sell("10"), trailing(OrderSide.BUY, "102")]})
    assert (one.chosen, one.side, one.stop) == ("open", Side.SELL, D(102))
    assert (one.worst, one.best) == (D("-30.50750"), 0)


def test_a_target_and_a_trailing_stop_in_one_bar_may_end_at_either(find: Any, make_klines: Make, kit: Any) -> None:
    # The target of 103 is met on the way up; the stop may have been at 98 (low first), or anywhere to 101.5.
    klines = make_klines([*STEADY * 2, (100, "103.5", 97, 103, 4), *STEADY])
    target = resting("limit", OrderSide.SELL, "10", "103", reduce_only=True)
    (one,) = find(klines, {1: [kit.buy("10"), trailing(OrderSide.SELL, "98"), target]})
    assert (one.chosen, one.stop, one.target) == ("target", D(98), D(103))
    # 10 × 98 × 0.9995 − 10 × 103 × 0.9998
    assert (one.worst, one.best) == (D("979.5100") - D("1029.7940"), 0)


def test_the_pnl_of_a_run_is_given_with_its_bounds(find: Any, make_klines: Make) -> None:
    found = find(make_klines([*STEADY * 2, BOTH, *STEADY]), {1: [bracket("105", "95")]})
    made = ambiguity_object(found, bars=4, net=D("49.29"), balance=D(100_000))
    assert (made["bars"], made["of"]) == (1, 4)
    assert made["pnl"] == {"worst": "-50.97500000", "chosen": "49.29000000", "best": "49.29000000"}
    # No end takes more than the account had.
    poor = ambiguity_object(found, bars=4, net=D("49.29"), balance=D(40))
    assert poor["pnl"] == made["pnl"] | {"worst": "-40.00000000"}
    assert made["listed"][0] | {"start": "", "end": ""} == {
        "start": "",
        "end": "",
        "side": "long",
        "quantity": "10.000",
        "entry": None,
        "stop": "95.0",
        "target": "105.0",
        "liquidation": None,
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
        if entry is None and draws.random() < 0.3:
            away = OrderSide.SELL if sign > 0 else OrderSide.BUY
            resting_trail(away, str(base - sign * far[2]), far[0])(strategy, bar)

    script = {number: [act] for number in range(79) if draws.random() < 0.3}
    execution = Execution(fill="next-open" if ahead else "close", slippage=Slippage(ticks=slips))
    for one in find(klines, script, execution):
        assert one.worst <= 0 <= one.best
        # Nobody loses or makes more than the whole way through a bar and the run, and its fees.
        assert one.best - one.worst < one.quantity * 45_000


LOW_RATE = MarginRules(
    symbol="BTCUSDT",
    brackets=build_brackets([(D(0), D(10**9), D("0.004"), D(150))]),
    as_of_ms=0,
    source="test",
)


def test_a_stop_in_a_bar_that_also_reaches_the_liquidation_price_may_have_come_too_late(
    find: Any, make_klines: Make
) -> None:
    # 10 × 100 at 20 × leverage: a margin of 50. Liquidated where 50 + 10 × (p − 100) = 0.004 × 10 p: p = 95.381 …,
    # at the next tick below, 95.3, where the 50 are lost, whole. The stop at 97 sold at 97: −30, and 0.485 of fee.
    klines = make_klines([*STEADY * 2, (100, 101, 95, 96, 40), *STEADY])
    plan = MarginPlan(mode="isolated", rules=LOW_RATE)
    (one,) = find(klines, {1: [bracket("105", "97")]}, margin=plan, sizing=SizingRules(leverage=D(20)), balance=D(1000))
    assert (one.stop, one.target, one.liquidation, one.chosen) == (97, None, D("95.3"), "stop")
    assert (one.worst, one.best) == (D("-19.515"), 0)


def test_a_liquidation_in_a_bar_that_also_reaches_the_target_may_have_come_too_late(
    find: Any, make_klines: Make
) -> None:
    # Sold 10 × 100 at 20 ×: liquidated where 50 + 10 × (100 − p) = 0.004 × 10 p: p = 104.582 …, at the tick above,
    # 104.6, where the 50 are lost. The bar first rises to 105; the target at 95 would have made 50,
    # less 10 × 95 × 0.0002.
    klines = make_klines([*STEADY * 2, (100, 105, 94, 100, 40), *STEADY])
    plan = MarginPlan(mode="isolated", rules=LOW_RATE)
    changes: dict[str, Any] = {"margin": plan, "sizing": SizingRules(leverage=D(20)), "balance": D(1000)}
    (one,) = find(klines, {1: [bracket("95", "108", side=OrderSide.SELL)]}, **changes)
    assert (one.target, one.liquidation, one.chosen) == (95, D("104.6"), "liquidation")
    # The fee of the liquidation is part of the 50.
    assert (one.worst, one.best) == (0, D("99.81"))


def test_a_stop_beyond_the_liquidation_price_leaves_no_doubt(find: Any, make_klines: Make) -> None:
    klines = make_klines([*STEADY * 2, (100, 101, 93, 96, 40), *STEADY])
    plan = MarginPlan(mode="isolated", rules=LOW_RATE)
    changes: dict[str, Any] = {"margin": plan, "sizing": SizingRules(leverage=D(20)), "balance": D(1000)}
    assert find(klines, {1: [bracket("105", "94")]}, **changes) == []


def test_what_was_entered_and_left_inside_a_bar_may_have_been_liquidated_in_between(
    find: Any, make_klines: Make
) -> None:
    # Bought 10 at 102 by a stop, sold at 101 by a limit of the same bar: −10, and 0.202 of fee. The mark price was at
    # 94: liquidated where 51 + 10 × (p − 102) = 0.004 × 10 p: p = 97.289 …, where the margin of 51 is lost, whole.
    def both(strategy: Any, _bar: object) -> None:
        terms: Any = (strategy.own["instrument_id"], OrderSide.BUY, strategy.amount("10"))
        strategy.submit_order(strategy.order_factory.stop_market(*terms, strategy.price("102")))
        away: Any = (terms[0], OrderSide.SELL, strategy.amount("10"))
        strategy.submit_order(strategy.order_factory.limit(*away, strategy.price("101")))

    klines = make_klines([*STEADY * 2, (100, 103, 99, 100, 40), *STEADY], interval="5m")
    plan = replace(marked(klines, None), marks=None)
    changes: dict[str, Any] = {"sizing": SizingRules(leverage=D(20)), "balance": D(1000)}
    assert find(klines, {1: [both]}, margin=plan, **changes) == []
    (one,) = find(klines, {1: [both]}, margin=marked(klines, None), **changes)
    assert (one.entry, one.liquidation, one.chosen) == (102, D("97.2"), "target")
    assert (one.worst, one.best) == (D("-40.798"), 0)


def finer(make_klines: Make, rows: list[tuple[Any, ...]], whole: Klines, bar: int) -> Klines:
    """One-minute bars in the place of a bar of five."""
    return make_klines(rows, start=int(whole.open_times()[bar]), interval="1m")


DOWN_FIRST = [
    (100, 101, 94, 95, 8),
    (95, 99, 95, 99, 8),
    (99, 106, 99, 105, 8),
    (105, 105, 100, 101, 8),
    (101, 101, 99, 100, 8),
]
"""Five minutes that make up `BOTH`; the stop at 95 comes in the first, the target at 105 in the third."""


def test_finer_bars_decide_and_the_strategy_does_not_see_them(run: Run, find: Any, make_klines: Make, kit: Any) -> None:
    klines = make_klines([*STEADY * 2, BOTH, *STEADY], interval="5m")
    fine = finer(make_klines, DOWN_FIRST, klines, 2)
    source = kit.Source(kit.Scripted, {"script": {1: [bracket("105", "95")]}})
    output = run(klines, source, fine=fine)
    last = output.fills[-1]
    assert (last.order_type, last.price) == ("stop_market", 95)
    # Stamped with the end of the first of the five minutes.
    assert last.time_ns == (int(fine.open_times()[0]) + 60_000) * 1_000_000
    assert (output.bars_fed, output.bars_seen) == (4, 4)
    assert [bar.ts_event for bar in source.built[0].bars] == [int(end) * 1_000_000 for end in klines.close_times()]
    assert find(klines, {1: [bracket("105", "95")]}, fine=fine) == []


def test_what_a_finer_bar_does_not_tell_either_stays_listed_by_its_own_bounds(find: Any, make_klines: Make) -> None:
    klines = make_klines([*STEADY * 2, BOTH, *STEADY], interval="5m")
    fine = finer(make_klines, [(100, 101, 99, 100, 8), (100, 106, 94, 100, 8), *STEADY * 3], klines, 2)
    (one,) = find(klines, {1: [bracket("105", "95")]}, fine=fine)
    assert (one.bar.start_ms, one.bar.ms) == (int(fine.open_times()[1]), 60_000)


def test_with_finer_bars_a_market_order_still_fills_at_the_next_open(run: Run, make_klines: Make, kit: Any) -> None:
    class Reenters(kit.Scripted):
        def on_order_filled(self, event: Any) -> None:
            if event.order_type == OrderType.STOP_MARKET:
                kit.buy("2")(self, None)

    klines = make_klines([*STEADY * 2, BOTH, *STEADY], interval="5m")
    fine = finer(make_klines, DOWN_FIRST, klines, 2)
    source = kit.Source(Reenters, {"script": {1: [bracket("105", "95")]}})
    fills = run(klines, source, fine=fine, execution=Execution(fill="next-open")).fills
    # The entry at the open of the five minutes, the answer to the stop at the open of the second of them.
    told = [(fill.order_type, fill.price, fill.time_ns // 1_000_000) for fill in fills]
    start = int(fine.open_times()[0])
    assert told == [("market", 100, start), ("stop_market", 95, start + 60_000), ("market", 95, start + 60_000)]


def test_with_finer_bars_slippage_starts_at_the_open_of_the_finer_bar(run: Run, make_klines: Make) -> None:
    klines = make_klines([*STEADY * 2, BOTH, *STEADY], interval="5m")
    jumped = [(100, 101, 97, 97, 8), (94, 95, 94, 95, 8), (95, 106, 95, 106, 8), *[(100, 100, 100, 100, 8)] * 2]
    fine = finer(make_klines, jumped, klines, 2)
    last = run(klines, {1: [bracket("105", "95")]}, fine=fine, execution=Execution(slippage=Slippage(ticks=1))).fills[
        -1
    ]
    assert (last.reference, last.price) == (94, D("93.9"))


def test_liquidation_follows_the_finer_bars(run: Run, make_klines: Make, kit: Any) -> None:
    klines = make_klines([*STEADY * 2, BOTH, *STEADY], interval="5m")
    fine = finer(make_klines, DOWN_FIRST, klines, 2)
    plan = MarginPlan(mode="isolated", rules=LOW_RATE)
    changes: dict[str, Any] = {"sizing": SizingRules(leverage=D(20)), "balance": D(1000), "margin": plan}
    output = run(klines, {1: [kit.buy("10")]}, fine=fine, **changes)
    # As above, 95.3; in the first of the five minutes.
    (event,) = output.liquidations
    assert (event.price, event.time_ns) == (D("95.3"), (int(fine.open_times()[0]) + 60_000) * 1_000_000)
    # Mark prices that stay away save the position.
    calm = finer(make_klines, [(100, 100, 98, 100, 0)] * 5, klines, 2)
    assert run(klines, {1: [kit.buy("10")]}, fine=fine, **changes | {"margin": marked(klines, calm)}).liquidations == []


def test_a_mark_price_known_of_the_whole_bar_alone_counts_at_its_end(run: Run, make_klines: Make, kit: Any) -> None:
    klines = make_klines([*STEADY * 2, (100, 106, 96, 100, 40), *STEADY], interval="5m")
    fine = finer(make_klines, [(100, 106, 96, 100, 8), *[(100, 100, 100, 100, 8)] * 4], klines, 2)
    output = run(
        klines,
        {1: [kit.buy("10")]},
        fine=fine,
        sizing=SizingRules(leverage=D(20)),
        balance=D(1000),
        margin=marked(klines, None),
    )
    (event,) = output.liquidations
    assert (event.price, event.time_ns) == (D("95.3"), int(klines.close_times()[2]) * 1_000_000)


def marked(klines: Klines, fine: Klines | None) -> MarginPlan:
    """Mark klines of the bars themselves; the finer ones calm, or none."""
    low = klines.frame.with_columns(low=pl.when(pl.int_range(pl.len()) == 2).then(940).otherwise(980))
    marks = Klines(klines.symbol, klines.interval, klines.exponents, low.cast(pl.Schema(SCHEMA)))
    return MarginPlan(mode="isolated", rules=LOW_RATE, marks=marks, fine_marks=fine)
