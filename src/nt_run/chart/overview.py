"""What a page says of a run at a glance: banners, cards, returns. Pure: no screen, no file.

Everything is text already, but for returns, which are fractions. What a kept run of an earlier version lacks is a dash.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import numpy as np

from nt_run.chart.captions import SYNTHETIC
from nt_run.chart.view import ChartData
from nt_run.formats import amount, percent, ratio, signed

type Summary = Mapping[str, Any]

_DAY_MS = 86_400_000
_MOST_DAYS = 35
"""Up to so many days, daily returns are shown as well: a month says little."""


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
