"""The replay by hand, and against the books it must agree with though it shares nothing with them."""

from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_fills import made_fill
from nt_run.accounting import build_trades
from nt_run.comparison import compare_equity, compare_totals, compare_trades
from nt_run.equity import equity_curve
from nt_run.frames import trades_frame
from nt_run.klines import SCHEMA, Exponents, Klines
from nt_run.model import Fill, FundingPayment, Interval, Side
from nt_run.replay import replay

D = Decimal
MINUTE_NS = 60_000_000_000


def fill(minute: int, side: Side, quantity: str | Decimal, price: str | Decimal) -> Fill:
    """A taker fill, 0.05 %, at the close of bar `minute`."""
    fee = (D(quantity) * D(price) * D("0.0005")).quantize(D("1e-8"))
    return made_fill((minute + 1) * MINUTE_NS, side, quantity, price, order_id=f"O-{minute}", fee=fee)


def payment(minute: int, position: str | Decimal, price: str, rate: str) -> FundingPayment:
    return FundingPayment(
        time_ns=(minute + 1) * MINUTE_NS,
        position=D(position),
        rate=D(rate),
        price=D(price),
        price_source="mark_price",
        amount=(-D(position) * D(price) * D(rate)).quantize(D("1e-8")),
    )


def klines(closes: list[int]) -> Klines:
    columns = {name: [close * 10 for close in closes] if name == "close" else [10] * len(closes) for name in SCHEMA}
    columns["open_time"] = [minute * 60_000 for minute in range(len(closes))]
    return Klines("BTCUSDT", Interval("1m"), Exponents(1, 3, 4), pl.DataFrame(columns, schema=SCHEMA))


def test_a_position_turned_round_by_hand() -> None:
    # Buy 1 at 100 (fee 0.05), funding 1 × 101 × 0.001 = 0.101 paid, sell 3 at 110 (fee 0.165): one third of it, 0.055,
    # closes the long: 10 − 0.05 − 0.055 − 0.101 = 9.794. Two thirds open a short of 2; 1 of it is bought back at 105
    # (fee 0.0525): +5, and 1 is still held at its entry price of 110.
    fills = [fill(0, Side.BUY, "1", "100"), fill(2, Side.SELL, "3", "110"), fill(3, Side.BUY, "1", "105")]
    account = replay(fills, [payment(1, "1", "101", "0.001")], D(1000))
    long, short = account.trades
    assert (long.pnl, long.quantity, long.exit_time) == (D("9.794"), 1, 3 * MINUTE_NS)
    assert (short.price_pnl, short.fee, short.quantity, short.exit_time) == (5, D("0.1625"), 2, None)
    assert (short.entry_price, short.exit_price, account.position) == (110, 105, -1)
    # What is realised: 1000 + 9.794 + 5 − 0.1625.
    assert account.balance == D("1014.6315")
    assert account.cash == account.balance + 110


def test_funding_of_an_instant_comes_before_its_fills() -> None:
    fills = [fill(0, Side.BUY, "1", "100"), fill(2, Side.SELL, "1", "100")]
    account = replay(fills, [payment(2, "1", "100", "0.001")], D(1000))
    assert [trade.funding for trade in account.trades] == [D("-0.1")]


def test_equity_is_cash_plus_the_position_at_each_close() -> None:
    account = replay([fill(1, Side.BUY, "2", "100")], [], D(1000))
    bars = klines([99, 100, 90, 120])
    # Fee 0.1: 1000, 999.9, 979.9, 1039.9; the highest before the fall is the starting balance.
    kept = pl.DataFrame(
        {
            "time": pl.Series([60_000, 120_000, 180_000, 240_000]).cast(pl.Datetime("ms", "UTC")),
            "balance": [1000.0, 999.9, 999.9, 999.9],
            "equity": [1000.0, 999.9, 979.9, 1039.9],
            "position": [0.0, 2.0, 2.0, 2.0],
            "drawdown": [0.0, -0.0001, -0.0201, 0.0],
        }
    )
    assert compare_equity(account, bars, kept, D(1000)).violations == []
    (short,) = compare_equity(account, bars, kept[:3], D(1000)).violations
    assert (short.what, short.expected) == ("rows", "4 bars of the klines")
    off = kept.with_columns(pl.col("drawdown") - 0.001)
    (wrong,) = compare_equity(account, bars, off, D(1000)).violations
    assert wrong.what == "drawdown (4 bars)"


