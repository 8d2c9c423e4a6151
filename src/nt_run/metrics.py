"""Statistics of an equity curve and its trades. Pure; rates are fractions, money is in the quote asset.

A perpetual trades every day of the year, so daily figures are annualised by 365.
"""

import difflib
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import polars as pl

from nt_run.errors import CheckFailedError, UsageError

DAYS_PER_YEAR = 365
_DAY_MS = 86_400_000
_FEW = 2

Metrics = dict[str, float | int | str | None]


def run_metrics(
    equity: pl.DataFrame, trades: pl.DataFrame, closes: np.ndarray, balance: float, *, start_ms: int
) -> Metrics:
    """Return every statistic of a run; `None` where it is undefined (no trade, no loss, under two days, …).

    Once equity has been at or below zero, ratios of returns mean nothing and are `None`, too.

    Args:
        equity: The curve of `equity.equity_curve`, one row per bar.
        trades: The frame of `accounting.trades_frame`.
        closes: Close price of each bar of the curve.
        balance: Starting balance, the point before the first bar.
        start_ms: When the first bar opened, the time of that point.
    """
    curve = equity["equity"].to_numpy()
    times = equity["time"].dt.epoch("ms").to_numpy()
    days = (int(times[-1]) - start_ms) / _DAY_MS
    position = equity["position"].to_numpy()
    solvent = bool((curve > 0).all())
    daily = daily_returns(times, curve, balance, start_ms=start_ms) if solvent else np.empty(0)
    worst = drawdown_facts(times, curve, balance, start_ms=start_ms)
    growth = cagr(curve[-1] / balance, days / DAYS_PER_YEAR) if days >= _FEW else None
    exposure = np.abs(position) * closes / curve if solvent else None
    return {
        "total_return": float(curve[-1] / balance - 1),
        "cagr": growth,
        "volatility": volatility(daily),
        "sharpe": sharpe(daily),
        "sortino": sortino(daily),
        "calmar": calmar(growth, cast("float", worst["max_drawdown"])) if solvent else None,
        **worst,
        "exposure": None if exposure is None else float(exposure.mean()),
        "largest_share": None if exposure is None else float(exposure.max()),
        "time_in_market": float((position != 0).mean()),
        **trade_metrics(trades),
    }


