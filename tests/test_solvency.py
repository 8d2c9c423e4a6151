"""Margin by its definition, by hand. Brackets: 300,000 at 0.4 %, beyond at 0.5 % with cum 300; taker fee 0.05 %."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nt_run.held import Held, MarginTerms, Tier, follow
from nt_run.klines import SCHEMA, Exponents, Klines
from nt_run.margin import MarginRules, build_brackets, liquidation_price
from nt_run.matching import MarkExtremes, match_bars
from nt_run.model import Fill, FundingPayment, Interval, Liquidity, Side, Violation
from nt_run.solvency import SolvencyCheck, check_listed, check_tiers, deciding_bars, furthest

D = Decimal
MINUTE = 60_000_000_000
TIERS = [
    Tier(floor=D(0), cap=D(300_000), rate=D("0.004"), cum=D(0)),
    Tier(floor=D(300_000), cap=D("Infinity"), rate=D("0.005"), cum=D(300)),
]
TERMS = MarginTerms(
    mode="isolated", leverage=D(10), tiers=TIERS, taker=D("0.0005"), liquidation_fee=D("0.0125"), tick=D("0.1")
)
CROSS = replace(TERMS, mode="cross")


def bars(*lows_highs: tuple[float, float], interval: str = "1m") -> Klines:
    """One bar per (low, high), from 1970 on, to a tenth."""
    rows: dict[str, Any] = {name: [1] * len(lows_highs) for name in SCHEMA}
    rows["open_time"] = [Interval(interval).ms * number for number in range(len(lows_highs))]
    rows["low"] = rows["open"] = [round(low * 10) for low, _ in lows_highs]
    rows["high"] = rows["close"] = [round(high * 10) for _, high in lows_highs]
    return Klines("BTCUSDT", Interval(interval), Exponents(1, 3, 4), pl.DataFrame(rows, schema=SCHEMA))


def fill(minute: int, side: Side, quantity: str, price: str, kind: str = "market", **changes: Any) -> Fill:
    made = Fill(
        time_ns=minute * MINUTE,
        order_id=f"O-{minute}",
        side=side,
        quantity=D(quantity),
        price=D(price),
        reference=D(price),
        fee=D(quantity) * D(price) * TERMS.taker,
        liquidity=Liquidity.TAKER,
        order_type=kind,
    )
    return replace(made, **changes)


def forced(minute: int, side: Side, quantity: str, price: str, charge: str) -> Fill:
    """A liquidation that charged `charge` in all."""
    made = fill(minute, side, quantity, price, "liquidation")
    fee = min(made.fee, D(charge))
    return replace(made, fee=fee, liquidation=D(charge) - fee)


def check(
    fills: Sequence[Fill],
    klines: Klines,
    terms: MarginTerms = TERMS,
    *,
    payments: Sequence[FundingPayment] = (),
    balance: str = "100000",
    sent: dict[str, int] | None = None,
) -> SolvencyCheck:
    course = follow(fills, payments, sent or {}, balance=D(balance), leverage=terms.leverage)
    return SolvencyCheck(course, deciding_bars(klines, None, None, None), terms)


def named(violations: Sequence[Violation]) -> list[tuple[str, int]]:
    return [(each.what, (each.time_ns or 0) // MINUTE) for each in violations]


FLAT = (100_000.0, 100_000.0)
LONG = fill(1, Side.BUY, "1", "100000")
# 1 BTC at 100,000 at 10 x has 10,000. At 90,361.4 it has 361.4 left and needs 90,361.4 × 0.4 % = 361.4456; at 90,361.5
# 361.5 of 361.446. So it ends at 90,361.4, and what is left is charged.
ENDED = forced(2, Side.SELL, "1", "90361.4", "361.4")


def test_a_long_ends_where_its_margin_and_profit_are_the_maintenance_margin() -> None:
    held = Held(D(1), D(100_000), D(10_000), D(99_950))
    assert held.left(D("90361.4"), TERMS) == D("-0.0456")
    assert held.left(D("90361.5"), TERMS) == D("0.054")
    found = check([LONG, ENDED], bars(FLAT, (90_361.4, 100_000)))
    assert [*found.forced(), *found.undue(), *found.missed()] == []
    assert found.bars_held == 1


@pytest.mark.parametrize(("price", "charge"), [("90361.3", "361.3"), ("90361.5", "361.5")])
def test_a_liquidation_a_tick_away_is_named_with_its_price(price: str, charge: str) -> None:
    moved = check([LONG, forced(2, Side.SELL, "1", price, charge)], bars(FLAT, (90_000, 100_000))).forced()
    assert named(moved) == [("price", 2)]
    assert moved[0].expected == "90361.4, where the margin ends"


def test_another_charge_is_named() -> None:
    (found,) = check([LONG, forced(2, Side.SELL, "1", "90361.4", "360.4")], bars(FLAT, (90_000, 100_000))).forced()
    assert (found.what, found.expected, found.found) == ("charge", "361.40000000", "360.40000000")
    # 45.1807 of it are the taker's fee.
    wrong = replace(ENDED, fee=D(45), liquidation=D("316.4"))
    (found,) = check([LONG, wrong], bars(FLAT, (90_000, 100_000))).forced()
    assert (found.what, found.expected) == ("fee", "45.18070000")


def test_cross_is_charged_the_liquidation_fee_as_far_as_there_is_equity() -> None:
    # The wallet is 20,050 − 50 of fee. In a bracket of 5 %: 1 BTC at 84,210.5 has 4,210.5 and needs 4,210.525; charged
    # are 1.25 % × 84,210.5 = 1,052.63125.
    terms = replace(CROSS, tiers=[Tier(floor=D(0), cap=D("Infinity"), rate=D("0.05"), cum=D(0))])
    klines = bars(FLAT, (84_000, 100_000))
    right = forced(2, Side.SELL, "1", "84210.5", "1052.63125")
    assert check([LONG, right], klines, terms, balance="20050").forced() == []
    lost = forced(2, Side.SELL, "1", "84210.5", "4210.5")
    assert named(check([LONG, lost], klines, terms, balance="20050").forced()) == [("charge", 2)]
    # With 10,050 it ends at 90,361.4 under 0.4 %: 361.4 are left of 1,129.52 asked for.
    assert check([LONG, ENDED], bars(FLAT, (90_000, 100_000)), CROSS, balance="10050").forced() == []


def test_more_than_there_was_leaves_less_than_nothing() -> None:
    owed = forced(2, Side.SELL, "1", "90361.4", "1129.5175")
    found = check([LONG, owed], bars(FLAT, (90_000, 100_000)), CROSS, balance="10050").forced()
    assert named(found) == [("charge", 2), ("balance", 2)]
    assert found[1].found == "-768.11750000"


def test_a_dropped_liquidation_is_missed_in_the_first_bar_that_reached_it() -> None:
    klines = bars(FLAT, (90_361.5, 100_000), (90_361.4, 95_000), (80_000, 95_000), (95_000, 95_000))
    (missed,) = check([LONG], klines).missed()
    assert (missed.what, missed.time_ns) == ("missed liquidation (2 bars)", 3 * MINUTE)
    assert missed.expected == "a liquidation at 90361.4: the low was 90361.4"


def test_a_liquidation_in_a_bar_that_did_not_reach_it_is_named() -> None:
    (found,) = check([LONG, ENDED], bars(FLAT, (90_361.5, 100_000))).undue()
    assert (found.what, found.time_ns) == ("liquidation", 2 * MINUTE)
    assert found.expected == "none: 90361.5 leaves 0.05400000"


def test_a_short_ends_above() -> None:
    # 2 BTC at 100,000 at 10 x: 20,000. At 109,561.8 it has lost 19,123.6, 876.4 are left of 876.4944 needed.
    short = fill(1, Side.SELL, "2", "100000")
    right = forced(2, Side.BUY, "2", "109561.8", "876.4")
    klines = bars(FLAT, (100_000, 109_562))
    assert check([short, right], klines).forced() == []
    assert named(check([short], klines).missed()) == [("missed liquidation", 2)]
    assert check([short], bars(FLAT, (1, 109_561.7))).missed() == []


def test_the_bracket_is_the_one_that_holds_the_notional_at_that_price() -> None:
    # 4 BTC, 40,000: at 90,391.9 the notional is 361,567.6, so 1,807.838 − 300 = 1,507.838 are needed. 1,567.6 are left;
    # the first bracket would have asked for 1,446.27. At 90,376.8: 1,507.2 of 361,507.2 × 0.5 % − 300 = 1,507.536.
    four = fill(1, Side.BUY, "4", "100000")
    right = forced(2, Side.SELL, "4", "90376.8", "1507.2")
    assert check([four, right], bars(FLAT, (90_000, 100_000))).forced() == []
    flat = replace(TERMS, tiers=[replace(TIERS[0], cap=D("Infinity"))])
    assert named(check([four, right], bars(FLAT, (90_000, 100_000)), flat).forced()) == [("price", 2)]


def test_adds_partial_closes_and_funding_move_the_margin() -> None:
    # 1 at 100,000 and 1 at 98,000: entry 99,000, margin 10,000 + 9,800 = 19,800. Half is closed: 9,900. Funding of
    # 1 BTC at 99,000 × 1 % takes 990: 8,910 are left, and it ends where 8,910 − 99,000 + p = 0.4 % of p: 90,451.8.
    fills = [LONG, fill(2, Side.BUY, "1", "98000"), fill(3, Side.SELL, "1", "99000")]
    paid = FundingPayment(
        time_ns=4 * MINUTE,
        position=D(1),
        rate=D("0.01"),
        price=D(99_000),
        price_source="mark_price",
        amount=D(-990),
    )
    course = follow(fills, [paid], {}, balance=D(100_000), leverage=D(10))
    assert (course.before[2].entry, course.before[2].margin) == (D(99_000), D(19_800))
    assert course.before[3].margin == D(9_900)
    assert course.before[4].margin == D(8_910)
    still = bars(*[FLAT] * 4, (90_451.9, 99_000))
    assert check(fills, still, payments=[paid]).missed() == []
    reached = bars(*[FLAT] * 4, (90_451.8, 99_000))
    assert named(check(fills, reached, payments=[paid]).missed()) == [("missed liquidation", 5)]
    # A settlement at a bar's end counts before that bar.
    early = bars(*[FLAT] * 3, (90_451.8, 99_000), FLAT)
    assert named(check(fills, early, payments=[paid]).missed()) == [("missed liquidation", 4)]


def test_a_position_turned_round_starts_anew() -> None:
    # 2 sold against a long of 1: short 1 at 99,000 with 9,900; the long lost 1,000.
    course = follow([LONG, fill(2, Side.SELL, "2", "99000")], [], {}, balance=D(100_000), leverage=D(10))
    after = course.before[2]
    assert (after.position, after.entry, after.margin) == (D(-1), D(99_000), D(9_900))
    assert after.cash == 100_000 - 50 - 99 - 1_000


def test_what_is_sent_at_a_close_meets_the_next_bar_and_what_fills_inside_meets_this_one() -> None:
    klines = bars(FLAT, (80_000, 100_000), (95_000, 100_000))
    # Bought at the close of the bar that fell, by a market order.
    assert check([fill(2, Side.BUY, "1", "100000")], klines).missed() == []
    # Bought in it, by an order that had been sent before.
    inside = replace(fill(2, Side.BUY, "1", "100000", "limit"), liquidity=Liquidity.MAKER)
    assert named(check([inside], klines, sent={"O-2": MINUTE}).missed()) == [("missed liquidation", 2)]
    assert check([inside], klines, sent={"O-2": 2 * MINUTE}).missed() == []
    # One that takes was changed to at its end.
    assert check([replace(inside, liquidity=Liquidity.TAKER)], klines, sent={"O-2": MINUTE}).missed() == []


def test_an_exit_in_a_bar_that_liquidates_as_well_has_to_be_listed_as_ambiguous() -> None:
    klines = bars(FLAT, (80_000, 100_000))
    stopped = check([LONG, fill(2, Side.SELL, "1", "95000", "stop_market")], klines, sent={"O-2": MINUTE})
    assert stopped.missed() == []
    assert stopped.unsaid({60_000}) == []
    assert named(stopped.unsaid(())) == [("exit before a liquidation", 2)]


def test_mark_prices_decide_and_a_bar_without_one_goes_by_its_own() -> None:
    klines = bars(FLAT, (80_000, 100_000), (80_000, 100_000))
    frame = pl.DataFrame({"open_time": [60_000], "low": [9_500_000_000_000], "high": [10_000_000_000_000]})
    marks = MarkExtremes(frame.with_columns(pl.col("open_time").cast(pl.Datetime("ms", "UTC"))), 8)
    decided = deciding_bars(klines, None, marks, None)
    assert [decided.price("low", row) for row in range(3)] == [D(100_000), D(95_000), D(80_000)]
    course = follow([LONG], [], {}, balance=D(100_000), leverage=D(10))
    assert named(SolvencyCheck(course, decided, TERMS).missed()) == [("missed liquidation", 3)]


def at_a_gap(side: Side, opened: float) -> list[Violation]:
    """What is undue about a liquidation ahead of an order that meets the next open: 1 BTC at 100,000 in calm bars.

    Mark prices have eight decimals, as the exchange's, and klines one; behind the gap they reach everything.
    """
    other, price, charge = (Side.SELL, "90361.4", "361.4") if side is Side.BUY else (Side.BUY, "109561.8", "438.2")
    klines = bars(FLAT, FLAT, (opened, opened))
    rows = {"open_time": [0, 60_000, 120_000], "low": [99_999_12345678, 99_999_12345678, 80_000_00000000]}
    frame = pl.DataFrame(rows | {"high": [100_001_12345678, 100_001_12345678, 120_000_00000000]})
    marks = MarkExtremes(frame.with_columns(pl.col("open_time").cast(pl.Datetime("ms", "UTC"))), 8)
    course = follow(
        [fill(1, side, "1", "100000"), forced(2, other, "1", price, charge)], [], {}, balance=D(100_000), leverage=D(10)
    )
    return SolvencyCheck(course, deciding_bars(klines, None, marks, None), TERMS, next_open=True).undue()


@pytest.mark.parametrize(
    ("side", "beyond", "short_of"), [(Side.BUY, 90_361.4, 90_361.5), (Side.SELL, 109_561.8, 109_561.7)]
)
def test_a_liquidation_ahead_of_an_order_is_due_only_where_the_next_bar_opens_beyond_its_price(
    side: Side, beyond: float, short_of: float
) -> None:
    # 100,000 ÷ 10 = 10,000 of margin. Long: it ends at 90,361.4 (above). Short: at 109,561.8 it has lost 9,561.8, and
    # 438.2 are left of 438.2472 needed; at 109,561.7 438.3 of 438.2468.
    assert at_a_gap(side, beyond) == []
    assert [each.what for each in at_a_gap(side, short_of)] == ["liquidation"]


def test_without_finer_mark_prices_the_last_finer_bar_has_those_of_its_bar() -> None:
    klines = bars(FLAT, (90_000, 101_000), interval="3m")
    fine = bars(*[FLAT] * 3, (90_000, 95_000), (95_000, 101_000), FLAT)
    fine = Klines("BTCUSDT", fine.interval, fine.exponents, fine.frame[3:])
    frame = pl.DataFrame({"open_time": [180_000], "low": [800_000], "high": [1_020_000]})
    marks = MarkExtremes(frame.with_columns(pl.col("open_time").cast(pl.Datetime("ms", "UTC"))), 1)
    decided = deciding_bars(klines, fine, marks, None)
    assert decided.low.tolist() == [1_000_000, 900_000, 950_000, 800_000]
    assert decided.high.tolist() == [1_000_000, 950_000, 1_010_000, 1_020_000]
    own = deciding_bars(klines, fine, None, None)
    assert own.low.tolist() == [1_000_000, 900_000, 950_000, 1_000_000]


def test_a_run_that_cannot_be_liquidated_is_held_against_a_tenth_beyond_everything() -> None:
    reach = furthest(match_bars(bars((90_000, 100_000), (95_000, 101_000))), D("0.1"))
    assert (reach.low.tolist(), reach.high.tolist()) == ([810_000] * 2, [1_111_000] * 2)


def test_brackets_that_do_not_follow_one_another_are_named() -> None:
    assert check_tiers(TIERS) == []
    (gap,) = check_tiers([TIERS[0], replace(TIERS[1], floor=D(400_000))])
    assert (gap.what, gap.expected) == ("leverage bracket 2", "from 300000 on, at 0.004 or more")
    (jump,) = check_tiers([TIERS[0], replace(TIERS[1], cum=D(310))])
    assert (jump.expected, jump.found) == ("cum 300.000", "310")


def test_what_the_report_lists_is_held_against_the_fills() -> None:
    course = follow([LONG, ENDED], [], {}, balance=D(100_000), leverage=D(10))
    row = {
        "time": "1970-01-01T00:02:00Z",
        "side": "long",
        "quantity": "1.000",
        "entry_price": "100000.00000000",
        "price": "90361.40",
        "lost": "10000.00000000",
    }
    assert check_listed(course, [row]) == []
    assert [each.what for each in check_listed(course, [])] == ["liquidations reported"]
    for name, value in (("side", "short"), ("price", "90361.5"), ("lost", "9999.9")):
        assert [each.what for each in check_listed(course, [row | {name: value}])] == [f"{name} reported"]


def test_what_is_lost_counts_the_funding_of_what_was_left_of_the_position() -> None:
    # 2 BTC at 100,000: margin 20,000, 2 % of 200,000 = 4,000 paid; half sold leaves 8,000 of margin, 2,000 of it paid:
    # 92,000 ÷ 0.996 = 92,369.4779… → 92,369.4. Price −7,630.6, charged 369.4: 7,630.6 + 369.4 + 2,000 = 10,000.
    paid = FundingPayment(
        time_ns=2 * MINUTE,
        position=D(2),
        rate=D("0.02"),
        price=D(100_000),
        amount=D(-4000),
        price_source="mark_price",
    )
    bought, sold = fill(1, Side.BUY, "2", "100000"), fill(3, Side.SELL, "1", "100000")
    ended = forced(4, Side.SELL, "1", "92369.4", "369.4")
    course = follow([bought, sold, ended], [paid], {}, balance=D(100_000), leverage=D(10))
    row = {"time": "1970-01-01T00:04:00Z", "side": "long", "quantity": "1", "entry_price": "100000.00000000"}
    row |= {"price": "92369.4", "lost": "10000.00000000"}
    assert check_listed(course, [row]) == []
    (wrong,) = check_listed(course, [row | {"lost": "8000.00000000"}])
    assert (wrong.expected, wrong.found) == ("10000.00000000", "8000.00000000")


@given(
    long=st.booleans(),
    quantity=st.decimals("0.001", "50", places=3),
    entry=st.decimals("100", "200000", places=1),
    leverage=st.integers(2, 120),
)
def test_the_definition_holds_where_the_solved_formula_says(
    long: bool, quantity: Decimal, entry: Decimal, leverage: int
) -> None:
    side = Side.BUY if long else Side.SELL
    brackets = build_brackets([(tier.floor, tier.cap, tier.rate, D(125)) for tier in TIERS])
    rules = MarginRules(symbol="BTCUSDT", brackets=brackets, as_of_ms=None, source="test")
    margin = quantity * entry / leverage
    solved = liquidation_price(side, quantity, entry, margin, rules)
    held = Held(side.sign * quantity, entry, margin, margin)
    assert solved is not None
    assert abs(held.left(solved, TERMS)) < D("1e-15")
