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
BARS = 24

type Asked = tuple[int, str, bool, int, int, int]
"""The bar at whose close it is sent; what; whether it buys; thousandths of a coin; per mil away from the close; and the
gap behind it, in hundredths of what a position's margin is of its price."""

asked = st.tuples(
    st.integers(0, BARS - 2),
    st.sampled_from(["market", "market", "market", "half", "close", "close", "stop_market", "limit", "trailing"]),
    st.booleans(),
    st.integers(100, 4000),
    st.integers(1, 150),
    st.sampled_from([0, 0, 40, -40, 97, -97, 150, -150, 250, -250]),
)


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
    """Each fill that reduced a position by more than its share of the margin, and by how much (quote asset)."""
    held, entry, margin = D(0), D(0), D(0)
    found: list[tuple[Fill, Decimal]] = []
    for fill in fills:
        sign, left = fill.side.sign, fill.quantity
        if held * sign < 0:
            part = min(left, abs(held))
            share = margin * part / abs(held)
            result = -sign * part * (fill.price - entry) - fill.fee * part / fill.quantity - fill.liquidation
            if result < -share - D("1e-6"):
                found.append((fill, -result - share))
            held, margin, left = held + sign * part, margin - share, left - part
        if left:
            size = abs(held)
            entry = (size * entry + left * fill.price) / (size + left)
            margin = (margin if size else D(0)) + left * fill.price / leverage
            held += sign * left
    return found


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(1, 10_000),
    leverage=st.sampled_from([1, 3, 10, 10, 25, 75, 125]),
    mode=st.sampled_from(["isolated", "cross"]),
    fill=st.sampled_from(["close", "next-open"]),
    wanted=st.lists(asked, min_size=2, max_size=12),
)
def test_nothing_loses_more_than_what_stands_behind_it(
    seed: int,
    leverage: int,
    mode: MarginMode,
    fill: FillTime,
    wanted: list[Asked],
    run: Run,
    random_market: Make,
) -> None:
    gaps = [(bar + 1, max(gap * 10 // leverage, -600)) for bar, *_, gap in wanted]
    klines = with_gaps(random_market(BARS, seed=seed, sigma=0.001), gaps)
    script: dict[int, list[Any]] = {}
    for bar, kind, buys, milli, away, _ in wanted:
        script.setdefault(bar, []).append(send(kind, buys, milli, away))
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
