"""What a strategy may ask the runner about size."""

from typing import Protocol

from nautilus_trader.model import OrderSide, Price, Quantity


class Sizer(Protocol):
    """Sizes entries by the run's rules; given to a strategy whose configuration has a field `sizer`."""

    def stop_price(self, side: OrderSide, price: Price) -> Price | None:
        """Return the protective stop the rules ask for at an entry `side` at `price`, `None` if they ask for none."""
        ...

    def quantity(self, price: Price, stop_price: Price | None = None) -> Quantity | None:
        """Return how much to buy or sell at `price` with a stop at `stop_price`, `None` if no order would be accepted.

        The side is the stop's: a stop below `price` protects a long, one above it a short.

        Raises:
            SizingError: The very first size of a run is too small, or the rules need a stop and none is given.
        """
        ...
