"""At which price each position of a run would have been liquidated. Pure: no screen."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from nt_run.liquidation import NOT_REACHABLE
from nt_run.margin import Bracket, MarginRules, liquidation_price
from nt_run.model import LIQUIDATION, Side, parse_time

if TYPE_CHECKING:
    import polars as pl

    from nt_run.chart.levels import Floats
    from nt_run.results import Run

_COLUMNS = ["side", "quantity", "entry_price", "entry_time"]


def liquidation_prices(run: Run) -> Floats:
    """Return a price per trade, NaN where none is known.

    Of a position that met its price it is the one the run kept; of any other, where margin was followed, that of
    `nt_run.margin` for its quantity and average entry, with what stood behind it when it was opened: funding since
    then and later changes of the balance are left out.
    """
    prices = np.full(len(run.trades), np.nan)
    margin = run.summary.get("margin")
    if margin and margin.get("liquidation_prices", NOT_REACHABLE) != NOT_REACHABLE:
        rules, leverage = _rules(run.summary["symbol"], margin), Decimal(margin["leverage"])
        balances = _balances(run) if margin["mode"] == "cross" else None
        for row, (side, quantity, entry, time_ns) in enumerate(_terms(run.trades)):
            wallet = quantity * entry / leverage if balances is None else _balance_at(balances, time_ns)
            price = liquidation_price(Side(side), quantity, entry, wallet, rules)
            prices[row] = np.nan if price is None else float(price)
    return _met(run, prices)


def _terms(trades: pl.DataFrame) -> list[tuple[str, Decimal, Decimal, int]]:
    frame = trades.select(_COLUMNS).with_columns(trades["entry_time"].dt.epoch("ns"))
    return [(side, quantity, Decimal(str(entry)), time_ns) for side, quantity, entry, time_ns in frame.iter_rows()]


def _balances(run: Run) -> tuple[Any, list[Any]]:
    return run.equity["time"].dt.epoch("ms").to_numpy() * 1_000_000, run.equity["balance"].to_list()


def _balance_at(balances: tuple[Any, list[Any]], time_ns: int) -> Decimal:
    times, amounts = balances
    return Decimal(str(amounts[min(int(np.searchsorted(times, time_ns)), len(amounts) - 1)]))


def _rules(symbol: str, margin: dict[str, Any]) -> MarginRules:
    brackets = tuple(
        Bracket(
            floor=Decimal(one["floor"]),
            cap=Decimal(one["cap"] or "Infinity"),
            rate=Decimal(one["rate"]),
            max_leverage=Decimal(one["max_leverage"]),
            cum=Decimal(one["cum"]),
        )
        for one in margin["brackets"]
    )
    return MarginRules(symbol=symbol, brackets=brackets, as_of_ms=None, source=margin["brackets_source"])


def _met(run: Run, prices: Floats) -> Floats:
    """Put in the prices of positions that were liquidated."""
    listed = {parse_time(one["time"]): float(one["price"]) for one in run.summary.get("liquidations", ())}
    if listed and "exit_type" in run.trades.columns:
        ends = run.trades["exit_time"].dt.epoch("ms").to_list()
        for row in np.flatnonzero((run.trades["exit_type"] == LIQUIDATION).fill_null(value=False).to_numpy()):
            prices[row] = listed.get(ends[row], prices[row])
    return prices
