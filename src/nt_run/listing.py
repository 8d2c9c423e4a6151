"""Data and runs as listings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from nt_run.formats import counted, kind_name, percent, short_time, whole_percent
from nt_run.tables import BAD, DIM, banner, first_that_fits, grid, show, warning_lines

_DATE = len("2026-05-01")
_NAMES = {"symbol", ""}
"""Headings of cells that belong to the name of their row."""


def print_data(fetched: Sequence[Mapping[str, Any]], *, demo: bool) -> None:
    """Print what a fetch brought into the cache, each symbol in each interval."""
    show(*banner(demo=demo), *(part for each in fetched for part in _fetched(each)))


def _fetched(fetched: Mapping[str, Any]) -> list[RenderableType]:
    data, mark = fetched["data"], fetched["mark"]
    head = Text(f"{fetched['symbol']} {fetched['interval']}", style="bold")
    head.append(f"  {short_time(fetched['start'])} → {short_time(fetched['end'])} UTC", style="default")
    table = grid(("bold",), (None,))
    for name, each in (("klines", data), ("mark klines", mark)):
        if each is not None:
            sources = ", ".join(f"{kind} {whole_percent(share)}" for kind, share in each["sources"].items())
            table.add_row(name, f"{each['loaded']:,}, {percent(each['completeness'])} complete, from {sources}")
    if fetched["funding_rates"] is not None:
        table.add_row("funding rates", f"{fetched['funding_rates']:,}")
    if data is not None:
        table.add_row("fingerprint", data["fingerprint"])
    # The banner says what a demo's first warning says.
    warnings = fetched["warnings"][1 if fetched["demo"] else 0 :]
    return [head, table, *([warning_lines(warnings)] if warnings else [])]


def print_series(series: Sequence[Mapping[str, Any]], cache: Path, *, demo: bool) -> None:
    """Print what the cache holds, one line per series."""
    rows = [
        (
            kind_name(one["kind"]),
            one["symbol"],
            one["interval"],
            "see below"
            if one["damaged"]
            else f"{short_time(one['first'])[:_DATE]} → {short_time(one['last'])[:_DATE]}",
            f"{one['rows']:,}",
            percent(one["coverage"], 1),
            f"{one['bytes'] / 1e6:,.1f}",
        )
        for one in series
    ]
    other = "" if demo else " (that of the synthetic market: --demo)"
    empty = f"There is no market data in {cache} yet{other}. Start with: nt-run data get --symbol BTCUSDT"
    headings = ("kind", "symbol", "", "range (UTC)", "rows", "there", "MB")
    notes = [Text(f"! {_name(one)}: {one['damaged']}", style=BAD) for one in series if one["damaged"]]
    notes += [
        Text(
            f"! {_name(one)}: sources disagree on {counted(one['disputed'], 'bar')}; no run uses these before you say "
            "whose to use: nt-run data repair --prefer SOURCE",
            style=BAD,
        )
        for one in series
        if one["disputed"]
    ]
    print_table(headings, rows, empty=empty, demo=demo, notes=notes)


def _name(one: Mapping[str, Any]) -> str:
    return f"{kind_name(one['kind'])} {one['symbol']} {one['interval']}".rstrip()


def print_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    empty: str,
    demo: bool = False,
    notes: Sequence[Text] = (),
) -> None:
    """Print a plain listing, or what to do when there is nothing to list; cells below each other if it is narrow."""
    if not rows:
        show(*banner(demo=demo), Text(empty))
        return
    table = Table(box=None, pad_edge=False, header_style=DIM)
    for index, heading in enumerate(headings):
        right = index and _numeric(rows[0][index])
        table.add_column(heading, justify="right" if right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    show(*banner(demo=demo), first_that_fits(table, _one_below_the_other(headings, rows)), *notes, narrowest=0)


def _one_below_the_other(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> RenderableType:
    parts: list[RenderableType] = []
    for row in rows:
        own = [place for place, heading in enumerate(headings) if not place or heading in _NAMES]
        table = grid((DIM,), (None,))
        for place, heading in enumerate(headings):
            if place not in own:
                table.add_row(heading, row[place])
        parts += [Text(" ".join(row[place] for place in own).rstrip(), style="bold"), Padding(table, (0, 0, 0, 2))]
    return Group(*parts)


def _numeric(text: str) -> bool:
    return text[:1] in "+-–0123456789" and not set(text) & set("→:Z")
