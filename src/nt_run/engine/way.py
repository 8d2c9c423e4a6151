"""How a run is done: at first without what few runs need, and again with it where this one turns out to."""

from decimal import Decimal
from typing import Any

from nautilus_trader.model import CryptoPerpetual, OrderType, TimeInForce

from nt_run.engine.clearance import Clearance
from nt_run.engine.collect import OrderCollector
from nt_run.engine.follower import Follower
from nt_run.engine.funding import FundingPlan
from nt_run.engine.inside import InsideStops
from nt_run.engine.job import EngineInput
from nt_run.engine.overreach import Overreach
from nt_run.engine.prices import TRIGGERED_LIMITS
from nt_run.engine.refuse import Gate
from nt_run.execution import Execution
from nt_run.klines import Klines
from nt_run.liquidation import match_extremes

_AT_ONCE = {TimeInForce.IOC, TimeInForce.FOK}
_PARTS = 4
"""Open, high, low and close of a bar each get as much of its volume."""


class OrderWatch:
    """A gate (`nt_run.engine.refuse.Gate`) that refuses nothing; it says which kinds of orders it saw.

    `hurries` is an order that fills at once as far as it does, or whole or not at all. `triggers` is a limit order with
    a trigger, which the engine itself fills at an extreme of the bar that triggers it, and as a taker however long it
    rested then. `rests` is one that waits
    for a price and may open a position by then.
    """

    def __init__(self) -> None:
        self.hurries = self.triggers = self.rests = False

    def __call__(self, _strategy: object, order: Any) -> None:  # noqa: ANN401 - the engine's order types share no base
        """Look at an order."""
        self.hurries = self.hurries or order.time_in_force in _AT_ONCE
        self.triggers = self.triggers or order.order_type in TRIGGERED_LIMITS
        self.rests = self.rests or not (order.is_reduce_only or order.order_type == OrderType.MARKET)


class Way:
    """What one run is done with.

    `priced` asks a price model about each fill, `charged` asks what it costs, `asks` is about the margin of each
    order that waited, `inside` lets stops stand that come to be inside a bar, `followed` lets a liquidator follow the
    position, and with `twins` orders are not matched on the strategy's own bars, of whose volume they get a quarter at
    most. All of them cost time, and most runs are the same without.
    """

    def __init__(self, execution: Execution) -> None:
        self.priced = not execution.plain
        self.charged = False
        self.asks = self.inside = self.followed = self.twins = False
        self.watch = OrderWatch()
        self.unasked: set[str] = set()
        """The ids of orders for which no margin was asked when they were sent."""
        self._clearance: Clearance | None = None
        self._overreach: Overreach | None = None
        self._seen = 0

    @property
    def watches(self) -> list[Gate]:
        """What looks at each order that may pass."""
        return [self.watch, self.stops]

    def begin(self, run: EngineInput, instrument: CryptoPerpetual, plan: FundingPlan) -> Follower | None:
        """Begin the run, and return what liquidates, if this is the way; else find out whether something should."""
        self._clearance, self._seen = None, 0
        self.unasked.clear()
        self.stops = InsideStops()
        self.twins = self.twins or run.fine is not None or _has_quiet_bars(run.klines, instrument)
        account: dict[str, Any] = {
            "leverage": run.sizing.leverage,
            "balance": run.balance,
            "settlements": plan.settlements(),
        }
        more: dict[str, Any] = {"most": run.sizing.max_notional, "taker": run.fees.taker, "cross": run.cross}
        self._overreach = None if self.asks else Overreach(**account, **more)
        if run.margin is None or not run.margin.followed:
            return None
        extremes = match_extremes(run.klines, run.fine, run.margin)
        if self.followed:
            return Follower(run.margin, extremes, run.specs, instrument, fees=run.fees, **account)
        self._clearance = Clearance(run.margin, extremes, **account)
        return None

    def is_wrong(self, orders: OrderCollector, until_ns: int, position: Decimal) -> bool:
        """Tell whether the run must be done again, in another way, by what it has come to.

        Args:
            orders: What was filled.
            until_ns: The end of the last bar.
            position: What is held then, signed.
        """
        if not self.inside and self.stops.origins.keys() & orders.rejected:
            self.priced = self.inside = True
        elif (self.watch.triggers or orders.makers) and not self.charged:
            self.priced = self.charged = True
        elif not self.twins and (self.watch.hurries or orders.in_parts):
            self.twins = True
        elif (
            self.watch.rests and self._overreach is not None and self._overreach.finds(orders.fills_after, self.unasked)
        ):
            self.priced = self.asks = True
        elif not self._is_clear(orders, until_ns, position):
            self.priced = self.followed = self.twins = True
        else:
            return False
        return True

    def _is_clear(self, orders: OrderCollector, until_ns: int, position: Decimal) -> bool:
        if self._clearance is None:
            return True
        fills = orders.fills_after(self._seen)
        self._seen += len(fills)
        return self._clearance.holds(fills, until_ns, position)


def _has_quiet_bars(klines: Klines, instrument: CryptoPerpetual) -> bool:
    """Tell whether a quarter of some bar's volume is nothing: the engine passes over such a bar, and its close."""
    least = Decimal(int(klines.frame["volume"].to_numpy().min())).scaleb(-klines.exponents.quantity)
    return least < _PARTS * instrument.size_increment.as_decimal()
