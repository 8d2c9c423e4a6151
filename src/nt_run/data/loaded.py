"""What `MarketData` hands out."""

from dataclasses import dataclass

from nt_run.klines import DataCertificate, Klines
from nt_run.model import FundingRate
from nt_run.specs import InstrumentSpecs


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSpecs:
    """Trading rules, the file name of the exchangeInfo answer they are from, and what to tell the user."""

    specs: InstrumentSpecs
    snapshot: str
    warnings: list[str]


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
