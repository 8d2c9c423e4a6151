"""How a run is done: at first without what few runs need, and again with it where this one turns out to."""

from decimal import Decimal
from typing import Any

from nautilus_trader.model import CryptoPerpetual

from nt_run.engine.clearance import Clearance
from nt_run.engine.collect import OrderCollector
from nt_run.engine.follower import Follower
from nt_run.engine.funding import FundingPlan
from nt_run.engine.job import EngineInput
from nt_run.engine.prices import LimitWatch
from nt_run.execution import Execution
from nt_run.liquidation import match_extremes


class Way:
    """What one run is done with.

    `priced` asks a price model about each fill, `followed` lets a liquidator follow the position. Where there are many
    orders, both cost more than the rest of the run, and most runs are the same without.
    """

    def __init__(self, execution: Execution) -> None:
        self.priced = not execution.plain
        self.followed = False
        self.watch = LimitWatch()
        self._clearance: Clearance | None = None
        self._seen = 0

    def begin(self, run: EngineInput, instrument: CryptoPerpetual, plan: FundingPlan) -> Follower | None:
        """Begin the run, and return what liquidates, if this is the way; else find out whether something should."""
        self._clearance, self._seen = None, 0
        if run.margin is None or not run.margin.followed:
            return None
        extremes = match_extremes(run.klines, run.fine, run.margin)
        leverage, balance, due = run.sizing.leverage, run.balance, plan.settlements()
        account: dict[str, Any] = {"leverage": leverage, "balance": balance, "settlements": due}
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
        if self.watch.met and not self.priced:
            self.priced = True
            return True
        if self._clearance is None:
            return False
        fills = orders.fills_after(self._seen)
        self._seen += len(fills)
        if self._clearance.holds(fills, until_ns, position):
            return False
        self.priced = self.followed = True
        return True
