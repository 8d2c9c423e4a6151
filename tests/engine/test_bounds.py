"""That the bounds of a trade hold what its orders would have met on another way through its bars, to the end."""

import random
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nautilus_trader.model import OrderSide, OrderType, TrailingOffsetType, TriggerType

from nt_run.engine.run import EngineOutput
from nt_run.execution import PLAIN, Execution, Slippage
from nt_run.klines import Klines
from nt_run.matching import match_bars
from nt_run.model import Fees, Interval, TimeRange, parse_time
from nt_run.outcomes import Costs
from nt_run.quality import aggregate
from nt_run.specs import InstrumentSpecs

type Act = Callable[[Any, Any], None]
type Script = Mapping[int, Sequence[Act]]
type Make = Callable[..., Klines]

D = Decimal
AWAY = {OrderSide.BUY: OrderSide.SELL, OrderSide.SELL: OrderSide.BUY}
STEADY = [(100, 101, 99, 100, 40)]


def leave(strategy: Any, _bar: Any) -> None:
    """Cancel what rests and close the position at market."""
    strategy.cancel_all_orders(strategy.own["instrument_id"])
    strategy.close_all_positions(strategy.own["instrument_id"])


def bracket(
    side: OrderSide,
    target: Decimal,
    stop: Decimal,
    *,
    quantity: str = "10",
    kind: OrderType = OrderType.LIMIT,
    entry: Decimal | None = None,
) -> Act:
    """A bracket whose entry is at market, or a limit or an order of another `kind` at the price `entry`."""

    def act(strategy: Any, _bar: Any) -> None:
        more: dict[str, Any] = {}
        if entry is not None:
            name = "entry_price" if kind == OrderType.LIMIT else "entry_trigger_price"
            more = {"entry_order_type": kind, name: strategy.price(str(entry))}
        orders = strategy.order_factory.bracket(
            instrument_id=strategy.own["instrument_id"],
            order_side=side,
            quantity=strategy.amount(quantity),
            tp_price=strategy.price(str(target)),
            sl_trigger_price=strategy.price(str(stop)),
            **more,
        )
        strategy.submit_order_list(orders)

    return act


def trail(side: OrderSide, trigger: Decimal, offset: Decimal, unit: str = "PRICE", quantity: str = "10") -> Act:
    def act(strategy: Any, _bar: Any) -> None:
        order = strategy.order_factory.trailing_stop_market(
            strategy.own["instrument_id"],
            side,
            strategy.amount(quantity),
            trailing_offset=offset,
            trailing_offset_type=getattr(TrailingOffsetType, unit),
            trigger_price=strategy.price(str(trigger)),
            trigger_type=TriggerType.LAST_PRICE,
            reduce_only=True,
        )
        strategy.submit_order(order)

    return act


def target(side: OrderSide, price: Decimal, quantity: str) -> Act:
    def act(strategy: Any, _bar: Any) -> None:
        own, amount = strategy.own["instrument_id"], strategy.amount(quantity)
        strategy.submit_order(
            strategy.order_factory.limit(own, side, amount, strategy.price(str(price)), reduce_only=True)
        )

    return act


@pytest.fixture
def bounds(
    run: Callable[..., EngineOutput], btc: InstrumentSpecs, fees: Fees, kit: Any
) -> Callable[..., tuple[Decimal, Decimal, Decimal]]:
    """Run a script and return the worst, the booked and the best PnL: maker 0.02 %, taker 0.05 %, a tick of 0.1."""

    def go(
        klines: Klines, script: Script, execution: Execution = PLAIN, fine: Klines | None = None
    ) -> tuple[Decimal, Decimal, Decimal]:
        output = run(klines, script, execution=execution, fine=fine)
        costs = Costs(fees=fees, execution=execution, tick=btc.tick_size)
        found = kit.ambiguities(output, match_bars(klines, fine), costs)
        made = kit.equity_of(output, klines, D(0))
        return made + sum((each.worst for each in found), D(0)), made, made + sum((each.best for each in found), D(0))

    return go


UP_OR_DOWN_FIRST = (100, 103, 98, 101, 40)
SHORT = bracket(OrderSide.SELL, D("98.5"), D(110), entry=D(102))
"""Sells 10 at 102; buys back at 98.5, or at 110."""
REACHES_THE_TARGET = ("102.3", "102.4", 98, 99, 40)


