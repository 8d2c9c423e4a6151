"""What the engine charges for a fill."""

from collections.abc import Container
from decimal import Decimal
from typing import Any

from nautilus_trader.execution import FeeModel, MakerTakerFeeModel
from nautilus_trader.model import Currency, Money, Price, Quantity

from nt_run.model import Fees

_CENT = Decimal("1e-8")


class ChargeModel(FeeModel):
    """The run's fees, but for single orders whose commission was forced.

    `plain` tells by client order id what a forced order's fee would have been; `MakerTakerFeeModel` charges the rest,
    as makers also those of `makers`.
    """

    def __init__(self, fees: Fees, currency: Currency) -> None:
        super().__init__()
        self.plain: dict[str, Decimal] = {}
        self.makers: Container[str] = frozenset()
        self._usual = MakerTakerFeeModel(fees.maker, fees.taker)
        self._making = MakerTakerFeeModel(fees.maker, fees.maker)
        self._taker = fees.taker
        self._currency = currency
        self._forced: dict[str, Money] = {}

    def force(self, order_id: str, charge: Decimal, notional: Decimal) -> None:
        """Charge exactly `charge` for the order of this client order id, of `notional`; both in the quote asset."""
        self._forced[order_id] = Money.from_decimal(charge, self._currency)
        self.plain[order_id] = min((notional * self._taker).quantize(_CENT), charge)

    def get_commission(
        self,
        _order: Any,  # noqa: ANN401 - the engine's order types share no base
        _fill_quantity: Quantity,
        _fill_px: Price,
        _instrument: Any,  # noqa: ANN401 - as above
    ) -> Money:
        """Answer the engine."""
        order_id = _order.client_order_id.value
        if (forced := self._forced.pop(order_id, None)) is not None:
            return forced
        model = self._making if order_id in self.makers else self._usual
        return model.get_commission(_order, _fill_quantity, _fill_px, _instrument)
