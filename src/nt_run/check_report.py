"""What the tests of a strategy found: a table, then what a test that failed means."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from nt_run.formats import counted, short_time
from nt_run.tables import ALARM, DIM, GOOD, banner, grid, show, warning_lines
from nt_run.verdict import DEPENDS

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
        note = f"{result['orders']:,} orders alike, {test['processes']} of the runs in processes of their own"
        return True, name, runs, note
    return False, name, runs, f"they differ first at {short_time(test['difference']['time'])} UTC"


def _no_future(test: Mapping[str, Any]) -> Row:
    name, moments = "no look into the future", test["moments"]
    if test["passed"] is None:
        return None, name, "not run", ""
    good = [moment for moment in moments if moment["difference"] is None]
    return test["passed"], name, f"{len(good)} of {len(moments)}", "moments before which another future changed nothing"


def _later_start(test: Mapping[str, Any]) -> Row:
    name, starts = "the same from a later start", test["starts"]
    if not starts:
        return None, name, "not run", ""
    equal = [start for start in starts if start["agreement"] == "equal"]
    kinds = {start["agreement"] for start in starts}
    if test["passed"] is False:
        late = [counted(start["bars"], "bar") for start in starts if start["agreement"] in DEPENDS]
        note = f"never alike from {', '.join(late)} later"
    elif "by_position" in kinds:
        note = "the others held different positions to the end: choose a longer range to tell"
    elif equal:
        note = f"alike after {counted(max(start['equal_after_bars'] for start in starts), 'bar')} at most"
    else:
        note = "no orders to compare: choose a longer range to tell"
    good = None if equal and len(equal) < len(starts) and test["passed"] else test["passed"] or False
    return good, name, f"{len(equal)} of {len(starts)}", note


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
    if late := next((start for start in tests["later_start"]["starts"] if start["agreement"] in DEPENDS), None):
        title = f"Started {counted(late['bars'], 'bar')} later it never comes to agree"
        if late["agreement"] == "apart":
            title += ", and opens no position when the whole run does"
        title += ": what it does depends on where the range starts, and so would what it earns."
        if late["last_difference"]:
            title += " The last time the two decided differently in the same position:"
        parts.append(_example(title, late["last_difference"] or {}))
    return parts


def _example(title: str, difference: Mapping[str, Any]) -> RenderableType:
    if not difference:
        return Text(title)
    table = grid((DIM,), ("bold",))
    table.add_row("  at", f"{short_time(difference['time'])} UTC")
    for name, asked in difference.items():
        if name != "time":
            table.add_row(f"  {name.replace('_', ' ')}", asked or "no order")
    return Group(Text(title), table)
