from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from nautilus_trader.model import OrderSide, OrderStatus

from nt_run.engine.run import EngineOutput
from nt_run.filters import MARKET_TOO_LARGE
from nt_run.klines import Klines
from nt_run.specs import InstrumentSpecs

type Run = Callable[..., EngineOutput]
type Make = Callable[..., Klines]

STEADY = [(100, 101, 99, 100, 40)]
WHY = "protection: not now"


def no_buys(_strategy: Any, order: Any) -> str | None:
    return WHY if order.side == OrderSide.BUY else None


def listening(kit: Any) -> type:
    """A strategy that, told of a refusal, looks into its cache and portfolio."""

    class Listening(kit.Scripted):
        def on_order_denied(self, event: Any) -> None:
            status = self.cache.order(event.client_order_id).status
            self.own["told"].append((event.reason, status, self.portfolio.net_position(event.instrument_id)))

        def on_order_event(self, event: Any) -> None:
            self.own["events"].append(type(event).__name__)

    return Listening


def test_a_refused_order_ends_denied_and_the_strategy_is_told_why(run: Run, make_klines: Make, kit: Any) -> None:
    told: list[Any] = []
    events: list[str] = []
    source = kit.Source(
        listening(kit), {"script": {0: [kit.sell("3")], 1: [kit.buy("1")]}, "told": told} | {"events": events}
    )
    output = run(make_klines(STEADY * 3), source, gates=[no_buys])
    assert told == [(WHY, OrderStatus.DENIED, Decimal(-3))]
    assert events[-2:] == ["OrderInitialized", "OrderDenied"]
    assert [(denial.reason, denial.time_ns) for denial in output.denials] == [(WHY, kit.SLOT * 10**6 - 60 * 10**9)]
    assert [fill.quantity for fill in output.fills] == [3]


def test_an_order_list_is_refused_with_its_entry(run: Run, make_klines: Make, kit: Any) -> None:
    def bracket(strategy: Any, _bar: Any) -> None:
        strategy.submit_order_list(
            strategy.order_factory.bracket(
                instrument_id=strategy.own["instrument_id"],
                order_side=OrderSide.BUY,
                quantity=strategy.amount("10"),
                tp_price=strategy.price("105"),
                sl_trigger_price=strategy.price("95"),
            )
        )

    # Both levels are crossed later: an orphan would open a position.
    output = run(make_klines([*STEADY * 2, (100, 120, 80, 100, 40)]), {0: [bracket]}, gates=[no_buys])
    assert output.fills == []
    assert [denial.reason for denial in output.denials] == [WHY]


def orders_of_all_types(strategy: Any, _bar: Any) -> None:
    make, at = strategy.order_factory, strategy.price
    common = (strategy.own["instrument_id"], OrderSide.BUY, strategy.amount("2"))
    trail = {"trailing_offset": Decimal(1), "trigger_price": at("103")}
    for order in (
        make.market(*common),
        make.limit(*common, at("98")),
        make.stop_market(*common, at("103")),
        make.stop_limit(*common, at("104"), at("103")),
        make.market_if_touched(*common, at("98")),
        make.limit_if_touched(*common, at("98"), at("97")),
        make.market_to_limit(*common),
        make.trailing_stop_market(*common, **trail),
        make.trailing_stop_limit(*common, **trail, price=at("104"), limit_offset=Decimal(1)),
    ):
        strategy.submit_order(order)


def test_orders_of_every_type_can_be_refused(run: Run, make_klines: Make, kit: Any) -> None:
    klines = make_klines([*STEADY * 2, (100, 120, 80, 100, 40)])
    refused = run(klines, {0: [orders_of_all_types]}, gates=[no_buys])
    assert [denial.reason for denial in refused.denials] == [WHY] * 9
    assert refused.fills == []
    assert len(run(klines, {0: [orders_of_all_types]}, gates=[lambda *_: None]).fills) == 9


def test_gates_are_asked_in_turn(run: Run, make_klines: Make, kit: Any) -> None:
    def second(_strategy: Any, order: Any) -> str | None:
        return "too large" if order.quantity.as_decimal() > 5 else None

    script = {0: [kit.sell("3")], 1: [kit.sell("9"), kit.buy("9")]}
    output = run(make_klines(STEADY * 4), script, gates=[no_buys, second])
    assert [denial.reason for denial in output.denials] == ["too large", WHY]
    assert [(fill.side.value, fill.quantity) for fill in output.fills] == [("sell", 3)]


