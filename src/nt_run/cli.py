"""The command line: parse, call one function, show. Heavy modules are imported inside the commands."""

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from nt_run.errors import UsageError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
runs_app = typer.Typer(help="Runs kept in the cache.", no_args_is_help=True)
data_app = typer.Typer(help="Market data in the cache.", no_args_is_help=True)
app.add_typer(runs_app, name="runs")
app.add_typer(data_app, name="data")

CacheDir = Annotated[
    Path, typer.Option("--cache-dir", envvar="NT_RUN_CACHE", help="Folder of market data and runs.", metavar="DIR")
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more on stderr.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no remarks.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Demo = Annotated[bool | None, typer.Option("--demo", help="Use the embedded exchange and its synthetic market.")]
Offline = Annotated[bool, typer.Option("--offline", help="Use the cache alone; open no connection.")]
Symbol = Annotated[str | None, typer.Option("--symbol", help="BTCUSDT, BTC/USDT:USDT or BTCUSDT-PERP.", metavar="NAME")]
Interval = Annotated[str | None, typer.Option("--interval", help="1m, 5m, 1h, 1d, …", metavar="NAME")]
Start = Annotated[str | None, typer.Option("--start", help="First open time, ISO 8601, UTC.", metavar="TIME")]
End = Annotated[str | None, typer.Option("--end", help="End of the range, excluded.", metavar="TIME")]
Timerange = Annotated[
    str | None, typer.Option("--timerange", help="20250504-20250511, the end excluded.", metavar="RANGE")
]
Days = Annotated[str | None, typer.Option("--days", help="The last days of closed bars (7).", metavar="N")]
CACHE = Path("data_cache")


FLAGS = {
    "symbol": "symbol",
    "interval": "interval",
    "start": "start",
    "end": "end",
    "days": "days",
    "demo": "demo",
    "balance": "account.balance",
    "leverage": "account.leverage",
    "risk": "sizing.fraction",
    "sizing": "sizing.method",
    "strategy": "strategy.name",
    "maker": "fees.maker",
    "taker": "fees.taker",
    "vip": "fees.vip",
}
"""Flags that stand for a key of the configuration."""


def overrides(params: dict[str, Any]) -> dict[str, object]:
    """Return what the flags of a command set, by dotted key; `--set` wins over the flag of the same key.

    Raises:
        UsageError: Two ways to give a range were used at once, or a setting is not `key=value`.
    """
    from nt_run.settings import parse_setting, parse_timerange  # noqa: PLC0415

    given: dict[str, object] = {key: params[flag] for flag, key in FLAGS.items() if params.get(flag) is not None}
    if params.get("timerange"):
        if {"start", "end", "days"} & given.keys():
            raise UsageError("Give the range once: --timerange, or --start and --end, or --days.")
        given["start"], given["end"] = parse_timerange(params["timerange"])
    for text in params.get("param") or ():
        key, value = parse_setting(text)
        given[f"strategy.params.{key}"] = value
    return given | dict(parse_setting(text) for text in params.get("set_") or ())


def _option(*names: str, help: str, metavar: str | None = None) -> Any:  # noqa: A002, ANN401 - as typer calls it
    return typer.Option(*names, help=help, metavar=metavar)


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

    Exit codes: 0 ok, 2 usage, 3 data, 4 sizing, 5 run, 6 results, 7 chart, 8 an --assert failed, 70 a bug, 130 Ctrl-C.
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
    balance: Annotated[str | None, _option("--balance", help="Starting balance (10000).", metavar="USDT")] = None,
    risk: Annotated[str | None, _option("--risk", help="Fraction of equity per position (0.02).", metavar="F")] = None,
    sizing: Annotated[str | None, _option("--sizing", help="notional, stop or atr.", metavar="METHOD")] = None,
    leverage: Annotated[str | None, _option("--leverage", help="Leverage (1).", metavar="X")] = None,
    strategy: Annotated[
        str | None, _option("--strategy", help="ema_cross, package.module:Class or file.py:Class.", metavar="NAME")
    ] = None,
    param: Annotated[
        list[str] | None, _option("--param", help="A strategy parameter (repeatable).", metavar="KEY=VALUE")
    ] = None,
    maker: Annotated[str | None, _option("--maker", help="Maker fee, a fraction.", metavar="F")] = None,
    taker: Annotated[str | None, _option("--taker", help="Taker fee, a fraction.", metavar="F")] = None,
    vip: Annotated[str | None, _option("--vip", help="VIP level 0 to 9 of the fee schedule.", metavar="N")] = None,
    set_: Annotated[
        list[str] | None, _option("--set", help="Any key of the configuration (repeatable).", metavar="KEY=VALUE")
    ] = None,
    assert_: Annotated[
        list[str] | None,
        _option("--assert", help="Fail with 8 unless it holds: 'max_drawdown>-0.2' (repeatable).", metavar="COND"),
    ] = None,
    no_save: Annotated[bool, _option("--no-save", help="Keep no run folder.")] = False,
    offline: Offline = False,
    demo: Demo = None,
    json: Json = False,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Run one backtest and print its report."""
    from nt_run import pipeline, report, tables  # noqa: PLC0415
    from nt_run.config import load_config  # noqa: PLC0415
    from nt_run.metrics import check_conditions, check_names, parse_condition  # noqa: PLC0415
    from nt_run.progress import ProgressDisplay  # noqa: PLC0415
    from nt_run.summary import FIGURES, figures  # noqa: PLC0415

    conditions = [parse_condition(text) for text in assert_ or ()]
    check_names(conditions, FIGURES)
    settings = load_config(config, overrides(ctx.params))
    # What a strategy prints goes to stderr: stdout is for the result.
    with ProgressDisplay(quiet=quiet, verbose=verbose) as progress, redirect_stdout(sys.stderr):
        run = pipeline.backtest(settings, cache_dir=cache_dir, offline=offline, save=not no_save, progress=progress)
    (tables.print_json if json else report.print_run)(run.summary)
    check_conditions(conditions, figures(run.summary))


@app.command()
def specs(
    symbol: Symbol = None,
    *,
    json: Json = False,
    offline: Offline = False,
    demo: Demo = None,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Print the exchange's trading rules of one perpetual."""
    from nt_run import inputs, listing, tables  # noqa: PLC0415
    from nt_run.config import load_config  # noqa: PLC0415

    settings = load_config(None, {"symbol": symbol, "demo": demo})
    rules = inputs.specs_report(settings, cache_dir=cache_dir, offline=offline)
    if json:
        tables.print_json(rules)
    else:
        listing.print_specs(rules, demo=settings.demo, warnings=rules["warnings"])


@app.command()
def chart(
    run: Annotated[str | None, typer.Argument(help="Run id, its start, or folder; the latest if left out.")] = None,
    *,
    save: Annotated[
        Path | None, _option("--save", help="Write a picture, no screen needed.", metavar="FILE.png")
    ] = None,
    html: Annotated[
        Path | None, _option("--html", help="Write a page (not available yet).", metavar="FILE.html")
    ] = None,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Show the chart of a kept run, or save it as PNG."""
    from nt_run.chart.scene import save_png, show_window  # noqa: PLC0415
    from nt_run.chart.view import chart_data  # noqa: PLC0415
    from nt_run.results import load_run  # noqa: PLC0415

    if html is not None:
        raise UsageError("--html is not available yet. Use --save FILE.png for a picture that needs no screen.")
    data = chart_data(load_run(run, cache_dir / "runs"))
    if save is None:
        show_window(data)
        return
    save_png(data, save)
    if not quiet:
        typer.echo(f"Saved {save}", err=True)


@runs_app.command("list")
def runs_list(
    *, json: Json = False, cache_dir: CacheDir = CACHE, verbose: Verbose = False, quiet: Quiet = False
) -> None:
    """List kept runs, oldest first."""
    from nt_run import listing, tables  # noqa: PLC0415
    from nt_run.results import list_runs  # noqa: PLC0415

    runs, damaged = list_runs(cache_dir / "runs")
    if damaged:
        typer.echo(f"Passed over {len(damaged)} damaged: {', '.join(damaged)}", err=True)
    if json:
        tables.print_json({"runs": runs})
        return
    empty = f"There is no run in {cache_dir / 'runs'} yet. Start with: nt-run backtest --symbol BTCUSDT"
    listing.print_table(listing.RUN_HEADINGS, [listing.run_row(summary) for summary in runs], empty=empty)


@runs_app.command("show")
def runs_show(
    run: Annotated[str | None, typer.Argument(help="Run id, its start, or folder; the latest if left out.")] = None,
    *,
    json: Json = False,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Print the report of a kept run again."""
    from nt_run import report, tables  # noqa: PLC0415
    from nt_run.results import load_run  # noqa: PLC0415

    (tables.print_json if json else report.print_run)(load_run(run, cache_dir / "runs").summary)


@data_app.command("get")
def data_get(
    ctx: typer.Context,
    *,
    symbol: Symbol = None,
    interval: Interval = None,
    start: Start = None,
    end: End = None,
    timerange: Timerange = None,
    days: Days = None,
    demo: Demo = None,
    json: Json = False,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Fetch rules, klines and funding rates of a range into the cache."""
    from nt_run import inputs, listing, tables  # noqa: PLC0415
    from nt_run.config import load_config  # noqa: PLC0415
    from nt_run.progress import ProgressDisplay  # noqa: PLC0415

    settings = load_config(None, overrides(ctx.params))
    with ProgressDisplay(quiet=quiet, verbose=verbose) as progress:
        fetched = inputs.fetch(settings, cache_dir=cache_dir, progress=progress)
    (tables.print_json if json else listing.print_data)(fetched)


@data_app.command("list")
def data_list(
    *,
    json: Json = False,
    demo: Demo = None,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """List the market data in the cache."""
    from nt_run import inputs, listing, tables  # noqa: PLC0415
    from nt_run.config import load_config  # noqa: PLC0415

    series = inputs.cached_series(load_config(None, {"demo": demo}), cache_dir=cache_dir)
    if json:
        tables.print_json({"demo": bool(demo), "series": series})
        return
    listing.print_series(series, cache_dir, demo=bool(demo))
