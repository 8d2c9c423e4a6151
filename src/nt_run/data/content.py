"""What klines contain, as hashes: equal content gives an equal hash, however it is stored."""

import hashlib
from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from nt_run.klines import DAY_MS, SCHEMA, Klines, tight_exponents


def split_days(klines: Klines) -> dict[int, Klines]:
    """Return the klines of each UTC day that has any, by the start of the day in milliseconds."""
    days = klines.open_times() // DAY_MS
    edges = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(days)] if len(days) else [0]
    return {
        int(days[first]) * DAY_MS: Klines(klines.symbol, klines.interval, klines.exponents, klines.frame[first:last])
        for first, last in pairwise(edges)
    }


def hash_content(klines: Klines) -> str:
    """Return the sha256 of klines.

    Hashed are the fewest decimals (price, quantity, quote) that hold the values, and then every column of `SCHEMA` as
    little-endian int64 at these decimals. So neither the encoding of a file nor a wider exponent (`67974.90` and
    `67974.9`) changes the hash, and any other digit does.
    """
    tight = tight_exponents(klines)
    digest = hashlib.sha256(f"{tight.price} {tight.quantity} {tight.quote}\n".encode())
    for name in SCHEMA:
        values = klines.frame[name].to_numpy().astype("<i8")
        digest.update((values // 10 ** (klines.exponents.of(name) - tight.of(name))).tobytes())
    return digest.hexdigest()


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
    hashes = {**known, **{start: hash_content(part) for start, part in split_days(unknown).items()}}
    digest = hashlib.sha256(f"klines/1 {klines.symbol} {klines.interval}\n".encode())
    for start, content in sorted(hashes.items()):
        digest.update(f"{start} {content}\n".encode())
    return digest.hexdigest()
