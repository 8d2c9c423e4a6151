from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from nt_run.costs import RUNGS, CostLadder, costs_object, funding_object, funding_warnings
from nt_run.execution import PLAIN, Slippage
from nt_run.frames import fills_frame
from nt_run.model import LIQUIDATION, Fill, FundingPayment, Liquidity, Settlement, Side

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
NOTHING = D(0)
FINE, COARSE = D("0.0001"), D("0.001")


def net_of(fills: list[Fill], close: Decimal = NOTHING) -> Decimal:
    """The change of equity, of all the fills, what is open valued at `close`."""
    signed = [each.side.sign * each.quantity for each in fills]
    cash = sum((-size * each.price - each.fee for size, each in zip(signed, fills, strict=True)), D(0))
    return cash + sum(signed, D(0)) * close


def ladder_of(fills: list[Fill], step: Decimal, close: Decimal = NOTHING, balance: Decimal = BALANCE) -> CostLadder:
    return CostLadder(fills_frame(fills), net=net_of(fills, close), price_step=step, balance=balance)


def test_the_ladder_by_hand() -> None:
    # Free: 2 × (101 − 100) − 0.0005 × 2 × (100 + 101) = 2 − 0.201 = 1.799
    # One bp: buy at 100.01, sell at 100.9899: 2 × 0.9799 − 0.0005 × 2 × 200.9999 = 1.9598 − 0.2009999 = 1.7588001
    ladder = ladder_of(LONG, FINE)
    assert (ladder.net(D(0)), ladder.net(D(1))) == (D("1.799"), D("1.7588001"))
    # 44.75 bp: buy at 100.4475, sell at 100.548025 → 100.5480: 2 × 0.1005 − 0.001 × 200.9955 = 0.0000045
    # 44.76 bp: buy at 100.4476, sell at 100.547924 → 100.5479: 2 × 0.1003 − 0.001 × 200.9955 = −0.0003955
    assert ladder.net(D("44.75")) == D("0.0000045")
    assert ladder.net(D("44.76")) == D("-0.0003955")
    assert costs_object(ladder, PLAIN)["break_even_bps"] == "44.75"


def test_the_ladder_of_a_coarse_tick_by_hand() -> None:
    # 1,000 bought at 6.500 and sold at 6.510: 10 − 0.5 × (6.5 + 6.51) = 10 − 6.505
    coarse = [fill(1, Side.BUY, "1000", "6.500"), fill(3, Side.SELL, "1000", "6.510")]
    ladder = ladder_of(coarse, COARSE)
    nets = {
        # 0.01 bp: buy at 6.5000065 → 6.501, sell at 6.50999349 → 6.509: 8 − 6.505
        "0": "3.495", "0.01": "1.495",
        # 1 bp: buy at 6.50065 → 6.501, sell at 6.509349 → 6.509; so it is at 1.53 bp: 6.5009945 and 6.50900397.
        "1": "1.495", "1.53": "1.495",
        # 1.54 bp: buy at 6.501001 → 6.502, sell at 6.50899746 → 6.508: 6 − 6.505. On a straight line 2.65 bp were free.
        "1.54": "-0.505", "2": "-0.505",
    }  # fmt: skip
    assert {bps: ladder.net(D(bps)) for bps in nets} == {bps: D(net) for bps, net in nets.items()}
    told = costs_object(ladder, PLAIN)
    assert (told["break_even_bps"], told["price_step"]) == ("1.53", "0.001")


def test_a_tick_may_be_more_than_a_run_made() -> None:
    # 1,000 bought at 6.500 and sold at 6.507: 7 − 6.5035 = 0.4965, and a tick on both sides is 2.
    ladder = ladder_of([fill(1, Side.BUY, "1000", "6.500"), fill(3, Side.SELL, "1000", "6.507")], COARSE)
    assert (ladder.net(D(0)), ladder.break_even_bps) == (D("0.4965"), 0)
    assert costs_object(ladder, PLAIN)["break_even_bps"] == "0.00"


