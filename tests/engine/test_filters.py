from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from nautilus_trader.model import OrderSide, OrderStatus, Price, Quantity

from nt_run import filters
from nt_run.engine.run import EngineOutput
from nt_run.klines import Exponents, Klines
from nt_run.specs import InstrumentSpecs

type Run = Callable[..., EngineOutput]
type Make = Callable[..., Klines]
type Act = Callable[[Any, Any], None]

STEADY = [(100_000, 100_010, 99_990, 100_000, 40)]
RICH = {"balance": Decimal(10**9)}
BUY, SELL = OrderSide.BUY, OrderSide.SELL


def send(kind: str, side: OrderSide, quantity: str, *prices: str, **more: Any) -> Act:
    def act(strategy: Any, _bar: Any) -> None:
        make = getattr(strategy.order_factory, kind)
        terms = (strategy.own["instrument_id"], side, Quantity.from_str(quantity))
        order = make(*terms, *(Price.from_str(price) for price in prices), **more)
        strategy.submit_order(order)
        strategy.last = order.client_order_id

    return act


def reasons(output: EngineOutput) -> list[str]:
    return [denial.reason for denial in output.denials]


@pytest.mark.parametrize(
    ("passes", "refused", "reason"),
    [
        (send("market", BUY, "120.000"), send("market", BUY, "120.001"), filters.MARKET_TOO_LARGE),
        (
            send("stop_market", BUY, "120.000", "100500.0"),
            send("stop_market", BUY, "120.001", "100500.0"),
            filters.MARKET_TOO_LARGE,
        ),
        (send("limit", BUY, "120.001", "99000.0"), send("limit", BUY, "1000.001", "99000.0"), filters.TOO_LARGE),
        (send("limit", BUY, "0.001", "99000.0"), send("limit", BUY, "0.001", "556.7"), filters.PRICE_BOUNDS),
        # The last close is 100,000: a buy may ask for 105,000.0 at most, a sale for 95,000.0 at least.
        (send("limit", BUY, "0.001", "105000.0"), send("limit", BUY, "0.001", "105000.1"), filters.FAR_PRICE),
        (send("limit", SELL, "0.001", "95000.0"), send("limit", SELL, "0.001", "94999.9"), filters.FAR_PRICE),
        (send("stop_market", BUY, "0.001", "120000.0"), send("limit", BUY, "0.001", "120000.0"), filters.FAR_PRICE),
        # 0.0005 × 100,000 = 50, the smallest notional, but below the smallest quantity.
        (send("market", BUY, "0.001"), send("market", BUY, "0.0005"), "quantity precision exceeds maximum"),
    ],
)
def test_an_order_at_the_limit_passes_and_one_step_beyond_is_refused(
    passes: Act, refused: Act, reason: str, run: Run, make_klines: Make, btc: InstrumentSpecs
) -> None:
    output = run(make_klines(STEADY * 4), {1: [passes], 2: [refused]}, specs=btc, **RICH)
    assert reasons(output) == [reason]


def test_the_smallest_notional_binds_entries_and_spares_what_is_reduce_only(
    run: Run, make_klines: Make, kit: Any, btc: InstrumentSpecs
) -> None:
    # 0.5 × 100 = 50 USDT passes, 0.499 × 100 = 49.9 does not; nor does a sale of 0.4 that only happens to reduce.
    specs = replace(btc, min_price=None)
    script = {
        0: [kit.buy("0.5"), kit.buy("0.499")],
        1: [kit.sell("0.4")],
        2: [send("market", SELL, "0.400", reduce_only=True)],
        3: [send("limit", SELL, "0.100", "100.5", reduce_only=True)],
    }
    output = run(make_klines([(100, 101, 99, 100, 40)] * 6), script, specs=specs)
    assert reasons(output) == ["notional below minimum"] * 2
    assert [str(fill.quantity) for fill in output.fills] == ["0.500", "0.400", "0.100"]


