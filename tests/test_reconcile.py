from decimal import Decimal

import pytest

from nt_run.accounting import Trade, build_trades
from nt_run.errors import BooksError
from nt_run.model import BookedTrade, Fill, Liquidity, Side
from nt_run.reconcile import reconcile_trades

D = Decimal
MINUTE = 60_000_000_000


def trades(*orders: tuple[int, Side, str, str]) -> list[Trade]:
    """Trades of (minute, side, quantity, price), each with a fee of 1."""
    fills = [
        Fill(
            time_ns=minute * MINUTE,
            order_id=f"O-{minute}",
            side=side,
            quantity=D(quantity),
            price=D(price),
            reference=D(price),
            fee=D(1),
            liquidity=Liquidity.TAKER,
            order_type="market",
        )
        for minute, side, quantity, price in orders
    ]
    return build_trades(fills, [])


def booked(entry: int, leave: int | None, pnl: str) -> BookedTrade:
    return BookedTrade(entry_time_ns=entry * MINUTE, exit_time_ns=None if leave is None else leave * MINUTE, pnl=D(pnl))


TWO = trades(
    (1, Side.BUY, "1", "100"), (2, Side.SELL, "1", "110"), (3, Side.SELL, "1", "110"), (4, Side.BUY, "1", "105")
)
"""10 − 2 = 8, and 5 − 2 = 3."""


def test_trades_as_the_engine_booked_them_reconcile_in_any_order() -> None:
    reconcile_trades(TWO, [booked(3, 4, "3"), booked(1, 2, "8")])


def test_an_open_trade_reconciles_with_what_it_has_realised() -> None:
    # Half of two is sold at 110: 10 − 2.
    reconcile_trades(trades((1, Side.BUY, "2", "100"), (2, Side.SELL, "1", "110")), [booked(1, None, "8")])


def test_trades_within_one_instant_are_told_apart_by_what_they_made() -> None:
    instant = trades(
        (1, Side.BUY, "1", "100"), (1, Side.SELL, "1", "110"), (1, Side.SELL, "1", "110"), (1, Side.BUY, "1", "105")
    )
    reconcile_trades(instant, [booked(1, 1, "3"), booked(1, 1, "8")])


@pytest.mark.parametrize(
    ("engine", "named", "expected", "found"),
    [
        ([booked(1, 2, "8"), booked(3, 4, "3.00000002")], "00:03", "3.0000000000", "3.00000002"),
        ([booked(1, 2, "7"), booked(3, 4, "2")], "00:01", "8.0000000000", "7"),
        ([booked(3, 4, "3")], "00:01", "8.0000000000", "missing"),
        ([booked(1, 2, "8")], "00:03", "3.0000000000", "missing"),
        ([booked(1, 2, "8"), booked(2, 3, "5"), booked(3, 4, "3")], "00:02", "none", "5"),
        ([booked(1, 2, "8"), booked(3, 4, "3"), booked(5, None, "1")], "00:05", "none", "1"),
    ],
)
def test_the_first_trade_that_differs_is_named(
    engine: list[BookedTrade], named: str, expected: str, found: str
) -> None:
    with pytest.raises(BooksError, match=f"the PnL of the trade entered 1970-01-01 {named}") as caught:
        reconcile_trades(TWO, engine)
    assert (caught.value.expected, caught.value.found, caught.value.exit_code) == (expected, found, 5)


def test_only_an_averaged_entry_may_differ_by_what_floats_explain() -> None:
    # Three fills: 3 × (1e-8 + largest side × 2^-50) beside the tolerance of 1e-8.
    averaged = trades((1, Side.BUY, "1", "100"), (2, Side.BUY, "1", "101"), (3, Side.SELL, "2", "110"))
    reconcile_trades(averaged, [booked(1, 3, "16.00000003")])
    with pytest.raises(BooksError):
        reconcile_trades(averaged, [booked(1, 3, "16.00000005")])
