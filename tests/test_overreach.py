"""Stops for which nobody asked for margin when they opened a position."""

from decimal import Decimal

import pytest

from made_fills import made_fill
from nt_run.model import Fill, FundingPayment, Side
from nt_run.overreach import Overreach, find_overreach, overreach_warnings

BUY, SELL = Side.BUY, Side.SELL
HOUR = 3_600_000_000_000


def filled(hour: int, side: Side, quantity: str, price: str, order_type: str, fee: str = "0") -> Fill:
    return made_fill(hour * HOUR, side, quantity, price, order_type=order_type, fee=Decimal(fee))


SHORT = filled(1, SELL, "0.1", "100000", "market")
CLOSED = filled(2, BUY, "0.1", "104000", "market")


def test_a_stop_that_outlived_its_position_and_opens_one_beyond_the_account_is_found() -> None:
    # 1,000 USDT at 10 x; the short of 0.1 BTC loses 0.1 × 4,000 = 400, and 600 are left. The stop that was to close it
    # buys 0.1 at 105,000 = 10,500 USDT = 17.5 times 600.
    stop = filled(3, BUY, "0.1", "105000", "stop_market")
    found = find_overreach([SHORT, CLOSED, stop], [], balance=Decimal(1000), leverage=Decimal(10))
    assert found == [Overreach(3 * HOUR, Decimal("17.5"))]
    (told,) = overreach_warnings(found, Decimal(10))
    assert told.startswith(
        "1 stop order opened a position beyond the account's margin, at worst 17.5 times its equity, 1970-01-01 03:00"
    )


@pytest.mark.parametrize(
    "last",
    [
        filled(3, BUY, "0.05", "105000", "stop_market"),  # 5,250 ≤ 600 × 10
        filled(3, BUY, "0.1", "105000", "limit"),  # its margin was asked for when it was sent
    ],
)
def test_what_the_account_bears_and_what_is_no_stop_is_not_found(last: Fill) -> None:
    assert find_overreach([SHORT, CLOSED, last], [], balance=Decimal(1000), leverage=Decimal(10)) == []


def test_a_stop_that_closes_is_never_found_whatever_is_left() -> None:
    stop = filled(2, BUY, "0.1", "109500", "stop_market")
    assert find_overreach([SHORT, stop], [], balance=Decimal(1000), leverage=Decimal(10)) == []


def test_fees_and_funding_count_towards_the_equity() -> None:
    # 600 − 60 of fees − 40 of funding = 500: a stop of 0.05 × 104,000 = 5,200 is beyond 500 × 10, and within 600 × 10.
    closed = filled(2, BUY, "0.1", "104000", "market", fee="60")
    paid = FundingPayment(
        time_ns=HOUR + 1,
        position=Decimal("-0.1"),
        rate=Decimal("-0.004"),
        price=Decimal(100000),
        price_source="mark_price",
        amount=Decimal(-40),
    )
    stop = filled(3, SELL, "0.05", "104000", "trailing_stop_market")
    assert find_overreach([SHORT, CLOSED, stop], [], balance=Decimal(1000), leverage=Decimal(10)) == []
    assert find_overreach([SHORT, closed, stop], [paid], balance=Decimal(1000), leverage=Decimal(10)) == [
        Overreach(3 * HOUR, Decimal("10.4"))
    ]


def test_nothing_found_is_nothing_told() -> None:
    assert overreach_warnings([], Decimal(10)) == []
