"""Looking after a cache: what it covers, whether it is sound, repair, removal, import.

Every function returns one plain object, as `--json` prints it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from nt_run.config import RunConfig
from nt_run.data.audit import Problem, Verified
from nt_run.data.conflicts import Family
from nt_run.data.coverage import coverage
from nt_run.data.importing import ImportOrder
from nt_run.data.losses import forget_losses
from nt_run.data.prune import find_given_up, find_waste, remove
from nt_run.data.references import CrossChecked
from nt_run.data.selection import Selection, find_unmatched, names_in
from nt_run.errors import DataError, UsageError
from nt_run.inputs import cached_series, market_root, open_market
from nt_run.klines import find_gaps
from nt_run.model import Interval, TimeRange, format_iso, parse_symbol, parse_time
from nt_run.progress import ProgressDisplay


def selection(symbols: str | None, intervals: str | None) -> Selection:
    """Return what lists such as `BTCUSDT,ETHUSDT` and `1m,1h` mean; nothing given means everything.

    Raises:
        UsageError: One of them is no symbol, or no interval, or a list is empty.
    """
    return Selection(
        symbols=frozenset(parse_symbol(each) for each in names_in("--symbol", symbols)),
        intervals=frozenset(Interval(each).name for each in names_in("--interval", intervals)),
    )


def refuse_unmatched(config: RunConfig, chosen: Selection, cache_dir: Path) -> None:
    """Refuse a selection of which the cache has nothing: most likely it is mistyped.

    Raises:
        DataError: A symbol, an interval, or the two together match no series.
    """
    if words := find_unmatched(market_root(config, cache_dir), chosen):
        raise DataError(f"The cache has nothing of {words} nt-run data list shows what it has.")


def listed(config: RunConfig, chosen: Selection, cache_dir: Path) -> list[dict[str, Any]]:
    """Return the series that are meant; see `inputs.cached_series`."""
    refuse_unmatched(config, chosen, cache_dir)
    return [
        one
        for one in cached_series(config, cache_dir=cache_dir)
        if (not chosen.symbols or one["symbol"] in chosen.symbols)
        and (not chosen.intervals or not one["interval"] or one["interval"] in chosen.intervals)
    ]


def covered(config: RunConfig, chosen: Selection, cache_dir: Path) -> list[dict[str, Any]]:
    """Return the months of each series."""
    refuse_unmatched(config, chosen, cache_dir)
    return [
        {
            "kind": cover.series.kind,
            "symbol": cover.series.symbol,
            "interval": cover.series.interval,
            "damaged": cover.damaged,
            "months": [msgspec.to_builtins(month) for month in cover.months],
        }
        for cover in coverage(market_root(config, cache_dir), chosen)
    ]


def verified(config: RunConfig, chosen: Selection, cache_dir: Path, *, remote: bool) -> dict[str, Any]:
    """Check what the cache holds; `sound` says whether nothing is wrong."""
    refuse_unmatched(config, chosen, cache_dir)
    with open_market(config, cache_dir=cache_dir, offline=not remote) as market:
        return {"demo": config.demo} | _verified_object(market.verify(chosen, remote=remote))


def repaired(
    config: RunConfig,
    chosen: Selection,
    cache_dir: Path,
    progress: ProgressDisplay,
    *,
    prefer: str | None,
    remote: bool,
) -> dict[str, Any]:
    """Fetch again what is wrong, and check again.

    Raises:
        UsageError: `prefer` is not a source.
        StoreError: The cache was written by a newer version, or cannot be read.
    """
    families: dict[str | None, Family | None] = {None: None, "archive": "archive", "rest": "rest", "import": "import"}
    if prefer not in families:
        raise UsageError(f"--prefer must be archive, rest or import, not {prefer!r}.")
    family = families[prefer]
    refuse_unmatched(config, chosen, cache_dir)
    with open_market(config, cache_dir=cache_dir, offline=False, progress=progress) as market:
        found = market.verify(chosen, remote=remote).problems
        mended = market.mend(found, family)
        after = (
            market.verify(chosen, remote=remote)
            if found
            else Verified(series=0, files=0, rows=0, snapshots=0, remote=0, problems=[])
        )
    left = [_problem(one) for one in after.problems]
    return {"demo": config.demo, "found": [_problem(one) for one in found], **msgspec.to_builtins(mended), "left": left}


def pruned(
    config: RunConfig, chosen: Selection, cache_dir: Path, *, before: str | None, delete: bool
) -> dict[str, Any]:
    """List what could go, and remove it if `delete` says so.

    Raises:
        UsageError: `before` is neither a date nor a time.
    """
    before_ms = None if before is None else parse_time(before)
    refuse_unmatched(config, chosen, cache_dir)
    root = market_root(config, cache_dir)
    waste, given_up = find_waste(root, chosen, before_ms=before_ms), find_given_up(root, chosen)
    freed = remove(waste) if delete else 0
    if delete:
        for ref in given_up:
            forget_losses(ref.folder)
    return {
        "demo": config.demo,
        "deleted": delete,
        "root": str(root),
        "files": [{"path": str(one.path), "bytes": one.bytes, "why": one.why} for one in waste],
        "given_up": [{"series": str(ref), "lost": words} for ref, lost in given_up.items() for words in lost],
        "bytes": sum(one.bytes for one in waste),
        "freed": freed,
    }


def imported(
    config: RunConfig, cache_dir: Path, order: ImportOrder, progress: ProgressDisplay, *, offline: bool
) -> dict[str, Any]:
    """Check a user's own file and bring its klines into the cache; see `importing.import_klines` for the errors."""
    with open_market(config, cache_dir=cache_dir, offline=offline, progress=progress) as market:
        taken = market.import_file(order)
    file, klines = taken.file, taken.file.klines
    return {
        "file": file.name,
        "sha256": file.sha256,
        "demo": config.demo,
        "symbol": klines.symbol,
        "interval": klines.interval.name,
        "start": format_iso(klines.range.start_ms),
        "end": format_iso(klines.range.end_ms),
        "rows": len(klines),
        "added": taken.added,
        "stored": order.store,
        "repeated": file.repeated,
        "unknown_columns": file.unknown,
        "gaps": [_range_object(gap.range) for gap in find_gaps(klines, klines.range)],
        **_checked_object(taken.checked, file.remarks),
    }


