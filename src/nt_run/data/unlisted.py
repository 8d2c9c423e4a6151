"""Data files that no manifest refers to any more, and are whole: their names hold the hash of their content.

A manifest that is lost or damaged takes with it what is known of its files, not the files. Rows of the exchange are
fetched again; those of a user's own file nobody has but these files.
"""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from nt_run.data.data_file import decode
from nt_run.data.days import day_name
from nt_run.data.files import read_whole, set_aside, sha256
from nt_run.data.manifest import FILE, DamagedManifestError, Manifest, load_manifest
from nt_run.klines import DAY_MS, SCHEMA, Exponents, Klines
from nt_run.model import Interval

_PATTERNS = ("*.parquet", "*.parquet.bad")


def protect(folder: Path) -> int:
    """Set whole files aside if there is no manifest to keep them, for a writer removes what none refers to.

    Returns:
        How many there are.
    """
    try:
        if load_manifest(folder / FILE, Manifest) is not None:
            return 0
    except DamagedManifestError:
        pass
    files = [path for path in folder.glob("*.parquet") if is_whole(path)]
    for path in files:
        set_aside(path)
    return len(files)


def lacking(folder: Path, manifest: Manifest, symbol: str, interval: Interval) -> Iterator[tuple[Path, Klines]]:
    """Return the rows of whole files, newest first, of those days of which a manifest has fewer."""
    listed = {one.file for one in manifest.partitions.values()}
    paths = (path for pattern in _PATTERNS for path in folder.glob(pattern))
    unlisted = [path for path in paths if path.name.removesuffix(".bad") not in listed]
    for path in sorted(unlisted, key=lambda one: one.stat().st_mtime, reverse=True):
        if not is_whole(path):
            continue
        klines = _read(path, symbol, interval)
        starts, counts = np.unique(klines.open_times() // DAY_MS, return_counts=True)
        days = (manifest.days.get(day_name(int(start) * DAY_MS)) for start in starts)
        held = np.array([day.rows if day else 0 for day in days], np.int64)
        fewer = np.repeat(held < counts, counts)
        if fewer.any():
            yield path, Klines(symbol, interval, klines.exponents, klines.frame.filter(fewer))


def is_whole(path: Path) -> bool:
    """Return whether a file holds what its name says, though it was set aside."""
    _, digest, _ = path.name.split(".", 2)
    return sha256(read_whole(path)).startswith(digest)


def _read(path: Path, symbol: str, interval: Interval) -> Klines:
    content = read_whole(path)
    price, quantity, quote = map(int, pl.read_parquet_metadata(io.BytesIO(content))["exponents"].split())
    frame = decode(content, (price, quantity, quote))
    return Klines(symbol, interval, Exponents(price, quantity, quote), frame.select(list(SCHEMA)))
