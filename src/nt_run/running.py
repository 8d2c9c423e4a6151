"""From a configuration and its market to what the engine booked."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from decimal import Decimal

from nt_run.config import RunConfig
from nt_run.data.loader import MarketData
from nt_run.engine.job import EngineInput
from nt_run.errors import DataError, IncompleteDataError
from nt_run.execution import check_slippage
from nt_run.inputs import Inputs
from nt_run.klines import no_klines
from nt_run.liquidation import outgrown
from nt_run.model import Interval, TimeRange
from nt_run.progress import ProgressDisplay
from nt_run.refine import Finer, Refined, run_refined
from nt_run.strategies.resolver import StrategySpec

type Reopen = Callable[[], AbstractContextManager[MarketData]]


def run_market(
    config: RunConfig,
    inputs: Inputs,
    strategy: StrategySpec,
    params: dict[str, object],
    progress: ProgressDisplay,
    reopen: Reopen,
) -> tuple[Inputs, Refined]:
    """Run, and run again with liquidation where the account outgrew what put it out of reach.

    `reopen` opens the market again, for finer klines of single bars.

    Returns:
        The inputs, which then say that liquidation is in reach, and the run.
    """
    refined = _run_engine(config, inputs, strategy, params, progress, reopen)
    if inputs.margin.reachable or not outgrown(refined.output.fills, config.account.leverage, config.account.balance):
        return inputs, refined
    inputs = replace(inputs, margin=replace(inputs.margin, reachable=True))
    return inputs, _run_engine(config, inputs, strategy, params, progress, reopen)


def _run_engine(
    config: RunConfig,
    inputs: Inputs,
    strategy: StrategySpec,
    params: dict[str, object],
    progress: ProgressDisplay,
    reopen: Reopen,
) -> Refined:
    total = len(inputs.klines.klines)

    def show(bars: int, equity: float, orders: int) -> None:
        progress.run(bars, total, equity, orders)

    run = replace(engine_input(config, inputs, strategy, params), progress=show if progress.active else None)
    if config.execution.detail is None:
        return run_refined(run)
    detail = Interval(config.execution.detail)

    def load(spans: Sequence[TimeRange]) -> list[Finer]:
        progress.detail(f"{detail} klines of {len(spans)} ranges with ambiguous bars")
        with reopen() as market:
            return [_finer(market, config, detail, span, marked=inputs.margin.marks is not None) for span in spans]

    return run_refined(run, detail, load)


def _finer(market: MarketData, config: RunConfig, detail: Interval, span: TimeRange, *, marked: bool) -> Finer:
    """Load the finer klines of a range; where holes are allowed, what is not there is left out."""
    least = 1.0 if config.min_completeness == 1 else 0.0
    try:
        loaded = market.load_klines(config.symbol, detail, span, min_completeness=least)
    except IncompleteDataError:
        if least:
            raise
        return Finer(klines=no_klines(config.symbol, detail), sources={}, marks=None, warnings=())
    try:
        marks = market.load_mark_klines(config.symbol, detail, span, min_completeness=0.0).klines if marked else None
    except DataError:
        marks = None
    return Finer(klines=loaded.klines, sources=loaded.certificate.sources, marks=marks, warnings=loaded.warnings)


def engine_input(
    config: RunConfig, inputs: Inputs, strategy: StrategySpec, params: Mapping[str, object]
) -> EngineInput:
    """Return what the engine is to run: a configuration, its market and its strategy.

    Raises:
        UsageError: The slippage asked for is too large a part of this market's prices.
    """
    klines, margin, specs = inputs.klines.klines, inputs.margin, inputs.specs.specs
    lowest = Decimal(klines.frame["low"].to_numpy().min().item()).scaleb(-klines.exponents.price)
    check_slippage(config.execution_rules().slippage, tick=specs.tick_size, lowest=lowest)
    return EngineInput(
        specs=specs,
        klines=klines,
        funding=inputs.funding.rates,
        fees=config.trading_fees(),
        sizing=replace(config.sizing_rules(), max_notional=margin.max_notional(config)),
        margin=margin.plan(config),
        balance=config.account.balance,
        strategy=strategy,
        params=params,
        execution=config.execution_rules(),
        protection=config.protection,
    )
