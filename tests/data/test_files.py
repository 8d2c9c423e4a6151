import errno
import os
import resource
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from nt_run.data.files import Reader, read_whole, set_aside, sweep, write_whole, writers_lock
from nt_run.data.kline_store import KlineStore
from nt_run.data.loader import MarketData
from nt_run.data.manifest import Source
from nt_run.demo import DemoExchange
from nt_run.errors import StoreError
from nt_run.klines import Klines
from nt_run.model import Interval, TimeRange, parse_time

JANUARY = parse_time("2025-01-01")
LATER = parse_time("2025-06-15")
DAY = TimeRange(JANUARY, JANUARY + 86_400_000)

Open = Callable[..., MarketData]


@contextmanager
def little_space(size: int) -> Generator[None]:
    """No file grows beyond `size` bytes: a write ends in its middle, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_where_the_cache_folder_should_be_is_an_error_of_one_line(open_data: Open, tmp_path: Path) -> None:
    blocker = tmp_path / "README.md"
    blocker.write_text("not a folder")
    line = f"{blocker} is not a folder. Choose another folder with --cache-dir."
    with DemoExchange() as exchange:
        data = open_data(exchange.rest_url, root=blocker)
        offline = open_data(root=blocker, offline=True)
        for ask in (
            lambda: data.load_specs("BTCUSDT"),
            lambda: data.load_klines("BTCUSDT", Interval("1m"), DAY),
            lambda: data.load_funding("BTCUSDT", DAY),
            lambda: offline.load_specs("BTCUSDT"),
            lambda: offline.load_klines("BTCUSDT", Interval("1m"), DAY),
            lambda: offline.newest_cached_range("BTCUSDT", Interval("1m")),
            offline.cached,
        ):
            with pytest.raises(StoreError) as caught:
                ask()
            assert str(caught.value) == line
            assert caught.value.exit_code == 3
            assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize("root", ["/dev/null", "/proc/nt-run"])
def test_a_place_that_takes_no_folder_is_an_error_that_names_it(open_data: Open, root: str) -> None:
    with DemoExchange() as exchange, pytest.raises(StoreError, match="--cache-dir") as caught:
        open_data(exchange.rest_url, root=Path(root)).load_specs("BTCUSDT")
    assert str(caught.value).startswith(root)
    assert "\n" not in str(caught.value)


def test_a_folder_that_may_not_be_written_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The superuser may write anywhere, so the kernel's refusal is put in its place.
    def refuse(*_args: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    folder = tmp_path / "cache"
    line = f"{folder} cannot be written: Permission denied. Choose another folder with --cache-dir."
    with pytest.raises(StoreError) as caught:
        write_whole(folder / "a.json", b"{}")
    assert str(caught.value) == line
    with pytest.raises(StoreError) as caught, writers_lock(folder):
        raise AssertionError("the lock was given")
    assert str(caught.value) == line


def test_a_disk_without_space_is_an_error_and_leaves_no_torn_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_whole(path, b"old")
    with little_space(1000), pytest.raises(StoreError, match=r"cannot be written: File too large\."):
        write_whole(path, b"x" * 5000)
    assert names(tmp_path) == ["a.json"]
    assert read_whole(path) == b"old"


def test_a_full_disk_is_told_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    words = "cannot be written: No space left on device. What arrived before is kept. Make room there"
    with pytest.raises(StoreError, match=words):
        write_whole(tmp_path / "file", b"content")
    assert names(tmp_path) == []


def test_a_disk_that_fills_up_leaves_the_series_as_it_was(
    store: KlineStore, klines: Callable[..., Klines], rest_source: Source
) -> None:
    store.commit(klines(JANUARY, 10), source=rest_source, now_ms=LATER)
    before = names(store.series.folder)
    with little_space(4000), pytest.raises(StoreError, match="cannot be written"):
        store.commit(klines(JANUARY, 1440), source=rest_source, now_ms=LATER)
    assert names(store.series.folder) == before
    assert len(store.read(DAY)) == 10


def test_a_file_that_cannot_be_read_is_an_error_that_names_it(
    store: KlineStore, klines: Callable[..., Klines], rest_source: Source
) -> None:
    store.commit(klines(JANUARY, 10), source=rest_source, now_ms=LATER)
    path = next(store.series.folder.glob("*.parquet"))
    path.unlink()
    path.mkdir()
    with pytest.raises(StoreError, match=r"cannot be read: Is a directory\. .+--cache-dir") as caught:
        store.read(DAY)
    assert caught.value.path == str(path)


def test_an_error_of_the_code_under_the_lock_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(ConnectionError), writers_lock(tmp_path):
        raise ConnectionError


def test_a_file_that_is_not_there_stays_an_error_for_the_caller_to_judge(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_whole(tmp_path / "a.json")
    set_aside(tmp_path / "a.json")
    assert names(tmp_path) == []


def test_a_reader_gives_each_file_whole_in_memory_that_it_uses_again(tmp_path: Path) -> None:
    contents = {"long": b"0123456789" * 1000, "empty": b"", "short": b"abc"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    reader = Reader()
    for name in ("short", "long", "empty", "short", "long"):
        assert bytes(reader.read(tmp_path / name)) == contents[name]
    with ThreadPoolExecutor(2) as pool:
        held = reader.read(tmp_path / "long")
        assert bytes(pool.submit(lambda: bytes(reader.read(tmp_path / "short"))).result()) == b"abc"
        assert bytes(held) == contents["long"], "another thread's file came into this one's memory"
    with pytest.raises(FileNotFoundError):
        reader.read(tmp_path / "none")


def test_a_sweep_removes_old_files_that_nothing_refers_to(tmp_path: Path) -> None:
    for name in ("kept.parquet", "old.parquet", ".tmp-1-old.parquet", "young.parquet", "old.json"):
        (tmp_path / name).write_bytes(b"")
        if name != "young.parquet":
            os.utime(tmp_path / name, (0, 0))
    sweep(tmp_path, {"kept.parquet"}, "*.parquet")
    assert names(tmp_path) == ["kept.parquet", "old.json", "young.parquet"]
