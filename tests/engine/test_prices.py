from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nautilus_trader.model import OrderSide, OrderType, TrailingOffsetType, TriggerType

from nt_run.engine.instrument import build_instrument
from nt_run.engine.prices import NO_NEXT_OPEN, PriceModel
from nt_run.engine.run import EngineOutput
from nt_run.execution import Execution, Slippage
from nt_run.klines import Klines
from nt_run.model import Denial, Liquidity
from nt_run.specs import InstrumentSpecs

type Run = Callable[..., EngineOutput]
type Make = Callable[..., Klines]

D = Decimal
STEADY = [(100, 101, 99, 100, 40)]
NEXT = Execution(fill="next-open")


def slipping(bps: str = "0", ticks: int = 0, fill: Any = "close") -> Execution:
    return Execution(fill=fill, slippage=Slippage(bps=D(bps), ticks=ticks))


def send(kind: str, side: OrderSide, quantity: str, *prices: str, **more: Any) -> Callable[..., None]:
    def act(strategy: Any, _bar: Any) -> None:
        make = getattr(strategy.order_factory, kind)
        levels = [strategy.price(price) for price in prices]
        strategy.submit_order(make(strategy.own["instrument_id"], side, strategy.amount(quantity), *levels, **more))

    return act


def trailing(side: OrderSide, quantity: str, offset: str, trigger: str) -> Callable[..., None]:
    def act(strategy: Any, _bar: Any) -> None:
        order = strategy.order_factory.trailing_stop_market(
            strategy.own["instrument_id"],
            side,
            strategy.amount(quantity),
            trailing_offset=D(offset),
            trailing_offset_type=TrailingOffsetType.PRICE,
            trigger_price=strategy.price(trigger),
            trigger_type=TriggerType.LAST_PRICE,
        )
        strategy.submit_order(order)

    return act


def bracket(target: str, trigger: str, quantity: str = "10", entry: str | None = None) -> Callable[..., None]:
    def act(strategy: Any, _bar: Any) -> None:
        more: dict[str, Any] = {}
        if entry is not None:
            more = {"entry_order_type": OrderType.LIMIT, "entry_price": strategy.price(entry)}
        strategy.submit_order_list(
            strategy.order_factory.bracket(
                instrument_id=strategy.own["instrument_id"],
                order_side=OrderSide.BUY,
                quantity=strategy.amount(quantity),
                tp_price=strategy.price(target),
                sl_trigger_price=strategy.price(trigger),
                **more,
            )
        )

    return act


def test_a_market_order_fills_at_the_open_of_the_following_bar(run: Run, make_klines: Make, kit: Any) -> None:
    klines = make_klines([*STEADY, (100, 101, 99, "100.5", 40), ("102.3", 103, 98, 99, 40), *STEADY])
    (fill,) = run(klines, {1: [kit.buy("0.5")]}, execution=NEXT).fills
    assert (fill.price, fill.reference, fill.liquidity) == (D("102.3"), D("102.3"), Liquidity.TAKER)
    # Bar 1 closes, and bar 2 opens, two minutes after the first open.
    assert fill.time_ns == (klines.range.start_ms + 2 * 60_000) * 1_000_000
    # 0.5 × 102.3 × 0.0005
    assert fill.fee == D("0.025575")


def test_a_market_order_at_the_last_bar_has_no_next_open(run: Run, make_klines: Make, kit: Any) -> None:
    told: list[str] = []

    class Told(kit.Scripted):
        def on_order_rejected(self, event: Any) -> None:
            told.append(event.client_order_id.value)

    script = {
        0: [kit.buy("1")],
        3: [kit.buy("1"), lambda strategy, _: strategy.close_all_positions(strategy.own["instrument_id"])],
    }
    klines = make_klines(STEADY * 4)
    output = run(klines, kit.Source(Told, {"script": script}), execution=NEXT)
    assert len(output.fills) == 1
    end = klines.range.end_ms * 1_000_000
    assert output.denials == [Denial(time_ns=end, reason=NO_NEXT_OPEN, entry=entry) for entry in (True, False)]
    assert len(told) == 2


def test_an_order_sent_inside_a_bar_fills_at_the_next_open(run: Run, make_klines: Make, kit: Any) -> None:
    class Reenters(kit.Scripted):
        def on_order_filled(self, event: Any) -> None:
            if event.order_type == OrderType.STOP_MARKET:
                kit.buy("2")(self, None)

    script = {1: [kit.buy("1"), send("stop_market", OrderSide.SELL, "1", "98", reduce_only=True)]}
    klines = make_klines([*STEADY * 2, (100, 101, 97, 100, 40), (101, 102, 100, 101, 40), *STEADY])
    fills = run(klines, kit.Source(Reenters, {"script": script}), execution=NEXT).fills
    # Bar 2 opens at 100 and falls through 98; bar 3 opens at 101.
    assert [(fill.order_type, fill.price) for fill in fills] == [("market", 100), ("stop_market", 98), ("market", 101)]


