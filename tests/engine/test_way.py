"""Orders are matched on the strategy's own bars where that comes to the same, and else on twins of endless volume."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nautilus_trader.model import TimeInForce

from nt_run.engine.run import EngineOutput
from nt_run.engine.way import OrderWatch
from nt_run.execution import PLAIN, Execution, Slippage

D = Decimal
Run = Callable[..., EngineOutput]
Make = Callable[..., Any]


class HurriedOrders(OrderWatch):
    """Takes every run for one with orders that fill at once, so that it is made with twins."""

    def __init__(self) -> None:
        super().__init__()
        self.hurries = True


def bars(volume: str) -> list[tuple[Any, ...]]:
    return [(100, 101, 99, 100 + number % 2, volume) for number in range(8)]


@pytest.mark.parametrize(
    ("volume", "runs"),
    [
        # A quarter of 8 is 2, which is what is bought.
        ("8", 1),
        ("7.996", 2),
        ("0.004", 2),
        # A quarter is no step, so there is nothing to try.
        ("0.003", 1),
        ("0", 1),
    ],
)
def test_an_order_fills_whole_at_the_close_however_small_the_volume(
    volume: str, runs: int, run: Run, make_klines: Make, kit: Any
) -> None:
    source = kit.Source(kit.Scripted, {"script": {2: [kit.buy("2")], 5: [kit.sell("2")]}})
    output = run(make_klines(bars(volume)), source)
    assert [(fill.quantity, fill.price) for fill in output.fills] == [(D(2), D(100)), (D(2), D(101))]
    assert len(source.built) == runs


def test_an_order_that_may_not_rest_fills_whole_too(run: Run, make_klines: Make, kit: Any) -> None:
    def buy(strategy: Any, _bar: Any) -> None:
        terms: Any = {"time_in_force": TimeInForce.FOK}
        order = strategy.order_factory.market(strategy.own["instrument_id"], kit.BUY, strategy.amount("2"), **terms)
        strategy.submit_order(order)

    source = kit.Source(kit.Scripted, {"script": {2: [buy]}})
    (fill,) = run(make_klines(bars("1")), source).fills
    assert (fill.quantity, fill.price, len(source.built)) == (D(2), D(100), 2)


def test_what_is_sent_as_the_run_ends_fills_whole_too(run: Run, make_klines: Make, kit: Any) -> None:
    class Late(kit.Scripted):
        def on_stop(self) -> None:
            kit.buy("2")(self, self.bars[-1])

    source = kit.Source(Late, {"script": {}})
    (fill,) = run(make_klines(bars("1")), source).fills
    assert (fill.quantity, fill.price, len(source.built)) == (D(2), D(101), 2)


EXECUTIONS = st.sampled_from([PLAIN, Execution(fill="next-open"), Execution(slippage=Slippage(ticks=2))])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), execution=EXECUTIONS)
def test_a_run_of_market_orders_comes_to_the_same_with_twins_and_without(
    seed: int, execution: Execution, run: Run, make_klines: Make, kit: Any
) -> None:
    rng = np.random.default_rng(seed)
    least = ("8", "4", "0.005", "0.004", "0.003", "0")[int(rng.integers(6))]
    close, rows = 4000, list[tuple[Any, ...]]()
    for _ in range(40):
        opened = close + int(rng.integers(-20, 21))
        close = opened + int(rng.integers(-30, 31))
        high, low = max(opened, close) + int(rng.integers(0, 9)), min(opened, close) - int(rng.integers(0, 9))
        volume = str(rng.choice([least, "8"], p=[0.05, 0.95]))
        rows.append((*(D(price) / 10 for price in (opened, high, low, close)), volume))

    def close_all(strategy: Any, _bar: Any) -> None:
        strategy.close_all_positions(strategy.own["instrument_id"])

    script: dict[int, list[Any]] = {}
    for bar in np.flatnonzero(rng.random(40) < 0.4).tolist():
        amounts = [str(D(int(each)) / 1000) for each in rng.integers(1, 2_100, int(rng.integers(1, 4)))]
        script[bar] = [
            close_all if rng.random() < 0.2 else (kit.buy if rng.random() < 0.5 else kit.sell)(each) for each in amounts
        ]
    changes: dict[str, Any] = {"execution": execution, "funding": [kit.rate("0.0003", "400", kit.SLOT)]}
    source = kit.Source(kit.Scripted, {"script": script})
    output = run(make_klines(rows), source, **changes)
    with patch("nt_run.engine.way.OrderWatch", HurriedOrders):
        assert output == run(make_klines(rows), {**script}, **changes)
