"""Liquidations of small runs, by hand. Brackets: 300,000 at 0.4 %, 800,000 at 0.5 %, beyond at 0.65 %."""

import gc
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nautilus_trader.model import OrderSide

from nt_run.accounting import build_trades, close_books
from nt_run.engine.charges import ChargeModel
from nt_run.engine.prices import PriceModel
from nt_run.engine.run import EngineOutput
from nt_run.engine.watcher import Watcher
from nt_run.equity import equity_curve
from nt_run.filters import POSITION_TOO_LARGE
from nt_run.klines import Klines
from nt_run.liquidation import MarginPlan, find_extremes, is_reachable
from nt_run.margin import MarginMode, MarginRules, build_brackets
from nt_run.model import Fees, Side
from nt_run.sizing import SizingRules
from nt_run.specs import InstrumentSpecs

D = Decimal
Run = Callable[..., EngineOutput]
Make = Callable[..., Any]

ROWS = [
    (D(0), D(300_000), D("0.004"), D(150)),
    (D(300_000), D(800_000), D("0.005"), D(100)),
    (D(800_000), D(10**9), D("0.0065"), D(75)),
]
RULES = MarginRules(symbol="BTCUSDT", brackets=build_brackets(ROWS), as_of_ms=0, source="test")
BALANCE = D(100_000)
FLAT = (100_000, 100_000, 100_000, 100_000, 1)


def falling(low: int, close: int | None = None) -> tuple[Any, ...]:
    return (100_000, 100_000, low, close if close is not None else low, 1)


def rising(high: int, close: int | None = None) -> tuple[Any, ...]:
    return (100_000, high, 100_000, close if close is not None else high, 1)


def margin(mode: MarginMode = "isolated", marks: Klines | None = None) -> MarginPlan:
    return MarginPlan(mode=mode, rules=RULES, marks=marks)


def levered(leverage: int) -> SizingRules:
    return SizingRules(leverage=D(leverage))


def books(output: EngineOutput, klines: Klines, balance: Decimal = BALANCE) -> Any:
    close = D(int(klines.frame["close"][-1])).scaleb(-klines.exponents.price)
    return close_books(
        build_trades(output.fills, output.payments),
        starting_balance=balance,
        last_close=close,
        engine_balance=output.balance,
        engine_open_pnl=output.open_pnl,
    )


def test_an_isolated_long_loses_its_margin_whole(run: Run, make_klines: Make, kit: Any) -> None:
    # 1 BTC at 100,000 at 10 x: margin 10,000, liquidated at 90,000 ÷ 0.996 = 90,361.4457… → 90,361.4 (tick 0.1, down).
    # Price −9,638.6; the fee at the end 90,361.4 × 0.05 % = 45.1807, and what is left of the margin goes as well:
    # 10,000 − 9,638.6 = 361.4 = 45.1807 + 316.2193.
    klines = make_klines([FLAT, FLAT, falling(90_361), FLAT])
    output = run(klines, {0: [kit.buy("1")]}, sizing=levered(10), margin=margin())
    opened, closed = output.fills
    assert closed.order_type == "liquidation"
    assert (closed.side, closed.quantity, closed.price) == (Side.SELL, D(1), D("90361.4"))
    assert (closed.fee, closed.liquidation) == (D("45.1807"), D("316.2193"))
    assert output.balance == D(100_000) - opened.fee - D(10_000)
    (event,) = output.liquidations
    assert (event.side, event.price, event.lost) == (Side.BUY, D("90361.4"), D(10_000))
    assert event.time_ns == closed.time_ns
    # −50 of fees for the entry, −45.1807 for the end.
    result = books(output, klines)
    assert (result.price, result.fees, result.liquidation) == (D("-9638.6"), D("-95.1807"), D("-316.2193"))
    assert result.net == D(-10_050)


def test_a_low_just_above_the_liquidation_price_changes_nothing(run: Run, make_klines: Make, kit: Any) -> None:
    klines = make_klines([FLAT, FLAT, (100_000, 100_000, "90361.5", 95_000, 1), FLAT])
    output = run(klines, {0: [kit.buy("1")]}, sizing=levered(10), margin=margin())
    assert not output.liquidations
    assert len(output.fills) == 1


