"""From a configuration to a finished run: specs → klines, funding → engine → books → run folder.

`backtest` reads as the story; each step lives in its own room.
"""

import datetime as dt
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from nt_run.accounting import Books, Trade, build_trades, close_books, last_close
from nt_run.asked import Backing
from nt_run.config import RunConfig, load_config
from nt_run.costs import CostLadder, costs_object, funding_object, funding_warnings
from nt_run.engine.instrument import SpecCheck
from nt_run.engine.job import EngineOutput
from nt_run.equity import equity_curve
from nt_run.filters import filter_ledger
from nt_run.frames import fills_frame, funding_frame, orders_frame, plots_frame, settlements_frame, trades_frame
from nt_run.holes import find_crossings
from nt_run.inputs import CACHE, Inputs, load_inputs, open_market
from nt_run.klines import Klines
from nt_run.left_resting import left_warnings
from nt_run.liquidation import margin_object
from nt_run.matching import mark_extremes
from nt_run.memory import collector_paused
from nt_run.metrics import Metrics, buy_and_hold, run_metrics, turnover
from nt_run.progress import ProgressDisplay
from nt_run.reconcile import reconcile_trades
from nt_run.refine import Refined
from nt_run.results import Run, run_name, save_run
from nt_run.risk import Planned, RiskAudit, audit_risk, stop_warnings
from nt_run.running import run_market
from nt_run.sizing import BY_STOP
from nt_run.steps import find_finer, in_words
from nt_run.strategies.resolver import StrategySpec, check_params, resolve_strategy
from nt_run.summary import Facts, exchange_warning, specs_object, summarize

_CENT = 0.01


def backtest(
    config: RunConfig | None = None,
    *,
    cache_dir: Path | str = CACHE,
    offline: bool = False,
    save: bool = True,
    progress: ProgressDisplay | None = None,
) -> Run:
    """Run one backtest and return it, kept under `<cache_dir>/runs` unless `save` is false.

    Args:
        config: What to run; `None` is the built-in default (BTCUSDT, 1m, the last 7 days, ema_cross).
        cache_dir: Folder of market data and runs.
        offline: Use the cache alone and open no connection.
        save: Keep the run folder.
        progress: Where progress is shown; `None` shows none.

    Raises:
        NtRunError: See `nt_run.errors`; no result is kept.
    """
    config = config or load_config()
    progress = progress or ProgressDisplay(quiet=True)
    watch = _Stopwatch()
    strategy = resolve_strategy(config.strategy.name)
    params = check_params(strategy, config.strategy.params)
    reopen = partial(open_market, config, cache_dir=Path(cache_dir), offline=offline, progress=progress)
    with reopen() as market:
        inputs = load_inputs(market, config, progress)
    watch.lap("data")
    progress.detail(f"strategy {strategy.name}, source {strategy.source_digest[:12]}")
    config = config.resolved(inputs.time_range, default_params(strategy) | params)
    with collector_paused():
        inputs, refined = run_market(config, inputs, strategy, params, progress, reopen)
        output = refined.output
        watch.lap("engine")
        progress.detail(
            f"engine: {output.bars_fed:,} bars, {len(output.fills):,} fills, {len(output.denials):,} denied"
        )
        run = _close(config, inputs, strategy, refined, watch)
    return save_run(run, Path(cache_dir) / "runs") if save else run


def _close(config: RunConfig, inputs: Inputs, strategy: StrategySpec, refined: Refined, watch: "_Stopwatch") -> Run:
    """Close the books and put everything together."""
    klines, output = inputs.klines.klines, refined.output
    trades = build_trades(output.fills, output.payments)
    reconcile_trades(trades, output.booked)
    books = close_books(
        trades,
        starting_balance=config.account.balance,
        last_close=last_close(klines),
        engine_balance=output.balance,
        engine_open_pnl=output.open_pnl,
    )
    frames = _frames(config, klines, output, trades)
    facts = _facts(config, inputs, strategy, output, trades, books, frames)
    facts = replace(
        facts,
        ambiguity=refined.as_object(books.net, config.account.balance),
        warnings=[
            *facts.warnings,
            *refined.warnings,
            *left_warnings(output.resting, output.fills, klines, refined.fine),
        ],
    )
    watch.lap("books")
    specs = specs_object(inputs.specs.specs, config.trading_fees()) | inputs.specs.origin()
    summary = summarize(facts) | {"timings": watch.rounded()}
    return Run(
        run_id=facts.run_id,
        path=None,
        config=config,
        specs=specs,
        summary=summary,
        klines=klines,
        detail=refined.fine,
        marks=mark_extremes(inputs.margin.marks, klines.open_times()),
        detail_marks=refined.fine_marks,
        plots=None if output.plots is None else plots_frame(output.plots, klines),
        **frames,
    )


def _frames(
    config: RunConfig, klines: Klines, output: EngineOutput, trades: Sequence[Trade]
) -> dict[str, pl.DataFrame]:
    return {
        "fills": fills_frame(output.fills),
        "trades": trades_frame(trades),
        "funding": funding_frame(output.payments),
        "settlements": settlements_frame(output.settlements),
        "orders": orders_frame(output.resting),
        "equity": equity_curve(klines, output.fills, output.payments, config.account.balance),
    }


