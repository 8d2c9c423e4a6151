from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import symbol_entry
from nt_run.errors import SizingError
from nt_run.execution import Slippage
from nt_run.model import Fees
from nt_run.sizing import BelowMinimumError, Method, SizingRules, loss_per_unit, size_position, split_quantity, to_step
from nt_run.specs import InstrumentSpecs, parse_symbol_specs

D = Decimal
BTC = parse_symbol_specs(symbol_entry(), as_of_ms=0, source="test")
FEES = Fees(maker=D("0.0002"), taker=D("0.0005"), source="test")

prices = st.decimals(min_value=1000, max_value=200_000, places=1)
balances = st.decimals(min_value=100, max_value=1_000_000, places=2)
fractions = st.decimals(min_value="0.001", max_value=1, places=3)


def test_two_per_cent_of_ten_thousand_at_119500_is_two_thousandths_of_a_bitcoin() -> None:
    # 10,000 × 0.02 ÷ 119,500 = 0.0016736 → nearest step 0.002 → 239.00 USDT = 2.39 % of the account
    sized = size_position(SizingRules(), BTC, FEES, equity=D(10_000), price=D(119_500))
    assert (sized.quantity, sized.notional) == (D("0.002"), D("239.000"))
    assert (sized.asked_share, sized.actual_share) == (D("0.02"), D("0.0239"))
    assert sized.capped_by is None


def test_a_stop_one_per_cent_away_risks_two_per_cent_with_both_fees() -> None:
    # Loss per BTC from 100,000 to 99,000: 1,000 + (100,000 + 99,000) × 0.0005 = 1,099.5
    # 200 ÷ 1,099.5 = 0.18190… → floored to 0.181 → loss 199.0095
    rules = SizingRules(method="stop", fraction=D("0.02"), leverage=D(10))
    sized = size_position(rules, BTC, FEES, equity=D(10_000), price=D(100_000), stop_price=D(99_000))
    assert sized.quantity == D("0.181")
    assert sized.actual_share == D("0.01990095")


def test_slippage_counts_at_entry_and_at_the_stop() -> None:
    # Long: in at 100,000 + 10 bp = 100,100, out at 99,000 − 10 bp = 98,901: 1,199 + 199,001 × 0.0005 = 1,298.5005
    ten = Slippage(bps=D(10))
    assert loss_per_unit(D(100_000), D(99_000), taker=D("0.0005"), tick=D("0.1"), slippage=ten) == D("1298.5005")
    # Short: in at 99,900, out at 101,101: 1,201 + 201,001 × 0.0005 = 1,301.5005
    assert loss_per_unit(D(100_000), D(101_000), taker=D("0.0005"), tick=D("0.1"), slippage=ten) == D("1301.5005")
    # Three ticks each way: 100,000.3 and 98,999.7, so 1,000.6 + 199,000 × 0.0005 = 1,100.1
    ticks = Slippage(ticks=3)
    assert loss_per_unit(D(100_000), D(99_000), taker=D("0.0005"), tick=D("0.1"), slippage=ticks) == D("1100.1")


def test_the_leverage_cap_leaves_room_for_slippage() -> None:
    # 10,000 ÷ (101,000 × 1.0005) = 0.09896 → 0.098; without slippage 0.099
    rules = SizingRules(fraction=D(1), slippage=Slippage(bps=D(100)))
    assert size_position(rules, BTC, FEES, equity=D(10_000), price=D(100_000)).quantity == D("0.098")


def test_leverage_caps_the_position_with_room_for_the_entry_fee() -> None:
    # 1x: 10,000 ÷ (100,000 × 1.0005) = 0.09995 → 0.099
    sized = size_position(SizingRules(fraction=D(1)), BTC, FEES, equity=D(10_000), price=D(100_000))
    assert (sized.quantity, sized.capped_by) == (D("0.099"), "leverage")


def test_the_largest_market_order_caps_the_position() -> None:
    rules = SizingRules(fraction=D(1))
    sized = size_position(rules, BTC, FEES, equity=D(100_000_000), price=D(100_000))
    assert (sized.quantity, sized.capped_by) == (D(120), "market max quantity")


def test_too_small_names_the_balance_and_the_fraction_that_would_do() -> None:
    # At 119,500 one step is 119.50 USDT, above min notional 50. Half a step is reached by 59.75 = 2 % of 2,987.50.
    with pytest.raises(BelowMinimumError, match=r"--balance 2987.50 or --risk 0.05975") as caught:
        size_position(SizingRules(), BTC, FEES, equity=D(1000), price=D(119_500))
    assert caught.value.exit_code == 4


