"""The smallest balance at which a strategy loses no signal to size or margin, found by running it again and again."""

import math
import time
from collections import Counter
from decimal import ROUND_CEILING, Decimal
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from nt_run.balances import Position, Trial, Trials, search
from nt_run.config import RunConfig
from nt_run.engine.job import EngineOutput
from nt_run.filters import capped_by, is_too_large, needs_capital, refused_by
from nt_run.inputs import CACHE, Inputs, load_inputs, open_market
from nt_run.model import MS, Denial, format_iso
from nt_run.pipeline import default_params
from nt_run.progress import ProgressDisplay
from nt_run.running import run_market
from nt_run.sizing import BelowMinimumError, near_asked
from nt_run.specs import InstrumentSpecs
from nt_run.strategies.resolver import check_params, resolve_strategy
from nt_run.summary import exchange_warning


def find_capital(
    config: RunConfig,
    *,
    cache_dir: Path | str = CACHE,
    offline: bool = False,
    progress: ProgressDisplay | None = None,
) -> dict[str, Any]:
    """Return the smallest balance at which no signal is refused or cut for its size or for want of margin.

    The balance is a whole number of the quote asset. The run at that balance loses nothing, the run at `below` loses a
    signal, and the two are one unit or a thousandth apart. No run is kept.

    Args:
        config: What to run, as for a backtest; its balance is where the search starts.
        cache_dir: Folder of market data.
        offline: Use the cache alone and open no connection.
        progress: Where progress is shown; `None` shows none.

    Raises:
        CapitalError: No balance helps.
        NoBalanceError: A balance that helps is too large for what the exchange takes.
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
        return _trial(balance, done.output, inputs.specs.specs)

    trials = Trials(run, partial(progress.step, "runs"))
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


def _refused_at_once(balance: int, inputs: Inputs, error: BelowMinimumError) -> Trial:
    """The sizer ends a run whose very first entry is too small, wherever in the range that is."""
    at_least = int(error.smallest_balance.to_integral_value(ROUND_CEILING))
    first = Denial(time_ns=inputs.time_range.start_ms * MS, reason=f"sizing: below {error.limit}")
    return Trial(balance=balance, sent=1, lost=(first,), at_least=at_least)


def _trial(balance: int, output: EngineOutput, specs: InstrumentSpecs) -> Trial:
    lost = tuple(filter(_is_lost, output.denials))
    left = Counter(denial.reason for denial in output.denials if not _is_lost(denial))
    capped = {capped_by(limit): count for limit, count in sorted(output.sizing.capped.items())}
    largest = output.sizing.largest
    return Trial(
        balance=balance,
        sent=len(output.fills) + len(output.denials),
        lost=lost,
        too_large={reason: count for reason, count in sorted(left.items()) if is_too_large(reason)},
        cut={name: count for name, count in capped.items() if name != "margin"},
        by_margin=capped.get("margin", 0),
        others={reason: count for reason, count in sorted(left.items()) if not is_too_large(reason)},
        position=largest
        and Position(asked=largest.asked_share, taken=largest.actual_share, near_from=near_asked(largest, specs)),
    )


def _is_lost(denial: Denial) -> bool:
    return denial.entry and needs_capital(denial.reason)


def _found(trials: Trials, below: int | None, enough: int) -> dict[str, Any]:
    found, position = trials(enough), trials(enough).position
    too_large = min(
        (trial for trial in trials.done.copy().values() if trials.outgrown(trial)), key=_balance, default=None
    )
    return {
        "balance": str(enough),
        "below": None if below is None else str(below),
        **_limit(trials, below),
        "position": None
        if position is None
        else {
            "asked_share": float(position.asked),
            "actual_share": float(position.taken),
            "near_from": str(math.ceil(position.near_from)),
        },
        "refused_anyway": dict(sorted({**found.others, **found.too_large}.items())),
        "capped": {"margin": found.by_margin} if found.by_margin else {},
        "too_large": None
        if too_large is None
        else {"balance": str(too_large.balance), "orders": trials.outgrown(too_large)},
        "tried": [{"balance": str(trial.balance), "lost": len(trial.lost)} for trial in trials.done.values()],
    }


def _balance(trial: Trial) -> int:
    return trial.balance


def _limit(trials: Trials, below: int | None) -> dict[str, Any]:
    """What keeps the balance next below from being enough."""
    if below is None:
        return {"limited_by": None, "lost_below": None}
    lost = trials(below).lost
    reason = lost[0].reason if lost else next(iter(trials.outgrown(trials(below))))
    first = format_iso(lost[0].time_ns // MS) if lost else None
    return {
        "limited_by": refused_by(reason) or reason,
        "lost_below": {"count": len(lost), "first": first, "reason": reason},
    }
