"""Each rule by hand: what keeps it, and what breaks it."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from nt_run.compliance import Limit, Rules, check_fills, check_funding, check_settlements
from nt_run.execution import Execution, Slippage
from nt_run.klines import SCHEMA, Exponents, Klines
from nt_run.model import MS, Fill, FundingPayment, FundingRate, Interval, Liquidity, Settlement, Side

D = Decimal
MINUTE = 60_000 * MS
RULES = Rules(
    tick_size=D("0.10"),
    step_size=D("0.001"),
    min_quantity=D("0.001"),
    max_quantity=D(1000),
    market_max_quantity=D(120),
    min_notional=D(50),
    maker=D("0.0002"),
    taker=D("0.0005"),
)


def klines(*rows: tuple[str, str, str, str], decimals: int = 1) -> Klines:
    """Minutes of (open, high, low, close), from 1970-01-01 00:00."""
    names = ("open", "high", "low", "close")
    columns: dict[str, list[int]] = {name: [1] * len(rows) for name in SCHEMA}
    for at, name in enumerate(names):
        columns[name] = [int(D(row[at]).scaleb(decimals)) for row in rows]
    columns["open_time"] = [minute * 60_000 for minute in range(len(rows))]
    return Klines("BTCUSDT", Interval("1m"), Exponents(decimals, 3, 4), pl.DataFrame(columns, schema=SCHEMA))


BARS = klines(("100", "105", "95", "101"), ("101", "110", "100", "109"), ("109", "109", "90", "92.5"))


def fill(minute: int, price: str, quantity: str = "1", side: Side = Side.BUY, **changes: Any) -> Fill:
    """A market order filled at the end of bar `minute`."""
    made = Fill(
        time_ns=(minute + 1) * MINUTE,
        order_id="O-1",
        side=side,
        quantity=D(quantity),
        price=D(price),
        reference=D(price),
        fee=D(quantity) * D(price) * RULES.taker,
        liquidity=Liquidity.TAKER,
        order_type="market",
    )
    return replace(made, **changes)


def names(*fills: Fill, bars: Klines = BARS) -> list[str]:
    return [wrong.what.removesuffix(" of O-1") for wrong in check_fills(fills, bars, RULES)]


def test_market_orders_at_the_close_and_others_inside_the_bar_are_in_order() -> None:
    stop = fill(2, "99.9", side=Side.SELL, order_type="stop_market")
    target = fill(1, "110", side=Side.SELL, order_type="limit", liquidity=Liquidity.MAKER, fee=D(110) * RULES.maker)
    assert names(fill(0, "101"), target, fill(1, "109"), stop) == []


def test_a_market_order_away_from_the_close_is_named() -> None:
    (wrong,) = check_fills([fill(0, "101.1")], BARS, RULES)
    assert (wrong.what, wrong.time_ns) == ("price of O-1", MINUTE)
    assert (wrong.expected, wrong.found) == ("101.0, the close", "101.1")


def test_a_market_order_of_a_timer_between_two_closes_fills_at_the_last_close() -> None:
    assert names(fill(0, "101", time_ns=MINUTE + MINUTE // 2)) == []


def test_a_stop_outside_its_bar_is_named() -> None:
    assert names(fill(0, "105.1", order_type="stop_market")) == ["price outside its bar"]


def test_a_limit_the_market_jumped_over_fills_in_the_gap_and_a_stop_does_not() -> None:
    # Closed at 101, opened at 104: a limit to sell at 103 is filled there, a stop to buy at 103 at the open.
    bars = klines(("100", "105", "95", "101"), ("104", "110", "104", "109"))
    limit = {"liquidity": Liquidity.MAKER, "fee": D(103) * RULES.maker, "order_type": "limit"}
    assert names(fill(1, "103", side=Side.SELL, **limit), bars=bars) == []
    assert names(fill(1, "100.9", side=Side.SELL, **limit | {"fee": D("100.9") * RULES.maker}), bars=bars) == [
        "price outside its bar"
    ]
    assert names(fill(1, "103", order_type="stop_market"), bars=bars) == ["price outside its bar"]


def test_a_fill_before_the_first_bar_has_ended_is_named() -> None:
    assert names(fill(0, "101", time_ns=MINUTE - 1)) == ["time"]


def test_fills_that_run_backwards_are_named() -> None:
    assert names(fill(1, "109"), fill(0, "101")) == ["time"]


def test_a_price_between_two_ticks_is_named_unless_the_klines_are_as_fine() -> None:
    assert names(fill(0, "101.05", order_type="limit")) == ["price off the tick"]
    # 0.01 was the tick size until 2022: klines of then move in it, and a fill may.
    fine = klines(("100", "105", "95", "101.05"), decimals=2)
    assert names(fill(0, "101.05"), bars=fine) == []
    assert names(fill(0, "101.055", order_type="limit"), bars=fine) == ["price off the tick"]


@pytest.mark.parametrize(
    ("quantity", "named"),
    [
        ("1.0005", ["quantity off the step"]),
        ("120.001", ["quantity"]),  # the most of a market order is 120
        ("0.494", ["notional"]),  # 0.494 × 101 = 49.894, below 50
        ("0.496", []),  # 0.496 × 101 = 50.096
    ],
)
def test_an_order_is_held_to_step_minimum_and_maximum(quantity: str, named: list[str]) -> None:
    assert names(fill(0, "101", quantity)) == named


def test_an_order_that_only_closes_is_exempt_from_the_minimums() -> None:
    opened = fill(0, "101", "1")
    part, rest = fill(1, "109", "0.4", Side.SELL), fill(2, "92.5", "0.6", Side.SELL)
    assert names(opened, part, rest) == []
    # Selling 0.4 more than is held opens a short of 43.60: an order that turns round is not exempt, but its whole
    # notional of 1.4 × 109 counts.
    assert names(opened, fill(1, "109", "1.4", Side.SELL)) == []
    assert names(opened, part, fill(1, "109", "0.6", Side.SELL), fill(2, "92.5", "0.4", Side.SELL)) == ["notional"]


def test_a_resting_order_filled_better_behind_a_gap_is_held_to_its_own_price() -> None:
    # A limit to buy 0.5 at 101 or so, notional 50.50, filled at 90 in a fall: 45.
    bars = klines(("101", "101", "101", "101"), ("90", "90", "90", "90"))
    resting = fill(1, "90", "0.5", order_type="limit")
    assert names(resting, bars=bars) == []


def test_a_fee_by_the_wrong_side_or_twice_is_named() -> None:
    assert names(fill(0, "101", fee=D("0.0202"))) == ["fee"]
    assert names(fill(0, "101", fee=D("0.101"))) == ["fee"]
    assert names(fill(0, "101", liquidity=Liquidity.MAKER, fee=D("0.0202"))) == ["liquidity"]


def settlement(minute: int, rate: str = "0.0001", price: str = "100", **changes: Any) -> Settlement:
    made = Settlement(time_ns=(minute + 1) * MINUTE, rate=D(rate), price=D(price), price_source="mark_price")
    return replace(made, **changes)


def payment(due: Settlement, position: str) -> FundingPayment:
    return FundingPayment(
        time_ns=due.time_ns,
        position=D(position),
        rate=due.rate,
        price=due.price,
        price_source=due.price_source,
        amount=-D(position) * due.price * due.rate,
    )


def test_a_long_pays_the_settlements_from_its_entry_to_its_exit() -> None:
    # Bought at the close of bar 0, sold at the close of bar 2: the settlement at the entry is not its own, the one at
    # the exit is.
    due = [settlement(0), settlement(1), settlement(2)]
    fills = [fill(0, "101"), fill(2, "92.5", side=Side.SELL)]
    right = [payment(due[1], "1"), payment(due[2], "1")]
    assert check_funding(due, right, fills) == []
    (missing,) = check_funding(due, right[:1], fills)
    assert (missing.what, missing.time_ns, missing.expected, missing.found) == (
        "payment",
        3 * MINUTE,
        "-0.01000000",
        "none",
    )
    (extra,) = check_funding(due[1:2], right, fills)
    assert (extra.time_ns, extra.expected, extra.found) == (3 * MINUTE, "none", "-0.01000000")
    doubled = check_funding(due, [*right, right[1]], fills)
    assert [wrong.what for wrong in doubled] == ["settlements paid twice"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"amount": D("0.01")}, ["payment"]),
        ({"position": D("-1")}, ["position"]),
        ({"rate": D("0.0002")}, ["rate"]),
        ({"price": D(101)}, ["price"]),
        ({"amount": D("-0.01000001")}, []),  # one unit of rounding
    ],
)
def test_a_payment_is_held_to_position_rate_price_and_amount(changes: dict[str, Any], named: list[str]) -> None:
    due = settlement(1)
    wrong = check_funding([due], [replace(payment(due, "1"), **changes)], [fill(0, "101")])
    assert [each.what for each in wrong] == named


def published(minute: int, rate: str = "0.0001", mark: str | None = "100") -> FundingRate:
    slot = (minute + 1) * 60_000
    return FundingRate(time_ms=slot + 5, slot_ms=slot, rate=D(rate), mark_price=None if mark is None else D(mark))


def test_settlements_are_held_to_what_the_exchange_published() -> None:
    due = [settlement(0), settlement(1)]
    assert check_settlements(due, [published(0), published(1)], BARS) == []
    both = check_settlements(due, [published(0), published(2)], BARS)
    assert [(each.what, each.time_ns, each.expected, each.found) for each in both] == [
        ("settlement", 2 * MINUTE, "none", "rate 0.0001"),
        ("settlement", 3 * MINUTE, "rate 0.0001", "none"),
    ]
    other = check_settlements(due, [published(0, rate="0.0002"), published(1, mark="100.5")], BARS)
    assert [each.what for each in other] == ["rate", "mark price"]


def test_a_settlement_without_a_mark_price_is_held_to_the_last_close() -> None:
    due = settlement(1, price="109", price_source="last_close")
    assert check_settlements([due], None, BARS) == []
    # The mark price may have become known since.
    assert check_settlements([due], [published(1)], BARS) == []
    (wrong,) = check_settlements([replace(due, price=D(101))], None, BARS)
    assert (wrong.what, wrong.expected, wrong.found) == ("price", "109.0", "101")


def test_with_next_open_a_market_order_fills_at_the_following_open() -> None:
    rules = replace(RULES, execution=Execution(fill="next-open"))
    opened = f"{BARS.frame['open'][1] / 10:.1f}"
    assert check_fills([fill(0, opened)], BARS, rules) == []
    (wrong,) = check_fills([fill(0, str(D(opened) + D("0.1")))], BARS, rules)
    assert wrong.expected == f"{opened}, the next open"
    (late,) = check_fills([fill(len(BARS) - 1, "100")], BARS, rules)
    assert (late.what, late.expected) == ("price of O-1", "none")


@pytest.mark.parametrize(
    ("price", "side", "right"),
    [
        # 101 + 101 × 5 bp + 0.2 = 101.2505, up to 101.3; the other way 100.7495, down to 100.7.
        ("101.3", Side.BUY, True),
        ("101.2", Side.BUY, False),
        ("101.4", Side.BUY, False),
        ("100.7", Side.SELL, True),
        ("100.8", Side.SELL, False),
        ("100.6", Side.SELL, False),
        ("101.3", Side.SELL, False),
    ],
)
def test_slippage_is_charged_as_asked_against_the_order(price: str, side: Side, right: bool) -> None:
    rules = replace(RULES, execution=Execution(slippage=Slippage(bps=D(5), ticks=2)))
    wrong = check_fills([fill(0, price, side=side, reference=D(101))], BARS, rules)
    assert [each.what for each in wrong] == ([] if right else ["price of O-1"])


def test_without_slippage_a_better_price_is_wrong_too() -> None:
    assert names(fill(0, "100.9", reference=D(101))) == ["price"]
    assert names(fill(0, "101.1", reference=D(101))) == ["price"]


def test_a_limit_order_that_rested_never_slips() -> None:
    rules = replace(RULES, execution=Execution(slippage=Slippage(ticks=1)))
    rested = {"order_type": "limit", "liquidity": Liquidity.MAKER, "fee": D("110.1") * RULES.maker}
    limit = fill(1, "110.1", reference=D(110), **rested)
    assert [each.what for each in check_fills([limit], BARS, rules)] == ["price of O-1"]


@pytest.mark.parametrize(
    ("time", "reference", "price", "limit", "expected"),
    [
        # Bar 0 closes at 101, where the order was sent; 3 ticks on top of that, or as far as its limit lets it.
        ("close", "101", "101.3", "105", None),
        ("close", "101", "101.2", "101.2", None),
        ("close", "101", "101.2", "105", "101.30, after slippage, to the tick"),
        ("close", "101", "101.3", "101.2", "101.2 or better, its limit"),
        ("close", "100.9", "101.2", "105", "101.0, the close"),
        # The next open is 101.5.
        ("next-open", "101.5", "101.8", "105", None),
        ("next-open", "101.5", "101.6", "101.6", None),
        ("next-open", "101", "101.3", "105", "101.5, the next open"),
    ],
)
def test_a_limit_order_that_takes_at_once_is_held_to_the_market_and_to_its_limit(
    time: Any, reference: str, price: str, limit: str, expected: str | None
) -> None:
    bars = klines(("100", "105", "95", "101"), ("101.5", "110", "100", "109"))
    rules = replace(RULES, execution=Execution(fill=time, slippage=Slippage(ticks=3)))
    taken = fill(0, price, reference=D(reference), order_type="limit")
    wrong = check_fills([taken], bars, rules, limits={"O-1": Limit(D(limit), waited=False)})
    assert [each.expected for each in wrong] == ([] if expected is None else [expected])


def test_a_limit_order_that_rested_is_held_to_its_own_price() -> None:
    rested = fill(1, "105", order_type="limit", liquidity=Liquidity.MAKER, fee=D(105) * RULES.maker)
    assert check_fills([rested], BARS, RULES, limits={"O-1": Limit(D(105), waited=False)}) == []
    (wrong,) = check_fills([rested], BARS, RULES, limits={"O-1": Limit(D("105.1"), waited=False)})
    assert (wrong.what, wrong.expected, wrong.found) == ("price of O-1", "105.1, its limit", "105")


def test_a_limit_order_that_waited_for_its_entry_takes_inside_the_bar() -> None:
    taken = fill(1, "105", order_type="limit")
    assert check_fills([taken], BARS, RULES, limits={"O-1": Limit(D(106), waited=True)}) == []
