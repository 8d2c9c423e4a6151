"""What every table shares: colours, width, the banner of the demo, JSON."""

import sys
from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

WIDTH = 99
NARROWEST = 60
_GAP = 3
SYNTHETIC = "SYNTHETIC MARKET (demo): prices, volumes and funding are invented"
GOOD, BAD, DIM, WARN, ALARM = "green", "red", "bright_black", "yellow", "bold yellow"


def print_json(value: object) -> None:
    """Print exactly one JSON object to stdout."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())  # noqa: T201 - this is the output


def show(*parts: RenderableType) -> None:
    """Print to stdout, a blank line before everything that is not a line of text.

    A terminal narrower than `NARROWEST` wraps lines itself: better than losing digits. What goes into a pipe or a
    file has no trailing spaces.
    """
    console = Console(highlight=False)
    console.width = max(NARROWEST, min(WIDTH, console.width)) if console.is_terminal else WIDTH
    with console.capture() as captured:
        for index, part in enumerate(parts):
            if index and not isinstance(part, Text):
                console.print()
            console.print(part, crop=False)
    text = captured.get()
    if not console.is_terminal:
        text = "".join(line.rstrip() + "\n" for line in text.splitlines())
    sys.stdout.write(text)
    sys.stdout.flush()


def coloured(text: str, value: float) -> Text:
    """Return text in the colour of a gain or of a loss."""
    return Text(text, style=GOOD if value > 0 else BAD if value < 0 else "")


def whole(part: RenderableType) -> RenderableType:
    """Return a table that keeps its width where there is no room: its lines are wrapped by the terminal, not cut."""
    return _Whole(part)


class _Whole:
    def __init__(self, part: RenderableType) -> None:
        self._part = part

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wanted = Measurement.get(console, options.update(width=1000), self._part).maximum
        yield from console.render(self._part, options.update(width=max(wanted, 1)))


def beside(left: RenderableType, right: RenderableType) -> RenderableType:
    """Return two tables beside each other where both fit, else one below the other."""
    return _Beside(left, right)


class _Beside:
    def __init__(self, left: RenderableType, right: RenderableType) -> None:
        self._parts = left, right

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wanted = sum(Measurement.get(console, options.update(width=1000), part).maximum for part in self._parts)
        if wanted + _GAP > options.max_width:
            yield self._parts[0]
            yield ""
            yield self._parts[1]
            return
        table = Table.grid(padding=(0, _GAP))
        table.add_row(*self._parts)
        yield table


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
