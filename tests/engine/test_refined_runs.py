"""Runs that look closer at their ambiguous bars. The finer klines are given by hand; the engine is the real one."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nautilus_trader.model import OrderSide

from nt_run import refine
from nt_run.engine.run import EngineInput
from nt_run.klines import Klines
from nt_run.model import Fees, Interval, TimeRange
from nt_run.refine import Finer, run_refined
from nt_run.sizing import SizingRules
from nt_run.specs import InstrumentSpecs

type Make = Callable[..., Klines]

D = Decimal
BALANCE = D(100_000)
STEADY = [(100, 101, 99, 100, 40)]
BOTH = (100, 106, 94, 100, 40)
FLAT = (100, 100, 100, 100, 8)
DOWN_FIRST = [(100, 100, 94, 100, 8), (100, 106, 100, 100, 8), *[FLAT] * 3]
UP_FIRST = [(100, 106, 100, 100, 8), (100, 100, 94, 100, 8), *[FLAT] * 3]


def bracket(side: OrderSide, target: Any, stop: Any) -> Callable[..., None]:
    def act(strategy: Any, _bar: Any) -> None:
        strategy.submit_order_list(
            strategy.order_factory.bracket(
                instrument_id=strategy.own["instrument_id"],
                order_side=side,
                quantity=strategy.amount("10"),
                tp_price=strategy.price(str(target)),
                sl_trigger_price=strategy.price(str(stop)),
            )
        )

    return act


@pytest.fixture
def make_input(btc: InstrumentSpecs, fees: Fees, kit: Any) -> Callable[..., EngineInput]:
    # Prices around 100 are far below bitcoin's least.
    specs = replace(btc, min_price=None, price_multiplier_up=None, price_multiplier_down=None)

    def make(klines: Klines, script: Any, kind: Any = kit.Scripted) -> EngineInput:
        return EngineInput(
            specs=specs,
            klines=klines,
            funding=[],
            fees=fees,
            sizing=SizingRules(),
            balance=BALANCE,
            strategy=kit.Source(kind, {"script": script}),
            params={},
        )

    return make


class Loader:
    """Hands out the finer klines of ranges, and remembers which were asked for."""

    def __init__(self, fine: Klines) -> None:
        self.fine = fine
        self.asked: list[list[TimeRange]] = []

    def __call__(self, spans: Sequence[TimeRange]) -> list[Finer]:
        self.asked.append(list(spans))
        return [Finer(klines=self.fine.within(span), sources={"test": 1.0}, marks=None, warnings=()) for span in spans]


def whole(fine: Klines, interval: str) -> Klines:
    """Bars of a coarser interval, put together from finer ones."""
    step = Interval(interval).ms // fine.interval.ms
    rows = fine.frame.with_row_index("at").group_by(pl.col("at") // step, maintain_order=True)
    frame = rows.agg(
        pl.col("open_time").first(),
        pl.col("open").first(),
        pl.col("high").max(),
        pl.col("low").min(),
        pl.col("close").last(),
        pl.col("volume", "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume").sum(),
    )
    return Klines(fine.symbol, Interval(interval), fine.exponents, frame.drop("at"))


def minutes(make_klines: Make, *bars: list[tuple[Any, ...]]) -> Klines:
    return make_klines([row for bar in bars for row in bar], interval="1m")


CALM = [FLAT] * 5


def test_only_the_ambiguous_bars_are_asked_for_and_they_decide(make_klines: Make, make_input: Any, kit: Any) -> None:
    fine = minutes(make_klines, CALM, CALM, DOWN_FIRST, CALM)
    klines, loader = whole(fine, "5m"), Loader(fine)
    script = {1: [bracket(OrderSide.BUY, 105, 95)]}
    plain = run_refined(make_input(klines, script))
    assert [fill.price for fill in plain.output.fills] == [100, 105]
    assert (len(plain.ambiguities), plain.detail) == (1, None)
    close = run_refined(make_input(klines, script), Interval("1m"), loader)
    assert [fill.price for fill in close.output.fills] == [100, 95]
    start = klines.range.start_ms + 2 * 300_000
    assert loader.asked == [[TimeRange(start, start + 300_000)]]
    assert (close.ambiguities, close.bars) == ([], 3 + 5)
    told = close.as_object(D(0), BALANCE)
    assert told is not None
    assert {name: told["detail"][name] for name in ("interval", "rounds", "settled", "bars", "refused", "klines")} == {
        "interval": "1m",
        "rounds": 1,
        "settled": True,
        "bars": 1,
        "refused": [],
        "klines": 5,
    }
    assert told["detail"]["sources"] == {"test": 1.0}
    assert close.warnings == []


def test_what_becomes_ambiguous_through_a_closer_look_is_looked_at_too(
    make_klines: Make, make_input: Any, kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Again(kit.Scripted):
        """Buys again at the close of a bar in which the stop was hit."""

        def on_bar(self, bar: Any) -> None:
            super().on_bar(bar)
            if self.number == 2 and self.portfolio.net_position(self.own["instrument_id"]) == 0 and self.stopped:
                bracket(OrderSide.BUY, 105, 95)(self, bar)

        stopped = False

        def on_order_filled(self, event: Any) -> None:
            self.stopped = self.stopped or event.order_type.name == "STOP_MARKET"

    fine = minutes(make_klines, CALM, CALM, DOWN_FIRST, UP_FIRST)
    klines, loader = whole(fine, "5m"), Loader(fine)
    given = make_input(klines, {1: [bracket(OrderSide.BUY, 105, 95)]}, Again)
    refined = run_refined(given, Interval("1m"), loader)
    # Booked at first: the target, and nothing after it. Seen closer: the stop, a new entry, and its target.
    assert [fill.price for fill in refined.output.fills] == [100, 95, 100, 105]
    assert [len(spans) for spans in loader.asked] == [1, 1]
    assert refined.detail is not None
    assert (refined.detail.rounds, refined.detail.settled, refined.ambiguities) == (2, True, [])
    monkeypatch.setattr(refine, "MOST_ROUNDS", 1)
    given = make_input(klines, {1: [bracket(OrderSide.BUY, 105, 95)]}, Again)
    refined = run_refined(given, Interval("1m"), Loader(fine))
    assert refined.detail is not None
    assert (refined.detail.settled, len(refined.ambiguities)) == (False, 1)
    assert refined.warnings == ["After 1 runs with finer klines there were still new ambiguous bars; they stay whole."]


def test_finer_klines_that_do_not_make_up_the_bar_are_refused_and_named(make_klines: Make, make_input: Any) -> None:
    fine = minutes(make_klines, CALM, CALM, DOWN_FIRST, CALM)
    other = minutes(make_klines, CALM, CALM, [(100, 107, 94, 100, 8), *[FLAT] * 4], CALM)
    klines, loader = whole(fine, "5m"), Loader(other)
    refined = run_refined(make_input(klines, {1: [bracket(OrderSide.BUY, 105, 95)]}), Interval("1m"), loader)
    # As without: the bar stays whole, and listed. It is asked for once.
    assert [fill.price for fill in refined.output.fills] == [100, 105]
    assert (len(loader.asked), len(refined.ambiguities), refined.fine) == (1, 1, None)
    (warning,) = refined.warnings
    assert "The 1m klines do not make up the bars they belong to" in warning
    assert "high is 107.0 instead of 106.0" in warning


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1))
def test_a_closer_look_at_a_single_trade_ends_within_the_bounds_given_before(
    seed: int, make_klines: Make, make_input: Any, kit: Any
) -> None:
    draws, steps = random.Random(seed), np.random.default_rng(seed)
    # A walk of single ticks without a jump: each bar opens where the one before closed.
    path = np.cumsum(steps.integers(-1, 2, 15 * 5 * 40)) + 1_000
    rows = [
        (*(D(int(price)) / 10 for price in (part[0], part.max(), part.min(), part[-1])), 1)
        for part in (path[at * 40 : (at + 1) * 40 + 1] for at in range(15 * 5 - 1))
    ]
    fine = make_klines(rows[: len(rows) // 5 * 5], interval="1m")
    klines = whole(fine, "5m")
    at = draws.randrange(len(klines) - 2)
    close = D(int(klines.frame["close"][at])) / 10
    side = draws.choice([OrderSide.BUY, OrderSide.SELL])
    sign = 1 if side == OrderSide.BUY else -1
    near = [D(draws.randrange(2, 14)) / 10 for _ in range(2)]
    script = {at: [bracket(side, close + sign * near[0], close - sign * near[1])]}
    before = run_refined(make_input(klines, script))
    after = run_refined(make_input(klines, script), Interval("1m"), Loader(fine))
    chosen, found = (kit.equity_of(each.output, klines, BALANCE) - BALANCE for each in (before, after))
    worst = chosen + sum((each.worst for each in before.ambiguities), D(0))
    best = chosen + sum((each.best for each in before.ambiguities), D(0))
    assert len(before.output.fills) >= 1
    assert worst <= chosen <= best
    assert worst <= found <= best
    assert len(after.ambiguities) <= len(before.ambiguities)
