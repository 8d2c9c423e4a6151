"""Every exchangeInfo answer the exchange ever gave us, dated: rules change, and reports name the ones they used."""

import datetime as dt
from bisect import bisect_right
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from nt_run.data.files import read_whole, set_aside, sha256, write_whole, writers_lock
from nt_run.data.kline_store import MARKET
from nt_run.data.manifest import FILE, DamagedManifestError, load_manifest, save_manifest
from nt_run.errors import StoreError
from nt_run.model import format_iso

RULES = "exchangeInfo"
BRACKETS = "leverageBracket"
"""Told to holders of an API key only."""
ENDPOINTS = (RULES, BRACKETS)
_NAMES = "*Z.*.json"


class Snapshot(msgspec.Struct, frozen=True):
    """One kept answer: the exchange gave exactly this from `fetched_at_ms` to `last_seen_ms`, whenever it was asked."""

    file: str
    sha256: str
    content_sha256: str
    """Without `serverTime`, which is different every time."""
    bytes: int
    fetched_at_ms: int
    last_seen_ms: int


class SnapshotList(msgspec.Struct):
    """The manifest of the folder, oldest first."""

    snapshots: list[Snapshot] = []


class SnapshotStore:
    """Kept exchangeInfo answers, or those of another `endpoint`, under a cache folder. Files are never overwritten.

    Without `repair` a damaged list stays where it is.
    """

    def __init__(self, root: Path, endpoint: str = RULES, *, repair: bool = True) -> None:
        self._repair = repair
        self._endpoint = endpoint
        self.folder = root / MARKET / endpoint
        self.warnings: list[str] = []
        """What was found to be wrong with the list, in words."""

    def keep(self, answer: dict[str, Any], fetched_at_ms: int) -> Snapshot:
        """Keep an answer of any date; if the one before says the same, only that one's last date changes."""
        content = msgspec.json.encode(answer)
        rules = _rules_digest(answer)
        with writers_lock(self.folder):
            kept = self._load()
            place = bisect_right(kept.snapshots, fetched_at_ms, key=lambda one: one.fetched_at_ms)
            before = kept.snapshots[place - 1] if place else None
            if before and before.content_sha256 == rules:
                if self._content(before) is None:
                    before = self._write_instead(before, content)
                seen = max(before.last_seen_ms, fetched_at_ms)
                snapshot = msgspec.structs.replace(before, last_seen_ms=seen)
                kept.snapshots[place - 1] = snapshot
            else:
                snapshot = self._write(content, rules, fetched_at_ms)
                kept.snapshots[place:place] = [snapshot, *self._seen_again(before, fetched_at_ms)]
                if before and before.last_seen_ms > fetched_at_ms:
                    kept.snapshots[place - 1] = msgspec.structs.replace(before, last_seen_ms=before.fetched_at_ms)
            save_manifest(self.folder / FILE, kept)
        return snapshot

    def _write(self, content: bytes, rules: str, at_ms: int) -> Snapshot:
        digest = sha256(content)
        stamp = dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC).strftime("%Y%m%dT%H%M%SZ")
        name = f"{stamp}.{digest[:12]}.json"
        write_whole(self.folder / name, content)
        return Snapshot(name, digest, rules, len(content), at_ms, at_ms)

    def _write_instead(self, damaged: Snapshot, content: bytes) -> Snapshot:
        """The same rules in the place of an answer whose file is damaged or gone."""
        set_aside(self.folder / damaged.file)
        made = self._write(content, damaged.content_sha256, damaged.fetched_at_ms)
        return msgspec.structs.replace(made, last_seen_ms=damaged.last_seen_ms)

    def _seen_again(self, before: Snapshot | None, at_ms: int) -> list[Snapshot]:
        """What was in force before an answer that now comes between, and was seen again after it."""
        if before is None or before.last_seen_ms <= at_ms:
            return []
        content = self._content(before)
        return [] if content is None else [self._write(content, before.content_sha256, before.last_seen_ms)]

    def flaw(self) -> str | None:
        """Return what is wrong with the list of the answers, and leave it as it is; `None` if nothing is.

        Raises:
            StoreError: It is too new.
        """
        try:
            kept = load_manifest(self.folder / FILE, SnapshotList)
        except DamagedManifestError:
            return "is damaged"
        return "is gone, though there are answers" if kept is None and any(self.folder.glob(_NAMES)) else None

    def restore(self) -> int:
        """Make the list again from the answers, and return how many there are."""
        with writers_lock(self.folder):
            kept = self._load()
            save_manifest(self.folder / FILE, kept)
        return len(kept.snapshots)

    def forget(self, file: str) -> None:
        """Set an answer aside that is damaged for good, and take it off the list."""
        with writers_lock(self.folder):
            kept = self._load()
            kept.snapshots = [one for one in kept.snapshots if one.file != file]
            # First the list: a reader must never be promised a file that is gone.
            save_manifest(self.folder / FILE, kept)
            set_aside(self.folder / file)

    def in_force(self, time_ms: int) -> Snapshot | None:
        """Return the newest snapshot of a time or before, if there is any."""
        older = [one for one in self.all() if one.fetched_at_ms <= time_ms]
        return older[-1] if older else None

    def newest(self) -> Snapshot | None:
        """Return the newest snapshot, if there is any."""
        snapshots = self.all()
        return snapshots[-1] if snapshots else None

    def all(self) -> list[Snapshot]:
        """Return all snapshots, oldest first."""
        return self._load().snapshots

    def read(self, snapshot: Snapshot) -> dict[str, Any]:
        """Return the answer as the exchange gave it.

        Raises:
            StoreError: The file is damaged or gone.
        """
        content = self._content(snapshot)
        if content is None:
            raise self._lost(snapshot.file, "is damaged or gone", snapshot.fetched_at_ms)
        return msgspec.json.decode(content, type=dict[str, Any])

    def strays(self) -> list[str]:
        """Return the names of damaged answers that the list does not have: they were left out when it was remade."""
        listed = {one.file for one in self.all()}
        found = (path for path in sorted(self.folder.glob(_NAMES)) if path.name not in listed)
        return [path.name for path in found if not _is_as_named(path.name, read_whole(path))]

    def check(self, file: str) -> None:
        """Make sure that an answer is not damaged, or is no longer there because another took its place.

        Raises:
            StoreError: It is damaged; the message says what can be done.
        """
        for one in self.all():
            if one.file == file:
                self.read(one)
        if file in self.strays():
            raise self._lost(file, "is damaged", _time_of(file))

    def _lost(self, file: str, reason: str, time_ms: int) -> StoreError:
        newest = self.newest()
        if self._endpoint == BRACKETS:
            hint = "nt-run data repair fetches it again or sets it aside; --brackets FILE does without it."
            return StoreError(str(self.folder / file), reason, hint)
        hint = f"nt-run specs import FILE --at {format_iso(time_ms)} puts a recorded answer in its place."
        if newest is not None and newest.file == file:
            hint = f"Run once without --offline to fetch the rules again. If they are others by now: {hint}"
        return StoreError(str(self.folder / file), reason, hint)

    def _content(self, snapshot: Snapshot) -> bytes | None:
        """The bytes of a snapshot as they were written; `None` if they are not there any more."""
        with suppress(FileNotFoundError):
            content = read_whole(self.folder / snapshot.file)
            return content if sha256(content) == snapshot.sha256 else None
        return None

    def _load(self) -> SnapshotList:
        path = self.folder / FILE
        flaw = self.flaw()
        if flaw:
            if self._repair:
                set_aside(path)
            self.warnings = [
                f"The list of kept answers of {self._endpoint} {flaw}; it was made again from the answers themselves."
            ]
        # Without a list the snapshots themselves are safe: nothing removes them, and they are dated by name.
        kept = (None if flaw else load_manifest(path, SnapshotList)) or SnapshotList(self._rebuild())
        kept.snapshots.sort(key=lambda one: one.fetched_at_ms)
        return kept

    def _rebuild(self) -> list[Snapshot]:
        found: list[Snapshot] = []
        for path in sorted(self.folder.glob(_NAMES)):
            content = read_whole(path)
            if not _is_as_named(path.name, content):
                continue
            rules = _rules_digest(msgspec.json.decode(content, type=dict[str, Any]))
            time_ms = _time_of(path.name)
            found.append(Snapshot(path.name, sha256(content), rules, len(content), time_ms, time_ms))
        return found


def _is_as_named(name: str, content: bytes) -> bool:
    """Whether a file has the hash that its name carries."""
    return sha256(content).startswith(name.split(".")[1])


def _time_of(name: str) -> int:
    moment = dt.datetime.strptime(name.partition(".")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
    return int(moment.timestamp() * 1000)


def _rules_digest(answer: Mapping[str, Any]) -> str:
    return sha256(msgspec.json.encode({key: value for key, value in answer.items() if key != "serverTime"}))
