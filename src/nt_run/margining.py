"""What a run reads about margin: leverage brackets, and mark prices where they may matter."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from nt_run.config import RunConfig
from nt_run.data.loaded import LoadedBrackets
from nt_run.data.loader import MarketData
from nt_run.errors import DataError
from nt_run.klines import Klines
from nt_run.liquidation import MarginPlan, find_extremes, is_reachable
from nt_run.margin import MarginRules
from nt_run.model import FundingRate


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginInputs:
    """Leverage brackets, and whether liquidation is within reach; `marks` are loaded only then, if there are any."""

    rules: MarginRules
    reachable: bool
    marks: Klines | None
    warnings: list[str]
    mark_fingerprint: str | None = None
    """Of `marks`."""

    def plan(self, config: RunConfig) -> MarginPlan:
        """Return how the positions of a run are margined."""
        return MarginPlan(mode=config.margin.mode, rules=self.rules, followed=self.reachable, marks=self.marks)

    def max_notional(self, config: RunConfig) -> Decimal:
        """Return the largest position the brackets allow at the run's leverage, in the quote asset."""
        return self.rules.largest_notional(config.account.leverage)


def load_brackets(market: MarketData, config: RunConfig, at_ms: int) -> LoadedBrackets:
    """Return the leverage brackets of a configuration's contract at a time.

    Raises:
        UsageError: The file of brackets cannot be used.
        SizingError: The leverage is more than the brackets allow.
    """
    file = config.margin.brackets
    loaded = market.load_brackets(config.symbol, at_ms, Path(file) if file else None)
    loaded.rules.largest_notional(config.account.leverage)
    return loaded


def load_margin(
    market: MarketData, config: RunConfig, brackets: LoadedBrackets, klines: Klines, rates: Sequence[FundingRate]
) -> MarginInputs:
    """Return what decides on liquidation in a run over `klines`; mark klines are asked for only if it is in reach."""
    rules, account, warnings = brackets.rules, config.account, list(brackets.warnings)
    fees = config.trading_fees()
    if not is_reachable(klines, rates, rules, fees, leverage=account.leverage, balance=account.balance):
        return MarginInputs(rules=rules, reachable=False, marks=None, warnings=warnings)
    if not rules.known:
        warnings.append(
            f"The leverage brackets of {config.symbol} are not known: a maintenance margin of "
            f"{(rules.brackets[0].rate * 100).normalize():f} % of any notional is assumed. Give --brackets FILE"
            + ("." if config.demo else ", or the key of an account in BINANCE_API_KEY and BINANCE_API_SECRET.")
        )
    try:
        loaded = market.load_mark_klines(config.symbol, klines.interval, klines.range, min_completeness=0.0)
    except DataError as exc:
        reason = str(exc).splitlines()[0]
        warnings.append(f"Liquidation goes by the bars' own extremes, for there are no mark prices: {reason}")
        return MarginInputs(rules=rules, reachable=True, marks=None, warnings=warnings)
    if missing := find_extremes(klines, loaded.klines).missing:
        many = f"{missing:,} of {len(klines):,} bars"
        warnings.append(f"Liquidation goes by the bars' own extremes in {many}, which have no mark kline.")
    fingerprint = loaded.certificate.fingerprint
    return MarginInputs(
        rules=rules, reachable=True, marks=loaded.klines, warnings=warnings, mark_fingerprint=fingerprint
    )
