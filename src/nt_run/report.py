"""A run, a contract's rules or a listing, as tables for people and as one JSON object for machines."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

WIDTH = 99
SYNTHETIC = "SYNTHETIC MARKET (demo): prices, volumes and funding are invented"
_UP, _DOWN, _DIM, _WARN = "green", "red", "bright_black", "yellow"


def print_json(value: object) -> None:
    """Print exactly one JSON object to stdout."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())  # noqa: T201 - this is the output


def print_run(summary: Mapping[str, Any]) -> None:
    """Print the report of a run: one screen, under 100 columns."""
    parts: list[RenderableType] = [_title(summary), _checks(summary), _columns(_money(summary), _statistics(summary))]
    if summary["denied"]:
        parts.append(_listing("Orders that never reached the market", summary["denied"].items()))
    if summary["warnings"]:
        parts.append(_warnings(summary["warnings"]))
    parts.append(_foot(summary))
    _print(*parts)


def print_specs(rules: Mapping[str, Any], *, demo: bool, warnings: Sequence[str]) -> None:
    """Print the trading rules of one contract."""
    base, quote = rules["base_asset"], rules["quote_asset"]
    tick, step = f"{rules['price_precision']} decimals", f"{rules['size_precision']} decimals"
    rows = (
        ("contract", f"{rules['contract_type']} of {base}/{quote}, margin in {rules['margin_asset']}", ""),
        ("status", rules["status"], ""),
        ("tick size", f"{rules['tick_size']} {quote}", tick),
        ("step size", f"{rules['step_size']} {base}", step),
        ("quantity", f"{rules['min_quantity']} … {rules['max_quantity']} {base}", ""),
        ("market order", f"at most {rules['market_max_quantity']} {base}", ""),
        ("min notional", f"{rules['min_notional']} {quote}", ""),
        ("price band", _band(rules), "of the mark price"),
        ("liquidation fee", _percent(_float(rules["liquidation_fee"]), 3), "of notional"),
        ("maker / taker fee", f"{_percent(_float(rules['maker_fee']), 4)} / {_percent(_float(rules['taker_fee']), 4)}",
         rules["fee_source"]),
        ("mark price", _or_unknown(rules.get("mark_price")), quote),
        ("funding", _percent(_float(rules.get("last_funding_rate")), 4), _funding(rules)),
    )  # fmt: skip
    table = _grid(("bold",), (None,), (_DIM,))
    for name, value, note in rows:
        table.add_row(name, value, note)
    head = Text(rules["instrument_id"], style="bold")
    source = Text(f"as of {_time(rules['as_of'])} UTC, from {rules['source']}", style=_DIM)
    parts: list[RenderableType] = [*_synthetic(demo=demo), head, table, source]
    _print(*parts, *([_warnings(warnings)] if warnings else []))


def print_data(fetched: Mapping[str, Any]) -> None:
    """Print what a fetch brought into the cache."""
    data = fetched["data"]
    head = Text(f"{fetched['symbol']} {fetched['interval']}", style="bold")
    head.append(f"  {_time(fetched['start'])} → {_time(fetched['end'])} UTC", style="default")
    sources = ", ".join(f"{name} {_percent(share, 0)}" for name, share in data["sources"].items())
    table = _grid(("bold",), (None,))
    table.add_row("klines", f"{fetched['rows']:,}, {_percent(data['completeness'])} complete, from {sources}")
    table.add_row("funding rates", f"{fetched['funding_rates']:,}")
    table.add_row("fingerprint", data["fingerprint"])
    _print(*_synthetic(demo=fetched["demo"]), head, table, *([_warnings(w)] if (w := fetched["warnings"]) else []))


def print_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
    """Print a plain listing, or what to do when there is nothing to list."""
    if not rows:
        _print(Text(empty))
        return
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style=_DIM)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index and _numeric(rows[0][index]) else "left", no_wrap=index == 0)
    for row in rows:
        table.add_row(*row)
    _print(table)


def run_row(summary: Mapping[str, Any]) -> tuple[str, ...]:
    """Return one line of `nt-run runs list`."""
    metrics = summary["metrics"]
    return (
        summary["run_id"],
        f"{_time(summary['start'])[:10]} → {_time(summary['end'])[:10]}",
        _signed(summary["pnl"]["net"]),
        _percent(metrics["total_return"], signed=True),
        _percent(metrics["max_drawdown"]),
        f"{summary['trades']:,}",
    )


RUN_HEADINGS = ("run", "range", "net", "return", "max drawdown", "trades")


