"""Runs of the built-in strategies over prepared closes."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from nt_run.engine.run import EngineInput, EngineOutput, run_engine
from nt_run.klines import SCHEMA, Exponents, Klines
from nt_run.model import Fees, Interval
from nt_run.sizing import SizingRules
from nt_run.specs import InstrumentSpecs
from nt_run.strategies.resolver import check_params, resolve_strategy


@pytest.fixture
def trade(btc: InstrumentSpecs, fees: Fees) -> Callable[..., EngineOutput]:
    """Run a built-in over bars given as closes, or as (open, high, low, close)."""

    def go(name: str, bars: list[Any], rules: SizingRules | None = None, **params: Any) -> EngineOutput:
        rows: list[tuple[Any, ...]] = [bar if isinstance(bar, tuple) else (bar,) * 4 for bar in bars]
        prices = {key: [round(row[at] * 10) for row in rows] for at, key in enumerate(("open", "high", "low", "close"))}
        frame = pl.DataFrame(
            {"open_time": [60_000 * number for number in range(len(rows))], **prices}
            | dict.fromkeys(list(SCHEMA)[5:], [1000] * len(rows))
        )
        frame = frame.with_columns(pl.col("open_time").cast(pl.Datetime("ms", "UTC"))).cast(dict(SCHEMA))
        strategy = resolve_strategy(name)
        return run_engine(
            EngineInput(
                specs=btc,
                klines=Klines("BTCUSDT", Interval("1m"), Exponents(1, 3, 4), frame),
                funding=[],
                fees=fees,
                sizing=rules or SizingRules(fraction=Decimal("0.1")),
                balance=Decimal(100_000),
                strategy=strategy,
                params=check_params(strategy, params),
            )
        )

    return go


@pytest.fixture
def told() -> Callable[[EngineOutput], list[tuple[int, str, str, str]]]:
    """Fills as (bar, side, type, price)."""

    def go(output: EngineOutput) -> list[tuple[int, str, str, str]]:
        return [
            (fill.time_ns // 60_000_000_000 - 1, fill.side.value, fill.order_type, str(fill.price))
            for fill in output.fills
        ]

    return go