def test_an_entry_whose_target_may_have_come_before_is_followed_as_long_as_the_strategy_may_hold_it(
    bounds: Any, make_klines: Make
) -> None:
    # Booked: up to 102, then down to 98.5. 10 × 3.5, less 10 × 102 × 0.0002 and 10 × 98.5 × 0.0002: 34.599.
    # With the low first the short is open at the close of 101, and at that of 102; the target comes a bar later. Left
    # at market before, it has 10 × (102 − 102), less 0.204 and 10 × 102 × 0.0005: −0.714 at the worst.
    rows = [*STEADY * 2, UP_OR_DOWN_FIRST, (101, "102.5", "100.5", 102, 40), REACHES_THE_TARGET, *STEADY]
    assert bounds(make_klines(rows), {1: [SHORT], 3: [leave]}) == (D("-0.714"), D("34.599"), D("34.599"))
    # The next open is 102.3: 10 × (102 − 102.3), less 0.204 and 0.5115.
    found = bounds(make_klines(rows), {1: [SHORT], 3: [leave]}, Execution(fill="next-open"))
    assert found == (D("-3.7155"), D("34.599"), D("34.599"))


def test_what_the_strategy_may_have_left_at_market_counts_up_to_its_next_entry(
    bounds: Any, make_klines: Make, kit: Any
) -> None:
    # As above, with a close of 104 before the target is reached. Left there: 10 × (102 − 104) − 0.204 − 0.52 = −20.724
    rows = [
        *STEADY * 2,
        UP_OR_DOWN_FIRST,
        (101, "102.5", "100.5", 102, 40),
        (102, 104, 102, 104, 40),
        (104, 104, 98, 100, 40),
    ]
    klines = make_klines(rows)
    assert bounds(klines, {1: [SHORT]})[0] == D("-20.724")
    # The run's next entry is at the close of 102: the 2 bought there end at 100, −4 and 0.102 of fee.
    worst, booked, _best = bounds(klines, {1: [SHORT], 3: [kit.buy("2")]})
    assert (worst, booked) == (D("-0.714") + D("-4.102"), D("34.599") + D("-4.102"))


def test_inside_a_bar_of_the_run_the_strategy_leaves_nothing_at_market(bounds: Any, make_klines: Make) -> None:
    # The first of the five minutes does not tell. It closes at 101, the second at 104; the run's bars at 101 and 102.
    rows = [*STEADY * 2, (100, 104, 98, 101, 40), (101, "102.5", "100.5", 102, 40), REACHES_THE_TARGET]
    klines = make_klines(rows, interval="5m")
    minutes = [(100, 103, 98, 101, 8), (101, 104, 101, 104, 8), (104, 104, 101, 101, 8), *[(101, 101, 101, 101, 8)] * 2]
    fine = make_klines(minutes, start=int(klines.open_times()[2]), interval="1m")
    assert bounds(klines, {1: [SHORT]}, fine=fine) == (D("-0.714"), D("34.599"), D("34.599"))


def test_a_trailing_stop_that_its_bar_may_have_spared_rides_on(bounds: Any, make_klines: Make, kit: Any) -> None:
    # Long 10 from 100, with 0.5 of fee; the stop, two behind, begins at 98. Up to 103.5 first it is at 101.5, and the
    # low of 100.5 fills it there: 15 − 0.5 − 0.5075. Down first it stays, and rests at 101.5.
    # The worst in that bar: at the low of 100.5, 5 − 0.5 − 0.5025.
    # Later the high of 107 brings it to 105, which the bar after that, at 104, does not spare: 50 − 0.5 − 0.525.
    # Left at market before, at the close of 106.8, it is 68 − 0.5 − 0.534.
    spared = (100, "103.5", "100.5", 103, 4)
    script = {1: [kit.buy("10"), trail(OrderSide.SELL, D(98), D(2))]}
    rides = [(103, 107, 103, "106.8", 4), ("106.8", "106.8", 104, 104, 4)]
    found = bounds(make_klines([*STEADY * 2, spared, *rides]), script)
    assert found == (D("3.9975"), D("13.9925"), D("66.966"))
    # Where the bar up to 107 closes at 104, it stops there: at 105, or at 103 had the low come before the high.
    falls = [(103, 107, 102, 104, 4), *STEADY]
    found = bounds(make_klines([*STEADY * 2, spared, *falls]), script)
    assert found == (D("3.9975"), D("13.9925"), D("48.975"))


