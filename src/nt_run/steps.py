"""In what steps the data moves, month by month, against the tick and step size of the rules. Pure.

Prices that lie between the ticks of a rule, or volumes between its steps, contradict it: the rule was another one, or
the rows are another market's. A month that happens to move in coarser steps contradicts nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from nt_run.klines import PRICES, Klines
from nt_run.model import format_time

_FEW = 64
_AT_ONCE = 3
"""Rows within which data that is finer throughout shows it, though by chance one price in ten is on a coarser tick."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthStep:
    """A UTC month (`2021-03`) whose data moves in finer steps than a rule, `tick size` or `step size`, allows."""

    month: str
    rule: str
    limit: Decimal
    """The rule."""
    moves_in: Decimal
    """The greatest common divisor of the month's prices, or volumes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finer:
    """Rows of klines that are finer than the rules, and the months they are in."""

    rows: int
    of: int
    first_ms: int
    """Open time of the first such row."""
    last_ms: int
    at_once: bool
    """Whether they begin where the klines begin."""
    dense: bool
    """Whether they are most of the rows between the first and the last of them."""
    months: Sequence[MonthStep]


def find_finer(klines: Klines, tick_size: Decimal, step_size: Decimal) -> Finer | None:
    """Return the rows with a price off the tick size or a volume off the step size; `None` if there are none.

    This finds rows of another market without a second source, where that market moves in finer steps: spot BTCUSDT
    moves in 0.01 and the perpetual in 0.10, so nine of ten spot prices are off. It cannot find them where both move
    alike, nor the one spot row in ten thousand whose four prices happen to be on the tick.
    """
    rules = (("tick size", PRICES, tick_size), ("step size", ("volume",), step_size))
    masks = {rule: _off(klines, columns, limit) for rule, columns, limit in rules}
    found = [mask for mask in masks.values() if mask is not None]
    if not found:
        return None
    rows = np.flatnonzero(np.logical_or.reduce(found))
    times = klines.open_times()
    first, last = int(rows[0]), int(rows[-1])
    months: list[MonthStep] = []
    for rule, columns, limit in rules:
        if (mask := masks[rule]) is not None:
            months += _months(klines, times, np.flatnonzero(mask), (rule, columns, limit))
    return Finer(
        rows=len(rows),
        of=len(klines),
        first_ms=int(times[first]),
        last_ms=int(times[last]),
        at_once=first < _AT_ONCE,
        dense=2 * len(rows) > last - first + 1,
        months=months,
    )


def in_words(finer: Finer) -> str:
    """Return what was found as one remark, with what it may come from."""
    first, last = format_time(finer.first_ms), format_time(finer.last_ms)
    return (
        f"{finer.rows:,} of {finer.of:,} klines, from {first} to {last}, are finer than the rules used: "
        f"{'; '.join(_spans(finer.months))}. {_reason(finer)} They were kept exact, and the engine's instrument was "
        "made as fine as they are."
    )


def divisor(values: NDArray[np.int64], known: int = 0) -> int:
    """Return the greatest common divisor of `values` and `known`; 0 if all of them are 0."""
    while len(values) and known != 1:
        known = int(np.gcd.reduce(np.append(values[:_FEW], known)))
        # Nearly always the first values have it already, and all that is left is to see that nothing disagrees.
        values = values[values % known != 0] if known else values[_FEW:]
    return known


def _off(klines: Klines, columns: Sequence[str], limit: Decimal) -> NDArray[np.bool_] | None:
    """Which rows have a value that is no multiple of a rule; `None` if no row has."""
    exponent = klines.exponents.of(columns[0])
    digits = max(0, -int(limit.normalize().as_tuple().exponent) - exponent)
    step, unit = int(limit.scaleb(exponent + digits)), 10**digits
    if unit % step == 0:
        return None  # the data has no digit that could be off
    found: NDArray[np.bool_] | None = None
    for name in columns:
        values = klines.frame[name].to_numpy()
        off = (values * unit if digits else values) % step != 0
        if off.any():
            found = off if found is None else found | off
    return found


def _months(
    klines: Klines, times: NDArray[np.int64], rows: NDArray[np.intp], rule: tuple[str, Sequence[str], Decimal]
) -> list[MonthStep]:
    name, columns, limit = rule
    exponent = klines.exponents.of(columns[0])
    found: list[MonthStep] = []
    for month in np.unique(times[rows].astype("datetime64[ms]").astype("datetime64[M]")):
        bounds = np.array([month, month + np.timedelta64(1, "M")]).astype("datetime64[ms]").astype(np.int64)
        start, end = (int(at) for at in np.searchsorted(times, bounds))
        moves = 0
        for column in columns:
            moves = divisor(klines.frame[column].to_numpy()[start:end], moves)
        moves_in = Decimal(moves).scaleb(-exponent)
        found.append(MonthStep(month=str(month), rule=name, limit=limit, moves_in=moves_in))
    return found


def _spans(months: Sequence[MonthStep]) -> list[str]:
    """Months that move alike, put together: `tick size 0.10, but 2019-09 to 2022-04 moves in 0.01`."""
    spans: list[str] = []
    for (rule, limit, moves_in), group in groupby(months, key=lambda one: (one.rule, one.limit, one.moves_in)):
        alike = [one.month for one in group]
        when = alike[0] if len(alike) == 1 else f"{alike[0]} to {alike[-1]}"
        spans.append(f"{rule} {limit:f}, but the data of {when} moves in {moves_in:f}")
    return spans


def _reason(finer: Finer) -> str:
    if not finer.dense:
        return "Few between many that are not: trades of orders older than the rule, or of another market such as spot."
    if finer.at_once:
        return "They are from before a change of rules, or rows of another market such as spot."
    return "They begin after rows that keep to the rules: likely rows of another market such as spot."
