from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from nt_run.engine.funding import FundingPlan
from nt_run.engine.run import EngineOutput
from nt_run.errors import BooksError
from nt_run.klines import Klines
from nt_run.model import MS, Fill, Liquidity, Side

FLAT = [(100, 100, 100, 100, 50)]


@pytest.fixture
def calm(make_klines: Callable[..., Klines]) -> Klines:
    """Ten bars at 100.0, of which bar 6 (the seventh) closes at the slot."""
    return make_klines(FLAT * 10, start=1_704_096_000_000 - 7 * 60_000)


def test_a_long_pays_position_times_mark_times_rate(run: Callable[..., EngineOutput], calm: Klines, kit: Any) -> None:
    output = run(calm, {2: [kit.buy("3")]}, funding=[kit.rate("0.0001", "101.12345678")])
    (payment,) = output.payments
    # −3 × 101.12345678 × 0.0001 = −0.030337037034, booked to eight decimals
    assert payment.amount == Decimal("-0.03033704")
    assert (payment.position, payment.price, payment.rate) == (3, Decimal("101.12345678"), Decimal("0.0001"))
    assert payment.time_ns == kit.SLOT * MS
    # 3 × 100 × 0.0005 = 0.15 entry fee
    assert output.balance == Decimal(100_000) - Decimal("0.15") - Decimal("0.03033704")


def test_a_short_receives(run: Callable[..., EngineOutput], calm: Klines, kit: Any) -> None:
    (payment,) = run(calm, {2: [kit.sell("3")]}, funding=[kit.rate("0.0001", "101.12345678")]).payments
    assert payment.amount == Decimal("0.03033704")


def test_a_negative_rate_turns_the_payment_around(run: Callable[..., EngineOutput], calm: Klines, kit: Any) -> None:
    (payment,) = run(calm, {2: [kit.buy("3")]}, funding=[kit.rate("-0.0003", "100")]).payments
    assert payment.amount == Decimal("0.09")


def test_without_a_mark_price_the_close_at_the_slot_settles(
    run: Callable[..., EngineOutput], make_klines: Callable[..., Klines], kit: Any
) -> None:
    klines = make_klines([*FLAT * 3, (100, 107, 100, 107, 50), *FLAT * 2], start=kit.SLOT - 4 * 60_000)
    (payment,) = run(klines, {0: [kit.buy("1")]}, funding=[kit.rate("0.0001")]).payments
    assert (payment.price, payment.amount) == (107, Decimal("-0.0107"))


def test_every_settlement_is_kept_with_the_source_of_its_price_though_nothing_paid_it(
    run: Callable[..., EngineOutput], calm: Klines, kit: Any
) -> None:
    rates = [kit.rate("0.0001", "101", slot=kit.SLOT - 60_000), kit.rate("-0.0002")]
    output = run(calm, {}, funding=rates)
    assert output.payments == []
    assert [(each.time_ns, each.rate, each.price, each.price_source) for each in output.settlements] == [
        ((kit.SLOT - 60_000) * MS, Decimal("0.0001"), 101, "mark_price"),
        (kit.SLOT * MS, Decimal("-0.0002"), 100, "last_close"),
    ]


def test_an_order_at_the_close_of_the_slots_bar_comes_after_the_settlement(
    run: Callable[..., EngineOutput], calm: Klines, kit: Any
) -> None:
    opened = run(calm, {6: [kit.buy("3")]}, funding=[kit.rate("0.0001", "100")])
    assert (len(opened.fills), opened.payments) == (1, [])
    assert opened.fills[0].time_ns == kit.SLOT * MS
    closed = run(calm, {2: [kit.buy("3")], 6: [kit.sell("3")]}, funding=[kit.rate("0.0001", "100")])
    assert [payment.position for payment in closed.payments] == [3]
    flipped = run(calm, {2: [kit.buy("3")], 6: [kit.sell("6")]}, funding=[kit.rate("0.0001", "100")])
    assert [payment.amount for payment in flipped.payments] == [Decimal("-0.03")]


def test_a_flat_account_pays_nothing(run: Callable[..., EngineOutput], calm: Klines, kit: Any) -> None:
    output = run(calm, {1: [kit.buy("3")], 2: [kit.sell("3")]}, funding=[kit.rate("0.0001", "100")])
    assert output.payments == []


