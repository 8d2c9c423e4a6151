"""What a kept run's report leads with, audited: every figure worked out again, and held to what the report says."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

import numpy as np
import polars as pl

from nt_run.compliance import price_step
from nt_run.filters import refused_by
from nt_run.matching import match_bars
from nt_run.model import MS, Audited, Fill, FundingPayment, Settlement
from nt_run.readback import read_orders
from nt_run.reckoning import Rebooking, Told, check_bounds, check_charged, check_costs, check_filters, check_risk, named
from nt_run.replay import Replay
from nt_run.restatement import compare_figures, restate_holding, restate_run
from nt_run.results import Run
from nt_run.stop_losses import RiskRules, check_stop_losses
from nt_run.worst_stop import StopTerms, check_worst_stop, find_fills


def audit_figures(
    run: Run,
    account: Replay,
    fills: Sequence[Fill],
    payments: Sequence[FundingPayment],
    settlements: Sequence[Settlement],
) -> Audited:
    """Work out every figure of a report again; earlier versions had fewer."""
    summary, balance = run.summary, run.config.account.balance
    close = Decimal(int(run.klines.frame["close"][-1])).scaleb(-run.klines.exponents.price)
    figures = restate_run(account, run.klines, fills, float(balance))
    holding = restate_holding(run.klines)
    found = [
        *compare_figures("metrics", figures, summary["metrics"]),
        *compare_figures("sizing", {"largest_share": figures["largest_share"]}, summary.get("sizing", {})),
        *compare_figures("benchmark", holding, summary.get("benchmark", {})),
    ]
    checked = len(figures) + len(holding)
    if costs := summary.get("costs"):
        step = price_step(run.klines, run.detail, Decimal(run.specs["tick_size"]))
        found += named("costs", check_costs(costs, Rebooking(fills, payments, close, balance), step))
        checked += len(costs["ladder"]) + 1
    if funding := summary.get("funding"):
        found += named("funding", check_charged(funding, settlements, payments, fills))
        checked += len(funding)
    if risk := summary.get("risk_audit"):
        sizing = run.config.sizing
        rules = RiskRules(fraction=sizing.fraction, compound=sizing.compound, balance=balance)
        found += named("risk_audit", check_risk(risk, account.trades, fills))
        found += named("risk_audit", check_stop_losses(risk, account.trades, rules))
        found += named("risk_audit.worst", _check_worst(run, risk["worst"], fills))
        checked += _leaves(risk)
    if filters := summary.get("filters"):
        denied, capped = summary["denied"], summary["sizing"]["capped"]
        found += named("filters", check_filters(filters, denied, capped, {each: refused_by(each) for each in denied}))
        checked += _leaves(filters)
    if ambiguity := summary.get("ambiguity"):
        net, bars = Decimal(summary["pnl"]["net"]), len(match_bars(run.klines, run.detail))
        found += named("ambiguity", check_bounds(ambiguity, net=net, balance=balance, bars=bars))
        checked += _leaves(ambiguity["pnl"]) + 2
    return Audited(found, checked)


def _check_worst(run: Run, worst: Mapping[str, Any] | None, fills: Sequence[Fill]) -> Told:
    """Yield what is wrong with the worst stopped trade; earlier versions told nothing of its parts."""
    ends = None if worst is None or "over_by" not in worst or run.orders is None else find_fills(worst, fills)
    if worst is None or ends is None or run.orders is None:
        return
    costs, bars = run.config.costs, match_bars(run.klines)
    terms = StopTerms(
        taker=run.config.trading_fees().taker,
        bps=costs.slippage_bps,
        ticks=costs.slippage_ticks,
        tick=Decimal(run.specs["tick_size"]),
    )
    entry, leave = (read_orders(run.orders.filter(pl.col("order_id") == each.order_id)) for each in ends)
    row = int(np.searchsorted(bars.closed, ends[0].time_ns // MS, side="right")) - 1
    known = [each.level for each in entry] + ([bars.price("close", row)] if row >= 0 else [])
    yield from check_worst_stop(worst, ends, leave, known, terms)


def _leaves(value: Mapping[str, Any]) -> int:
    """How many figures an object of the report has."""
    return sum(_leaves(cast("dict[str, Any]", each)) if isinstance(each, dict) else 1 for each in value.values())
