"""The listing of the public archive: what an object store says of many files in one answer.

    <address>/?prefix=data/futures/um/monthly/klines/BTCUSDT/1m/&marker=<last key of the page before>

A page has up to 1,000 keys with date, size and ETag. Nothing is believed on its word: where a listing speaks of a
change, the file's own checksum decides.
"""

import datetime as dt
import os.path
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

from nt_run.data.archive import ArchiveFile
from nt_run.data.archive_http import HttpSource
from nt_run.data.manifest import Source
from nt_run.data.patience import Patience
from nt_run.errors import SourceError

_LARGEST_PAGE = 1 << 22
"""Bytes; a page of 1,000 keys has about 300,000."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A file as it is in the archive now; `modified_ms` is the time of its last upload."""

    key: str
    etag: str
    modified_ms: int


class ArchiveList:
    """Asks one address for lists of files.

    Args:
        base_url: Such as `https://s3-ap-northeast-1.amazonaws.com/data.binance.vision`.
        timeout_s: For a connection, and for the next bytes of an answer.
        notice: Told in words what is tried again.
        sleep: Waits for seconds.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout_s: float = 10.0,
        notice: Callable[[str], None] = lambda _text: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._http = HttpSource(base_url, timeout_s=timeout_s, connections=1)
        self._patience = Patience(self.base_url, notice=notice, sleep=sleep)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def find(self, keys: Collection[str]) -> dict[str, Listed]:
        """Return what is listed of some keys of one folder, by key; a key that is not there is left out.

        Raises:
            SourceError: The listing is out of reach, or is not one.
        """
        # What all have in common is asked for, so that a few days cost one page of a folder of thousands.
        prefix, last = os.path.commonprefix(list(keys)), max(keys)  # noqa: RUF071 - keys are names, not paths
        found: dict[str, Listed] = {}
        marker = ""
        while True:
            page, truncated = self._page(prefix, marker)
            found |= {one.key: one for one in page if one.key in keys}
            if not truncated or (page and page[-1].key >= last):
                return found
            # Each page must go on where the one before ended, or this would never end.
            if not page or page[-1].key <= marker:
                self._patience.fail(f"?prefix={prefix}", "sent a listing that does not go on")
            marker = page[-1].key

    def _page(self, prefix: str, marker: str) -> tuple[list[Listed], bool]:
        query = "?" + urlencode({"prefix": prefix} | ({"marker": marker} if marker else {}), safe="/")
        got = self._patience.ask(query, lambda: self._http.get(query))
        if got is None:
            self._patience.fail(query, "is not there (HTTP 404)")
        try:
            return _parse(got[0])
        except (ET.ParseError, ValueError) as exc:
            self._patience.fail(query, f"sent something that is not a listing ({exc})", exc)


def find_suspects(listing: ArchiveList | None, sources: Mapping[ArchiveFile, Source]) -> tuple[list[ArchiveFile], str]:
    """Return the files that may be others than those rows came from, and why all are where nothing lists them."""
    if listing is None:
        return list(sources), "There is no address of the archive's listing: every file's checksum was asked for."
    folders: dict[str, list[ArchiveFile]] = {}
    for file in sources:
        folders.setdefault(file.key.rpartition("/")[0], []).append(file)
    try:
        return [file for files in folders.values() for file in _changed(listing, files, sources)], ""
    except SourceError as exc:
        why = f"The archive's listing cannot be used ({exc.reason}): every file's checksum was asked for."
        return list(sources), why


def _changed(
    listing: ArchiveList, files: list[ArchiveFile], sources: Mapping[ArchiveFile, Source]
) -> Iterator[ArchiveFile]:
    listed = listing.find({file.key for file in files})
    for file in files:
        now, then = listed.get(file.key), sources[file]
        same = now is not None and then.etag is not None and now.etag == _bare(then.etag)
        if now is None or not same or now.modified_ms > then.fetched_at_ms:
            yield file


def _parse(content: bytes) -> tuple[list[Listed], bool]:
    """Return the files of a page, and whether another one follows.

    Raises:
        ParseError: It is not XML.
        ValueError: It is not a listing.
    """
    if len(content) > _LARGEST_PAGE:
        raise ValueError(f"{len(content):,} bytes")
    if b"<!" in content:
        # A listing declares nothing, and what an entity may grow to is then no question.
        raise ValueError("it has declarations of its own")
    root = ET.fromstring(content)  # noqa: S314 - of bounded size and without entities
    if root.tag.rpartition("}")[2] != "ListBucketResult":
        raise ValueError(f"its root is {root.tag[:60]}")
    files = [
        Listed(_text(entry, "Key"), _bare(_text(entry, "ETag")), _time_ms(_text(entry, "LastModified")))
        for entry in root.iterfind("{*}Contents")
    ]
    return files, _text(root, "IsTruncated") == "true"


def _text(element: ET.Element, name: str) -> str:
    text = element.findtext(f"{{*}}{name}")
    if text is None:
        raise ValueError(f"it lacks {name}")
    return text


def _time_ms(text: str) -> int:
    moment = dt.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return int(moment.timestamp() * 1000)


def _bare(etag: str) -> str:
    """An ETag without its quotes and without the mark of a weak one."""
    return etag.removeprefix("W/").strip('"')
