"""A run folder's own list of what its files were when it was written, as `sha256sum -c SHA256SUMS` reads it."""

import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path

SUMS = "SHA256SUMS"


def write_checksums(folder: Path) -> None:
    """Write the sha256 of each file of a folder beside them.

    Raises:
        OSError: A file cannot be read, or the list not be written.
    """
    names = sorted(file.name for file in folder.iterdir())
    lines = [f"{_hash(folder / name)}  {name}\n" for name in names]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def find_changed(folder: Path, own: Collection[str]) -> list[tuple[str, str, str]] | None:
    """Return the files that are no longer what they were, or that the list lacks: name, sha256 expected and found.

    `None` where the folder has no list, as those of earlier versions.

    Args:
        folder: The run's folder.
        own: Names of the files a run writes. What else is there, such as notes, is not looked at.

    Raises:
        OSError: A file cannot be read.
    """
    if not (folder / SUMS).is_file():
        return None
    listed = dict(_listed((folder / SUMS).read_text(encoding="utf-8", errors="replace")))
    there = {name: _hash(folder / name) if (folder / name).is_file() else "no file" for name in listed}
    changed = [(name, wanted, there[name]) for name, wanted in listed.items() if there[name] != wanted]
    unlisted = [name for name in sorted(own) if name not in listed and (folder / name).is_file()]
    return changed + [(name, "a checksum", "not listed") for name in unlisted]


def _listed(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        wanted, _, name = line.partition("  ")
        # A damaged line is told as a file that is not there, and no path leads out of the folder.
        yield Path(name).name or line, wanted


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
