"""`nt-run`: backtests of Binance USDⓈ-M perpetual futures that can be trusted.

The notebook door:

    from nt_run import backtest, load_config, plot

    run = backtest(load_config(overrides={"symbol": "ETHUSDT", "days": 30}))
    run.summary["metrics"]["max_drawdown"]
    run.trades  # polars frames: fills, trades, funding, equity
    plot(run)

Everything is loaded when it is first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nt_run.config import load_config as load_config
    from nt_run.notebook import load_klines as load_klines
    from nt_run.notebook import load_run as load_run
    from nt_run.notebook import load_specs as load_specs
    from nt_run.notebook import plot as plot
    from nt_run.pipeline import backtest as backtest

__all__ = ["backtest", "load_config", "load_klines", "load_run", "load_specs", "plot"]

_HOMES = {"backtest": "pipeline", "load_config": "config"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(f"nt_run.{_HOMES.get(name, 'notebook')}"), name)


def __dir__() -> list[str]:
    return __all__
