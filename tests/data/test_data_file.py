import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nt_run.data.content import hash_content
from nt_run.data.data_file import Rows, decode, encode
from nt_run.data.kline_store import KlineStore
from nt_run.data.manifest import FILE, Manifest, Partition, Source, load_manifest
from nt_run.errors import InvalidKlinesError, StoreError
from nt_run.klines import OPTIONAL, SCHEMA, Exponents, Klines
from nt_run.model import Interval, TimeRange

MINUTES = Interval("1m")
DAY = 1_735_689_600_000
BITCOIN = (1, 3, 4)
INT64 = st.integers(-(2**63), 2**63 - 1)


def rows(first: int = 0, **columns: Sequence[int | None]) -> pl.DataFrame:
    """Rows of consecutive minutes; columns that are not given are 100."""
    count = len(next(iter(columns.values())))
    times = pl.Series("open_time", [DAY + (first + at) * 60_000 for at in range(count)]).cast(SCHEMA["open_time"])
    values = (pl.Series(name, columns.get(name, [100] * count), dtype=pl.Int64) for name in list(SCHEMA)[1:])
    return pl.DataFrame([times, *values])


def columns_of[T](names: Sequence[str], values: Sequence[tuple[T, ...]]) -> dict[str, list[T]]:
    return {name: [row[at] for row in values] for at, name in enumerate(names)}


def partition(frame: pl.DataFrame, exponents: tuple[int, ...], name: str = "2025-01") -> Partition:
    times = frame["open_time"].to_physical()
    return Partition(name, "", frame.height, 0, int(times[0]), int(times[-1]), exponents)


def side_by_side(*files: tuple[pl.DataFrame, tuple[int, ...]]) -> Klines:
    """Read files as the store does, the last one first."""
    parts = [(partition(frame, exponents, str(at)), frame) for at, (frame, exponents) in enumerate(files)]
    together = Rows([part for part, _ in parts])
    for part, frame in reversed(parts):
        together.take(part, encode(frame, part.exponents))
    return together.klines("BTCUSDT", MINUTES)


def stored(content: bytes) -> Mapping[str, list[int | None]]:
    return pl.read_parquet(io.BytesIO(content)).to_dict(as_series=False)


def as_it_is(frame: pl.DataFrame, _exponents: tuple[int, ...]) -> pl.DataFrame:
    return frame


def test_a_file_holds_what_volume_and_close_do_not_tell_of_a_quote_volume() -> None:
    # 0.068 BTC for 6,358.2384 USDT; at the close of 93,509.2 they would be 6,358.6256, so −0.3872 is left.
    frame = rows(close=[935_092], volume=[68], quote_volume=[63_582_384], taker_buy_quote_volume=[9_350_920])
    held = stored(encode(frame, BITCOIN))
    assert held["quote_volume_rest"] == [-3_872]
    # The takers' 0.100 BTC at 93,509.2 are 9,350.92 USDT: nearly ten times what they paid.
    assert held["taker_buy_quote_volume_rest"] == [9_350_920 - 93_509_200]
    assert "quote_volume" not in held
    assert "taker_buy_quote_volume" not in held
    # With six decimals for quote volumes the product counts a hundred times.
    wider = frame.with_columns(pl.col("quote_volume") * 100)
    assert stored(encode(wider, (1, 3, 6)))["quote_volume_rest"] == [-387_200]


def test_every_column_is_delta_packed() -> None:
    metadata = cast("Any", pq).ParquetFile(io.BytesIO(encode(rows(volume=[1, 2, 3]), BITCOIN))).metadata.row_group(0)
    assert {metadata.column(at).encodings[-1] for at in range(len(SCHEMA))} == {"DELTA_BINARY_PACKED"}


def test_only_a_column_that_lacks_something_says_that_it_can() -> None:
    schema = cast("Any", pq).read_schema(io.BytesIO(encode(rows(volume=[1, 2], trades=[None, 3]), BITCOIN)))
    assert [field.name for field in schema if field.nullable] == ["trades"]


