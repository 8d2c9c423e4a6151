"""Orders that rested at the exchange: what they waited for, and from when to when. Pure."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from nt_run.model import STOPS, Side


@dataclass(frozen=True, slots=True)
class Trailing:
    """How far a trigger stays behind the price: in the quote asset, in tick sizes, or in basis points of the price."""

    offset: Decimal
    unit: Literal["price", "ticks", "basis_points"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestingOrder:
    """A stretch of an order's life in which nothing about it changed; a modified order has several.

    Market orders never rest. An order that waits for its parent to fill rests from then on.
    """

    order_id: str
    side: Side
    order_type: str
    """`limit`, `stop_market`, …"""
    quantity: Decimal
    price: Decimal | None
    """Limit price, in the quote asset."""
    trigger: Decimal | None
    """`None` where there is none, or once it was triggered."""
    sent_ns: int
    """When the strategy asked for it, before `since_ns` where it waited for its parent."""
    since_ns: int
    until_ns: int | None
    """`None` while it rests at the end of the run."""
    ended: str
    """`filled`, `cancelled`, `modified`, `triggered`, `expired`, `rejected`, `refused` for want of margin when it was
    triggered, or `open` at the end of the run."""
    trailing: Trailing | None = None
    """Of a trailing stop that becomes a market order."""

    @property
    def level(self) -> Decimal:
        """The price that makes it fill: its trigger, else its limit."""
        level = self.price if self.trigger is None else self.trigger
        return Decimal(0) if level is None else level

    @property
    def is_stop(self) -> bool:
        """Whether it waits for the price to move in the direction of its own side: up for a buy."""
        return self.trigger is not None and self.order_type in STOPS

    @property
    def makes(self) -> bool:
        """Whether its fill makes the market, and so never slips."""
        return self.trigger is None and self.price is not None
