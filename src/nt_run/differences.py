"""Two runs side by side: in what they differ, and where they part."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
import polars as pl

from nt_run.klines import tightened
from nt_run.results import FRAMES, LATER_FRAMES, Run

COMPARED = (*FRAMES, *LATER_FRAMES)
_UNLIKE = ("as_of", "source", "snapshot", "checks")
"""What says where rules come from, and not what they are."""
_DATA = ("fingerprint", "expected", "loaded", "completeness", "sources")
_ABSENT = "–"


def compare_runs(a: Run, b: Run) -> dict[str, Any]:
    """Return in what two runs differ, as `--json` prints it.

    `identical` says whether the results are the same to the last digit: bars, fills, trades, funding, equity, amounts
    and statistics. `parted` is, for each frame, the first row that differs, counted from 1, or `None`. `code` is
    `False` where the configurations are the same and the runs' identities are not: the strategy's source, or nt-run,
    has changed between them; `None` where the configurations differ, so that nothing is known of it.
    """
    config = _changes(_flat(msgspec.to_builtins(a.config)), _flat(msgspec.to_builtins(b.config)))
    ours, theirs = _figures(a.summary), _figures(b.summary)
    # Runs of earlier versions lack some of today's figures.
    figures = [change for change in _changes(ours, theirs) if change["key"] in ours.keys() & theirs.keys()]
    parted = {name: first_difference(getattr(a, name), getattr(b, name)) for name in COMPARED}
    # A cache that has got more decimals since keeps the same values at other scales.
    ours_bars, their_bars = tightened(a.klines), tightened(b.klines)
    same_bars = ours_bars.exponents == their_bars.exponents and ours_bars.frame.equals(their_bars.frame)
    return {
        "a": a.run_id,
        "b": b.run_id,
        "demo": a.config.demo or b.config.demo,
        "identical": same_bars and not figures and not any(parted.values()),
        "bars": same_bars,
        "config": config,
        "code": None if config else _identity(a) == _identity(b),
        "data": _changes(_picked(a.summary["data"], _DATA), _picked(b.summary["data"], _DATA)),
        "specs": _changes(_rules(a.specs), _rules(b.specs)),
        "versions": _changes(a.summary.get("versions", {}), b.summary.get("versions", {})),
        "figures": figures,
        "counts": {name: [_height(a, name), _height(b, name)] for name in COMPARED},
        "parted": parted,
    }


def differing(runs: Sequence[Run]) -> list[tuple[str, list[Any]]]:
    """Return the keys in which the configurations of runs differ, with the value of each run, `–` where it has none."""
    flats = [_flat(msgspec.to_builtins(run.config)) for run in runs]
    keys = dict.fromkeys(key for flat in flats for key in flat)
    rows = [(key, [flat.get(key, _ABSENT) for flat in flats]) for key in keys]
    return [(key, values) for key, values in rows if any(value != values[0] for value in values)]


def first_difference(a: pl.DataFrame | None, b: pl.DataFrame | None) -> dict[str, Any] | None:
    """Return the first row in which two frames differ, or `None`.

    Only columns that both have are compared: folders of earlier versions lack some. A frame that one run does not
    have at all is no difference either.

    Returns:
        `row` (from 1), `columns` that differ, and the rows `a` and `b` as objects, `None` where that frame has ended.
    """
    if a is None or b is None:
        return None
    columns = [name for name in a.columns if name in b.columns]
    a, b = a.select(columns), b.select(columns)
    both = min(a.height, b.height)
    unlike = pl.DataFrame({name: a[name].head(both).ne_missing(b[name].head(both)) for name in columns})
    rows = unlike.select(pl.any_horizontal(pl.all()).arg_true())[:, 0] if both else pl.Series([], dtype=pl.UInt32)
    if not len(rows):
        if a.height == b.height:
            return None
        return {"row": both + 1, "columns": columns, "a": _row(a, both), "b": _row(b, both)}
    at = int(rows[0])
    differ = [name for name in columns if unlike[name][at]]
    return {"row": at + 1, "columns": differ, "a": _row(a, at), "b": _row(b, at)}


def _row(frame: pl.DataFrame, at: int) -> dict[str, Any] | None:
    return frame.row(at, named=True) if at < frame.height else None


def _height(run: Run, name: str) -> int | None:
    frame = cast("pl.DataFrame | None", getattr(run, name))
    return None if frame is None else frame.height


def _changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[dict[str, Any]]:
    keys = [*a, *(key for key in b if key not in a)]
    return [
        {"key": key, "a": a.get(key, _ABSENT), "b": b.get(key, _ABSENT)}
        for key in keys
        if a.get(key, _ABSENT) != b.get(key, _ABSENT)
    ]


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested tables by dotted key."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat |= _flat(cast("dict[str, Any]", value), f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _figures(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Amounts, counts and statistics."""
    counts = {name: summary[name] for name in ("trades", "fills", "denied") if name in summary}
    return {**summary["account"], **summary["pnl"], **summary["metrics"], **counts}


def _picked(table: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: table[name] for name in names if name in table}


def _rules(specs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in specs.items() if name not in _UNLIKE}


def _identity(run: Run) -> str | None:
    """The digest in a run's id: of its configuration and its strategy's source."""
    found = re.search(r"-([0-9a-f]{8})(?:-demo)?$", str(run.summary["run_id"]))
    return found[1] if found else None