def test_with_a_hole_the_next_open_is_that_of_the_next_bar_there_is(run: Run, make_klines: Make, kit: Any) -> None:
    klines = make_klines([*STEADY * 3, (104, 105, 103, 104, 40), (106, 107, 105, 106, 40)])
    holed = Klines(klines.symbol, klines.interval, klines.exponents, klines.frame[[0, 1, 2, 4]])
    (fill,) = run(holed, {2: [kit.buy("1")]}, execution=NEXT).fills
    assert fill.price == 106


def test_stops_and_limits_keep_their_own_prices_with_next_open(run: Run, make_klines: Make) -> None:
    # Filled at the open of bar 2 (99); its high reaches the target.
    klines = make_klines([*STEADY * 2, (99, 106, 99, 105, 40), *STEADY])
    fills = run(klines, {1: [bracket("105", "95")]}, execution=NEXT).fills
    assert [(fill.order_type, fill.price) for fill in fills] == [("market", 99), ("limit", 105)]
    gapped = make_klines([*STEADY * 2, (100, 100, 99, 100, 40), (90, 91, 89, 90, 40), *STEADY])
    fills = run(gapped, {1: [bracket("105", "95")]}, execution=NEXT).fills
    assert [(fill.order_type, fill.price) for fill in fills] == [("market", 100), ("stop_market", 90)]


def test_a_bracket_at_the_last_bar_is_refused_with_its_exits(run: Run, make_klines: Make) -> None:
    output = run(make_klines(STEADY * 3), {2: [bracket("105", "95")]}, execution=NEXT)
    assert output.fills == []
    assert NO_NEXT_OPEN in [denial.reason for denial in output.denials]


@pytest.mark.parametrize(
    ("bps", "ticks", "buys", "sells"),
    [
        # 100 × 5 bp = 0.05, rounded away from the trader to 0.1
        ("5", 0, "100.1", "99.9"),
        # 100 × 12 bp = 0.12 → 0.2
        ("12", 0, "100.2", "99.8"),
        ("0", 3, "100.3", "99.7"),
        # 0.12 + 0.3 = 0.42 → 0.5
        ("12", 3, "100.5", "99.5"),
        # Exactly on the tick: 100 × 10 bp = 0.1
        ("10", 0, "100.1", "99.9"),
    ],
)
def test_slippage_moves_market_orders_against_the_trader(
    bps: str, ticks: int, buys: str, sells: str, run: Run, make_klines: Make, kit: Any
) -> None:
    output = run(make_klines(STEADY * 4), {0: [kit.buy("1")], 2: [kit.sell("1")]}, execution=slipping(bps, ticks))
    assert [fill.price for fill in output.fills] == [D(buys), D(sells)]
    assert [fill.reference for fill in output.fills] == [100, 100]
    assert output.balance == 100_000 + D(sells) - D(buys) - (D(buys) + D(sells)) * D("0.0005")


def test_a_stop_slips_from_its_trigger_or_from_the_open_behind_a_gap(run: Run, make_klines: Make, kit: Any) -> None:
    script = {1: [kit.buy("1"), send("stop_market", OrderSide.SELL, "1", "95.5", reduce_only=True)]}
    inside = make_klines([*STEADY * 2, (100, 100, 90, 96, 4), *STEADY])
    fill = run(inside, script, execution=slipping(ticks=2)).fills[1]
    assert (fill.reference, fill.price) == (D("95.5"), D("95.3"))
    gapped = make_klines([*STEADY * 2, (80, 82, 79, 81, 4), *STEADY])
    fill = run(gapped, script, execution=slipping(ticks=2)).fills[1]
    assert (fill.reference, fill.price) == (80, D("79.8"))


def test_a_limit_order_never_slips(run: Run, make_klines: Make) -> None:
    klines = make_klines([*STEADY * 2, (100, 108, 100, 107, 4), *STEADY])
    fills = run(klines, {1: [bracket("105", "95")]}, execution=slipping("30", 5)).fills
    assert [(fill.order_type, fill.price - fill.reference) for fill in fills] == [("market", D("0.8")), ("limit", 0)]


def test_a_trailing_stop_that_followed_inside_the_bar_slips_from_where_it_got_to(run: Run, make_klines: Make) -> None:
    # Up from 100 to 103.5 the stop follows to 101.5; down to 100, the open itself, it is hit there and not at the open.
    klines = make_klines([*STEADY * 2, (100, "103.5", 100, 101, 4), *STEADY])
    script = {1: [trailing(OrderSide.SELL, "1", "2", "98")]}
    (fill,) = run(klines, script, execution=slipping(ticks=1)).fills
    assert (fill.reference, fill.price) == (D("101.5"), D("101.4"))


def test_a_sale_is_never_for_nothing(run: Run, make_klines: Make, kit: Any) -> None:
    klines = make_klines([("0.5", "0.5", "0.5", "0.5", 4)] * 3)
    output = run(klines, {0: [kit.sell("200")]}, execution=slipping(ticks=10))
    assert [fill.price for fill in output.fills] == [D("0.1")]


