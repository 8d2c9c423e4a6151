"""Orders that are triggered while the account lacks the margin for what they would open expire."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from nautilus_trader.model import OrderSide, TrailingOffsetType

from made_fills import made_fill
from nt_run.engine.overreach import Overreach
from nt_run.engine.run import EngineOutput
from nt_run.execution import Execution, Slippage
from nt_run.filters import POSITION_TOO_LARGE, UNBORNE, needs_capital, refused_by
from nt_run.klines import Klines
from nt_run.model import MS, Fill, Settlement, Side
from nt_run.sizing import SizingRules

D = Decimal
type Run = Callable[..., EngineOutput]
type Make = Callable[..., Klines]

BUY, SELL = Side.BUY, Side.SELL
SIDES = {"buy": OrderSide.BUY, "sell": OrderSide.SELL}
TEN = SizingRules(leverage=D(10))
BALANCE = D(1000)
# A short of 95 from 100, closed at 104 by the strategy; the stop at 106 is left behind, and the market comes to it.
OUTLIVED = [(100, 100, 100, 100, 10_000)] * 2 + [(104, 104, 104, 104, 10_000)] * 2 + [(104, 107, 104, 104, 10_000)] * 2


def resting(kind: str, side: str, quantity: str, at: str) -> Callable[[Any, Any], None]:
    """An order that waits for a trigger, not marked reduce-only."""

    def act(strategy: Any, _bar: Any) -> None:
        factory, level = strategy.order_factory, strategy.price(at)
        terms = (strategy.own["instrument_id"], SIDES[side], strategy.amount(quantity))
        if kind == "stop_limit":
            order = factory.stop_limit(*terms, level, level)
        elif kind == "trailing_stop_market":
            offset = {"trailing_offset": D(6), "trailing_offset_type": TrailingOffsetType.PRICE}
            order = factory.trailing_stop_market(*terms, trigger_price=level, **offset)
        else:
            order = getattr(factory, kind)(*terms, level)
        strategy.submit_order(order)

    return act


def target(side: str, quantity: str, at: str) -> Callable[[Any, Any], None]:
    """A limit order, not marked reduce-only."""

    def act(strategy: Any, _bar: Any) -> None:
        terms = (strategy.own["instrument_id"], SIDES[side], strategy.amount(quantity), strategy.price(at))
        strategy.submit_order(strategy.order_factory.limit(*terms))

    return act


def scripted(kit: Any, script: dict[int, list[Any]]) -> tuple[Any, list[str]]:
    told: list[str] = []

    class Told(kit.Scripted):
        def on_order_canceled(self, event: Any) -> None:
            told.append(event.client_order_id.value)

    return kit.Source(Told, {"script": script}), told


@pytest.mark.parametrize("execution", [Execution(), Execution(fill="next-open"), Execution(slippage=Slippage(ticks=1))])
@pytest.mark.parametrize("kind", ["stop_market", "stop_limit", "trailing_stop_market"])
def test_a_stop_that_outlived_its_position_expires_where_it_would_open_too_large_a_one(
    kind: str, execution: Execution, run: Run, make_klines: Make, kit: Any
) -> None:
    # 1,000 at 10 x: 95 sold at 100 are 9,500. Bought back at 104 with a loss of 380 and fees of about 10, 610 are left,
    # good for 6,100. The stop would buy 95 at 106 = 10,070.
    stop = resting(kind, "buy", "95", "106")
    source, told = scripted(kit, {0: [kit.sell("95"), stop], 2: [kit.buy("95")]})
    output = run(make_klines(OUTLIVED), source, balance=BALANCE, sizing=TEN, execution=execution)
    assert [fill.side for fill in output.fills] == [SELL, BUY]
    assert [(each.reason, each.entry) for each in output.denials] == [(UNBORNE, True)]
    assert [each.ended for each in output.resting if each.order_type == kind][-1] == "refused"
    assert len(told) == 1
    assert refused_by(UNBORNE) == "margin"
    assert needs_capital(UNBORNE)


def test_the_time_it_is_refused_is_that_of_the_bar_that_triggers_it(run: Run, make_klines: Make, kit: Any) -> None:
    for kind in ("stop_market", "stop_limit"):
        script = {0: [kit.sell("95"), resting(kind, "buy", "95", "106")], 2: [kit.buy("95")]}
        klines = make_klines(OUTLIVED)
        output = run(klines, scripted(kit, script)[0], balance=BALANCE, sizing=TEN)
        ends = klines.close_times()
        assert [each.time_ns for each in output.denials] == [int(ends[4]) * MS]


@pytest.mark.parametrize(
    ("quantity", "fills"),
    [
        # Cash is 1,000 − 380 − (95 × 100 + 95 × 104) × 0.0005 = 610.31; × 10 ÷ 106 = 57.576.
        ("57.576", [SELL, BUY, BUY]),
        ("57.577", [SELL, BUY]),
    ],
)
def test_what_the_account_bears_opens(quantity: str, fills: list[Side], run: Run, make_klines: Make, kit: Any) -> None:
    script = {0: [kit.sell("95"), resting("stop_market", "buy", quantity, "106")], 2: [kit.buy("95")]}
    output = run(make_klines(OUTLIVED), scripted(kit, script)[0], balance=BALANCE, sizing=TEN)
    assert [fill.side for fill in output.fills] == fills


def test_a_stop_that_closes_is_never_refused_whatever_is_left(run: Run, make_klines: Make, kit: Any) -> None:
    # The short of 95 loses 570 at 106: 430 and less are left, and the stop asks for nothing.
    script = {0: [kit.sell("95"), resting("stop_market", "buy", "95", "106")]}
    output = run(make_klines(OUTLIVED), scripted(kit, script)[0], balance=BALANCE, sizing=TEN)
    assert [fill.price for fill in output.fills] == [D(100), D(106)]
    assert output.denials == []


def test_a_stop_larger_than_what_is_left_of_its_position_is_refused_whole(
    run: Run, make_klines: Make, kit: Any
) -> None:
    # 85 of 95 are bought back at 104, so that 10 are closed and 85 would be opened at 106: 9,010, with 600 left.
    script = {0: [kit.sell("95"), resting("stop_market", "buy", "95", "106")], 2: [kit.buy("85")]}
    output = run(make_klines(OUTLIVED), scripted(kit, script)[0], balance=BALANCE, sizing=TEN)
    assert [fill.quantity for fill in output.fills] == [D(95), D(85)]
    assert [each.reason for each in output.denials] == [UNBORNE]


def test_a_stop_entry_behind_a_gap_needs_the_margin_of_the_open(run: Run, make_klines: Make, kit: Any) -> None:
    # 94 at 106 are 9,964 of 10,000; the bar opens at 107: 10,058.
    for opened, filled in ((106, [D(106)]), (107, [])):
        rows = [(100, 100, 100, 100, 10_000)] * 2 + [(opened, opened, opened, opened, 10_000)] * 2
        source, _ = scripted(kit, {0: [resting("stop_market", "buy", "94", "106")]})
        output = run(make_klines(rows), source, balance=BALANCE, sizing=TEN)
        assert [fill.price for fill in output.fills] == filled
        assert len(output.denials) == 1 - len(filled)


def test_the_leverage_brackets_hold_at_the_trigger_too(run: Run, make_klines: Make, kit: Any) -> None:
    # The stop of 10 is below the bracket's 1,050 at 104 and above it at 106.
    sizing = SizingRules(leverage=D(10), max_notional=D(1050))
    script = {0: [kit.sell("10"), resting("stop_market", "buy", "10", "106")], 2: [kit.buy("10")]}
    output = run(make_klines(OUTLIVED), scripted(kit, script)[0], balance=BALANCE, sizing=sizing)
    assert [fill.side for fill in output.fills] == [SELL, BUY]
    assert [each.reason for each in output.denials] == [POSITION_TOO_LARGE]


@pytest.mark.parametrize(("quantity", "fills"), [("106.6", 3), ("106.7", 2)])
def test_what_fills_earlier_in_the_same_bar_counts(
    quantity: str, fills: int, run: Run, make_klines: Make, kit: Any
) -> None:
    # 95 bought at 100, the target sells them at 100.1: cash is 1,000 + 9.5 − 4.75 − 1.9019 = 1,002.8481, good for
    # 10,028.481 ÷ 94 = 106.686 at the stop, which the same bar comes to.
    rows = [(100, 100, 100, 100, 10_000)] * 2 + [(100, 101, 93, 100, 10_000)] * 2
    script = {0: [kit.buy("95"), resting("stop_market", "sell", quantity, "94"), target("sell", "95", "100.1")]}
    output = run(make_klines(rows), scripted(kit, script)[0], balance=BALANCE, sizing=TEN)
    assert [fill.price for fill in output.fills] == [D(100), D("100.1"), D(94)][:fills]
    assert len(output.denials) == 3 - fills


@pytest.mark.parametrize("execution", [Execution(), Execution(fill="next-open")])
def test_a_close_passes_beside_what_rests_and_a_target_it_leaves_behind_is_cancelled_at_its_price(
    execution: Execution, run: Run, make_klines: Make, kit: Any
) -> None:
    # The long of 95 is sold at 96 with a loss of 380: 610 are left, and the target would sell 95 at 102 = 9,690.
    rows = [(100, 100, 100, 100, 10_000)] * 2 + [(96, 96, 96, 96, 10_000)] * 2 + [(96, 103, 96, 100, 10_000)] * 2
    source, told = scripted(kit, {0: [kit.buy("95"), target("sell", "95", "102")], 2: [kit.sell("95")]})
    klines = make_klines(rows)
    output = run(klines, source, balance=BALANCE, sizing=TEN, execution=execution)
    assert [fill.price for fill in output.fills] == [D(100), D(96)]
    assert [(each.time_ns, each.reason) for each in output.denials] == [(int(klines.close_times()[4]) * MS, UNBORNE)]
    assert [each.ended for each in output.resting] == ["refused"]
    assert len(told) == 1


def test_fees_paid_since_take_nothing_of_the_margin_a_limit_order_has(run: Run, make_klines: Make, kit: Any) -> None:
    # All 10,000 are for the limit; the fees of the trade before it fills are missing by then.
    rows = [(100, 100, 100, 100, 10_000)] * 3 + [(100, 100, 98, 100, 10_000)] * 2
    script = {0: [target("buy", "100", "99"), kit.sell("1")], 1: [kit.buy("1")]}
    output = run(make_klines(rows), scripted(kit, script)[0], balance=D("990.5"), sizing=TEN)
    assert [fill.price for fill in output.fills] == [D(100), D(100), D(99)]


def test_a_limit_order_whose_margin_was_lost_since_is_cancelled_at_its_price(
    run: Run, make_klines: Make, kit: Any
) -> None:
    # Both sides rest with one margin, 900 of 1,000. What is bought at 99 is sold at 91 with a loss of 720, so 270 are
    # left for the sale of 90 at 101.
    rows = [(100, 100, 100, 100, 10_000)] * 2 + [(100, 100, 91, 91, 10_000)] * 2 + [(91, 102, 91, 100, 10_000)] * 2
    script = {0: [target("buy", "90", "99"), target("sell", "90", "101")], 3: [kit.sell("90")]}
    output = run(make_klines(rows), scripted(kit, script)[0], balance=BALANCE, sizing=TEN)
    assert [fill.price for fill in output.fills] == [D(99), D(91)]
    assert [each.reason for each in output.denials] == [UNBORNE]


def test_stops_that_open_within_the_margin_are_made_in_one_go(run: Run, make_klines: Make, kit: Any) -> None:
    source, _ = scripted(kit, {0: [resting("stop_market", "buy", "9", "106")]})
    output = run(make_klines(OUTLIVED), source, balance=BALANCE, sizing=TEN)
    assert len(output.fills) == 1
    assert len(source.built) == 1


def filled(hour: int, side: Side, quantity: str, price: str, order_type: str, fee: str = "0") -> Fill:
    return made_fill(hour * 3_600_000 * MS, side, quantity, price, order_type=order_type, fee=D(fee))


SHORT, CLOSED = filled(1, SELL, "0.1", "100000", "market"), filled(2, BUY, "0.1", "104000", "market")


def found(
    *fills: Fill, settlements: tuple[Settlement, ...] = (), most: Decimal | None = None, cross: bool = False
) -> bool:
    """Looked at one by one, as a run is stretch by stretch."""
    terms: dict[str, Any] = {"leverage": D(10), "taker": D("0.0005"), "settlements": settlements}
    watch = Overreach(balance=BALANCE, most=most, cross=cross, **terms)
    return any(watch.finds(lambda seen, upto=count: fills[seen:upto], ()) for count in range(1, len(fills) + 1))


@pytest.mark.parametrize(
    ("last", "beyond"),
    [
        # 600 are left: good for 6,000.
        (filled(3, BUY, "0.1", "105000", "stop_market"), True),
        (filled(3, BUY, "0.05", "105000", "stop_market"), False),
        (filled(3, SELL, "0.058", "105000", "market_if_touched"), True),
        # Its margin was asked for when it was sent, and is lost; of 609, four fees of 3.045 may be.
        (filled(3, BUY, "0.1", "105000", "limit"), True),
        (filled(3, BUY, "0.058", "105000", "limit"), False),
        (filled(3, BUY, "0.1", "105000", "market"), False),
    ],
)
def test_a_fill_that_may_have_lacked_margin_is_found(last: Fill, beyond: bool) -> None:
    assert found(SHORT, CLOSED, last) == beyond


def test_open_losses_count_with_cross_margin_alone() -> None:
    # Short 0.05 from 100,000; at 110,000 the loss is 500: cross has 500 × 10 − 5,500 free, isolated 10,000 − 5,000.
    short = filled(1, SELL, "0.05", "100000", "market")
    for size, kind, isolated, cross in (
        ("0.04", "market_if_touched", False, True),
        ("0.04", "limit", False, False),
        ("0.046", "market_if_touched", True, True),
    ):
        more = filled(2, SELL, size, "110000", kind)
        assert (found(short, more), found(short, more, cross=True)) == (isolated, cross)


def test_one_that_closes_is_not_found_whatever_is_left() -> None:
    assert not found(SHORT, filled(2, BUY, "0.1", "109500", "stop_market"))


def test_fees_funding_and_the_brackets_count() -> None:
    # 600 − 60 of fees − 40 of funding = 500: a stop of 0.05 × 104,000 = 5,200 is beyond 500 × 10, and within 600 × 10.
    closed, stop = filled(2, BUY, "0.1", "104000", "market", fee="60"), filled(3, SELL, "0.05", "104000", "stop_limit")
    settled = Settlement(time_ns=3_600_000 * MS + 1, rate=D("-0.004"), price=D(100000), price_source="mark_price")
    assert not found(SHORT, CLOSED, stop)
    assert found(SHORT, closed, stop, settlements=(settled,))
    assert found(SHORT, CLOSED, stop, most=D(5000))