def test_slippage_that_was_charged_is_taken_off_first() -> None:
    slipped = [fill(1, Side.BUY, "2", "100.3", "100"), fill(3, Side.SELL, "2", "100.7", "101")]
    assert costs_object(ladder_of(slipped, FINE), PLAIN) == costs_object(ladder_of(LONG, FINE), PLAIN)


def test_limit_orders_and_liquidations_stay() -> None:
    target = fill(3, Side.SELL, "1", "101", order_type="limit", liquidity=Liquidity.MAKER)
    forced = fill(4, Side.SELL, "1", "102", order_type=LIQUIDATION)
    ladder = ladder_of([LONG[0], target, forced], FINE)
    # 101 + 102 − 200 = 3; fees 0.1 + 0.0505 + 0.051
    assert ladder.net(D(0)) == D("2.7985")
    # Only the entry slips, by 2 × 100 × 0.0001 and the fee of that.
    assert ladder.net(D(0)) - ladder.net(D(1)) == D("0.02001")


def test_a_limit_order_that_takes_slips_like_any_other() -> None:
    taken = [fill(1, Side.BUY, "2", "100", order_type="limit"), LONG[1]]
    assert costs_object(ladder_of(taken, FINE), PLAIN) == costs_object(ladder_of(LONG, FINE), PLAIN)


def test_a_run_that_loses_without_slippage_has_no_break_even() -> None:
    losing = [fill(1, Side.BUY, "2", "100"), fill(3, Side.SELL, "2", "99")]
    assert ladder_of(losing, FINE).break_even_bps is None
    assert ladder_of([], FINE).break_even_bps is None


def test_a_sale_gets_a_step_whatever_the_slippage() -> None:
    # Bought resting at 100, half sold by a market order at 101, the rest is worth 250.
    rested = fill(1, Side.BUY, "2", "100", order_type="limit", liquidity=Liquidity.MAKER)
    ladder = ladder_of([rested, fill(3, Side.SELL, "1", "101")], D("0.5"), D(250))
    # 0.5 + 250 − 200 − 0.1 − 0.00025
    assert ladder.net(D(10_000)) == ladder.net(D(20_000)) == D("50.39975")
    assert ladder.break_even_bps is None


rows_of_orders = st.tuples(
    st.sampled_from(Side), st.integers(1, 500), st.integers(900, 1100), st.integers(0, 5), st.booleans()
)
type Row = tuple[Side, int, int, int, bool]
hundredths = st.decimals(0, 600, places=2)
steps = st.sampled_from([D("0.01"), D("0.05"), D(1), D(7)])


def slipped_by(slippage: Slippage, fills: list[Fill], step: Decimal) -> list[Fill]:
    """The fills as a run with that slippage books them."""
    again: list[Fill] = []
    for each in fills:
        price = each.price
        if each.liquidity is Liquidity.TAKER:
            price = slippage.worse(each.reference, each.side, tick=step)
        again.append(replace(each, price=price, fee=each.quantity * price * FEE))
    return again


def fills_of(rows: list[Row]) -> list[Fill]:
    maker = {"order_type": "limit", "liquidity": Liquidity.MAKER}
    return [
        fill(at, side, str(D(quantity) / 1000), str(price), **maker)
        if rests
        else fill(at, side, str(D(quantity) / 1000), str(price + side.sign * slipped), str(price))
        for at, (side, quantity, price, slipped, rests) in enumerate(rows)
    ]


@given(st.lists(rows_of_orders, max_size=12), hundredths, steps)
def test_every_rung_is_what_a_run_with_that_slippage_books(rows: list[Row], bps: Decimal, step: Decimal) -> None:
    fills, close = fills_of(rows), D(1000)
    booked = net_of(slipped_by(Slippage(bps=bps), fills, step), close)
    assert abs(ladder_of(fills, step, close).net(bps) - booked) < D("1e-7")


