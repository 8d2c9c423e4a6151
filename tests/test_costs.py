from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from nt_run.accounting import build_trades
from nt_run.costs import RUNGS, cost_ladder, costs_object, funding_object, funding_warnings, slips
from nt_run.execution import PLAIN
from nt_run.model import Fill, FundingPayment, Liquidity, Settlement, Side

D = Decimal
FEE = D("0.0005")
BALANCE = D(1_000_000)


def fill(minute: int, side: Side, quantity: str, price: str, reference: str | None = None, **changes: object) -> Fill:
    made = Fill(
        time_ns=minute * 60 * 10**9,
        order_id=str(minute),
        side=side,
        quantity=D(quantity),
        price=D(price),
        reference=D(reference or price),
        fee=D(quantity) * D(price) * FEE,
        liquidity=Liquidity.TAKER,
        order_type="market",
    )
    return replace(made, **changes)


LONG = [fill(1, Side.BUY, "2", "100"), fill(3, Side.SELL, "2", "101")]


def test_the_ladder_by_hand() -> None:
    # Free: 2 × (101 − 100) − 0.0005 × 2 × (100 + 101) = 2 − 0.201 = 1.799
    # One bp: buy at 100.01, sell at 100.9899: 2 × 0.9799 − 0.0005 × 2 × 200.9999 = 1.9598 − 0.2009999 = 1.7588001
    ladder = cost_ladder(LONG, [], D(0), BALANCE)
    assert (ladder.free, ladder.net(D(1))) == (D("1.799"), D("1.7588001"))
    assert ladder.per_bp == D("0.0401999")
    # 1.799 ÷ 0.0401999 = 44.7513…
    assert costs_object(ladder, PLAIN)["break_even_bps"] == "44.75"


def test_slippage_that_was_charged_is_taken_off_first() -> None:
    slipped = [fill(1, Side.BUY, "2", "100.3", "100"), fill(3, Side.SELL, "2", "100.7", "101")]
    assert cost_ladder(slipped, [], D(0), BALANCE) == cost_ladder(LONG, [], D(0), BALANCE)


def test_limit_orders_funding_and_the_last_close_stay() -> None:
    target = fill(3, Side.SELL, "1", "101", order_type="limit", liquidity=Liquidity.MAKER)
    paid = FundingPayment(
        time_ns=2 * 60 * 10**9,
        position=D(2),
        rate=D("0.001"),
        price=D(100),
        amount=D("-0.2"),
        price_source="mark_price",
    )
    ladder = cost_ladder([LONG[0], target], [paid], D(103), BALANCE)
    # 101 − 200 + 103 = 4; fees 0.1 + 0.0505; funding 0.2
    assert ladder.free == D("3.6495")
    # Only the entry slips: 2 × 100 × 0.0001 and the fee of that.
    assert ladder.per_bp == D("0.02001")


def test_a_limit_order_that_takes_slips_like_any_other() -> None:
    taken = [fill(1, Side.BUY, "2", "100", order_type="limit"), fill(3, Side.SELL, "2", "101")]
    assert cost_ladder(taken, [], D(0), BALANCE) == cost_ladder(LONG, [], D(0), BALANCE)


def test_a_run_that_loses_without_slippage_has_no_break_even() -> None:
    losing = [fill(1, Side.BUY, "2", "100"), fill(3, Side.SELL, "2", "99")]
    assert cost_ladder(losing, [], D(0), BALANCE).break_even_bps is None
    assert cost_ladder([], [], D(100), BALANCE).break_even_bps is None


def with_slippage(each: Fill, bps: Decimal) -> Fill:
    """The fill at another slippage: reference × (1 ± bp ÷ 10,000), with the same fee rate."""
    if not slips(each):
        return each
    price = each.reference * (1 + each.side.sign * bps / 10_000)
    return replace(each, price=price, fee=each.quantity * price * FEE)


rows_of_orders = st.tuples(
    st.sampled_from(Side), st.integers(1, 500), st.integers(900, 1100), st.integers(0, 5), st.booleans()
)


@given(st.lists(rows_of_orders, max_size=12), st.integers(0, 500))
def test_every_rung_is_what_the_books_give_at_that_slippage(
    rows: list[tuple[Side, int, int, int, bool]], bps: int
) -> None:
    fills = [
        fill(at, side, str(D(quantity) / 1000), str(price), order_type="limit")
        if rests
        else fill(at, side, str(D(quantity) / 1000), str(price + side.sign * slipped), str(price))
        for at, (side, quantity, price, slipped, rests) in enumerate(rows)
    ]
    ladder = cost_ladder(fills, [], D(1000), BALANCE)
    again = build_trades([with_slippage(each, D(bps)) for each in fills], [])
    open_value = again[-1].position * 1000 if again else D(0)
    net = sum((trade.received - trade.paid - trade.fee for trade in again), open_value)
    assert abs(ladder.net(D(bps)) - net) < D("1e-15")
    assert ladder.per_bp >= 0
    zero = ladder.break_even_bps
    assert zero is None or abs(ladder.net(zero)) < D("1e-15")


@given(st.lists(rows_of_orders, min_size=1, max_size=12), st.integers(1, 300))
def test_no_rung_loses_more_than_the_account_has(rows: list[tuple[Side, int, int, int, bool]], balance: int) -> None:
    fills = [fill(at, side, str(quantity), str(price)) for at, (side, quantity, price, *_) in enumerate(rows)]
    ladder = cost_ladder(fills, [], D(1000), D(balance))
    nets = [D(rung["net"]) for rung in costs_object(ladder, PLAIN)["ladder"]]
    assert min(nets) >= -balance
    assert nets == sorted(nets, reverse=True)


def test_an_account_that_would_be_gone_stays_at_nothing() -> None:
    # 2 BTC bought at 100,000 and sold at 99,990 with 100: −20 − 199.99 of fees.
    gone = [fill(1, Side.BUY, "2", "100000"), fill(3, Side.SELL, "2", "99990")]
    assert cost_ladder(gone, [], D(0), D(1000)).net(D(0)) == D("-219.99")
    assert cost_ladder(gone, [], D(0), D(100)).net(D(0)) == -100


def test_the_object_has_every_rung() -> None:
    told = costs_object(cost_ladder(LONG, [], D(0), BALANCE), PLAIN)["ladder"]
    assert [D(rung["slippage_bps"]) for rung in told] == list(RUNGS)
    assert told[1]["net"] == "1.75880010"


def test_the_funding_charged_is_counted_by_where_its_price_is_from() -> None:
    paid = FundingPayment(
        time_ns=1, position=D(2), rate=D("0.001"), price=D(100), amount=D("-0.2"), price_source="mark_price"
    )
    due = [Settlement(time_ns=time, rate=D("0.001"), price=D(100), price_source="last_close") for time in (1, 2, 3)]
    counts = funding_object(due, [paid, replace(paid, time_ns=2, price_source="last_close")])
    assert counts == {"settlements": 3, "charged": 2, "at_mark_price": 1, "at_bar_close": 1}
    assert funding_warnings(counts) == [
        "1 of 2 funding payments had no mark price and were charged at their bar's close."
    ]
    assert funding_warnings(funding_object(due[:1], [paid])) == []
    assert "--no-funding" in funding_warnings(None)[0]
