"""Ambiguous bars by hand: 2 are held, a stop is at 95 and a target at 105; the second minute comes to both from 100."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from made_fills import made_fill
from nt_run.matching import MatchBars
from nt_run.model import Fill, Side
from nt_run.resting import RestingOrder
from nt_run.twofold import check_ambiguous

D = Decimal
MINUTE = 60_000_000_000


def bars(opened: int = 100, low: int = 94, high: int = 106) -> MatchBars:
    number = np.arange(2, dtype=np.int64)
    first, top, bottom, last = (
        np.array(each, dtype=np.int64) for each in ((100, opened), (101, high), (99, low), (100, 100))
    )
    return MatchBars(number * 60_000, (number + 1) * 60_000, first, top, bottom, last, 0)


def fill(minute: int, side: Side, quantity: str, price: str, kind: str, name: str) -> Fill:
    return made_fill(minute * MINUTE, side, quantity, price, order_id=name, order_type=kind)


def rest(name: str, level: str, *, quantity: str = "2", since: int = 1, kind: str | None = None) -> RestingOrder:
    stop = name == "stop"
    return RestingOrder(
        order_id=name,
        side=Side.SELL,
        order_type=kind or ("stop_market" if stop else "limit"),
        quantity=D(quantity),
        price=None if stop else D(level),
        trigger=D(level) if stop else None,
        sent_ns=MINUTE,
        since_ns=since * MINUTE,
        until_ns=2 * MINUTE,
        ended="filled",
    )


ENTRY = fill(1, Side.BUY, "2", "100", "market", "entry")
LEFT = fill(2, Side.SELL, "2", "105", "limit", "target")
STOP, TARGET = rest("stop", "95"), rest("target", "105")
ROW: dict[str, Any] = {
    "start": "1970-01-01T00:01:00Z",
    "end": "1970-01-01T00:02:00Z",
    "side": "long",
    "stop": "95",
    "target": "105",
}


def wrong(fills: list[Fill], orders: list[RestingOrder], market: MatchBars, *listed: dict[str, Any]) -> list[str]:
    return [each.what for each in check_ambiguous({"listed": listed}, fills, orders, market)]


def test_a_bar_that_reaches_stop_and_target_must_be_listed() -> None:
    fills, orders = [ENTRY, LEFT], [STOP, TARGET]
    assert wrong(fills, orders, bars(), ROW) == []
    assert wrong(fills, orders, bars()) == ["ambiguous bar"]
    (found,) = check_ambiguous(None, fills, orders, bars())
    assert (found.time_ns, found.expected) == (2 * MINUTE, "listed: it came to 105 and 95")
    forced = replace(LEFT, order_id="none", order_type="liquidation", price=D(94))
    assert wrong([ENTRY, forced], [TARGET], bars()) == ["ambiguous bar"]
    # A liquidation of what was opened after the position had left says nothing of that one's exits.
    again = replace(ENTRY, time_ns=2 * MINUTE, order_id="again", order_type="stop_market")
    assert wrong([ENTRY, LEFT, again, forced], [TARGET], bars()) == []


@pytest.mark.parametrize(
    ("fills", "orders", "market"),
    [
        ([ENTRY, LEFT], [STOP, TARGET], bars(low=96)),
        # Behind a gap the open decides.
        ([ENTRY, LEFT], [STOP, TARGET], bars(opened=105)),
        # Each had its half of the position.
        ([ENTRY, replace(LEFT, quantity=D(1))], [rest("stop", "95", quantity="1"), TARGET], bars()),
        # The stop came after the open, and one that trails was elsewhere.
        ([ENTRY, LEFT], [rest("stop", "95", since=2), TARGET], bars()),
        ([ENTRY, LEFT], [rest("stop", "95", kind="trailing_stop_market"), TARGET], bars()),
        # Nothing was held at the open.
        ([LEFT], [STOP, TARGET], bars()),
        # It left at the close, by an order of the strategy.
        (
            [ENTRY, replace(LEFT, order_id="leave", order_type="market")],
            [rest("stop", "93"), rest("target", "107")],
            bars(),
        ),
    ],
)
def test_bars_without_a_doubt_need_not_be_listed(
    fills: list[Fill], orders: list[RestingOrder], market: MatchBars
) -> None:
    assert wrong(fills, orders, market) == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"stop": "95.5"}, "stop of an ambiguous bar listed"),
        ({"target": "104"}, "target of an ambiguous bar listed"),
        ({"target": "95"}, "target of an ambiguous bar listed"),
        ({"side": "short"}, "stop of an ambiguous bar listed"),
        ({"end": "1970-01-01T00:03:00Z"}, "ambiguous bar listed"),
    ],
)
def test_what_a_listed_bar_did_not_have_is_named(changes: dict[str, str], named: str) -> None:
    assert named in wrong([ENTRY, LEFT], [STOP, TARGET], bars(), ROW | changes)
    assert wrong([ENTRY, LEFT], [STOP, TARGET], bars(low=96), ROW) == ["stop of an ambiguous bar listed"]
