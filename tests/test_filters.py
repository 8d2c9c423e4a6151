from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nt_run import filters
from nt_run.filters import OrderTerms, filter_ledger, find_breach, refused_by
from nt_run.model import Denial, Side
from nt_run.specs import InstrumentSpecs

D = Decimal
TICK = D("0.1")


def terms(quantity: str = "1", limit: str | None = None, *, side: Side = Side.BUY, **changes: Any) -> OrderTerms:
    price = None if limit is None else D(limit)
    return OrderTerms(**{"side": side, "quantity": D(quantity), "at_market": False, "limit": price} | changes)


def breach(order: OrderTerms, specs: InstrumentSpecs, last: str = "100000") -> str | None:
    return find_breach(order, specs, tick=TICK, last=D(last))


@pytest.mark.parametrize(
    ("order", "last", "expected"),
    [
        # PRICE_FILTER: 556.80 … 4529764, tick 0.10; bounds and tick bind triggers, too.
        (terms(limit="556.8"), "560", None),
        (terms(limit="556.7"), "560", filters.PRICE_BOUNDS),
        (terms(limit="4529764", side=Side.SELL), "4529764", None),
        (terms(limit="4529764.1", side=Side.SELL), "4529764", filters.PRICE_BOUNDS),
        (terms(limit="99999.9"), "100000", None),
        (terms(limit="99999.95"), "100000", filters.OFF_TICK),
        (terms(triggers=[D("99999.95")], at_market=True), "100000", filters.OFF_TICK),
        (terms(triggers=[D("556.7")], at_market=True), "100000", filters.PRICE_BOUNDS),
        # LOT_SIZE: 0.001 … 1000, step 0.001.
        (terms("0.001", "100000"), "100000", None),
        (terms("0.0009", "100000"), "100000", filters.TOO_SMALL),
        (terms("1000", "100000"), "100000", None),
        (terms("1000.001", "100000"), "100000", filters.TOO_LARGE),
        (terms("0.0015", "100000"), "100000", filters.OFF_STEP),
        # MARKET_LOT_SIZE: at most 120, at once or once triggered; a limit order may have 1000.
        (terms("120", at_market=True), "100000", None),
        (terms("120.001", at_market=True), "100000", filters.MARKET_TOO_LARGE),
        (terms("120.001", at_market=True, triggers=[D(90000)]), "100000", filters.MARKET_TOO_LARGE),
        (terms("120.001", "100000"), "100000", None),
        # PERCENT_PRICE: 100,000 × 1.05 = 105,000 for a buy, 100,000 × 0.95 = 95,000 for a sale, and no other bound.
        (terms(limit="105000"), "100000", None),
        (terms(limit="105000.1"), "100000", filters.FAR_PRICE),
        (terms(limit="50000"), "100000", None),
        (terms(limit="95000", side=Side.SELL), "100000", None),
        (terms(limit="94999.9", side=Side.SELL), "100000", filters.FAR_PRICE),
        (terms(limit="200000", side=Side.SELL), "100000", None),
        # A trigger may lie anywhere; the limit price of a stop-limit order may not.
        (terms(triggers=[D(200000)], at_market=True), "100000", None),
        (terms(limit="105000.1", triggers=[D(105000)]), "100000", filters.FAR_PRICE),
    ],
)
def test_each_filter_passes_its_limit_and_refuses_one_step_beyond(
    order: OrderTerms, last: str, expected: str | None, btc: InstrumentSpecs
) -> None:
    assert breach(order, btc, last) == expected


def test_a_market_order_has_a_minimum_and_a_step_of_its_own(btc: InstrumentSpecs) -> None:
    coarse = replace(btc, market_min_quantity=D("0.01"), market_step_size=D("0.005"))
    assert breach(terms("0.009", at_market=True), coarse) == filters.MARKET_TOO_SMALL
    assert breach(terms("0.011", at_market=True), coarse) == filters.OFF_STEP
    assert breach(terms("0.015", at_market=True), coarse) is None
    assert breach(terms("0.009", "100000"), coarse) is None


def test_a_bound_of_zero_or_unknown_does_not_bind(btc: InstrumentSpecs) -> None:
    unknown = {"price_multiplier_up": None, "price_multiplier_down": None}
    for free in (D(0), None):
        open_ended = replace(btc, min_price=free, max_price=free, **unknown)
        assert breach(terms(limit="0.1"), open_ended) is None
        assert breach(terms(limit="9999999", side=Side.SELL), open_ended) is None


