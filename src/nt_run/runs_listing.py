"""Kept runs as a listing as wide as the terminal: thousands of lines, so no table that measures each cell."""

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from nt_run import terminal
from nt_run.formats import percent
from nt_run.history import RunRow
from nt_run.terminal import BAD, DIM, GOOD, WARN

_BARS = "▁▂▃▄▅▆▇█"
_PLAIN_BARS = "_.-~=+*#"
_GAP = "  "
_LEAST_STRATEGY, _LEAST_WORDS, _ENOUGH_WORDS = 10, 4, 20
"""A long strategy's name gets more than its least after notes have got enough."""
_EASILY_MISSED, _AFTER_RETURN = 3, 6
_SECOND = len("20260701T000000")
_MILLISECOND = len("20260701T000000000Z")


_SECOND_LINE = ("strategy", "symbol", "bars")
"""What goes below the figures where there is no room beside them."""

type _Paint = Callable[[str, str], str]
"""What puts a style around a text."""


class _Column:
    """A column of a listing; `yields` says how early it gives way where space is short, 0 for never.

    Those above `_EASILY_MISSED` tell a good run from a bad one: they do not give way before a run has two lines.
    """

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

    def shortened(self, width: int) -> "_Column":
        """Return a column of names as one of `width`."""
        return _Column(self.heading, [_short_strategy(cell, width) for cell in self.cells])

    def padded(self, text: str) -> str:
        return text.rjust(self.width) if self._right else text.ljust(self.width)

    def painted(self, rows: Sequence[RunRow], paint: _Paint) -> list[str]:
        """Return the cells as wide as the column and in their colours."""
        return [paint(self.padded(cell), self.style(row)) for cell, row in zip(self.cells, rows, strict=True)]


def print_runs(rows: Sequence[RunRow], *, found: Sequence[RunRow], runs: Path, by: str | None = None) -> None:
    """Print one line per run, or what to do when there is none of the `found` ones, or none at all in `runs`.

    A figure that they are sorted `by` has a column of its own.

    A run is named by the shortest start of its id that no other one of those found has: that start is enough for every
    command. In a narrow terminal names are shortened and columns give way that can be read elsewhere; in one narrower
    still a run has two lines.
    """
    if not rows:
        start = f"There is no run in {runs} yet. Start with: nt-run backtest --symbol BTCUSDT"
        sys.stdout.write(f"None of the {len(found):,} runs is like that.\n" if found else f"{start}\n")
        return
    columns = _columns(rows, _short_names([row.run_id for row in found]), plain=terminal.is_plain())
    if by in rows[-1].figures and by not in ("total_return", "max_drawdown"):
        figures = [row.figures.get(by) for row in rows]
        columns.insert(_AFTER_RETURN, _Column(by, [_figure(value) for value in figures], right=True))
    words = [_words(row) for row in rows]
    width, paint = terminal.width(), terminal.painter()
    fitting = columns if width is None else _fitting(columns, max(map(len, words)), width)
    if width is None or fitting:
        lines = _one_line_each(rows, fitting, words, paint, width)
    else:
        lines = _two_lines_each(rows, columns, words, paint, width)
    text = "\n".join(lines) + "\n"
    # One sign for one, so that the line stays as long as it is.
    sys.stdout.write(text.replace("…", "~") if terminal.is_plain() else text)


def _one_line_each(
    rows: Sequence[RunRow], columns: Sequence[_Column], words: Sequence[str], paint: _Paint, width: int | None
) -> list[str]:
    room = None if width is None else width - _width(columns) - len(_GAP)
    heads = [column.padded(column.heading) for column in columns]
    if any(words) and (room is None or room >= len("notes")):
        heads.append("notes")
    lines = [paint(_GAP.join(heads).rstrip(), DIM)]
    marks = [paint(_cut(text, room), WARN if row.demo else DIM) for row, text in zip(rows, words, strict=True)]
    cells = [column.painted(rows, paint) for column in columns]
    return lines + [_GAP.join(row).rstrip() for row in zip(*cells, marks, strict=True)]


