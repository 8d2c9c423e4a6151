from dataclasses import replace
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_fills import made_fill
from nt_run.accounting import build_trades, close_books, rounding_bound
from nt_run.equity import equity_curve
from nt_run.errors import BooksError
from nt_run.klines import SCHEMA, Exponents, Klines
from nt_run.model import Fill, FundingPayment, Interval, Side

D = Decimal
MINUTE_NS = 60_000_000_000
TAKER = D("0.0005")


def fill(minute: int, side: Side, quantity: str | Decimal, price: str | Decimal) -> Fill:
    """A taker fill at the close of bar `minute` (0 is the first bar, which closes at minute 1)."""
    quantity, price = D(quantity), D(price)
    fee = (quantity * price * TAKER).quantize(D("1e-8"))
    return made_fill((minute + 1) * MINUTE_NS, side, quantity, price, order_id=f"O-{minute}", fee=fee)


def payment(minute: int, position: str, price: str, rate: str) -> FundingPayment:
    amount = -D(position) * D(price) * D(rate)
    return FundingPayment(
        time_ns=(minute + 1) * MINUTE_NS,
        position=D(position),
        rate=D(rate),
        price=D(price),
        price_source="mark_price",
        amount=amount,
    )


def klines(closes: list[float]) -> Klines:
    scaled = [round(close * 10) for close in closes]
    columns = {name: scaled if name in ("open", "high", "low", "close") else [1] * len(closes) for name in SCHEMA}
    columns["open_time"] = [minute * 60_000 for minute in range(len(closes))]
    return Klines("BTCUSDT", Interval("1m"), Exponents(1, 3, 4), pl.DataFrame(columns, schema=SCHEMA))


def test_a_long_trade_by_hand() -> None:
    # Buy 0.1 at 100,000: fee 5. Sell 0.1 at 101,000: fee 5.05. Price +100. Net 89.95.
    trades = build_trades([fill(0, Side.BUY, "0.1", "100000"), fill(5, Side.SELL, "0.1", "101000")], [])
    (trade,) = trades
    assert (trade.side, trade.quantity) == (Side.BUY, D("0.1"))
    assert (trade.entry_price, trade.exit_price) == (D(100_000), D(101_000))
    assert (trade.price_pnl, trade.fee, trade.pnl) == (D(100), D("10.05"), D("89.95"))


def test_a_fill_that_flips_the_position_belongs_to_two_trades() -> None:
    # Sell 0.3 against 0.1 long: one third of its fee closes the long, two thirds open the short.
    fills = [fill(0, Side.BUY, "0.1", "100000"), fill(1, Side.SELL, "0.3", "100000"), fill(2, Side.BUY, "0.2", "99000")]
    first, second = build_trades(fills, [])
    assert (first.fee, second.fee) == (D(10), D(10) + D("9.9"))
    assert (second.side, second.quantity, second.price_pnl) == (Side.SELL, D("0.2"), D(200))
    assert first.exit_time_ns == second.entry_time_ns


def test_adding_averages_the_entry_and_partial_exits_average_the_exit() -> None:
    fills = [
        fill(0, Side.BUY, "1", "100"),
        fill(1, Side.BUY, "3", "104"),
        fill(2, Side.SELL, "2", "110"),
        fill(3, Side.SELL, "2", "106"),
    ]
    (trade,) = build_trades(fills, [])
    assert (trade.entry_price, trade.exit_price, trade.quantity) == (D(103), D(108), D(4))
    assert trade.price_pnl == D(20)


def test_funding_goes_to_the_trade_that_was_open_before_the_fills_of_that_instant() -> None:
    # Long 1 at 100; at minute 2 funding 0.01 % on it is due and the position is closed at the same instant.
    fills = [fill(0, Side.BUY, "1", "100"), fill(2, Side.SELL, "1", "101")]
    (trade,) = build_trades(fills, [payment(2, "1", "100.5", "0.0001")])
    assert trade.funding == D("-0.01005")


def test_funding_without_a_position_is_an_error() -> None:
    with pytest.raises(BooksError, match="paid funding"):
        build_trades([], [payment(2, "1", "100", "0.0001")])


def test_the_books_of_an_open_short_by_hand() -> None:
    # Short 2 at 100 (fee 0.1), receives funding 2 × 101 × 0.0001 = 0.0202, marked at 97: open PnL +6.
    trades = build_trades([fill(0, Side.SELL, "2", "100")], [payment(1, "-2", "101", "0.0001")])
    books = close_books(
        trades,
        starting_balance=D(1000),
        last_close=D(97),
        engine_balance=D("999.9202"),
        engine_open_pnl=D(6),
    )
    assert (books.price, books.fees, books.funding, books.rounding) == (D(6), D("-0.1"), D("0.0202"), D(0))
    assert books.net == books.price + books.fees + books.funding == D("5.9202")


