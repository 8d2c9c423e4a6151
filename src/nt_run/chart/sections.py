"""The boxes of a page below its chart, as titles and rows of text. Pure: no screen, no file.

Keys that a kept run of an earlier version lacks are left out; keys this version does not know are listed as they are.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from nt_run.filters import refused_and_unfilled
from nt_run.formats import amount, percent, short_time, signed

type Summary = Mapping[str, Any]
type Rows = list[list[str]]

_MOST_ROWS = 50
_SHOWN = {
    "account", "bars", "benchmark", "costs", "created", "data", "demo", "denied", "end", "exchange", "fees", "fills",
    "filters", "funding_settlements", "instrument_id", "interval", "liquidations", "margin", "metrics", "pnl",
    "protections", "run_id", "sizing", "specs", "start", "strategy", "symbol", "timings", "trades", "versions",
    "warnings",
}  # fmt: skip
"""Keys of a summary that have a place of their own on the page."""
_FRACTIONS = {
    "total_return", "cagr", "volatility", "max_drawdown", "exposure", "largest_share", "time_in_market", "win_rate",
    "completeness",
}  # fmt: skip
_COUNTS = {"trades", "open_trades"}


def sections(summary: Summary, specs: Mapping[str, Any], configuration: str) -> list[dict[str, Any]]:
    """Return the boxes below the chart: title and rows (name, values), with column titles, or plain text."""
    data, metrics = summary["data"], summary["metrics"]
    parts = [
        _box("What the result is made of", _result_rows(summary)),
        _box("Metrics", [[_words(name), _figure(name, value)] for name, value in metrics.items()]),
        _liquidations(summary.get("liquidations", ())),
        _protections(summary.get("protections", ())),
        *_denied(summary.get("denied", {})),
        _filters(summary.get("filters", {})),
        _box("Run", _run_rows(summary)),
        _box("Trading rules", _plain({name: value for name, value in specs.items() if name != "checks"})),
        _checks(summary.get("specs", {}).get("checks", ())),
        _box("Fees", _plain(summary.get("fees", {}))),
        *_costs(summary.get("costs", {})),
        *_margin(summary.get("margin") or {}),
        _box("Sizing", _plain(summary.get("sizing", {}))),
        _box("Data certificate", _data_rows(data, summary.get("bars", {}))),
        _box("Buy & hold", [[_words(key), _figure(key, value)] for key, value in summary.get("benchmark", {}).items()]),
        _box("Also recorded", _plain({key: value for key, value in summary.items() if key not in _SHOWN})),
        _box("Versions", _plain(summary.get("versions", {}))),
        {"title": "Configuration", "text": configuration},
    ]
    return [part for part in parts if part.get("rows") or part.get("text")]


def _denied(denied: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    titles = ("Orders that never reached the market", "Orders that ended at once without a fill")
    for title, counts in zip(titles, refused_and_unfilled(denied), strict=True):
        yield _box(title, [[why, f"{count:,}"] for why, count in counts.items()])


def _box(title: str, rows: Rows, head: Sequence[str] = ()) -> dict[str, Any]:
    if len(rows) > _MOST_ROWS:
        rest = [f"and {len(rows) - _MOST_ROWS:,} more", *[""] * (len(rows[0]) - 1)]
        rows = [*rows[:_MOST_ROWS], rest]
    return {"title": title, "rows": rows} | ({"head": list(head)} if head else {})


def _result_rows(summary: Summary) -> Rows:
    account, pnl = summary["account"], summary["pnl"]
    rows = [["starting balance", amount(account["starting_balance"])]] if "starting_balance" in account else []
    rows += [[_words(name), signed(value, 8 if name == "rounding" else 2)] for name, value in _parts(pnl)]
    if "net" in pnl:
        rows.append(["net PnL", signed(pnl["net"])])
    rows += [[_words(name), amount(account[name])] for name in ("final_equity", "final_balance") if name in account]
    if float(account.get("open_position", 0)):
        rows.append(["still open", f"{account['open_position']}, {signed(account['open_pnl'])}"])
    rows.append(["leverage", f"{account['leverage']} ×"] if "leverage" in account else ["", ""])
    return [row for row in rows if row[0]]


def _parts(pnl: Summary) -> list[tuple[str, str]]:
    usual = ("price", "fees", "funding")
    return [(name, value) for name, value in pnl.items() if name != "net" and (name in usual or float(value))]


def _run_rows(summary: Summary) -> Rows:
    strategy = summary.get("strategy", {})
    rows = [["run", str(summary.get("run_id", ""))], ["strategy", str(strategy.get("name", ""))]]
    rows += [[f"· {name}", str(value)] for name, value in strategy.get("params", {}).items()]
    rows += [[name, short_time(summary[name])] for name in ("start", "end", "created") if name in summary]
    rows += [[name, str(summary[name])] for name in ("exchange", "interval", "fills") if name in summary]
    seconds = summary.get("timings", {}).items()
    return rows + [[f"{name} took", f"{value:.2f} s"] for name, value in seconds]


def _checks(checks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    rows = [
        [_words(each["name"]), str(each["exchange"]), str(each["built"]), "same" if each["same"] else "DIFFERS"]
        for each in checks
    ]
    return _box("Rules of the exchange and of the run", rows, ("", "exchange", "built", ""))


def _data_rows(data: Summary, bars: Summary) -> Rows:
    rows = [["fingerprint", str(data.get("fingerprint", ""))]]
    if "completeness" in data:
        rows.append(["completeness", percent(data["completeness"])])
    rows += [[f"bars {_words(name)}", f"{value:,}"] for name, value in bars.items()]
    rows += [[f"from {name}", percent(share)] for name, share in data.get("sources", {}).items()]
    for name, title in (("gaps", "hole"), ("zero_volume_runs", "no trade")):
        spans = data.get(name, ())
        rows.append([f"{title}s" if title == "hole" else "runs without a trade", f"{len(spans):,}"])
        for each in spans[:5]:
            status = f" ({_words(each['status'])})" if "status" in each else ""
            rows.append([f"· {title}", f"{short_time(each['start'])} → {short_time(each['end'])}{status}"])
    for each in data.get("missing_settlements", ()):
        where = f"{short_time(each['start'])} → {short_time(each['end'])} ({_words(each['status'])})"
        rows.append([f"{each['count']:,} settlements missing", where])
    across = data.get("across_holes", {})
    if across.get("crossings"):
        rows.append(["made across holes", f"{signed(across['price'])} in {len(across['crossings']):,} positions"])
    return rows


def _liquidations(liquidations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    rows = [
        [
            short_time(each["time"]),
            f"{each['side']} {each['quantity']}",
            str(each["price"]),
            signed(-float(each["lost"])),
        ]
        for each in liquidations
    ]
    return _box("Liquidations", rows, ("", "position", "price", "lost"))


def _protections(uses: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    rows = [[short_time(each["time"]), _words(each["rule"]), amount(each["equity"])] for each in uses]
    return _box("Protections", rows, ("", "rule", "equity"))


def _filters(filters: Summary) -> dict[str, Any]:
    """What the exchange's filters did to orders, where they did anything."""
    names = ("rounded", "capped", "refused")
    used = {name: did for name, did in filters.get("by_filter", {}).items() if any(did.get(each) for each in names)}
    rows = [[_words(name).lower(), *(f"{did.get(each, 0):,}" for each in names)] for name, did in used.items()]
    return _box("Filters", rows, ("", *names))