def test_without_slippage_nothing_is_changed_by_asking(
    run: Run, random_market: Make, kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = {number: [kit.buy("1") if number % 3 else kit.sell("2")] for number in range(100)}
    plain = run(random_market(100), script)
    monkeypatch.setattr(Execution, "plain", property(lambda _: False))
    assert run(random_market(100), script) == plain


ORDERS = st.one_of(
    st.tuples(st.just("market"), st.booleans(), st.just(0)),
    st.tuples(
        st.sampled_from(["stop_market", "market_if_touched", "limit", "trailing", "bracket", "limit_bracket"]),
        st.booleans(),
        st.integers(1, 40),
    ),
)


def scripted(kind: str, buys: bool, distance: int) -> Callable[..., None]:
    """An order relative to the close of its bar, `distance` times 20.0 away on the side where it rests."""

    def act(strategy: Any, bar: Any) -> None:
        side = OrderSide.BUY if buys else OrderSide.SELL
        away = distance * 20
        close = bar.close.as_decimal()
        above, below = str(close + away), str(close - away)
        if kind == "market":
            send("market", side, "0.010")(strategy, bar)
        elif kind == "trailing":
            trailing(side, "0.010", str(away), above if buys else below)(strategy, bar)
        elif kind == "bracket":
            bracket(str(close + 2 * away), below, "0.010")(strategy, bar)
        elif kind == "limit_bracket":
            bracket(above, str(close - away - 10), "0.010", below)(strategy, bar)
        else:
            higher = buys == (kind == "stop_market")
            send(kind, side, "0.010", above if higher else below)(strategy, bar)

    return act


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10_000),
    orders=st.dictionaries(st.integers(0, 59), st.lists(ORDERS, min_size=1, max_size=2), max_size=30),
    bps=st.integers(0, 50),
    ticks=st.integers(1, 30),
)
def test_every_fill_is_the_engines_own_and_slippage_worse(
    seed: int, orders: dict[int, list[tuple[str, bool, int]]], bps: int, ticks: int, run: Run, random_market: Make
) -> None:
    """The engine itself, without slippage, is the oracle for each reference price; no fill is outside its bar."""
    klines = random_market(60, seed, "1h", 0.004)
    script = {number: [scripted(*order) for order in sent] for number, sent in orders.items()}
    plain = run(klines, script).fills
    slipped = run(klines, script, execution=slipping(str(bps), ticks)).fills
    assert [(fill.time_ns, fill.order_id, fill.side, fill.reference) for fill in slipped] == [
        (fill.time_ns, fill.order_id, fill.side, fill.price) for fill in plain
    ]
    rows = {time: number for number, time in enumerate(klines.frame["open_time"].dt.epoch("ns") + 3_600 * 10**9)}
    for fill in slipped:
        low, high = (D(klines.frame[name][rows[fill.time_ns]]).scaleb(-1) for name in ("low", "high"))
        assert low <= fill.reference <= high
        worse = (fill.price - fill.reference) * fill.side.sign
        least = fill.reference * bps / 10_000 + ticks * D("0.1")
        assert worse == 0 if fill.order_type == "limit" else least <= worse < least + D("0.1")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10_000),
    orders=st.dictionaries(st.integers(0, 59), st.lists(ORDERS, min_size=1, max_size=2), max_size=30),
    ticks=st.integers(0, 30),
)
def test_with_next_open_every_market_order_has_the_following_open(
    seed: int, orders: dict[int, list[tuple[str, bool, int]]], ticks: int, run: Run, random_market: Make
) -> None:
    klines = random_market(60, seed, "1h", 0.004)
    script = {number: [scripted(*order) for order in sent] for number, sent in orders.items()}
    output = run(klines, script, execution=slipping(ticks=ticks, fill="next-open"))
    opens = dict(zip(klines.frame["open_time"].dt.epoch("ns"), klines.frame["open"], strict=True))
    for fill in output.fills:
        if fill.order_type == "market":
            assert fill.reference == D(opens[fill.time_ns]).scaleb(-1)
        assert fill.side.sign * (fill.price - fill.reference) == (0 if fill.order_type == "limit" else ticks * D("0.1"))
    late = sum(order[0] in {"market", "bracket"} for order in orders.get(59, ()))
    assert sum(denial.reason == NO_NEXT_OPEN for denial in output.denials) == late


def test_a_forced_price_is_kept_to_the_tick_and_never_slips(make_klines: Make, btc: InstrumentSpecs) -> None:
    klines = make_klines(STEADY * 3)
    model = PriceModel(
        klines, build_instrument(btc, klines), slipping(ticks=5, fill="next-open"), tick=btc.tick_size, reasons={}
    )
    model.force("O-1", D("97.3"))
    order = SimpleNamespace(client_order_id=SimpleNamespace(value="O-1"))
    book = model.get_orderbook_for_fill_simulation(None, order)
    assert book is not None
    assert (str(book.best_bid_price()), str(book.best_ask_price())) == ("97.3", "97.3")
    assert model.references == {}
