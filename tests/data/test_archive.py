import hashlib
import io
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nt_run.data.archive import PARALLEL, ArchiveClient, ArchiveFile, Arrived
from nt_run.demo import DemoExchange, Fault
from nt_run.demo.candles import Candles
from nt_run.errors import SourceError

MAY = ArchiveFile("klines", "BTCUSDT", "1h", "2026-05")
DAY = ArchiveFile("klines", "BTCUSDT", "1h", "2026-05-07")

Client = Callable[..., ArchiveClient]


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def client(pauses: list[float], told: list[str]) -> Iterator[Client]:
    opened: list[ArchiveClient] = []

    def build(url: str, timeout_s: float = 10.0) -> ArchiveClient:
        opened.append(ArchiveClient(url, timeout_s=timeout_s, notice=told.append, sleep=pauses.append))
        return opened[-1]

    yield build
    for each in opened:
        each.close()


NAME = "BTCUSDT-1h-2026-05.csv"


def zipped(
    name: str, text: bytes = b"1,2\n", *, packing: int = zipfile.ZIP_STORED, extra: bytes = b"", comment: bytes = b""
) -> bytes:
    content = io.BytesIO()
    member = zipfile.ZipInfo(name)
    member.extra, member.compress_type = extra, packing
    with zipfile.ZipFile(content, "w") as archive:
        archive.comment = comment
        archive.writestr(member, text)
    return content.getvalue()


@pytest.mark.parametrize(
    ("file", "key"),
    [
        (MAY, "data/futures/um/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2026-05.zip"),
        (DAY, "data/futures/um/daily/klines/BTCUSDT/1h/BTCUSDT-1h-2026-05-07.zip"),
        (
            ArchiveFile("markPriceKlines", "ETHUSDT", "1M", "2026-05"),
            "data/futures/um/monthly/markPriceKlines/ETHUSDT/1mo/ETHUSDT-1mo-2026-05.zip",
        ),
        (
            ArchiveFile("fundingRate", "BTCUSDT", "", "2026-05"),
            "data/futures/um/monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2026-05.zip",
        ),
    ],
)
def test_files_are_where_the_archive_keeps_them(file: ArchiveFile, key: str) -> None:
    assert file.key == key


def test_a_file_comes_with_its_text_its_hash_and_its_etag(client: Client) -> None:
    with DemoExchange() as exchange:
        got = client(exchange.archive_url).fetch(MAY)
        asked = [served.path.rpartition("/")[2] for served in exchange.requests]
    assert got is not None
    assert got.text.startswith(b"open_time,")
    assert got.text.count(b"\n") == 1 + 31 * 24
    assert len(got.zip_sha256) == 64
    assert got.etag is not None
    assert asked == ["BTCUSDT-1h-2026-05.zip", "BTCUSDT-1h-2026-05.zip.CHECKSUM"]


def test_what_is_not_published_costs_one_request_and_is_no_error(client: Client) -> None:
    with DemoExchange() as exchange:
        assert client(exchange.archive_url).fetch(ArchiveFile("klines", "BTCUSDT", "1h", "2019-05")) is None
        assert len(exchange.requests) == 1


@pytest.mark.parametrize("kind", ["corrupt", "404", "html"])
def test_a_missing_or_wrong_checksum_is_asked_for_once_more(client: Client, kind: str, told: list[str]) -> None:
    with DemoExchange([Fault(".CHECKSUM", kind)]) as exchange:
        assert client(exchange.archive_url).fetch(MAY) is not None
        assert len(exchange.requests) == 4
    assert "trying again" in told[0]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("corrupt", "does not have the sha256 of its checksum"),
        ("404", "has no checksum"),
        ("html", "a checksum beside it that is not one"),
    ],
)
def test_data_with_a_wrong_checksum_is_never_used(client: Client, kind: str, words: str) -> None:
    with (
        DemoExchange([Fault(".CHECKSUM", kind, times=None)]) as exchange,
        pytest.raises(SourceError, match=f"{words}.*was not used"),
    ):
        client(exchange.archive_url).fetch(MAY)
    assert len(exchange.requests) == 4


def test_a_flipped_bit_on_the_way_is_found(client: Client) -> None:
    with DemoExchange([Fault("2026-05.zip", "corrupt")]) as exchange:
        got = client(exchange.archive_url).fetch(MAY)
    assert got is not None
    assert got.text.count(b"\n") == 1 + 31 * 24


