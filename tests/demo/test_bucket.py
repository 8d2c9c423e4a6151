"""The listing of the archive's object store."""

import hashlib
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from nt_run.demo import DemoExchange
from nt_run.demo.bucket import PATH

MONTHLY = "data/futures/um/monthly/klines/BTCUSDT/1h/"
DAILY = "data/futures/um/daily/klines/BTCUSDT/1d/"

type Get = Callable[..., Any]


def listed(get: Get, **query: Any) -> tuple[list[dict[str, str]], bool]:
    page = get(f"{PATH}/", **{name.replace("_", "-"): value for name, value in query.items()})
    assert (page.status, page.headers["content-type"]) == (200, "application/xml")
    root = ET.fromstring(page.body)  # noqa: S314 - our own server's
    entries = [{each.tag.rpartition("}")[2]: each.text or "" for each in one} for one in root.iterfind("{*}Contents")]
    return entries, root.findtext("{*}IsTruncated") == "true"


def test_a_folder_lists_each_file_as_it_is_served(get: Get) -> None:
    entries, truncated = listed(get, prefix=MONTHLY)
    # January 2025 to May 2026; June is not published yet at the demo's moment.
    assert [one["Key"] for one in entries[::2]] == [
        f"{MONTHLY}BTCUSDT-1h-{year}-{month:02}.zip" for year in (2025, 2026) for month in range(1, 13)
    ][:17]
    assert not truncated
    for one in entries[-2:]:
        file = get(f"/{one['Key']}")
        assert one["Size"] == str(len(file.body))
        assert one["ETag"] == file.headers["etag"] == f'"{hashlib.md5(file.body, usedforsecurity=False).hexdigest()}"'
        assert one["LastModified"] == "2026-06-01T08:35:00.000Z"


def test_a_long_folder_takes_pages_of_a_thousand_keys_that_leave_out_none(get: Get) -> None:
    first, more = listed(get, prefix=DAILY)
    second, still_more = listed(get, prefix=DAILY, marker=first[-1]["Key"])
    assert (len(first), more, still_more) == (1000, True, False)
    keys = [one["Key"] for one in first + second]
    # 545 days from 2025-01-01 to 2026-06-29 inclusive; the day after is not published. A zip and a checksum each.
    assert len(set(keys)) == len(keys) == 2 * 545
    assert keys == sorted(keys)
    assert keys[-1] == f"{DAILY}BTCUSDT-1d-2026-06-29.zip.CHECKSUM"


def test_pages_may_be_short_and_keys_are_in_order_across_folders(get: Get) -> None:
    prefix, marker, keys = "data/futures/um/monthly/fundingRate/", "", list[str]()
    while True:
        page, more = listed(get, prefix=prefix, marker=marker, max_keys=7)
        keys += [one["Key"] for one in page]
        if not more:
            break
        assert len(page) == 7
        marker = keys[-1]
    assert keys == sorted(keys)
    assert len(keys) == 2 * 2 * 17


def test_what_is_not_there_is_an_empty_list(get: Get) -> None:
    assert listed(get, prefix="data/futures/um/monthly/klines/NOSUCH/") == ([], False)
    assert listed(get, prefix=MONTHLY, marker="e") == ([], False)


@pytest.mark.parametrize(("query", "status"), [({"delimiter": "/"}, 501), ({"max-keys": "x"}, 400)])
def test_what_it_does_not_understand_is_refused(get: Get, query: dict[str, str], status: int) -> None:
    refused = get(f"{PATH}/", **query)
    assert refused.status == status
    assert b"<Error>" in refused.body


def test_a_replaced_file_has_another_etag_and_the_time_of_its_replacement(fetch: Get) -> None:
    month = f"{MONTHLY}BTCUSDT-1h-2026-03.zip"
    with DemoExchange() as exchange:

        def ask() -> dict[str, str]:
            return listed(lambda *args, **query: fetch(exchange.archive_url, *args, **query), prefix=month)[0][0]

        before = ask()
        exchange.amend_archive(
            "monthly/klines/BTCUSDT-1h-2026-03", lambda candles: candles.between(0, int(np.max(candles.open_time)))
        )
        after = ask()
    assert before["LastModified"] == "2026-04-06T08:35:00.000Z"
    assert after["LastModified"] == "2026-07-01T00:00:30.000Z"
    assert after["ETag"] != before["ETag"]
