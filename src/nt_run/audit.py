"""A kept run, audited: read from its folder, replayed, and compared with what it says and with the market data.

Nothing is taken from the engine or from the books that made the run (a contract of import-linter): the arithmetic is
that of `replay`, `comparison`, `compliance`, `working_orders`, `solvency`, `restatement` and `reckoning`.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from nt_run.audit_figures import audit_figures
from nt_run.audit_kept import audit_files, audit_klines, audit_orders, audit_report, audit_rules
from nt_run.audit_margin import audit_margin
from nt_run.comparison import TOLERANCE, Compared, compare_equity, compare_totals, compare_trades
from nt_run.compliance import Rules, check_fills, check_funding, check_settlements
from nt_run.errors import ResultsError
from nt_run.klines import Klines
from nt_run.lacking import account_for
from nt_run.memory import collector_paused
from nt_run.model import (
    MS,
    Audited,
    FundingPayment,
    FundingRate,
    Settlement,
    Violation,
    format_iso,
)
from nt_run.published import Published, read_published
from nt_run.readback import read_fills, read_limits, read_payments, read_settlements, trade_rows
from nt_run.replay import replay
from nt_run.results import Run, load_run


def audit(name: str | None, cache_dir: Path) -> dict[str, Any]:
    """Audit a kept run and return the findings as one object, as `--json` prints it.

    `sound` says whether nothing is wrong and no difference is above 1e-6 of the quote asset. Opens no connection: what
    the run had from the exchange is compared with the cache as far as it has it.

    Raises:
        ResultsError: There is no such run, or its folder is damaged.
    """
    run = load_run(name, cache_dir / "runs")
    try:
        with collector_paused():
            return audit_run(run, read_published(run, cache_dir))
    except (KeyError, TypeError, ValueError, ArithmeticError, pl.exceptions.PolarsError) as exc:
        raise ResultsError(f"{run.path} cannot be audited: {exc!r} in its files. Run the backtest again.") from exc


def audit_run(run: Run, published: Published) -> dict[str, Any]:
    """Audit a run, kept or not, and hold it against what is known from elsewhere than the run."""
    balance = run.config.account.balance
    fills, payments = read_fills(run.fills), read_payments(run.funding)
    settlements, due = _due(run, payments, published.settlements)
    account = replay(fills, payments, balance)
    trades = compare_trades(account, trade_rows(run.trades))
    equity = compare_equity(account, run.klines, run.equity, balance)
    totals = compare_totals(account, _stated(run.summary), balance=balance, last_close=_last_close(run.klines))
    funding = [
        *due.violations,
        *check_settlements(settlements, published.settlements, run.klines),
        *check_funding(settlements, payments, fills),
    ]
    checks = {
        "klines": audit_klines(run, published),
        "fills": Audited(check_fills(fills, run.klines, _rules(run), run.detail, read_limits(run.orders)), len(fills)),
        "orders": audit_orders(run, fills),
        "funding": Audited(funding, len(settlements), due.unchecked),
        "margin": audit_margin(run, fills, payments, published),
        "trades": Audited(trades.violations, len(account.trades)),
        "equity": Audited(equity.violations, run.equity.height),
        "totals": Audited([*totals.violations, *_check_counts(run)], len(_stated(run.summary))),
        "figures": audit_figures(run, account, fills, payments, settlements),
        "rules": audit_rules(run, published),
        "report": audit_report(run, account),
        "files": audit_files(run),
    }
    violations = [each for part in checks.values() for each in part.violations]
    return {
        "run_id": run.run_id,
        "demo": run.config.demo,
        "sound": not violations,
        "tolerance": str(TOLERANCE),
        "asset": run.summary["account"]["asset"],
        "checks": [_counted(name, part) for name, part in checks.items()],
        "charged": len(payments),
        "largest": _largest_of(trade=trades, equity=equity, final_equity=totals),
        "unchecked": [words for part in checks.values() for words in part.unchecked],
        "violations": [_object(each) for each in violations],
    }


def _last_close(klines: Klines) -> Decimal:
    return Decimal(int(klines.frame["close"][-1])).scaleb(-klines.exponents.price)


def _largest_of(**compared: Compared) -> dict[str, Any]:
    return {name: _largest(each) for name, each in compared.items()}


def _counted(name: str, part: Audited) -> dict[str, Any]:
    """Return a check with how much it looked at and how much of that is wrong."""
    return {"name": name, "checked": part.checked, "wrong": len(part.violations)}


def _due(
    run: Run, payments: Sequence[FundingPayment], published: Sequence[FundingRate] | None
) -> tuple[list[Settlement], Audited]:
    """Return the settlements of the run's range, from the best source there is, and what cannot be checked."""
    unchecked = [] if run.config.funding else ["funding, which was left out on request"]
    if published is None:
        unchecked.append("whether the exchange had other settlements: the cache does not have those of this range")
    if run.settlements is not None:
        return read_settlements(run.settlements), Audited([], 0, unchecked)
    known = [
        Settlement(time_ns=time_ns, rate=rate, price=price, price_source="mark_price")
        for time_ns, rate, price in _known(payments, published)
    ]
    what = "whether a settlement was left out" if published is None else "settlement prices without a mark price"
    lacking = account_for(run, "settlements", "funding", what)
    return known, Audited(lacking.violations, 0, [*unchecked, *lacking.unchecked])


def _known(
    payments: Sequence[FundingPayment], published: Sequence[FundingRate] | None
) -> Iterator[tuple[int, Decimal, Decimal]]:
    """Yield time (ns), rate and price of the settlements where the folder lacks them: published ones, or those paid."""
    if published is None:
        yield from ((paid.time_ns, paid.rate, paid.price) for paid in payments)
        return
    prices = {payment.time_ns: payment.price for payment in payments}
    for rate in published:
        time_ns = rate.slot_ms * MS
        yield time_ns, rate.rate, prices.get(time_ns, rate.mark_price or Decimal(0))


def _rules(run: Run) -> Rules:
    fees = run.config.trading_fees()
    names = ("tick_size", "step_size", "min_quantity", "max_quantity", "market_max_quantity", "min_notional")
    execution = run.config.execution_rules()
    return Rules(
        maker=fees.maker, taker=fees.taker, execution=execution, **{name: Decimal(run.specs[name]) for name in names}
    )


def _stated(summary: Mapping[str, Any]) -> dict[str, Decimal]:
    account = ("starting_balance", "final_balance", "final_equity", "open_position", "open_pnl")
    stated = {name: Decimal(summary["account"][name]) for name in account}
    return stated | {name: Decimal(amount) for name, amount in summary["pnl"].items()}


def _check_counts(run: Run) -> list[Violation]:
    closed = run.trades["exit_time"].is_not_null().sum()
    counts = {"trades": closed, "fills": run.fills.height, "funding_settlements": run.funding.height}
    return [
        Violation("totals", f"number of {name}", None, str(count), str(run.summary[name]))
        for name, count in counts.items()
        if count != run.summary[name]
    ]


def _largest(compared: Compared) -> dict[str, Any]:
    return {"difference": f"{compared.largest:.10f}", "time": _time(compared.time_ns)}


def _object(violation: Violation) -> dict[str, Any]:
    return {
        "check": violation.check,
        "what": violation.what,
        "time": _time(violation.time_ns),
        "expected": violation.expected,
        "found": violation.found,
    }


def _time(time_ns: int | None) -> str | None:
    return None if time_ns is None else format_iso(time_ns // MS)