def close_all(strategy: Any, _bar: Any) -> None:
    strategy.close_all_positions(strategy.own["instrument_id"])


def close_each(strategy: Any, _bar: Any) -> None:
    for position in strategy.cache.positions():
        strategy.close_position(position, tags=["mine"])


def leave(strategy: Any, _bar: Any) -> None:
    strategy.market_exit()


@pytest.mark.parametrize("close", [close_all, close_each, leave])
def test_what_closes_a_position_passes_the_gates_too(close: Any, run: Run, make_klines: Make, kit: Any) -> None:
    asked: list[Any] = []

    def once(_strategy: Any, order: Any) -> str | None:
        if order.side == OrderSide.SELL:
            return None
        asked.append((order.is_reduce_only, order.quantity.as_decimal()))
        return WHY if len(asked) == 1 else None

    script = {0: [kit.sell("3")], 1: [close], 2: [close]}
    output = run(make_klines(STEADY * 5), script, gates=[once])
    assert set(asked) == {(True, 3)}
    if close is not leave:
        assert [(denial.reason, denial.entry) for denial in output.denials] == [(WHY, False)]
        assert len(asked) == 2
    assert [(fill.side.value, fill.quantity) for fill in output.fills] == [("sell", 3), ("buy", 3)]


@pytest.mark.parametrize("name", ["submit_order", "close_position", "close_all_positions", "market_exit"])
def test_a_strategy_with_a_method_of_its_own_passes_the_gates_by_its_super_call(
    name: str, run: Run, make_klines: Make, kit: Any
) -> None:
    def passed_on(strategy: Any, *args: Any, **kwargs: Any) -> None:
        strategy.own["called"].append(name)
        getattr(super(own, strategy), name)(*args, **kwargs)

    own: Any = type("Own", (kit.Scripted,), {name: passed_on})
    ways = {"close_position": close_each, "close_all_positions": close_all, "market_exit": leave}
    called: list[str] = []
    script = {0: [kit.sell("3")], 1: [ways.get(name, kit.buy("3"))]}
    output = run(make_klines(STEADY * 4), kit.Source(own, {"script": script, "called": called}), gates=[no_buys])
    assert called == [name] * (2 if name == "submit_order" else 1)
    assert [denial.reason for denial in output.denials] == [WHY]
    assert [fill.side.value for fill in output.fills] == ["sell"]


def test_an_exit_at_the_market_that_is_refused_is_counted_and_leaves_the_position(
    run: Run, make_klines: Make, kit: Any
) -> None:
    output = run(make_klines(STEADY * 5), {0: [kit.sell("3")], 1: [leave]}, gates=[no_buys])
    assert [(denial.reason, denial.entry) for denial in output.denials] == [(WHY, False)]
    assert [fill.quantity for fill in output.fills] == [3]


def test_a_position_above_the_largest_market_order_cannot_be_closed_with_one(
    btc: InstrumentSpecs, run: Run, make_klines: Make, kit: Any
) -> None:
    # Two entries of 4 where a market order may have 5: the exchange refuses one of 8, and takes two.
    specs = replace(btc, market_max_quantity=Decimal(5), min_price=None, price_multiplier_down=None)
    script = {0: [kit.sell("4")], 1: [kit.sell("4")], 2: [close_all], 3: [kit.buy("4"), kit.buy("4")], 4: [close_all]}
    output = run(make_klines(STEADY * 6), script, specs=specs)
    assert [denial.reason for denial in output.denials] == [MARKET_TOO_LARGE]
    assert [(fill.side.value, fill.quantity) for fill in output.fills] == [("sell", 4)] * 2 + [("buy", 4)] * 2


def test_a_refusal_leaves_nothing_on_the_strategy(run: Run, make_klines: Make, kit: Any) -> None:
    source = kit.Source(listening(kit), {"script": {0: [kit.buy("1")]}, "told": [], "events": []})
    run(make_klines(STEADY * 2), source, gates=[no_buys])
    (strategy,) = source.built
    assert not {"_refusals", "on_order_denied", "on_order_event"} & vars(strategy).keys()
    assert type(strategy) is source.cls


def test_what_a_gate_raises_ends_the_run(run: Run, make_klines: Make, kit: Any) -> None:
    def broken(_strategy: Any, _order: Any) -> str | None:
        raise KeyError("rule")

    with pytest.raises(Exception, match="rule"):
        run(make_klines(STEADY * 2), {0: [kit.buy("1")]}, gates=[broken])
