"""Columns of numbers as text a page can carry: about ten bytes a bar. Pure.

Scaled integers → differences where neighbours are alike → zig-zag → varints (LEB128) → gzip → base64.
"""

import base64
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nt_run.chart.levels import Floats, Ints

_BITS = 7
_MOST_BYTES = 10
"""What 64 bits need."""
_LARGEST = 2**53
"""A page counts in doubles: integers beyond this would lose digits there."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of scaled integers; a value is `scaled` ÷ 10^`decimals`.

    `running` columns are kept as differences from the value before, the first from zero.
    """

    name: str
    scaled: Ints
    decimals: int = 0
    running: bool = False


def column(name: str, values: Floats | Ints, decimals: int = 0, *, running: bool = False) -> Column:
    """Return a column of finite values, each rounded to so many decimals.

    Raises:
        ValueError: A value is not finite, or too large to keep its digits.
    """
    scaled = np.rint(np.asarray(values, dtype=np.float64) * 10.0**decimals)
    if not np.all(np.abs(scaled) < _LARGEST):
        raise ValueError(f"column {name} has values that are not finite or too large for {decimals} decimals")
    return Column(name, scaled.astype(np.int64), decimals, running)


def gapped_columns(name: str, values: Floats, decimals: int) -> list[Column]:
    """Return values of which some are NaN, and `<name>_edges`: the rows where gaps begin and end, in turn.

    In a gap stands the value before it, at the start the first one that is known.
    """
    known = np.isfinite(values)
    last = np.maximum.accumulate(np.where(known, np.arange(len(known)), int(known.argmax())))
    edges = np.flatnonzero(np.diff(known.astype(np.int8), prepend=1))
    filled = np.where(known.any(), values[last], 0.0)
    return [column(name, filled, decimals, running=True), column(f"{name}_edges", edges, running=True)]


def pack(columns: Sequence[Column]) -> tuple[list[dict[str, Any]], str]:
    """Return what a reader has to know of each column, in order, and all of them as one text."""
    facts = [
        {"name": each.name, "count": len(each.scaled), "decimals": each.decimals, "running": each.running}
        for each in columns
    ]
    raw = b"".join(varints(np.diff(each.scaled, prepend=0) if each.running else each.scaled) for each in columns)
    # Without a time in its header the same columns give the same text.
    return facts, base64.b64encode(gzip.compress(raw, compresslevel=9, mtime=0)).decode("ascii")


def varints(numbers: Ints) -> bytes:
    """Return signed integers as zig-zag varints: 0, −1, 1, −2 … → 0, 1, 2, 3 …, seven bits a byte, the lowest first."""
    zigzag = ((numbers << 1) ^ (numbers >> 63)).astype(np.uint64)
    sizes = np.ones(len(zigzag), dtype=np.int64)
    for place in range(1, _MOST_BYTES):
        sizes += zigzag >> np.uint64(_BITS * place) > 0
    starts = np.cumsum(sizes) - sizes
    out: npt.NDArray[np.uint8] = np.zeros(int(sizes.sum()), dtype=np.uint8)
    for place in range(int(sizes.max(initial=0))):
        long_enough = sizes > place
        low = (zigzag[long_enough] >> np.uint64(_BITS * place)) & np.uint64(127)
        more = np.where(sizes[long_enough] > place + 1, np.uint64(128), np.uint64(0))
        out[starts[long_enough] + place] = (low | more).astype(np.uint8)
    return out.tobytes()
