"""Recorded exchangeInfo answers in files: plain, gzip or zip."""

import gzip
import io
import zipfile
import zlib
from pathlib import Path
from typing import Any, cast

import msgspec

from nt_run.data.files import read_whole
from nt_run.errors import DataError, UsageError

_EARLIEST_MS = 1_567_900_800_000
"""2019-09-08, when the exchange's first perpetual began to trade."""


def read_exchange_info(path: Path) -> dict[str, Any]:
    """Return the answer in a file.

    Raises:
        UsageError: There is no such file.
        DataError: The file holds no exchangeInfo answer.
        StoreError: The operating system refuses it.
    """
    try:
        content = _unpacked(read_whole(path))
        answer = msgspec.json.decode(content)
    except FileNotFoundError as exc:
        raise UsageError(f"There is no file {path}.") from exc
    except (msgspec.MsgspecError, UnicodeDecodeError, OSError, EOFError, zlib.error, zipfile.BadZipFile) as exc:
        raise DataError(f"{path} is no exchangeInfo answer: {exc}. It must be JSON, plain, gzip or zip.") from exc
    if not isinstance(answer, dict) or not cast("dict[str, Any]", answer).get("symbols"):
        raise DataError(f"{path} is no exchangeInfo answer: it lists no symbols.")
    return cast("dict[str, Any]", answer)


def answered_at(answer: dict[str, Any]) -> int | None:
    """Return the time (ms) an answer itself says it was given at, `None` if it does not say."""
    time = answer.get("serverTime")
    return time if isinstance(time, int) and time >= _EARLIEST_MS else None


def _unpacked(content: bytes) -> bytes:
    if content.startswith(b"\x1f\x8b"):
        return gzip.decompress(content)
    if not content.startswith(b"PK"):
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        if len(names) != 1:
            raise zipfile.BadZipFile(f"it holds {len(names)} files, not one")
        return archive.read(names[0])