@settings(deadline=None)
@given(
    st.lists(st.tuples(*[INT64] * 9), min_size=1, max_size=6),
    st.tuples(st.integers(0, 8), st.integers(0, 8), st.integers(0, 12)),
)
def test_whatever_the_values_are_they_come_back(values: list[tuple[int, ...]], exponents: tuple[int, ...]) -> None:
    frame = rows(0, **columns_of(list(SCHEMA)[1:], values))
    assert decode(encode(frame, exponents), exponents).select(list(SCHEMA)).equals(frame)
    assert side_by_side((frame, exponents)).frame.equals(frame)


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.none() | st.integers(0, 2**40)] * 4), min_size=1, max_size=6))
def test_what_is_unknown_comes_back_unknown(values: list[tuple[int | None, ...]]) -> None:
    frame = rows(0, **columns_of(OPTIONAL, values))
    wider = rows(first=frame.height, volume=[7, 8])
    assert decode(encode(frame, BITCOIN), BITCOIN).select(list(SCHEMA)).equals(frame)
    both = side_by_side((frame, BITCOIN), (wider, (2, 3, 6)))
    assert both.exponents == Exponents(2, 3, 6)
    assert both.frame[: frame.height]["trades"].equals(frame["trades"])
    hundredfold = frame["quote_volume"] * 100
    assert both.frame[: frame.height]["quote_volume"].equals(hundredfold)


def test_files_of_other_decimals_are_widened_to_hold_every_digit() -> None:
    both = side_by_side((rows(close=[935_092]), BITCOIN), (rows(first=1, close=[9_350_925]), (2, 3, 4)))
    assert both.frame["close"].to_list() == [9_350_920, 9_350_925]
    assert both.frame["volume"].to_list() == [100, 100]
    with pytest.raises(InvalidKlinesError, match="volume has more digits than 64 bits hold"):
        side_by_side((rows(volume=[2**60]), BITCOIN), (rows(first=1, volume=[1]), (1, 4, 4)))


def test_a_file_of_another_length_than_its_partition_says_is_refused() -> None:
    frame = rows(volume=[1, 2])
    with pytest.raises(StoreError, match="has 1 rows and the manifest says 2"):
        Rows([partition(frame, BITCOIN)]).take(partition(frame, BITCOIN), encode(frame[:1], BITCOIN))


def test_a_store_of_format_1_is_read_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = KlineStore(tmp_path, "BTCUSDT", MINUTES, repair=False)
    source = Source(kind="rest", key="", fetched_at_ms=0, rows=0)
    later = DAY + 40 * 86_400_000
    frame = rows(close=[935_092, 935_093, 935_101], volume=[68, 69, 70], quote_volume=[1, 2, 3])
    old = Klines("BTCUSDT", MINUTES, Exponents(*BITCOIN), frame)
    with monkeypatch.context() as former:
        # Then each column was kept as it is.
        former.setattr("nt_run.data.data_file._with_rests", as_it_is)
        former.setattr("nt_run.data.manifest.SCHEMA", "1.0")
        store.commit(old, source=source, now_ms=later)
    path = store.series.folder / FILE
    assert path.read_bytes().startswith(b'{"schema":"1.0"')
    (file,) = store.series.folder.glob("*.parquet")
    assert list(stored(file.read_bytes())) == list(SCHEMA)
    assert store.read_all().frame.equals(frame)
    fresh = Klines("BTCUSDT", MINUTES, Exponents(*BITCOIN), rows(first=3, volume=[71]))
    before = hash_content(store.read(TimeRange(DAY, DAY + 180_000)))
    store.commit(fresh, source=source, now_ms=later)
    assert path.read_bytes().startswith(b'{"schema":"2.0"')
    assert len(store.read_all()) == 4
    assert hash_content(store.read(TimeRange(DAY, DAY + 180_000))) == before
    manifest = load_manifest(path, Manifest)
    assert manifest is not None
    held = stored((store.series.folder / manifest.partitions["2025-01"].file).read_bytes())
    assert "quote_volume_rest" in held
