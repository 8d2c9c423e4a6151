"""What the account is worth, as the engine's portfolio knows it."""

from decimal import Decimal
from typing import Any, cast

from nautilus_trader.model import Currency, InstrumentId, Money, OrderFilled, OrderSide, Price
from nautilus_trader.trading import Strategy

from nt_run.engine.venue import VENUE


def account_equity(strategy: Strategy, instrument_id: InstrumentId, currency: Currency, price: Price) -> Decimal:
    """Return the balance plus the open profit at `price`, in the quote asset.

    The portfolio values positions at the last mark price it was given, which is the last funding's. Its equity less
    that valuation is the balance; the account itself is slow to ask for, as it comes with its history.
    """
    portfolio: Any = strategy.portfolio
    total = cast("dict[Currency, Money]", portfolio.equity(VENUE))[currency]
    valued = cast("Money | None", portfolio.unrealized_pnl(instrument_id))
    open_pnl: Money | None = portfolio.unrealized_pnl(instrument_id, price)
    balance = total.as_decimal() - (valued.as_decimal() if valued is not None else 0)
    return balance + (open_pnl.as_decimal() if open_pnl is not None else 0)


def position_margin(strategy: Strategy, instrument_id: InstrumentId, leverage: Decimal) -> Decimal:
    """Return the margin of the open position, in the quote asset: that of an isolated one, whose funding it pays.

    Each opening brings notional ÷ leverage, and a closing takes its share. The engine's own figure is worked out anew
    at the price of each funding, and knows no funding.
    """
    margin = held = Decimal(0)
    open_positions: list[Any] = cast("Any", strategy).cache.positions_open(instrument_id=instrument_id)
    for position in open_positions:
        changes = [*position.adjustments(), *position.events()]
        # At one instant funding is for what was held before the fills.
        for change in sorted(changes, key=lambda each: (each.ts_event, isinstance(each, OrderFilled))):
            if not isinstance(change, OrderFilled):
                paid: Money | None = change.pnl_change
                margin += paid.as_decimal() if paid is not None else 0
                continue
            quantity = change.last_qty.as_decimal()
            signed = quantity if change.order_side == OrderSide.BUY else -quantity
            if held * signed < 0:
                margin *= 1 + signed / held
            else:
                margin += quantity * change.last_px.as_decimal() / leverage
            held += signed
    return margin
