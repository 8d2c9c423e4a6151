"""What `MarketData` hands out."""

from dataclasses import dataclass, field
from typing import Any

from nt_run.data.missing import MissingSettlements
from nt_run.klines import DataCertificate, Klines
from nt_run.margin import MarginRules
from nt_run.model import FundingRate
from nt_run.specs import InstrumentSpecs


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSpecs:
    """Trading rules, the file name of the exchangeInfo answer they are from, and what to tell the user."""

    specs: InstrumentSpecs
    snapshot: str
    warnings: list[str]
    at: str = "today"
    """Which rules were asked for: `today`, `range` or a date."""
    changes: list[str] = field(default_factory=list[str])
    """What was undone or applied of the answer's rules to get those of the time asked for, in words."""

    known_changes: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    """What is known to have changed between the answer and the date asked for, and is not applied: rule, value, why."""

    def origin(self) -> dict[str, Any]:
        """Return which rules these are, as part of the object that describes them."""
        known = {"known_changes": list(self.known_changes)} if self.known_changes else {}
        return {"at": self.at, "snapshot": self.snapshot, "changes": list(self.changes), **known}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedKlines:
    """Klines of exactly the range asked for, what is certified about them, and what to tell the user."""

    klines: Klines
    certificate: DataCertificate
    warnings: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedFunding:
    """The settlements with start ≤ slot < end, oldest first, and what to tell the user."""

    rates: list[FundingRate]
    warnings: list[str]
    missing: list[MissingSettlements] = field(default_factory=list[MissingSettlements])
    """Those that are due and not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedBrackets:
    """Leverage brackets, and what to tell the user."""

    rules: MarginRules
    warnings: list[str]
