"""Initial margin as the exchange asks for it: for the larger side alone, and nothing for what closes."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from nautilus_trader.model import OrderSide

from nt_run.engine.prices import NO_NEXT_OPEN
from nt_run.engine.run import EngineOutput
from nt_run.execution import Execution
from nt_run.filters import MODIFICATION, NO_MARGIN, TURN_TOO_LARGE, needs_capital, refused_by
from nt_run.klines import Klines
from nt_run.liquidation import MarginPlan
from nt_run.margin import MarginRules, build_brackets
from nt_run.sizing import SizingRules

D = Decimal
type Run = Callable[..., EngineOutput]
type Make = Callable[..., Klines]

STEADY = [(100, 101, 99, 100, 40)]
SMALL = D(10_000)


def deep(rows: list[Any]) -> list[Any]:
    """The same bars with a volume of which any order is a small part, so that the run is made once."""
    return [(*row[:4], 10_000) for row in rows]


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
    output = run(make_klines(deep(STEADY * 4)), source, balance=SMALL, sizing=SizingRules(leverage=D(leverage)))
    assert output.denials == []
    assert [(fill.side.value, fill.quantity) for fill in output.fills] == [(first, size), (second, 2 * size)]
    # Three fees of size × 100 × 0.0005, and nothing else.
    assert output.balance == SMALL - 3 * size * D("0.05")
    names = [each for each in told if isinstance(each, str)]
    assert names == ["PositionOpened", "PositionClosed", "PositionOpened"]


def test_a_turn_the_account_cannot_bear_is_refused_whole_with_what_to_do(run: Run, make_klines: Make, kit: Any) -> None:
    # Bought 60 at 100, fee 3; now at 80: equity 10,000 − 3 − 60 × 20 = 8,797, less the fee of closing,
    # 60 × 80 × 0.0005 = 2.40: 8,794.60, good for 109.9325 at 80.
    klines = make_klines(deep([*STEADY * 2, (100, 100, 80, 80, 40), (80, 80, 80, 80, 40), (80, 80, 80, 80, 40)]))
    for size, quantities in (("169.932", ["60", "169.932"]), ("169.933", ["60"])):
        source, told = telling(kit, {0: [kit.buy("60")], 2: [kit.sell(size)]})
        output = run(klines, source, balance=SMALL)
        assert [fill.quantity for fill in output.fills] == [D(each) for each in quantities]
        reasons = [TURN_TOO_LARGE] * (len(quantities) == 1)
        assert [denial.reason for denial in output.denials] == reasons
        assert [each[1] for each in told if each[1] == TURN_TOO_LARGE] == reasons
    assert refused_by(TURN_TOO_LARGE) == "margin"
    assert needs_capital(TURN_TOO_LARGE)


def test_a_turn_fills_whole_at_the_next_open_and_at_none_behind_the_last_bar(
    run: Run, make_klines: Make, kit: Any
) -> None:
    klines = make_klines([*STEADY * 3, (97, 98, 96, 97, 40), *STEADY])
    script = {0: [kit.buy("60")], 2: [kit.sell("120")], 4: [kit.buy("120")]}
    output = run(klines, script, balance=SMALL, execution=Execution(fill="next-open"))
    assert [(fill.quantity, fill.price) for fill in output.fills] == [(60, 100), (120, 97)]
    assert [(denial.reason, denial.entry) for denial in output.denials] == [(NO_NEXT_OPEN, True)]


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
    assert [fill.quantity for fill in output.fills] == [60, 20, 100]
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


def order(kind: str, side: OrderSide, price: str, size: str, **more: Any) -> Callable[[Any, object], None]:
    def act(strategy: Any, _bar: object) -> None:
        make, instrument = getattr(strategy.order_factory, kind), strategy.own["instrument_id"]
        strategy.submit_order(make(instrument, side, strategy.amount(size), strategy.price(price), **more))

    return act


TARGET = order("limit", OrderSide.SELL, "110", "90")
STOP = order("stop_market", OrderSide.SELL, "90", "90")
UP = [*STEADY * 2, (100, 112, 100, 111, 40), *STEADY]


@pytest.mark.parametrize("execution", [Execution(), Execution(fill="next-open")])
@pytest.mark.parametrize("exits", [[TARGET], [STOP], [TARGET, STOP], [STOP, TARGET]])
def test_plain_exits_sent_with_their_entry_need_no_margin_of_their_own(
    exits: list[Any], execution: Execution, run: Run, make_klines: Make, kit: Any
) -> None:
    # 9,000 of 10,000 for the entry; the exits would want 9,900 and 8,100 more, but sell what is bought.
    sent = [[kit.buy("90"), *exits]] + ([[*exits, kit.buy("90")]] if len(exits) == 1 else [])
    expected = [(90, 100), (-90, 110)] if TARGET in exits else [(90, 100)]
    for orders in sent:
        output = run(make_klines(UP), {1: orders}, balance=SMALL, execution=execution)
        assert output.denials == []
        assert [(fill.side.sign * fill.quantity, fill.price) for fill in output.fills] == expected


def test_the_exits_of_an_order_list_need_no_margin_either(run: Run, make_klines: Make, kit: Any) -> None:
    def enter(strategy: Any, _bar: object) -> None:
        factory, instrument, size = strategy.order_factory, strategy.own["instrument_id"], strategy.amount("90")
        entry = factory.market(instrument, OrderSide.BUY, size)
        target = factory.limit(instrument, OrderSide.SELL, size, strategy.price("110"))
        strategy.submit_order_list([entry, target])

    output = run(make_klines(UP), {1: [enter]}, balance=SMALL)
    assert output.denials == []
    assert [fill.side.sign * fill.quantity for fill in output.fills] == [90, -90]


@pytest.mark.parametrize(("size", "refused"), [("169.928", 0), ("169.929", 1)])
def test_what_an_exit_sells_beyond_the_position_needs_margin(
    size: str, refused: int, run: Run, make_klines: Make, kit: Any
) -> None:
    # Bought 90 at 100, fee 4.50: 9,995.50, less the fee of closing, 4.50: 9,991. At 125 that opens 79.928 more.
    script = {1: [kit.buy("90"), order("limit", OrderSide.SELL, "125", size)]}
    output = run(make_klines(STEADY * 4), script, balance=SMALL)
    assert [denial.reason for denial in output.denials] == [TURN_TOO_LARGE] * refused


def test_orders_on_both_sides_ask_for_the_margin_of_the_larger_alone(run: Run, make_klines: Make) -> None:
    bid, ask = order("limit", OrderSide.BUY, "90", "60"), order("limit", OrderSide.SELL, "120", "60")
    # 60 × 90 bid and 60 × 120 offered: 10,000 bear 7,200, and not 12,600. There are 2,800 left for offers, 23.333 at
    # 120, and 4,600 for bids, 51.111 at 90.
    more_asks = [order("limit", OrderSide.SELL, "120", size) for size in ("23.334", "23.333")]
    more_bids = [order("limit", OrderSide.BUY, "90", size) for size in ("51.112", "51.111")]
    output = run(make_klines(STEADY * 4), {1: [bid, ask], 2: [*more_asks, *more_bids]}, balance=SMALL)
    assert [denial.reason for denial in output.denials] == [NO_MARGIN] * 2
    assert [order.quantity for order in output.resting] == [D(60), D(60), D("23.333"), D("51.111")]


def test_an_entry_beside_the_exits_of_a_position_needs_its_own_margin_alone(
    run: Run, make_klines: Make, kit: Any
) -> None:
    # 6,000 tied up, a target and a stop beside them, 3,997 free: for 39.97 at 100.
    exits = [order("limit", OrderSide.SELL, "150", "60"), order("stop_market", OrderSide.SELL, "50", "60")]
    script = {0: [kit.buy("60")], 1: exits, 2: [kit.buy("39.971"), kit.buy("39.97")]}
    output = run(make_klines(STEADY * 4), script, balance=SMALL)
    assert [denial.reason for denial in output.denials] == [NO_MARGIN]
    assert [fill.quantity for fill in output.fills] == [60, D("39.97")]


def test_orders_whose_cancellation_is_on_its_way_tie_up_nothing(run: Run, make_klines: Make, kit: Any) -> None:
    def cancel(strategy: Any, _bar: object) -> None:
        strategy.cancel_all_orders(strategy.own["instrument_id"])

    script = {0: [order("limit", OrderSide.BUY, "90", "100")], 1: [cancel, kit.buy("90")]}
    assert run(make_klines(STEADY * 4), script, balance=SMALL).denials == []


def test_a_change_that_needs_more_margin_than_there_is_is_refused(run: Run, make_klines: Make) -> None:
    def change(price: str) -> Callable[[Any, object], None]:
        def act(strategy: Any, _bar: object) -> None:
            (resting,) = strategy.cache.orders_open()
            strategy.modify_order(resting.client_order_id, price=strategy.price(price))

        return act

    # 105 at 90 are 9,450, at 95 9,975 and at 96 10,080.
    script = {0: [order("limit", OrderSide.BUY, "90", "105")], 1: [change("96")], 2: [change("95")]}
    output = run(make_klines(STEADY * 4), script, balance=SMALL)
    assert [denial.reason for denial in output.denials] == [MODIFICATION + NO_MARGIN]
    assert [each.price for each in output.resting] == [90, 95]


def test_what_a_close_on_its_way_loses_is_not_there_for_the_entry_behind_it(
    run: Run, make_klines: Make, kit: Any
) -> None:
    # Bought 60 at 100, fee 3; closed at 80: 10,000 − 3 − 1,200 − 60 × 80 × 0.0005 = 8,794.60 for 109.9325 at 80.
    klines = make_klines([*STEADY * 2, (100, 100, 80, 80, 40), (80, 80, 80, 80, 40)])
    for size, refused in (("109.932", 0), ("109.933", 1)):
        output = run(klines, {0: [kit.buy("60")], 2: [kit.sell("60"), kit.buy(size)]}, balance=SMALL)
        assert [denial.reason for denial in output.denials] == [NO_MARGIN] * refused


@pytest.mark.parametrize(
    ("closes", "size", "free"),
    [
        # 500 bought at 100 with 10 x, fee 25, then 90: 9,975 − 5,000 − 4,500 of margin are 475, good for 52.77 at 90.
        (90, "52.77", True),
        (90, "52.78", False),
        # At 110: 9,975 + 5,000 − 5,500 = 9,475, good for 861.36.
        (110, "861.36", True),
        (110, "861.37", False),
    ],
)
def test_with_cross_margin_the_open_profit_or_loss_is_free_or_missing(
    closes: int, size: str, free: bool, run: Run, make_klines: Make, kit: Any
) -> None:
    rows = [(100, 100, 100, 100, 40_000)] * 2 + [(closes, closes, closes, closes, 40_000)] * 3
    brackets = build_brackets([(D(0), D(10**9), D("0.004"), D(125))])
    rules = MarginRules(symbol="BTCUSDT", brackets=brackets, as_of_ms=0, source="test")
    plan = MarginPlan(mode="cross", rules=rules)
    changes = {"balance": SMALL, "sizing": SizingRules(leverage=D(10)), "margin": plan}
    output = run(make_klines(rows), {0: [kit.buy("500")], 3: [kit.buy(size)]}, **changes)
    assert [fill.quantity for fill in output.fills] == [D(500), D(size)][: 1 + free]
    assert [denial.reason for denial in output.denials] == [NO_MARGIN] * (not free)


@pytest.mark.parametrize(
    ("side", "rate", "mark", "size", "passes"),
    [
        # 500 at 100 with 10 x: 5,000 of margin, 25 of fee, so 4,975 are free, whatever funding takes of the position's
        # margin (2 %: 1,000 from 5,000) or brings it, and whatever the mark price of the settlement is.
        ("buy", "0.02", "100", "497.5", True),
        ("buy", "0.02", "100", "497.6", False),
        ("sell", "0.02", "100", "497.5", True),
        ("sell", "0.02", "100", "497.6", False),
        ("buy", "0.000001", "110", "497.5", True),
        ("buy", "0.000001", "90", "497.6", False),
    ],
)
def test_an_isolated_position_pays_its_funding_from_its_own_margin(
    side: str, rate: str, mark: str, size: str, passes: bool, run: Run, make_klines: Make, kit: Any
) -> None:
    klines = make_klines([(100, 100, 100, 100, 40_000)] * 6, start=kit.SLOT - 3 * 60_000)
    script = {0: [getattr(kit, side)("500")], 4: [getattr(kit, side)(size)]}
    sizing = SizingRules(leverage=D(10))
    output = run(klines, script, balance=SMALL, sizing=sizing, funding=[kit.rate(rate, mark)])
    assert len(output.payments) == 1
    assert [fill.quantity for fill in output.fills] == [D(500), D(size)][: 1 + passes]


def test_what_is_closed_takes_its_share_of_the_margin_and_the_funding(run: Run, make_klines: Make, kit: Any) -> None:
    # 500 at 100, 2 % of funding: 4,000 of 5,000 are left, and 2,400 of them after 200 are closed; cash is 10,000 − 25
    # − 1,000 − 10 = 8,965, so 6,565 are free.
    klines = make_klines([(100, 100, 100, 100, 40_000)] * 8, start=kit.SLOT - 3 * 60_000)
    for size, count in (("656.5", 3), ("656.6", 2)):
        script = {0: [kit.buy("500")], 3: [kit.sell("200")], 5: [kit.buy(size)]}
        sizing = SizingRules(leverage=D(10))
        output = run(klines, script, balance=SMALL, sizing=sizing, funding=[kit.rate("0.02", "100")])
        assert len(output.fills) == count


@pytest.mark.parametrize(
    ("before", "more", "passes"),
    [
        # 10,000 at 10 x, with fees of 0.05 a piece: 9,975 − 5,000, 9,970 − 6,000, 9,970 − 4,000 (100 were closed).
        ([], "497.5", True),
        ([], "497.6", False),
        (["buy"], "397", True),
        (["buy"], "397.1", False),
        (["sell"], "597", True),
        (["sell"], "597.1", False),
    ],
)
def test_an_order_sent_as_another_fills_meets_the_account_behind_that_fill(
    before: list[str], more: str, passes: bool, run: Run, make_klines: Make, kit: Any
) -> None:
    class Pyramid(kit.Scripted):
        def on_order_filled(self, event: Any) -> None:
            if event.last_qty.as_decimal() == 500:
                kit.buy(more)(self, None)

    script = {0: [getattr(kit, side)("100") for side in before], 2: [kit.buy("500")]}
    source = kit.Source(Pyramid, {"script": script})
    klines = make_klines([(100, 100, 100, 100, 40_000)] * 6)
    output = run(klines, source, balance=SMALL, sizing=SizingRules(leverage=D(10)))
    assert [fill.quantity for fill in output.fills][len(before) :] == [D(500), D(more)][: 1 + passes]
    assert len(output.denials) == 1 - passes
