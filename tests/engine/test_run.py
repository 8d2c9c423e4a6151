import hashlib
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nautilus_trader.model import OrderSide

from nt_run.engine import bars, instrument
from nt_run.engine.run import EngineOutput
from nt_run.errors import UsageError
from nt_run.klines import Exponents, Klines
from nt_run.model import Denial, Side
from nt_run.sizing import SizingRules
from nt_run.strategies.resolver import check_params, resolve_strategy

type Run = Callable[..., EngineOutput]
type Make = Callable[..., Klines]

STEADY = [(100, 101, 99, 100, 40)]
GOLDEN = "d6a2bf21"


def digest(output: EngineOutput) -> str:
    facts = [output.fills, output.payments, output.denials, output.balance, output.open_pnl]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:8]


def cross(market: Klines, run: Run, **changes: Any) -> EngineOutput:
    strategy = resolve_strategy("ema_cross")
    return run(market, strategy, params=check_params(strategy, {}), **changes)


def test_a_market_order_fills_whole_at_the_close_of_its_bar(run: Run, make_klines: Make, kit: Any) -> None:
    klines = make_klines([*STEADY * 2, (100, 109, 98, "104.3", 40), *STEADY])
    output = run(klines, {2: [kit.buy("0.5")]})
    (fill,) = output.fills
    assert (fill.price, fill.quantity, fill.side) == (Decimal("104.3"), Decimal("0.5"), Side.BUY)
    assert fill.time_ns == (klines.range.start_ms + 3 * 60_000) * 1_000_000
    # 0.5 × 104.3 × 0.0005 = 0.026075
    assert fill.fee == Decimal("0.026075")
    assert output.balance == 100_000 - fill.fee
    # 0.5 × (100 − 104.3)
    assert output.open_pnl == Decimal("-2.15")


@pytest.mark.parametrize("volume", ["0.001", "40", "0"])
def test_the_volume_of_a_bar_never_splits_or_moves_a_fill(volume: str, run: Run, make_klines: Make, kit: Any) -> None:
    klines = make_klines([*STEADY, (100, 103, 97, 102, volume), *STEADY])
    (fill,) = run(klines, {1: [kit.buy("100")]}).fills
    assert (fill.price, fill.quantity) == (102, 100)


def test_a_run_may_begin_with_bars_without_volume(run: Run, make_klines: Make, kit: Any) -> None:
    (fill,) = run(make_klines([(100, 100, 100, 100, 0)] * 3), {0: [kit.buy("1")]}).fills
    assert fill.price == 100


def stop(side: OrderSide, quantity: str, trigger: str) -> Callable[..., None]:
    def act(strategy: Any, _bar: Any) -> None:
        strategy.submit_order(
            strategy.order_factory.stop_market(
                strategy.own["instrument_id"],
                side,
                strategy.amount(quantity),
                strategy.price(trigger),
                reduce_only=True,
            )
        )

    return act


def bracket(target: str, trigger: str, quantity: str = "10") -> Callable[..., None]:
    def act(strategy: Any, _bar: Any) -> None:
        strategy.submit_order_list(
            strategy.order_factory.bracket(
                instrument_id=strategy.own["instrument_id"],
                order_side=OrderSide.BUY,
                quantity=strategy.amount(quantity),
                tp_price=strategy.price(target),
                sl_trigger_price=strategy.price(trigger),
            )
        )

    return act


@pytest.mark.parametrize(
    ("bar", "price"),
    [((100, 100, 90, 96, 4), "95.5"), ((80, 82, 79, 81, 4), "80")],
    ids=["inside the bar at the trigger", "behind a gap at the open"],
)
def test_a_stop_fills_whole(bar: tuple[int, ...], price: str, run: Run, make_klines: Make, kit: Any) -> None:
    klines = make_klines([*STEADY * 2, bar, *STEADY])
    output = run(klines, {1: [kit.buy("50"), stop(OrderSide.SELL, "50", "95.5")]})
    assert [(fill.order_type, fill.price, fill.quantity) for fill in output.fills] == [
        ("market", 100, 50),
        ("stop_market", Decimal(price), 50),
    ]


