"""The smallest balance that loses no signal, as a table."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from nt_run.formats import amount, percent, short_time
from nt_run.tables import DIM, banner, grid, show, warning_lines

_MUCH = 1.1


def print_capital(found: Mapping[str, Any]) -> None:
    """Print what `nt_run.capital.find_capital` found."""
    parts: list[RenderableType] = [_title(found), _table(found)]
    for title, counts in (
        ("Refused whatever the balance", found["refused_anyway"]),
        ("Entries cut to what the account can carry, a larger one by as much", found["capped"]),
    ):
        if counts:
            rows = Text("\n".join(f"{count:,} x {reason}" for reason, count in counts.items()))
            parts.append(Group(Text(title, style="bold"), Padding(rows, (0, 0, 0, 2))))
    # The banner of a demo says what its first warning says.
    warnings = found["warnings"][1 if found["demo"] else 0 :]
    show(*parts, *([warning_lines(warnings)] if warnings else []))


def _table(found: Mapping[str, Any]) -> RenderableType:
    asset, lost = found["asset"], found["lost_below"]
    table = grid(("bold",), (None, "right"), (DIM,))
    whole = "no signal is lost, nor cut by the exchange" if found["capped"] else "no signal is lost or cut"
    table.add_row("Smallest balance", f"{_whole(found['balance'])} {asset}", whole)
    if lost is None:
        table.add_row("Limited by", "nothing", "one unit is enough")
    else:
        note = f"{lost['count']:,} lost" + (f", the first {short_time(lost['first'])} UTC" if lost["first"] else "")
        table.add_row("With", f"{_whole(found['below'])} {asset}", note)
        table.add_row("Limited by", found["limited_by"], lost["reason"])
    position, above = found["position"], found["too_large"]
    if position and position["actual_share"] > _MUCH * position["asked_share"]:
        note = f"of equity in one position, asked {percent(position['asked_share'])}"
        # Below it, the account had fallen so far by the time.
        if Decimal(position["near_from"]) > Decimal(found["balance"]):
            note += f": rounded to the step; at most a tenth more from about {_whole(position['near_from'])} {asset} on"
        table.add_row("Takes up to", percent(position["actual_share"]), note)
    if above:
        told = ", ".join(f"{count:,} x {reason}" for reason, count in above["orders"].items())
        table.add_row("Too large", f"{_whole(above['balance'])} {asset}", f"cut or refused: {told}")
    begun = f"the first with {_whole(found['tried'][0]['balance'])} {asset}"
    table.add_row("Found in", f"{found['runs']} runs", f"{found['seconds']:.1f} s, {begun}; none of them kept")
    return table


def _title(found: Mapping[str, Any]) -> RenderableType:
    head = Text(found["instrument_id"], style="bold")
    span = f"{short_time(found['start'])} → {short_time(found['end'])} UTC"
    head.append(f"  {found['interval']}  {span}", style="default")
    params = " ".join(f"{name}={value}" for name, value in found["strategy"]["params"].items())
    strategy = Text(f"{found['strategy']['name']} {params}".rstrip(), style=DIM)
    return Group(*banner(demo=found["demo"]), head, strategy)


def _whole(text: str) -> str:
    return amount(text).removesuffix(".00")
