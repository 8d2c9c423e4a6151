"""The smallest balance at which a strategy loses no signal to size or margin, found by running it again and again."""

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from nt_run.config import RunConfig
from nt_run.engine.job import EngineOutput
from nt_run.errors import CapitalError, UsageError
from nt_run.filters import filter_ledger, needs_capital, refused_by
from nt_run.inputs import CACHE, Inputs, load_inputs, open_market
from nt_run.model import MS, Denial, format_iso
from nt_run.pipeline import default_params
from nt_run.progress import ProgressDisplay
from nt_run.running import run_market
from nt_run.sizing import BelowMinimumError
from nt_run.strategies.resolver import check_params, resolve_strategy
from nt_run.summary import exchange_warning

MOST = 10**12
"""The largest balance that is tried, in the quote asset."""
_PARTS = 1000
"""The answer is exact to one part in so many, or to one unit of the quote asset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One run: what it lost that a larger balance might have kept (`lost`), and what no balance mends (`others`)."""

    balance: int
    sent: int
    """Orders that were filled or refused."""
    lost: tuple[Denial, ...]
    others: Mapping[str, int]
    capped: Mapping[str, int]
    at_least: int = 0
    """The least that the sizer said would do for the first entry, if that was refused."""


def find_capital(
    config: RunConfig,
    *,
    cache_dir: Path | str = CACHE,
    offline: bool = False,
    progress: ProgressDisplay | None = None,
) -> dict[str, Any]:
    """Return the smallest balance at which no signal is refused for its size or for want of margin, and what limits it.

    The balance is a whole number of the quote asset. The run at that balance loses nothing, the run at `below` loses a
    signal, and the two are one unit or a thousandth apart. No run is kept.

    Args:
        config: What to run, as for a backtest; its balance is where the search starts.
        cache_dir: Folder of market data.
        offline: Use the cache alone and open no connection.
        progress: Where progress is shown; `None` shows none.

    Raises:
        CapitalError: No balance helps.
        UsageError: The strategy sent no order that could have been lost.
        NtRunError: As for a backtest.
    """
    started = time.perf_counter()
    progress = progress or ProgressDisplay(quiet=True)
    strategy = resolve_strategy(config.strategy.name)
    params = check_params(strategy, config.strategy.params)
    reopen = partial(open_market, config, cache_dir=Path(cache_dir), offline=offline, progress=progress)
    with reopen() as market:
        inputs = load_inputs(market, config, progress)
    config = config.resolved(inputs.time_range, default_params(strategy) | params)

    def run(balance: int) -> Trial:
        try:
            _, done = run_market(_with_balance(config, balance), inputs, strategy, params, progress, reopen)
        except BelowMinimumError as exc:
            return _refused_at_once(balance, inputs, exc)
        return _trial(balance, done.output)

    trials = Trials(run, progress)
    below, enough = search(trials, math.ceil(config.account.balance))
    return {
        "symbol": config.symbol,
        "instrument_id": inputs.specs.specs.instrument_id,
        "interval": config.interval,
        "start": config.start,
        "end": config.end,
        "demo": config.demo,
        "strategy": {"name": strategy.name, "params": dict(config.strategy.params)},
        "asset": inputs.specs.specs.quote_asset,
        **_found(trials, below, enough),
        "runs": len(trials.done),
        "seconds": round(time.perf_counter() - started, 3),
        "warnings": [*exchange_warning(config), *inputs.warnings],
    }


def _with_balance(config: RunConfig, balance: int) -> RunConfig:
    return msgspec.structs.replace(config, account=msgspec.structs.replace(config.account, balance=Decimal(balance)))


