"""The command line: parse, call one function, show. Heavy modules are imported inside the commands."""

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from nt_run.audit_cli import audit_app
from nt_run.capital_cli import print_capital_and_exit
from nt_run.chart_cli import chart_app
from nt_run.check_cli import check
from nt_run.config_cli import config_app
from nt_run.data_cli import data_app
from nt_run.options import (
    CACHE,
    CacheDir,
    Days,
    Demo,
    End,
    Interval,
    Json,
    MinCompleteness,
    Offline,
    Params,
    Plot,
    Quiet,
    Settings,
    Start,
    Symbol,
    Timerange,
    Verbose,
    option,
    overrides,
)
from nt_run.runs_cli import runs_app
from nt_run.specs_cli import specs_app
from nt_run.start_cli import start_app

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(runs_app, name="runs")
app.add_typer(specs_app, name="specs")
app.add_typer(data_app, name="data")
app.add_typer(config_app, name="config")
app.add_typer(audit_app)
app.add_typer(chart_app)
app.add_typer(start_app)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415

        typer.echo(f"nt-run {version('nt-run')}")
        raise typer.Exit


@app.callback()
def _root(
    *, version: Annotated[bool, typer.Option("--version", callback=_show_version, help="Print the version.")] = False
) -> None:
    """Backtests of Binance USDⓈ-M perpetual futures that can be trusted.

    Exit codes: 0 ok, 2 usage, 3 data, 4 sizing, 5 run, 6 results, 7 chart, 8 a check failed, 70 a bug, 130 Ctrl-C.
    """


@app.command()
def backtest(
    ctx: typer.Context,
    config: Annotated[
        Path | None, typer.Argument(help="A TOML file; flags override it.", metavar="CONFIG.toml")
    ] = None,
    *,
    symbol: Symbol = None,
    interval: Interval = None,
    start: Start = None,
    end: End = None,
    timerange: Timerange = None,
    days: Days = None,
    min_completeness: MinCompleteness = None,
    balance: Annotated[str | None, option("--balance", help="Starting balance (10000).", metavar="USDT")] = None,
    risk: Annotated[
        str | None, option("--risk", help="Share of equity per position (0.02): 0.02 or 2%.", metavar="F")
    ] = None,
    sizing: Annotated[
        str | None, option("--sizing", help="notional, stop, atr, volatility or kelly.", metavar="METHOD")
    ] = None,
    leverage: Annotated[str | None, option("--leverage", help="Leverage (1).", metavar="X")] = None,
    margin: Annotated[str | None, option("--margin", help="isolated or cross (isolated).", metavar="MODE")] = None,
    brackets: Annotated[
        str | None, option("--brackets", help="Leverage brackets, the exchange's JSON or ccxt's.", metavar="FILE")
    ] = None,
    strategy: Annotated[
        str | None, option("--strategy", help="ema_cross, package.module:Class or file.py:Class.", metavar="NAME")
    ] = None,
    param: Params = None,
    maker: Annotated[str | None, option("--maker", help="Maker fee: 0.0002 or 0.02%.", metavar="F")] = None,
    taker: Annotated[str | None, option("--taker", help="Taker fee: 0.0005 or 0.05%.", metavar="F")] = None,
    vip: Annotated[str | None, option("--vip", help="VIP level 0 to 9 of the fee schedule.", metavar="N")] = None,
    bnb: Annotated[bool | None, typer.Option("--bnb", help="Fees paid in BNB: 10 % off the schedule.")] = None,
    funding: Annotated[
        bool | None, typer.Option("--funding/--no-funding", help="Charge funding, or leave it out.")
    ] = None,
    fill: Annotated[
        str | None, option("--fill", help="When market orders fill: close or next-open.", metavar="TIME")
    ] = None,
    detail: Annotated[
        str | None, option("--detail", help="Finer klines for bars that reach stop and target: 1m.", metavar="NAME")
    ] = None,
    slippage_bps: Annotated[
        str | None, option("--slippage-bps", help="Slippage of taker fills, basis points (100 are 1 %).", metavar="BP")
    ] = None,
    slippage_ticks: Annotated[
        str | None, option("--slippage-ticks", help="Slippage of taker fills, ticks; adds up.", metavar="N")
    ] = None,
    max_drawdown: Annotated[
        str | None, option("--max-drawdown", help="End trading at this loss from the top: 20% or 0.2.", metavar="F")
    ] = None,
    max_daily_loss: Annotated[
        str | None, option("--max-daily-loss", help="End it for the UTC day: 3% or 0.03.", metavar="F")
    ] = None,
    cooldown: Annotated[
        str | None, option("--cooldown", help="Bars without entry after a trade that lost.", metavar="N")
    ] = None,
    specs_at: Annotated[
        str | None, option("--specs-at", help="Trading rules of today, range (its start) or a date.", metavar="WHEN")
    ] = None,
    set_: Settings = None,
    assert_: Annotated[
        list[str] | None,
        option("--assert", help="Fail with 8 unless it holds: 'max_drawdown>-0.2' (repeatable).", metavar="COND"),
    ] = None,
    find_capital: Annotated[
        bool, option("--find-capital", help="Find the smallest balance that loses no signal; keeps no run.")
    ] = False,
    no_save: Annotated[bool, option("--no-save", help="Keep no run folder.")] = False,
    offline: Offline = False,
    demo: Demo = None,
    plot: Plot = None,
    json: Json = False,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Run one backtest and print its report."""
    if find_capital:
        print_capital_and_exit(config, ctx.params)
    from nt_run import pipeline, report  # noqa: PLC0415
    from nt_run.config import load_config  # noqa: PLC0415
    from nt_run.metrics import check_conditions, parse_conditions  # noqa: PLC0415
    from nt_run.progress import ProgressDisplay  # noqa: PLC0415
    from nt_run.summary import FIGURES, figures  # noqa: PLC0415

    conditions = parse_conditions(assert_, FIGURES)
    settings = load_config(config, overrides(ctx.params))
    # What a strategy prints goes to stderr: stdout is for the result.
    with ProgressDisplay(quiet=quiet, verbose=verbose) as progress, redirect_stdout(sys.stderr):
        run = pipeline.backtest(settings, cache_dir=cache_dir, offline=offline, save=not no_save, progress=progress)
    report.show_run(run.summary, run.equity, plot=plot, json=json)
    check_conditions(conditions, figures(run.summary))


app.command()(check)
