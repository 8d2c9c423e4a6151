"""Brackets of BTCUSDT as of 2026-09, as the exchange publishes them; prices and margins by hand."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nt_run.errors import DataError, SizingError
from nt_run.margin import Bracket, MarginRules, build_brackets, flat_rules, liquidation_price
from nt_run.model import Side

D = Decimal

# (cap, rate in per cent, most leverage, cum as published)
PUBLISHED = (
    ("300000", "0.4", 150, "0"),
    ("800000", "0.5", 100, "300"),
    ("3000000", "0.65", 75, "1500"),
    ("12000000", "1", 50, "12000"),
    ("70000000", "2", 25, "132000"),
    ("100000000", "2.5", 20, "482000"),
    ("230000000", "5", 10, "2982000"),
    ("480000000", "10", 5, "14482000"),
    ("600000000", "12.5", 4, "26482000"),
    ("800000000", "15", 3, "41482000"),
    ("1200000000", "25", 2, "121482000"),
    ("1800000000", "50", 1, "421482000"),
)


def published() -> MarginRules:
    floors = ["0", *(cap for cap, *_ in PUBLISHED)]
    brackets = tuple(
        Bracket(floor=D(floor), cap=D(cap), rate=D(rate) / 100, max_leverage=D(most), cum=D(cum))
        for floor, (cap, rate, most, cum) in zip(floors, PUBLISHED, strict=False)
    )
    return MarginRules(symbol="BTCUSDT", brackets=brackets, as_of_ms=0, source="test")


RULES = published()


def test_cum_follows_from_floors_and_rates() -> None:
    # The fourth: 3,000,000 × (1 % − 0.65 %) + 1,500 = 10,500 + 1,500 = 12,000.
    rows = [(one.floor, one.cap, one.rate, one.max_leverage) for one in RULES.brackets]
    assert build_brackets(rows) == RULES.brackets


def test_maintenance_margin_by_hand() -> None:
    # 100,000 × 0.4 % = 400; 500,000 × 0.5 % − 300 = 2,200; 1,000,000 × 0.65 % − 1,500 = 5,000.
    assert RULES.maintenance_margin(D(100_000)) == 400
    assert RULES.maintenance_margin(D(500_000)) == 2_200
    assert RULES.maintenance_margin(D(1_000_000)) == 5_000


def test_maintenance_margin_does_not_jump_where_a_bracket_ends() -> None:
    for bracket, following in zip(RULES.brackets, RULES.brackets[1:], strict=False):
        at_its_cap = bracket.cap * bracket.rate - bracket.cum
        assert at_its_cap == bracket.cap * following.rate - following.cum


def test_beyond_the_last_cap_the_last_bracket_goes_on() -> None:
    assert RULES.bracket_of(D(5_000_000_000)) is RULES.brackets[-1]


def test_an_isolated_long_in_the_first_bracket_by_hand() -> None:
    # 1 BTC at 100,000 with a tenth behind it: (10,000 + 0 − 100,000) ÷ (0.004 − 1) = 90,000 ÷ 0.996 = 90,361.44578…
    price = liquidation_price(Side.BUY, D(1), D(100_000), D(10_000), RULES)
    assert price == D(90_000) / D("0.996")
    assert round(price, 5) == D("90361.44578")


def test_an_isolated_short_in_the_second_bracket_by_hand() -> None:
    # 5 BTC at 100,000, margin 50,000: (50,000 + 300 + 500,000) ÷ (5 × 0.005 + 5) = 550,300 ÷ 5.025 = 109,512.43781…;
    # 5 × that = 547,562, inside the second bracket.
    price = liquidation_price(Side.SELL, D(5), D(100_000), D(50_000), RULES)
    assert price is not None
    assert round(price, 5) == D("109512.43781")


def test_a_cross_long_in_the_third_bracket_by_hand() -> None:
    # 10 BTC at 100,000, wallet 20,000: (20,000 + 1,500 − 1,000,000) ÷ (0.065 − 10) = 978,500 ÷ 9.935 = 98,490.18621…;
    # ten times that, 984,902, lies in the third bracket.
    price = liquidation_price(Side.BUY, D(10), D(100_000), D(20_000), RULES)
    assert price is not None
    assert round(price, 5) == D("98490.18621")


def test_the_bracket_is_that_of_the_liquidation_price_and_not_of_the_entry() -> None:
    # 3.01 BTC at 100,000 are 301,000, in the second bracket; at the liquidation price they are 271,988, in the first:
    # (30,100 − 301,000) ÷ (3.01 × 0.004 − 3.01) = 270,900 ÷ 2.99796 = 90,361.44578…
    price = liquidation_price(Side.BUY, D("3.01"), D(100_000), D(30_100), RULES)
    assert price is not None
    assert round(price, 5) == D("90361.44578")


def test_a_long_without_leverage_is_never_liquidated() -> None:
    assert liquidation_price(Side.BUY, D(1), D(100_000), D(100_000), RULES) is None


def test_a_short_without_leverage_is_liquidated_near_twice_its_entry() -> None:
    # (100,000 + 100,000) ÷ (0.004 + 1) = 199,203.18725…
    price = liquidation_price(Side.SELL, D(1), D(100_000), D(100_000), RULES)
    assert price is not None
    assert round(price, 5) == D("199203.18725")


@given(
    side=st.sampled_from(Side),
    quantity=st.decimals("0.001", "5000", places=3),
    entry=st.decimals("0.1", "200000", places=1),
    leverage=st.integers(1, 200),
    moved=st.decimals("-0.5", "0.5", places=4),
)
def test_at_the_liquidation_price_what_is_left_is_the_maintenance_margin(
    side: Side, quantity: Decimal, entry: Decimal, leverage: int, moved: Decimal
) -> None:
    wallet = quantity * entry / leverage * (1 + moved)
    price = liquidation_price(side, quantity, entry, wallet, RULES)
    if price is None:
        # Only a long whose wallet pays for all of it, so that even a price of nothing leaves enough.
        assert side is Side.BUY
        assert wallet >= quantity * entry
        return
    left = wallet + side.sign * quantity * (price - entry)
    needed = RULES.maintenance_margin(quantity * price)
    assert abs(left - needed) < D("1e-9") * max(D(1), quantity * entry)


@given(
    side=st.sampled_from(Side),
    quantity=st.decimals("0.001", "100", places=3),
    wallet=st.decimals("1", "1000000", places=2),
    more=st.decimals("0.01", "100000", places=2),
)
def test_a_larger_wallet_moves_the_liquidation_price_away(
    side: Side, quantity: Decimal, wallet: Decimal, more: Decimal
) -> None:
    near = liquidation_price(side, quantity, D(100_000), wallet, RULES)
    far = liquidation_price(side, quantity, D(100_000), wallet + more, RULES)
    if near is None:
        assert far is None
    elif far is not None:
        assert (near - far) * side.sign > 0


def test_the_largest_position_shrinks_with_leverage() -> None:
    assert RULES.largest_notional(D(150)) == 300_000
    assert RULES.largest_notional(D(101)) == 300_000
    assert RULES.largest_notional(D(100)) == 800_000
    assert RULES.largest_notional(D(1)) == 1_800_000_000


def test_a_leverage_no_bracket_has_is_refused_with_the_most_there_is() -> None:
    with pytest.raises(SizingError, match="at most 150") as caught:
        RULES.largest_notional(D(151))
    assert caught.value.exit_code == 4


def test_a_flat_rate_has_one_endless_bracket() -> None:
    rules = flat_rules("ABCUSDT", D("0.03"), D(20), "assumed")
    assert rules.maintenance_margin(D(10) ** 12) == D(3) * 10**10
    assert rules.largest_notional(D(20)) == D("Infinity")
    # 1 at 100, margin 10: 90 ÷ 0.97.
    assert liquidation_price(Side.BUY, D(1), D(100), D(10), rules) == D(90) / D("0.97")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"floor": D(400_000)}, "should begin at 300000"),
        ({"cap": D(300_000)}, "covers 300000 to 300000"),
        ({"rate": D("0.001")}, "does not follow"),
        ({"rate": D(1)}, "does not follow"),
        ({"cum": D(301)}, "floors and rates make it 300"),
        ({"max_leverage": D(0)}, "most leverage 0"),
    ],
)
def test_brackets_that_contradict_themselves_are_refused(changes: dict[str, Decimal], problem: str) -> None:
    first, second = RULES.brackets[:2]
    wrong = {name: getattr(second, name) for name in ("floor", "cap", "rate", "max_leverage", "cum")} | changes
    with pytest.raises(DataError, match=problem):
        MarginRules(symbol="BTCUSDT", brackets=(first, Bracket(**wrong)), as_of_ms=None, source="test")


def test_no_brackets_at_all_are_refused() -> None:
    with pytest.raises(DataError, match="no leverage brackets"):
        MarginRules(symbol="BTCUSDT", brackets=(), as_of_ms=None, source="test")


def test_the_formula_of_cum_gives_every_recorded_table(recordings: Path) -> None:
    tables = json.loads((recordings / "brackets" / "2024-10-24.json").read_text(), parse_float=D, parse_int=D)
    for name, rows in tables.items():
        made = build_brackets(
            [
                (D(row["minNotional"]), D(row["maxNotional"]), D(row["maintenanceMarginRate"]), D(row["maxLeverage"]))
                for row in rows
            ]
        )
        assert [one.cum for one in made] == [pytest.approx(D(row["info"]["cum"]), abs=D("0.001")) for row in rows], name