@pytest.mark.parametrize("quantity", ["0.100", "150.000", "20000.000"])
@pytest.mark.parametrize(("kind", "prices"), [("market", []), ("limit", ["99000.0"])])
def test_a_quantity_of_the_quote_asset_is_refused_with_what_to_do_instead(
    kind: str, prices: list[str], quantity: str, run: Run, make_klines: Make, btc: InstrumentSpecs
) -> None:
    # As base asset 0.1 would pass; as 150 USDT, 0.0015 BTC at 100,000, it would not be on the step.
    act = send(kind, BUY, quantity, *prices, quote_quantity=True)
    output = run(make_klines(STEADY * 3), {1: [act]}, specs=btc, **RICH)
    assert (reasons(output), output.fills) == ([filters.QUOTE_QUANTITY], [])
    assert "amount ÷ price, rounded down to the step" in filters.QUOTE_QUANTITY


def test_prices_off_a_tick_that_is_no_power_of_ten_are_refused(
    run: Run, make_klines: Make, btc: InstrumentSpecs
) -> None:
    specs = replace(btc, tick_size=Decimal("0.5"))
    script = {
        0: [send("limit", BUY, "0.001", "99000.5"), send("limit", BUY, "0.001", "99000.3")],
        1: [send("stop_market", SELL, "0.001", "99000.3", reduce_only=True)],
    }
    output = run(make_klines(STEADY * 3), script, specs=specs)
    assert reasons(output) == [filters.OFF_TICK] * 2
    assert [denial.entry for denial in output.denials] == [True, False]


def test_the_tick_of_finer_klines_is_the_one_that_binds(run: Run, make_klines: Make, btc: InstrumentSpecs) -> None:
    # Klines in steps of 0.01 give the instrument that increment; a strategy goes by it.
    klines = make_klines([*STEADY, ("100000.01", 100_010, 99_990, 100_000, 40), *STEADY], exponents=Exponents(2, 3, 4))
    output = run(klines, {0: [send("limit", BUY, "0.001", "99000.05")]}, specs=btc)
    assert output.denials == []


def test_quantities_off_the_step_are_refused_where_the_klines_have_more_decimals(
    run: Run, make_klines: Make, btc: InstrumentSpecs
) -> None:
    klines = make_klines([(100_000, 100_010, 99_990, 100_000, "40.0005")] * 4, exponents=Exponents(1, 4, 5))
    script = {0: [send("market", BUY, "0.0015")], 1: [send("market", BUY, "0.0020"), send("market", BUY, "120.0010")]}
    output = run(klines, script, specs=btc, **RICH)
    assert reasons(output) == [filters.OFF_STEP, filters.MARKET_TOO_LARGE]
    assert [str(fill.quantity) for fill in output.fills] == ["0.0020"]


def many(count: int, kind: str, price: int) -> Act:
    def act(strategy: Any, bar: Any) -> None:
        for number in range(count):
            send(kind, BUY, "0.001", f"{price + number}.0")(strategy, bar)

    return act


def cancel_all(strategy: Any, _bar: Any) -> None:
    strategy.cancel_all_orders(strategy.own["instrument_id"])


def test_open_orders_are_counted_those_of_the_same_moment_too(
    run: Run, make_klines: Make, kit: Any, btc: InstrumentSpecs
) -> None:
    # 200 may rest at once; market orders never rest, and what was cancelled rests no more.
    script: dict[int, list[Act]] = {
        0: [many(99, "limit", 96_000)],
        1: [many(99, "limit", 96_100)],
        2: [many(3, "limit", 96_200), kit.buy("0.001")],
        3: [cancel_all],
        4: [many(99, "limit", 96_000)],
        5: [many(99, "limit", 96_100)],
    }
    output = run(make_klines(STEADY * 7), script, specs=btc)
    assert reasons(output) == [filters.MANY_ORDERS]
    assert len(output.fills) == 1


def test_orders_refused_for_another_reason_and_those_being_cancelled_do_not_count_as_open(
    run: Run, make_klines: Make, btc: InstrumentSpecs
) -> None:
    # Ten wanted, ten there: the one without margin (990,000 of 100,000) and the one of 96.00 USDT never came to be.
    poor, small = send("limit", BUY, "10.000", "99000.0"), send("limit", BUY, "0.001", "96000.0")
    specs = replace(btc, max_orders=10, min_notional=Decimal(97))
    script: dict[int, list[Act]] = {
        0: [poor, small, many(10, "limit", 97_000)],
        1: [cancel_all, many(10, "limit", 97_000)],
    }
    output = run(make_klines(STEADY * 3), script, specs=specs)
    assert reasons(output) == [filters.NO_MARGIN, filters.NOTIONAL_TOO_SMALL]
    assert len(output.resting) == 20


