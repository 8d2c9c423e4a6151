"""What klines contain, as hashes: equal content gives an equal hash, however it is stored."""

import hashlib
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from nt_run.klines import DAY_MS, SCHEMA, Exponents, Klines, tight_decimals

type Ints = NDArray[np.int64]

_UNKNOWN = -(2**63)


def split_days(klines: Klines) -> dict[int, Klines]:
    """Return the klines of each UTC day that has any, by the start of the day in milliseconds."""
    return {
        start: Klines(klines.symbol, klines.interval, klines.exponents, klines.frame[first:last])
        for start, first, last in _day_edges(klines)
    }


def days_with_rows(klines: Klines) -> list[int]:
    """Return the starts (ms) of the UTC days that have a row."""
    return [start for start, _, _ in _day_edges(klines)]


def hash_content(klines: Klines) -> str:
    """Return the sha256 of klines.

    Hashed are the fewest decimals (price, quantity, quote) that hold the values, and then every column of `SCHEMA` as
    little-endian int64 at these decimals, the least int64 for what is unknown. So neither the encoding of a file nor a
    wider exponent (`67974.90` and `67974.9`) changes the hash, and any other digit does.
    """
    return _hash(_columns(klines), klines.exponents)


def hash_days(klines: Klines) -> dict[int, str]:
    """Return `hash_content` of each UTC day that has a row, by the start of the day in milliseconds."""
    # What is divided for all days together is not divided day by day.
    known = not any(klines.frame[name].null_count() for name in SCHEMA)
    columns, tight = _tightened(_columns(klines), klines.exponents, known=known)
    return {
        start: _hash({name: values[first:last] for name, values in columns.items()}, tight, known=known)
        for start, first, last in _day_edges(klines)
    }


def _columns(klines: Klines) -> dict[str, Ints]:
    return {name: _values(klines.frame[name]).astype("<i8", copy=False) for name in SCHEMA}


def _values(column: pl.Series) -> NDArray[Any]:
    return (column.fill_null(_UNKNOWN) if column.null_count() else column).to_numpy()


def _hash(columns: Mapping[str, Ints], own: Exponents, *, known: bool = False) -> str:
    tightened, tight = _tightened(columns, own, known=known)
    digest = hashlib.sha256(f"{tight.price} {tight.quantity} {tight.quote}\n".encode())
    for values in tightened.values():
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def _tightened(columns: Mapping[str, Ints], own: Exponents, *, known: bool) -> tuple[dict[str, Ints], Exponents]:
    """Return the columns at the fewest decimals that hold all their values, and these; `known`: nothing is unknown."""
    tight = tight_decimals(columns if known else {name: _known(values) for name, values in columns.items()}, own)
    spare = {name: own.of(name) - tight.of(name) for name in columns}
    shortened = {
        name: _shortened(values, 10 ** spare[name], known=known) if spare[name] else values
        for name, values in columns.items()
    }
    return shortened, tight


def _known(values: Ints) -> Ints:
    return values[values != _UNKNOWN] if len(values) and values.min() == _UNKNOWN else values


def _shortened(values: Ints, divisor: int, *, known: bool) -> Ints:
    short = values // divisor
    return short if known or len(_known(values)) == len(values) else np.where(values == _UNKNOWN, values, short)


def _day_edges(klines: Klines) -> list[tuple[int, int, int]]:
    """Return (start of the day, first row, row after the last) of each day that has a row."""
    days = klines.open_times() // DAY_MS
    edges = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(days)] if len(days) else [0]
    return [(int(days[first]) * DAY_MS, first, last) for first, last in pairwise(edges)]


def fingerprint(klines: Klines, known: Mapping[int, str]) -> str:
    """Return the sha256 over (day, content hash) of all days of `klines`.

    It depends on symbol, interval and rows alone: not on partitions, sources or exponents. A day of which only a part
    is there counts with the rows that are there.

    Args:
        klines: The rows of a run.
        known: Hashes of days that are in `klines` as a whole, by the start of the day in milliseconds.
    """
    days = klines.open_times() // DAY_MS * DAY_MS
    rest = klines.frame.filter(~np.isin(days, list(known))) if known else klines.frame
    unknown = Klines(klines.symbol, klines.interval, klines.exponents, rest)
    hashes = {**known, **hash_days(unknown)}
    digest = hashlib.sha256(f"klines/1 {klines.symbol} {klines.interval}\n".encode())
    for start, content in sorted(hashes.items()):
        digest.update(f"{start} {content}\n".encode())
    return digest.hexdigest()
