"""The text of candles as JSON and CSV rows, made for a whole block at once with numpy.

A year of one-minute klines is six million numbers; written one by one they would take longer than the backtest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from nt_run.demo.noise import Ints

CSV_HEADER = (
    b"open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    b"taker_buy_volume,taker_buy_quote_volume,ignore\n"
)

JSON_MARKS = (b"[", b',"', b'","', b'","', b'","', b'","', b'",', b',"', b'",', b',"', b'","', b'","0"],')
CSV_MARKS = (b"", *[b","] * 10, b",0\n")


@dataclass(frozen=True, slots=True)
class Rows:
    """The text of candles: row `i` is `text[edges[i]:edges[i + 1]]` and opens at `times[i]`."""

    times: Ints
    edges: Ints
    text: bytes

    def between(self, start_ms: int, end_ms: int) -> Self:
        """Return the rows that open in `[start_ms, end_ms)`, sharing the text."""
        first, last = (int(place) for place in np.searchsorted(self.times, (start_ms, max(start_ms, end_ms))))
        return type(self)(self.times[first:last], self.edges[first : last + 1], self.text)

    def head(self, count: int) -> Self:
        """Return the first `count` rows."""
        return type(self)(self.times[:count], self.edges[: count + 1], self.text)

    def tail(self, count: int) -> Self:
        """Return the last `count` rows."""
        first = max(len(self.times) - count, 0)
        return type(self)(self.times[first:], self.edges[first:], self.text)

    def __len__(self) -> int:
        return len(self.times)

    def __bytes__(self) -> bytes:
        return self.text[int(self.edges[0]) : int(self.edges[-1])]


def write_rows(times: Ints, columns: Sequence[tuple[Ints, int]], marks: Sequence[bytes]) -> Rows:
    """Lay out every row in fixed width, then drop the places that hold no character."""
    widths = [_width(values, decimals) for values, decimals in columns]
    parts = [len(marks[0])]
    for width, mark in zip(widths, marks[1:], strict=True):
        parts += [width, len(mark)]
    places = np.cumsum([0, *parts])
    sheet = np.empty((int(places[-1]), len(times)), dtype=np.uint8)
    used = np.ones(sheet.shape, dtype=np.bool_)
    for index, (first, last) in enumerate(pairwise(int(place) for place in places)):
        if index % 2:
            values, decimals = columns[index // 2]
            _write_number(values, decimals, sheet[first:last], used[first:last])
        else:
            sheet[first:last] = np.frombuffer(marks[index // 2], dtype=np.uint8)[:, None]
    edges = np.concatenate([np.zeros(1, np.int64), np.cumsum(used.sum(axis=0, dtype=np.int64))])
    return Rows(times, edges, sheet.T[used.T].tobytes())


def _width(values: Ints, decimals: int) -> int:
    digits = len(str(int(values.max()))) if len(values) else 1
    return max(digits, decimals + 1) + (decimals > 0)


def _write_number(values: Ints, decimals: int, sheet: NDArray[np.uint8], used: NDArray[np.bool_]) -> None:
    """Write non-negative scaled integers as decimal text, one place of all rows at a time, from the right."""
    rest = values
    place = len(sheet)
    for digit in range(len(sheet) - (decimals > 0)):
        place -= 1
        if digit == decimals and decimals:
            sheet[place] = ord(".")
            place -= 1
        if digit > decimals:
            used[place] = rest > 0
        shorter = rest // 10
        sheet[place] = rest - 10 * shorter + ord("0")
        rest = shorter
