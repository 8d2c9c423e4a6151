"""What the price model asks before it fills an order: of the position's liquidation, and of the account's margin."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Protocol

from nt_run.model import Side


class AsksMargin(Protocol):
    """Knows whether the account has the margin for what an order opens."""

    def refuses(self, order: Any, price: Decimal) -> bool:  # noqa: ANN401 - the engine's orders
        """Tell it of an order that fills at about `price`."""
        ...


class Foreseen(Protocol):
    """Knows whether the open position is liquidated before an order is reached."""

    def comes_first(self, order: Any, opened: Decimal, now_ns: int) -> bool:  # noqa: ANN401 - the engine's orders
        """Tell it of a resting order, in the bar that ends at `now_ns` and opened at `opened`."""
        ...

    def is_gone_by_open(self, row: int, opened: Decimal, now_ns: int) -> bool:
        """Tell it of the open of a bar to come."""
        ...

    def comes_ahead(self, row: int, opened: Decimal, now_ns: int, send: Callable[[], object]) -> bool:
        """Liquidate ahead of an order that would meet that open; `send` is called once it is done."""
        ...

    def takes_all(self, side: Side, price: Decimal) -> bool:
        """Tell whether nothing of the position's margin is left at a price."""
        ...