@pytest.mark.parametrize(
    ("bar", "kind", "price", "liquidity"),
    [((100, 108, 100, 107, 4), "limit", "105", "maker"), ((100, 100, 90, 91, 4), "stop_market", "95", "taker")],
    ids=["target", "stop"],
)
def test_when_stop_or_target_fills_the_other_is_cancelled(
    bar: tuple[int, ...], kind: str, price: str, liquidity: str, run: Run, make_klines: Make
) -> None:
    # After the exit the market crosses both levels again: an orphan would open a position.
    klines = make_klines([*STEADY * 2, bar, (100, 120, 80, 100, 40), *STEADY])
    output = run(klines, {1: [bracket("105", "95")]})
    assert [(fill.order_type, fill.price) for fill in output.fills] == [("market", 100), (kind, Decimal(price))]
    assert output.fills[1].liquidity == liquidity
    rate = Decimal("0.0002") if liquidity == "maker" else Decimal("0.0005")
    assert output.fills[1].fee == 10 * Decimal(price) * rate
    assert output.open_pnl == 0


def test_a_bar_that_holds_stop_and_target_runs_open_high_low_close(run: Run, make_klines: Make) -> None:
    klines = make_klines([*STEADY * 2, (100, 110, 90, 100, 40)])
    assert run(klines, {1: [bracket("105", "95")]}).fills[1].price == 105


def test_refused_orders_are_listed_with_reasons_that_can_be_counted(run: Run, make_klines: Make, kit: Any) -> None:
    klines = make_klines(STEADY * 6)
    output = run(
        klines,
        {
            0: [kit.buy("0.4")],
            1: [kit.buy("0.3"), kit.buy("5000")],
            2: [kit.buy("999.999")],
            3: [kit.buy("999"), stop(OrderSide.BUY, "1", "105")],
            4: [kit.buy("5")],
        },
    )
    # The first is worth 40, the second 30: below 50. The account carries 1,000 at most, fees aside.
    reasons = Counter(denial.reason for denial in output.denials)
    assert reasons == {
        "notional below minimum": 2,
        "quantity above the largest market order": 1,
        "initial margin exceeds free balance": 2,
        "reduce-only order would have increased the position": 1,
    }
    assert output.denials == sorted(output.denials, key=lambda denial: denial.time_ns)
    assert all(isinstance(denial, Denial) for denial in output.denials)


def test_open_positions_tie_up_their_margin(run: Run, make_klines: Make, kit: Any) -> None:
    klines = make_klines(STEADY * 4)
    script = {0: [kit.buy("600")], 1: [kit.buy("600")]}
    assert len(run(klines, script).denials) == 1
    assert run(klines, script, sizing=SizingRules(leverage=Decimal(2))).denials == []


def test_an_order_from_on_stop_is_booked(run: Run, make_klines: Make, kit: Any) -> None:
    class Closing(kit.Scripted):
        def on_stop(self) -> None:
            self.close_all_positions(self.own["instrument_id"])

    output = run(make_klines(STEADY * 3), kit.Source(Closing, {"script": {0: [kit.buy("1")]}}))
    assert [fill.side for fill in output.fills] == [Side.BUY, Side.SELL]
    assert output.open_pnl == 0


def test_what_is_open_at_the_end_stays_open(run: Run, make_klines: Make, kit: Any) -> None:
    klines = make_klines([*STEADY * 2, (100, 110, 100, 110, 9)])
    output = run(klines, {0: [kit.buy("2")]})
    assert (len(output.fills), output.open_pnl) == (1, 20)


def test_fills_of_one_instant_keep_their_order(run: Run, make_klines: Make, kit: Any) -> None:
    script = {number: [kit.buy("1"), kit.sell("2"), kit.buy("1")] for number in range(12)}
    output = run(make_klines(STEADY * 12), script)
    assert [fill.side.value for fill in output.fills] == ["buy", "sell", "buy"] * 12
    numbers = [int(fill.order_id.rsplit("-", 1)[1]) for fill in output.fills]
    assert numbers == list(range(1, 37))


def test_old_klines_finer_than_todays_tick_are_never_rounded(run: Run, make_klines: Make, kit: Any) -> None:
    rows = [("100.12", "100.99", "100.01", "100.37", 40), ("100.40", "100.40", "100.40", "100.40", 40)]
    klines = make_klines(rows, exponents=Exponents(2, 3, 0))
    output = run(klines, {0: [kit.buy("1")], 1: [kit.sell("1")]})
    assert [fill.price for fill in output.fills] == [Decimal("100.37"), Decimal("100.40")]