def test_settlements_need_no_fixed_interval(
    run: Callable[..., EngineOutput], make_klines: Callable[..., Klines], kit: Any
) -> None:
    klines = make_klines(FLAT * 13, start=kit.SLOT - 60 * 60_000, interval="1h")
    # 8 h, then 4 h, then 1 h, then an odd one: all settle.
    slots = [kit.SLOT + hours * 3_600_000 for hours in (0, 4, 5)] + [kit.SLOT + 6 * 3_600_000 + 1_000]
    output = run(klines, {0: [kit.buy("1")]}, funding=[kit.rate("0.0001", "100", slot) for slot in slots])
    assert [payment.time_ns for payment in output.payments] == [slot * MS for slot in slots[1:]]


def test_settlements_before_the_first_and_after_the_last_bar_are_left_out(calm: Klines, kit: Any) -> None:
    span = calm.range
    slots = [span.start_ms - 1, span.start_ms, span.start_ms + 1, span.end_ms, span.end_ms + 1]
    plan = FundingPlan([kit.rate("0.0001", "100", slot) for slot in slots], calm)
    assert [rate.slot_ms for rate in plan.rates] == [span.start_ms + 1, span.end_ms]


def fill(time_ns: int, side: Side, quantity: str) -> Fill:
    return Fill(
        time_ns=time_ns,
        order_id="O-1",
        side=side,
        quantity=Decimal(quantity),
        price=Decimal(100),
        reference=Decimal(100),
        fee=Decimal(0),
        liquidity=Liquidity.TAKER,
        order_type="market",
    )


@pytest.mark.parametrize(
    ("booked", "found"),
    [({}, "missing"), ({-1: "-0.03000002"}, "-0.03000002"), ({-1: "-0.03", -2: "-0.03"}, "2")],
    ids=["missed", "wrong amount", "one too many"],
)
def test_a_settlement_the_engine_booked_wrongly_is_an_error(
    booked: dict[int, str], found: str, calm: Klines, kit: Any
) -> None:
    plan = FundingPlan([kit.rate("0.0001", "100")], calm)
    slot = kit.SLOT * MS
    engine = {slot + shift: Decimal(amount) for shift, amount in booked.items()}
    with pytest.raises(BooksError) as caught:
        plan.payments(engine, [fill(slot - 60_000 * MS, Side.BUY, "3")])
    assert caught.value.found == found


@pytest.mark.parametrize("long", [True, False])
def test_through_a_rate_change_and_from_eight_hours_to_four_by_hand(
    long: bool, run: Callable[..., EngineOutput], make_klines: Callable[..., Klines], kit: Any
) -> None:
    # Hours at 100.0 from 22:00 the day before; 2 contracts from 23:00 on. The contract settles at 00:00 and 08:00, and
    # from 08:00 on every four hours. A long pays, a short receives:
    #   00:00  2 × 100.0 × 0.0001  =  0.02
    #   08:00  2 × 101.5 × 0.0003  =  0.0609
    #   12:00  2 ×  99.0 × −0.0002 = −0.0396
    #   16:00  2 × 100.25 × 0.0001 =  0.02005
    klines = make_klines(FLAT * 19, start=kit.SLOT - 10 * 3_600_000, interval="1h")
    settlements = ((0, "0.0001", "100"), (8, "0.0003", "101.5"), (12, "-0.0002", "99"), (16, "0.0001", "100.25"))
    rates = [kit.rate(rate, mark, kit.SLOT + (hour - 8) * 3_600_000) for hour, rate, mark in settlements]
    output = run(klines, {0: [kit.buy("2") if long else kit.sell("2")]}, funding=rates)
    paid = [Decimal(amount) for amount in ("0.02", "0.0609", "-0.0396", "0.02005")]
    assert [payment.amount for payment in output.payments] == [-amount if long else amount for amount in paid]
    # 0.06135 in all, and the entry fee 2 × 100 × 0.0005 = 0.1
    total = Decimal("-0.06135") if long else Decimal("0.06135")
    assert output.balance == 100_000 + total - Decimal("0.1")