def test_slippage_is_split_from_the_price_by_hand() -> None:
    # Long 2: paid 100.3 where the market was at 100 (−0.6), got 104.8 at 105 (−0.4). At the market's prices +10.
    bought = replace(fill(0, Side.BUY, "2", "100.3"), reference=D(100))
    sold = replace(fill(1, Side.SELL, "2", "104.8"), reference=D(105))
    # Then short 1 at 105.9 where the market was at 106 (−0.1), still open at 104: +2 at the market's price.
    short = replace(fill(2, Side.SELL, "1", "105.9"), reference=D(106))
    trades = build_trades([bought, sold, short], [])
    assert [(trade.price_pnl, trade.slippage) for trade in trades] == [(D(10), D(-1)), (D("0.1"), D("-0.1"))]
    # Fees 0.0005 × (200.6 + 209.6 + 105.9) = 0.25805
    assert trades[0].pnl + trades[1].pnl == 9 - D("0.25805")
    books = close_books(
        trades,
        starting_balance=D(1000),
        last_close=D(104),
        engine_balance=1009 - D("0.25805"),
        engine_open_pnl=D("1.9"),
    )
    assert (books.price, books.slippage, books.fees, books.rounding) == (D(12), D("-1.1"), D("-0.25805"), 0)
    assert books.net == books.price + books.slippage + books.fees == D("10.64195")


def test_a_fill_that_flips_splits_its_slippage() -> None:
    # Sell 3 at 99.9 where the market was at 100, against 1 long: −0.1 closes, −0.2 opens.
    fills = [fill(0, Side.BUY, "1", "100"), replace(fill(1, Side.SELL, "3", "99.9"), reference=D(100))]
    assert [trade.slippage for trade in build_trades(fills, [])] == [D("-0.1"), D("-0.2")]


def test_books_that_do_not_balance_fail_the_run() -> None:
    trades = build_trades([fill(0, Side.SELL, "2", "100")], [])
    with pytest.raises(BooksError, match="do not balance") as caught:
        close_books(
            trades,
            starting_balance=D(1000),
            last_close=D(97),
            engine_balance=D("999.9"),
            engine_open_pnl=D("6.000001"),
        )
    assert caught.value.exit_code == 5


def test_the_curve_is_marked_at_every_close_and_a_bar_includes_the_fills_at_its_close() -> None:
    curve = equity_curve(klines([100, 102, 99, 101]), [fill(1, Side.BUY, "1", "102")], [], D(1000))
    assert curve["position"].to_list() == [0, 1, 1, 1]
    assert curve["equity"].to_list() == pytest.approx([1000, 999.949, 996.949, 998.949], abs=1e-9)
    assert curve["balance"].to_list() == pytest.approx([1000, 999.949, 999.949, 999.949], abs=1e-9)
    assert curve["time"].dt.epoch("ms").to_list() == [60_000, 120_000, 180_000, 240_000]
    assert curve["drawdown"].to_list() == pytest.approx([0, -0.000051, -0.003051, -0.001051], abs=1e-12)


sides = st.sampled_from([Side.BUY, Side.SELL])
steps = st.tuples(sides, st.integers(1, 2000), st.integers(500, 1_500_000), st.integers(0, 300))


@given(st.lists(steps, max_size=30))
def test_the_identity_holds_for_any_fills(orders: list[tuple[Side, int, int, int]]) -> None:
    fills = [
        replace(fill(i, side, D(q).scaleb(-3), D(p).scaleb(-1)), reference=D(p - side.sign * slipped).scaleb(-1))
        for i, (side, q, p, slipped) in enumerate(orders)
    ]
    closes = [float(f.price) for f in fills] or [100.0]
    trades = build_trades(fills, [])
    cash = D(10_000) - sum((f.side.sign * f.quantity * f.price + f.fee for f in fills), D(0))
    held = sum((f.side.sign * f.quantity for f in fills), D(0))
    last = D(str(closes[-1]))
    books = close_books(
        trades,
        starting_balance=D(10_000),
        last_close=last,
        engine_balance=cash,
        engine_open_pnl=held * last,
    )
    assert books.rounding == 0
    assert books.net == books.price + books.fees + books.funding + books.slippage
    assert books.slippage == sum((f.side.sign * f.quantity * (f.reference - f.price) for f in fills), D(0)) <= 0
    # An average of prices may have no end of digits.
    assert abs(sum((t.pnl for t in trades), books.open_pnl) - books.net) < D("1e-15")
    curve = equity_curve(klines(closes), fills, [], D(10_000))
    assert curve["equity"][-1] == pytest.approx(float(books.final_equity), abs=1e-6)
    assert np.isclose(curve["balance"][-1] + float(books.open_pnl), curve["equity"][-1], atol=1e-6)
    assert sum(t.quantity > 0 for t in trades) == len(trades)
    assert all(t.exit_time_ns is not None for t in trades[:-1])


@pytest.mark.parametrize(("quantity", "bound"), [("50", "0"), ("500", "5.44e-8")])
def test_what_floats_are_off_counts_from_the_position_on_that_they_do_not_hold_to_eight_decimals(
    quantity: str, bound: str
) -> None:
    # 50 BTC at 100,000 are 5 million: 5e6 × 4 × 2^-52 = 4.4e-9, which rounding to 1e-8 takes away. 500 are 50 million:
    # 4.4e-8 and one rounding of 1e-8.
    (trade,) = build_trades([fill(0, Side.BUY, quantity, "100000"), fill(1, Side.SELL, quantity, "100000")], [])
    assert rounding_bound(trade) == pytest.approx(D(bound), rel=D("0.001"))
