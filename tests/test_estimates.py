from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nt_run.estimates import kelly_share, realised_volatility

D = Decimal
HALF = D("0.5")
parts = st.decimals(min_value="0.01", max_value=1, places=2)
caps = st.decimals(min_value="0.1", max_value=5, places=1)
returns = st.lists(st.decimals(min_value="-0.2", max_value="0.2", places=4), min_size=1, max_size=40)


def test_a_day_of_one_per_cent_is_nineteen_per_cent_a_year() -> None:
    # Every log return is ±0.01: √(0.0001 × 365) = 0.191049731745
    daily = 86_400_000
    up = 2.718281828459045**0.01
    assert realised_volatility([100, 100 * up, 100, 100 * up], daily) == D("0.191049731745")
    # By the minute it is √1440 times as much: 7.249827584…
    assert realised_volatility([100, 100 * up, 100], 60_000) == pytest.approx(D("7.249827584157"), abs=D("1e-9"))


@pytest.mark.parametrize("closes", [[], [100.0], [100.0, 100.0, 100.0]])
def test_closes_that_tell_nothing_give_none(closes: list[float]) -> None:
    assert realised_volatility(closes, 60_000) is None


def test_kelly_by_hand() -> None:
    # p = 0.6, average win 3 %, average loss 2 %: b = 1.5, f = 0.6 − 0.4 ÷ 1.5 = 1/3 of equity.
    trades = [D("0.02"), D("0.04"), D("0.03"), D("-0.01"), D("-0.03")]
    # Half of it is what an average loss may cost: 0.5 × 1/3 ÷ 0.02 = 8.333… times equity.
    assert kelly_share(trades, HALF, D(20)) == pytest.approx(D(25) / 3, abs=D("1e-20"))
    assert kelly_share(trades, HALF, D(1)) == 1


def test_without_an_edge_there_is_no_bet() -> None:
    # p = 0.5 and b = 1: f = 0.
    assert kelly_share([D("0.01"), D("-0.01")], HALF, D(1)) == 0
    assert kelly_share([D("-0.01")], HALF, D(1)) == 0
    assert kelly_share([D(0)], HALF, D(1)) == 0


def test_without_a_loss_the_cap_decides() -> None:
    assert kelly_share([D("0.01")], HALF, D("0.3")) == D("0.3")


@given(
    returns, st.decimals(min_value="0.01", max_value=1, places=2), st.decimals(min_value="0.1", max_value=5, places=1)
)
def test_a_share_is_between_nothing_and_the_cap_and_grows_with_every_win(
    trades: list[Decimal], fraction: Decimal, cap: Decimal
) -> None:
    share = kelly_share(trades, fraction, cap)
    assert 0 <= share <= cap
    assert share <= kelly_share(trades, fraction * 2, cap)
    best = max([*trades, D("0.01")])
    assert kelly_share([*trades, best], fraction, cap) >= share
