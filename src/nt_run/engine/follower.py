"""Ties a liquidator into one run: what is called when, what its fills cost, and what came of it."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from nautilus_trader.backtest import BacktestEngine
from nautilus_trader.model import BarType, CryptoPerpetual

from nt_run.engine.charges import ChargeModel
from nt_run.engine.guard import Guard
from nt_run.engine.instrument import ensure_currency
from nt_run.engine.liquidation import Liquidator
from nt_run.engine.prices import PriceModel
from nt_run.errors import BooksError
from nt_run.liquidation import Extremes, Liquidation, MarginPlan
from nt_run.model import LIQUIDATION, MS, Fees, Fill, Settlement, format_time
from nt_run.specs import InstrumentSpecs


class Follower:
    """Lets a liquidator follow a run; `charges` are what the venue is to charge by."""

    def __init__(
        self,
        plan: MarginPlan,
        extremes: Extremes,
        specs: InstrumentSpecs,
        instrument: CryptoPerpetual,
        *,
        fees: Fees,
        leverage: Decimal,
        balance: Decimal,
        settlements: Sequence[Settlement],
    ) -> None:
        self.charges = ChargeModel(fees, ensure_currency(specs.quote_asset))
        self._prices: PriceModel | None = None
        self._liquidator = Liquidator(
            plan,
            extremes,
            specs,
            instrument,
            leverage=leverage,
            balance=balance,
            settlements=settlements,
            force=self._force,
        )

    def hooks(self, _bar_type: BarType) -> dict[str, Callable[..., None]]:
        """Return what is to be called ahead of the strategy's callbacks."""
        return self._liquidator.hooks()

    def install(self, engine: BacktestEngine, prices: PriceModel, guard: Guard) -> None:
        """Let the liquidator see the bars the engine matches orders with."""
        self._prices = prices
        prices.liquidation = self._liquidator
        self._liquidator.install(engine, guard)

    def told(self, fills: Sequence[Fill]) -> dict[str, Any]:
        """Return what the output of a run has of liquidation: the positions it closed, and those it might have.

        Raises:
            BooksError: A liquidation was not filled, or not at its price.
        """
        return {"liquidations": self._events(fills), "threats": self._liquidator.threats}

    def release(self) -> None:
        """Let go of everything that must be freed on the thread it was made on."""
        self._prices = None
        self._liquidator.release()

    def _events(self, fills: Sequence[Fill]) -> list[Liquidation]:
        filled = {fill.order_id: fill for fill in fills if fill.order_type == LIQUIDATION}
        for event in self._liquidator.events:
            fill = filled.get(event.order_id)
            if fill is None or (fill.price, fill.quantity) != (event.price, event.quantity):
                found = "not filled" if fill is None else f"{fill.quantity} at {fill.price}"
                what = f"the liquidation of {format_time(event.time_ns // MS)}"
                raise BooksError(what, f"{event.quantity} at {event.price}", found)
        return self._liquidator.events

    def _force(self, order_id: str, price: Decimal, charge: Decimal, quantity: Decimal) -> None:
        if self._prices is not None:
            self._prices.force(order_id, price)
        self.charges.force(order_id, charge, quantity * price)
