"""No position loses more than what stands behind it: any orders, gaps, leverage, side, and both times of filling."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nautilus_trader.model import OrderSide

from nt_run.engine.run import EngineOutput
from nt_run.execution import Execution, FillTime
from nt_run.klines import PRICES, Klines
from nt_run.liquidation import MarginPlan
from nt_run.margin import MarginMode, MarginRules, build_brackets
from nt_run.model import Fill
from nt_run.sizing import SizingRules

D = Decimal
type Run = Callable[..., EngineOutput]
type Make = Callable[..., Klines]

RULES = MarginRules(
    symbol="BTCUSDT",
    brackets=build_brackets([(D(0), D(10**10), D("0.004"), D(150))]),
    as_of_ms=0,
    source="test",
)
BALANCE = D(100_000)
BARS = 60

type Asked = tuple[int, str, bool, int, int]
"""At the close of which bar; what; whether it buys; thousandths of a coin; per mil away from the close."""

asked = st.tuples(
    st.integers(0, BARS - 2),
    st.sampled_from(["market", "market", "half", "close", "stop_market", "limit", "trailing"]),
    st.booleans(),
    st.integers(1, 4000),
    st.integers(1, 150),
)
gaps = st.lists(st.tuples(st.integers(1, BARS - 1), st.integers(-300, 300).filter(bool)), max_size=5)


def send(kind: str, buys: bool, milli: int, away: int) -> Callable[[Any, Any], None]:
    side = OrderSide.BUY if buys else OrderSide.SELL

    def act(strategy: Any, bar: Any) -> None:
        instrument, make = strategy.own["instrument_id"], strategy.order_factory
        held = strategy.portfolio.net_position(instrument)
        quantity = strategy.amount(str(D(milli) / 1000))
        if kind == "close":
            strategy.close_all_positions(instrument)
        elif kind == "half" and abs(held) > D("0.01"):
            out = OrderSide.SELL if held > 0 else OrderSide.BUY
            part = strategy.amount(f"{abs(held) / 2:.3f}")
            strategy.submit_order(make.market(instrument, out, part, reduce_only=True))
        elif kind == "market":
            strategy.submit_order(make.market(instrument, side, quantity))
        elif kind in {"stop_market", "limit", "trailing"}:
            up = buys == (kind != "limit")
            price = strategy.price(f"{bar.close.as_decimal() * (1000 + (away if up else -away)) / 1000:.1f}")
            if kind == "trailing":
                order = make.trailing_stop_market(
                    instrument, side, quantity, trailing_offset=D(200), trigger_price=price
                )
            else:
                order = getattr(make, kind)(instrument, side, quantity, price)
            strategy.submit_order(order)

    return act


def with_gaps(klines: Klines, moves: Sequence[tuple[int, int]]) -> Klines:
    """The market with all prices from some bars on moved by so many per mil."""
    for bar, mil in moves:
        later = pl.int_range(pl.len()) >= bar
        klines = replace(
            klines,
            frame=klines.frame.with_columns(
                [pl.when(later).then(pl.col(name) * (1000 + mil) // 1000).otherwise(pl.col(name)) for name in PRICES]
            ),
        )
    return klines


def lost_beyond_margin(fills: Sequence[Fill], leverage: int) -> list[tuple[Fill, Decimal]]:
    """Each fill that reduced a position by more than its share of the margin, and by how much (quote asset).

    Not counted is a limit order that closes what the same bar opened: behind a gap a stop fills at the open and a limit
    order at its own price, both at once, so that no position ever stood between the two.
    """
    held, entry, margin, opened_ns = D(0), D(0), D(0), 0
    found: list[tuple[Fill, Decimal]] = []
    for fill in fills:
        sign, left = fill.side.sign, fill.quantity
        if held * sign < 0:
            part = min(left, abs(held))
            share = margin * part / abs(held)
            result = -sign * part * (fill.price - entry) - fill.fee * part / fill.quantity - fill.liquidation
            at_once = fill.order_type == "limit" and fill.time_ns == opened_ns
            if result < -share - D("1e-6") and not at_once:
                found.append((fill, -result - share))
            held, margin, left = held + sign * part, margin - share, left - part
        if left:
            size = abs(held)
            entry = (size * entry + left * fill.price) / (size + left)
            margin = (margin if size else D(0)) + left * fill.price / leverage
            held, opened_ns = held + sign * left, fill.time_ns
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(1, 10_000),
    moves=gaps,
    leverage=st.sampled_from([1, 3, 10, 25, 75, 125]),
    mode=st.sampled_from(["isolated", "cross"]),
    fill=st.sampled_from(["close", "next-open"]),
    wanted=st.lists(asked, min_size=1, max_size=12),
)
def test_nothing_loses_more_than_what_stands_behind_it(
    seed: int,
    moves: list[tuple[int, int]],
    leverage: int,
    mode: MarginMode,
    fill: FillTime,
    wanted: list[Asked],
    run: Run,
    random_market: Make,
) -> None:
    klines = with_gaps(random_market(BARS, seed=seed, sigma=0.005), moves)
    script: dict[int, list[Any]] = {}
    for bar, *order in wanted:
        script.setdefault(bar, []).append(send(*order))
    output = run(
        klines,
        script,
        sizing=SizingRules(leverage=D(leverage)),
        margin=MarginPlan(mode=mode, rules=RULES),
        execution=Execution(fill=fill),
    )
    if mode == "isolated":
        assert lost_beyond_margin(output.fills, leverage) == []
    assert output.balance >= -D("1e-6")
