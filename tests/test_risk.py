from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from made_fills import made_fill
from nt_run.accounting import build_trades
from nt_run.asked import AskedRisk, Backing
from nt_run.execution import Slippage
from nt_run.margin import MarginRules, build_brackets
from nt_run.model import LIQUIDATION, Fees, Fill, FundingPayment, Side
from nt_run.risk import Planned, RiskAudit, audit_risk, risk_object, stop_warnings
from nt_run.sizing import SizingRules, loss_per_unit, size_position
from nt_run.specs import InstrumentSpecs

D = Decimal
MINUTE = 60_000_000_000
FEES = Fees(maker=D("0.0002"), taker=D("0.001"), source="test")
PLANNED = Planned(taker=FEES.taker, tick=D("0.1"))


def fill(minute: int, side: Side, quantity: str | Decimal, price: str | Decimal, kind: str = "market") -> Fill:
    fee = D(quantity) * D(price) * FEES.taker
    return made_fill(minute * MINUTE, side, quantity, price, order_id=f"O-{minute}", fee=fee, order_type=kind)


def asked(minute: int, quantity: str, price: str, stop: str, money: str) -> AskedRisk:
    return AskedRisk(time_ns=minute * MINUTE, quantity=D(quantity), price=D(price), stop_price=D(stop), asked=D(money))


def audited(
    fills: list[Fill],
    sized: list[AskedRisk],
    payments: list[FundingPayment] | None = None,
    planned: Planned = PLANNED,
) -> RiskAudit:
    return audit_risk(build_trades(fills, payments or []), fills, sized, planned)


def test_a_long_that_ends_at_its_stop_loses_what_was_asked() -> None:
    # 2 × (100 − 95) + 2 × (100 + 95) × 0.001 = 10.39 of 10.50 asked: the step took 0.11 off.
    fills = [fill(1, Side.BUY, "2", "100"), fill(2, Side.SELL, "2", "95", "stop_market")]
    (one,) = audited(fills, [asked(1, "2", "100", "95", "10.5")]).stopped
    assert (one.realised, one.over, one.gap, one.unexplained) == (D("10.39"), D("-0.11"), 0, D("-0.11"))


def test_a_gap_behind_the_stop_of_a_long_explains_what_is_over() -> None:
    # Filled at 92: 16 + 2 × 192 × 0.001 = 16.384. The gap: 2 × 3 × (1 − 0.001) = 5.994.
    fills = [fill(1, Side.BUY, "2", "100"), fill(2, Side.SELL, "2", "92", "stop_market")]
    audit = audited(fills, [asked(1, "2", "100", "95", "10.39")])
    (one,) = audit.stopped
    assert (one.realised, one.over, one.gap, one.unexplained) == (D("16.384"), D("5.994"), D("5.994"), 0)
    told = risk_object(audit)
    assert (told["stopped"], told["over"], told["max_over"]) == (1, 1, "5.99400000")
    assert told["max_over_share"] == pytest.approx(5.994 / 10.39)
    assert (told["worst"]["gap"], told["worst"]["exit_price"], told["worst"]["side"]) == ("5.99400000", "92", "buy")


def test_of_a_fill_that_turns_a_position_each_trade_has_its_own_part() -> None:
    # Sold 2 at 100, bought back 3 at the stop of 105: one closes at a loss of 2 × 5, and 1 is long from then on.
    fills = [fill(1, Side.SELL, "2", "100"), fill(2, Side.BUY, "3", "105", "stop_market")]
    (one,) = audited(fills, [asked(1, "2", "100", "105", "10.41")]).stopped
    # 10 + 2 × 205 × 0.001 = 10.41.
    assert (one.realised, one.over) == (D("10.41"), 0)
    assert set(one.over_by.values()) == {D(0)}
    turned = [
        fill(1, Side.SELL, "1", "100"),
        fill(2, Side.BUY, "3", "100"),
        fill(3, Side.SELL, "2", "95", "stop_market"),
    ]
    (one,) = audited(turned, [asked(2, "2", "100", "95", "10.39")]).stopped
    assert set(one.over_by.values()) == {D(0)}


def test_a_short_pays_the_fee_of_its_gap_as_well() -> None:
    # Stop at 105, filled at 108: the gap costs 2 × 3 × (1 + 0.001) = 6.006.
    fills = [fill(1, Side.SELL, "2", "100"), fill(2, Side.BUY, "2", "108", "stop_market")]
    (one,) = audited(fills, [asked(1, "2", "100", "105", "10.41")]).stopped
    assert (one.over, one.gap) == (D("6.006"), D("6.006"))


def test_an_entry_that_fills_worse_than_it_was_sized_at_is_a_gap_too() -> None:
    # Sized at 100, filled at 101: one more lost per unit, and the fee of it.
    fills = [fill(1, Side.BUY, "2", "101"), fill(2, Side.SELL, "2", "95", "stop_market")]
    (one,) = audited(fills, [asked(1, "2", "100", "95", "10.39")]).stopped
    assert (one.over, one.gap) == (D("2.002"), D("2.002"))


