"""Files that are whole or not there: atomic writes, writers' locks, reads.

What the operating system refuses becomes a `StoreError` here, in a line that names the folder.
"""

import errno
import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Buffer, Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from nt_run.errors import StoreError

_SWEEP_AFTER_S = 3600
_FULL = (errno.ENOSPC, errno.EDQUOT)
_TEMPORARY = ".tmp-"
_DOWNLOAD = ".download"
_HINT = "Choose another folder with --cache-dir."
_FULL_HINT = "What arrived before is kept. Make room there, or choose another folder with --cache-dir."


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that any reader sees either not at all or whole, and that survives a power cut once written.

    Raises:
        StoreError: The operating system refuses it; nothing is left behind.
    """
    temporary = path.with_name(f"{_TEMPORARY}{os.getpid()}-{time.monotonic_ns()}-{path.name}")
    with _refusals(path.parent, "written"):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            # A full disk needs the space of the torn file at once, not when it is swept.
            with suppress(OSError):
                temporary.unlink()
            raise
        _sync_folder(path.parent)


def read_whole(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        FileNotFoundError: There is no such file.
        StoreError: The operating system refuses it.
    """
    with _refusals(path, "read", FileNotFoundError):
        return path.read_bytes()


class Reader(threading.local):
    """Reads whole files one after another, each thread into memory of its own that is used again.

    Fresh memory for each file would cost more than reading it.
    """

    _memory = bytearray()

    def read(self, path: Path) -> memoryview:
        """Return the content of a file; it stands until the thread reads the next one.

        Raises:
            FileNotFoundError: There is no such file.
            StoreError: The operating system refuses it.
        """
        with _refusals(path, "read", FileNotFoundError), path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if size > len(self._memory):
                self._memory = bytearray(size)
            content = memoryview(self._memory)[:size]
            done = 0
            while done < size and (count := file.readinto(content[done:])):
                done += count
            return content[:done]


def check_folder(folder: Path) -> None:
    """Make sure that a folder can be looked into, if there is one.

    Raises:
        StoreError: It is no folder, or the operating system refuses it.
    """
    with _refusals(folder, "read"), suppress(FileNotFoundError):
        os.scandir(folder).close()


@contextmanager
def writers_lock(folder: Path) -> Generator[None]:
    """Hold the lock that writers of a folder share; readers do without. The kernel frees it if the process dies.

    Raises:
        StoreError: The operating system refuses it.
    """
    with ExitStack() as held:
        with _refusals(folder, "written"):
            folder.mkdir(parents=True, exist_ok=True)
            file = held.enter_context((folder / ".lock").open("wb"))
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def download_lock(folder: Path, waiting: Callable[[], None]) -> Generator[None]:
    """Hold the lock of downloads into a folder, so that two runs do not fetch the same; writers need not hold it.

    `waiting` is called if somebody else has it. Where nothing was stored the folder goes again: a symbol that nobody
    knows leaves no trace. Who waits for the lock of a folder that went does the work in a new one.

    Raises:
        StoreError: The operating system refuses it.
    """
    with ExitStack() as held:
        with _refusals(folder, "written"):
            folder.mkdir(parents=True, exist_ok=True)
            file = held.enter_context((folder / _DOWNLOAD).open("wb"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            _forget_empty(folder)


def _forget_empty(folder: Path) -> None:
    """Remove a folder that holds nothing but the lock of downloads, and those above it that are empty then."""
    with suppress(OSError):
        if [path.name for path in folder.iterdir()] == [_DOWNLOAD]:
            (folder / _DOWNLOAD).unlink()
            for each in (folder, *folder.parents[:3]):
                each.rmdir()


def sha256(content: Buffer) -> str:
    """Return the sha256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def set_aside(path: Path) -> None:
    """Rename a damaged file to `<name>.bad`, so that nobody reads it and somebody can look at it."""
    with _refusals(path.parent, "written"), suppress(FileNotFoundError):
        path.replace(path.with_name(f"{path.name}.bad"))


def sweep(folder: Path, keep: set[str], pattern: str) -> None:
    """Remove files of `pattern` that nothing refers to, and torn temporary ones, when they are older than an hour.

    A younger one may belong to a reader that loaded the manifest a moment ago, or to a writer at work.
    """
    oldest = time.time() - _SWEEP_AFTER_S
    with _refusals(folder, "written"):
        for path in (*folder.glob(pattern), *folder.glob(f"{_TEMPORARY}*")):
            # Another writer may rename its temporary file meanwhile.
            with suppress(FileNotFoundError):
                if path.name not in keep and path.stat().st_mtime < oldest:
                    path.unlink()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _refusals(path: Path, deed: str, *expected: type[OSError]) -> Generator[None]:
    """Turn what the operating system refuses into the cache's error, but for what the caller expects."""
    try:
        yield
    except OSError as exc:
        if isinstance(exc, expected):
            raise
        if isinstance(exc, NotADirectoryError | FileExistsError):
            path, reason = _blocker(path), "is not a folder"
        else:
            reason = f"cannot be {deed}: {exc.strerror or exc}"
        raise StoreError(str(path), reason, _FULL_HINT if exc.errno in _FULL else _HINT) from exc


def _blocker(path: Path) -> Path:
    """What stands where a folder should be."""
    return next((one for one in (*reversed(path.parents), path) if one.exists() and not one.is_dir()), path)
