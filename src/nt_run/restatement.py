"""The statistics a report leads with, worked out again from a replayed account by their definitions.

The definitions are those of the README and of `metrics`; no line is shared with it. Sums are exact to the last digit of
a float (`fsum`), days are looked up one by one. Rates are fractions, money is in the quote asset.
"""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nt_run.klines import Klines
from nt_run.model import Fill, Violation, format_iso
from nt_run.replay import Replay, ReplayedTrade

CHECK = "figures"
"""The name of this check, and of `reckoning`."""
_RELATIVE = 1e-9
_ABSOLUTE = 1e-9
_DAY_MS = 86_400_000
_YEAR = 365
_FEW = 2
_OVERFLOW = 700

type Floats = NDArray[np.float64]
type Figures = dict[str, float | int | str | None]


def restate_run(account: Replay, klines: Klines, fills: Sequence[Fill], balance: float) -> Figures:
    """Return `metrics` of a report that starts from `balance`; `None` where a figure is undefined."""
    times, start = klines.close_times(), klines.range.start_ms
    equity, _, position = account.at_closes(klines)
    solvent = bool(equity.min() > 0)
    returns = _daily(times, equity, balance, start) if solvent else []
    deepest = _deepest(times, equity, balance, start)
    growth = _growth(float(equity[-1]) / balance, (int(times[-1]) - start) / _DAY_MS)
    depth = -float(deepest["max_drawdown"] or 0)
    share = np.abs(position) * klines.column("close") / equity if solvent else None
    traded = math.fsum(float(fill.quantity) * float(fill.price) for fill in fills)
    average = math.fsum(equity) / len(equity)
    return {
        "total_return": float(equity[-1]) / balance - 1,
        "cagr": growth,
        "volatility": _volatility(returns),
        "sharpe": _sharpe(returns),
        "sortino": _sortino(returns),
        "calmar": growth / depth if solvent and growth is not None and depth else None,
        **deepest,
        "exposure": None if share is None else math.fsum(share) / len(share),
        "largest_share": None if share is None else max(share.tolist()),
        "time_in_market": int(np.count_nonzero(position)) / len(equity),
        **_restate_trades(account.trades),
        "turnover": traded / average if average > 0 else 0.0,
    }


def restate_holding(klines: Klines) -> Figures:
    """Return `benchmark` of a report: what holding one contract made over the same bars, without costs."""
    closes, first = klines.column("close"), float(klines.column("open")[0])
    times, start = klines.close_times(), klines.range.start_ms
    return {
        "total_return": float(closes[-1]) / first - 1,
        "max_drawdown": _deepest(times, closes, first, start)["max_drawdown"],
        "sharpe": _sharpe(_daily(times, closes, first, start)),
    }


def compare_figures(where: str, expected: Mapping[str, Any], stated: Mapping[str, Any]) -> list[Violation]:
    """Return which figures of a report differ; those it lacks, as of an earlier version, are not compared."""
    return [
        Violation(CHECK, f"{where}.{name}", None, _text(value), _text(stated[name]))
        for name, value in expected.items()
        if name in stated and not _alike(value, stated[name])
    ]


def _text(value: object) -> str:
    return f"{value:.12g}" if isinstance(value, float) else "none" if value is None else str(value)


def _alike(ours: float | str | None, theirs: Any) -> bool:  # noqa: ANN401 - whatever a report has
    if isinstance(ours, float) and isinstance(theirs, int | float):
        return math.isclose(ours, theirs, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)
    return ours == theirs


def _daily(times: NDArray[np.int64], levels: Floats, first: float, start: int) -> list[float]:
    """Return the return of each UTC day from the first to the last; a day without a close has none."""
    # A close at midnight is the last of the day that ends there.
    days = (times - 1) // _DAY_MS
    last = np.flatnonzero(np.diff(days, append=days[-1] + 1))
    at_close = dict(zip(days[last].tolist(), levels[last].tolist(), strict=True))
    before, returns = first, list[float]()
    for day in range(start // _DAY_MS, max(at_close) + 1):
        level = at_close.get(day, before)
        returns.append(level / before - 1)
        before = level
    return returns


def _volatility(returns: Sequence[float]) -> float | None:
    if len(returns) <= 1:
        return None
    mean = math.fsum(returns) / len(returns)
    return math.sqrt(math.fsum((each - mean) ** 2 for each in returns) / (len(returns) - 1) * _YEAR)


def _sharpe(returns: Sequence[float]) -> float | None:
    spread = _volatility(returns)
    return math.fsum(returns) / len(returns) * _YEAR / spread if spread else None


def _sortino(returns: Sequence[float]) -> float | None:
    if len(returns) <= 1:
        return None
    downside = math.sqrt(math.fsum(each**2 for each in returns if each < 0) / len(returns))
    return math.fsum(returns) / len(returns) * math.sqrt(_YEAR) / downside if downside else None


def _growth(factor: float, days: float) -> float | None:
    """Return the compound rate of a year; none below two days."""
    if days < _FEW:
        return None
    if factor <= 0:
        return -1.0
    exponent = math.log(factor) * _YEAR / days
    return math.exp(exponent) - 1 if exponent < _OVERFLOW else None


def _deepest(times: NDArray[np.int64], levels: Floats, first: float, start: int) -> Figures:
    """Return the deepest fall from a high, the first of them at `start`: how deep, from when, until when."""
    names = ("max_drawdown_start", "max_drawdown_end", "max_drawdown_recovered")
    highs: Floats = np.maximum.accumulate(np.concatenate([[first], levels]))[1:]
    falls: Floats = levels / highs - 1
    low = int(np.argmin(falls))
    worst = float(falls[low])
    if not worst:
        return {"max_drawdown": 0.0} | dict.fromkeys(names)
    tops, recovered = np.flatnonzero(levels[:low] >= highs[:low]), np.flatnonzero(levels[low:] >= highs[low])
    began = int(tops[-1]) if len(tops) else -1
    rows = (began, low, low + int(recovered[0]) if len(recovered) else None)
    told = [None if row is None else _second(start if row < 0 else int(times[row])) for row in rows]
    return {"max_drawdown": worst} | dict(zip(names, told, strict=True))


def _second(time_ms: int) -> str:
    return format_iso(time_ms // 1000 * 1000)


def _restate_trades(trades: Sequence[ReplayedTrade]) -> Figures:
    closed = [trade for trade in trades if trade.exit_time is not None]
    made = [float(trade.pnl.quantize(Decimal("1e-8"))) for trade in closed]
    wins, losses = [each for each in made if each > 0], [each for each in made if each < 0]
    seconds = [((trade.exit_time or 0) - trade.entry_time) // 1_000_000_000 for trade in closed]
    return {
        "trades": len(closed),
        "open_trades": len(trades) - len(closed),
        "win_rate": len(wins) / len(made) if made else None,
        "profit_factor": math.fsum(wins) / -math.fsum(losses) if losses else None,
        "expectancy": _mean(made),
        "average_win": _mean(wins),
        "average_loss": _mean(losses),
        "largest_win": max(wins, default=None),
        "largest_loss": min(losses, default=None),
        "average_trade_minutes": _mean([each / 60 for each in seconds]),
    }


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
