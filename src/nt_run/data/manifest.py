"""What a folder of the store knows about its files, days and holes.

A manifest is the only file of a series that is ever replaced. It carries its own sha256, so that a flipped bit in it
is found like one in the data. Times are milliseconds since the epoch, ranges are `[from, to)`.

Three things never mix: a bar nobody asked for yet (no row and no hole), a bar that was asked for and is unexplained
(`unverified`), and a bar that the sources say does not exist (`confirmed_absent`).
"""

from pathlib import Path
from typing import Literal

import msgspec

from nt_run.data.files import read_whole, sha256, write_whole
from nt_run.errors import StoreError
from nt_run.klines import GapStatus

SCHEMA_MAJOR = 2
"""Files of format 1 held each column as it is (see `data_file`); they are read, and stay until rewritten."""
SCHEMA = f"{SCHEMA_MAJOR}.0"
FILE = "manifest.json"

DayState = Literal["complete", "short", "absent", "open"]


class Partition(msgspec.Struct, omit_defaults=True, frozen=True):
    """One immutable file: its name holds the first twelve digits of `sha256`."""

    file: str
    sha256: str
    rows: int
    bytes: int
    first_ms: int
    last_ms: int
    exponents: tuple[int, ...]
    """What the file's integers are scaled by. Klines: price, quantity, quote. Funding: rate, mark price."""


class Hole(msgspec.Struct, omit_defaults=True, frozen=True):
    """Bars that were asked for and did not come."""

    from_ms: int
    to_ms: int
    status: GapStatus
    by: tuple[str, ...]
    """Kinds of source that were asked."""
    at_ms: int
    """The exchange's time when they were asked."""


SourceKind = Literal["rest", "archive_monthly", "archive_daily", "import", "recovered"]
"""`recovered`: from a file of a series whose manifest was lost, and with it what the file came from."""


class Source(msgspec.Struct, omit_defaults=True, frozen=True):
    """Where rows came from; what has a default belongs to files."""

    kind: SourceKind
    key: str
    fetched_at_ms: int
    rows: int
    zip_sha256: str | None = None
    etag: str | None = None
    header: bool = True
    """Whether the CSV began with names."""
    bare_zeros: bool = True
    """Whether it wrote zero as `0` and not as `0.000`."""
    file_sha256: str | None = None
    """Of a user's own file, whose name is `key`."""
    decimals: tuple[int, ...] = ()
    """How many its text showed of price, quantity and quote volume: more than the values may need."""


class Conflict(msgspec.Struct, omit_defaults=True, frozen=True):
    """Consecutive bars of which two sources have different rows."""

    from_ms: int
    to_ms: int
    columns: tuple[str, ...]
    """Where they differ."""
    stored: tuple[SourceKind, ...]
    """Sources of the day that was stored first."""
    other: SourceKind
    """The source that came with different rows."""
    key: str
    """The file or the path of REST they came from."""
    at_ms: int
    kept: SourceKind | Literal["stored"] | None = None
    """Whose rows are stored because the user preferred them; `None` if nobody has decided yet."""


class Day(msgspec.Struct, omit_defaults=True, frozen=True):
    """One UTC day: `open` has not ended, `short` lacks bars for whatever reason, `absent` has none."""

    state: DayState
    rows: int
    expected: int
    content_sha256: str = ""
    """Hash of the rows, independent of their encoding; empty without rows."""
    missing: tuple[Hole, ...] = ()
    zero_volume_runs: tuple[tuple[int, int], ...] = ()
    sources: tuple[Source, ...] = ()
    oddities: dict[str, int] = {}
    """How many rows look odd though the exchange does send such rows."""
    conflicts: tuple[Conflict, ...] = ()


class Loss(msgspec.Struct, omit_defaults=True, frozen=True):
    """Rows of a file that was damaged or gone, as far as they have not come back."""

    file: str
    from_ms: int
    to_ms: int
    days: dict[str, int] = {}
    """How many rows of each day; empty if nobody knows, and for events."""
    imported: tuple[str, ...] = ()
    """Names of the user's own files that rows came from: no source has those."""
    unknown: bool = False
    """Where rows came from had been lost before: they may have been imported."""


class Manifest(msgspec.Struct, omit_defaults=True):
    """A series: kind, symbol and interval as in its path; `interval` is empty for events such as funding."""

    kind: str
    symbol: str
    interval: str = ""
    partitions: dict[str, Partition] = {}
    """By `2024`, `2024-01` or `2024-01-31`."""
    days: dict[str, Day] = {}
    """By `2024-01-31`. Klines only."""
    covered: list[tuple[int, int]] = []
    """Ranges whose events are all here, or known not to exist. Funding only: events have no grid to count them by."""
    unexplained: list[tuple[int, int]] = []
    """Ranges of events that were asked for and lack some that are due: they are asked for again. Funding only."""
    asked_ms: int = 0
    """The exchange's time when events were last asked for. Funding only."""
    origins: dict[str, tuple[SourceKind, ...]] = {}
    """Kinds of source that events came from, by `2024-01`. Funding only."""
    first_ms: int | None = None
    """The very first event or open time of the exchange, once it was asked for."""
    former: dict[str, list[str]] = {}
    """Content hashes of days, by day, that were lost or replaced and have not come back the same."""
    lost: list[Loss] = []


class _Envelope(msgspec.Struct):
    schema: str
    sha256: str
    content: msgspec.Raw


class DamagedManifestError(Exception):
    """Internal: the manifest does not match its own hash. Never leaves the store."""


def load_manifest[T: msgspec.Struct](path: Path, form: type[T]) -> T | None:
    """Return the manifest, or `None` if there is none yet.

    Raises:
        StoreError: It was written by a newer version, or cannot be read at all.
        DamagedManifestError: It does not match its own hash, or is no manifest at all.
    """
    try:
        text = read_whole(path)
    except FileNotFoundError:
        return None
    try:
        envelope = msgspec.json.decode(text, type=_Envelope)
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise DamagedManifestError from exc
    # The format comes first: what a newer version hashes, and how, is not known here.
    major = envelope.schema.partition(".")[0]
    if major.isdecimal() and int(major) > SCHEMA_MAJOR:
        raise StoreError(
            str(path),
            f"was written in format {envelope.schema}; this version reads up to {SCHEMA_MAJOR}.x",
            "Update nt-run, or choose another folder with --cache-dir.",
        )
    content = bytes(envelope.content)
    if sha256(envelope.schema.encode() + content) != envelope.sha256:
        raise DamagedManifestError
    try:
        return msgspec.json.decode(content, type=form)
    except msgspec.MsgspecError as exc:
        raise DamagedManifestError from exc


def save_manifest(path: Path, manifest: msgspec.Struct) -> None:
    """Replace the manifest at once."""
    content = msgspec.json.encode(manifest)
    head = f'{{"schema":"{SCHEMA}","sha256":"{sha256(SCHEMA.encode() + content)}","content":'
    write_whole(path, head.encode() + content + b"}\n")
