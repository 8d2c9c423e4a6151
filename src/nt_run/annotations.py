"""What people write beside a kept run: a note and tags, in a file of its own, so that the run stays as it was."""

import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from nt_run.errors import ResultsError, UsageError

NOTES = "notes.json"
_TAG = re.compile(r"[\w.+-]{1,40}")


class Annotations(msgspec.Struct, frozen=True, kw_only=True):
    """A note and tags, sorted."""

    note: str = ""
    tags: tuple[str, ...] = ()


def read_annotations(folder: Path) -> Annotations:
    """Return what is written beside a run; nothing where there is nothing.

    Raises:
        ResultsError: The file cannot be read: it would be lost if it were written now.
    """
    try:
        return msgspec.json.decode((folder / NOTES).read_bytes(), type=Annotations)
    except FileNotFoundError:
        return Annotations()
    except (OSError, ValueError) as exc:
        raise ResultsError(f"{folder / NOTES} is damaged: {exc}. Mend it by hand, or delete it.") from exc


def shown_annotations(folder: Path) -> Annotations:
    """Return what is written beside a run, to be shown with it: a note that says so where it cannot be read."""
    try:
        return read_annotations(folder)
    except ResultsError:
        return Annotations(note=f"{NOTES} is damaged")


def write_note(folder: Path, note: str) -> Annotations:
    """Write another note beside a run, an empty one for none, and return what is there now.

    Raises:
        ResultsError: The folder cannot be written, or what is there cannot be read.
    """
    return _write(folder, msgspec.structs.replace(read_annotations(folder), note=" ".join(_typed(note).split())))


def write_tags(folder: Path, add: Sequence[str], remove: Sequence[str] = ()) -> Annotations:
    """Add and remove tags of a run, and return what is there now.

    Raises:
        UsageError: A tag has other characters than letters, digits and `_.+-`, or more than 40.
        ResultsError: The folder cannot be written, or what is there cannot be read.
    """
    add, remove = [_typed(tag) for tag in add], [_typed(tag) for tag in remove]
    if strange := [tag for tag in add if not _TAG.fullmatch(tag)]:
        raise UsageError(f"{strange[0]!r} is no tag. A tag is up to 40 letters, digits and the signs _ . + -")
    before = read_annotations(folder)
    tags = sorted({*before.tags, *add} - set(remove))
    return _write(folder, msgspec.structs.replace(before, tags=tuple(tags)))


def _typed(text: str) -> str:
    """Return what was typed where a locale without UTF-8 hands its bytes on undecoded."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _write(folder: Path, annotations: Annotations) -> Annotations:
    try:
        handle, scratch = tempfile.mkstemp(prefix=".notes-", dir=folder)
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(annotations), indent=2) + b"\n")
        Path(scratch).chmod(0o644)
        Path(scratch).replace(folder / NOTES)
    except OSError as exc:
        raise ResultsError(f"{folder / NOTES} cannot be written: {exc.strerror or exc}.") from exc
    return annotations
