"""Another future for the same past: klines whose rows after a moment are noise. Pure.

The noise is made of the market's own bars: shapes of klines (logarithms of gap, high, low and close), drawn at random
with either sign and three times as large, walked on from the last close that is kept. So it is valid, on the tick, and
unlike enough the real future for whoever knows the real one to give himself away.
"""

from decimal import Decimal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from nt_run.klines import PRICES, Klines

type Floats = NDArray[np.float64]

_LOUDER = 3.0
_STILL = 1e-4
"""Least deviation of a bar: the noise must move even where the market did not."""
_REACH = 3.0
"""The walk stays within e^±3 of where it began, so that prices neither vanish nor leave 64 bits."""


def with_other_future(
    klines: Klines, known_until_ms: int, tick: Decimal, *, seed: int, mirrored: bool = False, keep_open: bool = False
) -> Klines:
    """Return `klines` with every row that had not closed by `known_until_ms` replaced by noise.

    Args:
        klines: The market as it was.
        known_until_ms: The moment, UTC; rows that close at it are kept.
        tick: The price step of the noise, in the quote asset.
        seed: Which noise; the same seed gives the same noise for the same rows.
        keep_open: Let the noise begin at the open that came, which a fill at the next open knows.
        mirrored: The same noise upside down, so that of the two futures one goes the other way than the real one.
    """
    kept = int(np.searchsorted(klines.close_times(), known_until_ms, side="right"))
    count = len(klines) - kept
    if count == 0:
        return klines
    step = max(int(tick.scaleb(klines.exponents.price)), 1)
    draws = np.random.default_rng(seed)
    rows = draws.integers(0, len(klines), count)
    shapes = _shapes(klines)[:, rows] * (_LOUDER * draws.choice((-1.0, 1.0), count) * (-1.0 if mirrored else 1.0))
    last = klines.frame["close"][kept - 1] if kept else klines.frame["open"][0]
    if keep_open:
        shapes[0, 0] = np.log(klines.frame["open"][kept] / last)
    prices = _walk(float(last), shapes, step)
    drawn = klines.frame[rows.tolist()].with_columns(klines.frame["open_time"][kept:], **prices)
    # The average price of a bar must lie within it: the typical price does.
    scale = 10.0 ** (klines.exponents.quote - klines.exponents.price - klines.exponents.quantity)
    typical = pl.mean_horizontal("high", "low", "close") * scale
    drawn = drawn.with_columns(
        (pl.col("volume") * typical).round().cast(pl.Int64).alias("quote_volume"),
        (pl.col("taker_buy_volume") * typical).round().cast(pl.Int64).alias("taker_buy_quote_volume"),
    )
    frame = pl.concat([klines.frame[:kept], drawn.select(klines.frame.columns)])
    return Klines(klines.symbol, klines.interval, klines.exponents, frame)


def without_future(klines: Klines, end_ms: int) -> Klines:
    """Return the rows of `klines` that had closed by `end_ms`: the market as if it ended there."""
    kept = int(np.searchsorted(klines.close_times(), end_ms, side="right"))
    return Klines(klines.symbol, klines.interval, klines.exponents, klines.frame[:kept])


def go_alike(klines: Klines, other: Klines, known_until_ms: int) -> bool:
    """Tell whether two futures of one past go the same way in their first bar, or one of them has none."""
    kept = int(np.searchsorted(klines.close_times(), known_until_ms, side="right"))
    if kept == 0 or kept >= min(len(klines), len(other)):
        return True
    last, real, made = (
        int(row) for row in (klines.frame["close"][kept - 1], klines.frame["close"][kept], other.frame["close"][kept])
    )
    return (real - last) * (made - last) >= 0


def _shapes(klines: Klines) -> Floats:
    """Return gap, high, low and close of each row as logarithms, the latter three against its open."""
    opened, high, low, close = (np.log(klines.frame[name].to_numpy()) for name in PRICES)
    gap = opened - np.concatenate([opened[:1], close[:-1]])
    moves: Floats = close - opened
    if float(moves.std()) < _STILL:
        moves = moves + np.where(np.arange(len(moves)) % 2, _STILL, -_STILL)
    return np.stack([gap, high - opened, low - opened, moves])


def _walk(last: float, shapes: Floats, step: int) -> dict[str, pl.Series]:
    gap, high, low, move = shapes
    path = np.clip(np.cumsum(gap + move), -_REACH, _REACH)
    closed = last * np.exp(path)
    opened = np.concatenate([[last], closed[:-1]]) * np.exp(gap)
    # A negative shape has its high below its open: the extremes are put in order afterwards.
    corners = np.stack([opened, opened * np.exp(high), opened * np.exp(low), closed])
    on_tick = np.maximum(np.round(corners / step), 1).astype(np.int64) * step
    values = (on_tick[0], on_tick.max(axis=0), on_tick.min(axis=0), on_tick[3])
    return {name: pl.Series(name, value) for name, value in zip(PRICES, values, strict=True)}