def test_a_trailing_stop_may_ride_to_the_end_of_the_run(bounds: Any, make_klines: Make, kit: Any) -> None:
    # As above; at the last close of 105.5 it is still there: 55 − 0.5.
    rows = [*STEADY * 2, (100, "103.5", "100.5", 103, 4), (103, "105.5", 103, "105.5", 4)]
    worst, _booked, best = bounds(make_klines(rows), {1: [kit.buy("10"), trail(OrderSide.SELL, D(98), D(2))]})
    assert (worst, best) == (D("3.9975"), D("54.5"))


def drawn(draws: random.Random, close: Decimal, kit: Any) -> list[Act]:
    """Draw a trade of 1: a bracket, entered at market or by an order that rests, or a trailing stop."""
    side = draws.choice([OrderSide.BUY, OrderSide.SELL])
    sign = 1 if side == OrderSide.BUY else -1
    entry, stop, goal = (sign * D(draws.randrange(1, 150)) for _ in range(3))
    kind = draws.choice(["market", OrderType.LIMIT, OrderType.MARKET_IF_TOUCHED, "trail", "trail and target"])
    if kind == "market":
        return [bracket(side, close + goal, close - stop, quantity="1")]
    if isinstance(kind, OrderType):
        base = close - entry
        return [bracket(side, base + goal, base - stop, quantity="1", kind=kind, entry=base)]
    # Never half a tick: the engine's floats round that either way.
    units = {"PRICE": abs(stop), "TICKS": 10 * abs(stop), "BASIS_POINTS": abs(stop) / 4 + D("0.013")}
    unit = draws.choice(sorted(units))
    acts = [(kit.buy if sign > 0 else kit.sell)("1"), trail(AWAY[side], close - stop, units[unit], unit, "1")]
    return [*acts, target(AWAY[side], close + goal, "1")] if kind == "trail and target" else acts


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), slips=st.integers(0, 3), ahead=st.booleans())
def test_what_a_trade_makes_in_one_minute_bars_lies_within_its_bounds_in_longer_ones(
    seed: int, slips: int, ahead: bool, bounds: Any, random_market: Make, kit: Any
) -> None:
    draws = random.Random(seed)
    minutes = random_market(75, seed % 100_000, sigma=draws.choice([0.0005, 0.001, 0.002]))
    klines = aggregate(minutes, Interval("5m"))
    close = D(int(klines.frame["close"][1])) / 10
    script = {1: drawn(draws, close, kit), draws.randrange(2, 14): [leave]}
    execution = Execution(fill="next-open" if ahead else "close", slippage=Slippage(ticks=slips))
    worst, booked, best = bounds(klines, script, execution)
    assert worst <= booked <= best
    assert worst <= bounds(klines, script, execution, minutes)[1] <= best


def recorded_trades() -> list[Any]:
    """Return trades of BTCUSDT in May 2025, the first two where another bar than the entry's decides."""
    short = bracket(OrderSide.SELL, D("103251.5"), D(104_500), quantity="0.1", entry=D("103559.4"))
    rides = trail(OrderSide.SELL, D("103595.2"), D("311.4"), quantity="0.1")
    return [
        pytest.param("2025-05-17", 2, [short], 4, id="entered after its target"),
        pytest.param("2025-05-12", 5, ["buy", rides], 23, id="spared by its bar"),
        *(pytest.param(f"2025-05-{day:02}", 0, None, 22, id=f"drawn on day {day}") for day in range(5, 17)),
    ]


@pytest.mark.parametrize(("day", "number", "acts", "left"), recorded_trades())
def test_recorded_minutes_lie_within_the_bounds_of_the_hours(
    day: str, number: int, acts: list[Any] | None, left: int, recorded_klines: Any, bounds: Any, kit: Any
) -> None:
    start = parse_time(f"{day}T00:00:00Z")
    minutes = recorded_klines("BTCUSDT-1m-2025-05", "1m").within(TimeRange(start, start + 24 * 60 * 60_000))
    klines = aggregate(minutes, Interval("1h"))
    if acts is None:
        close = D(int(klines.frame["close"][number])).scaleb(-klines.exponents.price)
        script = {number: drawn(random.Random(day), close, kit), left: [leave]}
    else:
        script = {number: [kit.buy("0.1") if act == "buy" else act for act in acts], left: [leave]}
    worst, booked, best = bounds(klines, script)
    truth = bounds(klines, script, fine=minutes)[1]
    assert worst <= min(booked, truth)
    assert max(booked, truth) <= best
