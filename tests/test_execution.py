from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nt_run.errors import UsageError
from nt_run.execution import Execution, Slippage, check_slippage
from nt_run.model import Side

D = Decimal
TICK = D("0.1")


@pytest.mark.parametrize(
    ("bps", "ticks", "side", "price"),
    [
        # 40,000 × 2.5 bp = 10
        ("2.5", 0, Side.BUY, "40010.0"),
        ("2.5", 0, Side.SELL, "39990.0"),
        # 40,000 × 0.001 bp = 0.004, less than a tick, costs a whole one.
        ("0.001", 0, Side.BUY, "40000.1"),
        ("0.001", 0, Side.SELL, "39999.9"),
        # 10 + 7 × 0.1
        ("2.5", 7, Side.BUY, "40010.7"),
        ("0", 0, Side.BUY, "40000"),
    ],
)
def test_slippage_by_hand(bps: str, ticks: int, side: Side, price: str) -> None:
    assert Slippage(bps=D(bps), ticks=ticks).worse(D(40_000), side, tick=TICK) == D(price)


def test_prices_of_finer_data_move_on_its_own_grid() -> None:
    # 10,000.03 × 1 bp = 1.000003 → 10,001.030003, up to the next 0.01; ticks stay the contract's 0.1.
    finer = Slippage(bps=D(1), ticks=1)
    assert finer.worse(D("10000.03"), Side.BUY, tick=TICK, grid=D("0.01")) == D("10001.14")


@given(
    price=st.decimals(min_value="0.1", max_value=1_000_000, places=1),
    bps=st.decimals(min_value=0, max_value=1000, places=2),
    ticks=st.integers(0, 100),
    side=st.sampled_from(Side),
)
def test_slippage_never_helps_and_costs_at_most_a_tick_more_than_asked(
    price: Decimal, bps: Decimal, ticks: int, side: Side
) -> None:
    moved = Slippage(bps=bps, ticks=ticks).worse(price, side, tick=TICK)
    asked = price * bps / 10_000 + ticks * TICK
    assert moved % TICK == 0
    assert moved > 0
    worse = side.sign * (moved - price)
    assert worse >= (asked if moved > TICK else 0)
    assert worse < asked + TICK


def test_only_the_close_without_slippage_is_plain() -> None:
    assert Execution().plain
    assert not Execution(fill="next-open").plain
    assert not Execution(slippage=Slippage(ticks=1)).plain


def test_slippage_of_a_tenth_of_the_lowest_price_is_the_most() -> None:
    # A tenth of 6.49 are 649 ticks of 0.001; beside 400 bp, 4 %, only 6 % are left: 389.4 ticks.
    check_slippage(Slippage(ticks=649), tick=D("0.001"), lowest=D("6.49"))
    check_slippage(Slippage(bps=D(1000)), tick=D("0.001"), lowest=D("6.49"))
    check_slippage(Slippage(bps=D(400), ticks=389), tick=D("0.001"), lowest=D("6.49"))
    told = r"3000 ticks of 0\.001 come to 46\.22 % of the run's lowest price, 6\.49\. .*: at most 649 ticks"
    with pytest.raises(UsageError, match=told) as caught:
        check_slippage(Slippage(ticks=3000), tick=D("0.001"), lowest=D("6.490"))
    assert caught.value.exit_code == 2
    with pytest.raises(UsageError, match=r"650 ticks .* 10\.02 %"):
        check_slippage(Slippage(ticks=650), tick=D("0.001"), lowest=D("6.49"))
    with pytest.raises(UsageError, match=r"with 400 bp come to 10\.01 % .*: at most 389 ticks"):
        check_slippage(Slippage(bps=D(400), ticks=390), tick=D("0.001"), lowest=D("6.49"))