@pytest.mark.parametrize("kind", ["cut", "500", "503", "reset"])
def test_what_may_pass_is_tried_again(client: Client, kind: str, pauses: list[float]) -> None:
    with DemoExchange([Fault("2026-05-07.zip", kind, times=3)]) as exchange:
        connected = client(exchange.archive_url)
        connected.fetch(MAY)
        assert connected.fetch(DAY) is not None
    assert 0.25 <= pauses[0] <= 0.5 <= pauses[1] <= 1.0 <= pauses[2] <= 2.0


@pytest.mark.parametrize("kind", ["429", "503"])
def test_the_archive_s_wish_to_wait_is_obeyed(client: Client, kind: str, pauses: list[float], told: list[str]) -> None:
    with DemoExchange([Fault("2026-05-07.zip", kind, retry_after=7)]) as exchange:
        assert client(exchange.archive_url).fetch(DAY) is not None
    assert pauses[0] == pytest.approx(7, abs=0.5)
    assert told == [f"BTCUSDT-1h-2026-05-07.zip was answered with HTTP {kind}; trying again in 7 s, as asked"]


def test_a_date_to_wait_for_is_held_to_the_clock_of_the_answer(client: Client, pauses: list[float]) -> None:
    # The answer's own Date is the machine's time: a date that is over asks for no wait, one far off is not waited for.
    with DemoExchange([Fault("2026-05-07.zip", "503", retry_after="Wed, 21 Oct 2015 07:28:00 GMT")]) as exchange:
        assert client(exchange.archive_url).fetch(DAY) is not None
    assert pauses == []
    far = Fault("2026-05-07.zip", "503", retry_after="Fri, 31 Dec 2999 23:59:59 GMT")
    with DemoExchange([far]) as exchange, pytest.raises(SourceError, match="asks to wait"):
        client(exchange.archive_url).fetch(DAY)


def test_a_wait_that_does_not_end_is_given_up_after_three_more_attempts(client: Client) -> None:
    with (
        DemoExchange([Fault("2026-05-07.zip", "429", times=None, retry_after=7)]) as exchange,
        pytest.raises(SourceError, match="HTTP 429"),
    ):
        client(exchange.archive_url).fetch(DAY)
    assert len(exchange.requests) == 4


def test_an_archive_that_wants_no_request_for_long_is_given_up_at_once_for_all_files(
    client: Client, pauses: list[float]
) -> None:
    with DemoExchange([Fault("2026-05-07.zip", "503", retry_after=3600)]) as exchange:
        connected = client(exchange.archive_url)
        for file in (DAY, MAY):
            with pytest.raises(SourceError, match=r"HTTP 503 and asks to wait for 3,600 s"):
                connected.fetch(file)
        assert len(exchange.requests) == 1
    assert pauses == []


def test_a_cut_body_that_stays_cut_is_an_error(client: Client) -> None:
    with (
        DemoExchange([Fault("2026-05-07.zip", "cut", times=None)]) as exchange,
        pytest.raises(SourceError, match="was cut off on the way"),
    ):
        client(exchange.archive_url).fetch(DAY)


def test_a_body_that_drips_is_given_up(client: Client) -> None:
    with (
        DemoExchange([Fault("2026-05.zip", "slow", times=None)]) as exchange,
        pytest.raises(SourceError, match="came too slowly"),
    ):
        client(exchange.archive_url, timeout_s=0.5).fetch(MAY)


def test_an_archive_that_does_not_answer_is_given_up_for_all_files(client: Client) -> None:
    silent = client("http://127.0.0.1:9")
    for file in (MAY, DAY):
        with pytest.raises(SourceError, match=r"is not reachable \(Connection refused\)"):
            silent.fetch(file)


def test_a_refusal_is_an_error_at_once(client: Client, pauses: list[float]) -> None:
    with DemoExchange([Fault("2026-05.zip", "403")]) as exchange, pytest.raises(SourceError, match="HTTP 403"):
        client(exchange.archive_url).fetch(MAY)
    assert pauses == []


