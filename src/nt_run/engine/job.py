"""What one run of the engine is given, and what comes of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from nt_run.engine.instrument import SpecCheck
from nt_run.engine.refuse import Gate
from nt_run.engine.sizer import SizingRecord
from nt_run.engine.source import StrategySource
from nt_run.execution import PLAIN, Execution
from nt_run.klines import Klines
from nt_run.liquidation import Liquidation, MarginPlan
from nt_run.model import BookedTrade, Denial, Fees, Fill, FundingPayment, FundingRate, Plots, SentOrder, Settlement
from nt_run.outcomes import Threat
from nt_run.protection import OFF, ProtectionRules, ProtectionUse
from nt_run.resting import RestingOrder
from nt_run.sizing import SizingRules
from nt_run.specs import InstrumentSpecs

type Progress = Callable[[int, float, int], None]
"""Called now and then with bars done, equity in the quote asset, and orders done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInput:
    """Everything one run depends on. `klines` are inside the run's range and not empty; `balance` is in quote."""

    specs: InstrumentSpecs
    klines: Klines
    funding: Sequence[FundingRate]
    fees: Fees
    sizing: SizingRules
    balance: Decimal
    strategy: StrategySource
    params: Mapping[str, object]
    execution: Execution = PLAIN
    fine: Klines | None = None
    """Finer klines of some of the bars: orders are matched on them there. The strategy does not see them."""
    protection: ProtectionRules = OFF
    margin: MarginPlan | None = None
    """`None` liquidates nothing."""
    gates: Sequence[Gate] = ()
    """Asked about each order the strategy sends, ahead of the exchange's filters."""
    history: Klines | None = None
    """What a strategy with a field `history` is given; `None` stands for `klines`."""
    keep_sent: bool = False
    """Keep what the strategy asked for in the output's `sent`."""
    progress: Progress | None = None

    @property
    def cross(self) -> bool:
        """Whether the whole balance stands behind a position."""
        return self.margin is not None and self.margin.mode == "cross"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOutput:
    """What the engine booked, exact and in time order."""

    fills: list[Fill]
    payments: list[FundingPayment]
    settlements: list[Settlement]
    """All that were due after the first open, up to and including the last close."""
    booked: list[BookedTrade]
    """The engine's own positions, to check the books with."""
    denials: list[Denial]
    """Refused by the engine's filters, by the account, or by sizing."""
    bars_fed: int
    bars_seen: int
    """Bars delivered to the strategy's `on_bar`."""
    balance: Decimal
    """Cash at the end, in the quote asset."""
    open_pnl: Decimal
    """Unrealised profit of the open position at the last close."""
    spec_checks: list[SpecCheck]
    sizing: SizingRecord
    protections: list[ProtectionUse]
    resting: list[RestingOrder]
    """Every order that rested, by the time from which it did."""
    sent: list[SentOrder]
    """What the strategy asked for, in time order; empty unless it was to be kept."""
    liquidations: Sequence[Liquidation] = field(default_factory=list[Liquidation])
    threats: Sequence[Threat] = field(default_factory=list[Threat])
    plots: Plots | None = None
    """What the strategy publishes of its indicators; `None` where it publishes nothing."""
