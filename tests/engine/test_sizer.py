# pyright: reportUnknownMemberType=false
# Classes are made on one that a fixture hands over.

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nautilus_trader.indicators import SimpleMovingAverage
from nautilus_trader.model import Bar, BarType, OrderSide, Price

from nt_run.engine.estimator import Estimator
from nt_run.engine.run import EngineOutput
from nt_run.engine.sizer import EntrySizer
from nt_run.errors import SizingError, UsageError
from nt_run.klines import Klines
from nt_run.model import Fees, Interval, Side
from nt_run.sizing import BelowMinimumError, SizingRules, loss_per_unit
from nt_run.specs import InstrumentSpecs
from nt_run.strategies.resolver import check_params, resolve_strategy

type Run = Callable[..., EngineOutput]
type Make = Callable[..., Klines]

ACCEPTS = frozenset({"instrument_id", "bar_type", "sizer"})


@pytest.fixture
def sizer(btc: InstrumentSpecs, fees: Fees) -> Callable[..., EntrySizer]:
    def make(**rules: Any) -> EntrySizer:
        given_rules = SizingRules(**rules)
        return EntrySizer(
            given_rules,
            btc,
            fees,
            balance=Decimal(10_000),
            first_open=Decimal("119500.0"),
            precisions=(1, 3),
            estimator=Estimator(given_rules, Interval("1m")),
        )

    return make


def price(text: str) -> Price:
    return Price.from_str(text)


def test_notional_rules_ask_for_no_stop(sizer: Callable[..., EntrySizer]) -> None:
    assert sizer().stop_price(OrderSide.BUY, price("100.0")) is None


def test_a_stop_distance_is_rounded_towards_the_price(sizer: Callable[..., EntrySizer]) -> None:
    asked = sizer(method="stop", stop_distance=Decimal("0.0123"))
    # 100.1 × (1 − 0.0123) = 98.86877 and 100.1 × (1 + 0.0123) = 101.33123
    assert str(asked.stop_price(OrderSide.BUY, price("100.1"))) == "98.9"
    assert str(asked.stop_price(OrderSide.SELL, price("100.1"))) == "101.3"


def test_a_stop_is_at_least_one_tick_away_and_above_zero(sizer: Callable[..., EntrySizer]) -> None:
    near = sizer(method="stop", stop_distance=Decimal("0.000001"))
    assert str(near.stop_price(OrderSide.BUY, price("100.1"))) == "100.0"
    assert str(near.stop_price(OrderSide.SELL, price("100.1"))) == "100.2"
    far = sizer(method="stop", stop_distance=Decimal(2))
    assert str(far.stop_price(OrderSide.BUY, price("100.1"))) == "0.1"


def test_the_worked_example_of_a_fixed_size(sizer: Callable[..., EntrySizer]) -> None:
    # 10,000 × 0.02 ÷ 119,500 = 0.00167 → 0.002 BTC, 239 USDT, 2.39 %
    fixed = sizer(compound=False)
    assert fixed.trade_size() == Decimal("0.002")
    assert str(fixed.quantity(price("250000.0"))) == "0.002"
    assert fixed.record.first is not None
    assert (fixed.record.first.notional, fixed.record.first.actual_share) == (239, Decimal("0.0239"))


def test_asking_before_the_run_is_an_error_that_says_so(sizer: Callable[..., EntrySizer]) -> None:
    with pytest.raises(SizingError, match="on_bar"):
        sizer().quantity(price("100.0"))


class Asking:
    """What a scripted strategy asks its sizer for, and what it got."""

    def __init__(self) -> None:
        self.answers: list[Any] = []

    def __call__(self, strategy: Any, bar: Bar) -> None:
        stop = strategy.own["sizer"].stop_price(OrderSide.BUY, bar.close)
        quantity = strategy.own["sizer"].quantity(bar.close, stop)
        self.answers.append((stop and str(stop), quantity and str(quantity)))


STEADY = [(1000, 1010, 990, 1000, 40)]


