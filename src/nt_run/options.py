"""Options that several commands share, and what their flags set."""

from pathlib import Path
from typing import Annotated, Any

import typer

from nt_run.errors import UsageError

CacheDir = Annotated[
    Path, typer.Option("--cache-dir", envvar="NT_RUN_CACHE", help="Folder of market data and runs.", metavar="DIR")
]
KeptRun = Annotated[str | None, typer.Argument(help="Run id, its start, or folder; the latest if left out.")]
OneRun = Annotated[str, typer.Argument(help="Run id, its start, folder, or latest.", metavar="RUN")]
Plot = Annotated[
    bool | None, typer.Option("--plot/--no-plot", help="Draw equity and drawdown; left out: on a terminal.")
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more on stderr.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no remarks.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Demo = Annotated[bool | None, typer.Option("--demo", help="Use the embedded exchange and its synthetic market.")]
Offline = Annotated[bool, typer.Option("--offline", help="Use the cache alone; open no connection.")]
Symbol = Annotated[str | None, typer.Option("--symbol", help="BTCUSDT, BTC/USDT:USDT or BTCUSDT-PERP.", metavar="NAME")]
Interval = Annotated[str | None, typer.Option("--interval", help="1m, 5m, 1h, 1d, … 1M.", metavar="NAME")]
Symbols = Annotated[str | None, typer.Option("--symbol", help="One or several: BTCUSDT,ETHUSDT.", metavar="NAMES")]
Intervals = Annotated[str | None, typer.Option("--interval", help="One or several: 1m,1h.", metavar="NAMES")]
Start = Annotated[str | None, typer.Option("--start", help="First open time, ISO 8601, UTC.", metavar="TIME")]
End = Annotated[str | None, typer.Option("--end", help="End of the range, excluded.", metavar="TIME")]
Timerange = Annotated[
    str | None, typer.Option("--timerange", help="20250504-20250511, the end excluded.", metavar="RANGE")
]
Days = Annotated[str | None, typer.Option("--days", help="The last days of closed bars (7).", metavar="N")]
MinCompleteness = Annotated[
    str | None,
    typer.Option("--min-completeness", help="Share of the bars that must exist (1): 0.99 or 99%.", metavar="F"),
]
Params = Annotated[
    list[str] | None, typer.Option("--param", help="A strategy parameter (repeatable).", metavar="KEY=VALUE")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="Any key of the configuration (repeatable).", metavar="KEY=VALUE")
]
CACHE = Path("data_cache")


FLAGS = {
    "symbol": "symbol",
    "interval": "interval",
    "start": "start",
    "end": "end",
    "days": "days",
    "min_completeness": "min_completeness",
    "demo": "demo",
    "balance": "account.balance",
    "leverage": "account.leverage",
    "risk": "sizing.fraction",
    "sizing": "sizing.method",
    "margin": "margin.mode",
    "brackets": "margin.brackets",
    "strategy": "strategy.name",
    "maker": "fees.maker",
    "taker": "fees.taker",
    "vip": "fees.vip",
    "max_drawdown": "protection.max_drawdown",
    "max_daily_loss": "protection.max_daily_loss",
    "cooldown": "protection.cooldown",
    "bnb": "fees.bnb",
    "funding": "funding",
    "specs_at": "specs.at",
    "fill": "execution.fill",
    "detail": "execution.detail",
    "slippage_bps": "costs.slippage_bps",
    "slippage_ticks": "costs.slippage_ticks",
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


def option(*names: str, help: str, metavar: str | None = None) -> Any:  # noqa: A002, ANN401 - as typer calls it
    """Return an option of one command."""
    return typer.Option(*names, help=help, metavar=metavar)
