"""One data file: rows to bytes, and bytes to rows.

Files are Parquet, written and read by pyarrow: it can choose the encoding (delta-packed integers are half the bytes of
plain ones), and decodes it in half of polars' time.

What a quote volume is can nearly be told from volume and close. So a file of klines holds what is left of it:

    quote_volume_rest           = quote_volume           − volume × close × 10^(quote − price − quantity)
    taker_buy_quote_volume_rest = taker_buy_quote_volume − taker_buy_volume × close × 10^(quote − price − quantity)

in integers modulo 2^64, with the file's exponents. That is a third less for these columns of real klines, and the way
back is exact whatever the values are. Where a value is unknown, or the quote volumes have fewer decimals than the
product, and in files of format 1, the columns themselves are there. All other columns are as they are.
"""

import io
from collections.abc import Buffer, Sequence
from functools import reduce
from typing import Any, cast

import numpy as np
import polars as pl
import pyarrow as _pyarrow  # noqa: ICN001 - `pa` is the same module without types
import pyarrow.parquet as _parquet
from numpy.typing import NDArray

from nt_run.data.manifest import Partition
from nt_run.errors import InvalidKlinesError, StoreError
from nt_run.klines import QUANTITIES, QUOTES, SCHEMA, Exponents, Klines
from nt_run.model import Interval, format_time

pa, pq = cast("Any", _pyarrow), cast("Any", _parquet)  # they ship no types

type Ints = NDArray[np.int64]
type Bools = NDArray[np.bool_]

_REST = "_rest"
_QUANTITY_OF = dict(zip(QUOTES, QUANTITIES, strict=True))
_UNKNOWN = -(2**63)
_INT64_MAX = 2**63 - 1
_MOST_SPARE = 18  # 10^19 leaves 64 bits


def encode(frame: pl.DataFrame, exponents: tuple[int, ...]) -> bytes:
    """Return a file of rows; for klines `exponents` are those of price, quantity and quote."""
    frame = _with_rests(frame, exponents)
    table = cast("Any", frame.to_arrow())
    # A column that says it lacks nothing is read in two thirds of the time.
    known = [
        field.with_nullable(column.null_count > 0) for field, column in zip(table.schema, table.columns, strict=True)
    ]
    table = table.cast(pa.schema(known, metadata={"exponents": " ".join(map(str, exponents))}))
    target = io.BytesIO()
    pq.write_table(
        table,
        target,
        row_group_size=max(1, frame.height),
        use_dictionary=False,
        column_encoding=dict.fromkeys(frame.columns, "DELTA_BINARY_PACKED"),
        compression="none",  # zstd takes 0.3 % off a year of delta-packed integers, and a third longer to write
        write_page_checksum=True,
        write_statistics=False,
    )
    return target.getvalue()


def exponents_of(content: Buffer) -> tuple[int, ...]:
    """Return what the integers of a file are scaled by, as the file itself says."""
    return tuple(map(int, _file(content).schema_arrow.metadata[b"exponents"].split()))


def decode(content: Buffer, exponents: tuple[int, ...]) -> pl.DataFrame:
    """Return the rows of a file."""
    frame = pl.DataFrame(_Arrow(_file(content).read(use_threads=False)))
    for quote, quantity in _QUANTITY_OF.items():
        if f"{quote}{_REST}" in frame.columns:
            product = _product(frame[quantity].to_numpy(), frame["close"].to_numpy(), exponents)
            whole = pl.Series(quote, frame[f"{quote}{_REST}"].to_numpy() + product)
            frame = frame.with_columns(whole).drop(f"{quote}{_REST}")
    return frame


