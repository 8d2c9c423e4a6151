"""Stops that come to be inside a bar: those of a bracket whose entry waited for its price and fills there.

The engine matches each leg of a bar at its end: an entry that fills on the way down does so with the market at the low
already, and a stop between the two is rejected as crossed. On the exchange it stands from the fill on, and is triggered
on the way. A run in which that happens is made again with stops that are not rejected, and priced at their trigger.
What a strategy sends as it is told of a fill comes when the bar has ended.
"""

from decimal import Decimal
from typing import Any, NamedTuple

from nautilus_trader.model import ContingencyType, OrderType

from nt_run.engine.moment import stated_price


class Origin(NamedTuple):
    """The entry a stop came to be beside: its `price`, and whether it waited for a `better` one than the market's."""

    price: Decimal
    better: bool


class InsideStops:
    """A gate (`nt_run.engine.refuse.Gate`) that refuses nothing; it learns of them from their entries.

    `origins` are their entries, by the client order id of the stop.
    """

    def __init__(self) -> None:
        self.origins: dict[str, Origin] = {}

    def __call__(self, _strategy: object, order: Any) -> None:  # noqa: ANN401 - the engine's order types share no base
        """Look at an order."""
        if order.contingency_type != ContingencyType.OTO or order.order_type == OrderType.MARKET:
            return
        if (price := stated_price(order)) is not None:
            origin = Origin(price.as_decimal(), getattr(order, "trigger_price", None) is None)
            self.origins |= {each.value: origin for each in order.linked_order_ids or ()}
