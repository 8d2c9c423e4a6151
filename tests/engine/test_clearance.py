"""A run is made again with its positions followed where one may have come near liquidation, and only there."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from nautilus_trader.model import Bar

from nt_run.engine.clearance import Clearance
from nt_run.engine.run import EngineOutput
from nt_run.errors import StrategyError
from nt_run.liquidation import Extremes, MarginPlan
from nt_run.margin import MarginMode, MarginRules, build_brackets
from nt_run.model import MS, Fill, Liquidity, Settlement, Side
from nt_run.sizing import SizingRules

D = Decimal
Run = Callable[..., EngineOutput]
Make = Callable[..., Any]
MINUTE = 60_000 * MS
ROWS = [(D(0), D(300_000), D("0.004"), D(150)), (D(300_000), D(10**9), D("0.006"), D(150))]
RULES = MarginRules(symbol="BTCUSDT", brackets=build_brackets(ROWS), as_of_ms=0, source="test")
FLAT = (100_000, 100_000, 100_000, 100_000, 10)


def fill(minute: int, signed: str, price: int, fee: str = "0") -> Fill:
    return Fill(
        time_ns=minute * MINUTE,
        order_id="O-1",
        side=Side.BUY if D(signed) > 0 else Side.SELL,
        quantity=abs(D(signed)),
        price=D(price),
        reference=D(price),
        fee=D(fee),
        liquidity=Liquidity.TAKER,
        order_type="market",
    )


def clearance(
    lows: Sequence[int] = (),
    highs: Sequence[int] = (),
    *,
    mode: MarginMode = "isolated",
    balance: int = 100_000,
    settlements: Sequence[Settlement] = (),
) -> Clearance:
    """Ten bars at 100,000, those of `lows` and `highs` in the place of the first ones; margin is a tenth."""
    low, high = (np.array([*given, *[100_000] * (10 - len(given))]) for given in (lows, highs))
    closed = 60_000 * np.arange(1, 11)
    extremes = Extremes(closed=closed, low=low, high=high, exponent=0, source="bar extremes", missing=0)
    plan = MarginPlan(mode=mode, rules=RULES)
    return Clearance(plan, extremes, leverage=D(10), balance=D(balance), settlements=settlements)


# 1 BTC at 100,000 with 10,000 behind it is liquidated at 90,000 ÷ 0.996 = 90,361.4 or 110,000 ÷ 1.004 = 109,561.8.
@pytest.mark.parametrize(
    ("signed", "lows", "highs", "clear"),
    [
        ("1", [100_000, 100_000, 90_362], [109_600], True),
        ("1", [100_000, 100_000, 90_361], [], False),
        ("-1", [90_300], [100_000, 100_000, 109_561], True),
        ("-1", [], [100_000, 100_000, 109_562], False),
    ],
)
def test_a_position_is_clear_to_the_tick(signed: str, lows: list[int], highs: list[int], *, clear: bool) -> None:
    assert clearance(lows, highs).holds([fill(1, signed, 100_000)], 5 * MINUTE, D(signed)) == clear


def test_what_lies_before_a_position_and_behind_it_does_not_count() -> None:
    found = clearance([80_000, 100_000, 100_000, 100_000, 80_000])
    assert found.holds([fill(2, "1", 100_000), fill(3, "-1", 100_000)], 10 * MINUTE, D(0))
    # An order sent at the close of the fourth bar may meet the open of the fifth.
    found = clearance([80_000, 100_000, 100_000, 100_000, 80_000])
    assert not found.holds([fill(2, "1", 100_000), fill(4, "-1", 100_000)], 10 * MINUTE, D(0))


def test_a_position_is_known_in_the_next_stretch() -> None:
    found = clearance([100_000] * 8 + [90_361])
    assert found.holds([fill(1, "1", 100_000)], 3 * MINUTE, D(1))
    assert found.holds([], 6 * MINUTE, D(1))
    assert not found.holds([], 9 * MINUTE, D(1))


def test_what_was_closed_in_part_or_turned_round_has_its_own_margin() -> None:
    # 3 BTC at 100,000, of which 1 is left: its margin is 10,000 again. The same for 2 sold out of 1.
    for signed, low, high in (("-2", 90_361, 100_000), ("-4", 100_000, 109_562)):
        after = 3 + D(signed)
        bars = [100_000] * 6
        found = clearance([*bars, low + 1], [*bars, high - 1])
        assert found.holds([fill(1, "3", 100_000), fill(3, signed, 100_000)], 9 * MINUTE, after)
        found = clearance([*bars, low], [*bars, high])
        assert not found.holds([fill(1, "3", 100_000), fill(3, signed, 100_000)], 9 * MINUTE, after)


def test_funding_and_fees_bring_liquidation_nearer() -> None:
    # The settlement takes 1 × 0.01 × 100,000 = 1,000 of the margin: (100,000 − 9,000) ÷ 0.996 = 91,365.5.
    due = [Settlement(time_ns=2 * MINUTE, rate=D("0.01"), price=D(100_000), price_source="mark_price")]
    lows = [100_000] * 4
    assert clearance([*lows, 91_367], settlements=due).holds([fill(1, "1", 100_000)], 9 * MINUTE, D(1))
    assert not clearance([*lows, 91_365], settlements=due).holds([fill(1, "1", 100_000)], 9 * MINUTE, D(1))
    # Cross: the balance of 10,000 less a fee of 500, (100,000 − 9,500) ÷ 0.996 = 90,863.5.
    entry = [fill(1, "1", 100_000, fee="500")]
    assert clearance([*lows, 90_865], mode="cross", balance=10_000).holds(entry, 9 * MINUTE, D(1))
    assert not clearance([*lows, 90_863], mode="cross", balance=10_000).holds(entry, 9 * MINUTE, D(1))


def test_a_larger_position_is_held_to_its_own_bracket() -> None:
    # 4 BTC: cum is 300,000 × 0.002 = 600, and (400,000 − 40,000 − 600) ÷ 3.976 = 90,392.4 where 0.4 % made 90,361.4.
    for low, clear in ((90_394, True), (90_392, False)):
        assert clearance([100_000, 100_000, low]).holds([fill(1, "4", 100_000)], 5 * MINUTE, D(4)) == clear


def test_a_fill_beyond_the_extremes_counts_as_a_price_that_was_reached() -> None:
    assert not clearance().holds([fill(1, "1", 100_000), fill(3, "-1", 90_000)], 5 * MINUTE, D(0))


def test_what_the_fills_do_not_explain_is_not_clear() -> None:
    assert not clearance().holds([fill(1, "1", 100_000)], 5 * MINUTE, D(2))


def margined(leverage: int) -> dict[str, Any]:
    return {"sizing": SizingRules(leverage=D(leverage)), "margin": MarginPlan(mode="isolated", rules=RULES)}


@pytest.mark.parametrize(("low", "runs"), [(90_363, 1), (90_361, 2)])
def test_a_run_is_made_twice_only_where_a_position_may_be_liquidated(
    low: int, runs: int, run: Run, make_klines: Make, kit: Any
) -> None:
    source = kit.Source(kit.Scripted, {"script": {1: [kit.buy("1")]}})
    output = run(make_klines([*[FLAT] * 9, (100_000, 100_000, low, 95_000, 10), FLAT]), source, **margined(10))
    assert (len(source.built), len(output.liquidations)) == (runs, runs - 1)


def test_what_a_strategy_raises_holding_what_should_be_gone_does_not_count(
    run: Run, make_klines: Make, kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(strategy: Any, _bar: Bar) -> None:
        if not strategy.portfolio.is_net_flat(strategy.own["instrument_id"]):
            raise ValueError("still in the market")

    def is_clear(*_: object) -> bool:
        return True

    klines = make_klines([*[FLAT] * 9, (100_000, 100_000, 90_000, 90_000, 10), FLAT])
    script = {1: [kit.buy("1")], 10: [refuse]}
    assert len(run(klines, script, **margined(10)).liquidations) == 1
    # Where nothing is looked at it ends the run.
    monkeypatch.setattr(Clearance, "holds", is_clear)
    with pytest.raises(StrategyError, match="still in the market"):
        run(klines, script, **margined(10))