def test_a_position_above_the_largest_order_is_liquidated_whole(
    btc: InstrumentSpecs, run: Run, make_klines: Make, kit: Any
) -> None:
    klines = make_klines([FLAT, FLAT, FLAT, falling(90_000), FLAT])
    small = replace(btc, market_max_quantity=D(1), max_quantity=D(1), price_multiplier_down=None)
    output = run(klines, {0: [kit.buy("1")], 1: [kit.buy("1")]}, sizing=levered(10), margin=margin(), specs=small)
    assert [(event.quantity, event.price) for event in output.liquidations] == [(D(2), D("90361.4"))]
    assert output.balance == D(100_000) - 2 * D(50) - 2 * D(10_000)


def test_an_isolated_short_loses_its_margin_whole(run: Run, make_klines: Make, kit: Any) -> None:
    # 2 BTC at 100,000 at 20 x: margin 10,000; (10,000 + 200,000) ÷ (2 × 1.004) = 104,581.6733… × 2 = 209,163 is in the
    # first bracket → 104,581.7 (up). Price −2 × 4,581.7 = −9,163.4, charged 836.6.
    klines = make_klines([FLAT, FLAT, rising(104_600), FLAT])
    output = run(klines, {0: [kit.sell("2")]}, sizing=levered(20), margin=margin())
    closed = output.fills[1]
    assert closed.price == D("104581.7")
    assert closed.fee + closed.liquidation == D("836.6")
    assert output.balance == D(100_000) - output.fills[0].fee - D(10_000)


@pytest.mark.parametrize(
    ("quantity", "balance", "exact", "charged"),
    [
        # 1 BTC, wallet 10,050 − 50 of fee: (10,000 − 100,000) ÷ (0.004 − 1) = 90,361.4457…; 1.25 % of 90,361.4 would be
        # 1,129.52, and only 10,000 − 9,638.6 = 361.4 are left.
        ("1", "10050", "90361.4", "361.4"),
        # 5 BTC, wallet 80,250 − 250 = 80,000: (80,000 + 300 − 500,000) ÷ (0.025 − 5) = 419,700 ÷ 4.975 = 84,361.8090…
        # (421,809: second bracket); left 80,000 − 5 × 15,638.2 = 1,809 of 5,272.61 asked for.
        ("5", "80250", "84361.8", "1809.0"),
        # 10 BTC, wallet 100,500 − 500 = 100,000: (100,000 + 1,500 − 1,000,000) ÷ (0.065 − 10) = 898,500 ÷ 9.935 =
        # 90,437.8460… (904,378: third bracket); left 100,000 − 10 × 9,562.2 = 4,378 of 11,304.73.
        ("10", "100500", "90437.8", "4378.0"),
    ],
)
def test_a_cross_long_in_three_brackets(
    quantity: str, balance: str, exact: str, charged: str, run: Run, make_klines: Make, kit: Any
) -> None:
    klines = make_klines([FLAT, FLAT, falling(80_000), FLAT])
    plan = margin("cross")
    output = run(klines, {0: [kit.buy(quantity)]}, sizing=levered(50), margin=plan, balance=D(balance))
    closed = output.fills[1]
    assert (closed.price, closed.fee + closed.liquidation) == (D(exact), D(charged))
    # The fee is larger than what is left in each: the account ends with nothing, and not below.
    assert output.balance == 0
    assert books(output, klines, D(balance)).final_equity == 0


def test_a_cross_position_pays_the_liquidation_fee_and_no_more(run: Run, make_klines: Make, kit: Any) -> None:
    # In a bracket of 5 % more is left than 1.25 %: 1 BTC, wallet 20,050 − 50: 80,000 ÷ 0.95 = 84,210.5263… → 84,210.5;
    # left 4,210.5, charged 1.25 % × 84,210.5 = 1,052.63125.
    klines = make_klines([FLAT, FLAT, falling(84_000), FLAT])
    rules = MarginRules(
        symbol="BTCUSDT",
        brackets=build_brackets([(D(0), D(10**9), D("0.05"), D(10))]),
        as_of_ms=None,
        source="test",
    )
    plan = MarginPlan(mode="cross", rules=rules)
    output = run(klines, {0: [kit.buy("1")]}, sizing=levered(10), margin=plan, balance=D(20_050))
    closed = output.fills[1]
    assert (closed.price, closed.fee + closed.liquidation) == (D("84210.5"), D("1052.63125"))
    assert output.balance == D("4210.5") - D("1052.63125")


