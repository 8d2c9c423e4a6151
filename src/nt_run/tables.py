"""What every table shares: colours, width, the banner of the demo, JSON."""

from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

WIDTH = 99
SYNTHETIC = "SYNTHETIC MARKET (demo): prices, volumes and funding are invented"
GOOD, BAD, DIM, WARN, ALARM = "green", "red", "bright_black", "yellow", "bold yellow"


def print_json(value: object) -> None:
    """Print exactly one JSON object to stdout."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())  # noqa: T201 - this is the output


def show(*parts: RenderableType) -> None:
    """Print to stdout, a blank line before everything that is not a line of text."""
    console = Console(highlight=False)
    console.width = min(WIDTH, console.width) if console.is_terminal else WIDTH
    for index, part in enumerate(parts):
        if index and not isinstance(part, Text):
            console.print()
        console.print(part)


def banner(*, demo: bool) -> list[RenderableType]:
    """Return the line that tells a synthetic market from a real one."""
    return [Text(f" {SYNTHETIC} ", style="bold black on yellow")] if demo else []


def warning_lines(warnings: Sequence[str]) -> RenderableType:
    """Return one line per warning."""
    return Group(*(Text(f"! {warning}", style=WARN) for warning in warnings))


def grid(*columns: tuple[Any, ...]) -> Table:
    """Return a borderless table; each column is (style,) or (style, justify); only the last one wraps."""
    table = Table.grid(padding=(0, 1))
    for index, (style, *justify) in enumerate(columns, start=1):
        last = index == len(columns)
        table.add_column(style=style, justify=justify[0] if justify else "left", no_wrap=not last)
    return table
