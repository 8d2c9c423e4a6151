"""Limit orders that meet the market: when they take, at which price, and what an audit makes of it."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nautilus_trader.model import OrderSide, OrderType, TimeInForce

from nt_run.compliance import Limit, Rules, check_fills
from nt_run.engine.filters import NOT_SIMULATED
from nt_run.engine.run import EngineOutput
from nt_run.execution import Execution, FillTime, Slippage
from nt_run.klines import Klines
from nt_run.left_resting import left_warnings
from nt_run.matching import match_bars
from nt_run.model import Fill, Liquidity, Violation
from nt_run.specs import InstrumentSpecs
from nt_run.working_orders import check_orders

D = Decimal
type Run = Callable[..., EngineOutput]
type Make = Callable[..., Klines]

BUY, SELL = OrderSide.BUY, OrderSide.SELL
STEADY = [(100, 101, 99, 100, 40)]
TAKER, MAKER = Liquidity.TAKER, Liquidity.MAKER


def send(kind: str, side: OrderSide, *prices: str, quantity: str = "1", **more: Any) -> Callable[[Any, Any], None]:
    """An order of one coin; a limit with a trigger has the trigger last."""

    def act(strategy: Any, _bar: Any) -> None:
        make = getattr(strategy.order_factory, kind)
        levels = [strategy.price(price) for price in prices]
        strategy.submit_order(make(strategy.own["instrument_id"], side, strategy.amount(quantity), *levels, **more))

    return act


def slipping(fill: FillTime, ticks: int = 2) -> Execution:
    return Execution(fill=fill, slippage=Slippage(ticks=ticks))


def told(fills: list[Fill], klines: Klines) -> list[tuple[int, D, D, Liquidity]]:
    """(the bar at whose close it is booked, market's price, price, liquidity)."""
    start = klines.range.start_ms * 1_000_000
    return [
        ((fill.time_ns - start) // 60_000_000_000 - 1, fill.reference, fill.price, fill.liquidity) for fill in fills
    ]


def check(output: EngineOutput, klines: Klines) -> list[Violation]:
    """What an audit finds wrong with the orders that rested."""
    return check_orders(output.resting, output.fills, match_bars(klines), tick=D("0.1"), step=D("0.001"))


@pytest.mark.parametrize(
    ("fill", "side", "limit", "expected"),
    [
        # Bar 1 closes at 100, bar 2 opens at 103, runs to 106, falls to 102; the steady bar behind it falls to 99.
        # Two ticks of slippage: 0.2. The fee is a taker's.
        ("close", BUY, "105", (1, "100", "100.2", TAKER)),
        ("close", BUY, "100.1", (1, "100", "100.1", TAKER)),
        ("close", BUY, "100", (1, "100", "100", TAKER)),
        ("close", SELL, "95", (1, "100", "99.8", TAKER)),
        ("close", SELL, "99.9", (1, "100", "99.9", TAKER)),
        ("next-open", BUY, "105", (1, "103", "103.2", TAKER)),
        ("next-open", BUY, "103.1", (1, "103", "103.1", TAKER)),
        ("next-open", SELL, "95", (1, "103", "102.8", TAKER)),
        # Not marketable any more at 103: it rests, and bar 2 falls to 102.
        ("next-open", BUY, "102.5", (2, "102.5", "102.5", MAKER)),
        ("next-open", BUY, "100.5", (3, "100.5", "100.5", MAKER)),
    ],
)
def test_a_marketable_limit_meets_the_market_as_a_market_order_would_up_to_its_limit(
    fill: FillTime, side: OrderSide, limit: str, expected: tuple[Any, ...], run: Run, make_klines: Make
) -> None:
    klines = make_klines([*STEADY * 2, (103, 106, 102, 104, 40), *STEADY])
    output = run(klines, {1: [send("limit", side, limit)]}, execution=slipping(fill))
    bar, reference, price, liquidity = expected
    assert told(output.fills, klines) == [(bar, D(reference), D(price), liquidity)]
    assert output.fills[0].fee == D(price) * (D("0.0005") if liquidity is TAKER else D("0.0002"))


def test_a_limit_moved_to_the_market_takes_as_well(run: Run, make_klines: Make) -> None:
    def chase(strategy: Any, _bar: Any) -> None:
        (order,) = strategy.cache.orders_open()
        strategy.modify_order(order.client_order_id, price=strategy.price("104"))

    klines = make_klines([*STEADY * 3, (103, 106, 102, 104, 40), *STEADY])
    script = {1: [send("limit", BUY, "90")], 2: [chase]}
    met: dict[FillTime, str] = {"close": "100", "next-open": "103"}
    for fill, reference in met.items():
        fills = run(klines, script, execution=slipping(fill)).fills
        assert told(fills, klines) == [(2, D(reference), D(reference) + D("0.2"), TAKER)]


def test_a_marketable_limit_at_the_last_bar_rests_with_next_open(run: Run, make_klines: Make, kit: Any) -> None:
    class Cancels(kit.Scripted):
        def on_stop(self) -> None:
            self.cancel_all_orders(self.own["instrument_id"])

    script = {1: [send("limit", BUY, "105")]}
    for cls, ended in ((kit.Scripted, "open"), (Cancels, "cancelled")):
        output = run(make_klines(STEADY * 2), kit.Source(cls, {"script": script}), execution=slipping("next-open"))
        assert (output.fills, output.denials, [order.ended for order in output.resting]) == ([], [], [ended])


@pytest.mark.parametrize("force", [TimeInForce.IOC, TimeInForce.FOK])
def test_a_limit_that_must_not_rest_is_cancelled_where_the_next_open_is_beyond_it(
    force: TimeInForce, run: Run, make_klines: Make
) -> None:
    klines = make_klines([*STEADY * 2, (103, 106, 102, 104, 40), *STEADY])
    script = {1: [send("limit", BUY, limit, time_in_force=force) for limit in ("102.9", "103")]}
    output = run(klines, script, execution=slipping("next-open"))
    assert [order.ended for order in output.resting] == ["cancelled", "filled"]
    assert told(output.fills, klines) == [(1, D(103), D(103), TAKER)]
    name = "immediate-or-cancel" if force == TimeInForce.IOC else "fill-or-kill"
    assert [denial.reason for denial in output.denials] == [f"{name} order found nothing at its price"]


@pytest.mark.parametrize("force", [TimeInForce.IOC, TimeInForce.FOK])
def test_an_order_that_must_not_rest_is_counted_where_it_found_nothing_and_not_where_it_was_cancelled(
    force: TimeInForce, run: Run, make_klines: Make
) -> None:
    def cancel(strategy: Any, _bar: Any) -> None:
        strategy.cancel_all_orders(strategy.own["instrument_id"])

    klines = make_klines(STEADY * 5)
    limits = [send("limit", BUY, limit, time_in_force=force) for limit in ("99.9", "100")]
    stop = send("stop_market", BUY, "120", time_in_force=force)
    output = run(klines, {1: [*limits, stop], 3: [cancel]})
    assert len(output.denials) == 1
    assert output.denials[0].entry
    assert told(output.fills, klines) == [(1, D(100), D(100), TAKER)]
    assert [order.ended for order in output.resting] == ["cancelled", "filled", "cancelled"]


@pytest.mark.parametrize(
    ("kind", "side", "prices", "bar", "reference"),
    [
        # A buy at 105.5 or better from 105 on. The bar goes 103, 106, 102: it is triggered on the way up, where it is
        # marketable, and not filled at the low.
        ("stop_limit", BUY, ("105.5", "105"), (103, 106, 102, 104), "105"),
        # Slippage ends at the limit.
        ("stop_limit", BUY, ("105.1", "105"), (103, 106, 102, 104), "105"),
        # Opened between trigger and limit: it takes at the open.
        ("stop_limit", BUY, ("105.5", "105"), ("105.2", 108, 104, 106), "105.2"),
        ("stop_limit", SELL, ("94", "95"), (98, 99, 90, 96), "95"),
        # A buy at 96 or better once 95 was touched: at 95, and behind a gap at the open.
        ("limit_if_touched", BUY, ("96", "95"), (98, 99, 90, 92), "95"),
        ("limit_if_touched", BUY, ("96", "95"), (92, 93, 90, 92), "92"),
        ("limit_if_touched", SELL, ("104", "105"), (102, 109, 101, 108), "105"),
    ],
)
def test_a_limit_with_a_trigger_takes_where_it_is_triggered(
    kind: str,
    side: OrderSide,
    prices: tuple[str, str],
    bar: tuple[Any, ...],
    reference: str,
    run: Run,
    make_klines: Make,
) -> None:
    klines = make_klines([*STEADY * 2, (*bar, 40), *STEADY])
    sign = 1 if side == BUY else -1
    ways: list[tuple[FillTime, int]] = [("close", 0), ("close", 2), ("next-open", 0), ("next-open", 2)]
    for fill, ticks in ways:
        fills = run(klines, {1: [send(kind, side, *prices)]}, execution=slipping(fill, ticks)).fills
        paid = sign * min(sign * D(reference) + ticks * D("0.1"), sign * D(prices[0]))
        assert told(fills, klines) == [(2, D(reference), paid, TAKER)]


AWAY = (107, 108, "106.8", 107, 40)


@pytest.mark.parametrize(
    ("limit", "bars", "filled"),
    [
        # Opened at 107, above the limit: it rests until the same bar falls to 104, and gets its own price.
        ("105.5", [(107, 108, 104, 106, 40)], 2),
        # Bar 4 opens at 100, below the limit: an order in the book gets no better price than its own.
        ("105.5", [AWAY, AWAY], 4),
        # Its limit is below its trigger, so it cannot take.
        ("103", [(104, 108, 102, 106, 40)], 2),
        ("103", [AWAY, (104, 105, 102, 103, 40)], 3),
    ],
)
@pytest.mark.parametrize("fill", ["close", "next-open"])
def test_a_triggered_limit_that_rests_makes_at_its_own_price(
    fill: FillTime, limit: str, bars: list[Any], filled: int, run: Run, make_klines: Make
) -> None:
    klines = make_klines([*STEADY * 2, *bars, *STEADY])
    for ticks in (0, 2):
        output = run(klines, {1: [send("stop_limit", BUY, limit, "105")]}, execution=slipping(fill, ticks))
        assert told(output.fills, klines) == [(filled, D(limit), D(limit), MAKER)]
        # One coin at 0.02 %, in the engine's account as well: bought at the limit, worth the last close.
        assert output.fills[0].fee == D(limit) * D("0.0002")
        assert (output.balance, output.open_pnl) == (100_000 - D(limit) * D("0.0002"), 100 - D(limit))


@pytest.mark.parametrize(
    ("prices", "bar", "left"),
    [
        # The bar goes through trigger and limit to 90 and closes below both: an exchange fills it on the way.
        (("94", "95"), (99, 99, 90, 91), True),
        # It comes back to the limit: the order takes at its trigger.
        (("94", "95"), (99, 99, 90, 94), False),
        # It opens below the limit, or the limit is above the trigger: the order rests on an exchange as well.
        (("94", "95"), (93, "93.5", 90, 91), False),
        (("96", "95"), ("95.5", "95.9", 90, 91), False),
    ],
)
def test_a_sale_that_a_bar_went_through_is_told(
    prices: tuple[str, str], bar: tuple[Any, ...], left: bool, run: Run, make_klines: Make
) -> None:
    klines = make_klines([*STEADY * 2, (*bar, 40), *STEADY * 2])
    output = run(klines, {1: [send("stop_limit", SELL, *prices)]})
    told = left_warnings(output.resting, output.fills, klines, None)
    assert [text.partition(" triggered")[0] for text in told] == ["1 stop-limit order was"] * left


def move(limit: str) -> Callable[[Any, Any], None]:
    def act(strategy: Any, _bar: Any) -> None:
        (order,) = strategy.cache.orders_open()
        strategy.modify_order(order.client_order_id, price=strategy.price(limit))

    return act


@pytest.mark.parametrize("sent", ["105.5", "103"])
@pytest.mark.parametrize("moved", [2, 3])
@pytest.mark.parametrize(
    ("limit", "fill", "expected"),
    [
        # A buy triggered at 105 in bar 2, which stays above its limit. Both bars close at 107; bar 4 opens at 107.5 and
        # falls to 104. A new limit rests above the old trigger, at it, below it.
        ("106.5", "close", (4, "106.5", "106.5", MAKER)),
        ("105", "next-open", (4, "105", "105", MAKER)),
        ("104.5", "close", (4, "104.5", "104.5", MAKER)),
        # One that is marketable takes as any limit order does, with two ticks of slippage up to the limit.
        ("109", "close", ("moved", "107", "107.2", TAKER)),
        ("107.1", "close", ("moved", "107", "107.1", TAKER)),
        ("109", "next-open", ("moved", "open", "open", TAKER)),
    ],
)
def test_a_triggered_limit_that_is_changed_is_a_plain_limit_order(
    limit: str, fill: FillTime, expected: tuple[Any, ...], moved: int, sent: str, run: Run, make_klines: Make
) -> None:
    klines = make_klines([*STEADY * 2, AWAY, AWAY, ("107.5", 108, 104, 106, 40), *STEADY])
    script = {1: [send("stop_limit", BUY, sent, "105")], moved: [move(limit)]}
    output = run(klines, script, execution=slipping(fill))
    bar, reference, price, liquidity = expected
    if reference == "open":
        reference, price = ("107", "107.2") if moved == 2 else ("107.5", "107.7")
    assert told(output.fills, klines) == [(moved if bar == "moved" else bar, D(reference), D(price), liquidity)]
    assert output.fills[0].fee == D(price) * (D("0.0005") if liquidity is TAKER else D("0.0002"))
    assert check(output, klines) == []


def test_a_changed_triggered_limit_rests_where_the_next_open_is_beyond_it(run: Run, make_klines: Make) -> None:
    # Marketable at the close of 107, not at the open of 110; the bar falls through it to 105.
    klines = make_klines([*STEADY * 2, AWAY, AWAY, (110, 111, 105, 106, 40), *STEADY])
    script = {1: [send("stop_limit", BUY, "105.5", "105")], 3: [move("109")]}
    output = run(klines, script, execution=slipping("next-open"))
    assert told(output.fills, klines) == [(4, D(109), D(109), MAKER)]
    assert check(output, klines) == []


@pytest.mark.parametrize("force", [TimeInForce.IOC, TimeInForce.FOK])
def test_a_stop_limit_that_must_not_rest_is_refused_and_not_filled_later(
    force: TimeInForce, run: Run, make_klines: Make
) -> None:
    # Triggered at 102 on the way up, beyond its limit of 101: the exchange ends it there, and the bar falls to 95.
    klines = make_klines([*STEADY * 2, (100, 104, 95, 100, 40), *STEADY])
    output = run(klines, {1: [send("stop_limit", BUY, "101", "102", time_in_force=force)]})
    assert (output.fills, [denial.reason for denial in output.denials]) == ([], [NOT_SIMULATED])
    assert len(run(klines, {1: [send("stop_limit", BUY, "101", "102")]}).fills) == 1
    # What is touched is marketable then.
    assert len(run(klines, {1: [send("limit_if_touched", BUY, "98", "97", time_in_force=force)]}).fills) == 1


ORDERS = st.tuples(
    st.sampled_from(["market", "limit", "limit", "stop_limit", "limit_if_touched", "move"]),
    st.booleans(),
    st.integers(-40, 40),
    st.integers(0, 10),
)


def near(kind: str, buys: bool, distance: int, room: int) -> Callable[[Any, Any], None]:
    """An order `distance` times 20.0 from the close of its bar, a limit with a trigger `room` times 5.0 beyond that."""
    side, sign = (BUY, 1) if buys else (SELL, -1)

    def act(strategy: Any, bar: Any) -> None:
        close = bar.close.as_decimal()
        if kind == "market":
            send(kind, side, quantity="0.010")(strategy, bar)
        elif kind == "move":
            for order in strategy.cache.orders_open():
                if order.order_type == OrderType.LIMIT or order.is_triggered:
                    strategy.modify_order(order.client_order_id, price=strategy.price(str(close + 20 * distance)))
        elif kind == "limit":
            send(kind, side, str(close + 20 * distance), quantity="0.010")(strategy, bar)
        else:
            up = sign if kind == "stop_limit" else -sign
            trigger = close + up * (20 * abs(distance) + 1)
            send(kind, side, str(trigger + sign * 5 * room), str(trigger), quantity="0.010")(strategy, bar)

    return act


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10_000),
    orders=st.dictionaries(st.integers(0, 59), st.lists(ORDERS, min_size=1, max_size=2), max_size=30),
    execution=st.builds(slipping, st.sampled_from(["close", "next-open"]), st.integers(0, 60)),
    data=st.data(),
)
def test_an_audit_accepts_every_fill_of_a_run_and_none_that_was_moved(
    seed: int,
    orders: dict[int, list[tuple[str, bool, int, int]]],
    execution: Execution,
    data: st.DataObject,
    run: Run,
    random_market: Make,
    btc: InstrumentSpecs,
    kit: Any,
) -> None:
    klines = random_market(60, seed, "1h", 0.004)
    script = {number: [near(*order) for order in sent] for number, sent in orders.items()}
    output = run(klines, script, execution=execution)
    fills = output.fills
    names = ("tick_size", "step_size", "min_quantity", "max_quantity", "market_max_quantity", "min_notional")
    rules = Rules(
        maker=D("0.0002"), taker=D("0.0005"), execution=execution, **{name: getattr(btc, name) for name in names}
    )
    stated = {each.order_id: Limit(each.price, waited=False) for each in output.resting if each.price is not None}
    assert check_fills(fills, klines, rules, limits=stated) == []
    assert check(output, klines) == []
    assert abs(output.balance + output.open_pnl - kit.equity_of(output, klines, D(100_000))) < D("1e-6")
    if not fills:
        return
    at = data.draw(st.integers(0, len(fills) - 1))
    moved = D("0.1") * data.draw(st.sampled_from([-1, 1]))
    # Where in its bar an order was triggered is not known from its fill: its market price cannot be told from another.
    for also in (D(0),) if fills[at].order_type in {"stop_limit", "limit_if_touched"} else (D(0), moved):
        changed = replace(fills[at], price=fills[at].price + moved, reference=fills[at].reference + also)
        assert check_fills([*fills[:at], changed, *fills[at + 1 :]], klines, rules, limits=stated)