def test_what_is_less_than_a_step_is_below_the_smallest_quantity_and_not_below_min_notional() -> None:
    # 2,000 × 0.02 = 40 USDT, eight times a min notional of 5; at 94,445.1 they are 0.000423… BTC, not half a step.
    filters = [
        item | {"notional": "5"} if item["filterType"] == "MIN_NOTIONAL" else item for item in symbol_entry()["filters"]
    ]
    small = parse_symbol_specs(symbol_entry(filters=filters), as_of_ms=0, source="test")
    with pytest.raises(BelowMinimumError) as caught:
        size_position(SizingRules(), small, FEES, equity=D(2000), price=D("94445.1"))
    assert caught.value.limit == "min quantity 0.001 BTC"
    asked = "BTCUSDT: 40.00 USDT at 94445.1 are 0.0004235 BTC, which is 0.000 in steps of 0.001, below the exchange's"
    assert str(caught.value).startswith(f"{asked} min quantity 0.001 BTC.\n")


def test_what_the_least_quantity_does_not_make_up_for_is_below_min_notional() -> None:
    # 0.001 BTC at 40,000 are 40 USDT, and the exchange wants 50: two steps.
    with pytest.raises(
        BelowMinimumError, match=r"0\.001 in steps of 0\.001, below the exchange's min notional 50"
    ) as caught:
        size_position(SizingRules(), BTC, FEES, equity=D(2000), price=D(40_000))
    assert caught.value.limit == "min notional 50 USDT"


def test_no_fraction_is_offered_when_the_account_cannot_carry_the_smallest_order() -> None:
    with pytest.raises(BelowMinimumError) as caught:
        size_position(SizingRules(), BTC, FEES, equity=D(100), price=D(119_500))
    assert caught.value.smallest_fraction is None


@pytest.mark.parametrize("equity", [D(0), D(-1)])
def test_nothing_left_is_an_error(equity: Decimal) -> None:
    with pytest.raises(SizingError, match="nothing is left"):
        size_position(SizingRules(), BTC, FEES, equity=equity, price=D(100))


def test_a_stop_method_without_a_stop_is_an_error() -> None:
    with pytest.raises(SizingError, match="needs the price of a stop"):
        size_position(SizingRules(method="atr"), BTC, FEES, equity=D(1000), price=D(100))


def size(rules: SizingRules, equity: Decimal, price: Decimal, stop: Decimal | None = None) -> Decimal | None:
    try:
        return size_position(rules, BTC, FEES, equity=equity, price=price, stop_price=stop).quantity
    except BelowMinimumError:
        return None


@given(equity=balances, price=prices, fraction=fractions, leverage=st.integers(1, 20))
def test_any_size_passes_every_filter(equity: Decimal, price: Decimal, fraction: Decimal, leverage: int) -> None:
    quantity = size(SizingRules(fraction=fraction, leverage=D(leverage)), equity, price)
    if quantity is not None:
        assert quantity == to_step(quantity, BTC.step_size)
        assert BTC.min_quantity <= quantity <= BTC.market_max_quantity
        assert quantity * price >= BTC.min_notional
        assert quantity * price / leverage + quantity * price * FEES.taker <= equity


@given(
    equity=balances,
    price=prices,
    fraction=fractions,
    distance=st.decimals("0.001", "0.2", places=3),
    long=st.booleans(),
)
def test_the_loss_at_the_stop_is_never_above_what_was_asked(
    equity: Decimal, price: Decimal, fraction: Decimal, distance: Decimal, long: bool
) -> None:
    stop = price * (1 - distance if long else 1 + distance)
    quantity = size(SizingRules(method="stop", fraction=fraction, leverage=D(20)), equity, price, stop)
    if quantity is not None:
        loss = quantity * abs(price - stop) + quantity * (price + stop) * FEES.taker
        assert loss <= equity * fraction


@given(
    equity=st.decimals(20, 3000, places=2),
    price=prices,
    fraction=fractions,
    method=st.sampled_from(["notional", "stop"]),
)
def test_the_named_balance_is_the_smallest_that_works(
    equity: Decimal, price: Decimal, fraction: Decimal, method: str
) -> None:
    rules = SizingRules(method=method, fraction=fraction, leverage=D(5))
    stop = price * D("0.97")
    try:
        size_position(rules, BTC, FEES, equity=equity, price=price, stop_price=stop)
    except BelowMinimumError as error:
        assert size(rules, error.smallest_balance, price, stop) is not None
        assert size(rules, error.smallest_balance - D("0.02"), price, stop) is None
        if error.smallest_fraction is not None:
            better = SizingRules(method=method, fraction=error.smallest_fraction, leverage=D(5))
            assert size(better, equity, price, stop) is not None