def _two_lines_each(
    rows: Sequence[RunRow], columns: Sequence[_Column], words: Sequence[str], paint: _Paint, width: int
) -> list[str]:
    strategy, *names = [column for column in columns if column.heading in _SECOND_LINE]
    figures = [column for column in columns if column.heading not in _SECOND_LINE]
    while _width(figures) > width and _foregone(figures):
        figures.remove(_foregone(figures)[0])
    lines = [paint(_GAP.join(column.padded(column.heading) for column in figures).rstrip(), DIM)]
    cells = [column.painted(rows, paint) for column in figures]
    for number, row in enumerate(rows):
        market = " ".join(column.cells[number] for column in names)
        room = width - len(f"{_GAP} {market}{_GAP}") - min(len(words[number]), _LEAST_WORDS)
        below = f"{_GAP}{_short_strategy(strategy.cells[number], max(room, _LEAST_STRATEGY))} {market}{_GAP}"
        marks = _cut((below + words[number]).rstrip(), width)
        lines += [_GAP.join(column[number] for column in cells).rstrip(), paint(marks, WARN if row.demo else DIM)]
    return lines


def _columns(rows: Sequence[RunRow], names: Mapping[str, str], *, plain: bool) -> list[_Column]:
    returns = [row.figures.get("total_return") for row in rows]
    drawdowns = [row.figures.get("max_drawdown") for row in rows]
    bars = _PLAIN_BARS if plain else _BARS
    return [
        _Column("run", [names[row.run_id] for row in rows]),
        _Column("strategy", [row.strategy.rsplit("/", 1)[-1] for row in rows]),
        _Column("symbol", [row.symbol for row in rows]),
        _Column("bars", [row.interval for row in rows], yields=3),
        _Column("days", [f"{row.days:,.1f}" for row in rows], right=True, yields=1),
        _Column("return", [percent(value, sign=True) for value in returns], right=True, style=_colour),
        _Column("drawdown", [percent(value) for value in drawdowns], right=True, yields=4),
        _Column("trades", [f"{row.trades:,}" for row in rows], right=True, yields=2),
        _Column("equity", [sparkline(row.curve, bars) for row in rows], yields=5, style=_colour),
    ]


def _fitting(columns: Sequence[_Column], words: int, width: int) -> list[_Column]:
    """Return the columns of one line that fit, with notes as long as `words`; none where too many would go."""
    kept = list(columns)
    least = len(_GAP) + min(words, _LEAST_WORDS) if words else 0
    enough = max(min(words, _ENOUGH_WORDS) - _LEAST_WORDS, 0)
    strategy = next(column for column in kept if column.heading == "strategy")
    short = strategy.shortened(min(strategy.width, _LEAST_STRATEGY))
    for gone in [None, *(column for column in _foregone(kept) if column.yields <= _EASILY_MISSED)]:
        kept = [column for column in kept if column is not gone]
        rest = width - least - _width(kept) + strategy.width - short.width
        if rest >= 0:
            strategy_width = min(strategy.width, short.width + max(rest - enough, 0))
            return [column.shortened(strategy_width) if column is strategy else column for column in kept]
    return []


def _short_strategy(name: str, width: int) -> str:
    """Return a strategy's name, or where it is too long its class, or as much of it as fits."""
    return name if len(name) <= width else _cut("…" + name.rsplit(":", 1)[1] if ":" in name else name, width)


def sparkline(values: Sequence[float], bars: str = _BARS) -> str:
    """Return one bar for each value, from the lowest to the highest of them; all alike are in the middle."""
    if not values:
        return ""
    low, span, top = min(values), max(values) - min(values), len(bars) - 1
    if not span:
        return bars[top // 2] * len(values)
    step = top / span
    return "".join([bars[int((value - low) * step + 0.5)] for value in values])


def _short_names(ids: Sequence[str]) -> dict[str, str]:
    """Return the start of each id up to its second, up to its millisecond, or all of it, whichever is its alone."""
    lengths = (_SECOND, _MILLISECOND)
    counts = {length: Counter(run_id[:length] for run_id in ids) for length in lengths}
    return {
        run_id: next((run_id[:length] for length in lengths if counts[length][run_id[:length]] == 1), run_id)
        for run_id in ids
    }


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:,.4f}" if abs(value) < 1 else f"{value:,.2f}"


def _words(row: RunRow) -> str:
    return " ".join([*(["demo"] if row.demo else []), *(f"#{tag}" for tag in row.tags), row.note]).strip()


def _cut(text: str, room: int | None) -> str:
    return text if room is None or len(text) <= room else text[: room - 1] + "…"


def _width(columns: Sequence[_Column]) -> int:
    return sum(column.width + len(_GAP) for column in columns) - len(_GAP)


def _foregone(columns: Sequence[_Column]) -> list[_Column]:
    return sorted((column for column in columns if column.yields), key=lambda column: column.yields)


def _colour(row: RunRow) -> str:
    made = row.figures.get("total_return") or 0.0
    return GOOD if made > 0 else BAD if made < 0 else ""
