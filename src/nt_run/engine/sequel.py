"""What a strategy sends while a liquidation is on its way: it meets the account that is left."""

from collections import deque
from collections.abc import Callable
from typing import Any, cast

from nautilus_trader.model import ClientOrderId, InstrumentId
from nautilus_trader.trading import Strategy


class Sequel:
    """Keeps what is to be sent once the order `order_id` of a liquidation has been booked; `None` stands for none.

    `ahead` tells that it is booked ahead of the bar that brings it.
    """

    def __init__(self) -> None:
        self.order_id: str | None = None
        self.ahead = False
        self._sends: deque[Callable[[], object]] = deque()

    def add(self, send: Callable[[], object]) -> None:
        """Keep what sends an order."""
        self._sends.append(send)

    def clear(self) -> None:
        """Forget what was not sent."""
        self._sends.clear()

    def booked(self, strategy: Strategy, order_id: ClientOrderId, instrument_id: InstrumentId) -> None:
        """Send what was kept, if this is the order it waits for."""
        if order_id.value != self.order_id:
            return
        if self.ahead:
            # What was sent in the meantime rested as the position ended.
            cast("Any", strategy).cancel_all_orders(instrument_id)
        self.order_id, self.ahead = None, False
        while self._sends:
            self._sends.popleft()()