def test_equity_includes_what_is_open_at_the_entry_price(run: Run, make_klines: Make, kit: Any) -> None:
    ask = Asking()
    rows = [*STEADY, (1000, 1100, 1000, 1100, 9), *STEADY]
    klines = make_klines([(*row[:4], 200) for row in rows])
    source = kit.Source(kit.Scripted, {"script": {0: [kit.buy("50")], 1: [ask]}}, ACCEPTS)
    output = run(klines, source, sizing=SizingRules(fraction=Decimal("0.1")))
    # 100,000 − 25 fee + 50 × 100 − 27.50 to close = 104,947.50; a tenth of it at 1,100 is 9.5407
    assert ask.answers == [(None, "9.541")]
    assert output.sizing.first is not None
    assert output.sizing.first.equity == Decimal("104947.5")


def test_equity_is_not_valued_at_the_last_settlements_mark_price(run: Run, make_klines: Make, kit: Any) -> None:
    ask = Asking()
    klines = make_klines(STEADY * 4, start=kit.SLOT - 2 * 60_000)
    source = kit.Source(kit.Scripted, {"script": {0: [kit.buy("50")], 2: [ask]}}, ACCEPTS)
    output = run(klines, source, funding=[kit.rate("0", "1234.5")], sizing=SizingRules(fraction=Decimal("0.1")))
    assert output.sizing.first is not None
    # 100,000 less 25 to open and 25 to close
    assert output.sizing.first.equity == 99_950


def test_atr_sizing_waits_for_its_bars_and_counts_the_wait(run: Run, make_klines: Make, kit: Any) -> None:
    ask = Asking()
    source = kit.Source(kit.Scripted, {"script": {number: [ask] for number in range(4)}}, ACCEPTS)
    rules = SizingRules(method="atr", atr_period=3, atr_multiple=Decimal(2), fraction=Decimal("0.01"))
    output = run(make_klines(STEADY * 5), source, sizing=rules)
    # Every true range is 20, so the stop is 40 below; a unit loses 40 + 1,960 × 0.0005 = 40.98 of 1,000 at risk.
    assert ask.answers == [(None, None), (None, None), ("960.0", "24.402"), ("960.0", "24.402")]
    assert [denial.reason for denial in output.denials] == ["sizing: the ATR has not seen enough bars"] * 2


def test_an_atr_that_can_never_be_warm_is_refused_before_the_run(run: Run, make_klines: Make, kit: Any) -> None:
    source = kit.Source(kit.Scripted, {"script": {0: [Asking()]}}, ACCEPTS)
    with pytest.raises(UsageError, match="the ATR needs 6 bars, the range has 5"):
        run(make_klines(STEADY * 5), source, sizing=SizingRules(method="atr", atr_period=6))
    assert run(make_klines(STEADY * 5), source, sizing=SizingRules(method="atr", atr_period=5)).denials


def test_the_atr_of_the_sizing_does_not_delay_the_strategys_own_warm_up(run: Run, make_klines: Make, kit: Any) -> None:
    warm: list[bool] = []

    class Averaging(kit.Scripted):
        def on_start(self) -> None:
            super().on_start()
            self.register_indicator_for_bars(self.own["bar_type"], SimpleMovingAverage(2))

        def on_bar(self, bar: Bar) -> None:
            super().on_bar(bar)
            warm.append(self.indicators_initialized())

    ask = Asking()
    source = kit.Source(Averaging, {"script": {1: [ask], 3: [ask]}}, ACCEPTS)
    rules = SizingRules(method="atr", atr_period=4, fraction=Decimal("0.01"))
    output = run(make_klines(STEADY * 4), source, sizing=rules)
    assert warm == [False, True, True, True]
    assert ask.answers == [(None, None), ("960.0", "24.402")]
    assert [denial.reason for denial in output.denials] == ["sizing: the ATR has not seen enough bars"]


