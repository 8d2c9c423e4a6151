"""Every exchangeInfo answer the exchange ever gave us, dated: rules change, and reports name the ones they used."""

import datetime as dt
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from nt_run.data.files import read_whole, set_aside, sha256, write_whole, writers_lock
from nt_run.data.kline_store import MARKET
from nt_run.data.manifest import FILE, DamagedManifestError, load_manifest, save_manifest
from nt_run.errors import StoreError


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
    """Kept exchangeInfo answers under a cache folder. Files are never overwritten."""

    def __init__(self, root: Path) -> None:
        self.folder = root / MARKET / "exchangeInfo"

    def keep(self, answer: dict[str, Any], fetched_at_ms: int) -> Snapshot:
        """Keep an answer; if the newest one kept says the same, only the date on which it was seen last changes."""
        content = msgspec.json.encode(answer)
        rules = sha256(msgspec.json.encode({key: value for key, value in answer.items() if key != "serverTime"}))
        with writers_lock(self.folder):
            kept = self._load()
            newest = kept.snapshots[-1] if kept.snapshots else None
            if newest and newest.content_sha256 == rules and self._content(newest):
                seen = max(newest.last_seen_ms, fetched_at_ms)
                snapshot = msgspec.structs.replace(newest, last_seen_ms=seen)
                kept.snapshots[-1] = snapshot
            else:
                digest = sha256(content)
                stamp = dt.datetime.fromtimestamp(fetched_at_ms / 1000, dt.UTC).strftime("%Y%m%dT%H%M%SZ")
                name = f"{stamp}.{digest[:12]}.json"
                write_whole(self.folder / name, content)
                snapshot = Snapshot(name, digest, rules, len(content), fetched_at_ms, fetched_at_ms)
                kept.snapshots.append(snapshot)
            save_manifest(self.folder / FILE, kept)
        return snapshot

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
            path = str(self.folder / snapshot.file)
            raise StoreError(path, "is damaged or gone", "Run once without --offline to fetch the rules again.")
        return msgspec.json.decode(content, type=dict[str, Any])

    def _content(self, snapshot: Snapshot) -> bytes | None:
        """The bytes of a snapshot as they were written; `None` if they are not there any more."""
        with suppress(FileNotFoundError):
            content = read_whole(self.folder / snapshot.file)
            return content if sha256(content) == snapshot.sha256 else None
        return None

    def _load(self) -> SnapshotList:
        path = self.folder / FILE
        try:
            kept = load_manifest(path, SnapshotList)
        except DamagedManifestError:
            set_aside(path)
            kept = None
        # Without a list the snapshots themselves are safe: nothing removes them, and they are dated by name.
        return kept or SnapshotList(self._rebuild())

    def _rebuild(self) -> list[Snapshot]:
        found: list[Snapshot] = []
        for path in sorted(self.folder.glob("*Z.*.json")):
            content = read_whole(path)
            digest = sha256(content)
            stamp, named = path.name.split(".")[:2]
            if digest[:12] != named:
                continue
            answer = msgspec.json.decode(content, type=dict[str, Any])
            rules = sha256(msgspec.json.encode({key: value for key, value in answer.items() if key != "serverTime"}))
            moment = dt.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
            time_ms = int(moment.timestamp() * 1000)
            found.append(Snapshot(path.name, digest, rules, len(content), time_ms, time_ms))
        return found
