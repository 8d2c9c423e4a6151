"""What a run booked → the frames its folder keeps: times UTC, money `Decimal(38, 8)` in the quote asset."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl

from nt_run.accounting import Trade
from nt_run.klines import Klines
from nt_run.model import MS, Fill, FundingPayment, Plots, Settlement
from nt_run.resting import RestingOrder

_MONEY = pl.Decimal(38, 8)
_RATE = pl.Decimal(38, 12)
_TIME = pl.Datetime("ns", "UTC")


def fills_frame(fills: Sequence[Fill]) -> pl.DataFrame:
    """Return fills as a frame, in their order."""
    return _frame(
        ("time", [fill.time_ns for fill in fills], _TIME),
        ("order_id", [fill.order_id for fill in fills], pl.String()),
        ("side", [fill.side.value for fill in fills], pl.String()),
        ("quantity", [fill.quantity for fill in fills], _MONEY),
        ("price", [fill.price for fill in fills], _MONEY),
        ("reference", [fill.reference for fill in fills], _MONEY),
        ("fee", [fill.fee for fill in fills], _MONEY),
        ("liquidity", [fill.liquidity.value for fill in fills], pl.String()),
        ("order_type", [fill.order_type for fill in fills], pl.String()),
        ("liquidation", [fill.liquidation for fill in fills], _MONEY),
    )


def trades_frame(trades: Sequence[Trade]) -> pl.DataFrame:
    """Return trades as a frame, in their order."""
    return _frame(
        ("entry_time", [trade.entry_time_ns for trade in trades], _TIME),
        ("exit_time", [trade.exit_time_ns for trade in trades], _TIME),
        ("side", [trade.side.value for trade in trades], pl.String()),
        ("quantity", [trade.quantity for trade in trades], _MONEY),
        ("entry_price", [float(trade.entry_price) for trade in trades], pl.Float64()),
        ("exit_price", [None if (p := trade.exit_price) is None else float(p) for trade in trades], pl.Float64()),
        ("pnl", [_eight(trade.pnl) for trade in trades], _MONEY),
        ("price_pnl", [_eight(trade.price_pnl) for trade in trades], _MONEY),
        ("fee", [_eight(trade.fee) for trade in trades], _MONEY),
        ("funding", [_eight(trade.funding) for trade in trades], _MONEY),
        ("slippage", [_eight(trade.slippage) for trade in trades], _MONEY),
        ("liquidation", [_eight(trade.liquidation) for trade in trades], _MONEY),
        ("exit_type", [trade.exit_type for trade in trades], pl.String()),
        ("fills", [trade.fills for trade in trades], pl.Int64()),
    )


def funding_frame(payments: Sequence[FundingPayment]) -> pl.DataFrame:
    """Return funding payments as a frame, in their order."""
    return _frame(
        ("time", [payment.time_ns for payment in payments], _TIME),
        ("position", [payment.position for payment in payments], _MONEY),
        ("rate", [payment.rate for payment in payments], _RATE),
        ("price", [payment.price for payment in payments], _MONEY),
        ("price_source", [payment.price_source for payment in payments], pl.String()),
        ("amount", [payment.amount for payment in payments], _MONEY),
    )


def settlements_frame(settlements: Sequence[Settlement]) -> pl.DataFrame:
    """Return settlements as a frame, in their order."""
    return _frame(
        ("time", [settlement.time_ns for settlement in settlements], _TIME),
        ("rate", [settlement.rate for settlement in settlements], _RATE),
        ("price", [settlement.price for settlement in settlements], _MONEY),
        ("price_source", [settlement.price_source for settlement in settlements], pl.String()),
    )


def orders_frame(orders: Sequence[RestingOrder]) -> pl.DataFrame:
    """Return orders that rested as a frame, in their order."""
    return _frame(
        ("order_id", [order.order_id for order in orders], pl.String()),
        ("side", [order.side.value for order in orders], pl.String()),
        ("order_type", [order.order_type for order in orders], pl.String()),
        ("quantity", [order.quantity for order in orders], _MONEY),
        ("price", [order.price for order in orders], _MONEY),
        ("trigger", [order.trigger for order in orders], _MONEY),
        ("sent", [order.sent_ns for order in orders], _TIME),
        ("since", [order.since_ns for order in orders], _TIME),
        ("until", [order.until_ns for order in orders], _TIME),
        ("ended", [order.ended for order in orders], pl.String()),
    )


def plots_frame(plots: Plots, klines: Klines) -> pl.DataFrame:
    """Return what a strategy published as a frame: a row for each bar, a column `pane/line` for each line.

    Null is where the strategy was not given the bar, or had no finite value.
    """
    times, closes = np.asarray(plots.times_ns) // MS, klines.close_times()
    rows = np.searchsorted(closes, times)
    columns = {"time": pl.Series(closes).cast(pl.Datetime("ms", "UTC"))}
    for line in plots.lines:
        values = np.full(len(closes), np.nan)
        values[rows] = line.values
        values[~np.isfinite(values)] = np.nan
        columns[f"{line.pane}/{line.name}"] = pl.Series(values, nan_to_null=True)
    return pl.DataFrame(columns)


def _frame(*columns: tuple[str, list[Any], pl.DataType]) -> pl.DataFrame:
    return pl.DataFrame([_series(*column) for column in columns])


def _series(name: str, values: list[Any], dtype: pl.DataType) -> pl.Series:
    if isinstance(dtype, pl.Decimal):
        # Through text, which polars reads many times faster than Decimal objects.
        plain = [None if value is None else _plain(value) for value in values]
        texts = pl.Series(name, plain, dtype=pl.String)
        return texts.str.to_decimal(scale=dtype.scale).cast(dtype)
    return pl.Series(name, values, dtype=dtype)


def _plain(value: Decimal) -> str:
    return text if "E" not in (text := str(value)) else f"{value:f}"


def _eight(value: Decimal) -> Decimal:
    return value.quantize(Decimal("1e-8"))