def test_the_atr_follows_the_runs_bars_only(run: Run, make_klines: Make, kit: Any) -> None:
    class Two(kit.Scripted):
        def on_start(self) -> None:
            self.subscribe_bars(BarType.from_str("BTCUSDT-PERP.BINANCE-2-MINUTE-LAST-INTERNAL@1-MINUTE-EXTERNAL"))
            super().on_start()

    rows = [(1000, 1010, 990, 1000, 40), (1000, 1005, 995, 1000, 40)] * 4
    asked, both = Asking(), Asking()
    rules = SizingRules(method="atr", atr_period=2, fraction=Decimal("0.01"))
    run(make_klines(rows), kit.Source(kit.Scripted, {"script": {7: [asked]}}, ACCEPTS), sizing=rules)
    # With four longer bars the eighth bar is the eleventh or twelfth that on_bar is given.
    run(make_klines(rows), kit.Source(Two, {"script": {10: [both]}}, ACCEPTS), sizing=rules)
    assert both.answers == asked.answers


def test_the_first_size_below_the_minimum_ends_the_run(run: Run, make_klines: Make, kit: Any) -> None:
    source = kit.Source(kit.Scripted, {"script": {1: [Asking()]}}, ACCEPTS)
    with pytest.raises(BelowMinimumError, match="--balance"):
        run(make_klines(STEADY * 3), source, balance=Decimal(100))


def test_a_later_size_below_the_minimum_is_counted(run: Run, make_klines: Make, kit: Any) -> None:
    ask = Asking()
    # 2,600 × 0.02 = 52 just passes the minimum of 50; after a loss of 200 it is 48 and does not.
    script = {0: [ask, kit.buy("2")], 1: [kit.sell("2"), ask]}
    klines = make_klines([*STEADY, (1000, 1000, 900, 900, 9), *STEADY])
    output = run(klines, kit.Source(kit.Scripted, {"script": script}, ACCEPTS), balance=Decimal(2_600))
    assert ask.answers == [(None, "0.052"), (None, None)]
    assert [denial.reason for denial in output.denials] == ["sizing: below min notional 50 USDT"]


def test_a_strategy_that_takes_only_a_trade_size_gets_it(run: Run, make_klines: Make, kit: Any) -> None:
    source = kit.Source(kit.Scripted, {"script": {}}, frozenset({"instrument_id", "bar_type", "trade_size"}))
    run(make_klines(STEADY * 2), source)
    assert source.built[0].own["trade_size"] == 2
    assert "sizer" not in source.built[0].own


def test_the_record_keeps_first_largest_and_cuts(run: Run, make_klines: Make, kit: Any) -> None:
    ask = Asking()
    klines = make_klines([*STEADY, (1000, 1010, 990, "1000.7", 9), *STEADY])
    source = kit.Source(kit.Scripted, {"script": {number: [ask] for number in range(3)}}, ACCEPTS)
    rules = SizingRules(fraction=Decimal(3), leverage=Decimal(2))
    record = run(klines, source, sizing=rules, balance=Decimal(10_000)).sizing
    assert record.first is not None
    assert record.largest is not None
    assert record.first.price == 1000
    assert record.entries == 3
    assert record.capped == {"leverage": 3}
    assert record.largest.actual_share >= record.first.actual_share


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    entry=st.integers(5_000, 2_000_000),
    distance=st.decimals("0.0001", "0.5", places=4),
    fraction=st.decimals("0.001", "0.1", places=3),
    long=st.booleans(),
)
def test_the_loss_at_the_rounded_stop_never_exceeds_what_was_asked(
    entry: int, distance: Decimal, fraction: Decimal, long: bool, btc: InstrumentSpecs, fees: Fees
) -> None:
    rules = SizingRules(method="stop", fraction=fraction, stop_distance=distance, leverage=Decimal(20), compound=False)
    balance = Decimal(1_000_000)
    estimator = Estimator(rules, Interval("1m"))
    asked = EntrySizer(rules, btc, fees, balance=balance, first_open=Decimal(1), precisions=(1, 3), estimator=estimator)
    at = Price.from_decimal_dp(Decimal(entry) / 10, 1)
    stop = asked.stop_price(OrderSide.BUY if long else OrderSide.SELL, at)
    quantity = asked.quantity(at, stop)
    assert stop is not None
    assert quantity is not None
    first, last, held = at.as_decimal(), stop.as_decimal(), quantity.as_decimal()
    loss = held * (abs(first - last) + (first + last) * fees.taker)
    assert 0 < loss <= balance * fraction


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10_000),
    fraction=st.decimals("0.001", "0.05", places=3),
    periods=st.sampled_from([(2, 4), (3, 9), (10, 21)]),
)
def test_no_stopped_trade_loses_more_than_the_asked_fraction_of_the_balance_at_its_entry(
    seed: int, fraction: Decimal, periods: tuple[int, int], run: Run, random_market: Make
) -> None:
    rules = SizingRules(method="stop", fraction=fraction, stop_distance=Decimal("0.004"), leverage=Decimal(50))
    strategy = resolve_strategy("ema_cross")
    params = check_params(strategy, {"fast": periods[0], "slow": periods[1]})
    output = run(random_market(400, seed, sigma=0.003), strategy, params=params, sizing=rules)
    cash, stopped = Decimal(100_000), 0
    pairs = list(zip(output.fills[::2], output.fills[1::2], strict=False))
    for entry, leave in pairs:
        gain = leave.side.sign * leave.quantity * (entry.price - leave.price) - entry.fee - leave.fee
        if leave.order_type == "stop_market":
            assert -gain <= fraction * cash
            stopped += 1
        cash += gain
    assert pairs[-1][0].quantity == pairs[-1][1].quantity
    assert stopped


