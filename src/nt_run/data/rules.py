"""Trading rules for a run: today's, those of a date, or those in force when the run's range starts."""

import datetime as dt
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nt_run.data.loaded import LoadedSpecs
from nt_run.data.snapshots import Snapshot, SnapshotStore
from nt_run.data.sources import Sources
from nt_run.errors import (
    DataError,
    NoSnapshotError,
    NotCachedError,
    SourceError,
    StoreError,
    UnknownSymbolError,
    UsageError,
)
from nt_run.model import TimeRange, format_time, parse_time
from nt_run.rule_changes import Difference, RuleChange, at_time, compare_rules, differences, parse_changes, rule_name
from nt_run.specs import RANGE, TODAY, InstrumentSpecs, parse_specs

_TABLE = Path(__file__).with_name("rule_changes.toml")
_DELISTED = (
    "If it was listed once: nt-run specs import FILE adds a recorded answer of that time, and --specs-at range uses it."
)
_DAY_MS = 86_400_000


def load_changes() -> list[RuleChange]:
    """Return the shipped table of rule changes, in time order."""
    return parse_changes(tomllib.loads(_TABLE.read_text(encoding="utf-8")))


def parse_moment(text: str) -> int:
    """Return the milliseconds of a time; a day without a time means its last millisecond, so all of that day counts.

    Raises:
        UsageError: The text is neither a date nor a time.
    """
    time_ms = parse_time(text)
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return time_ms
    return time_ms + _DAY_MS - 1


def refuse_future(date: str, moment: int, now_s: float) -> None:
    """Raise for a date whose rules nobody can know.

    Raises:
        UsageError: It lies in the future.
    """
    if moment - _DAY_MS > now_s * 1000:
        raise UsageError(f"{date} lies in the future: nobody knows its trading rules. Give a date of the past.")


def aged(as_of_ms: int, now_s: float) -> str:
    """Return when an answer was given and how old it is, in words."""
    return f"{format_time(as_of_ms)} UTC, {_age(max(0.0, now_s - as_of_ms / 1000))} old"