def test_eighteen_times_long_through_a_fall_of_a_third_ends_liquidated(run: Run, make_klines: Make, kit: Any) -> None:
    # Bought at 100,000 with everything, 18 x; the price falls to 66,700 and ends at 110,000. Unliquidated the account
    # would have made 18 × 10 % = 180 %; it is gone below 95,000.
    rows = [FLAT, FLAT, (100_000, 100_000, 66_700, 70_000, 1), (70_000, 110_000, 70_000, 110_000, 1), FLAT]
    klines = make_klines(rows)
    # 17.8 BTC: 1,780,000 ÷ 18 = 98,888.888… of margin, 890 of fee.
    output = run(klines, {0: [kit.buy("17.8")], 3: [kit.buy("1")]}, sizing=levered(18), margin=margin())
    assert [fill.order_type for fill in output.fills] == ["market", "liquidation"]
    assert output.liquidations[0].lost == D("98888.88888888")
    assert output.balance == D("221.11111112")
    # What comes later meets the account that is left: 1 BTC would need 6,111 of margin.
    assert [denial.reason for denial in output.denials] == ["initial margin exceeds free balance"]


def test_the_mark_price_liquidates_where_the_last_price_never_was(run: Run, make_klines: Make, kit: Any) -> None:
    klines = make_klines([FLAT] * 4)
    marks = make_klines([FLAT, FLAT, falling(90_000), FLAT])
    output = run(klines, {0: [kit.buy("1")]}, sizing=levered(10), margin=margin(marks=marks))
    assert [event.price for event in output.liquidations] == [D("90361.4")]


def test_the_last_price_alone_liquidates_nothing(run: Run, make_klines: Make, kit: Any) -> None:
    klines = make_klines([FLAT, FLAT, falling(80_000), FLAT])
    marks = make_klines([FLAT] * 4)
    output = run(klines, {0: [kit.buy("1")]}, sizing=levered(10), margin=margin(marks=marks))
    assert not output.liquidations


def test_a_bar_without_its_mark_kline_goes_by_its_own_extremes(make_klines: Make, kit: Any) -> None:
    klines = make_klines([FLAT, falling(90_000), FLAT])
    marks = make_klines([falling(99_000)], start=int(klines.open_times()[0]))
    extremes = find_extremes(klines, marks)
    assert extremes.low.tolist() == [990_000, 900_000, 1_000_000]
    assert (extremes.missing, extremes.source) == (2, "mark klines")


def test_funding_moves_the_liquidation_price(run: Run, make_klines: Make, kit: Any) -> None:
    # 1 % of 100,000 is paid at the close of the first bar held: margin 9,000, liquidated at 91,000 ÷ 0.996 = 91,365.4…
    klines = make_klines([FLAT, FLAT, falling(91_300), FLAT], start=kit.SLOT - 2 * 60_000)
    script = {0: [kit.buy("1")]}
    paying = run(klines, script, sizing=levered(10), margin=margin(), funding=[kit.rate("0.01", "100000", kit.SLOT)])
    assert [payment.amount for payment in paying.payments] == [D(-1000)]
    assert [event.price for event in paying.liquidations] == [D("91365.4")]
    # What was put up is lost: 1,000 of it went as funding.
    assert [event.lost for event in paying.liquidations] == [D(10_000)]
    assert paying.balance == D(100_000) - D(50) - D(10_000)
    receiving = run(
        klines, script, sizing=levered(10), margin=margin(), funding=[kit.rate("-0.01", "100000", kit.SLOT)]
    )
    assert not receiving.liquidations


@pytest.mark.parametrize(
    ("rate", "price"),
    [
        # 0.4 BTC at 100,000 at 50 x: margin 800. 40,000 × 0.8 % = 320 are paid, 40 % of it, and 480 are left:
        # (480 − 40,000) ÷ (0.4 × 0.004 − 0.4) = 39,520 ÷ 0.3984 = 99,196.787… → 99,196.7. Price −0.4 × 803.3 = −321.32,
        # and the 158.68 that are left are charged: 320 + 321.32 + 158.68 = 800.
        ("0.008", "99196.7"),
        # 40,000 × 3.2 % = 1,280, more than the margin: −480 are left, and the position ends above its entry at 40,480 ÷
        # 0.3984 = 101,606.425… → 101,606.4. Price +0.4 × 1,606.4 = +642.56, of which the 162.56 beyond 480 are charged:
        # 1,280 − 642.56 + 162.56 = 800.
        ("0.032", "101606.4"),
        # Received: 400 more, (1,200 − 40,000) ÷ −0.3984 = 97,389.558… → 97,389.5. Price −1,044.2, charged 155.8:
        # 1,044.2 + 155.8 − 400 = 800.
        ("-0.01", "97389.5"),
    ],
)
def test_what_is_lost_of_an_isolated_position_is_the_margin_put_up_whatever_funding_took_of_it(
    rate: str, price: str, run: Run, make_klines: Make, kit: Any
) -> None:
    klines = make_klines([FLAT, FLAT, falling(97_000), FLAT], start=kit.SLOT - 2 * 60_000)
    rates = [kit.rate(rate, "100000", kit.SLOT)]
    output = run(klines, {0: [kit.buy("0.4")]}, sizing=levered(50), margin=margin(), funding=rates)
    assert [(event.price, event.lost) for event in output.liquidations] == [(D(price), D(800))]
    # The entry's fee is the position's only other cost.
    assert output.balance == D(100_000) - D(20) - D(800)


