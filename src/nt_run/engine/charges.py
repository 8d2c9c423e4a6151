"""What the engine charges for a fill, and which orders are larger than the leverage brackets allow."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, cast

from nautilus_trader.execution import FeeModel, MakerTakerFeeModel
from nautilus_trader.model import BarType, Currency, Money, OrderType, Price, Quantity
from nautilus_trader.trading import Strategy

from nt_run.engine.moment import Moment, signed
from nt_run.engine.refuse import Gate
from nt_run.model import Fees

TOO_LARGE = "position larger than the leverage brackets allow at this leverage"
_ZERO = Decimal(0)
_CENT = Decimal("1e-8")


class ChargeModel(FeeModel):
    """The run's fees, but for single orders whose commission was forced.

    `plain` tells by client order id what a forced order's fee would have been; `MakerTakerFeeModel` charges the rest.
    """

    def __init__(self, fees: Fees, currency: Currency) -> None:
        super().__init__()
        self.plain: dict[str, Decimal] = {}
        self._usual = MakerTakerFeeModel(fees.maker, fees.taker)
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
        forced = self._forced.pop(_order.client_order_id.value, None) if self._forced else None
        if forced is not None:
            return forced
        return self._usual.get_commission(_order, _fill_quantity, _fill_px, _instrument)


def bracket_gate(max_notional: Decimal, bar_type: str) -> Gate:
    """Return what refuses an order that would make a position larger than `max_notional` (quote asset).

    As on the exchange, other open orders of its side count as if they were filled, and so does a market order that is
    on its way. A market order counts at the last close of the bars of `bar_type`, a limit or stop order at its own
    price. What reduces a position passes.
    """
    bars, moment = BarType.from_str(bar_type), Moment()

    def gate(strategy: Strategy, order: Any) -> str | None:  # noqa: ANN401 - as above
        coming = moment.note(strategy, order)
        if order.is_reduce_only:
            return None
        portfolio: Any = strategy.portfolio
        held: Decimal = portfolio.net_position(order.instrument_id)
        held += sum(signed(each) for each in coming if each.order_type == OrderType.MARKET)
        after = held + signed(order)
        if abs(after) <= abs(held):
            return None
        most = abs(after) + _waiting(strategy, order, coming)
        return TOO_LARGE if most * _price(strategy, order, bars) > max_notional else None

    return gate


def _waiting(strategy: Strategy, order: Any, coming: Sequence[Any]) -> Decimal:  # noqa: ANN401 - as above
    """Return what other orders of an order's side may still add to the position."""
    cache: Any = strategy.cache
    resting = [each for each in coming if each.order_type != OrderType.MARKET]
    if cache.orders_open_count():
        resting += [each for each in cache.orders_open() if each.client_order_id != order.client_order_id]
    return sum((one.leaves_qty.as_decimal() for one in resting if _adds(one, order)), _ZERO)


def _adds(one: Any, order: Any) -> bool:  # noqa: ANN401 - as above
    return one.side == order.side and not one.is_reduce_only


def _price(strategy: Strategy, order: Any, bar_type: BarType) -> Decimal:  # noqa: ANN401 - as above
    for name in ("price", "trigger_price"):
        stated = getattr(order, name, None)
        if stated is not None:
            return stated.as_decimal()
    bar = cast("Any", strategy).cache.bar(bar_type)
    return bar.close.as_decimal() if bar is not None else _ZERO
