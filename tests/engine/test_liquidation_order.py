"""What comes first inside a bar: a resting order or the liquidation. One bracket of 0.4 %, so LP = margin ÷ 0.996."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any, Literal

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nautilus_trader.model import OrderSide

from nt_run.engine.prices import GONE_BY_OPEN
from nt_run.engine.run import EngineOutput
from nt_run.equity import equity_curve
from nt_run.execution import Execution, Slippage
from nt_run.liquidation import MarginPlan
from nt_run.margin import MarginMode, MarginRules, build_brackets
from nt_run.replay import replay
from nt_run.sizing import SizingRules

D = Decimal
Run = Callable[..., EngineOutput]
Make = Callable[..., Any]
RULES = MarginRules(
    symbol="BTCUSDT",
    brackets=build_brackets([(D(0), D(10**10), D("0.004"), D(150))]),
    as_of_ms=0,
    source="test",
)
BALANCE = D(100_000)
FLAT = (100_000, 100_000, 100_000, 100_000, 1)


def rest(kind: str, side: OrderSide, quantity: str, *prices: str) -> Callable[[Any, Any], None]:
    """A reduce-only order that rests at the exchange: `stop_market`, `limit` or `stop_limit`, its trigger last."""

    def act(strategy: Any, _bar: object) -> None:
        make = getattr(strategy.order_factory, kind)
        instrument = strategy.own["instrument_id"]
        levels = [strategy.price(price) for price in prices]
        order = make(instrument, side, strategy.amount(quantity), *levels, reduce_only=True)
        strategy.submit_order(order)

    return act


def followed(leverage: int, mode: MarginMode = "isolated") -> dict[str, Any]:
    return {
        "sizing": SizingRules(leverage=D(leverage)),
        "margin": MarginPlan(mode=mode, rules=RULES, marks=None),
    }


@pytest.mark.parametrize(("mode", "leverage"), [("isolated", 18), ("cross", 18)])
def test_a_stop_beyond_the_liquidation_price_saves_nobody(
    run: Run, make_klines: Make, kit: Any, mode: MarginMode, leverage: int
) -> None:
    # 17.8 BTC at 100,000 at 18 x, margin 98,888.89: liquidated near 94,900, long before the stop at 70,000.
    fall = (100_000, 100_000, 66_700, 95_000, 1)
    script = {0: [kit.buy("17.8")], 1: [rest("stop_market", OrderSide.SELL, "17.8", "70000")]}
    output = run(make_klines([FLAT, FLAT, FLAT, fall, FLAT]), script, **followed(leverage, mode))
    assert [fill.order_type for fill in output.fills] == ["market", "liquidation"]
    assert output.fills[1].price > D(94_000)
    assert output.balance >= 0
    assert output.denials == []


def test_a_stop_before_the_liquidation_price_is_met_first(run: Run, make_klines: Make, kit: Any) -> None:
    # 1 BTC at 10 x: LP = 90,000 ÷ 0.996 = 90,361.45; the stop at 95,000 lies on the way there.
    fall = (100_000, 100_000, 80_000, 85_000, 1)
    script = {0: [kit.buy("1")], 1: [rest("stop_market", OrderSide.SELL, "1", "95000")]}
    output = run(make_klines([FLAT, FLAT, FLAT, fall, FLAT]), script, **followed(10))
    assert [(fill.order_type, fill.price) for fill in output.fills][1:] == [("stop_market", D(95_000))]
    assert not output.liquidations


def test_a_bar_that_opens_beyond_the_liquidation_price_meets_no_stop(run: Run, make_klines: Make, kit: Any) -> None:
    gap = (85_000, 86_000, 84_000, 85_000, 1)
    script = {0: [kit.buy("1")], 1: [rest("stop_market", OrderSide.SELL, "1", "95000")]}
    output = run(make_klines([FLAT, FLAT, FLAT, gap, gap]), script, **followed(10))
    assert [fill.order_type for fill in output.fills] == ["market", "liquidation"]


def test_the_path_meets_the_high_first(run: Run, make_klines: Make, kit: Any) -> None:
    # Open, high, low, close: a long's target above comes before its liquidation below, a short's after it.
    up_and_down = (100_000, 120_000, 80_000, 100_000, 1)
    klines = make_klines([FLAT, FLAT, FLAT, up_and_down, FLAT])
    long = {0: [kit.buy("1")], 1: [rest("limit", OrderSide.SELL, "1", "101000")]}
    output = run(klines, long, **followed(10))
    assert [fill.order_type for fill in output.fills] == ["market", "limit"]
    short = {0: [kit.sell("1")], 1: [rest("limit", OrderSide.BUY, "1", "99000")]}
    output = run(klines, short, **followed(10))
    assert [fill.order_type for fill in output.fills] == ["market", "liquidation"]
    # 110,000 ÷ 1.004 = 109,561.75… → 109,561.8 (up)
    assert output.fills[1].price == D("109561.8")


@pytest.mark.parametrize(
    "bars",
    [
        # Triggered at 105,000 in the bar before, or on the way to the high.
        [(104_000, 106_000, 104_000, 104_000, 1), (104_000, 111_000, 102_000, 104_000, 1)],
        [(104_000, 111_000, 102_000, 104_000, 1)],
    ],
)
def test_a_triggered_limit_is_met_at_its_limit_and_not_at_its_trigger(
    bars: list[tuple[int, ...]], run: Run, make_klines: Make, kit: Any
) -> None:
    # A short of 1 BTC at 10 x: LP = 109,561.75, which the high is beyond; the limit of 103,000 comes after it.
    script = {0: [kit.sell("1")], 1: [rest("stop_limit", OrderSide.BUY, "1", "103000", "105000")]}
    output = run(make_klines([FLAT, FLAT, *bars, FLAT]), script, **followed(10))
    assert [fill.order_type for fill in output.fills] == ["market", "liquidation"]
    # Before the high, the limit is: the bar opens below the trigger, at the limit.
    early = [(104_000, 106_000, 104_000, 104_000, 1), (103_000, 111_000, 102_000, 104_000, 1)]
    output = run(make_klines([FLAT, FLAT, *early, FLAT]), script, **followed(10))
    assert [(fill.order_type, fill.price) for fill in output.fills][1:] == [("stop_limit", D(103_000))]


NEXT_OPEN = Execution(fill="next-open", slippage=Slippage())


@pytest.mark.parametrize("again", ["sell", "buy"])
def test_an_order_behind_a_gap_that_liquidates_meets_the_account_that_is_left(
    run: Run, make_klines: Make, kit: Any, again: str
) -> None:
    # 1 BTC at 10 x: LP = 90,000 ÷ 0.996 = 90,361.45. Sent at a close of 100,000, the order meets 85,000: on the way
    # there the position is gone. Its margin of 10,000 is lost and no more; a sale opens a short, a purchase a long.
    gap = (85_000, 86_000, 84_000, 85_000, 1)
    script = {0: [kit.buy("1")], 2: [getattr(kit, again)("1"), kit.buy("0.2")], 3: [kit.buy("0.5")]}
    klines = make_klines([FLAT, FLAT, FLAT, gap, gap])
    output = run(klines, script, execution=NEXT_OPEN, **followed(10))
    assert [(fill.order_type, fill.side.value, fill.price) for fill in output.fills] == [
        ("market", "buy", D(100_000)),
        ("liquidation", "sell", D("90361.4")),
        ("market", again, D(85_000)),
        ("market", "buy", D(85_000)),
        ("market", "buy", D(85_000)),
    ]
    # Sent at the close of bar 2, and booked there like every order that meets the next open.
    assert {fill.time_ns for fill in output.fills[1:4]} == {klines.close_times()[2] * 1_000_000}
    assert output.denials == []
    # 100,000 − fee of the entry 50 − margin 10,000 − fees of 1.7 BTC at 85,000: 72.25.
    assert output.balance == D("89877.75")


def test_an_order_behind_a_gap_that_liquidates_all_there_is_lacks_margin(run: Run, make_klines: Make, kit: Any) -> None:
    # 9 BTC at 10 x, cross: the balance of 99,550 stands behind them, and is gone near 89,298.
    gap = (85_000, 86_000, 84_000, 85_000, 1)
    script = {0: [kit.buy("9")], 2: [kit.buy("1")]}
    output = run(make_klines([FLAT, FLAT, FLAT, gap, gap]), script, execution=NEXT_OPEN, **followed(10, "cross"))
    assert [fill.order_type for fill in output.fills] == ["market", "liquidation"]
    assert [denial.reason for denial in output.denials] == ["initial margin exceeds free balance"]


def test_what_rests_ends_with_a_position_that_a_gap_liquidates(run: Run, make_klines: Make, kit: Any) -> None:
    gap = (85_000, 86_000, 84_000, 85_000, 1)
    stop, target = rest("stop_market", OrderSide.SELL, "1", "70000"), rest("limit", OrderSide.SELL, "1", "120000")
    script = {0: [kit.buy("1")], 1: [stop], 2: [target, kit.buy("1"), target]}
    output = run(make_klines([FLAT, FLAT, FLAT, gap, gap]), script, execution=NEXT_OPEN, **followed(10))
    assert [order.ended for order in output.resting] == ["cancelled", "cancelled", "rejected"]
    assert [fill.order_type for fill in output.fills] == ["market", "liquidation", "market"]


def test_a_bracket_behind_a_gap_that_liquidates_is_sent_whole(run: Run, make_klines: Make, kit: Any) -> None:
    def bracket(strategy: Any, _bar: object) -> None:
        orders = strategy.order_factory.bracket(
            instrument_id=strategy.own["instrument_id"],
            order_side=OrderSide.BUY,
            quantity=strategy.amount("1"),
            tp_price=strategy.price("110000"),
            sl_trigger_price=strategy.price("80000"),
        )
        strategy.submit_order_list(orders)

    gap = (85_000, 86_000, 84_000, 85_000, 1)
    script = {0: [kit.buy("1")], 2: [bracket]}
    output = run(make_klines([FLAT, FLAT, FLAT, gap, gap]), script, execution=NEXT_OPEN, **followed(10))
    assert [(fill.order_type, fill.price) for fill in output.fills][2:] == [("market", 85_000)]
    assert sorted((order.order_type, order.ended) for order in output.resting) == [
        ("limit", "open"),
        ("stop_market", "open"),
    ]


def test_an_exit_behind_a_gap_that_liquidates_finds_nothing_to_close(run: Run, make_klines: Make, kit: Any) -> None:
    # LP = 110,000 ÷ 1.004 = 109,561.75, up to the tick.
    gap = (115_000, 116_000, 114_000, 115_000, 1)

    def leave(strategy: Any, _bar: object) -> None:
        strategy.close_all_positions(strategy.own["instrument_id"])

    script = {0: [kit.sell("1")], 2: [leave]}
    output = run(make_klines([FLAT, FLAT, FLAT, gap, gap]), script, execution=NEXT_OPEN, **followed(10))
    assert [(fill.order_type, fill.price) for fill in output.fills][1:] == [("liquidation", D("109561.8"))]
    assert [denial.reason for denial in output.denials] == [GONE_BY_OPEN]


def test_a_limit_order_jumped_over_by_a_gap_takes_no_more_than_a_margin(run: Run, make_klines: Make, kit: Any) -> None:
    # A limit to buy at 97,000 rests as the price falls from 100,000 to an open of 90,000, which a sale meets, too:
    # short from 90,000 at 25 x, LP = 93,600 ÷ 1.004 = 93,227. At 97,000 the order would take 7,000 where the margin is
    # 3,600: the position came to be behind the gap, so both meet the open. An order at 92,000 keeps its price.
    gap = (90_000, 90_500, 89_000, 90_000, 1)
    klines = make_klines([FLAT, FLAT, FLAT, gap, gap])
    for limit, price in (("97000", 90_000), ("92000", 92_000)):
        script = {1: [resting_buy(limit)], 2: [kit.sell("1")]}
        output = run(klines, script, execution=NEXT_OPEN, **followed(25))
        assert [(fill.order_type, fill.price) for fill in output.fills] == [("market", 90_000), ("limit", price)]


def resting_buy(price: str) -> Callable[[Any, Any], None]:
    def act(strategy: Any, _bar: object) -> None:
        make, instrument = strategy.order_factory.limit, strategy.own["instrument_id"]
        strategy.submit_order(make(instrument, OrderSide.BUY, strategy.amount("1"), strategy.price(price)))

    return act


def test_an_order_that_meets_its_open_first_is_filled_there(run: Run, make_klines: Make, kit: Any) -> None:
    # The bar goes beyond the liquidation price later, from an open that does not.
    fall = (95_000, 95_000, 84_000, 85_000, 1)
    script = {0: [kit.buy("1")], 2: [kit.sell("1")]}
    output = run(make_klines([FLAT, FLAT, FLAT, fall, fall]), script, execution=NEXT_OPEN, **followed(10))
    assert [(fill.order_type, fill.price) for fill in output.fills][1:] == [("market", D(95_000))]
    assert not output.denials


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(1, 10_000),
    leverage=st.sampled_from([5, 20, 100]),
    fill=st.sampled_from(["close", "next-open"]),
    trades=st.lists(
        st.tuples(
            st.integers(0, 50), st.booleans(), st.integers(1, 8), st.integers(1, 900), st.integers(-25, 25).filter(bool)
        ),
        min_size=1,
        max_size=6,
    ),
)
def test_no_position_loses_more_than_its_margin_across_gaps(
    seed: int,
    leverage: int,
    fill: Literal["close", "next-open"],
    trades: list[tuple[int, bool, int, int, int]],
    run: Run,
    random_market: Make,
    kit: Any,
) -> None:
    klines = random_market(60, seed=seed, sigma=0.003)
    for bar, _, held, _, percent in trades:
        # A gap right behind the order that closes: all prices from there on move by a share of what they are.
        moved = [
            pl.when(pl.int_range(pl.len()) > bar + held)
            .then(pl.col(name) * (100 + percent) // 100)
            .otherwise(pl.col(name))
            for name in ("open", "high", "low", "close")
        ]
        klines = replace(klines, frame=klines.frame.with_columns(moved))
    script: dict[int, list[Any]] = {}
    for bar, buys, held, milli, _ in trades:
        quantity = str(D(milli) / 1000)
        script.setdefault(bar, []).append((kit.buy if buys else kit.sell)(quantity))
        script.setdefault(bar + held, []).append((kit.sell if buys else kit.buy)(quantity))
    execution = Execution(fill=fill, slippage=Slippage())
    output = run(klines, script, execution=execution, **followed(leverage))
    curve = equity_curve(klines, output.fills, output.payments, BALANCE)
    assert curve["equity"].to_numpy().min() > -1e-6
    account = replay(output.fills, output.payments, BALANCE)
    for trade in account.trades:
        # An upper bound of the margin where a position was built in parts: that of all that was ever opened.
        margin = trade.opened_notional / leverage
        entry_fees = trade.opened_notional * D("0.0005")
        if trade.exit_time is not None:
            assert trade.pnl >= -margin - entry_fees - D("0.5"), trade


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(1, 10_000),
    leverage=st.sampled_from([5, 20, 100]),
    mode=st.sampled_from(["isolated", "cross"]),
    entries=st.lists(
        st.tuples(
            st.integers(0, 116),
            st.booleans(),
            st.decimals("0.001", "60", places=3),
            st.sampled_from(["stop_market", "limit"]),
            st.integers(-30, 30).filter(bool),
        ),
        min_size=1,
        max_size=8,
    ),
)
def test_no_resting_order_lets_an_account_fall_below_zero(
    seed: int,
    leverage: int,
    mode: MarginMode,
    entries: list[tuple[int, bool, Decimal, str, int]],
    run: Run,
    random_market: Make,
    kit: Any,
) -> None:
    klines = random_market(120, seed=seed, sigma=0.01)
    closes = klines.column("close")
    script: dict[int, list[Any]] = {}
    for bar, buys, quantity, kind, percent in entries:
        script.setdefault(bar, []).append((kit.buy if buys else kit.sell)(str(quantity)))
        price = f"{closes[bar] * (1 + percent / 100):.1f}"
        away = OrderSide.SELL if buys else OrderSide.BUY
        script.setdefault(bar + 1, []).append(rest(kind, away, str(quantity), price))
    output = run(klines, script, **followed(leverage, mode))
    curve = equity_curve(klines, output.fills, output.payments, BALANCE)
    assert curve["equity"].to_numpy().min() > -1e-6
