"""Prices that waited in the market, as level stretches: stops and targets of a run's orders, liquidation prices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from nt_run.chart.bars import Bars, slots_of
from nt_run.chart.limits import liquidation_prices

if TYPE_CHECKING:
    from nt_run.chart.levels import Floats, Ints
    from nt_run.results import Run

STOP, TARGET, LIQUIDATION = 0, 1, 2
"""Kinds of lines."""


@dataclass(frozen=True, slots=True)
class PriceLines:
    """One row per stretch, in order of their start: from `start` to `end` (slots), a price and its kind."""

    start: Ints
    end: Ints
    price: Floats
    kind: Ints

    def orders(self, first: float, last: float) -> Floats:
        """Return the prices of the stops and targets that began to wait in the slots from `first` to `last`."""
        shown = slice(*np.searchsorted(self.start, (first, last + 1)))
        return self.price[shown][self.kind[shown] != LIQUIDATION]


def price_lines(run: Run, bars: Bars) -> PriceLines:
    """Return the prices that waited during a run."""
    parts = [
        *_orders(run.orders, bars),
        *_liquidations(run, bars),
    ]
    empty = np.zeros(0, np.int64)
    columns = [np.concatenate([empty, *(part[place] for part in parts)]) for place in range(4)]
    order = np.argsort(columns[0], kind="stable")
    start, end, price, kind = (column[order] for column in columns)
    return PriceLines(start.astype(np.int64), end.astype(np.int64), price.astype(np.float64), kind.astype(np.int64))


def _orders(frame: pl.DataFrame | None, bars: Bars) -> list[tuple[Any, ...]]:
    if frame is None or frame.is_empty():
        return []
    price = frame.select(pl.coalesce("trigger", "price").cast(pl.Float64).fill_null(np.nan)).to_series().to_numpy()
    is_stop = frame["order_type"].str.contains("stop").to_numpy()
    start = slots_of(frame["since"], bars)
    end = np.where(frame["until"].is_null().to_numpy(), bars.slot[-1], slots_of(frame["until"], bars))
    known = np.isfinite(price)
    return [(start[known], end[known], price[known], np.where(is_stop, STOP, TARGET)[known])]


def _liquidations(run: Run, bars: Bars) -> list[tuple[Any, ...]]:
    """Each from the entry of its trade to its end; an open trade's up to the last bar."""
    price, trades = liquidation_prices(run), run.trades
    known = np.isfinite(price)
    start, end = slots_of(trades["entry_time"], bars), slots_of(trades["exit_time"], bars)
    end = np.where(trades["exit_time"].is_null().to_numpy(), bars.slot[-1], end)
    return [(start[known], end[known], price[known], np.full(int(known.sum()), LIQUIDATION))]