class RuleBook:
    """Rules from the answers kept in a cache folder, and from the exchange.

    Args:
        root: The cache folder.
        sources: The exchange.
        changes: Dated changes that are known of its rules; see `load_changes`.
    """

    def __init__(self, root: Path, sources: Sources, changes: Sequence[RuleChange] = ()) -> None:
        self._store = SnapshotStore(root)
        self._sources = sources
        self._changes = changes

    def of_run(self, symbol: str, at: str, time_range: TimeRange) -> LoadedSpecs:
        """Return the rules a run of a range asks for, with a warning where others are known to have held.

        Args:
            symbol: The exchange's name of the contract.
            at: `today`, `range` or a date.
            time_range: The range of the run.

        Raises:
            DataError: They are out of reach, not kept, or the contract did not trade then.
        """
        if at == RANGE:
            loaded = self._of_start(symbol, time_range)
        elif at == TODAY:
            loaded = self.today(symbol)
        else:
            loaded = self.of_date(symbol, at, time_range)
        known_ms = time_range.start_ms if at == RANGE else loaded.specs.as_of_ms
        found = self._known_differences(loaded, known_ms, time_range)
        if not found:
            return loaded
        words = "; ".join(f"{rule_name(one.rule)} {one.used:f}, but {one.known:f} {one.why}" for one in found)
        hint = "" if at == RANGE else " --specs-at range uses those of the range's start."
        warning = f"The rules used differ from those known of the range: {words}.{hint}"
        return replace(loaded, warnings=[*loaded.warnings, warning])

    def today(self, symbol: str) -> LoadedSpecs:
        """Return the rules in force now, live if possible; see `MarketData.load_specs`."""
        newest = self._store.newest()
        if self._sources.offline:
            if newest is None:
                raise _none_kept()
            return self._read(newest, newest.last_seen_ms, symbol, None)
        try:
            answer, snapshot, fetched_at = self._fetch()
        except StoreError as exc:
            if newest is None:
                raise
            loaded = self._read(newest, newest.last_seen_ms, symbol, None)
            return replace(loaded, warnings=[*loaded.warnings, self._stands_in(newest, exc)])
        except SourceError as exc:
            if newest is None:
                reason = f"are not kept, and could not be fetched: {exc.source} {exc.reason}"
                hint = "nt-run specs import FILE adds a recorded exchangeInfo answer."
                raise SourceError(f"Trading rules of {symbol}", reason, hint) from exc
            loaded = self._read(newest, newest.last_seen_ms, symbol, None)
            return replace(loaded, warnings=[*loaded.warnings, self._stands_in(newest, exc)])
        try:
            specs = parse_specs(answer, symbol, as_of_ms=fetched_at, source=self._sources.rest_url)
        except UnknownSymbolError as exc:
            raise UnknownSymbolError(symbol, exc.nearest, self._once_listed(symbol)) from exc
        return LoadedSpecs(specs=specs, snapshot=snapshot.file, warnings=list(self._store.warnings))

    def keep_today(self) -> list[str]:
        """Fetch and keep the exchange's answer of now; return what to tell where a kept one stands in for it.

        Raises:
            NotCachedError: Offline, and no answer was ever kept.
            SourceError: The exchange gave no usable answer, and none was ever kept.
        """
        newest = self._store.newest()
        if self._sources.offline:
            if newest is None:
                raise _none_kept()
            return [f"Offline: today's trading rules are those of {aged(newest.last_seen_ms, self._sources.clock())}."]
        try:
            self._fetch()
        except (SourceError, StoreError) as exc:
            if newest is None:
                raise
            return [self._stands_in(newest, exc)]
        return []

    def of_date(self, symbol: str, date: str, traded: TimeRange | None = None) -> LoadedSpecs:
        """Return the rules of the newest kept answer of a date or before, as they stand there.

        Args:
            symbol: The exchange's name of the contract.
            date: A time, or a day, all of which counts.
            traded: The contract must have traded in all of this range; at the date if left out.

        Raises:
            UsageError: The date lies in the future.
            NoSnapshotError: No answer of that date or before is kept.
            UnknownSymbolError: It does not list the symbol.
            NotTradableError: It is not a perpetual, or did not trade.
        """
        moment = parse_moment(date)
        snapshot = self._store.in_force(moment)
        if snapshot is None:
            raise NoSnapshotError(date, [format_time(one.fetched_at_ms) for one in self._store.all()])
        refuse_future(date, moment, self._sources.clock())
        loaded = replace(self._read(snapshot, moment, symbol, traded), at=date)
        _, changed = at_time(loaded.specs, self._changes, loaded.specs.as_of_ms, moment)
        if traded is not None or not changed:
            return loaded  # a run compares with all of its range
        words = "; ".join(str(one) for one in changed)
        told = (
            f"These are the rules of {format_time(loaded.specs.as_of_ms)}. Known to have changed up to {date}: {words}."
        )
        known = [{"rule": one.rule, "value": f"{one.known:f}", "why": one.why} for one in changed]
        return replace(loaded, warnings=[*loaded.warnings, told], known_changes=known)

    def _of_start(self, symbol: str, time_range: TimeRange) -> LoadedSpecs:
        """The rules of the answer in force when a range starts, or the oldest later one's with what changed undone."""
        start = time_range.start_ms
        snapshot = self._listing(symbol, start)
        if snapshot is None and not self._sources.offline:
            self._fetch()
            snapshot = self._listing(symbol, start)
        if snapshot is None:
            try:
                return self.today(symbol)  # says what is wrong: nothing is kept, or nothing lists the symbol
            except UnknownSymbolError as exc:
                hint = "No kept answer lists it either. nt-run specs import FILE adds one of the time when it traded."
                raise UnknownSymbolError(exc.symbol, exc.nearest, hint) from exc
        loaded = self._read(snapshot, start, symbol, time_range)
        specs, changed = at_time(loaded.specs, self._changes, loaded.specs.as_of_ms, start)
        changes = [str(one) for one in changed]
        return replace(
            loaded,
            specs=specs,
            at=RANGE,
            changes=changes,
            warnings=[*loaded.warnings, *_told(snapshot, start, changes)],
        )

    def _once_listed(self, symbol: str) -> str:
        kept = self._listing(symbol, int(self._sources.clock() * 1000))
        if kept is None:
            return _DELISTED
        day = format_time(kept.last_seen_ms)
        return f"The answer kept of {day} UTC lists it: --specs-at range uses its rules for a range in which it traded."

    def _listing(self, symbol: str, time_ms: int) -> Snapshot | None:
        """The newest answer of a time or before that lists a contract, else the oldest later one."""
        snapshots = self._store.all()
        older = [one for one in reversed(snapshots) if one.fetched_at_ms <= time_ms]
        later = [one for one in snapshots if one.fetched_at_ms > time_ms]
        return next((one for one in (*older, *later) if _lists(self._store.read(one), symbol)), None)

    def _known_differences(self, loaded: LoadedSpecs, known_ms: int, time_range: TimeRange) -> list[Difference]:
        """What the shipped table and the kept answers of the range say against the rules used, one line a rule."""
        found = differences(loaded.specs, self._changes, known_ms, time_range)
        for moment in (time_range.start_ms, time_range.end_ms - 1):
            snapshot = self._store.in_force(moment)
            if snapshot is None or snapshot.file == loaded.snapshot:
                continue
            try:
                kept = self._read(snapshot, moment, loaded.specs.symbol, time_range).specs
            except DataError:
                continue  # it was not listed yet, or did not trade: no rules to compare with
            then, _ = at_time(kept, self._changes, kept.as_of_ms, moment)
            named = {one.rule for one in found}
            why = f"in the answer of {format_time(kept.as_of_ms)}"
            if kept.as_of_ms < time_range.start_ms:
                why += ", the last one kept before"
            found += [one for one in compare_rules(loaded.specs, then, why) if one.rule not in named]
        return found

    def _stands_in(self, newest: Snapshot, exc: SourceError | StoreError) -> str:
        failed = f"fetched: {exc.source}" if isinstance(exc, SourceError) else f"kept: {exc.path}"
        reason = f"The exchange's trading rules could not be {failed} {exc.reason}."
        return f"{reason} Those of {aged(newest.last_seen_ms, self._sources.clock())}, are used."

    def _fetch(self) -> tuple[dict[str, Any], Snapshot, int]:
        fetched_at = self._sources.server_time_ms()
        answer = self._sources.rest().exchange_info()
        return answer, self._store.keep(answer, fetched_at), fetched_at

    def _read(self, snapshot: Snapshot, time_ms: int, symbol: str, traded: TimeRange | None) -> LoadedSpecs:
        # An answer is known to have held from the first time it was given to the last.
        as_of = min(max(time_ms, snapshot.fetched_at_ms), snapshot.last_seen_ms)
        answer = self._store.read(snapshot)
        specs: InstrumentSpecs = parse_specs(answer, symbol, as_of_ms=as_of, source=snapshot.file, traded=traded)
        return LoadedSpecs(specs=specs, snapshot=snapshot.file, warnings=list(self._store.warnings))


def _none_kept() -> NotCachedError:
    hint = "Run once without --offline to fetch it."
    return NotCachedError("the exchange's trading rules", ["no exchangeInfo was kept"], hint)


def _told(snapshot: Snapshot, start: int, changes: Sequence[str]) -> list[str]:
    """What to say where the answer used is not simply the one in force when a range starts."""
    words = "; ".join(changes)
    if snapshot.fetched_at_ms > start:
        undone = f"what is known to have changed since is undone: {words}" if changes else "no change since is known"
        day = format_time(snapshot.fetched_at_ms)
        return [f"No trading rules from before the range are kept. Those of {day} are used, and {undone}."]
    if changes:
        return [
            f"The trading rules are those of {format_time(snapshot.last_seen_ms)}, and of what changed since: {words}."
        ]
    return []


def _lists(answer: dict[str, Any], symbol: str) -> bool:
    return any(entry.get("symbol") == symbol for entry in answer.get("symbols", ()))


def _age(seconds: float) -> str:
    hours = seconds / 3600
    if hours < 1:
        return f"{seconds / 60:.0f} minutes"
    return f"{hours:.0f} hours" if hours < 48 else f"{hours / 24:.0f} days"  # noqa: PLR2004 - two days
