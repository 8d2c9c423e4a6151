import gzip
import io
import json
import zipfile
from pathlib import Path

import pytest

from nt_run.data.exchange_info import answered_at, read_exchange_info
from nt_run.errors import DataError, UsageError

ANSWER = {"serverTime": 1651694436897, "symbols": [{"symbol": "BTCUSDT"}]}
TEXT = json.dumps(ANSWER).encode()


def zipped(*names: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, TEXT)
    return content.getvalue()


@pytest.mark.parametrize("content", [TEXT, gzip.compress(TEXT), zipped("info.json")], ids=["plain", "gzip", "zip"])
def test_an_answer_is_read_however_it_is_packed(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "answer").write_bytes(content)
    assert read_exchange_info(tmp_path / "answer") == ANSWER


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"not json",
        gzip.compress(TEXT)[:-9],
        b"PK-no-zip",
        zipped("a", "b"),
        b'{"symbols": []}',
        b"\xff",
    ],
    ids=["empty", "list", "no symbols", "text", "cut gzip", "cut zip", "two files", "none listed", "bytes"],
)
def test_what_is_no_answer_is_an_error_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "answer").write_bytes(content)
    with pytest.raises(DataError, match="answer is no exchangeInfo answer"):
        read_exchange_info(tmp_path / "answer")


def test_a_missing_file_is_an_error_of_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no file"):
        read_exchange_info(tmp_path / "answer")


@pytest.mark.parametrize(("time", "expected"), [(1651694436897, 1651694436897), (0, None), ("now", None), (None, None)])
def test_an_answers_own_time_counts_only_if_it_can_be_one(time: object, expected: int | None) -> None:
    assert answered_at({"serverTime": time}) == expected
