"""Recorded months through the engine."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pyarrow import feather

from nt_run.engine.run import EngineOutput
from nt_run.klines import SCHEMA, Exponents, Klines
from nt_run.model import Fill, Interval
from nt_run.strategies.resolver import check_params, resolve_strategy

type Run = Callable[..., EngineOutput]


def cross(klines: Klines, run: Run) -> EngineOutput:
    strategy = resolve_strategy("ema_cross")
    return run(klines, strategy, params=check_params(strategy, {}))


def recorded(path: Path, interval: str, decimals: int) -> Klines:
    """A recording whose prices and volumes are floats, as the integers they stand for."""
    frame: Any = pl.from_arrow(feather.read_table(path))
    exponents = Exponents(decimals, 3, 0)

    def whole(name: str) -> pl.Series:
        scaled = frame[name].to_numpy() * 10.0 ** exponents.of(name)
        assert np.allclose(scaled, np.rint(scaled), rtol=0, atol=1e-3)
        return pl.Series(name, np.rint(scaled).astype(np.int64))

    opened = frame["date"].dt.replace_time_zone(None).dt.replace_time_zone("UTC").dt.cast_time_unit("ms")
    columns = {name: whole(name) for name in ("open", "high", "low", "close", "volume")}
    filled = pl.DataFrame({"open_time": opened, **columns}).with_columns(
        pl.lit(0, dtype=pl.Int64).alias(name) for name in SCHEMA if name not in {"open_time", *columns}
    )
    return Klines("BTCUSDT", Interval(interval), exponents, filled.select(list(SCHEMA)))


@pytest.mark.parametrize(
    ("name", "interval", "decimals", "rows"),
    [("BTCUSDT-1m-2025-05", "1m", 1, 43_199), ("BTCUSDT-1m-2025-01", "1m", 1, 43_199)],
)
def test_recorded_months_run_whole_with_every_fill_inside_its_bar(
    name: str, interval: str, decimals: int, rows: int, recordings: Path, run: Run, kit: Any
) -> None:
    klines = recorded(recordings / "klines" / f"{name}.feather", interval, decimals)
    output = cross(klines, run)
    assert output.bars_fed == output.bars_seen == rows
    assert output.denials == []
    assert_inside(output.fills, klines)
    assert output.balance + output.open_pnl == kit.equity_of(output, klines, Decimal(100_000))
    assert all(check.same for check in output.spec_checks)


def test_hours_since_2019_run_across_the_tick_change(recordings: Path, run: Run, kit: Any) -> None:
    klines = recorded(recordings / "klines" / "BTCUSDT-1h-2019-2026.feather", "1h", 2)
    assert any(int(price) % 10 for price in klines.frame["close"])
    output = cross(klines, run)
    assert output.bars_seen == len(klines) == 58_623
    assert_inside(output.fills, klines)
    assert output.balance + output.open_pnl == kit.equity_of(output, klines, Decimal(100_000))
    assert {check.name for check in output.spec_checks if not check.same} == {"price_precision", "tick_size"}
    assert output.denials == []


def assert_inside(fills: list[Fill], klines: Klines) -> None:
    assert fills
    step = klines.interval.ms
    rows = {time + step: number for number, time in enumerate(klines.frame["open_time"].dt.epoch("ms"))}
    low, high = klines.frame["low"], klines.frame["high"]
    for fill in fills:
        row, price = rows[fill.time_ns // 1_000_000], fill.price.scaleb(klines.exponents.price)
        assert low[row] <= price <= high[row]