class Rows:
    """The klines of several files side by side, in one piece of memory that is filled file by file.

    A fresh page costs more than the values on it, so nothing of the size of a file is made on the way.

    Args:
        partitions: The files, in time order.
    """

    def __init__(self, partitions: Sequence[Partition]) -> None:
        self.exponents = reduce(Exponents.widest, (_exponents(one) for one in partitions), Exponents(0, 0, 0))
        ends = np.cumsum([0, *(one.rows for one in partitions)]).tolist()
        self._starts = {one.file: start for one, start in zip(partitions, ends, strict=False)}
        self._values = np.empty((len(SCHEMA), ends[-1]), np.int64)
        self._unknown: set[str] = set()

    def take(self, partition: Partition, content: Buffer) -> None:
        """Put the rows of a file into their place; files may come in any order, from several threads.

        Raises:
            InvalidKlinesError: A value leaves 64 bits at the exponents of all files.
            StoreError: The file has another number of rows than its partition.
        """
        file = _file(content)
        if file.metadata.num_rows != partition.rows:
            raise StoreError(
                partition.file,
                f"has {file.metadata.num_rows} rows and the manifest says {partition.rows}",
                "See nt-run data verify, and data repair.",
            )
        start = self._starts[partition.file]
        places = {name: row[start : start + partition.rows] for name, row in zip(SCHEMA, self._values, strict=True)}
        unknown: dict[str, Bools] = {}
        for at, held in enumerate(names := file.schema.names):
            # Column by column: each is decoded into the memory, still in the processor's cache, that the last one left.
            name = held.removesuffix(_REST)
            if (nulls := _copy(file.reader.read_column(at), places[name])) is not None:
                unknown[name] = nulls
        for quote, quantity in _QUANTITY_OF.items():
            if quote not in names:
                places[quote] += _product(places[quantity], places["close"], partition.exponents)
        for name, place in places.items():
            if name in unknown:
                place[unknown[name]] = 0
            self._widen(name, place, partition)
            if name in unknown:
                self._unknown.add(name)
                place[unknown[name]] = _UNKNOWN

    def klines(self, symbol: str, interval: Interval) -> Klines:
        """Return the rows, which share their memory with this."""
        count = self._values.shape[1]
        buffers = [[None, pa.py_buffer(row)] for row in self._values]
        types = [pa.timestamp("ms", "UTC"), *[pa.int64()] * (len(SCHEMA) - 1)]
        arrays = [pa.Array.from_buffers(dtype, count, each) for dtype, each in zip(types, buffers, strict=True)]
        frame = pl.DataFrame(_Arrow(pa.table(arrays, names=list(SCHEMA))))
        known = [pl.when(pl.col(name) != _UNKNOWN).then(pl.col(name)).alias(name) for name in self._unknown]
        return Klines(symbol, interval, self.exponents, frame.with_columns(known) if known else frame)

    def _widen(self, name: str, place: Ints, partition: Partition) -> None:
        factor = 10 ** (self.exponents.of(name) - _exponents(partition).of(name))
        if factor == 1 or not len(place):
            return
        if max(int(place.max()), -int(place.min())) > _INT64_MAX // factor:
            where = [format_time(partition.first_ms)]
            raise InvalidKlinesError(partition.file, f"{name} has more digits than 64 bits hold", where)
        place *= factor


class _Arrow:
    """A table as polars takes it at once; its way for pyarrow's own types imports `pyarrow.compute`, in 0.1 s."""

    def __init__(self, table: Any) -> None:  # noqa: ANN401 - pyarrow ships no types
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


def _file(content: Buffer) -> Any:  # noqa: ANN401 - pyarrow ships no types
    return pq.ParquetFile(pa.BufferReader(content))


def _copy(column: Any, place: Ints) -> Bools | None:  # noqa: ANN401 - pyarrow ships no types
    """Copy a column and return where it is null, if anywhere.

    From the buffers themselves, because pyarrow's own ways to numpy import pandas, or `pyarrow.compute`.
    """
    nulls = np.zeros(len(place), np.bool_) if column.null_count else None
    at = 0
    for chunk in column.chunks:
        known, values = chunk.buffers()
        end = at + len(chunk)
        place[at:end] = np.frombuffer(values, np.int64, len(chunk), chunk.offset * 8)
        if nulls is not None and known is not None:
            bits = np.unpackbits(np.frombuffer(known, np.uint8), count=chunk.offset + len(chunk), bitorder="little")
            nulls[at:end] = bits[chunk.offset :] == 0
        at = end
    return nulls


def _with_rests(frame: pl.DataFrame, exponents: tuple[int, ...]) -> pl.DataFrame:
    if "close" not in frame.columns or not 0 <= _spare_decimals(exponents) <= _MOST_SPARE:
        return frame
    columns = {name: frame[name] for name in frame.columns}
    for quote, quantity in _QUANTITY_OF.items():
        if not any(columns[name].null_count() for name in (quote, quantity, "close")):
            product = _product(columns[quantity].to_numpy(), columns["close"].to_numpy(), exponents)
            columns[quote] = pl.Series(f"{quote}{_REST}", columns[quote].to_numpy() - product)
    return pl.DataFrame(list(columns.values()))


def _product(quantity: Ints, close: Ints, exponents: tuple[int, ...]) -> Ints:
    """Return quantity × close at the decimals of quote volumes, modulo 2^64."""
    product = quantity * close
    factor = 10 ** _spare_decimals(exponents)
    return product if factor == 1 else product * np.int64(factor)


def _spare_decimals(exponents: tuple[int, ...]) -> int:
    price, quantity, quote = exponents
    return quote - price - quantity


def _exponents(partition: Partition) -> Exponents:
    price, quantity, quote = partition.exponents
    return Exponents(price, quantity, quote)