def test_funding_is_told_beside_what_is_over_and_is_no_part_of_it() -> None:
    # 10.39 of 10.50 asked, so 0.11 less; and 2 × 100 × 0.01 = 2 of funding.
    fills = [fill(1, Side.BUY, "2", "100"), fill(3, Side.SELL, "2", "95", "stop_market")]
    for rate, over in (("0.01", "1.89"), ("-0.01", "-2.11")):
        amount = D(-2) * 100 * D(rate)
        paid = FundingPayment(
            time_ns=2 * MINUTE, position=D(2), rate=D(rate), price=D(100), price_source="mark_price", amount=amount
        )
        audit = audited(fills, [asked(1, "2", "100", "95", "10.5")], [paid])
        (one,) = audit.stopped
        assert (one.over, one.unexplained, one.over_with_funding) == (D("-0.11"), D("-0.11"), D(over))
        told = risk_object(audit)
        assert (told["over"], told["max_over"]) == (0, "-0.11000000")
        assert told["with_funding"] == {"over": int(D(over) > 0), "max_over": f"{D(over):.8f}"}


def test_what_is_over_is_told_by_its_parts() -> None:
    # Sized at 100 with one tick of slippage: 100.1 and 94.9, fees 2 × 195 × 0.001 = 0.39, together 10.79 of 11 asked.
    # Filled from 100.5 with two ticks at 100.7, out from 94 with one at 93.9: by price 2 × (6.5 − 5) = 3 more, in
    # slippage 2 × (0.3 − 0.2) = 0.2 more, in fees 2 × 194.6 × 0.001 − 0.39 = −0.0008.
    fills = [
        replace(fill(1, Side.BUY, "2", "100.7"), reference=D("100.5")),
        replace(fill(2, Side.SELL, "2", "93.9", "stop_market"), reference=D(94)),
    ]
    planned = Planned(taker=FEES.taker, tick=D("0.1"), slippage=Slippage(ticks=1))
    (one,) = audited(fills, [asked(1, "2", "100", "95", "11")], planned=planned).stopped
    assert one.over_by == {"step": D("-0.21"), "price": D(3), "slippage": D("0.2"), "fees": D("-0.0008")}
    assert sum(one.over_by.values()) == one.over == D("2.9892")


def test_only_trades_that_ended_at_a_stop_count_each_with_its_own_answer() -> None:
    fills = [
        fill(1, Side.BUY, "2", "100"),
        fill(2, Side.SELL, "2", "104"),  # closed by the strategy
        fill(3, Side.SELL, "1", "104"),
        fill(4, Side.BUY, "1", "106", "stop_market"),
    ]
    sized = [asked(1, "2", "100", "95", "10.39"), asked(3, "1", "104", "106", "2.21")]
    audit = audited(fills, sized)
    assert [one.asked for one in audit.stopped] == [sized[1]]
    assert audit.unmatched == 0


def test_a_position_in_parts_or_of_another_size_is_counted_as_not_comparable() -> None:
    parts = [
        fill(1, Side.BUY, "1", "100"),
        fill(2, Side.BUY, "1", "101"),
        fill(3, Side.SELL, "2", "95", "stop_market"),
        fill(4, Side.BUY, "3", "95"),
        fill(5, Side.SELL, "3", "90", "stop_market"),
    ]
    audit = audited(parts, [asked(1, "1", "100", "95", "5"), asked(4, "2", "95", "90", "5")])
    assert (audit.stopped, audit.unmatched) == ([], 2)
    told = risk_object(audit)
    assert (told["stopped"], told["unmatched"], told["worst"], told["max_over"]) == (0, 2, None, None)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    entry=st.integers(5_000, 2_000_000),
    reach=st.decimals("0.0002", "0.3", places=4),
    gap=st.integers(-50, 5_000),
    late=st.integers(0, 300),
    long=st.booleans(),
    fraction=st.decimals("0.001", "0.1", places=3),
    slippage=st.builds(Slippage, bps=st.integers(0, 20).map(D), ticks=st.integers(0, 5)),
)
def test_what_is_over_is_at_most_a_gap_and_what_is_under_at_most_a_step(
    entry: int,
    reach: Decimal,
    gap: int,
    late: int,
    long: bool,
    fraction: Decimal,
    slippage: Slippage,
    btc: InstrumentSpecs,
) -> None:
    sign, side, away = (1, Side.BUY, Side.SELL) if long else (-1, Side.SELL, Side.BUY)
    price, tick = D(entry) / 10, btc.tick_size
    stop = price - sign * max((price * reach).quantize(tick), tick)
    rules = SizingRules(method="stop", fraction=fraction, leverage=D(100), slippage=slippage)
    sized = size_position(rules, btc, FEES, equity=D(1_000_000), price=price, stop_price=stop)
    answer = AskedRisk(
        time_ns=MINUTE, quantity=sized.quantity, price=price, stop_price=stop, asked=1_000_000 * fraction
    )
    first, last = price + sign * late * tick, max(stop - sign * gap * tick, tick)
    fills = [
        fill(1, side, sized.quantity, slippage.worse(first, side, tick=tick)),
        fill(2, away, sized.quantity, slippage.worse(last, away, tick=tick), "stop_market"),
    ]
    planned = Planned(taker=FEES.taker, tick=tick, slippage=slippage)
    (one,) = audited(fills, [answer], planned=planned).stopped
    step = btc.step_size * loss_per_unit(price, stop, taker=FEES.taker, tick=tick, slippage=slippage)
    assert one.unexplained <= 0
    assert sum(one.over_by.values()) == one.over
    if gap == late == 0 and sized.capped_by is None:
        assert -step < one.over <= 0