def test_what_is_lost_of_a_part_is_its_share_of_the_margin_and_of_the_funding(
    run: Run, make_klines: Make, kit: Any
) -> None:
    # 0.8 BTC: margin 1,600, 640 paid. Half of it sold leaves 480 of margin, and 320 of what was paid.
    klines = make_klines([FLAT, FLAT, FLAT, falling(99_000), FLAT], start=kit.SLOT - 2 * 60_000)
    script = {0: [kit.buy("0.8")], 2: [kit.sell("0.4")]}
    rates = [kit.rate("0.008", "100000", kit.SLOT)]
    output = run(klines, script, sizing=levered(50), margin=margin(), funding=rates)
    assert [(event.price, event.lost) for event in output.liquidations] == [(D("99196.7"), D(800))]
    # Turned round, the new side has a margin of its own, and has paid nothing: (800 + 40,000) ÷ (0.4 × 1.004) =
    # 101,593.625… → 101,593.7.
    klines = make_klines([FLAT, FLAT, FLAT, rising(102_000), FLAT], start=kit.SLOT - 2 * 60_000)
    script = {0: [kit.buy("0.8")], 2: [kit.sell("1.2")]}
    output = run(klines, script, sizing=levered(50), margin=margin(), funding=rates)
    assert [(event.price, event.lost) for event in output.liquidations] == [(D("101593.7"), D(800))]


def test_what_is_lost_of_a_cross_position_is_what_it_cost_since_it_was_opened(
    run: Run, make_klines: Make, kit: Any
) -> None:
    # A bracket of 5 %, 1 BTC, wallet 20,050 − 50 − 1,000 of funding = 19,000: 81,000 ÷ 0.95 = 85,263.157… → 85,263.1.
    # Price −14,736.9, charged 1.25 % × 85,263.1 = 1,065.78875, funding 1,000: 16,802.68875.
    klines = make_klines([FLAT, FLAT, falling(85_000), FLAT], start=kit.SLOT - 2 * 60_000)
    rules = replace(RULES, brackets=build_brackets([(D(0), D(10**9), D("0.05"), D(10))]))
    plan, rates = MarginPlan(mode="cross", rules=rules), [kit.rate("0.01", "100000", kit.SLOT)]
    script = {0: [kit.buy("1")]}
    output = run(klines, script, sizing=levered(10), margin=plan, balance=D(20_050), funding=rates)
    assert [(event.price, event.lost) for event in output.liquidations] == [(D("85263.1"), D("16802.68875"))]
    assert output.balance == D(20_000) - D("16802.68875")


def test_a_reduced_position_keeps_its_share_of_the_margin(run: Run, make_klines: Make, kit: Any) -> None:
    # 2 BTC with 20,000; half of it sold leaves 10,000, and the liquidation price of one.
    klines = make_klines([FLAT, FLAT, FLAT, falling(90_000), FLAT])
    script = {0: [kit.buy("2")], 1: [kit.sell("1")]}
    output = run(klines, script, sizing=levered(10), margin=margin())
    assert [(event.quantity, event.price, event.lost) for event in output.liquidations] == [
        (D(1), D("90361.4"), D(10_000))
    ]


def test_a_position_turned_round_has_the_margin_of_its_new_side(run: Run, make_klines: Make, kit: Any) -> None:
    # Long 1, then 2 sold: short 1 with 10,000: 110,000 ÷ 1.004 = 109,561.7529… → 109,561.8.
    klines = make_klines([FLAT, FLAT, FLAT, rising(110_000), FLAT])
    script = {0: [kit.buy("1")], 1: [kit.sell("2")]}
    output = run(klines, script, sizing=levered(10), margin=margin())
    assert [(event.side, event.price) for event in output.liquidations] == [(Side.SELL, D("109561.8"))]