def _costs(costs: Summary) -> list[dict[str, Any]]:
    rest = {key: value for key, value in costs.items() if key != "ladder"}
    ladder = [[f"{each['slippage_bps']} bp", signed(each["net"])] for each in costs.get("ladder", ())]
    return [_box("Fills and slippage", _plain(rest)), _box("PnL by slippage", ladder)]


def _margin(margin: Summary) -> list[dict[str, Any]]:
    rest = {key: value for key, value in margin.items() if key != "brackets"}
    brackets = [
        [f"{float(each['floor']):,.0f}", percent(float(each["rate"])), f"{each['max_leverage']} ×"]
        for each in margin.get("brackets", ())
    ]
    head = ("notional from", "maintenance", "leverage")
    return [_box("Margin", _plain(rest)), _box("Leverage brackets", brackets, head)]


def _plain(values: Mapping[str, Any], prefix: str = "") -> Rows:
    """Return any object as rows; what is inside of another is named after it, lists are counted and spelled out."""
    rows: Rows = []
    for key, value in values.items():
        name = f"{prefix}{_words(key)}"
        if value is None or value in ([], {}, ""):
            continue
        if isinstance(value, Mapping):
            rows += _plain(cast("Mapping[str, Any]", value), f"{name} · ")
        elif isinstance(value, list):
            for number, each in enumerate(cast("list[Any]", value), start=1):
                inner = cast("Mapping[str, Any]", each) if isinstance(each, Mapping) else {"": each}
                rows += _plain(inner, f"{name} {number} ")
        else:
            rows.append([name.strip(), _text(key, value)])
    return rows


def _text(key: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return percent(value) if key in _FRACTIONS or key.endswith("_share") else f"{value:,.10g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _figure(name: str, value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, str):
        return short_time(value) if value[4:5] == "-" else value
    if name in _FRACTIONS:
        return percent(float(cast("float", value)))
    return f"{value:,}" if name in _COUNTS else f"{value:,.2f}"


def _words(name: str) -> str:
    return name.replace("_", " ")
