"""Files that are whole or not there: atomic writes, writers' locks, checked reads."""

import fcntl
import hashlib
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_SWEEP_AFTER_S = 3600
_TEMPORARY = ".tmp-"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that any reader sees either not at all or whole, and that survives a power cut once written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{_TEMPORARY}{os.getpid()}-{time.monotonic_ns()}-{path.name}")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def writers_lock(folder: Path) -> Generator[None]:
    """Hold the lock that writers of a folder share; readers do without. The kernel frees it if the process dies."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def sha256(content: bytes) -> str:
    """Return the sha256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def set_aside(path: Path) -> None:
    """Rename a damaged file to `<name>.bad`, so that nobody reads it and somebody can look at it."""
    if path.exists():
        path.replace(path.with_name(f"{path.name}.bad"))


def sweep(folder: Path, keep: set[str], pattern: str) -> None:
    """Remove files of `pattern` that nothing refers to, and torn temporary ones, when they are older than an hour.

    A younger one may belong to a reader that loaded the manifest a moment ago, or to a writer at work.
    """
    oldest = time.time() - _SWEEP_AFTER_S
    for path in (*folder.glob(pattern), *folder.glob(f"{_TEMPORARY}*")):
        if path.name not in keep and path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)