def daily_returns(times_ms: np.ndarray, equity: np.ndarray, balance: float, *, start_ms: int) -> np.ndarray:
    """Return close-to-close returns by UTC day; the first day starts from the starting balance.

    A day in which no bar closes, inside a hole or a bar of a week, has a return of zero: equity stays where it was
    last known, and a year keeps its 365 days.

    Args:
        times_ms: When each bar closed.
        equity: The curve at these times.
        balance: Where it starts.
        start_ms: When the first bar opened.
    """
    # A bar that closes at midnight belongs to the day that ends there.
    days = (times_ms - 1) // _DAY_MS
    calendar = np.arange(start_ms // _DAY_MS, int(days[-1]) + 1)
    known = np.concatenate(([balance], equity))
    levels = np.concatenate(([balance], known[np.searchsorted(days, calendar, side="right")]))
    with np.errstate(divide="ignore", invalid="ignore"):
        returns = levels[1:] / levels[:-1] - 1
    return returns[np.isfinite(returns)]


def volatility(daily: np.ndarray) -> float | None:
    """Annualised standard deviation of daily returns (sample), over 365 days."""
    return float(daily.std(ddof=1) * math.sqrt(DAYS_PER_YEAR)) if len(daily) >= _FEW else None


def sharpe(daily: np.ndarray) -> float | None:
    """Mean ÷ standard deviation of daily returns, annualised by √365; no risk-free rate."""
    spread = volatility(daily)
    return float(daily.mean() * DAYS_PER_YEAR / spread) if spread else None


def sortino(daily: np.ndarray) -> float | None:
    """Mean ÷ downside deviation (root mean square of the negative returns over all days), annualised by √365."""
    if len(daily) < _FEW:
        return None
    downside = math.sqrt(float((np.minimum(daily, 0) ** 2).mean()))
    return float(daily.mean() / downside * math.sqrt(DAYS_PER_YEAR)) if downside else None


def cagr(growth: float, years: float) -> float | None:
    """Compound annual growth rate of a growth factor over `years` of 365 days."""
    if years <= 0:
        return None
    if growth <= 0:
        return -1.0
    exponent = math.log(growth) / years
    return math.expm1(exponent) if exponent < 700 else None  # noqa: PLR2004 - beyond it a float overflows


def calmar(growth: float | None, max_drawdown: float) -> float | None:
    """CAGR ÷ the deepest drawdown (a negative fraction)."""
    return None if growth is None or not max_drawdown else growth / -max_drawdown


def drawdown_facts(times_ms: np.ndarray, equity: np.ndarray, balance: float, *, start_ms: int) -> Metrics:
    """Return the deepest drawdown (≤ 0) with the UTC times of its peak, trough and recovery.

    The starting balance counts as the first peak; `max_drawdown_recovered` is `None` while it lasts.
    """
    peaks = np.maximum(np.maximum.accumulate(equity), balance)
    falls = equity / peaks - 1
    trough = int(falls.argmin())
    if falls[trough] >= 0:
        return {"max_drawdown": 0.0} | dict.fromkeys(
            ("max_drawdown_start", "max_drawdown_end", "max_drawdown_recovered")
        )
    at_peak = np.flatnonzero(equity[: trough + 1] >= peaks[trough])
    recovered = np.flatnonzero(equity[trough:] >= peaks[trough])
    return {
        "max_drawdown": float(falls[trough]),
        "max_drawdown_start": _iso(int(times_ms[at_peak[-1]]) if len(at_peak) else start_ms),
        "max_drawdown_end": _iso(int(times_ms[trough])),
        "max_drawdown_recovered": _iso(int(times_ms[trough + recovered[0]])) if len(recovered) else None,
    }


def trade_metrics(trades: pl.DataFrame) -> Metrics:
    """Return the statistics of closed trades, net of fees and funding; `open_trades` counts the rest."""
    closed = trades.filter(pl.col("exit_time").is_not_null())
    pnl = closed["pnl"].cast(pl.Float64).to_numpy()
    wins, losses = pnl[pnl > 0], pnl[pnl < 0]
    held = (closed["exit_time"] - closed["entry_time"]).dt.total_seconds()
    return {
        "trades": len(pnl),
        "open_trades": trades.height - len(pnl),
        "win_rate": len(wins) / len(pnl) if len(pnl) else None,
        "profit_factor": float(wins.sum() / -losses.sum()) if len(losses) else None,
        "expectancy": _mean(pnl),
        "average_win": _mean(wins),
        "average_loss": _mean(losses),
        "largest_win": float(wins.max()) if len(wins) else None,
        "largest_loss": float(losses.min()) if len(losses) else None,
        "average_trade_minutes": _mean(held.to_numpy() / 60) if len(pnl) else None,
    }


def turnover(fills: pl.DataFrame, equity: pl.DataFrame) -> float:
    """Return traded notional ÷ mean equity."""
    quantity, price = (fills[name].cast(pl.Float64).to_numpy() for name in ("quantity", "price"))
    mean = float(equity["equity"].to_numpy().mean())
    return float((quantity * price).sum()) / mean if mean > 0 else 0.0


def buy_and_hold(times_ms: np.ndarray, closes: np.ndarray, first_open: float, *, start_ms: int) -> Metrics:
    """Return what holding the contract unlevered, without costs, would have made over the same bars."""
    worst = drawdown_facts(times_ms, closes, first_open, start_ms=start_ms)
    return {
        "total_return": float(closes[-1] / first_open - 1),
        "max_drawdown": worst["max_drawdown"],
        "sharpe": sharpe(daily_returns(times_ms, closes, first_open, start_ms=start_ms)),
    }


_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """A bound on a figure, such as `max_drawdown > -0.2`."""

    name: str
    sign: str
    bound: float

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Say whether the figure satisfies the bound; an undefined figure does not."""
        value = values.get(self.name)
        return value is not None and _OPERATORS[self.sign](float(value), self.bound)

    def __str__(self) -> str:
        return f"{self.name} {self.sign} {self.bound:g}"


def parse_condition(text: str) -> Condition:
    """Return the condition in `max_drawdown>-0.2`.

    Raises:
        UsageError: The text has another form.
    """
    match = re.fullmatch(r"\s*([a-z_]\w*)\s*(>=|<=|==|>|<)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*", text)
    if match is None:
        raise UsageError(f"{text!r} is not a condition. Write a metric and a bound: 'max_drawdown>-0.2'.")
    return Condition(match[1], match[2], float(match[3]))


def parse_conditions(texts: Sequence[str] | None, names: Sequence[str]) -> list[Condition]:
    """Return the conditions in `texts`; each must name one of the figures the report will have, `names`.

    Raises:
        UsageError: One does not, or has another form.
    """
    conditions = [parse_condition(text) for text in texts or ()]
    for condition in conditions:
        if condition.name not in names:
            close = difflib.get_close_matches(condition.name, names, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else f" There are: {', '.join(names)}."
            raise UsageError(f"No figure is called {condition.name!r}.{hint}")
    return conditions


def check_conditions(conditions: Sequence[Condition], values: Mapping[str, Any]) -> None:
    """Check every condition against the figures of a run.

    Raises:
        CheckFailedError: One does not hold; the message lists all that fail.
    """
    found = {condition: values.get(condition.name) for condition in conditions}
    failed = [
        f"{condition}, but it is {'not defined for this run' if value is None else value}"
        for condition, value in found.items()
        if not condition.holds(values)
    ]
    if failed:
        raise CheckFailedError("Asserted " + "; asserted ".join(failed) + ".")


def _mean(values: np.ndarray | Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _iso(time_ms: int) -> str:
    return str(np.datetime64(time_ms, "ms").astype("datetime64[s]")) + "Z"
