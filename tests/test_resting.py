from decimal import Decimal

import pytest

from nt_run.model import Side
from nt_run.resting import RestingOrder

D = Decimal


@pytest.mark.parametrize(
    ("order_type", "price", "trigger", "makes"),
    [
        ("limit", "100", None, True),
        ("stop_market", None, "95", False),
        ("market_if_touched", None, "105", False),
        # It takes where it is triggered, and makes if it rested since then.
        ("stop_limit", "94", "95", False),
        ("stop_limit", "94", None, True),
        ("limit_if_touched", "104", "105", False),
        ("limit_if_touched", "104", None, True),
    ],
)
def test_only_what_waits_for_no_trigger_makes_the_market(
    order_type: str, price: str | None, trigger: str | None, makes: bool
) -> None:
    order = RestingOrder(
        order_id="O-1",
        side=Side.SELL,
        order_type=order_type,
        quantity=D(1),
        price=None if price is None else D(price),
        trigger=None if trigger is None else D(trigger),
        sent_ns=0,
        since_ns=0,
        until_ns=None,
        ended="open",
    )
    assert order.makes == makes
