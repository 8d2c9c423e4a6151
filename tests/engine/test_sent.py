from collections.abc import Callable
from typing import Any

from nautilus_trader.model import OrderSide
from polars.testing import assert_frame_equal

from nt_run.engine.run import EngineOutput
from nt_run.klines import Klines

type Run = Callable[..., EngineOutput]
type Make = Callable[..., Klines]

STEADY = [(100, 101, 99, 100, 40)]
MINUTE = 60 * 10**9


def rest(strategy: Any, _bar: Any) -> None:
    order = strategy.order_factory.limit(
        strategy.own["instrument_id"], OrderSide.BUY, strategy.amount("2"), strategy.price("90")
    )
    strategy.resting = order.client_order_id
    strategy.submit_order(order)


def move(strategy: Any, _bar: Any) -> None:
    strategy.modify_order(strategy.resting, price=strategy.price("91"))


def withdraw(strategy: Any, _bar: Any) -> None:
    strategy.cancel_order(strategy.resting)


def test_what_a_strategy_asks_for_is_kept_whatever_becomes_of_it(run: Run, make_klines: Make, kit: Any) -> None:
    klines = make_klines(STEADY * 5)
    script = {0: [kit.buy("1")], 1: [rest, kit.sell("5000")], 2: [move], 3: [withdraw]}
    sent = run(klines, script, keep_sent=True).sent
    assert [str(order) for order in sent] == [
        "buy 1 market",
        "buy 2 limit at 90.0",
        "sell 5000 market",
        "modified: buy 2 limit at 91.0",
        "cancelled: buy 2 limit",
    ]
    first = klines.range.start_ms * 10**6 + MINUTE
    assert [order.time_ns for order in sent] == [first + MINUTE * at for at in (0, 1, 1, 2, 3)]


def test_nothing_is_kept_unasked(run: Run, make_klines: Make, kit: Any) -> None:
    assert run(make_klines(STEADY * 2), {0: [kit.buy("1")]}).sent == []


def test_a_strategy_that_asks_for_history_gets_every_kline_of_the_run(run: Run, make_klines: Make, kit: Any) -> None:
    klines = make_klines([*STEADY * 2, (100, 109, 98, "104.3", 40)])
    source = kit.Source(kit.Scripted, {"script": {}}, accepts=frozenset({"instrument_id", "bar_type", "history"}))
    run(klines, source)
    (strategy,) = source.built
    assert_frame_equal(strategy.own["history"], klines.floats())
    run(klines, source, history=make_klines(STEADY))
    assert len(source.built[1].own["history"]) == 1
