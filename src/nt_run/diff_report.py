"""Two runs side by side, for people."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from nt_run import terminal
from nt_run.formats import percent, ratio, signed
from nt_run.tables import ALARM, DIM, GOOD, WIDTH, banner, grid, show

_SHOWN: dict[str, Callable[[Any], str]] = {
    "net": signed,
    "price": signed,
    "fees": signed,
    "funding": signed,
    "liquidation": signed,
    "total_return": percent,
    "max_drawdown": percent,
    "sharpe": ratio,
    "trades": "{:,.0f}".format,
    "win_rate": percent,
}
"""The figures shown of those that differ, and how they are written; `--json` has all."""
_TRADE = ("side", "quantity", "entry_time", "entry_price", "exit_time", "exit_price", "fee", "funding", "pnl")
_MOST = 12
_LONGEST, _SHORTEST = 28, 8
_INDENT, _GAPS = 2, 5
"""Spaces before a table, and between its columns."""
_FRAMES = ("trades", "fills", "funding", "settlements", "equity")


def print_diff(compared: Mapping[str, Any], *, replayed: bool = False) -> None:
    """Print what `differences.compare_runs` found; `replayed` where `b` is `a` run again."""
    show(
        *banner(demo=compared["demo"]),
        _name("a", compared["a"]),
        _name("b", "the same configuration, run again" if replayed else compared["b"]),
        *_verdict(compared, replayed=replayed),
        *_inputs(compared),
        *_figures(compared["figures"]),
        *_parting(compared),
    )


def _name(letter: str, run: str) -> RenderableType:
    """On one line: the start of an id says which run it is."""
    return Text(_cut(f"{letter}  {run}", min(WIDTH, terminal.width() or len(run) + 3)), style="bold")


def _verdict(compared: Mapping[str, Any], *, replayed: bool) -> list[RenderableType]:
    if compared["identical"]:
        what = "identical, to the last digit: bars, fills, trades, funding, equity, figures"
        return [Text(""), Text(f"✓ {what}", style=GOOD)]
    return [Text(""), Text("! not identical", style=ALARM)] if replayed else []


def _inputs(compared: Mapping[str, Any]) -> list[RenderableType]:
    parts: list[RenderableType] = []
    same: list[str] = []
    for key, title in (("config", "configuration"), ("data", "data"), ("specs", "rules"), ("versions", "versions")):
        changes = compared[key]
        if changes:
            parts.append(_table(title, [(each["key"], each["a"], each["b"]) for each in changes]))
        else:
            same.append(title)
    if compared["code"] is False and not compared["identical"]:
        text = "The configurations are the same and the ids are not: the strategy's source, or nt-run, has changed."
        parts.append(Text(text, style=ALARM))
    return parts + ([Text(""), Text(f"the same: {', '.join(same)}", style=DIM)] if same else [])


def _figures(figures: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    found = {each["key"]: each for each in figures}
    rows = [(name, _SHOWN[name](found[name]["a"]), _SHOWN[name](found[name]["b"])) for name in _SHOWN if name in found]
    return [_table("results", rows)] if rows else []


def _parting(compared: Mapping[str, Any]) -> list[RenderableType]:
    """The first trade that differs; where trades are the same, the first row of another frame."""
    name = next((name for name in _FRAMES if compared["parted"][name]), None)
    if name is None:
        return []
    first, counts = compared["parted"][name], compared["counts"][name]
    a: dict[str, Any] = first["a"] or {}
    b: dict[str, Any] = first["b"] or {}
    there = a or b
    what = {"trades": "trade", "fills": "fill"}.get(name, f"row of {name}")
    title = f"part in {what} {first['row']:,} of {counts[0]:,} and {counts[1]:,}"
    wanted = [key for key in _TRADE if key in there] if name == "trades" else list(there)
    rows = [(key, a.get(key), b.get(key)) for key in wanted]
    return [_table(title, rows, marked=first["columns"])]


def _table(title: str, rows: Sequence[tuple[str, Any, Any]], *, marked: Sequence[str] | None = None) -> RenderableType:
    table = grid((None,), (None, "right"), (None, "right"), (None,))
    room = (min(WIDTH, terminal.width() or WIDTH) - max(len(name) for name, *_ in rows) - _INDENT - _GAPS) // 2
    longest = max(min(room, _LONGEST), _SHORTEST)
    for name, a, b in rows[:_MOST]:
        style = "bold" if marked is not None and name in marked else DIM if marked is not None else ""
        table.add_row(
            name, *(Text(f"{gap}{_cut(_said(each), longest)}", style=style) for gap, each in (("", a), ("  ", b))), ""
        )
    if len(rows) > _MOST:
        table.add_row(f"and {len(rows) - _MOST:,} more: --json", "", "", "")
    return Group(Text(title, style="bold"), Padding(table, (0, 0, 0, _INDENT)))


def _said(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, Decimal):
        return f"{value:f}".rstrip("0").rstrip(".") if "." in f"{value:f}" else f"{value:f}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {percent(share, 0)}" for name, share in cast("dict[str, float]", value).items())
    if isinstance(value, float):
        return f"{value:,.6g}" if abs(value) < 1 else f"{value:,.4f}".rstrip("0").rstrip(".")
    return str(value)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
