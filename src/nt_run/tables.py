"""What every table shares: colours, width, the banner of the demo, JSON."""

import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from nt_run import terminal

WIDTH = 99
NARROWEST = 24
_NOTE = 20
"""Columns that make a note beside a number readable."""
_GAP = 3
_GLUE = "\ue000"
"""Stands for a space at which no line may end; rich breaks lines at no-break spaces, too. Of no meaning elsewhere."""
_SHARES = re.compile(r"(?<=\d) (?=%)")
SYNTHETIC = "SYNTHETIC MARKET (demo): prices, volumes and funding are invented"
GOOD, BAD, DIM, WARN, ALARM = terminal.GOOD, terminal.BAD, terminal.DIM, terminal.WARN, "bold yellow"
print_json = terminal.print_json


def show(*parts: RenderableType, narrowest: int = NARROWEST) -> None:
    """Print to stdout, a blank line before everything that is not a line of text.

    Lines of text are as wide as the terminal, those with `no_wrap` as wide as they are: paths must stay whole. A
    terminal narrower than `narrowest` wraps tables itself: better than losing digits. What goes into a pipe or a file
    has no trailing spaces.
    """
    console = _Gluing(highlight=False)
    room = min(WIDTH, console.width) if console.is_terminal else WIDTH
    with console.capture() as captured:
        for index, part in enumerate(parts):
            console.width = room if isinstance(part, Text) else max(narrowest, room)
            if index and not isinstance(part, Text):
                console.print()
            console.print(part, soft_wrap=isinstance(part, Text) and bool(part.no_wrap))
    text = captured.get().replace(_GLUE, " ")
    if not console.is_terminal:
        text = "".join(line.rstrip() + "\n" for line in text.splitlines())
    sys.stdout.write(text)
    sys.stdout.flush()


class _Gluing(Console):
    """Keeps a number and the per cent sign behind it on one line."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        if isinstance(renderable, str):
            renderable = self.render_str(renderable)
        if isinstance(renderable, Text):
            renderable = renderable.copy()
            renderable.plain = _SHARES.sub(_GLUE, renderable.plain)
        return super().render(renderable, options)


def coloured(text: str, value: float) -> Text:
    """Return text in the colour of a gain or of a loss."""
    return Text(text, style=GOOD if value > 0 else BAD if value < 0 else "")


def beside(left: RenderableType, right: RenderableType) -> RenderableType:
    """Return two tables beside each other where both fit, else one below the other."""
    table = Table.grid(padding=(0, _GAP))
    table.add_row(left, right)
    return first_that_fits(table, Group(left, "", right))


def first_that_fits(*forms: RenderableType) -> RenderableType:
    """Return the first of several forms that is not wider than the screen, else the last one."""
    return _FirstThatFits(forms)


class _FirstThatFits:
    def __init__(self, forms: Sequence[RenderableType]) -> None:
        self._forms = forms

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        unbounded = options.update(width=1000)
        widths = ((Measurement.get(console, unbounded, form).maximum, form) for form in self._forms)
        yield next((form for width, form in widths if width <= options.max_width), self._forms[-1])


class _Grid(Table):
    """A borderless table; on a narrow screen the notes in its last column stand below their rows."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        unbounded = options.update(width=1000)
        widths = [
            max((Measurement.get(console, unbounded, cell).maximum for cell in column.cells), default=0)
            for column in self.columns
        ]
        fixed = sum(widths[:-1]) + len(widths) - 1
        if fixed + min(widths[-1], _NOTE) <= options.max_width:
            yield from super().__rich_console__(console, options)
            return
        for row in zip(*(column.cells for column in self.columns), strict=True):
            *told, note = (_inked(console, cell, column) for cell, column in zip(row, self.columns, strict=True))
            if fixed > options.max_width:
                yield Text(" ").join([each for each in (*told, note) if each])
                continue
            line = Table.grid(padding=(0, 1))
            for column, width in zip(self.columns[:-1], widths, strict=False):
                line.add_column(justify=column.justify, width=width, no_wrap=True)
            is_beside = fixed + note.cell_len <= options.max_width
            line.add_row(*told, *([note] if is_beside else []))
            yield line
            if not is_beside:
                yield Padding(note, (0, 0, 0, 2))


def _inked(console: Console, cell: RenderableType, column: Column) -> Text:
    text = cell.copy() if isinstance(cell, Text) else console.render_str(str(cell))
    text.stylize_before(column.style)
    return text


def banner(*, demo: bool) -> list[RenderableType]:
    """Return the line that tells a synthetic market from a real one."""
    return [Text(f" {SYNTHETIC} ", style="bold black on yellow")] if demo else []


def warning_lines(warnings: Sequence[str]) -> RenderableType:
    """Return one line per warning."""
    return Group(*(Text(f"! {warning}", style=WARN) for warning in warnings))


def grid(*columns: tuple[Any, ...]) -> Table:
    """Return a borderless table; each column is (style,) or (style, justify); only the last one wraps."""
    table = _Grid.grid(padding=(0, 1))
    for index, (style, *justify) in enumerate(columns, start=1):
        last = index == len(columns)
        table.add_column(style=style, justify=justify[0] if justify else "left", no_wrap=not last, overflow="fold")
    return table
