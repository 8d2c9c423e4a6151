"""What a page says about a run beside its chart: cards, banners, returns, tables. Pure: no screen, no file.

Everything is text already, but for returns, which are fractions. Keys that a kept run of an earlier version lacks are
left out; keys this version does not know are listed as they are.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from nt_run.chart.captions import SYNTHETIC
from nt_run.chart.view import ChartData
from nt_run.formats import amount, percent, ratio, short_time, signed

type Summary = Mapping[str, Any]
type Rows = list[list[str]]

_DAY_MS = 86_400_000
_MOST_DAYS = 62
"""Up to so many days, daily returns are shown as well: a month or two alone say little."""
_MOST_ROWS = 50
_SHOWN = {
    "account", "bars", "benchmark", "created", "data", "demo", "denied", "end", "exchange", "fees", "fills",
    "funding_settlements", "instrument_id", "interval", "liquidations", "metrics", "pnl", "run_id", "specs", "start",
    "strategy", "symbol", "timings", "trades", "versions", "warnings",
}  # fmt: skip
"""Keys of a summary that have a place of their own on the page."""
_FRACTIONS = {
    "total_return", "cagr", "volatility", "max_drawdown", "exposure", "largest_share", "time_in_market", "win_rate",
    "completeness",
}  # fmt: skip
_COUNTS = {"trades", "open_trades"}


def banners(summary: Summary) -> list[tuple[str, str]]:
    """Return what has to be said first, each with its kind: synthetic, alarm, or nothing for a warning."""
    found: list[tuple[str, str]] = []
    warnings = list(summary.get("warnings", ()))
    if summary.get("demo"):
        found.append(("synthetic", f"{SYNTHETIC}: prices, volumes and funding are invented"))
        warnings = warnings[1:]  # the first warning of a demo says the same
    if liquidations := summary.get("liquidations"):
        lost = sum(float(each["lost"]) for each in liquidations)
        times = "once" if len(liquidations) == 1 else f"{len(liquidations):,} times"
        found.append(("alarm", f"Liquidated {times}: {lost:,.2f} {summary['account'].get('asset', '')} lost"))
    return found + [("", text) for text in warnings]


def cards(summary: Summary) -> list[dict[str, Any]]:
    """Return the numbers of the top row: name, value, note, and a sign that colours the value."""
    account, pnl, metrics = summary["account"], summary["pnl"], summary["metrics"]
    rate, factor = metrics.get("win_rate"), metrics.get("profit_factor")
    net, final = float(pnl.get("net", 0)), account.get("final_equity")
    settled = summary.get("funding_settlements")
    made = [
        _card("Net PnL", signed(net), percent(metrics.get("total_return"), sign=True), net),
        _card("Final equity", "–" if final is None else amount(final), _open_note(summary)),
        _card("Max drawdown", percent(metrics.get("max_drawdown")), _drawdown_when(metrics), -1),
        _card("Sharpe", ratio(metrics.get("sharpe")), f"Sortino {ratio(metrics.get('sortino'))}"),
        _card("Trades", f"{summary.get('trades', 0):,}", f"{percent(rate, 1)} won"),
        _card("Profit factor", ratio(factor), f"expectancy {signed(metrics.get('expectancy'))}"),
        _card("Average win", signed(metrics.get("average_win")), f"loss {signed(metrics.get('average_loss'))}"),
        _card("Fees", signed(pnl.get("fees")), _turnover(metrics)),
        _card("Funding", signed(pnl.get("funding")), "" if settled is None else f"{settled:,} payments"),
    ]
    if benchmark := summary.get("benchmark"):
        held = benchmark.get("total_return")
        note = f"drawdown {percent(benchmark.get('max_drawdown'))}"
        made.append(_card("Buy & hold", percent(held, sign=True), note, held or 0))
    return made


def returns(data: ChartData) -> list[tuple[str, list[tuple[str, float]]]]:
    """Return the return of every month, and of every day of a short run; a bar belongs where it opens.

    Each part is a title (empty for months) and its (label, fraction) pairs. A period starts from the equity at the end
    of the period before it, the first one from the starting balance.
    """
    day = data.bars.open_ms // _DAY_MS
    # The last bar of a day leaves its equity there.
    last = np.flatnonzero(np.diff(day, append=-1))
    dates = [dt.date(1970, 1, 1) + dt.timedelta(days=number) for number in day[last].tolist()]
    ends = list(zip(dates, data.account.equity[last].tolist(), strict=True))
    months = {f"{date:%Y-%m}": equity for date, equity in ends}
    parts = [("", _changes(months, data.account.start))]
    if 1 < len(ends) <= _MOST_DAYS:
        parts.append(("Daily returns", _changes({f"{date:%m-%d}": each for date, each in ends}, data.account.start)))
    return parts


def sections(summary: Summary, specs: Mapping[str, Any], configuration: str) -> list[dict[str, Any]]:
    """Return the boxes below the chart: title and rows (name, values), with column titles, or plain text."""
    data, metrics = summary["data"], summary["metrics"]
    parts = [
        _box("What the result is made of", _result_rows(summary)),
        _box("Metrics", [[_words(name), _figure(name, value)] for name, value in metrics.items()]),
        _liquidations(summary.get("liquidations", ())),
        _box(
            "Orders that never reached the market", [[name, f"{n:,}"] for name, n in summary.get("denied", {}).items()]
        ),
        _box("Run", _run_rows(summary)),
        _box("Trading rules", _plain({name: value for name, value in specs.items() if name != "checks"})),
        _checks(summary.get("specs", {}).get("checks", ())),
        _box("Fees", _plain(summary.get("fees", {}))),
        _box("Data certificate", _data_rows(data, summary.get("bars", {}))),
        _box("Buy & hold", [[_words(key), _figure(key, value)] for key, value in summary.get("benchmark", {}).items()]),
        _box("Also recorded", _plain({key: value for key, value in summary.items() if key not in _SHOWN})),
        _box("Versions", _plain(summary.get("versions", {}))),
        {"title": "Configuration", "text": configuration},
    ]
    return [part for part in parts if part.get("rows") or part.get("text")]


def _card(name: str, value: str, note: str = "", sign: float = 0) -> dict[str, Any]:
    return {"name": name, "value": value, "note": note, "sign": (sign > 0) - (sign < 0)}


def _open_note(summary: Summary) -> str:
    account = summary["account"]
    if not float(account.get("open_position", 0)):
        return f"from {amount(account.get('starting_balance', '0'))}"
    base = summary.get("specs", {}).get("base_asset", "")
    return f"{account['open_position']} {base} open, {signed(account['open_pnl'])}"


def _drawdown_when(metrics: Summary) -> str:
    start, end = metrics.get("max_drawdown_start"), metrics.get("max_drawdown_end")
    return f"{start[:10]} → {end[5:10]}" if start and end else ""


def _turnover(metrics: Summary) -> str:
    turnover = metrics.get("turnover")
    return "" if turnover is None else f"turnover {turnover:,.1f} × equity"


def _changes(ends: Mapping[str, float], start: float) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for label, equity in ends.items():
        found.append((label, equity / start - 1 if start > 0 else 0.0))
        start = equity
    return found


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
    across = data.get("across_holes", {})
    if across.get("crossings"):
        rows.append(["made across holes", f"{signed(across['price'])} in {len(across['crossings']):,} positions"])
    return rows


def _liquidations(liquidations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    rows = [
        [short_time(each["time"]), f"{each['side']} {each['quantity']}", str(each["price"]), f"-{amount(each['lost'])}"]
        for each in liquidations
    ]
    return _box("Liquidations", rows, ("", "position", "price", "lost"))


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
