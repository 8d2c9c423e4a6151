"""The time line of trading rules: what is kept, what is added, what changed between two dates or files.

Every function returns one plain object, as `--json` prints it.
"""

import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from nt_run.config import RunConfig
from nt_run.data.exchange_info import answered_at, read_exchange_info
from nt_run.data.rules import parse_moment
from nt_run.data.snapshots import Snapshot, SnapshotStore
from nt_run.errors import NoSnapshotError, StoreError, UsageError
from nt_run.inputs import market_root, open_market
from nt_run.model import format_iso, format_time, parse_time
from nt_run.specs import TODAY, find_symbol
from nt_run.specs_diff import compare_answers, count_perpetuals, value_text

_DAY_MS = 86_400_000


def kept_snapshots(config: RunConfig, cache_dir: Path) -> list[dict[str, Any]]:
    """Return the kept answers, oldest first; a damaged one has no count."""
    store = _store(config, cache_dir)
    found: list[dict[str, Any]] = []
    for snapshot in store.all():
        damaged, count = "", None
        try:
            count = count_perpetuals(store.read(snapshot))
        except StoreError as exc:
            damaged = exc.reason
        found.append(
            {
                "first": format_iso(snapshot.fetched_at_ms),
                "last": format_iso(snapshot.last_seen_ms),
                "perpetuals": count,
                "content": snapshot.content_sha256,
                "file": snapshot.file,
                "damaged": damaged,
            }
        )
    return found


def import_answer(config: RunConfig, cache_dir: Path, path: Path, at: str | None) -> dict[str, Any]:
    """Keep a recorded exchangeInfo answer as one of `at`, or of the time it states itself.

    Raises:
        UsageError: There is no such file, or nothing says when the answer was given.
        DataError: The file holds no exchangeInfo answer.
    """
    answer = read_exchange_info(path)
    moment = parse_time(at) if at is not None else answered_at(answer)
    if moment is None:
        raise UsageError(f"{path} does not say when the exchange gave this answer. Say so with --at 2022-05-04T20:00.")
    if moment > time.time() * 1000 + _DAY_MS:
        raise UsageError(f"{path} would be of {format_time(moment)} UTC, which is not over yet. Check --at.")
    store = _store(config, cache_dir)
    before = len(store.all())
    snapshot = store.keep(answer, moment)
    return {
        "demo": config.demo,
        "snapshot": snapshot.file,
        "as_of": format_iso(moment),
        "perpetuals": count_perpetuals(answer),
        "content": snapshot.content_sha256,
        "known": len(store.all()) == before,
    }


def compared(
    config: RunConfig, cache_dir: Path, before: str, after: str, symbols: Collection[str] = ()
) -> dict[str, Any]:
    """Compare two answers, each a file, the answer kept of a date, or `today`, which is fetched if possible.

    Raises:
        UsageError: One of them is neither a file nor a date.
        DataError: Nothing is kept of the date, or the file holds no exchangeInfo answer.
        UnknownSymbolError: Neither answer lists one of the symbols.
    """
    if TODAY in (before, after):
        with open_market(config, cache_dir=cache_dir, offline=False) as market:
            market.keep_rules()
    store = _store(config, cache_dir)
    (one, left), (other, right) = (_side(store, text) for text in (before, after))
    for symbol in symbols:
        if not any(entry.get("symbol") == symbol for entry in one["symbols"]):
            find_symbol(other, symbol)
    diff = compare_answers(one, other, symbols)
    return {
        "demo": config.demo,
        "before": left | {"perpetuals": diff.before},
        "after": right | {"perpetuals": diff.after},
        "same": diff.same,
        "listed": diff.listed,
        "delisted": diff.delisted,
        "unreadable": diff.unreadable,
        "counts": diff.counts(),
        "changed": [
            {
                "symbol": change.symbol,
                "rule": change.rule,
                "before": value_text(change.rule, change.before),
                "after": value_text(change.rule, change.after),
            }
            for change in diff.changed
        ],
    }


def _store(config: RunConfig, cache_dir: Path) -> SnapshotStore:
    return SnapshotStore(market_root(config, cache_dir))


def _side(store: SnapshotStore, text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    path = Path(text)
    if path.is_file():
        answer = read_exchange_info(path)
        moment = answered_at(answer)
        return answer, {"name": path.name, "as_of": None if moment is None else format_iso(moment)}
    if text == TODAY and (newest := store.newest()):
        return store.read(newest), {"name": newest.file, "as_of": format_iso(newest.last_seen_ms)}
    try:
        moment = parse_moment(text)
    except UsageError as exc:
        told = f"{text!r} is neither a file nor a date. Write 2022-05-04, today or the name of a file."
        raise UsageError(told) from exc
    snapshot = _kept(store, text, moment)
    return store.read(snapshot), {"name": snapshot.file, "as_of": format_iso(snapshot.fetched_at_ms)}


def _kept(store: SnapshotStore, date: str, moment: int) -> Snapshot:
    snapshot = store.in_force(moment)
    if snapshot is None:
        raise NoSnapshotError(date, [format_time(one.fetched_at_ms) for one in store.all()])
    return snapshot