def test_a_position_turned_round_in_one_bar_risks_a_fraction_of_what_is_left_after_closing(
    run: Run, make_klines: Make, btc: InstrumentSpecs, fees: Fees, kit: Any
) -> None:
    def turn(strategy: Any, bar: Bar) -> None:
        strategy.close_all_positions(strategy.own["instrument_id"])
        stop = strategy.own["sizer"].stop_price(OrderSide.SELL, bar.close)
        quantity = strategy.own["sizer"].quantity(bar.close, stop)
        kit.sell(str(quantity))(strategy, bar)

    rules = SizingRules(method="stop", fraction=Decimal("0.005"), stop_distance=Decimal("0.004"), leverage=Decimal(50))
    source = kit.Source(kit.Scripted, {"script": {0: [kit.buy("100")], 1: [turn]}}, ACCEPTS)
    output = run(make_klines(STEADY * 3), source, sizing=rules)
    opened = output.fills[2]
    assert [fill.side for fill in output.fills] == [Side.BUY, Side.SELL, Side.SELL]
    # 100,000 less 100 × 1,000 × 0.0005 twice is 99,900 when the short opens; half a percent of it is 499.50.
    lost = opened.quantity * loss_per_unit(opened.price, Decimal(1_004), taker=fees.taker, tick=btc.tick_size)
    step = btc.step_size * loss_per_unit(opened.price, Decimal(1_004), taker=fees.taker, tick=btc.tick_size)
    assert Decimal("499.50") - step < lost <= Decimal("499.50")


def test_a_missing_stop_is_not_quoted_as_a_value(sizer: Callable[..., EntrySizer]) -> None:
    with pytest.raises(SizingError) as caught:
        sizer(method="stop", compound=False).quantity(price("100.0"))
    assert "and there is none. Give the strategy a stop" in str(caught.value)


def test_what_an_entry_was_asked_to_risk_is_kept_where_a_stop_decides(run: Run, make_klines: Make, kit: Any) -> None:
    source = kit.Source(kit.Scripted, {"script": {1: [Asking()]}}, ACCEPTS)
    rules = SizingRules(method="stop", fraction=Decimal("0.01"), stop_distance=Decimal("0.05"))
    klines = make_klines(STEADY * 3)
    (asked,) = run(klines, source, sizing=rules).sizing.asked
    # 100,000 × 0.01 = 1,000; one unit loses 50 + 1,950 × 0.0005 = 50.975 at the stop: 19.617.
    assert (asked.quantity, asked.price, asked.stop_price, asked.asked) == (Decimal("19.617"), 1000, 950, 1000)
    assert (asked.side, asked.time_ns) == (Side.BUY, (klines.range.start_ms + 120_000) * 1_000_000)
    assert run(klines, source).sizing.asked == []
