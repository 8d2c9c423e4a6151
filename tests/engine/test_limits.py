"""Limit orders that meet the market: when they take, at which price, and what an audit makes of it."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nautilus_trader.model import OrderSide, TimeInForce

from nt_run.compliance import Limit, Rules, check_fills
from nt_run.engine.filters import NOT_SIMULATED
from nt_run.engine.run import EngineOutput
from nt_run.execution import Execution, FillTime, Slippage
from nt_run.klines import Klines
from nt_run.model import Fill, Liquidity
from nt_run.specs import InstrumentSpecs

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


def test_a_marketable_limit_at_the_last_bar_rests_with_next_open(run: Run, make_klines: Make) -> None:
    output = run(make_klines(STEADY * 2), {1: [send("limit", BUY, "105")]}, execution=slipping("next-open"))
    assert (output.fills, [order.ended for order in output.resting]) == ([], ["open"])


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
        # Opened at 107, above the limit: it rests until the bar falls to 104, and gets its own price.
        ("stop_limit", BUY, ("105.5", "105"), (107, 108, 104, 106), "105.5"),
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


def test_a_triggered_limit_that_rests_gets_its_own_price_in_a_later_bar(run: Run, make_klines: Make) -> None:
    # Triggered above its limit in bar 2; bar 3 opens at 100, below it.
    klines = make_klines([*STEADY * 2, (107, 108, 106, 106, 40), *STEADY])
    fills = run(klines, {1: [send("stop_limit", BUY, "105.5", "105")]}).fills
    assert told(fills, klines) == [(3, D("105.5"), D("105.5"), TAKER)]


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
    st.sampled_from(["market", "limit", "limit", "stop_limit", "limit_if_touched"]),
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
    if not fills:
        return
    at = data.draw(st.integers(0, len(fills) - 1))
    moved = D("0.1") * data.draw(st.sampled_from([-1, 1]))
    # Where in its bar an order was triggered is not known from its fill: its market price cannot be told from another.
    for also in (D(0),) if fills[at].order_type in {"stop_limit", "limit_if_touched"} else (D(0), moved):
        changed = replace(fills[at], price=fills[at].price + moved, reference=fills[at].reference + also)
        assert check_fills([*fills[:at], changed, *fills[at + 1 :]], klines, rules, limits=stated)
