"""What the `nt-run data` commands print."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.text import Text

from nt_run.formats import counted, kind_name, percent, short_time
from nt_run.tables import BAD, DIM, GOOD, WARN, banner, first_that_fits, grid, show

_MOST = 10
_SIGNS = {
    "complete": ("█", GOOD),
    "part": ("▄", GOOD),
    "open": ("▂", WARN),
    "absent": ("░", WARN),
    "short": ("▓", BAD),
    "none": ("·", DIM),
}
_LEGEND = (
    ("complete", "complete"),
    ("part", "in part"),
    ("open", "open"),
    ("absent", "holes no source fills"),
    ("short", "holes"),
    ("none", "not fetched"),
)


_INITIALS = "JFMAMJJASOND"


def print_coverage(series: Sequence[Mapping[str, Any]], *, demo: bool) -> None:
    """Print a line of twelve months per year and series."""
    if not series:
        empty = "There is no market data in the cache yet. Start with: nt-run data get --symbol BTCUSDT"
        show(*banner(demo=demo), Text(empty))
        return
    wide, narrow = grid(("bold",), (DIM,), (None,), (DIM,)), list[RenderableType]()
    wide.add_row("", "", Text("  ".join(_INITIALS), style=DIM), "")
    unknown: list[Text] = []
    for one in series:
        name = f"{kind_name(one['kind'])} {one['symbol']} {one['interval']}".rstrip()
        if one["damaged"]:
            # In the table, so long a note would leave the months no room.
            unknown.append(Text(f"! {name}: {one['damaged']}{_way_out(one['damaged'])}", style=BAD))
            continue
        below = grid((DIM,), (None,), (DIM,))
        for place, line in enumerate(_years(one)):
            wide.add_row("" if place else name, line.year, line.drawn(2), line.note)
            below.add_row(line.year, line.drawn(1), line.note)
        narrow += [Text(name, style="bold"), below]
    signs = ((*_SIGNS[state], words) for state, words in _LEGEND)
    legend = Columns([Text(f"{sign} ", style).append(words, style=DIM) for sign, style, words in signs], padding=(0, 3))
    drawn = [first_that_fits(wide, Group(*narrow))] if narrow else []
    show(*banner(demo=demo), *drawn, legend, *unknown, narrowest=0)


def _way_out(damaged: str) -> str:
    """What helps a series of which nothing is known; a newer format is no damage, and says itself what helps."""
    return ": nt-run data repair" if damaged.startswith("is ") else ""


def print_verified(found: Mapping[str, Any]) -> None:
    """Print what was checked and what is wrong."""
    compared = f", {found['remote']:,} compared with the archive" if found["remote"] else ""
    rules = f", {counted(found['snapshots'], 'answer')} with rules or brackets" if found["snapshots"] else ""
    head = Text(f"{counted(found['rows'], 'row')} in {counted(found['files'], 'file')} of {found['series']:,} series")
    head.append(f"{rules}{compared}: ")
    if found["sound"] and not found["series"] and not found["snapshots"]:
        demo = "" if found["demo"] else " That of the synthetic market is another one: --demo."
        head = Text(f"There is nothing in the cache to verify.{demo}")
    elif found["sound"]:
        head.append("sound", GOOD)
    else:
        head.append(counted(len(found["problems"]), "problem"), BAD)
    notes = (Text(words, style=DIM) for words in found["notes"])
    show(*banner(demo=found["demo"]), head, *_problems(found["problems"]), *notes)


def advice(problems: Sequence[Mapping[str, Any]]) -> str:
    """Return how many things are wrong, and which command puts them right."""
    conflicts = sum(one["kind"] == "conflict" for one in problems)
    others = sum(one["kind"] == "unusable" for one in problems)
    remote = sum(one["kind"] == "replaced" for one in problems)
    words = [f"{counted(len(problems), 'problem')}."]
    if len(problems) > conflicts + others:
        words.append(f"nt-run data repair{' --remote' if remote else ''} fetches again what a source still has.")
    if conflicts:
        words.append("nt-run data repair --prefer SOURCE says whose rows to use where sources disagree.")
    if any(one["kind"] == "gone" for one in problems):
        words.append("What no source has comes back by importing it again, or is given up: nt-run data prune --delete.")
    return " ".join(words)


def print_repaired(mended: Mapping[str, Any]) -> None:
    """Print what was found, done and left."""
    if not mended["found"]:
        show(*banner(demo=mended["demo"]), Text("Nothing is wrong."))
        return
    done = (Text(f"✓ {words}", style=GOOD) for words in mended["done"])
    failed = (Text(f"✗ {words}", style=BAD) for words in mended["failed"])
    show(*banner(demo=mended["demo"]), *_problems(mended["found"]), *done, *failed)
    if mended["left"]:
        show(Text("Still wrong:", style=BAD), *_problems(mended["left"]))


def print_pruned(waste: Mapping[str, Any]) -> None:
    """Print what could go, or is gone."""
    root = Path(waste["root"])
    lines = [
        Text(f"{Path(one['path']).relative_to(root)}  {one['bytes']:,} bytes, {one['why']}", no_wrap=True)
        for one in waste["files"]
    ]
    lines += [Text(f"{one['series']} {one['lost']} (on record until given up)") for one in waste["given_up"]]
    what = [f"{counted(len(waste['files']), 'file')}, {waste['bytes']:,} bytes"] if waste["files"] else []
    what += [f"the record of {counted(len(waste['given_up']), 'lost file')}"] if waste["given_up"] else []
    done = "deleted" if waste["deleted"] else "could be deleted: add --delete"
    lines.append(Text(f"{' and '.join(what)} {done}" if what else "Nothing to delete."))
    lines.append(Text(f"below {root}", style=DIM, no_wrap=True))
    show(*banner(demo=waste["demo"]), *lines)


def print_exported(written: Mapping[str, Any]) -> None:
    """Print the files written."""
    paths = (Text(path, no_wrap=True) for one in written["exported"] for path in one["files"])
    rows = sum(one["rows"] for one in written["exported"])
    show(*banner(demo=written["demo"]), *paths, Text(counted(rows, "row"), style=DIM))


def tell_lacking(exported: Sequence[Mapping[str, Any]]) -> None:
    """Say on stderr what exports lack: of their range, and of what is cached if no range was asked for."""
    for one in exported:
        name = " ".join(each for each in (kind_name(one["kind"]), one["symbol"], one["interval"]) if each)
        lost = sum(hole["bars"] for hole in one["holes"])
        fates = {"confirmed_absent": "no source has it", "unverified": "unexplained"}
        places = [
            f"{short_time(hole['start'])} → {short_time(hole['end'])} ({fates[hole['status']]})"
            for hole in one["holes"][:_MOST]
        ]
        more = f" and {len(one['holes']) - _MOST} holes more" if len(one["holes"]) > _MOST else ""
        if lost:
            what = f"{counted(lost, 'bar')} of {one['rows'] + lost:,} are not in the files"
            _tell(f"{name}: {what}: {', '.join(places)}{more}")
        if one["left_out"]:
            older = f"{counted(one['left_out'], 'row')} of the cache are not in the files"
            _tell(f"{name}: {older}, only what follows the last hole. --start and --end choose others.")


def _tell(words: str) -> None:
    print(f"! {words}", file=sys.stderr)  # noqa: T201 - for people


def print_imported(taken: Mapping[str, Any]) -> None:
    """Print what a file holds, what it was compared with, and what became of it."""
    table = grid(("bold",), (None,))
    table.add_row("file", f"{taken['file']}, sha256 {taken['sha256'][:16]}")
    twice = f", {counted(taken['repeated'], 'row')} more that the file has twice" if taken["repeated"] else ""
    table.add_row("klines", f"{taken['symbol']} {taken['interval']}, {counted(taken['rows'], 'row')}{twice}")
    table.add_row("range", f"{short_time(taken['start'])} → {short_time(taken['end'])} UTC")
    if taken["unknown_columns"]:
        table.add_row("unknown", ", ".join(taken["unknown_columns"]))
    for gap in taken["gaps"][:_MOST]:
        table.add_row("hole", f"{short_time(gap['start'])} → {short_time(gap['end'])}")
    if len(taken["gaps"]) > _MOST:
        table.add_row("", f"and {len(taken['gaps']) - _MOST} holes more")
    table.add_row(
        "compared", ", ".join(taken["compared_with"]) or Text("with nothing: there is no other source", style=WARN)
    )
    verdict = Text(f"{counted(taken['added'], 'row')} new in the cache", style=GOOD)
    if not taken["added"]:
        verdict = Text("no row is new: the cache has them all", style=DIM)
    if not taken["stored"]:
        verdict = Text("only checked: nothing was stored", style=DIM)
    show(*banner(demo=taken["demo"]), table, *_checked_lines(taken), verdict)


def print_cross_checked(found: Mapping[str, Any]) -> None:
    """Print what each series was compared with, and what looks like another market."""
    lines: list[Text] = []
    for one in found["series"]:
        against = ", ".join(one["compared_with"]) or "nothing: there is no other source"
        head = Text(f"{one['series']}: ", style="bold").append(f"compared with {against}", style=DIM)
        lines += [head, *_checked_lines(one)]
    if not lines:
        lines.append(Text("There are no klines in the cache to compare."))
    elif found["sound"]:
        lines.append(Text("No row looks like another market's.", style=GOOD))
    show(*banner(demo=found["demo"]), *lines)


def print_certificate(found: Mapping[str, Any]) -> None:
    """Print a run's data certificate, and what differs today."""
    now = found["now"]
    table = grid(("bold",), (None,))
    table.add_row("run", found["run_id"])
    table.add_row("fingerprint", now["fingerprint"])
    table.add_row("sources", ", ".join(f"{name} {percent(share)}" for name, share in now["sources"].items()))
    table.add_row("bars", f"{now['loaded']:,} of {now['expected']:,}, {percent(now['completeness'])}")
    table.add_row("settlements", now["settlements"] or "none, for none was charged")
    table.add_row("rules", now["rules"])
    if now["mark_fingerprint"]:
        table.add_row("mark prices", now["mark_fingerprint"])
    for gap in now["gaps"]:
        table.add_row("hole", f"{gap['start']} → {gap['end']}, {gap['status']}")
    for gap in now["missing_settlements"] or ():
        table.add_row(
            "missing", f"{counted(gap['count'], 'settlement')} {gap['start']} → {gap['end']}, {gap['status']}"
        )
    verdict = Text("the same as when it ran", style=GOOD)
    if not found["same"]:
        words = (f"{name} was {found['then'].get(name)}" for name in found["differ"])
        verdict = Text(f"differs: {'; '.join(words)}", style=BAD)
    show(*banner(demo=found["demo"]), table, *(Text(words, style=DIM) for words in found["notes"]), verdict)


