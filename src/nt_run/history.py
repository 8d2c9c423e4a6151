"""All kept runs at a glance: one row each, from an index that is rebuilt where it does not fit what is there.

The folders are the truth. `runs/.index.json` only saves reading them: a row is used while the sizes and times of its
files are those it was made of; whatever is new or changed is read again, whatever is gone is forgotten, and an index
that cannot be read is made anew. Nothing heavy is imported as long as the index fits.
"""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from nt_run.annotations import Annotations, shown_annotations
from nt_run.errors import UsageError
from nt_run.folders import SUMMARY

INDEX = ".index.json"
_VERSION = 2
_POINTS = 10
_DATES = ("max_drawdown_start", "max_drawdown_end", "max_drawdown_recovered")
_DAY_MS = 86_400_000


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a listing says of a run; `figures` are its metrics, PnL and account, `curve` is its equity at 10 times."""

    run_id: str
    created: str | None
    demo: bool
    symbol: str
    interval: str
    start: str
    end: str
    days: float
    strategy: str
    params: dict[str, str | int | float | bool]
    trades: int
    figures: dict[str, float | None]
    curve: list[float]
    note: str = ""
    tags: list[str] = []


type Stamp = tuple[int, int, int]
"""Modification time (ns) of a run's folder, which new notes change, too; time and size of its summary."""


class _Index(msgspec.Struct):
    version: int
    rows: dict[str, tuple[Stamp, RunRow | None]]
    """By folder; no row for a folder that is damaged."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs to list; `None` and an empty tuple choose all."""

    symbol: str | None = None
    strategy: str | None = None
    interval: str | None = None
    tags: tuple[str, ...] = ()
    demo: bool | None = None

    def takes(self, row: RunRow) -> bool:
        """Return whether a run is among those chosen; a strategy is named by a part of its name."""
        return (
            self.symbol in (None, row.symbol)
            and (self.strategy is None or self.strategy in row.strategy)
            and self.interval in (None, row.interval)
            and set(self.tags) <= set(row.tags)
            and self.demo in (None, row.demo)
        )


def choice(
    *, symbol: str | None, strategy: str | None, interval: str | None, tags: Sequence[str], demo: bool | None
) -> Choice:
    """Return the choice that flags mean; symbol and interval in any form a run takes.

    Raises:
        UsageError: One of them is no symbol, or no interval.
    """
    if symbol or interval:
        from nt_run.model import Interval, parse_symbol  # noqa: PLC0415 - not needed by most listings

        symbol = parse_symbol(symbol) if symbol else None
        interval = Interval(interval).name if interval else None
    return Choice(
        symbol=symbol or None,
        strategy=strategy,
        interval=interval or None,
        tags=tuple(tags),
        demo=demo,
    )


def run_rows(runs: Path) -> tuple[list[RunRow], list[str]]:
    """Return the rows of all kept runs, oldest first, and the names of folders that are damaged."""
    known = _read_index(runs)
    rows: dict[str, tuple[Stamp, RunRow | None]] = {}
    for name, stamp in _stamps(runs):
        kept = known.get(name)
        rows[name] = kept if kept is not None and kept[0] == stamp else (stamp, _read_row(runs / name))
    if len(rows) != len(known) or any(known.get(name) is not row for name, row in rows.items()):
        _write_index(runs, rows)
    return [row for _, row in rows.values() if row is not None], [name for name, (_, row) in rows.items() if not row]


def chosen(rows: Sequence[RunRow], wanted: Choice, sort: str | None, *, reverse: bool = False) -> list[RunRow]:
    """Return the rows of a choice, sorted by a figure or by a column, smallest first and what has none before them.

    Raises:
        UsageError: No run has what is to be sorted by.
    """
    taken = [row for row in rows if wanted.takes(row)]
    if sort is not None:
        plain = {"run_id", "created", "symbol", "interval", "strategy", "days", "trades", "start", "end"}
        names = plain.union(*(row.figures for row in rows))
        if sort not in names:
            from nt_run.settings import nearest  # noqa: PLC0415 - not needed by listings that work

            raise UsageError(f"There is no {sort!r} to sort by.{nearest(sort, names)} There are {_listed(names)}.")
        taken.sort(key=lambda row: _key(getattr(row, sort) if sort in plain else row.figures.get(sort)))
    return taken[::-1] if reverse else taken


def _key(value: Any) -> tuple[bool, Any]:  # noqa: ANN401 - numbers or texts, never both in one column
    return (False, 0) if value is None else (True, value)


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))


def _stamps(runs: Path) -> list[tuple[str, Stamp]]:
    """Return the folders that are runs, with what tells whether they have changed."""
    found: list[tuple[str, Stamp]] = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(runs) as folders:
        for folder in folders:
            if folder.name.startswith("."):
                continue
            with contextlib.suppress(OSError):
                summary = os.stat(f"{folder.path}/{SUMMARY}")  # noqa: PTH116 - thousands of them
                found.append((folder.name, (folder.stat().st_mtime_ns, summary.st_mtime_ns, summary.st_size)))
    return sorted(found)


def _read_index(runs: Path) -> dict[str, tuple[Stamp, RunRow | None]]:
    try:
        index = msgspec.json.decode((runs / INDEX).read_bytes(), type=_Index)
    except (OSError, ValueError):
        return {}
    return index.rows if index.version == _VERSION else {}


def _write_index(runs: Path, rows: dict[str, tuple[Stamp, RunRow | None]]) -> None:
    import tempfile  # noqa: PLC0415 - not needed while the index fits

    # Without it the next listing only takes longer: a folder that cannot be written is no reason to fail.
    with contextlib.suppress(OSError):
        handle, scratch = tempfile.mkstemp(prefix=".index-", dir=runs)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.encode(_Index(version=_VERSION, rows=rows)))
            Path(scratch).replace(runs / INDEX)
        finally:
            Path(scratch).unlink(missing_ok=True)


def _read_row(folder: Path) -> RunRow | None:
    from nt_run.results import read_curve, read_summary  # noqa: PLC0415 - heavy, and not needed while the index fits

    try:
        return _row(folder.name, read_summary(folder), read_curve(folder, _POINTS), shown_annotations(folder))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _row(name: str, summary: dict[str, Any], curve: list[float], beside: Annotations) -> RunRow:
    from nt_run.model import parse_time  # noqa: PLC0415 - not needed while the index fits

    account = {key: summary["account"][key] for key in ("starting_balance", "final_balance", "final_equity")}
    amounts = {key: float(text) for key, text in (summary["pnl"] | account).items()}
    metrics: dict[str, float | None] = {
        key: value
        for key, value in summary["metrics"].items()
        if isinstance(value, int | float | None) and key not in _DATES
    }
    span = parse_time(summary["end"]) - parse_time(summary["start"])
    return RunRow(
        run_id=name,
        created=summary.get("created"),
        demo=summary["demo"],
        symbol=summary["symbol"],
        interval=summary["interval"],
        start=summary["start"],
        end=summary["end"],
        days=round(span / _DAY_MS, 6),
        strategy=summary["strategy"]["name"],
        params=summary["strategy"]["params"],
        trades=summary["trades"],
        figures=metrics | amounts,
        curve=curve,
        note=beside.note,
        tags=list(beside.tags),
    )
