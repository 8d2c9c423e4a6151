"""The frames of a run folder → the values they were made of, those of earlier versions too."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import polars as pl

from nt_run.compliance import Limit
from nt_run.held import MarginTerms, Tier
from nt_run.model import Fill, FundingPayment, Liquidity, Settlement, Side
from nt_run.resting import RestingOrder

_TIMES = ("sent", "since", "until")


def read_fills(frame: pl.DataFrame) -> list[Fill]:
    """Return the fills of a run folder."""
    if "reference" not in frame.columns:  # as in folders of earlier versions, which had no slippage
        frame = frame.with_columns(reference=pl.col("price"))
    if "liquidation" not in frame.columns:  # as in those that liquidated nobody
        frame = frame.with_columns(liquidation=pl.lit(Decimal(0)))
    names = ("order_id", "quantity", "price", "reference", "fee", "order_type", "liquidation")
    columns = zip(
        frame["time"].dt.epoch("ns").to_list(),
        map(Side, frame["side"].to_list()),
        map(Liquidity, frame["liquidity"].to_list()),
        *_values(frame, names),
        strict=True,
    )
    return [
        Fill(
            time_ns=time_ns,
            order_id=order_id,
            side=side,
            quantity=quantity,
            price=price,
            reference=reference,
            fee=fee,
            liquidity=liquidity,
            order_type=order_type,
            liquidation=liquidation,
        )
        for time_ns, side, liquidity, order_id, quantity, price, reference, fee, order_type, liquidation in columns
    ]


def read_payments(frame: pl.DataFrame) -> list[FundingPayment]:
    """Return the funding payments of a run folder."""
    if "price_source" not in frame.columns:  # as in folders of earlier versions
        frame = frame.with_columns(price_source=pl.lit("mark_price"))
    return [FundingPayment(**row) for row in _rows(frame.rename({"time": "time_ns"}), "time_ns")]


def read_settlements(frame: pl.DataFrame) -> list[Settlement]:
    """Return the settlements of a run folder."""
    return [Settlement(**row) for row in _rows(frame.rename({"time": "time_ns"}), "time_ns")]


def trade_rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the trades of a run folder as objects, with their times in ns."""
    for name in ("slippage", "liquidation"):
        if name not in frame.columns:  # as in folders of earlier versions
            frame = frame.with_columns(pl.lit(Decimal(0)).alias(name))
    return _rows(frame, "entry_time", "exit_time")


def _rows(frame: pl.DataFrame, *times: str) -> list[dict[str, Any]]:
    """Return the rows of a frame, with its times in ns."""
    frame = frame.with_columns(pl.col(*times).dt.epoch("ns"))
    columns = _values(frame, frame.columns)
    return [dict(zip(frame.columns, row, strict=True)) for row in zip(*columns, strict=True)]


def _values(frame: pl.DataFrame, names: Sequence[str]) -> list[list[Any]]:
    """Return the values of some columns; equal amounts are one object, because making one is what takes time."""
    made: dict[str | None, Decimal | None] = {None: None}

    def amount(text: str | None) -> Decimal | None:
        if text not in made:
            made[text] = Decimal(str(text))
        return made[text]

    columns = [frame[name] for name in names]
    return [
        [amount(text) for text in column.cast(pl.String).to_list()]
        if isinstance(column.dtype, pl.Decimal)
        else column.to_list()
        for column in columns
    ]


def read_terms(margin: Mapping[str, Any], specs: Mapping[str, Any], taker: Decimal) -> MarginTerms:
    """Return what positions were margined by, from `margin` of a summary and the rules of the contract."""
    tiers = [
        Tier(
            floor=Decimal(row["floor"]),
            cap=Decimal("Infinity" if row["cap"] is None else row["cap"]),
            rate=Decimal(row["rate"]),
            cum=Decimal(row["cum"]),
        )
        for row in margin["brackets"]
    ]
    return MarginTerms(
        mode=margin["mode"],
        leverage=Decimal(margin["leverage"]),
        tiers=tiers,
        taker=taker,
        liquidation_fee=max(Decimal(specs.get("liquidation_fee") or 0), Decimal(0)),
        tick=Decimal(specs["tick_size"]),
    )


def read_orders(frame: pl.DataFrame) -> list[RestingOrder]:
    """Return the orders of a run folder that rested; how far a trailing one stays behind is not kept."""
    rows = _rows(frame.rename({name: f"{name}_ns" for name in _TIMES}), *(f"{name}_ns" for name in _TIMES))
    for row in rows:
        row["side"] = Side(row["side"])
    return [RestingOrder(**row) for row in rows]


def read_sent(orders: pl.DataFrame | None) -> dict[str, int]:
    """Return when each order that rested was sent first, in ns, by its id."""
    if orders is None:
        return {}
    first = orders.group_by("order_id").agg(pl.col("sent").min().dt.epoch("ns"))
    return dict(zip(first["order_id"], first["sent"], strict=True))


def read_limits(orders: pl.DataFrame | None) -> dict[str, Limit]:
    """Return what each limit order that reached the market stated last, by its id."""
    if orders is None:
        return {}
    # An order that is changed as the bar that triggered it ends has two stretches from then on.
    in_order = pl.all().sort_by("since", maintain_order=True)
    last = orders.filter(pl.col("price").is_not_null()).group_by("order_id").agg(in_order.last())
    return {
        row["order_id"]: Limit(Decimal(row["price"]), waited=row["sent"] < row["since"])
        for row in last.iter_rows(named=True)
    }