def _facts(
    config: RunConfig,
    inputs: Inputs,
    strategy: StrategySpec,
    output: EngineOutput,
    trades: Sequence[Trade],
    books: Books,
    frames: Mapping[str, pl.DataFrame],
) -> Facts:
    metrics, benchmark = _statistics(inputs, frames, float(config.account.balance))
    funding = funding_object(output.settlements, output.payments, output.fills) if config.funding else None
    now, risk = dt.datetime.now(dt.UTC), _risk(config, inputs, output, trades)
    return Facts(
        run_id=run_name(config, config.digest(strategy.source_digest), now),
        config=config,
        specs=inputs.specs.specs,
        specs_origin=inputs.specs.origin(),
        spec_checks=[_check(check) for check in output.spec_checks],
        bars=_bars(inputs, output),
        first=output.sizing.first,
        entry=trades[0] if trades else None,
        capped=output.sizing.capped,
        protections=output.protections,
        books=books,
        trades=sum(trade.exit_time_ns is not None for trade in trades),
        fills=len(output.fills),
        settlements=len(output.payments),
        denied=Counter(denial.reason for denial in output.denials),
        filters=filter_ledger(output.sizing.rounded, output.sizing.capped, output.denials),
        margin=_margin(config, inputs, output),
        metrics=metrics,
        benchmark=benchmark,
        data=inputs.data(),
        crossings=find_crossings(inputs.klines.klines, inputs.time_range, trades, output.fills, output.payments),
        risk=risk,
        costs=_costs(config, output, books, frames["fills"]),
        funding=funding,
        warnings=[*_warnings(config, inputs, output, frames["equity"], funding), *stop_warnings(risk)],
        created_ms=round(now.timestamp() * 1000),
    )


def _margin(config: RunConfig, inputs: Inputs, output: EngineOutput) -> dict[str, Any]:
    klines, leverage = inputs.klines.klines, config.account.leverage
    return margin_object(inputs.margin.plan(config), klines, leverage, output.liquidations)


def _costs(config: RunConfig, output: EngineOutput, books: Books, fills: pl.DataFrame) -> dict[str, Any]:
    # What prices were multiples of is what the instrument was built with, which may be finer than the rule.
    (price_step,) = (check.built for check in output.spec_checks if check.name == "tick_size")
    net = books.net - books.rounding
    ladder = CostLadder(fills, net=net, price_step=price_step, balance=config.account.balance)
    return costs_object(ladder, config.execution_rules())


def _risk(config: RunConfig, inputs: Inputs, output: EngineOutput, trades: Sequence[Trade]) -> RiskAudit | None:
    if config.sizing.method not in BY_STOP:
        return None
    taker, slippage = config.trading_fees().taker, config.execution_rules().slippage
    planned = Planned(taker=taker, slippage=slippage, tick=inputs.specs.specs.tick_size)
    backing = Backing(
        rules=inputs.margin.rules,
        cross=config.margin.mode == "cross",
        leverage=config.account.leverage,
        fraction=config.sizing.fraction,
    )
    return audit_risk(trades, output.fills, output.sizing.asked, planned, backing if inputs.margin.reachable else None)


def _check(check: SpecCheck) -> dict[str, Any]:
    return {"name": check.name, "exchange": f"{check.exchange:f}", "built": f"{check.built:f}", "same": check.same}


def _bars(inputs: Inputs, output: EngineOutput) -> dict[str, int]:
    loaded, fed = len(inputs.klines.klines), output.bars_fed
    expected = inputs.klines.certificate.expected
    return {"expected": expected, "loaded": loaded, "fed": fed, "skipped": loaded - fed}


def default_params(strategy: StrategySpec) -> dict[str, Any]:
    """Return what a strategy's parameters are if nothing is said, those that can be written down."""
    plain = (str, int, float, Decimal)
    return {name: default for name, (_, default) in strategy.parameters.items() if isinstance(default, plain)}


def _warnings(
    config: RunConfig, inputs: Inputs, output: EngineOutput, equity: pl.DataFrame, funding: Mapping[str, Any] | None
) -> list[str]:
    remarks = [*exchange_warning(config), *inputs.warnings, *funding_warnings(funding)]
    ruined = equity.filter(pl.col("equity") < -_CENT)["time"]
    if len(ruined):
        when = f"{ruined[0]:%Y-%m-%d %H:%M} UTC on"
        why = "between two bars, by fees, or where mark prices spared what last prices did not"
        remarks.append(f"Equity was below zero from {when}: {why}.")
    if not output.fills:
        remarks.append("No order was filled. Do the strategy's indicators need more bars than the range has?")
    specs = inputs.specs.specs
    if finer := find_finer(inputs.klines.klines, specs.tick_size, specs.step_size):
        remarks.append(in_words(finer))
    if output.bars_seen != output.bars_fed:
        seen = f"{output.bars_seen:,} of {output.bars_fed:,}"
        remarks.append(f"The strategy's on_bar saw {seen} bars: does it subscribe to them?")
    return remarks


def _statistics(inputs: Inputs, frames: Mapping[str, pl.DataFrame], balance: float) -> tuple[Metrics, Metrics]:
    klines, equity = inputs.klines.klines, frames["equity"]
    closes = klines.column("close")
    start = klines.range.start_ms
    metrics = run_metrics(equity, frames["trades"], closes, balance, start_ms=start)
    metrics["turnover"] = turnover(frames["fills"], equity)
    times: np.ndarray = equity["time"].dt.epoch("ms").to_numpy()
    return metrics, buy_and_hold(times, closes, float(klines.column("open")[0]), start_ms=start)


class _Stopwatch:
    """Seconds of wall time by step."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = now - self._last
        self._last = now

    def rounded(self) -> dict[str, float]:
        """Return the laps to the millisecond."""
        return {name: round(seconds, 3) for name, seconds in self.laps.items()}