def _title(summary: Mapping[str, Any]) -> RenderableType:
    head = Text()
    head.append(summary["instrument_id"], style="bold")
    head.append(f"  {summary['interval']}  {_time(summary['start'])} → {_time(summary['end'])} UTC", style="default")
    params = " ".join(f"{name}={value}" for name, value in summary["strategy"]["params"].items())
    strategy = Text(f"{summary['strategy']['name']} {params}".rstrip(), style=_DIM)
    return Group(*_synthetic(demo=summary["demo"]), head, strategy)


def _synthetic(*, demo: bool) -> list[RenderableType]:
    return [Text(f" {SYNTHETIC} ", style="bold black on yellow")] if demo else []


def _checks(summary: Mapping[str, Any]) -> RenderableType:
    specs, bars, data = summary["specs"], summary["bars"], summary["data"]
    total = len(specs["checks"])
    wrong = [check["name"] for check in specs["checks"] if not check["same"]]
    rows = [
        (
            specs["accurate"] == total,
            "specification accuracy",
            f"{specs['accurate']} of {total}",
            f"differs: {', '.join(wrong)}" if wrong else f"exchangeInfo of {_time(specs['as_of'])} UTC",
        ),
        (
            data["completeness"] == 1,
            "data completeness",
            _percent(data["completeness"]),
            f"{bars['loaded']:,} of {bars['expected']:,} klines, {len(data['gaps'])} gaps",
        ),
        (
            bars["skipped"] == 0,
            "bars fed",
            f"{bars['fed']:,} of {bars['loaded']:,}",
            f"{bars['skipped']:,} skipped",
        ),
        _position_check(summary),
    ]
    table = _grid((None,), ("bold",), (None, "right"), (_DIM,))
    for good, name, value, note in rows:
        table.add_row(Text("✓", style=_UP) if good else Text("!", style=f"bold {_WARN}"), name, value, note)
    return table


def _position_check(summary: Mapping[str, Any]) -> tuple[bool, str, str, str]:
    sizing, asset = summary["sizing"], summary["account"]["asset"]
    first = sizing["first"]
    if first is None:
        return True, "account in one position", "none", "no entry was sized"
    base = summary["specs"]["base_asset"]
    note = (
        f"{first['quantity']} {base} = {float(first['notional']):,.2f} {asset}, asked {_percent(first['asked_share'])}"
    )
    if sizing["method"] != "notional":
        note += f" at risk, {_percent(first['actual_share'])} risked"
    note += f"; 1 {base} would be {_percent(first['one_unit_share'], 0)}"
    return True, "account in one position", _percent(first["notional_share"]), note


def _money(summary: Mapping[str, Any]) -> RenderableType:
    account, pnl = summary["account"], summary["pnl"]
    table = _grid(("bold",), (None, "right"), (_DIM,))
    asset = account["asset"]
    table.add_row("Account", "", "")
    table.add_row("  starting balance", _amount(account["starting_balance"]), asset)
    table.add_row("  final equity", _amount(account["final_equity"]), asset)
    if float(account["open_position"]):
        base = summary["specs"]["base_asset"]
        table.add_row("  open position", account["open_position"], f"{base}, {_signed(account['open_pnl'])} {asset}")
    table.add_row("Net PnL", _colour(_signed(pnl["net"]), float(pnl["net"])), asset)
    table.add_row("  price", _signed(pnl["price"]), "")
    table.add_row("  fees", _signed(pnl["fees"]), _fees(summary["fees"]))
    table.add_row("  funding", _signed(pnl["funding"]), f"{summary['funding_settlements']} settlements")
    for name in ("slippage", "liquidation", "rounding"):
        if float(pnl[name]):
            table.add_row(f"  {name}", _signed(pnl[name], 8 if name == "rounding" else 2), "")
    benchmark = summary["benchmark"]
    table.add_row("Buy & hold", _percent(benchmark["total_return"], signed=True), _drop(benchmark["max_drawdown"]))
    return table


