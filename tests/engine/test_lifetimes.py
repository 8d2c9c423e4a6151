from collections.abc import Callable
from decimal import Decimal
from typing import Any

from nautilus_trader.model import OrderSide

from nt_run.engine.run import EngineOutput
from nt_run.klines import Klines
from nt_run.matching import match_bars
from nt_run.model import Side
from nt_run.working_orders import check_orders

type Run = Callable[..., EngineOutput]
type Make = Callable[..., Klines]

D = Decimal
STEADY = [(100, 101, 99, 100, 40)]
MINUTE = 60_000_000_000


def place(kind: str, side: OrderSide, *prices: str, **more: Any) -> Callable[..., None]:
    def act(strategy: Any, _bar: Any) -> None:
        make = getattr(strategy.order_factory, kind)
        levels = [strategy.price(price) for price in prices]
        order = make(strategy.own["instrument_id"], side, strategy.amount("1"), *levels, **more)
        strategy.placed = order.client_order_id
        strategy.submit_order(order)

    return act


def move(price: str) -> Callable[..., None]:
    return lambda strategy, _: strategy.modify_order(strategy.placed, price=strategy.price(price))


def cancel(strategy: Any, _bar: Any) -> None:
    strategy.cancel_all_orders(strategy.own["instrument_id"])


def test_an_order_that_was_moved_and_cancelled_rested_in_two_stretches(run: Run, make_klines: Make) -> None:
    klines = make_klines(STEADY * 5)
    output = run(klines, {0: [place("limit", OrderSide.BUY, "90")], 2: [move("91")], 3: [cancel]})
    start = klines.range.start_ms * 1_000_000
    told = [(one.price, one.sent_ns, one.since_ns, one.until_ns, one.ended) for one in output.resting]
    # Sent at the close of bar 0, moved at that of bar 2, cancelled at that of bar 3.
    one, three, four = (start + bars * MINUTE for bars in (1, 3, 4))
    assert told == [(90, one, one, three, "modified"), (91, three, three, four, "cancelled")]


def test_an_order_that_was_filled_ends_with_its_fill_and_others_are_still_open(run: Run, make_klines: Make) -> None:
    klines = make_klines([*STEADY * 2, (100, 101, 95, 100, 40)])
    script = {0: [place("limit", OrderSide.BUY, "96"), place("stop_market", OrderSide.BUY, "110")]}
    filled, waiting = run(klines, script).resting
    assert (filled.order_type, filled.side, filled.level, filled.ended) == ("limit", Side.BUY, 96, "filled")
    assert filled.until_ns == klines.range.end_ms * 1_000_000
    assert (waiting.order_type, waiting.is_stop, waiting.level) == ("stop_market", True, 110)
    assert (waiting.until_ns, waiting.ended) == (None, "open")


def test_a_triggered_order_has_no_trigger_any_more_however_it_is_changed(run: Run, make_klines: Make) -> None:
    # Bar 2 opens beyond trigger and limit, and stays there; bar 4 falls to the limit given at the close of bar 3.
    away, back = (107, 108, 106, 107, 40), (107, 108, 104, 105, 40)
    klines = make_klines([*STEADY * 2, away, away, back, away, back])
    output = run(klines, {1: [place("stop_limit", OrderSide.BUY, "105", "104.5")], 3: [move("104")]})
    start = klines.range.start_ms * 1_000_000
    two, three, four, five = (start + bars * MINUTE for bars in (2, 3, 4, 5))
    told = [(one.price, one.trigger, one.since_ns, one.until_ns, one.ended) for one in output.resting]
    assert told == [
        (105, D("104.5"), two, three, "triggered"),
        (105, None, three, four, "modified"),
        (104, None, four, five, "filled"),
    ]
    tick, step = D("0.1"), D("0.001")
    assert check_orders(output.resting, output.fills, match_bars(klines), tick=tick, step=step) == []


def test_market_orders_never_rest(run: Run, make_klines: Make, kit: Any) -> None:
    assert run(make_klines(STEADY * 3), {0: [kit.buy("1")], 1: [kit.sell("1")]}).resting == []
