"""A run, or a contract's rules, as one plain object: what `summary.json` keeps, `--json` prints and tables show.

Keys are snake_case, amounts are decimal strings, statistics are floats, rates are fractions, counts are integers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib.metadata import version
from typing import Any

from nt_run.accounting import Books, Trade
from nt_run.config import REST_URL, RunConfig
from nt_run.holes import Crossing, crossings_object
from nt_run.klines import DataCertificate
from nt_run.metrics import Metrics
from nt_run.model import Fees, MarketState, TimeRange, format_iso
from nt_run.protection import ProtectionUse, protections_object
from nt_run.risk import RiskAudit, risk_object
from nt_run.sizing import Sized
from nt_run.specs import InstrumentSpecs

PNL_PARTS = ("net", "price", "fees", "funding", "slippage", "liquidation", "rounding")
PACKAGES = ("nt-run", "nautilus_trader", "polars", "pyarrow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything the summary of one run is made of."""

    run_id: str
    config: RunConfig
    specs: InstrumentSpecs
    specs_origin: Mapping[str, Any]
    """Which rules these are: `at`, `snapshot`, `changes`."""
    spec_checks: Sequence[Mapping[str, Any]]
    bars: Mapping[str, int]
    first: Sized | None
    """The first entry's size."""
    entry: Trade | None
    """The first trade, as it was filled."""
    capped: Mapping[str, int]
    """How many entries were cut, by what."""
    protections: Sequence[ProtectionUse]
    books: Books
    trades: int
    fills: int
    settlements: int
    denied: Mapping[str, int]
    filters: Mapping[str, Any]
    """What the filters did, as `nt_run.filters.filter_ledger` gives it."""
    margin: Mapping[str, Any]
    """`margin` and `liquidations`, as `nt_run.liquidation.margin_object` gives them."""
    metrics: Metrics
    benchmark: Metrics
    data: Mapping[str, Any]
    crossings: Sequence[Crossing]
    costs: Mapping[str, Any]
    funding: Mapping[str, Any] | None
    """`None` where none was charged, because that was asked for."""
    risk: RiskAudit | None
    """`None` where no stop decides the size."""
    warnings: Sequence[str]
    created_ms: int
    ambiguity: Mapping[str, Any] | None = None
    """`None` where no order rested."""


def summarize(facts: Facts) -> dict[str, Any]:
    """Return the report of a run as one object; the pipeline adds its timings."""
    config, books = facts.config, facts.books
    fees = config.trading_fees()
    checks = [dict(check) for check in facts.spec_checks]
    return {
        "run_id": facts.run_id,
        "created": format_iso(facts.created_ms),
        "demo": config.demo,
        "exchange": config.exchange.rest_url if not config.demo else "embedded demo exchange",
        "symbol": config.symbol,
        "instrument_id": facts.specs.instrument_id,
        "interval": config.interval,
        "start": config.start,
        "end": config.end,
        "strategy": {"name": config.strategy.name, "params": dict(config.strategy.params)},
        "bars": dict(facts.bars),
        "specs": specs_object(facts.specs, fees)
        | dict(facts.specs_origin)
        | {"checks": checks, "accurate": sum(check["same"] for check in checks)},
        "sizing": _sizing(facts),
        "risk_audit": None if facts.risk is None else risk_object(facts.risk),
        "ambiguity": facts.ambiguity,
        "protections": protections_object(facts.protections),
        "fees": {"maker": str(fees.maker), "taker": str(fees.taker), "source": fees.source},
        "account": _account(facts),
        "pnl": {name: _money(getattr(books, name)) for name in PNL_PARTS},
        "costs": dict(facts.costs),
        "funding": facts.funding,
        "trades": facts.trades,
        "fills": facts.fills,
        "funding_settlements": facts.settlements,
        "denied": dict(sorted(facts.denied.items())),
        "filters": dict(facts.filters),
        **facts.margin,
        "metrics": facts.metrics,
        "benchmark": facts.benchmark,
        "data": dict(facts.data) | {"across_holes": crossings_object(facts.crossings)},
        "warnings": list(facts.warnings),
        "versions": {name: version(name) for name in PACKAGES},
    }


def specs_object(specs: InstrumentSpecs, fees: Fees, state: MarketState | None = None) -> dict[str, Any]:
    """Return a contract's rules as one object; with `state` also its mark price and funding."""
    rules = {
        "symbol": specs.symbol,
        "instrument_id": specs.instrument_id,
        "contract_type": specs.contract_type,
        "status": specs.status,
        "base_asset": specs.base_asset,
        "quote_asset": specs.quote_asset,
        "margin_asset": specs.margin_asset,
        "tick_size": _text(specs.tick_size),
        "step_size": _text(specs.step_size),
        "min_quantity": _text(specs.min_quantity),
        "max_quantity": _text(specs.max_quantity),
        "market_max_quantity": _text(specs.market_max_quantity),
        "min_notional": _text(specs.min_notional),
        "price_precision": specs.price_precision,
        "size_precision": specs.size_precision,
        "percent_price_up": _text(specs.price_multiplier_up),
        "percent_price_down": _text(specs.price_multiplier_down),
        "max_orders": specs.max_orders,
        "max_algo_orders": specs.max_algo_orders,
        "liquidation_fee": _text(specs.liquidation_fee),
        "maker_fee": _text(fees.maker),
        "taker_fee": _text(fees.taker),
        "fee_source": fees.source,
        "as_of": format_iso(specs.as_of_ms),
        "source": specs.source,
    }
    if state is None:
        return rules
    interval = state.funding_interval_ms
    hours = None if interval is None else Decimal(interval) / 3_600_000
    return rules | {
        "mark_price": _text(state.mark_price),
        "last_funding_rate": _text(state.last_funding_rate),
        "funding_interval_hours": _text(hours),
        "next_funding": None if state.next_funding_ms is None else format_iso(state.next_funding_ms),
    }