def test_a_total_that_is_off_by_more_than_a_millionth_is_named() -> None:
    account = replay([fill(0, Side.BUY, "2", "100")], [], D(1000))
    stated = {"final_balance": D("999.9"), "final_equity": D("1019.9"), "fees": D("-0.1"), "open_pnl": D(20)}
    given_ = {"balance": D(1000), "last_close": D(110)}
    assert compare_totals(account, stated, **given_).violations == []
    (wrong,) = compare_totals(account, stated | {"fees": D("-0.100002")}, **given_).violations
    assert (wrong.what, wrong.expected, wrong.found) == ("fees", "-0.10000000", "-0.10000200")


sides = st.sampled_from([Side.BUY, Side.SELL])
orders = st.tuples(sides, st.integers(1, 2000), st.integers(500, 1_500_000))


@given(st.lists(orders, min_size=1, max_size=30), st.sets(st.integers(0, 30), max_size=6))
def test_replay_and_books_agree_on_any_fills_and_settlements(
    drawn: list[tuple[Side, int, int]], settled: set[int]
) -> None:
    fills = [fill(at, side, D(size) / 1000, D(price) / 10) for at, (side, size, price) in enumerate(drawn)]
    payments: list[FundingPayment] = []
    position = D(0)
    for at, each in enumerate(fills):
        if at in settled and position:
            payments.append(payment(at, position, str(each.price), "-0.0003"))
        position += each.side.sign * each.quantity
    account = replay(fills, payments, D(10_000))
    frame = trades_frame(build_trades(fills, payments))
    rows = frame.with_columns(pl.col("entry_time", "exit_time").dt.epoch("ns")).to_dicts()
    compared = compare_trades(account, rows)
    assert compared.violations == []
    assert compared.largest <= D("1e-8")
    bars = klines([price // 10 for _, _, price in drawn])
    curve = equity_curve(bars, fills, payments, D(10_000))
    assert compare_equity(account, bars, curve, D(10_000)).violations == []


@given(st.lists(orders, min_size=2, max_size=12), st.data())
def test_a_trade_with_any_cell_changed_is_named(drawn: list[tuple[Side, int, int]], data: st.DataObject) -> None:
    fills = [fill(at, side, D(size) / 1000, D(price) / 10) for at, (side, size, price) in enumerate(drawn)]
    frame = trades_frame(build_trades(fills, []))
    rows = frame.with_columns(pl.col("entry_time", "exit_time").dt.epoch("ns")).to_dicts()
    row = data.draw(st.sampled_from(rows))
    name = data.draw(st.sampled_from(["pnl", "price_pnl", "fee", "funding", "quantity", "entry_price"]))
    row[name] = row[name] + (1 if name == "entry_price" else D("0.000002"))
    (wrong,) = compare_trades(replay(fills, [], D(10_000)), rows).violations
    assert (wrong.check, wrong.what, wrong.time_ns) == ("trades", name, row["entry_time"])


def test_the_largest_difference_says_when() -> None:
    fills = [fill(at, Side.BUY if at % 2 == 0 else Side.SELL, "1", str(100 + at)) for at in range(4)]
    rows = trades_frame(build_trades(fills, []))
    rows = rows.with_columns(pl.col("entry_time", "exit_time").dt.epoch("ns")).to_dicts()
    rows[1]["funding"] += D("0.0000004")
    compared = compare_trades(replay(fills, [], D(1000)), rows)
    # Below the tolerance it is reported and no violation.
    assert (compared.largest, compared.time_ns, compared.violations) == (D("4e-7"), 3 * MINUTE_NS, [])
    assert compared.largest == pytest.approx(D("4e-7"))