def test_slippage_that_sizing_expected_is_no_gap() -> None:
    # Sized for one tick at both ends: in at 100.1, out at 94.9: 2 × 5.2 + 2 × 195 × 0.001 = 10.79 asked and lost.
    planned = Planned(taker=FEES.taker, tick=D("0.1"), slippage=Slippage(ticks=1))
    fills = [
        replace(fill(1, Side.BUY, "2", "100.1"), reference=D(100)),
        replace(fill(2, Side.SELL, "2", "94.9", "stop_market"), reference=D(95)),
    ]
    audit = audited(fills, [asked(1, "2", "100", "95", "10.79")], planned=planned)
    (one,) = audit.stopped
    assert (one.over, one.gap, one.slippage) == (0, 0, D("0.4"))
    worst = risk_object(audit)["worst"]
    # 10 by price, 0.4 by slippage, 0.39 in fees.
    assert (worst["price"], worst["slippage"], worst["fees"]) == ("10.00000000", "0.40000000", "0.39000000")


FLAT = MarginRules(
    symbol="BTCUSDT", brackets=build_brackets([(D(0), D(10**9), D("0.01"), D(50))]), as_of_ms=0, source="test"
)


@pytest.mark.parametrize(
    ("stop", "cross", "first"),
    [
        # 2 at 100, 20 x: margin 10. A long is liquidated at (10 − 200) ÷ (2 × 0.01 − 2) = 95.9596, a short at
        # (10 + 200) ÷ (2 × 0.01 + 2) = 103.9604.
        ("95.9", False, True),
        ("96.0", False, False),
        ("104.0", False, True),
        ("103.9", False, False),
        # With the equity of 10.5 ÷ 0.02 = 525 behind it a long goes to no price above zero, a short to
        # (525 + 200) ÷ 2.02 = 358.91.
        ("0.1", True, False),
        ("358.9", True, False),
        ("359.0", True, True),
    ],
)
def test_a_stop_beyond_the_price_of_liquidation_is_told(stop: str, cross: bool, first: bool) -> None:
    backing = Backing(rules=FLAT, cross=cross, leverage=D(20), fraction=D("0.02"))
    sized = asked(1, "2", "100", stop, "10.5")
    audit = held_with(backing, sized, asked(3, "2", "100", "99", "1"))
    assert backing.comes_first(sized) == first
    assert list(audit.beyond) == [sized] * first
    assert risk_object(audit)["beyond_liquidation"] == first
    assert len(stop_warnings(audit)) == first
    assert list(held_with(None, sized).beyond) == []


def held_with(backing: Backing | None, *sized: AskedRisk) -> RiskAudit:
    """An audit of trades of two units that ended at market a minute later."""
    fills: list[Fill] = []
    for each in sized:
        minute = each.time_ns // MINUTE
        away = Side.SELL if each.side is Side.BUY else Side.BUY
        fills += [fill(minute, each.side, "2", "100"), fill(minute + 1, away, "2", "100")]
    return audit_risk(build_trades(fills, []), fills, sized, PLANNED, backing)


def test_the_warning_names_the_leverage_at_which_every_stop_is_in_reach() -> None:
    # A stop 5 % away: 1 ÷ 16 − 5 % leaves 1.25 % for a maintenance margin of 0.95 %, 1 ÷ 17 0.88 % only.
    backing = Backing(rules=FLAT, cross=False, leverage=D("20.5"), fraction=D("0.02"))
    audit = held_with(backing, asked(60, "2", "100", "95", "10.5"), asked(62, "2", "100", "97", "7"))
    (told,) = stop_warnings(audit)
    assert told.startswith("1 of 2 trades had their stop at or beyond the price of liquidation (first 1970-01-01 01:00")
    assert "stop 95, liquidation near 96.0" in told
    assert "--leverage 16 or less" in told


def test_a_liquidated_trade_is_told_beside_the_stops_and_not_among_them() -> None:
    # Margin 10 lost, and the entry's fee 0.20: 10.20 of 10.00 asked.
    leave = replace(fill(2, Side.SELL, "2", "95.9", LIQUIDATION), fee=D(0), liquidation=D("1.8"))
    audit = audited([fill(1, Side.BUY, "2", "100"), leave], [asked(1, "2", "100", "94", "10")])
    assert (list(audit.stopped), audit.unmatched) == ([], 0)
    assert risk_object(audit)["liquidated"] == {"trades": 1, "unmatched": 0, "over": 1, "max_over": "0.20000000"}
