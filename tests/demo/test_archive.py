"""The archive protocol: keys, publication, checksums and content."""

import csv
import datetime as dt
import hashlib
import io
import zipfile
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from nt_run.demo import DEMO_NOW_MS, DemoExchange

ROOT = "/data/futures/um"
MAY = f"{ROOT}/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2026-05.zip"

type Get = Callable[..., Any]


def rows_of(content: bytes) -> tuple[str, list[list[str]]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (name,) = archive.namelist()
        return name, list(csv.reader(io.TextIOWrapper(archive.open(name), "ascii")))


def at(*moment: int) -> int:
    return int(dt.datetime(*moment, tzinfo=dt.UTC).timestamp() * 1000)  # type: ignore[arg-type]


def test_a_month_holds_the_same_klines_as_rest_under_a_header(get: Get) -> None:
    name, (header, *rows) = rows_of(get(MAY).body)
    assert name == "BTCUSDT-1m-2026-05.csv"
    assert ",".join(header) == (
        "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
        "taker_buy_quote_volume,ignore"
    )
    assert len(rows) == 31 * 1440
    assert (int(rows[0][0]), int(rows[-1][0])) == (at(2026, 5, 1), at(2026, 6, 1) - 60_000)
    rest = get("klines", symbol="BTCUSDT", interval="1m", startTime=at(2026, 5, 3), limit=5).json
    assert rows[2 * 1440 : 2 * 1440 + 5] == [[str(value) for value in row] for row in rest]


def test_a_day_is_a_part_of_its_month(get: Get) -> None:
    _, month = rows_of(get(MAY).body)
    _, day = rows_of(get(f"{ROOT}/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2026-05-07.zip").body)
    assert day[0] == month[0]
    assert day[1:] == month[1 + 6 * 1440 : 1 + 7 * 1440]


def test_mark_prices_and_longer_intervals_have_files_too(get: Get) -> None:
    _, rows = rows_of(get(f"{ROOT}/monthly/markPriceKlines/ETHUSDT/4h/ETHUSDT-4h-2025-02.zip").body)
    assert len(rows) == 1 + 28 * 6
    assert rows[1][5] == "0"


def test_funding_rates_are_monthly_with_their_raw_times(get: Get) -> None:
    name, (header, *rows) = rows_of(get(f"{ROOT}/monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2026-05.zip").body)
    assert name == "BTCUSDT-fundingRate-2026-05.csv"
    assert header == ["calc_time", "funding_interval_hours", "last_funding_rate"]
    rest = get("fundingRate", symbol="BTCUSDT", startTime=at(2026, 5, 1), endTime=at(2026, 6, 1) - 1).json
    assert rows == [[str(row["fundingTime"]), "8", row["fundingRate"]] for row in rest]
    assert len(rows) == 93
    assert get(f"{ROOT}/daily/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2026-05-01.zip").status == 404


def test_a_checksum_is_the_sha256_of_the_zip_before_its_name(get: Get) -> None:
    content, checksum = get(MAY), get(f"{MAY}.CHECKSUM")
    assert checksum.body.decode() == f"{hashlib.sha256(content.body).hexdigest()}  BTCUSDT-1m-2026-05.zip\n"
    assert checksum.headers["content-type"] == "text/plain"


def test_a_file_is_the_same_bytes_from_every_exchange(get: Get, fetch: Get) -> None:
    with DemoExchange() as other:
        assert fetch(other.rest_url, MAY).body == get(MAY).body


def test_files_carry_an_etag_and_the_time_of_their_publication(get: Get) -> None:
    got = get(MAY)
    assert got.headers["etag"] == f'"{hashlib.md5(got.body, usedforsecurity=False).hexdigest()}"'
    assert parsedate_to_datetime(got.headers["last-modified"]) == dt.datetime(2026, 6, 1, 8, 35, tzinfo=dt.UTC)
    assert got.headers["content-type"] == "application/zip"
    assert "content-encoding" not in got.headers


def test_head_gives_the_headers_without_the_body(get: Get) -> None:
    head, full = get(MAY, method="HEAD"), get(MAY)
    assert head.body == b""
    for name in ("content-length", "etag", "last-modified"):
        assert head.headers[name] == full.headers[name]


@pytest.mark.parametrize(
    ("key", "published"),
    [
        ("daily/klines/BTCUSDT/1m/BTCUSDT-1m-2026-06-28.zip", at(2026, 6, 29, 8, 35)),
        # The first Monday after a month: May ended on a Sunday, February 2026 too, March on a Tuesday.
        ("monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2026-05.zip", at(2026, 6, 1, 8, 35)),
        ("monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2026-03.zip", at(2026, 4, 6, 8, 35)),
        ("monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2025-12.zip", at(2026, 1, 5, 8, 35)),
    ],
)
def test_a_file_is_there_from_its_publication_on(fetch: Get, key: str, published: int) -> None:
    with DemoExchange(clock_ms=published - 1) as exchange:
        assert fetch(exchange.archive_url, f"{ROOT}/{key}").status == 404
        assert fetch(exchange.archive_url, f"{ROOT}/{key}.CHECKSUM").status == 404
        exchange.clock_ms = published
        assert fetch(exchange.archive_url, f"{ROOT}/{key}").status == 200


def test_at_the_demo_s_moment_june_and_yesterday_are_not_yet_published(get: Get) -> None:
    assert dt.datetime.fromtimestamp(DEMO_NOW_MS / 1000, dt.UTC).date() == dt.date(2026, 7, 1)
    assert get(f"{ROOT}/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2026-06.zip").status == 404
    assert get(f"{ROOT}/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2026-06-30.zip").status == 404
    assert get(f"{ROOT}/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2026-06-29.zip").status == 200


@pytest.mark.parametrize(
    "key",
    [
        "monthly/klines/BTCUSDT/1m/ETHUSDT-1m-2026-05.zip",
        "monthly/klines/BTCUSDT/1m/BTCUSDT-5m-2026-05.zip",
        "monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2026-13.zip",
        "monthly/klines/BTCUSDT/1m/BTCUSDT-1m-9999-12.zip",
        "monthly/klines/BTCUSDT/1m/BTCUSDT-1m-0000-01.zip",
        "monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2026-05-01.zip",
        "daily/klines/BTCUSDT/1m/BTCUSDT-1m-2026-02-30.zip",
        "daily/klines/BTCUSDT/1m/BTCUSDT-1m-2026-05.zip",
        "monthly/klines/NOSUCH/1m/NOSUCH-1m-2026-05.zip",
        "monthly/klines/BTCUSDT/7m/BTCUSDT-7m-2026-05.zip",
        "monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2024-12.zip",
        "monthly/trades/BTCUSDT/BTCUSDT-trades-2026-05.zip",
        "",
    ],
)
def test_what_is_not_there_is_answered_as_an_object_store_does(get: Get, key: str) -> None:
    got = get(f"{ROOT}/{key}")
    assert got.status == 404
    assert got.headers["content-type"] == "application/xml"
    assert b"<Code>NoSuchKey</Code>" in got.body
    assert f"<Key>{ROOT[1:]}/{key}</Key>".encode() in got.body
