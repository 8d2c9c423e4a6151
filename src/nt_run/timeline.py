"""The time line of trading rules: what is kept, what is added, what changed between two dates or files.

Every function returns one plain object, as `--json` prints it.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nt_run.config import RunConfig
from nt_run.data.exchange_info import answered_at, read_exchange_info
from nt_run.data.rules import load_changes, parse_moment, refuse_future
from nt_run.data.snapshots import Snapshot, SnapshotStore
from nt_run.errors import NoSnapshotError, StoreError, UsageError
from nt_run.inputs import market_root, open_market
from nt_run.model import format_iso, format_time, parse_time
from nt_run.rule_changes import ALL, RuleChange
from nt_run.specs import TODAY, find_symbol
from nt_run.specs_diff import SpecsDiff, compare_answers, count_perpetuals, states, value_text

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
    config: RunConfig,
    cache_dir: Path,
    before: str,
    after: str,
    symbols: Collection[str] = (),
    *,
    offline: bool = False,
) -> dict[str, Any]:
    """Compare two answers, each a file, the answer kept of a date, or `today`, which is fetched if possible.

    An answer may be older than the date it stands for. What is known to have changed in between is told, and counts as
    a difference where it holds for one side only.

    Raises:
        UsageError: One of them is neither a file nor a date, or a date of the future.
        DataError: Nothing is kept of the date, or the file holds no exchangeInfo answer.
        UnknownSymbolError: Neither answer lists one of the symbols.
    """
    told: list[str] = []
    if TODAY in (before, after):
        with open_market(config, cache_dir=cache_dir, offline=offline) as market:
            told = market.keep_rules()
    store = _store(config, cache_dir)
    left, right = (_side(store, text) for text in (before, after))
    for symbol in symbols:
        if not any(entry.get("symbol") == symbol for entry in left.answer["symbols"]):
            find_symbol(right.answer, symbol)
    # What the real exchange changed says nothing about an invented market.
    changes = [] if config.demo else load_changes()
    unheld = [side.unheld(changes, symbols) for side in (left, right)]
    diff = compare_answers(left.answer, right.answer, symbols)
    between = [one for one in (*unheld[0], *unheld[1]) if (one in unheld[0]) != (one in unheld[1])]
    return {
        "demo": config.demo,
        "before": left.as_object() | {"perpetuals": diff.before},
        "after": right.as_object() | {"perpetuals": diff.after},
        "same": diff.same and not between,
        "one_answer": left.snapshot is not None and left.snapshot == right.snapshot,
        **_diff_object(diff),
        "known_changes": [str(one) for one in between],
        "warnings": [*told, *_of_one_answer(left, right), *left.told(unheld[0]), *right.told(unheld[1])],
    }


def _diff_object(diff: SpecsDiff) -> dict[str, Any]:
    return {
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """One of two answers: a file's, or the kept one that stands for a moment."""

    asked: str
    answer: Mapping[str, Any]
    name: str
    as_of_ms: int | None
    snapshot: Snapshot | None = None
    moment_ms: int | None = None

    def as_object(self) -> dict[str, Any]:
        as_of = None if self.as_of_ms is None else format_iso(self.as_of_ms)
        return {"asked": self.asked, "name": self.name, "as_of": as_of}

    def unheld(self, changes: Sequence[RuleChange], symbols: Collection[str]) -> list[RuleChange]:
        """Known changes up to the moment that the answer, which is older, does not have."""
        if self.snapshot is None or self.moment_ms is None:
            return []
        seen = self.snapshot.last_seen_ms
        later = [
            (one, symbols if one.symbol == ALL else [one.symbol])
            for one in changes
            if seen < one.time_ms <= self.moment_ms and (not symbols or one.symbol in {*symbols, ALL})
        ]
        return [one for one, names in later if states(self.answer, one.rule, one.before, names)]

    def told(self, unheld: Sequence[RuleChange]) -> list[str]:
        """What to say of them."""
        if self.snapshot is None or not unheld:
            return []
        seen, words = format_time(self.snapshot.last_seen_ms), "; ".join(str(one) for one in unheld)
        return [f"For {self.asked} stands the answer of {seen} UTC. Known to have changed up to then: {words}."]


def _of_one_answer(left: _Side, right: _Side) -> list[str]:
    """What to say if one and the same kept answer stands for both."""
    one = left.snapshot
    if one is None or one != right.snapshot:
        return []
    told = f"One and the same answer stands for both: that of {format_time(one.fetched_at_ms)} UTC"
    if max(left.moment_ms or 0, right.moment_ms or 0) <= one.last_seen_ms:
        return [f"{told}, which the exchange gave until {format_time(one.last_seen_ms)} UTC."]
    seen = "" if one.last_seen_ms == one.fetched_at_ms else f", last seen {format_time(one.last_seen_ms)} UTC"
    return [f"{told}{seen}. None is kept in between: nt-run specs import FILE adds a recorded one."]


def _store(config: RunConfig, cache_dir: Path) -> SnapshotStore:
    return SnapshotStore(market_root(config, cache_dir))


def _side(store: SnapshotStore, text: str) -> _Side:
    path = Path(text)
    if path.is_file():
        answer = read_exchange_info(path)
        return _Side(asked=text, answer=answer, name=path.name, as_of_ms=answered_at(answer))
    now_s = time.time()
    if text == TODAY and (snapshot := store.newest()):
        moment, as_of = int(now_s * 1000), snapshot.last_seen_ms
    else:
        try:
            moment = parse_moment(text)
        except UsageError as exc:
            told = f"{text!r} is neither a file nor a date. Write 2022-05-04, today or the name of a file."
            raise UsageError(told) from exc
        refuse_future(text, moment, now_s)
        snapshot = _kept(store, text, moment)
        as_of = snapshot.fetched_at_ms
    answer = store.read(snapshot)
    return _Side(asked=text, answer=answer, name=snapshot.file, as_of_ms=as_of, snapshot=snapshot, moment_ms=moment)


def _kept(store: SnapshotStore, date: str, moment: int) -> Snapshot:
    snapshot = store.in_force(moment)
    if snapshot is None:
        raise NoSnapshotError(date, [format_time(one.fetched_at_ms) for one in store.all()])
    return snapshot
