from collections.abc import Sequence
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_fills import made_fill
from nt_run.accounting import build_trades
from nt_run.holes import Crossing, find_crossings
from nt_run.klines import SCHEMA, Exponents, Klines
from nt_run.model import Fill, FundingPayment, Interval, Side, TimeRange

MINUTE_NS = 60_000_000_000
D = Decimal


def klines(bars: dict[int, tuple[int, int]]) -> Klines:
    """Return one-minute bars with (open, close) by minute."""
    opens, closes = [each[0] for each in bars.values()], [each[1] for each in bars.values()]
    columns = {name: [1] * len(bars) for name in SCHEMA}
    columns |= {"open_time": [minute * 60_000 for minute in bars], "open": opens, "close": closes}
    return Klines("BTCUSDT", Interval("1m"), Exponents(0, 3, 4), pl.DataFrame(columns, schema=SCHEMA))


def span(first: int, end: int) -> TimeRange:
    return TimeRange(first * 60_000, end * 60_000)


def fill(minute: int, side: Side, quantity: str, price: str = "100") -> Fill:
    """Return a fill at the close of a minute's bar."""
    return made_fill((minute + 1) * MINUTE_NS, side, quantity, price, order_id=str(minute))


def crossings(
    bars: Klines, expected: TimeRange, fills: Sequence[Fill], payments: Sequence[FundingPayment] = ()
) -> list[Crossing]:
    return find_crossings(bars, expected, build_trades(fills, payments), fills, payments)


def test_the_pnl_across_a_hole_is_position_times_the_gap_in_price() -> None:
    # Short 2 from the close of minute 1; minutes 2 to 4 are missing; the price opens 30 lower: −2 × (70 − 100) = +60.
    bars = klines({0: (100, 100), 1: (100, 100), 5: (70, 72), 6: (72, 75)})
    fills = [fill(1, Side.SELL, "2"), fill(6, Side.BUY, "2", "75")]
    (crossing,) = crossings(bars, span(0, 7), fills)
    assert (crossing.hole, crossing.bars) == (span(2, 5), 3)
    assert (crossing.close_before, crossing.open_after) == (D(100), D(70))
    assert (crossing.position, crossing.price_pnl) == (D(-2), D(60))
    # The whole trade: sold at 100, bought at 75, 2 each.
    assert crossing.trade_pnl == D(50)
    assert (crossing.entry_time_ns, crossing.exit_time_ns) == (2 * MINUTE_NS, 7 * MINUTE_NS)


def test_a_flat_account_crosses_no_hole() -> None:
    bars = klines({0: (100, 100), 3: (100, 100), 4: (100, 100)})
    assert crossings(bars, span(0, 5), [fill(3, Side.BUY, "1"), fill(4, Side.SELL, "1")]) == []
    assert crossings(bars, span(0, 5), []) == []


def test_a_position_closed_at_the_last_close_before_a_hole_is_not_held_across_it() -> None:
    bars = klines({0: (100, 100), 1: (100, 100), 4: (50, 50)})
    assert crossings(bars, span(0, 5), [fill(0, Side.BUY, "1"), fill(1, Side.SELL, "1")]) == []


def test_a_hole_at_the_end_of_the_range_makes_nothing_and_says_so() -> None:
    (crossing,) = crossings(klines({0: (100, 90), 1: (90, 80)}), span(0, 4), [fill(0, Side.BUY, "1")])
    assert crossing.hole == span(2, 4)
    assert (crossing.close_before, crossing.open_after, crossing.price_pnl) == (D(80), None, D(0))


def test_a_hole_at_the_start_of_the_range_is_before_every_position() -> None:
    assert crossings(klines({2: (100, 90), 3: (90, 80)}), span(0, 4), [fill(2, Side.BUY, "1")]) == []


@pytest.mark.parametrize(("minute", "inside"), [(1, False), (2, True), (4, True), (5, False)])
def test_funding_belongs_to_a_hole_from_its_first_missing_close_to_its_last(minute: int, *, inside: bool) -> None:
    bars = klines({0: (100, 100), 1: (100, 100), 5: (100, 100), 6: (100, 100)})
    payment = FundingPayment(
        time_ns=(minute + 1) * MINUTE_NS,
        position=D(1),
        rate=D("0.0001"),
        price=D(100),
        price_source="last_close",
        amount=D("-0.01"),
    )
    (crossing,) = crossings(bars, span(0, 7), [fill(0, Side.BUY, "1")], [payment])
    assert list(crossing.settlements) == ([payment] if inside else [])


@given(st.data())
def test_with_holes_or_without_price_pnl_is_what_bars_and_holes_make_together(data: st.DataObject) -> None:
    """Σ position × (close − open) inside bars + Σ position × (open − close before) between them = the price PnL."""
    minutes = sorted(data.draw(st.sets(st.integers(0, 30), min_size=2, max_size=20)))
    prices = st.integers(50, 150)
    bars = {minute: (data.draw(prices), data.draw(prices)) for minute in minutes}
    fills = [
        fill(minute, data.draw(st.sampled_from(Side)), data.draw(st.sampled_from(["1", "2.5"])), str(bars[minute][1]))
        for minute in data.draw(st.sets(st.sampled_from(minutes), max_size=6).map(sorted))
    ]
    found = crossings(klines(bars), span(minutes[0], minutes[-1] + 1), fills)
    made, held = D(0), D(0)
    by_minute = {each.time_ns // MINUTE_NS - 1: each for each in fills}
    for before, minute in zip([None, *minutes], minutes, strict=False):
        made += held * (bars[minute][1] - bars[minute][0])
        if before == minute - 1:
            made += held * (bars[minute][0] - bars[before][1])
        if minute in by_minute:
            held += by_minute[minute].side.sign * by_minute[minute].quantity
    trades = build_trades(fills, [])
    last = D(bars[minutes[-1]][1])
    price = sum((trade.received - trade.paid for trade in trades), D(0)) + held * last
    assert made + sum((each.price_pnl for each in found), D(0)) == price