def test_open_orders_are_cancelled_before_a_liquidation(run: Run, make_klines: Make, kit: Any) -> None:
    def stop(strategy: Any, _bar: Any) -> None:
        strategy.submit_order(
            strategy.order_factory.limit(
                strategy.own["instrument_id"], kit.SELL, strategy.amount("1"), strategy.price("101000")
            )
        )

    klines = make_klines([FLAT, FLAT, falling(90_000), rising(102_000), FLAT])
    output = run(klines, {0: [kit.buy("1"), stop]}, sizing=levered(10), margin=margin())
    assert [fill.order_type for fill in output.fills] == ["market", "liquidation"]


def test_an_entry_inside_a_bar_is_held_against_that_bars_extreme(run: Run, make_klines: Make, kit: Any) -> None:
    def bid(strategy: Any, _bar: Any) -> None:
        strategy.submit_order(
            strategy.order_factory.limit(
                strategy.own["instrument_id"], kit.BUY, strategy.amount("1"), strategy.price("99000")
            )
        )

    # Bought at 99,000 on the way down: 89,100 ÷ 0.996 = 89,457.8313…
    klines = make_klines([FLAT, falling(89_000, 95_000), FLAT])
    output = run(klines, {0: [bid]}, sizing=levered(10), margin=margin())
    assert [(event.price, event.time_ns) for event in output.liquidations] == [(D("89457.8"), output.fills[0].time_ns)]


def test_the_strategy_goes_on_with_what_is_left(run: Run, make_klines: Make, kit: Any) -> None:
    klines = make_klines([FLAT, FLAT, falling(90_000), FLAT, FLAT, falling(80_000), FLAT])
    script = {0: [kit.buy("1")], 3: [kit.buy("1")]}
    output = run(klines, script, sizing=levered(10), margin=margin())
    assert len(output.liquidations) == 2
    assert output.balance == D(100_000) - 2 * D(50) - 2 * D(10_000)


def test_where_a_tick_is_worth_more_than_the_margin_left_the_trader_is_not_charged_for_it(
    run: Run, make_klines: Make, kit: Any
) -> None:
    # At 10.0 a tick of 0.1 is 1 %, the maintenance margin 0.4 %: 1,000 at 10 x have a margin of 1,000 and are
    # liquidated at 9 ÷ 0.996 = 9.036…; at 9.0 nothing would be left but nothing is owed either.
    klines = make_klines([(10, 10, 10, 10, 1)] * 2 + [(10, 10, 9, 9, 1)])
    output = run(klines, {0: [kit.buy("1000")]}, sizing=levered(10), margin=margin())
    (event,) = output.liquidations
    assert (event.price, event.lost) == (D("9.0"), D(1000))


def test_positions_beyond_the_bracket_are_refused_and_counted(run: Run, make_klines: Make, kit: Any) -> None:
    klines = make_klines([FLAT] * 6)
    script = {0: [kit.buy("3.1")], 1: [kit.buy("2")], 2: [kit.buy("1.1")], 3: [kit.sell("2")], 4: [kit.sell("3.1")]}
    sizing = replace(levered(150), max_notional=RULES.largest_notional(D(150)))
    output = run(klines, script, sizing=sizing, margin=margin())
    assert [fill.quantity for fill in output.fills] == [D(2), D(2)]
    assert [denial.reason for denial in output.denials] == [POSITION_TOO_LARGE] * 3


