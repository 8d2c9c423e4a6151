"""One run, described: TOML and flags → a frozen `RunConfig` with a digest.

Precedence: flags over file over environment over built-in. The resolved configuration is kept with the run and runs
again as it is.
"""

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import msgspec
import tomli_w

from nt_run.errors import UsageError
from nt_run.execution import FILL_TIMES, Execution, FillTime, Slippage, check_detail
from nt_run.fees import FeesConfig
from nt_run.margin import MARGIN_MODES, MarginConfig
from nt_run.model import Fees, Interval, TimeRange, format_iso, parse_symbol, parse_time
from nt_run.protection import ProtectionRules
from nt_run.settings import gather, without_none
from nt_run.sizing import METHODS, Method, SizingRules
from nt_run.specs import RANGE, TODAY
from nt_run.values import explain, refuse_extremes, refuse_nan

REST_URL = "https://fapi.binance.com"
ARCHIVE_URL = "https://data.binance.vision"
ARCHIVE_LIST_URL = "https://s3-ap-northeast-1.amazonaws.com/data.binance.vision"
DEFAULT_DAYS = 7
_DAY_MS = 86_400_000
_CHOICES: dict[str, tuple[str, ...]] = {
    "sizing.method": METHODS,
    "execution.fill": FILL_TIMES,
    "margin.mode": MARGIN_MODES,
}
RANGE_KEYS = ("start", "end", "days")


class AccountConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[account]`: starting balance in the quote asset, and leverage."""

    balance: Decimal = Decimal(10_000)
    leverage: Decimal = Decimal(1)


class SizingConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[sizing]`: see `nt_run.sizing.SizingRules`."""

    method: Method = "notional"
    fraction: Decimal = Decimal("0.02")
    compound: bool = True
    stop_distance: Decimal | None = None
    atr_period: int = 14
    atr_multiple: Decimal = Decimal(2)
    volatility_period: int = 100
    kelly_trades: int = 30
    kelly_start: Decimal = Decimal("0.02")
    kelly_cap: Decimal = Decimal(1)


class ExecutionConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[execution]`: when a market order fills, `close` (of its bar) or `next-open`; `detail` is a finer interval."""

    fill: FillTime = "close"
    detail: str | None = None


class CostsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[costs]`: slippage of every taker fill, in basis points of the price and in ticks; both add up."""

    slippage_bps: Decimal = Decimal(0)
    slippage_ticks: int = 0


class StrategyConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[strategy]`: a built-in name, `package.module:Class` or `file.py:Class`, and its parameters."""

    name: str = "ema_cross"
    params: dict[str, str | int | float | bool] = {}


class SpecsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[specs]`: whose trading rules hold in the run: `today`, `range` (those of its start) or a date."""

    at: str = TODAY


class ExchangeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[exchange]`: where the exchange, its archive and the listing of the archive's files answer."""

    rest_url: str = REST_URL
    archive_url: str = ARCHIVE_URL
    archive_list_url: str = ARCHIVE_LIST_URL


class RunConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that decides a run's result, and nothing else.

    `start` and `end` are ISO 8601, UTC, half-open; without them the run covers the last `days` of closed bars, and
    `resolved` writes what that came to. With fewer than `min_completeness` (a fraction) of its bars it does not start.
    With `funding = false` no settlement is charged.
    """

    symbol: str = "BTCUSDT"
    interval: str = "1m"
    start: str | None = None
    end: str | None = None
    days: Decimal | None = None
    min_completeness: Decimal = Decimal(1)
    demo: bool = False
    funding: bool = True
    account: AccountConfig = AccountConfig()
    sizing: SizingConfig = SizingConfig()
    fees: FeesConfig = FeesConfig()
    execution: ExecutionConfig = ExecutionConfig()
    costs: CostsConfig = CostsConfig()
    protection: ProtectionRules = ProtectionRules()
    margin: MarginConfig = MarginConfig()
    strategy: StrategyConfig = StrategyConfig()
    specs: SpecsConfig = SpecsConfig()
    exchange: ExchangeConfig = ExchangeConfig()

    def sizing_rules(self) -> SizingRules:
        """Return the rules the sizer works by."""
        asked = {field.name: getattr(self.sizing, field.name) for field in msgspec.structs.fields(SizingConfig)}
        return SizingRules(**asked, leverage=self.account.leverage, slippage=self.execution_rules().slippage)

    def execution_rules(self) -> Execution:
        """Return when orders fill, and how much worse than the market's price."""
        slippage = Slippage(bps=self.costs.slippage_bps, ticks=self.costs.slippage_ticks)
        return Execution(fill=self.execution.fill, slippage=slippage)

    def trading_fees(self) -> Fees:
        """Return the fees charged, and where they come from."""
        return self.fees.charged()

    def time_range(self, closed_ms: int) -> TimeRange:
        """Return the half-open range of the run; without an end of its own it ends with the newest bar closed by then.

        Args:
            closed_ms: When the newest closed bar ended, by the exchange's time; of no use where an end is given.
        """
        end = parse_time(self.end) if self.end else Interval(self.interval).floor(closed_ms)
        if self.start:
            return TimeRange(parse_time(self.start), end)
        days = DEFAULT_DAYS if self.days is None else self.days
        return TimeRange(end - int(days * _DAY_MS), end)

    def resolved(self, time_range: TimeRange, params: Mapping[str, Any]) -> "RunConfig":
        """Return the configuration with its range and all strategy parameters written out."""
        plain = {name: value if isinstance(value, str | int | float) else str(value) for name, value in params.items()}
        return msgspec.structs.replace(
            self,
            start=format_iso(time_range.start_ms),
            end=format_iso(time_range.end_ms),
            days=None,
            strategy=msgspec.structs.replace(self.strategy, params=plain),
        )

    def digest(self, strategy_source: str) -> str:
        """Return the identity of a run: sha256 over the configuration and the strategy's source digest."""
        canonical = msgspec.json.encode(self, order="deterministic")
        return hashlib.sha256(canonical + strategy_source.encode()).hexdigest()

    def to_toml(self) -> str:
        """Return the configuration as TOML that `load_config` reads back to an equal one."""
        plain = cast("dict[str, Any]", msgspec.to_builtins(self, order="sorted"))
        return tomli_w.dumps(without_none(plain))


def load_config(
    path: Path | str | None = None, overrides: Mapping[str, object] | None = None, *, kept: bool = False
) -> RunConfig:
    """Return the configuration of a file (or the built-in one) with overrides by dotted key.

    Args:
        path: A TOML file; `None` for the built-in defaults.
        overrides: `{"sizing.fraction": "0.01", …}`; `None` values are ignored. A range given here replaces the
            file's range as a whole, another strategy drops the file's parameters.
        kept: Whether it is that of a finished run, which earlier versions let say what had no effect.

    Raises:
        UsageError: The file is missing or not TOML, a key is unknown, or a value cannot be used or has no effect.
    """
    given = {key: value for key, value in (overrides or {}).items() if value is not None}
    raw = gather(Path(path) if path is not None else None, given, RANGE_KEYS)
    where = f"{path}: " if path is not None else ""
    try:
        config = msgspec.convert(raw, RunConfig, strict=False)
    except msgspec.ValidationError as exc:
        raise UsageError(where + explain(str(exc), raw, RunConfig, _CHOICES)) from exc
    config = _checked(msgspec.structs.replace(config, symbol=parse_symbol(config.symbol)))
    if not kept:
        config.fees.refuse_idle()
    return config


def _checked(config: RunConfig) -> RunConfig:
    Interval(config.interval)
    check_detail(config.interval, config.execution.detail)
    refuse_nan(config)
    rules = {
        "account.balance must be above 0 and below 1,000,000,000,000": 0 < config.account.balance < Decimal(10) ** 12,
        "account.leverage must be from 1 to 150": 1 <= config.account.leverage <= 150,  # noqa: PLR2004 - BTCUSDT's most
        "costs.slippage_bps must be from 0 to 1000": 0 <= config.costs.slippage_bps <= 1000,  # noqa: PLR2004 - ten per cent
        "costs.slippage_ticks must be from 0 to 10000": 0 <= config.costs.slippage_ticks <= 10_000,  # noqa: PLR2004 - as such
        "days must be above 0 and at most 10,000": config.days is None or 0 < config.days <= 10_000,  # noqa: PLR2004 - 27 years
        "min_completeness must be above 0 and at most 1 (a fraction: 99.5 % is 0.995)": 0
        < config.min_completeness
        <= 1,
        "give either start or days, not both": config.start is None or config.days is None,
    }
    for rule, holds in (rules | config.fees.checks() | _sizing_checks(config) | config.protection.checks()).items():
        if not holds:
            raise UsageError(f"{rule}.")
    refuse_extremes(config)
    if config.specs.at not in {TODAY, RANGE}:
        _check_date(config.specs.at)
    bounds = [parse_time(bound) for bound in (config.start, config.end) if bound is not None]
    if len(bounds) == len(("start", "end")):
        TimeRange(*bounds)
    return config


def _sizing_checks(config: RunConfig) -> dict[str, bool]:
    sizing, leverage = config.sizing, config.account.leverage
    most = leverage if sizing.method == "notional" else Decimal(1)
    return {
        f"sizing.method must be one of {', '.join(METHODS)}": sizing.method in METHODS,
        f"sizing.fraction (--risk) must be above 0 and at most {most} (a fraction: 2 % is 0.02)": 0
        < sizing.fraction
        <= most,
        "sizing.stop_distance must be between 0 and 1": sizing.stop_distance is None or 0 < sizing.stop_distance < 1,
        "sizing.atr_period must be at least 1": sizing.atr_period >= 1,
        "sizing.atr_multiple must be above 0 and at most 1000": 0 < sizing.atr_multiple <= 1000,  # noqa: PLR2004 - as such
        "sizing.volatility_period must be from 2 to 100000": 2 <= sizing.volatility_period <= 100_000,  # noqa: PLR2004 - as such
        "sizing.kelly_trades must be at least 1": sizing.kelly_trades >= 1,
        "sizing.kelly_start must be above 0 and at most 1": 0 < sizing.kelly_start <= 1,
        f"sizing.kelly_cap must be above 0 and at most {leverage}, the leverage": 0 < sizing.kelly_cap <= leverage,
        f"sizing.kelly_cap must be at least {sizing.kelly_start}, sizing.kelly_start": sizing.method != "kelly"
        or sizing.kelly_start <= sizing.kelly_cap,
    }


def _check_date(text: str) -> None:
    try:
        parse_time(text)
    except UsageError as exc:
        raise UsageError(
            f"specs.at (--specs-at) must be today, range or a date such as 2022-05-04, not {text!r}."
        ) from exc