def cross_checked(
    config: RunConfig, chosen: Selection, cache_dir: Path, progress: ProgressDisplay, *, offline: bool
) -> dict[str, Any]:
    """Compare cached klines with other sources; `sound` says whether none looks like another market's."""
    refuse_unmatched(config, chosen, cache_dir)
    with open_market(config, cache_dir=cache_dir, offline=offline, progress=progress) as market:
        found = market.cross_check(chosen)
    series = [{"series": str(ref), **_checked_object(checked)} for ref, checked in found]
    return {"sound": not any(one["suspicious"] for one in series), "demo": config.demo, "series": series}


def _verified_object(found: Verified) -> dict[str, Any]:
    return {
        "sound": not found.problems,
        "series": found.series,
        "files": found.files,
        "rows": found.rows,
        "snapshots": found.snapshots,
        "remote": found.remote,
        "problems": [_problem(one) for one in found.problems],
        "notes": found.notes,
    }


def _checked_object(checked: CrossChecked, remarks: Sequence[str] = ()) -> dict[str, Any]:
    return {
        "compared_with": checked.against,
        "suspicious": [
            {**_range_object(one.range), "rows": one.rows, "reason": one.reason} for one in checked.findings
        ],
        "warnings": [*remarks, *checked.remarks],
    }


def _range_object(time_range: TimeRange) -> dict[str, str]:
    return {"start": format_iso(time_range.start_ms), "end": format_iso(time_range.end_ms)}


def _problem(problem: Problem) -> dict[str, Any]:
    series = problem.series
    return {
        "kind": problem.kind,
        "series": "exchangeInfo" if series is None else str(series),
        "file": problem.file,
        "reason": problem.reason,
    }
