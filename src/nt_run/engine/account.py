"""What the account is worth, as the engine's portfolio knows it."""

from decimal import Decimal
from typing import Any, cast

from nautilus_trader.model import Currency, InstrumentId, Money, Price
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