def test_a_coarser_market_step_is_obeyed(fees: Fees) -> None:
    filters = [
        item | {"stepSize": "0.01"} if item["filterType"] == "MARKET_LOT_SIZE" else item
        for item in symbol_entry()["filters"]
    ]
    coarse: InstrumentSpecs = parse_symbol_specs(symbol_entry(filters=filters), as_of_ms=0, source="test")
    sized = size_position(SizingRules(fraction=D("0.5")), coarse, fees, equity=D(10_000), price=D(100_000))
    assert sized.quantity == D("0.05")


def test_a_volatility_target_of_ten_per_cent_at_fifty_is_a_fifth_of_the_account() -> None:
    # 10,000 × 0.10 ÷ (100,000 × 0.50) = 0.02 BTC = 2,000 USDT; it moves by 1,000 a year.
    rules = SizingRules(method="volatility", fraction=D("0.1"))
    sized = size_position(rules, BTC, FEES, equity=D(10_000), price=D(100_000), estimate=D("0.5"))
    assert (sized.quantity, sized.notional) == (D("0.020"), D("2000.000"))
    assert (sized.asked_share, sized.actual_share) == (D("0.1"), D("0.1"))


def test_kelly_puts_its_share_of_equity_into_the_position() -> None:
    # 10,000 × 0.25 ÷ 99,000 = 0.02525… → floored to 0.025 = 2,475 USDT
    rules = SizingRules(method="kelly", fraction=D("0.5"))
    sized = size_position(rules, BTC, FEES, equity=D(10_000), price=D(99_000), estimate=D("0.25"))
    assert (sized.quantity, sized.asked_share, sized.actual_share) == (D("0.025"), D("0.25"), D("0.2475"))


@pytest.mark.parametrize("estimate", [None, D(0)])
@pytest.mark.parametrize("method", ["volatility", "kelly"])
def test_without_an_estimate_there_is_no_size(method: Method, estimate: Decimal | None) -> None:
    with pytest.raises(SizingError, match="needs an estimate above zero"):
        size_position(SizingRules(method=method), BTC, FEES, equity=D(10_000), price=D(99_000), estimate=estimate)


def test_kelly_too_small_names_a_balance_and_no_risk() -> None:
    rules = SizingRules(method="kelly", fraction=D("0.5"))
    with pytest.raises(BelowMinimumError) as caught:
        size_position(rules, BTC, FEES, equity=D(1000), price=D(100_000), estimate=D("0.02"))
    # 0.001 BTC is 100 USDT, two per cent of 5,000.
    assert (caught.value.smallest_balance, caught.value.smallest_fraction) == (D("5000.00"), None)


@given(
    price=prices, equity=balances, fraction=fractions, leverage=st.integers(1, 20),
    volatility=st.decimals(min_value="0.01", max_value=5, places=2), kelly=st.booleans(),
)  # fmt: skip
def test_an_estimated_size_is_never_above_what_was_asked_nor_above_leverage(
    price: Decimal, equity: Decimal, fraction: Decimal, leverage: int, volatility: Decimal, kelly: bool
) -> None:
    rules = SizingRules(method="kelly" if kelly else "volatility", fraction=fraction, leverage=D(leverage))
    sizes: list[Decimal] = []
    for estimate in (volatility, volatility * 2):
        try:
            sized = size_position(rules, BTC, FEES, equity=equity, price=price, estimate=estimate)
        except BelowMinimumError:
            sizes.append(D(0))
            continue
        assert sized.actual_share <= sized.asked_share
        assert sized.notional * (1 / D(leverage) + FEES.taker) <= equity
        assert sized.quantity <= BTC.market_max_quantity
        sizes.append(sized.quantity)
    # Twice the volatility never makes more; twice the share never makes less.
    assert sizes[0] <= sizes[1] if kelly else sizes[0] >= sizes[1]


@given(st.integers(1, 10**6), st.integers(1, 10**4))
def test_a_quantity_is_split_into_as_few_parts_as_there_can_be(units: int, most: int) -> None:
    step = D("0.001")
    parts = split_quantity(units * step, most * step, step)
    assert sum(parts) == units * step
    assert len(parts) == -(-units // most)
    assert max(parts) <= most * step
    assert max(parts) - min(parts) <= step
    assert all(part % step == 0 for part in parts)


def test_nothing_is_split_into_no_parts() -> None:
    assert split_quantity(Decimal(0), Decimal(120), Decimal("0.001")) == []