def test_stop_orders_have_a_lower_limit_of_their_own(run: Run, make_klines: Make, btc: InstrumentSpecs) -> None:
    specs = replace(btc, max_algo_orders=10)
    script = {0: [many(11, "stop_market", 101_000), many(20, "limit", 96_000)]}
    assert reasons(run(make_klines(STEADY * 3), script, specs=specs)) == [filters.MANY_ALGO_ORDERS]
    assert reasons(run(make_klines(STEADY * 3), script, specs=btc)) == []


def test_orders_of_a_refused_list_do_not_count_as_open(run: Run, make_klines: Make, btc: InstrumentSpecs) -> None:
    def bracket(stop: str) -> Act:
        def act(strategy: Any, _bar: Any) -> None:
            orders = strategy.order_factory.bracket(
                instrument_id=strategy.own["instrument_id"],
                order_side=BUY,
                quantity=Quantity.from_str("0.001"),
                tp_price=Price.from_str("104000.0"),
                sl_trigger_price=Price.from_str(stop),
            )
            strategy.submit_order_list(orders)

        return act

    specs = replace(btc, tick_size=Decimal("0.5"), max_algo_orders=2)
    script = {0: [bracket("97000.3")] * 3, 1: [bracket("97000.5")], 2: [bracket("97000.5")]}
    output = run(make_klines(STEADY * 4), script, specs=specs)
    # An exit that is refused takes its entry with it.
    assert reasons(output) == [filters.OFF_TICK] * 3
    assert [denial.entry for denial in output.denials] == [True] * 3
    assert len(output.fills) == 2


def test_a_change_that_breaks_a_filter_is_refused_and_the_order_stays_as_it_was(
    run: Run, make_klines: Make, kit: Any, btc: InstrumentSpecs
) -> None:
    told: list[Any] = []

    class Changing(kit.Scripted):
        def on_order_modify_rejected(self, event: Any) -> None:
            order = self.cache.order(event.client_order_id)
            told.append((event.reason, order.status, str(order.price), str(order.quantity)))

    def change(**fields: Any) -> Act:
        return lambda strategy, _bar: strategy.modify_order(strategy.last, **fields)

    def change_all(strategy: Any, _bar: Any) -> None:
        strategy.modify_orders([(strategy.last, None, Price.from_str("98000.5"), None)])

    script = {
        0: [send("limit", BUY, "0.001", "96000.0")],
        1: [change(price=Price.from_str("105000.5"))],
        2: [change(price=Price.from_str("98000.3")), change(quantity=Quantity.from_str("1000.001"))],
        3: [change(quantity=Quantity.from_str("0.002"))],
        4: [change_all],
        5: [change(price=Price.from_str("100000.0"))],
    }
    source = kit.Source(Changing, {"script": script})
    output = run(make_klines(STEADY * 8), source, specs=replace(btc, tick_size=Decimal("0.5")))
    kept = (OrderStatus.ACCEPTED, "96000.0", "0.001")
    assert told[0] == (filters.FAR_PRICE, *kept)
    assert told[2] == (filters.TOO_LARGE, *kept)
    assert reasons(output)[0] == filters.MODIFICATION + filters.FAR_PRICE
    assert len(output.denials) == 3
    assert not any(denial.entry for denial in output.denials)
    assert [(str(fill.price), str(fill.quantity)) for fill in output.fills] == [("100000.0", "0.002")]


def test_before_the_first_bar_has_closed_its_open_is_the_last_price(
    run: Run, make_klines: Make, kit: Any, btc: InstrumentSpecs
) -> None:
    class Early(kit.Scripted):
        def on_start(self) -> None:
            kit.Scripted.on_start(self)
            send("limit", BUY, "0.001", "105000.1")(self, None)

    output = run(make_klines(STEADY * 3), kit.Source(Early, {"script": {}}), specs=btc)
    assert reasons(output) == [filters.FAR_PRICE]