def _statistics(summary: Mapping[str, Any]) -> RenderableType:
    m = summary["metrics"]
    table = _grid(("bold",), (None, "right"), (_DIM,))
    table.add_row("Return", _colour(_percent(m["total_return"], signed=True), m["total_return"]),
                  f"CAGR {_percent(m['cagr'], signed=True)}")  # fmt: skip
    table.add_row("Max drawdown", _percent(m["max_drawdown"]), _drawdown_when(m))
    table.add_row("Volatility", _percent(m["volatility"]), "a year")
    table.add_row(
        "Sharpe · Sortino", f"{_ratio(m['sharpe'])} · {_ratio(m['sortino'])}", f"Calmar {_ratio(m['calmar'])}"
    )
    table.add_row("Exposure", _percent(m["exposure"]), f"in the market {_percent(m['time_in_market'], 0)} of the time")
    table.add_row("Turnover", f"{m['turnover']:,.1f}", "× mean equity")
    table.add_row("Trades", f"{m['trades']:,}", f"{summary['fills']:,} fills, {m['open_trades']} open")
    table.add_row("Win rate", _percent(m["win_rate"], 1), f"profit factor {_ratio(m['profit_factor'])}")
    table.add_row("Expectancy", _signed(m["expectancy"]), "a trade")
    table.add_row("Average win · loss", f"{_signed(m['average_win'])} · {_signed(m['average_loss'])}", "")
    table.add_row("Largest win · loss", f"{_signed(m['largest_win'])} · {_signed(m['largest_loss'])}", "")
    return table


def _foot(summary: Mapping[str, Any]) -> RenderableType:
    data, timings = summary["data"], summary["timings"]
    sources = ", ".join(f"{name} {_percent(share, 0)}" for name, share in data["sources"].items())
    lines = [f"data {data['fingerprint'][:16]} from {sources}", f"run  {summary['run_id']}"]
    if timings:
        lines.append("time " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in timings.items()))
    return Text("\n".join(lines), style=_DIM, overflow="fold")


def _warnings(warnings: Sequence[str]) -> RenderableType:
    return Group(*(Text(f"! {warning}", style=_WARN) for warning in warnings))


def _listing(title: str, rows: Any) -> RenderableType:  # noqa: ANN401 - items of any mapping of counts
    table = _grid((None, "right"), (None,))
    for name, count in rows:
        table.add_row(f"{count:,} x", name)
    return Group(Text(title, style="bold"), Padding(table, (0, 0, 0, 2)))


def _columns(left: RenderableType, right: RenderableType) -> RenderableType:
    table = Table.grid(padding=(0, 4))
    table.add_row(left, right)
    return table


def _grid(*columns: tuple[Any, ...]) -> Table:
    """A borderless table; each column is (style, justify)."""
    table = Table.grid(padding=(0, 1))
    for style, *justify in columns:
        table.add_column(style=style, justify=justify[0] if justify else "left")
    return table


def _print(*parts: RenderableType) -> None:
    console = Console(highlight=False)
    console.width = min(WIDTH, console.width) if console.is_terminal else WIDTH
    for index, part in enumerate(parts):
        if index and not isinstance(part, Text):
            console.print()
        console.print(part)


def _fees(fees: Mapping[str, str]) -> str:
    return f"maker {_percent(float(fees['maker']), 3)}, taker {_percent(float(fees['taker']), 3)}"


def _band(rules: Mapping[str, Any]) -> str:
    if rules["percent_price_up"] is None or rules["percent_price_down"] is None:
        return _or_unknown(None)
    return f"× {rules['percent_price_down']} … × {rules['percent_price_up']}"


def _funding(rules: Mapping[str, Any]) -> str:
    if rules.get("next_funding") is None:
        return ""
    every = rules.get("funding_interval_hours")
    return (f"every {every} h, " if every else "") + f"next {_time(rules['next_funding'])} UTC"


def _drawdown_when(metrics: Mapping[str, Any]) -> str:
    start, end = metrics["max_drawdown_start"], metrics["max_drawdown_end"]
    return f"{_time(start)[:10]} → {_time(end)[:10]}" if start else ""


def _drop(fraction: float | None) -> str:
    return f"max drawdown {_percent(fraction)}"


def _amount(text: str) -> str:
    return f"{float(text):,.2f}"


def _signed(value: float | str | None, decimals: int = 2) -> str:
    return "–" if value is None else f"{float(value):+,.{decimals}f}"


def _percent(fraction: float | None, decimals: int = 2, *, signed: bool = False) -> str:
    return "–" if fraction is None else f"{fraction * 100:{'+' if signed else ''},.{decimals}f} %"


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:,.2f}"


def _colour(text: str, value: float) -> Text:
    return Text(text, style=_UP if value > 0 else _DOWN if value < 0 else "")


def _float(text: str | None) -> float | None:
    return None if text is None else float(text)


def _or_unknown(text: str | None) -> str:
    return "not known" if text is None else text


def _time(iso: str) -> str:
    return iso[:16].replace("T", " ")


def _numeric(text: str) -> bool:
    return text[:1] in "+-–0123456789" and "→" not in text