@given(st.lists(rows_of_orders, max_size=12), hundredths, steps, st.integers(0, 300))
def test_the_rung_of_the_slippage_a_run_had_is_what_it_made(
    rows: list[Row], bps: Decimal, step: Decimal, ticks: int
) -> None:
    fills, close = slipped_by(Slippage(bps=bps), fills_of(rows), step), D(1000)
    ladder = ladder_of(fills, step, close)
    assert abs(ladder.net(bps) - net_of(fills, close)) <= D("1e-8")
    # And so it is of any other, though the fills then slipped in another way.
    other = ladder_of(slipped_by(Slippage(ticks=ticks), fills, step), step, close)
    assert abs(ladder.net(D(3)) - other.net(D(3))) < D("1e-7")


@given(st.lists(rows_of_orders, min_size=1, max_size=12), steps, st.integers(500, 1500))
def test_at_the_break_even_nothing_is_lost_and_a_hundredth_beyond_it_something_is(
    rows: list[Row], step: Decimal, close: int
) -> None:
    ladder = ladder_of(fills_of(rows), step, D(close))
    most = ladder.break_even_bps
    if most is None:
        bought = any(side is Side.BUY and not rests for side, _, _, _, rests in rows)
        assert ladder.net(D(0)) <= 0 or (not bought and ladder.net(D(10_000)) >= 0)
    else:
        assert ladder.net(most) >= 0 > ladder.net(most + D("0.01"))


def test_prices_of_many_digits_are_moved_exactly() -> None:
    # 12345678.12345678 × 1.0007 = 12354320.098143…; the integers of it would not fit into 64 bits.
    fills = [fill(1, Side.BUY, "1", "12345678.12345678"), fill(2, Side.SELL, "1", "98765432.12345678")]
    step = D("1e-8")
    booked = net_of(slipped_by(Slippage(bps=D(7)), fills, step))
    assert abs(ladder_of(fills, step, balance=D(10) ** 9).net(D(7)) - booked) < D("1e-6")


@given(st.lists(rows_of_orders, min_size=1, max_size=12), st.integers(1, 300))
def test_no_rung_loses_more_than_the_account_has(rows: list[Row], balance: int) -> None:
    fills = [fill(at, side, str(quantity), str(price)) for at, (side, quantity, price, *_) in enumerate(rows)]
    nets = [D(rung["net"]) for rung in costs_object(ladder_of(fills, D(1), D(1000), D(balance)), PLAIN)["ladder"]]
    assert min(nets) >= -balance
    assert nets == sorted(nets, reverse=True)


def test_an_account_that_would_be_gone_stays_at_nothing() -> None:
    # 2 BTC bought at 100,000 and sold at 99,990 with 100: −20 − 199.99 of fees.
    gone = [fill(1, Side.BUY, "2", "100000"), fill(3, Side.SELL, "2", "99990")]
    assert ladder_of(gone, D(1), balance=D(1000)).net(D(0)) == D("-219.99")
    assert ladder_of(gone, D(1), balance=D(100)).net(D(0)) == -100


def test_the_object_has_every_rung() -> None:
    told = costs_object(ladder_of(LONG, FINE), PLAIN)["ladder"]
    assert [D(rung["slippage_bps"]) for rung in told] == list(RUNGS)
    assert told[1]["net"] == "1.75880010"


def test_the_funding_charged_is_counted_by_where_its_price_is_from() -> None:
    paid = FundingPayment(
        time_ns=1, position=D(2), rate=D("0.001"), price=D(100), amount=D("-0.2"), price_source="mark_price"
    )
    due = [Settlement(time_ns=time, rate=D("0.001"), price=D(100), price_source="last_close") for time in (1, 2, 3)]
    inside = [replace(LONG[0], time_ns=time, order_type=kind) for time, kind in ((2, "limit"), (3, "market"))]
    counts = funding_object(due, [paid, replace(paid, time_ns=2, price_source="last_close")], inside)
    assert counts == {"settlements": 3, "charged": 2, "at_mark_price": 1, "at_bar_close": 1, "filled_before": 1}
    assert funding_warnings(counts) == [
        "1 of 2 funding payments had no mark price and were charged at their bar's close.",
        "Orders filled inside the bars that end at 1 of 3 settlements: the position before them was charged.",
    ]
    assert funding_warnings(funding_object(due[:1], [paid], inside)) == []
    assert "--no-funding" in funding_warnings(None)[0]
