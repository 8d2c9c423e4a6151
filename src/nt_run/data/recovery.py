"""Data files whose manifest was lost: a file's name carries its hash, so it proves what is in it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from nt_run.data.data_file import decode, exponents_of
from nt_run.data.files import read_whole, sha256

_NAME = re.compile(r"(\d{4}(?:-\d\d){0,2})\.([0-9a-f]{12})\.parquet")


@dataclass(frozen=True, slots=True)
class Orphan:
    """A data file that no manifest speaks of; `rows` are `None` if its content is not the one its name was made of."""

    path: Path
    key: str
    """Its partition, by its name."""
    written_ms: int
    exponents: tuple[int, ...]
    rows: pl.DataFrame | None


def find_orphans(folder: Path) -> list[Orphan]:
    """Return the data files of a folder, in the order in which they were written."""
    named = ((path, match) for path in folder.glob("*.parquet") if (match := _NAME.fullmatch(path.name)))
    found = [_orphan(path, match[1], match[2]) for path, match in named]
    return sorted(found, key=lambda one: (one.written_ms, one.path.name))


def by_partition(orphans: Sequence[Orphan]) -> dict[str, list[Orphan]]:
    """Return the files of each partition; a file of a day is part of its month's if there is one."""
    keys = {one.key for one in orphans}
    found: dict[str, list[Orphan]] = {}
    for one in orphans:
        target = min((key for key in keys if one.key == key or one.key.startswith(f"{key}-")), key=len)
        found.setdefault(target, []).append(one)
    return found


def _orphan(path: Path, key: str, digest: str) -> Orphan:
    content = read_whole(path)
    written_ms = path.stat().st_mtime_ns // 1_000_000
    if not sha256(content).startswith(digest):
        return Orphan(path, key, written_ms, (), None)
    exponents = exponents_of(content)
    return Orphan(path, key, written_ms, exponents, decode(content, exponents))