@dataclass(frozen=True, slots=True)
class _Line:
    """A year of one series."""

    year: str
    states: Sequence[str | None]
    note: str | Text

    def drawn(self, width: int) -> Text:
        """Return twelve months, each of them as wide as asked for."""
        signs = [_SIGNS[state] if state else (" ", DIM) for state in self.states]
        return Text(" ").join(Text(sign * width, style=style) for sign, style in signs)


def _years(one: Mapping[str, Any]) -> Iterator[_Line]:
    for year, months in groupby(one["months"], key=lambda month: month["month"][:4]):
        known = {int(month["month"][5:]): month for month in months}
        missing, what = sum(month["missing"] for month in known.values()), "bar" if one["interval"] else "settlement"
        states = [known[month]["state"] if month in known else None for month in range(1, 13)]
        notes = [f"{counted(missing, what)} missing"] if missing else []
        if any(month["disputed"] for month in known.values()):
            notes.append("sources disagree")
        yield _Line(year, states, ", ".join(notes))


def _checked_lines(checked: Mapping[str, Any]) -> list[Text]:
    lines = [
        Text(
            f"! {short_time(one['start'])} → {short_time(one['end'])}: {one['rows']:,} rows {one['reason']}", style=BAD
        )
        for one in checked["suspicious"][:_MOST]
    ]
    if len(checked["suspicious"]) > _MOST:
        lines.append(Text(f"! and {len(checked['suspicious']) - _MOST} stretches more", style=BAD))
    return [*lines, *(Text(f"! {words}", style=WARN) for words in checked["warnings"])]


def _problems(problems: Sequence[Mapping[str, Any]]) -> list[Text]:
    return [Text(f"! {one['series']}: {one['file']} {one['reason']}", style=BAD) for one in problems]
