"""Indicators of the chart: exponential averages and Bollinger bands, as floats with a NaN warm-up.

They are drawn, never traded: a strategy computes its own values in the engine.
"""

from typing import NamedTuple

import numpy as np
import polars as pl

from nt_run.chart.levels import Floats


class Bands(NamedTuple):
    """Bollinger bands: lower, middle and upper line, one value per bar, NaN while warming up."""

    lower: Floats
    middle: Floats
    upper: Floats


def ema(closes: Floats, period: int) -> Floats:
    """Return the exponential moving average of `closes`, α = 2 ÷ (period + 1), seeded with the first close.

    The recursion starts at the first close, as the engine's own indicator does; the first `period` − 1 values are NaN
    because they still say more about the seed than about the average.

    Raises:
        ValueError: `period` is below 1.
    """
    if period < 1:
        raise ValueError(f"an average of {period} bars does not exist")
    averages = pl.Series(closes, dtype=pl.Float64).ewm_mean(span=period, adjust=False).to_numpy().copy()
    averages[: period - 1] = np.nan
    return averages


def bollinger(closes: Floats, period: int = 20, deviations: float = 2.0) -> Bands:
    """Return the bands `deviations` population standard deviations (ddof 0) around the mean of `period` closes.

    Raises:
        ValueError: `period` is below 1.
    """
    if period < 1:
        raise ValueError(f"bands of {period} bars do not exist")
    series = pl.Series(closes, dtype=pl.Float64)
    middle = series.rolling_mean(period).fill_null(np.nan).to_numpy()
    # Taken from the first close: rolling sums of squares of large prices would lose the digits of a small deviation.
    level = float(closes[0]) if len(closes) else 0.0
    spread = (series - level).rolling_std(period, ddof=0).fill_null(np.nan).to_numpy() * deviations
    return Bands(middle - spread, middle, middle + spread)