def data_object(certificate: DataCertificate) -> dict[str, Any]:
    """Return what is certified about a run's klines as one object."""
    return {
        "sources": dict(certificate.sources),
        "fingerprint": certificate.fingerprint,
        "completeness": certificate.completeness,
        "expected": certificate.expected,
        "loaded": certificate.loaded,
        "gaps": [_span(gap.range) | {"status": gap.status} for gap in certificate.gaps],
        "zero_volume_runs": [_span(run) for run in certificate.zero_volume_runs],
    }


FIGURES = (
    "total_return",
    "cagr",
    "volatility",
    "sharpe",
    "sortino",
    "calmar",
    "max_drawdown",
    "exposure",
    "largest_share",
    "time_in_market",
    "trades",
    "open_trades",
    "win_rate",
    "profit_factor",
    "expectancy",
    "average_win",
    "average_loss",
    "largest_win",
    "largest_loss",
    "average_trade_minutes",
    "turnover",
    "net",
    "price",
    "fees",
    "funding",
    "slippage",
    "liquidation",
    "rounding",
    "final_balance",
    "final_equity",
    "fills",
    "denied",
    "liquidations",
    "completeness",
    "across_holes",
    "skipped",
)
"""Every figure a condition may name."""


def figures(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of a summary that a condition may name: metrics, PnL parts, account and counts."""
    numbers: dict[str, Any] = {name: value for name, value in summary["metrics"].items() if name in FIGURES}
    numbers |= {name: float(text) for name, text in summary["pnl"].items()}
    numbers |= {name: float(summary["account"][name]) for name in ("final_balance", "final_equity")}
    numbers |= {"fills": summary["fills"], "denied": sum(summary["denied"].values())}
    numbers |= {"liquidations": len(summary["liquidations"])}
    data = summary["data"]
    numbers |= {"completeness": data["completeness"], "across_holes": float(data["across_holes"]["price"])}
    numbers |= {"skipped": summary["bars"]["skipped"]}
    return numbers


def exchange_warning(config: RunConfig) -> list[str]:
    """Return a warning where the data does not come from the exchange itself."""
    if config.demo:
        return ["The market is synthetic (demo): prices, volumes and funding are invented."]
    if config.exchange.rest_url != REST_URL:
        return [f"Market data and rules come from {config.exchange.rest_url}, not from {REST_URL}."]
    return []


def _account(facts: Facts) -> dict[str, Any]:
    books = facts.books
    return {
        "starting_balance": _money(books.starting_balance),
        "final_balance": _money(books.final_balance),
        "final_equity": _money(books.final_equity),
        "open_position": f"{books.open_position:f}",
        "open_pnl": _money(books.open_pnl),
        "leverage": str(facts.config.account.leverage),
        "asset": facts.specs.quote_asset,
    }


def _sizing(facts: Facts) -> dict[str, Any]:
    """The size that was asked for beside the one that was filled; shares are fractions of the starting balance."""
    rules, entry, balance = facts.config.sizing, facts.entry, facts.books.starting_balance
    asked: dict[str, Any] = {
        "method": rules.method,
        "fraction": str(rules.fraction),
        "compound": rules.compound,
        "largest_share": facts.metrics["largest_share"],
        "capped": dict(sorted(facts.capped.items())),
    }
    if entry is None:
        return asked | {"first": None}
    notional = entry.quantity * entry.entry_price
    return asked | {
        "first": {
            "quantity": _text(entry.quantity),
            "price": f"{entry.entry_price:.8f}".rstrip("0").rstrip("."),
            "notional": f"{notional:.8f}".rstrip("0").rstrip("."),
            "asked_share": float(rules.fraction if facts.first is None else facts.first.asked_share),
            "actual_share": None if facts.first is None else float(facts.first.actual_share),
            "notional_share": float(notional / balance),
            "one_unit_share": float(entry.entry_price / balance),
            "capped_by": None if facts.first is None else facts.first.capped_by,
        }
    }


def _span(time_range: TimeRange) -> dict[str, str]:
    return {"start": format_iso(time_range.start_ms), "end": format_iso(time_range.end_ms)}


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"


def _money(value: Decimal) -> str:
    return f"{value:.8f}"
