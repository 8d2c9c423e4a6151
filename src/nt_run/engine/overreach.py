"""Orders that waited, and then opened more than the account had margin for.

The exchange looks at the margin of an order with a trigger once it is triggered, and lets it expire where there is too
little: a stop that was to close a position, outlived it and would open another one. The same is done with a limit order
for which no margin was asked because it only closed when it was sent, or whose margin was lost since. To ask at each
fill takes a price model, and few runs need it. So a run is first made without, its fills are looked at, and it is made
again where one of them may have been refused.
"""

from collections.abc import Callable, Container, Sequence
from decimal import Decimal
from typing import Any, cast

from nautilus_trader.model import Bar, BarType, CryptoPerpetual, Price
from nautilus_trader.trading import Strategy

from nt_run.engine.margin_gate import FEES_SINCE, MarginGate
from nt_run.engine.moment import ZERO
from nt_run.model import LIQUIDATION, TRIGGERED, Fill, Settlement

_NEAR = Decimal("0.999")
"""Of what is free: what needs more may have been refused."""


class FillGate:
    """Asked about each order that waited and is about to fill; why it is refused goes to `reasons` by its id."""

    def __init__(self, margin: MarginGate, instrument: CryptoPerpetual, reasons: dict[str, str]) -> None:
        self._margin, self._instrument, self._reasons = margin, instrument, reasons
        self._strategy: Strategy | None = None
        self._left: list[Any] = []

    def hooks(self, _bar_type: BarType) -> dict[str, Callable[..., None]]:
        """Return what is to be called ahead of the strategy's callbacks."""
        return {"on_start": self._bind, "on_bar": self._cancel}

    def release(self) -> None:
        """Let go of the strategy, which must be freed on the thread it was made on."""
        self._strategy = None
        self._left.clear()

    def refuses(self, order: Any, price: Decimal) -> bool:  # noqa: ANN401 - the engine's orders share no base
        """Tell whether the account cannot bear what an order opens at `price`.

        The engine cancels a stop that then fills nowhere. A limit order would rest on, and is cancelled with the bar.
        """
        order_id = order.client_order_id.value
        if order_id in self._reasons:
            return True
        if self._strategy is None or order.is_reduce_only:
            return False
        at = Price.from_decimal_dp(price, self._instrument.price_precision)
        reason = self._margin.at_fill(self._strategy, order, at)
        if reason is None:
            return False
        self._reasons[order_id] = reason
        if getattr(order, "price", None) is not None:
            self._left.append(order)
        return True

    def _bind(self, strategy: Strategy) -> None:
        self._strategy = strategy

    def _cancel(self, strategy: Strategy, _bar: Bar) -> None:
        for order in self._left:
            cast("Any", strategy).cancel_order(order.client_order_id)
        self._left.clear()


class Overreach:
    """Goes through the fills of a run, stretch by stretch in time order.

    Args:
        balance: What the account began with, in the quote asset.
        leverage: Of the account.
        most: The largest notional of a position, in the quote asset; `None` for any.
        taker: Fee, a fraction of notional.
        cross: Whether open profit and loss count towards what is free.
        settlements: All of the run, in time order.
    """

    def __init__(
        self,
        *,
        balance: Decimal,
        leverage: Decimal,
        most: Decimal | None,
        taker: Decimal,
        cross: bool,
        settlements: Sequence[Settlement],
    ) -> None:
        self._leverage, self._most, self._taker, self._cross = leverage, most, taker, cross
        self._due, self._settled, self._seen = settlements, 0, 0
        self._cash, self._margin, self._position, self._entry = balance, ZERO, ZERO, ZERO

    def finds(self, fills_after: Callable[[int], Sequence[Fill]], unasked: Container[str]) -> bool:
        """Tell whether one of the fills since the last time may be of an order that the account could not bear.

        Args:
            fills_after: Returns the run's fills after the first so many, in time order.
            unasked: The ids of orders for which no margin was asked when they were sent.
        """
        fills = fills_after(self._seen)
        self._seen += len(fills)
        return any(self._is_beyond(fill, unasked) for fill in fills)

    def _is_beyond(self, fill: Fill, unasked: Container[str]) -> bool:
        while self._settled < len(self._due) and self._due[self._settled].time_ns <= fill.time_ns:
            one = self._due[self._settled]
            paid = self._position * one.price * one.rate
            self._cash, self._margin, self._settled = self._cash - paid, self._margin - paid, self._settled + 1
        held = self._position
        opens = self._close(fill)
        if not opens:
            return False
        kept, notional, price = self._position, opens * fill.price, fill.price
        asked = fill.order_type not in TRIGGERED and fill.order_id not in unasked
        free = self._cash - self._margin
        if self._cross and not asked:
            free = self._cash + kept * (price - self._entry) - abs(kept) * price / self._leverage
        spare = FEES_SINCE * self._taker * notional if asked else ZERO
        self._entry = (abs(kept) * self._entry + notional) / (abs(kept) + opens)
        self._margin += notional / self._leverage
        self._position = after = held + fill.side.sign * fill.quantity
        if fill.order_type in {"market", LIQUIDATION}:
            return False
        too_large = self._most is not None and abs(after) * price > self._most
        return too_large or notional > (free + spare) * self._leverage * _NEAR

    def _close(self, fill: Fill) -> Decimal:
        """Book what a fill closes, and return what it opens."""
        held, sign = self._position, fill.side.sign
        closes = min(abs(held), fill.quantity) if held * sign < 0 else ZERO
        self._cash -= sign * closes * (fill.price - self._entry) + fill.fee + fill.liquidation
        if closes:
            self._margin *= 1 - closes / abs(held)
            self._position += sign * closes
        return fill.quantity - closes