def test_an_order_the_engine_drops_without_a_word_is_counted(
    run: Run, make_klines: Make, kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instrument, "_all_on_tick", lambda *_args: True)
    klines = make_klines([("100.37",) * 4 + (40,)] * 2, exponents=Exponents(2, 3, 0))
    output = run(klines, {0: [kit.buy("1")]})
    assert output.fills == []
    assert [denial.reason for denial in output.denials] == ["left without an answer by the engine"]


def test_every_bar_is_fed_and_seen(run: Run, random_market: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bars, "CHUNK", 100)
    seen: list[tuple[int, float, int]] = []
    output = cross(random_market(1_030), run, progress=lambda *args: seen.append(args))
    assert output.bars_fed == output.bars_seen == 1_030
    assert [bars_done for bars_done, _, _ in seen][-1] == 1_030
    assert len(seen) == 11
    assert seen[-1][1] == pytest.approx(float(output.balance + output.open_pnl))
    assert seen[-1][2] == len(output.fills)


@pytest.mark.parametrize("size", [1, 7, 500])
def test_the_size_of_the_chunks_changes_nothing(
    size: int, run: Run, random_market: Make, kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = [kit.rate("0.0001", None, kit.SLOT + hours * 3_600_000) for hours in range(8)]
    whole = cross(random_market(400), run, funding=rates)
    monkeypatch.setattr(bars, "CHUNK", size)
    assert digest(cross(random_market(400), run, funding=rates)) == digest(whole)


def golden(run: Run, random_market: Make, kit: Any) -> EngineOutput:
    rates = [kit.rate("0.0001", "40123.45678901", kit.SLOT + hours * 3_600_000) for hours in range(30)]
    rules = SizingRules(method="stop", fraction=Decimal("0.001"), stop_distance=Decimal("0.002"), leverage=Decimal(3))
    return cross(random_market(2_000), run, funding=rates, sizing=rules)


def test_a_fixed_run_gives_the_fills_it_always_gave(run: Run, random_market: Make, kit: Any) -> None:
    output = golden(run, random_market, kit)
    assert {fill.order_type for fill in output.fills} == {"market", "stop_market"}
    assert len(output.payments) > 5
    assert digest(output) == GOLDEN


def test_the_same_run_twice_is_the_same(run: Run, random_market: Make, kit: Any) -> None:
    assert golden(run, random_market, kit) == golden(run, random_market, kit)


def test_sizing_by_stop_needs_a_strategy_that_asks_a_sizer(run: Run, make_klines: Make) -> None:
    with pytest.raises(UsageError, match="no field 'sizer'"):
        run(make_klines(STEADY * 3), {}, sizing=SizingRules(method="stop", stop_distance=Decimal("0.01")))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10_000),
    orders=st.dictionaries(
        st.integers(0, 59),
        st.lists(st.tuples(st.sampled_from(["buy", "sell"]), st.integers(2, 4_000)), min_size=1, max_size=3),
        max_size=40,
    ),
    rate=st.integers(-5_000, 5_000),
)
def test_balance_and_open_profit_follow_from_fills_and_payments(
    seed: int, orders: dict[int, list[tuple[str, int]]], rate: int, run: Run, random_market: Make, kit: Any
) -> None:
    script = {
        number: [getattr(kit, side)(str(Decimal(quantity).scaleb(-3))) for side, quantity in sent]
        for number, sent in orders.items()
    }
    klines = random_market(60, seed, "1h", 0.01)
    rates = [kit.rate(str(Decimal(rate).scaleb(-8)), None, kit.SLOT + hours * 3_600_000) for hours in range(0, 60, 4)]
    output = run(klines, script, funding=rates, sizing=SizingRules(leverage=Decimal(100)))
    exact = kit.equity_of(output, klines, Decimal(100_000))
    # The engine keeps average entry prices as floats and books each realised profit to eight decimals.
    allowed = Decimal("1e-8") * (1 + len(output.fills))
    assert abs(output.balance + output.open_pnl - exact) <= allowed
    assert all(
        abs(fill.fee - fill.quantity * fill.price * Decimal("0.0005")) <= Decimal("5e-9") for fill in output.fills
    )


def test_a_bar_may_send_more_orders_than_the_engine_allows_in_a_second(
    run: Callable[..., EngineOutput], make_klines: Callable[..., Klines], kit: Any
) -> None:
    flat = [(100, 100, 100, 100, 1000)] * 4
    output = run(make_klines(flat), {1: [kit.buy("2")] * 250})
    assert (len(output.fills), output.denials) == (250, [])
