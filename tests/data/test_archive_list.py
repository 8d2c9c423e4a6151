"""Lists of the archive's files: from the embedded exchange, and bad ones."""

from collections.abc import Callable, Iterator

import pytest

from nt_run.data.archive import ArchiveFile
from nt_run.data.archive_list import ArchiveList, find_suspects
from nt_run.data.manifest import Source
from nt_run.demo import DEMO_NOW_MS, DemoExchange, Fault
from nt_run.errors import SourceError
from nt_run.model import parse_time

MAY = ArchiveFile("klines", "BTCUSDT", "1h", "2026-05")
HEAD = b'<?xml version="1.0"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
TAIL = b"<IsTruncated>false</IsTruncated></ListBucketResult>"
ENTRY = b'<Contents><Key>a</Key><LastModified>2026-05-01T00:00:00.000Z</LastModified><ETag>"x"</ETag></Contents>'

Build = Callable[..., ArchiveList]


@pytest.fixture
def listing(pauses: list[float]) -> Iterator[Build]:
    opened: list[ArchiveList] = []

    def build(url: str, timeout_s: float = 10.0) -> ArchiveList:
        opened.append(ArchiveList(url, timeout_s=timeout_s, sleep=pauses.append))
        return opened[-1]

    yield build
    for each in opened:
        each.close()


def source(file: ArchiveFile, etag: str | None, fetched_at_ms: int = DEMO_NOW_MS) -> Source:
    return Source(
        kind="archive_monthly", key=file.key, fetched_at_ms=fetched_at_ms, rows=1, zip_sha256="0" * 64, etag=etag
    )


def test_files_of_a_folder_come_in_one_request_with_etag_and_date(listing: Build) -> None:
    months = [ArchiveFile("klines", "BTCUSDT", "1h", f"2026-0{month}").key for month in range(1, 7)]
    with DemoExchange() as exchange:
        found = listing(exchange.archive_list_url).find(months)
        assert len(exchange.requests) == 1
    assert sorted(found) == months[:-1]  # June is not published yet
    assert found[MAY.key].modified_ms == parse_time("2026-06-01T08:35")
    assert len(found[MAY.key].etag) == 32


def test_a_folder_of_many_files_takes_a_page_for_a_thousand_keys(listing: Build) -> None:
    days = [ArchiveFile("klines", "BTCUSDT", "1d", day).key for day in ("2025-01-01", "2025-12-31", "2026-06-29")]
    with DemoExchange() as exchange:
        assert sorted(listing(exchange.archive_list_url).find(days)) == days
        assert len(exchange.requests) == 2
        assert sorted(listing(exchange.archive_list_url).find(days[:1])) == days[:1]
        assert len(exchange.requests) == 3


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>", "not a listing"),
        (b"", "not a listing"),
        (b"<Error><Code>AccessDenied</Code></Error>", "its root is Error"),
        (HEAD + b"</ListBucketResult>", "it lacks IsTruncated"),
        (HEAD + ENTRY.replace(b"<ETag>", b"<E>").replace(b"</ETag>", b"</E>") + TAIL, "it lacks ETag"),
        (HEAD + ENTRY.replace(b"2026-05", b"2026-15") + TAIL, "not a listing"),
        (HEAD + ENTRY.replace(b".000Z", b"") + TAIL, "no time zone"),
        (HEAD + b" " * (1 << 22) + TAIL, "4,194,[0-9]+ bytes"),
        (b'<!DOCTYPE x [<!ENTITY a "aaaa">]>' + HEAD + ENTRY + TAIL, "declarations of its own"),
        (HEAD + ENTRY + TAIL.replace(b"false", b"true"), "does not go on"),
        (HEAD + TAIL.replace(b"false", b"true"), "does not go on"),
    ],
)
def test_an_answer_that_is_no_listing_is_an_error(
    listing: Build, body: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = listing("http://127.0.0.1:9")
    monkeypatch.setattr(asked._http, "get", lambda _key: (body, None))
    with pytest.raises(SourceError, match=words):
        asked.find(["b"])


def test_a_sound_list_of_other_files_is_an_empty_answer(listing: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = listing("http://127.0.0.1:9")
    monkeypatch.setattr(asked._http, "get", lambda _key: (HEAD + ENTRY + TAIL, None))
    assert asked.find(["b"]) == {}
    assert asked.find(["a"])["a"].etag == "x"


@pytest.mark.parametrize("kind", ["403", "404", "html", "cut"])
def test_a_listing_out_of_service_is_an_error(listing: Build, kind: str) -> None:
    with DemoExchange([Fault("prefix=", kind, times=None)]) as exchange, pytest.raises(SourceError):
        listing(exchange.archive_list_url).find([MAY.key])


def test_only_files_that_may_differ_are_suspects(listing: Build) -> None:
    with DemoExchange() as exchange:
        asked = listing(exchange.archive_list_url)
        etag = asked.find([MAY.key])[MAY.key].etag
        june = ArchiveFile("klines", "BTCUSDT", "1h", "2026-06")

        def suspects(file: ArchiveFile, *known: object) -> list[ArchiveFile]:
            return find_suspects(asked, {file: source(file, *known)})[0]  # type: ignore[arg-type]

        assert suspects(MAY, f'"{etag}"') == suspects(MAY, f'W/"{etag}"') == []
        assert suspects(MAY, '"another"') == [MAY]
        assert suspects(MAY, None) == [MAY]
        assert suspects(MAY, f'"{etag}"', parse_time("2026-06-01T08:34")) == [MAY]
        assert suspects(june, f'"{etag}"') == [june]


def test_without_a_listing_every_file_is_a_suspect_and_the_reason_is_said(listing: Build) -> None:
    sources = {MAY: source(MAY, "x")}
    assert find_suspects(None, sources)[0] == [MAY]
    found, why = find_suspects(listing("http://127.0.0.1:9"), sources)
    assert found == [MAY]
    assert "is not reachable (Connection refused)" in why