def test_a_redirect_is_followed_on_the_same_host_only(client: Client) -> None:
    here = Fault("2026-05.zip", "redirect", location=f"/{MAY.key}")
    with DemoExchange([here]) as exchange:
        assert client(exchange.archive_url).fetch(MAY) is not None
    away = Fault("2026-05.zip", "redirect", location=f"http://elsewhere.example/{MAY.key}")
    with DemoExchange([away]) as exchange, pytest.raises(SourceError, match="another address"):
        client(exchange.archive_url).fetch(MAY)
    ring = Fault("2026-05.zip", "redirect", times=None, location=f"/{MAY.key}")
    with DemoExchange([ring]) as exchange, pytest.raises(SourceError, match="more than 3 times"):
        client(exchange.archive_url).fetch(MAY)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (zipped("BTCUSDT-1h-2026-05.csv")[:-30], "not a readable zip"),
        (zipped("ETHUSDT-1h-2026-05.csv"), r"holds ETHUSDT-1h-2026-05\.csv and not BTCUSDT"),
        (b"", "not a readable zip"),
    ],
)
def test_a_zip_of_something_else_is_not_used(client: Client, content: bytes, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        client("http://127.0.0.1:9")._member(MAY, content)


@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("extra", [b"", b"\xfe\xca\x04\x00four"])
def test_members_come_out_as_they_went_in_however_they_are_packed(client: Client, packing: int, extra: bytes) -> None:
    text = b"".join(b"%d,%d.5\n" % (row, row * 7) for row in range(5_000))
    content = zipped(NAME, text, packing=packing, extra=extra, comment=b"a comment")
    assert client("http://127.0.0.1:9")._member(MAY, content) == text


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
@example(at=2399, bit=0)  # the directory says that the member begins before the file
def test_a_flipped_bit_of_a_zip_is_found_or_changes_nothing(client: Client, at: int, bit: int) -> None:
    text = b"".join(b"%d,%d.5\n" % (row, row * 7) for row in range(500))
    content = bytearray(zipped(NAME, text, packing=zipfile.ZIP_DEFLATED))
    content[at % len(content)] ^= 1 << bit
    try:
        assert client("http://127.0.0.1:9")._member(MAY, bytes(content)) == text
    except SourceError as exc:
        assert "not used" in str(exc)


def test_many_files_come_a_few_at_a_time(client: Client) -> None:
    files = [ArchiveFile("klines", "BTCUSDT", "1h", f"2026-05-{day:02}") for day in range(1, 31)]
    missing = ArchiveFile("klines", "BTCUSDT", "1h", "2020-01-01")
    with DemoExchange([Fault("2026-05-07.zip", "403")]) as exchange:
        came = dict(client(exchange.archive_url).fetch_all([*files, missing]))
    assert came.keys() == {*files, missing}
    assert sum(isinstance(outcome, Arrived) for outcome in came.values()) == 29
    assert isinstance(came[DAY], SourceError)
    assert came[missing] is None


def test_never_more_than_four_files_are_on_their_way(client: Client) -> None:
    files = [ArchiveFile("klines", "BTCUSDT", "1h", f"2026-05-{day:02}") for day in range(1, 29)]
    lock, fifth = threading.Lock(), threading.Event()
    inside, most = 0, 0

    def linger(candles: Candles) -> Candles:
        """Stay where the exchange makes a file, as long as another request may come in."""
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
            if inside > PARALLEL:
                fifth.set()
        fifth.wait(0.1)
        with lock:
            inside -= 1
        return candles

    with DemoExchange() as exchange:
        exchange.amend_archive("daily", linger)
        came = dict(client(exchange.archive_url).fetch_all(files))
    assert len(came) == 28
    assert most == PARALLEL == 4


def test_a_recorded_zip_is_opened_and_a_recorded_checksum_holds(client: Client, recordings: Path) -> None:
    file = ArchiveFile("klines", "BTCUSDT", "1h", "2024-10-28")
    content = (recordings / "archive" / "futures-um-klines-BTCUSDT-1h-2024-10-28.zip").read_bytes()
    assert client("http://127.0.0.1:9")._member(file, content).count(b"\n") == 25
    spot = (recordings / "archive" / "spot-BTCUSDT-1m-2020-01-01.zip").read_bytes()
    claim = (recordings / "archive" / "spot-BTCUSDT-1m-2020-01-01.zip.CHECKSUM").read_text()
    assert claim.split() == [hashlib.sha256(spot).hexdigest(), "BTCUSDT-1m-2020-01-01.zip"]