def plainly(order: OrderTerms, specs: InstrumentSpecs, last: Decimal) -> bool:
    """Whether an order passes, in whole ticks and steps and straight from the exchange's inequalities."""
    stated = [price * 10 for price in (order.limit, *order.triggers) if price is not None]
    if any(price != int(price) for price in stated):
        return False
    if not all(5568 <= price <= 45_297_640 for price in stated):
        return False
    steps = order.quantity * 1000
    most = 120_000 if order.at_market else 1_000_000
    if steps != int(steps) or not 1 <= steps <= most:
        return False
    if order.limit is None:
        return True
    return order.limit * 20 <= last * 21 if order.side is Side.BUY else order.limit * 20 >= last * 19


near = st.integers(5_400, 1_200_000).map(lambda units: D(units) / 10)
prices = st.one_of(near, near.map(lambda price: price + D("0.05")), st.integers(45_297_000, 45_298_000).map(D))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    side=st.sampled_from(Side),
    steps=st.one_of(st.integers(0, 3), st.integers(119_999, 120_002), st.integers(999_999, 1_000_002)),
    half=st.booleans(),
    at_market=st.booleans(),
    limit=st.none() | prices,
    triggers=st.lists(prices, max_size=2),
    last=near,
)
def test_the_filters_agree_with_the_exchanges_inequalities(
    side: Side, steps: int, half: bool, at_market: bool, limit: Decimal | None, triggers: list[Decimal], last: Decimal,
    btc: InstrumentSpecs,
) -> None:  # fmt: skip
    quantity = (D(steps) + (D("0.5") if half else 0)) / 1000
    order = OrderTerms(side=side, quantity=quantity, at_market=at_market, limit=limit, triggers=triggers)
    assert (find_breach(order, btc, tick=TICK, last=last) is None) == plainly(order, btc, last)


def test_every_reason_belongs_to_a_filter() -> None:
    own = [value for name, value in vars(filters).items() if name.isupper() and isinstance(value, str)]
    assert all(refused_by(reason) in filters.FILTERS for reason in own if reason != filters.MODIFICATION)
    assert refused_by(filters.MODIFICATION + filters.OFF_TICK) == "PRICE_FILTER"
    assert refused_by("sizing: below min notional 50 USDT") == "MIN_NOTIONAL"
    assert refused_by("sizing: below min quantity 0.001 BTC") == "LOT_SIZE"
    assert [refused_by(reason) for reason in (filters.TOO_LARGE, filters.TOO_SMALL)] == ["LOT_SIZE"] * 2
    market = (filters.MARKET_TOO_LARGE, filters.MODIFICATION + filters.MARKET_TOO_SMALL)
    assert [refused_by(reason) for reason in market] == ["MARKET_LOT_SIZE"] * 2
    assert refused_by("post-only order would have taken") is None


def test_the_ledger_counts_what_was_rounded_capped_and_refused() -> None:
    def refused(minute: int, reason: str, *, entry: bool = True) -> Denial:
        return Denial(time_ns=minute * 60 * 10**9, reason=reason, entry=entry)

    denials = [
        refused(0, "post-only order would have taken"),
        refused(1, "sizing: below min notional 50 USDT"),
        refused(2, filters.OFF_TICK, entry=False),
        refused(3, "initial margin exceeds free balance while the opposite position is open"),
    ]
    ledger = filter_ledger(7, {"market max quantity": 2, "leverage": 3}, denials)
    assert ledger["by_filter"].keys() == set(filters.FILTERS)
    told = {name: tuple(counts.values()) for name, counts in ledger["by_filter"].items() if any(counts.values())}
    assert told == {
        "LOT_SIZE": (7, 0, 0),
        "MARKET_LOT_SIZE": (0, 2, 0),
        "margin": (0, 3, 1),
        "MIN_NOTIONAL": (0, 0, 1),
        "PRICE_FILTER": (0, 0, 1),
    }
    # The post-only order is no filter's, and the reduce-only one was no signal.
    assert ledger["lost"] == {"count": 2, "first": "1970-01-01T00:01:00Z", "last": "1970-01-01T00:03:00Z"}


def test_a_run_without_losses_says_so() -> None:
    assert filter_ledger(0, {}, [])["lost"] == {"count": 0, "first": None, "last": None}
