"""Kept runs as a listing as wide as the terminal: thousands of lines, so no table that measures each cell."""

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.color import ColorSystem
from rich.console import Console
from rich.style import Style

from nt_run.formats import percent
from nt_run.history import RunRow
from nt_run.tables import BAD, DIM, GOOD, WARN

_BARS = "▁▂▃▄▅▆▇█"
_PLAIN_BARS = "_.-~=+*#"
_GAP = "  "
_LEAST_WORDS = 6
_SECOND = len("20260701T000000")
_MILLISECOND = len("20260701T000000000Z")


def print_runs(rows: Sequence[RunRow], *, found: Sequence[RunRow], runs: Path) -> None:
    """Print one line per run, or what to do when there is none of the `found` ones, or none at all in `runs`.

    A run is named by the shortest start of its id that no other one of those found has: that start is enough for every
    command. In a narrow terminal columns give way that can be read elsewhere.
    """
    console = Console(highlight=False)
    if not rows:
        start = f"There is no run in {runs} yet. Start with: nt-run backtest --symbol BTCUSDT"
        sys.stdout.write(f"None of the {len(found):,} runs is like that.\n" if found else f"{start}\n")
        return
    columns = _columns(rows, _short_names([row.run_id for row in found]), plain=console.options.ascii_only)
    width = console.width if console.is_terminal else None
    while width is not None and _width(columns) + len(_GAP) + _LEAST_WORDS > width and _foregone(columns):
        columns.remove(_foregone(columns)[0])
    room = None if width is None else width - _width(columns) - len(_GAP)
    words = [_words(row, room) for row in rows]
    paint = _painter(console)
    head = [column.padded(column.heading) for column in columns]
    lines = [paint(_GAP.join([*head, "notes"] if any(words) else head).rstrip(), DIM)]
    for number, row in enumerate(rows):
        cells = [paint(column.padded(column.cells[number]), column.style(row)) for column in columns]
        marks = paint(words[number], WARN if row.demo else DIM)
        lines.append((_GAP.join(cells) + (_GAP + marks if marks else "")).rstrip())
    sys.stdout.write("\n".join(lines) + "\n")


class _Column:
    """A column of a listing; `yields` says how early it gives way where space is short, 0 for never."""

    def __init__(
        self,
        heading: str,
        cells: Sequence[str],
        *,
        right: bool = False,
        yields: int = 0,
        style: Callable[[RunRow], str] = lambda _row: "",
    ) -> None:
        self.heading = heading
        self.cells = cells
        self.yields = yields
        self.style = style
        self.width = max(map(len, (heading, *cells)))
        self._right = right

    def padded(self, text: str) -> str:
        return text.rjust(self.width) if self._right else text.ljust(self.width)


def _columns(rows: Sequence[RunRow], names: Mapping[str, str], *, plain: bool) -> list[_Column]:
    returns = [row.figures.get("total_return") for row in rows]
    drawdowns = [row.figures.get("max_drawdown") for row in rows]
    bars = _PLAIN_BARS if plain else _BARS
    return [
        _Column("run", [names[row.run_id] for row in rows]),
        _Column("strategy", [row.strategy.rsplit("/", 1)[-1] for row in rows], yields=7),
        _Column("symbol", [row.symbol for row in rows], yields=6),
        _Column("bars", [row.interval for row in rows], yields=5),
        _Column("days", [f"{row.days:,.1f}" for row in rows], right=True, yields=1),
        _Column("return", [percent(value, sign=True) for value in returns], right=True, style=_colour),
        _Column("drawdown", [percent(value) for value in drawdowns], right=True, yields=2),
        _Column("trades", [f"{row.trades:,}" for row in rows], right=True, yields=4),
        _Column("equity", [sparkline(row.curve, bars) for row in rows], yields=3, style=_colour),
    ]


def sparkline(values: Sequence[float], bars: str = _BARS) -> str:
    """Return one bar for each value, from the lowest to the highest of them; all alike are in the middle."""
    if not values:
        return ""
    low, span, top = min(values), max(values) - min(values), len(bars) - 1
    if not span:
        return bars[top // 2] * len(values)
    return "".join([bars[round((value - low) / span * top)] for value in values])


def _short_names(ids: Sequence[str]) -> dict[str, str]:
    """Return the start of each id up to its second, up to its millisecond, or all of it, whichever is its alone."""
    lengths = (_SECOND, _MILLISECOND)
    counts = {length: Counter(run_id[:length] for run_id in ids) for length in lengths}
    return {
        run_id: next((run_id[:length] for length in lengths if counts[length][run_id[:length]] == 1), run_id)
        for run_id in ids
    }


def _words(row: RunRow, room: int | None) -> str:
    text = " ".join([*(["demo"] if row.demo else []), *(f"#{tag}" for tag in row.tags), row.note]).strip()
    return text if room is None or len(text) <= room else text[: room - 1] + "…"


def _width(columns: Sequence[_Column]) -> int:
    return sum(column.width + len(_GAP) for column in columns) - len(_GAP)


def _foregone(columns: Sequence[_Column]) -> list[_Column]:
    return sorted((column for column in columns if column.yields), key=lambda column: column.yields)


def _colour(row: RunRow) -> str:
    made = row.figures.get("total_return") or 0.0
    return GOOD if made > 0 else BAD if made < 0 else ""


def _painter(console: Console) -> Callable[[str, str], str]:
    """Return what puts a style around a text, or leaves it alone where there are no colours."""
    if not console.is_terminal or console.color_system is None:
        return lambda text, _style: text
    frames = {
        name: Style.parse(name).render("\0", color_system=ColorSystem.STANDARD) for name in (GOOD, BAD, DIM, WARN)
    }
    return lambda text, style: frames[style].replace("\0", text) if style and text else text
