"""The findings of an audit as one screen."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from nt_run.formats import short_time
from nt_run.tables import ALARM, BAD, DIM, GOOD, WARN, banner, grid, show

_MOST = 20
"""Violations listed; `--json` has them all."""
_WORDS = {
    "klines": "the bars the report was made of, by fingerprint and market data",
    "fills": "price in its bar and on the tick, quantity on the step, minimums, fee",
    "orders": "those that rested: at which price they filled, and that a bar at their price did",
    "funding": "position × price × rate at each settlement, none missing, none extra",
    "margin": "bars with a position: what is left of its margin, and each liquidation",
    "trades": "times, sides, averages, price, fees, funding",
    "equity": "equity, balance, position and drawdown of every bar",
    "totals": "balance, equity and what they are made of",
    "figures": "metrics, cost ladder, settlements, risk, filters, bounds",
    "rules": "the contract's trading rules, by the exchange's answer they are from",
    "report": "what it repeats of configuration, rules, bars and the first trade",
    "files": "the folder as the run wrote it, by its checksums",
}


def print_audit(found: Mapping[str, Any]) -> None:
    """Print what was checked, the largest differences, and what is wrong."""
    table = grid((None,), ("bold",), (None, "right"), (DIM,))
    for check in found["checks"]:
        mark = Text("!", style=ALARM) if check["wrong"] else Text("✓", style=GOOD)
        note = Text(f"{check['wrong']:,} wrong", style=BAD) if check["wrong"] else _WORDS[check["name"]]
        table.add_row(mark, check["name"], f"{check['checked']:,}", note)
    parts: list[RenderableType] = [*banner(demo=found["demo"]), Text(found["run_id"], style="bold"), table]
    parts.append(_largest(found))
    if found["unchecked"]:
        parts.append(Group(*(Text(f"! not checked: {words}", style=WARN) for words in found["unchecked"])))
    if found["violations"]:
        parts.append(_violations(found))
    show(*parts)


def _largest(found: Mapping[str, Any]) -> RenderableType:
    table = grid((None,), (None, "right"), (DIM,))
    for name, words in (("trade", "a trade"), ("equity", "a bar's equity"), ("final_equity", "the final equity")):
        largest = found["largest"][name]
        when = f", {short_time(largest['time'])}" if largest["time"] and float(largest["difference"]) else ""
        table.add_row(f"largest difference of {words}", largest["difference"], f"{found['asset']}{when}")
    return table


def _violations(found: Mapping[str, Any]) -> RenderableType:
    """One block for each: order ids are copied from here, so nothing that has no space in it is broken."""
    table = grid((None,), (DIM,), (None,))
    for each in found["violations"][:_MOST]:
        told = Text(each["what"])
        told.append("\nexpected ", style=DIM).append(each["expected"])
        told.append("\nfound    ", style=DIM).append(each["found"])
        table.add_row(short_time(each["time"] or "–"), each["check"], told)
    more = len(found["violations"]) - _MOST
    return Group(table, Text(f"and {more:,} more: --json has them all", style=DIM)) if more > 0 else table