class Trials:
    """Runs at balances, each one once. `done` holds them in the order in which they were made."""

    def __init__(self, run: Callable[[int], Trial], progress: ProgressDisplay | None = None) -> None:
        self.done: dict[int, Trial] = {}
        self._run = run
        self._progress = progress

    def __call__(self, balance: int, left: int = 0) -> Trial:
        """Return the run at `balance`; `left` is about how many more will be asked for."""
        if balance not in self.done:
            if self._progress is not None:
                self._progress.step("runs", len(self.done), len(self.done) + 1 + left)
            self.done[balance] = self._run(balance)
        return self.done[balance]


def search(trials: Trials, start: int) -> tuple[int | None, int]:
    """Return the largest balance found to lose a signal and the smallest found to lose none, next to each other.

    The first is `None` where one unit of the quote asset is enough. Steps away from `start` grow as their own squares,
    so that a balance out of all proportion, or none, is known after a few runs.

    Raises:
        CapitalError: Signals are lost whatever the balance.
        UsageError: There are none.
    """
    enough = _enough_from(trials, start)
    below, factor = max((balance for balance in trials.done if balance < enough), default=0), 2
    while not below and enough > 1:
        balance = max(enough // factor, 1)
        if trials(balance, left=_halvings(balance, enough)).lost:
            below = balance
        else:
            enough, factor = balance, factor * factor
    while below and enough - below > max(1, enough // _PARTS):
        balance = math.isqrt(below * enough) if enough > 4 * below else (below + enough) // 2
        if trials(balance, left=_halvings(below, enough)).lost:
            below = balance
        else:
            enough = balance
    return below or None, enough


def _enough_from(trials: Trials, start: int) -> int:
    balance, factor = max(start, 1), 2
    while (trial := trials(balance, left=10)).lost:
        if balance >= MOST:
            raise CapitalError(MOST, trial.lost[0].reason, len(trial.lost))
        if trial.at_least > balance:
            balance = trial.at_least
        else:
            balance, factor = min(balance * factor, MOST), factor * factor
    if not trial.sent:
        raise UsageError("The strategy sent no order in this range, so any balance is enough. Choose a longer range.")
    return balance


def _halvings(below: int, enough: int) -> int:
    return max(enough - below, 1).bit_length() - max(enough // _PARTS, 1).bit_length() + 1


def _refused_at_once(balance: int, inputs: Inputs, error: BelowMinimumError) -> Trial:
    """The sizer ends a run whose very first entry is too small, wherever in the range that is."""
    at_least = int(error.smallest_balance.to_integral_value(ROUND_CEILING))
    first = Denial(time_ns=inputs.time_range.start_ms * MS, reason=f"sizing: below {error.limit}")
    return Trial(balance=balance, sent=1, lost=(first,), others={}, capped={}, at_least=at_least)


def _trial(balance: int, output: EngineOutput) -> Trial:
    lost = tuple(filter(_is_lost, output.denials))
    others = Counter(denial.reason for denial in output.denials if not _is_lost(denial))
    ledger = filter_ledger(output.sizing.rounded, output.sizing.capped, output.denials)["by_filter"]
    return Trial(
        balance=balance,
        sent=len(output.fills) + len(output.denials),
        lost=lost,
        others=dict(sorted(others.items())),
        capped={name: counts["capped"] for name, counts in ledger.items() if counts["capped"]},
    )


def _is_lost(denial: Denial) -> bool:
    return denial.entry and needs_capital(denial.reason)


def _found(trials: Trials, below: int | None, enough: int) -> dict[str, Any]:
    limit = None if below is None else trials(below)
    first = None if limit is None else limit.lost[0]
    return {
        "balance": str(enough),
        "below": None if below is None else str(below),
        "limited_by": None if first is None else refused_by(first.reason),
        "lost_below": None
        if limit is None or first is None
        else {"count": len(limit.lost), "first": format_iso(first.time_ns // MS), "reason": first.reason},
        "refused_anyway": dict(trials(enough).others),
        "capped": dict(trials(enough).capped),
        "tried": [{"balance": str(trial.balance), "lost": len(trial.lost)} for trial in trials.done.values()],
    }