def test_orders_that_are_not_filled_yet_count_towards_the_bracket(run: Run, make_klines: Make, kit: Any) -> None:
    # At most 300,000 at 150 x: 3 BTC at 100,000.
    klines = make_klines([FLAT] * 6)
    sizing = replace(levered(150), max_notional=RULES.largest_notional(D(150)))

    def rest(strategy: Any, _bar: object) -> None:
        instrument, size, price = strategy.own["instrument_id"], strategy.amount("2"), strategy.price("90000")
        strategy.submit_order(strategy.order_factory.limit(instrument, OrderSide.BUY, size, price))

    for actions, filled, refused in (
        ([kit.buy("2"), kit.buy("2")], [2], 1),
        ([rest, rest], [], 1),
        ([rest, kit.buy("2")], [], 1),
        ([rest, kit.sell("2")], [2], 0),
    ):
        output = run(klines, {1: actions}, sizing=sizing, margin=margin())
        assert [fill.quantity for fill in output.fills] == filled
        assert [denial.reason for denial in output.denials] == [POSITION_TOO_LARGE] * refused
    # What closes is on its way, and 3 fit again.
    again = {1: [kit.buy("3")], 3: [kit.sell("3"), kit.sell("3"), kit.sell("1")]}
    output = run(klines, again, sizing=sizing, margin=margin())
    assert [fill.side.sign * fill.quantity for fill in output.fills] == [3, -3, -3]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(1, 10_000),
    leverage=st.sampled_from([2, 10, 50, 150]),
    marked=st.booleans(),
    mode=st.sampled_from(["isolated", "cross"]),
    orders=st.lists(
        st.tuples(st.integers(0, 118), st.booleans(), st.decimals("0.001", "60", places=3)), min_size=1, max_size=12
    ),
)
def test_no_account_falls_below_zero_and_the_books_balance(
    seed: int,
    leverage: int,
    marked: bool,
    mode: MarginMode,
    orders: list[tuple[int, bool, Decimal]],
    run: Run,
    random_market: Make,
    kit: Any,
) -> None:
    klines = random_market(120, seed=seed, sigma=0.01)
    marks = random_market(120, seed=seed + 1, sigma=0.01) if marked else None
    script: dict[int, list[Any]] = {}
    for bar, buys, quantity in orders:
        script.setdefault(bar, []).append((kit.buy if buys else kit.sell)(str(quantity)))
    rates = [kit.rate("0.002", None, kit.SLOT)]
    changes = {"sizing": levered(leverage), "margin": margin(mode, marks), "funding": rates}
    output = run(klines, script, **changes)
    assert books(output, klines).price is not None
    liquidated = [fill for fill in output.fills if fill.order_type == "liquidation"]
    for event, fill in zip(output.liquidations, liquidated, strict=True):
        if mode == "isolated":
            # Bought more of at other prices, what was put up is the average price's to a rounding.
            assert 0 <= event.lost <= event.quantity * event.entry_price / leverage + D("1e-8")
        assert fill.liquidation >= 0
        assert fill.fee >= 0
    if not marked:
        # With marks of another market the close itself may lie beyond a liquidation price.
        curve = equity_curve(klines, output.fills, output.payments, BALANCE)
        assert curve["equity"].to_numpy().min() > -1e-6
    assert run(klines, script, **changes) == output


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(1, 10_000),
    sigma=st.sampled_from([0.0005, 0.002, 0.01]),
    leverage=st.integers(1, 40),
    mode=st.sampled_from(["isolated", "cross"]),
    orders=st.lists(
        st.tuples(st.integers(0, 118), st.booleans(), st.decimals("0.001", "60", places=3)), min_size=1, max_size=12
    ),
)
def test_what_is_out_of_reach_is_never_liquidated(
    seed: int,
    sigma: float,
    leverage: int,
    mode: MarginMode,
    orders: list[tuple[int, bool, Decimal]],
    run: Run,
    random_market: Make,
    kit: Any,
) -> None:
    klines = random_market(120, seed=seed, sigma=sigma)
    fees = Fees(maker=D("0.0002"), taker=D("0.0005"), source="test")
    rates = [kit.rate("0.0005", None, kit.SLOT)]
    script: dict[int, list[Any]] = {}
    for bar, buys, quantity in orders:
        script.setdefault(bar, []).append((kit.buy if buys else kit.sell)(str(quantity)))
    output = run(klines, script, sizing=levered(leverage), margin=margin(mode), funding=rates)
    if output.liquidations:
        assert is_reachable(klines, rates, RULES, fees, leverage=D(leverage), balance=BALANCE)


def test_nothing_of_a_run_waits_for_the_garbage_collector(run: Run, make_klines: Make, kit: Any) -> None:
    # It may run on any thread, and the engine's objects must be freed on theirs.
    gc.collect()
    gc.disable()
    try:
        before = _alive()
        klines = make_klines([FLAT, FLAT, falling(90_361), FLAT])
        run(klines, {0: [kit.buy("1")]}, sizing=levered(10), margin=margin())
        assert _alive() == before
    finally:
        gc.enable()


def _alive() -> int:
    return sum(isinstance(each, ChargeModel | PriceModel | Watcher) for each in gc.get_objects())
