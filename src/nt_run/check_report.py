"""What the tests of a strategy found: a table, then what a test that failed means."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from nt_run.formats import counted, short_time
from nt_run.tables import ALARM, DIM, GOOD, banner, grid, show, warning_lines

_AGREEMENTS = ("equal", "by_position", "never", "no_orders")

type Row = tuple[bool | None, str, str, str]


def print_check(result: Mapping[str, Any]) -> None:
    """Print the tests of one strategy."""
    tests = result["tests"]
    table = grid((None,), ("bold",), (None, "right"), (DIM,))
    for good, name, value, note in (
        _same_again(result, tests["determinism"]),
        _no_future(tests["future"]),
        _later_start(tests["later_start"]),
    ):
        mark = Text("·", style=DIM) if good is None else Text("✓", style=GOOD) if good else Text("!", style=ALARM)
        table.add_row(mark, name, value, note)
    parts: list[RenderableType] = [_title(result), table, *_explained(tests)]
    # The banner of a demo says what its first warning says.
    warnings = result["warnings"][1 if result["demo"] else 0 :]
    show(*parts, *([warning_lines(warnings)] if warnings else []))


def _title(result: Mapping[str, Any]) -> RenderableType:
    head = Text(result["instrument_id"], style="bold")
    span = f"{short_time(result['start'])} → {short_time(result['end'])} UTC"
    head.append(f"  {result['interval']}  {span}, {result['bars']:,} bars", style="default")
    params = " ".join(f"{name}={value}" for name, value in result["strategy"]["params"].items())
    strategy = Text(f"{result['strategy']['name']} {params}".rstrip(), style=DIM)
    return Group(*banner(demo=result["demo"]), head, strategy)


def _same_again(result: Mapping[str, Any], test: Mapping[str, Any]) -> Row:
    name, runs = "the same again", f"{test['runs']} runs"
    if not result["orders"]:
        return False, name, runs, "no order was sent, so nothing could be compared: choose a longer range"
    if test["passed"]:
        return True, name, runs, f"{result['orders']:,} orders alike, one of the runs in a process of its own"
    return False, name, runs, f"they differ first at {short_time(test['difference']['time'])} UTC"


def _no_future(test: Mapping[str, Any]) -> Row:
    name, moments = "no look into the future", test["moments"]
    if test["passed"] is None:
        return None, name, "not run", ""
    good = [moment for moment in moments if moment["difference"] is None]
    return test["passed"], name, f"{len(good)} of {len(moments)}", "moments before which another future changed nothing"


def _later_start(test: Mapping[str, Any]) -> Row:
    name, starts = "the same from a later start", test["starts"]
    if test["passed"] is None:
        return None, name, "not run", ""
    by = {kind: [start for start in starts if start["agreement"] == kind] for kind in _AGREEMENTS}
    if by["never"]:
        note = "never alike from " + ", ".join(counted(start["bars"], "bar") for start in by["never"]) + " later"
    elif by["by_position"]:
        note = "the others held different positions to the end: choose a longer range to tell"
    elif by["no_orders"]:
        note = "no orders to compare"
    else:
        note = (
            f"alike after {counted(max(start['equal_after_bars'] for start in starts), 'bar')} at most"
            if starts
            else ""
        )
    good = None if test["passed"] and len(by["equal"]) < len(starts) else test["passed"]
    return good, name, f"{len(by['equal'])} of {len(starts)}", note


def _explained(tests: Mapping[str, Any]) -> list[RenderableType]:
    """Return what each failed test means, with its first example."""
    parts: list[RenderableType] = []
    if again := tests["determinism"]["difference"]:
        parts.append(
            _example(
                "Random numbers without a seed, the order of a set, the clock, or state that outlives a run:", again
            )
        )
    if ahead := next((moment for moment in tests["future"]["moments"] if moment["difference"]), None):
        title = f"With other bars after {short_time(ahead['time'])} UTC it decided otherwise before, so it knew them:"
        if ahead["future"] == "end":
            title = f"With data that end soon after {short_time(ahead['time'])} UTC it decided otherwise before:"
        parts.append(_example(title, ahead["difference"]))
    if late := next((start for start in tests["later_start"]["starts"] if start["agreement"] == "never"), None):
        title = (
            f"Started {counted(late['bars'], 'bar')} later it never comes to agree: what it does depends on where the "
            "range starts, and so would what it earns. The last time the two decided differently in the same position:"
        )
        parts.append(_example(title, late["last_difference"]))
    return parts


def _example(title: str, difference: Mapping[str, Any]) -> RenderableType:
    table = grid((DIM,), ("bold",))
    table.add_row("  at", f"{short_time(difference['time'])} UTC")
    for name, asked in difference.items():
        if name != "time":
            table.add_row(f"  {name.replace('_', ' ')}", asked or "no order")
    return Group(Text(title), table)
