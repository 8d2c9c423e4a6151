"""From a configuration and its market to what the engine booked."""

from collections.abc import Mapping
from dataclasses import replace

from nt_run.config import RunConfig
from nt_run.engine.bars import bar_type_name
from nt_run.engine.charges import bracket_gate
from nt_run.engine.refuse import Gate
from nt_run.engine.run import EngineInput
from nt_run.inputs import Inputs
from nt_run.liquidation import may_exceed, outgrown
from nt_run.progress import ProgressDisplay
from nt_run.refine import Refined, run_refined
from nt_run.strategies.resolver import StrategySpec


def run_market(
    config: RunConfig, inputs: Inputs, strategy: StrategySpec, params: dict[str, object], progress: ProgressDisplay
) -> tuple[Inputs, Refined]:
    """Run, and run again with liquidation where the account outgrew what put it out of reach.

    Returns:
        The inputs, which then say that liquidation is in reach, and the run.
    """
    refined = _run_engine(config, inputs, strategy, params, progress)
    if inputs.margin.reachable or not outgrown(refined.output.fills, config.account.leverage, config.account.balance):
        return inputs, refined
    inputs = replace(inputs, margin=replace(inputs.margin, reachable=True))
    return inputs, _run_engine(config, inputs, strategy, params, progress)


def _run_engine(
    config: RunConfig, inputs: Inputs, strategy: StrategySpec, params: dict[str, object], progress: ProgressDisplay
) -> Refined:
    total = len(inputs.klines.klines)

    def show(bars: int, equity: float, orders: int) -> None:
        progress.run(bars, total, equity, orders)

    return run_refined(
        replace(engine_input(config, inputs, strategy, params), progress=show if progress.active else None)
    )


def engine_input(
    config: RunConfig, inputs: Inputs, strategy: StrategySpec, params: Mapping[str, object]
) -> EngineInput:
    """Return what the engine is to run: a configuration, its market and its strategy."""
    klines, margin, specs = inputs.klines.klines, inputs.margin, inputs.specs.specs
    max_notional = margin.max_notional(config)
    gates: list[Gate] = []
    if margin.reachable or may_exceed(max_notional, config.account.leverage, config.account.balance):
        gates.append(bracket_gate(max_notional, bar_type_name(specs.instrument_id, klines.interval)))
    return EngineInput(
        specs=specs,
        klines=klines,
        funding=inputs.funding.rates if config.funding else (),
        fees=config.trading_fees(),
        sizing=replace(config.sizing_rules(), max_notional=max_notional),
        margin=margin.plan(config),
        gates=gates,
        balance=config.account.balance,
        strategy=strategy,
        params=params,
        execution=config.execution_rules(),
        protection=config.protection,
    )
