"""Looking after a cache: what it covers, whether it is sound, repair, removal, export, import.

Every function returns one plain object, as `--json` prints it.
"""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import msgspec

from nt_run.config import RunConfig
from nt_run.data.audit import Problem, Verified
from nt_run.data.conflicts import Family
from nt_run.data.coverage import coverage
from nt_run.data.export import Format, export_klines
from nt_run.data.importing import ImportOrder
from nt_run.data.kline_store import KLINES, MARK_KLINES, KlineStore
from nt_run.data.prune import find_waste, remove
from nt_run.data.references import CrossChecked
from nt_run.data.selection import Selection, find_unmatched
from nt_run.errors import DataError, NotCachedError, StoreError, UsageError
from nt_run.inputs import KINDS, cached_series, fetch, market_root, open_market
from nt_run.klines import DAY_MS, Gap, find_gaps
from nt_run.model import Interval, TimeRange, format_iso, parse_symbol, parse_time
from nt_run.progress import ProgressDisplay


def selection(symbols: str | None, intervals: str | None) -> Selection:
    """Return what lists such as `BTCUSDT,ETHUSDT` and `1m,1h` mean; nothing given means everything.

    Raises:
        UsageError: One of them is no symbol, or no interval.
    """
    return Selection(
        symbols=frozenset(parse_symbol(each) for each in _listed(symbols)),
        intervals=frozenset(Interval(each).name for each in _listed(intervals)),
    )


def fetch_all(
    config: RunConfig,
    symbols: str | None,
    intervals: str | None,
    cache_dir: Path,
    progress: ProgressDisplay,
    *,
    kinds: str | None = None,
) -> list[dict[str, Any]]:
    """Bring every symbol in every interval into the cache, and return one object for each; see `inputs.fetch`.

    Raises:
        UsageError: `kinds` lists something else than `inputs.KINDS`.
    """
    chosen = _listed(kinds) or KINDS[:2]
    if strange := [kind for kind in chosen if kind not in KINDS]:
        raise UsageError(f"--kind must be one or several of {', '.join(KINDS)}, not {strange[0]!r}.")
    pairs = product(_listed(symbols) or [config.symbol], _listed(intervals) or [config.interval])
    configs = [
        msgspec.structs.replace(config, symbol=parse_symbol(symbol), interval=Interval(interval).name)
        for symbol, interval in pairs
    ]
    return [fetch(each, kinds=chosen, cache_dir=cache_dir, progress=progress) for each in configs]


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
    waste = find_waste(market_root(config, cache_dir), chosen, before_ms=before_ms)
    freed = remove(waste) if delete else 0
    files = [{"path": str(one.path), "bytes": one.bytes, "left_over": one.left_over} for one in waste]
    return {
        "demo": config.demo,
        "deleted": delete,
        "files": files,
        "bytes": sum(one.bytes for one in waste),
        "freed": freed,
    }


def exported(config: RunConfig, cache_dir: Path, target: Path, *, form: str, mark: bool = False) -> dict[str, Any]:
    """Write the cached klines of a configuration's range to a folder; no network.

    Raises:
        UsageError: `form` is not csv, parquet or archive, or no range is given.
        DataError: A part of the range is not cached.
    """
    forms: dict[str, Format] = {"csv": "csv", "parquet": "parquet", "archive": "archive"}
    if form not in forms:
        raise UsageError(f"--format must be one of {', '.join(forms)}, not {form!r}.")
    interval, kind = Interval(config.interval), MARK_KLINES if mark else KLINES
    root = market_root(config, cache_dir)
    with open_market(config, cache_dir=cache_dir, offline=True) as market:
        wanted = _range(config) or market.newest_cached_range(config.symbol, interval, kind)
        if wanted is None:
            nothing = f"There are no {config.interval} klines of {config.symbol} in the cache."
            raise DataError(f"{nothing}\nFetch some first: {_get(config, None, mark=mark)}")
        if form == "archive" and not _range(config):
            wanted = _whole_days(wanted)
        load = market.load_mark_klines if mark else market.load_klines
        try:
            loaded = load(config.symbol, interval, wanted, min_completeness=0.0)
        except NotCachedError as exc:
            lacking = f"The cache does not have {exc.what}: {exc.missing[0]}{' and more' if exc.missing[1:] else ''}."
            raise DataError(f"{lacking}\nFetch it first: {_get(config, wanted, mark=mark)}") from exc
        except StoreError as exc:
            raise StoreError(exc.path, exc.reason, "nt-run data repair fetches it again.") from exc
    klines = loaded.klines
    manifest = KlineStore(root, config.symbol, interval, repair=False, kind=kind).series.manifest()
    files = export_klines(klines, wanted, kind, manifest, target, forms[form])
    holes = [_hole_object(gap, interval) for gap in loaded.certificate.gaps]
    return {"demo": config.demo, "rows": len(klines), "holes": holes, "files": [str(path) for path in files]}


def _get(config: RunConfig, wanted: TimeRange | None, *, mark: bool) -> str:
    """The command that fetches klines."""
    words = f"nt-run data get{' --demo' if config.demo else ''} --symbol {config.symbol} --interval {config.interval}"
    if mark:
        words += " --kind mark"
    return (
        words if wanted is None else f"{words} --start {format_iso(wanted.start_ms)} --end {format_iso(wanted.end_ms)}"
    )


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


def _hole_object(gap: Gap, interval: Interval) -> dict[str, Any]:
    return {**_range_object(gap.range), "bars": gap.range.bars(interval), "status": gap.status}


def _problem(problem: Problem) -> dict[str, Any]:
    series = problem.series
    return {
        "kind": problem.kind,
        "series": "exchangeInfo" if series is None else str(series),
        "file": problem.file,
        "reason": problem.reason,
    }


def _whole_days(cached: TimeRange) -> TimeRange:
    """Return the days that a cached range has from beginning to end; the range itself if there is none."""
    first, last = -(-cached.start_ms // DAY_MS) * DAY_MS, cached.end_ms // DAY_MS * DAY_MS
    return TimeRange(first, last) if first < last else cached


def _range(config: RunConfig) -> TimeRange | None:
    return config.time_range(0) if config.start and config.end else None


def _listed(text: str | None) -> Sequence[str]:
    return [each.strip() for each in (text or "").split(",") if each.strip()]
