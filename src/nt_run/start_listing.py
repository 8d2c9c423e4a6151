"""What one starts with, for people: strategies, the state of the machine, a configuration and where it comes from."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from nt_run.tables import ALARM, DIM, GOOD, grid, show

_NARROWEST = 60
"""With less room, values would be folded letter by letter."""


def print_strategies(found: Sequence[Mapping[str, Any]]) -> None:
    """Print two lines for each strategy: what it does, and what can be set."""
    table = grid(("bold",), (None,))
    for each in found:
        if each["error"]:
            table.add_row(each["name"], Text(each["error"], style=ALARM))
            continue
        table.add_row(each["name"], each["summary"])
        set_ = " ".join(
            f"{one['name']}={'…' if one['default'] is None else one['default']}" for one in each["parameters"]
        )
        origin = "" if each["package"] == "nt-run" else f"from {each['package']}: "
        table.add_row("", Text(f"{origin}{set_}", style=DIM))
    hint = "Set parameters with --param NAME=VALUE; nt-run new-strategy NAME writes one of your own."
    show(table, Text(""), Text(hint, style=DIM))


def print_config(pairs: Sequence[tuple[str, Any]], origins: Mapping[str, str]) -> None:
    """Print each key of a configuration, its value, and where it was said."""
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(no_wrap=True, style=DIM)
    for key, value in pairs:
        built_in = origins[key] == "built-in"
        said = "–" if value in (None, {}) else str(value).lower() if isinstance(value, bool) else str(value)
        table.add_row(Text(key, style=DIM if built_in else ""), Text(said, style=DIM if built_in else ""), origins[key])
    show(table, narrowest=_NARROWEST)


def print_doctor(findings: Sequence[Mapping[str, Any]]) -> None:
    """Print one line for each thing looked at, and below it what helps where something is amiss."""
    marks = {"ok": Text("✓", style=GOOD), "note": Text("·", style=DIM), "wrong": Text("!", style=ALARM)}
    table = grid((None,), ("bold",), (None,))
    for each in findings:
        table.add_row(marks[each["state"]], each["name"], each["found"])
        if each["help"]:
            table.add_row("", "", Text(each["help"], style=ALARM if each["state"] == "wrong" else DIM))
    show(table)
