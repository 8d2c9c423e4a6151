"""Fills as tests write them: what a test is about, and the rest as most have it."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from nt_run.model import Fill, Liquidity, Side


def made_fill(time_ns: int, side: Side, quantity: str | Decimal, price: str | Decimal, **other: Any) -> Fill:
    """A market order's fill without slippage or fee, named after its time; `other` are fields that differ."""
    fill = Fill(
        time_ns=time_ns,
        order_id=f"O-{time_ns}",
        side=side,
        quantity=Decimal(quantity),
        price=Decimal(price),
        reference=Decimal(price),
        fee=Decimal(0),
        liquidity=Liquidity.TAKER,
        order_type="market",
    )
    return replace(fill, **other)
