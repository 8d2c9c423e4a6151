"""A user's own file as a table whose columns have our names: CSV (zipped, too), Parquet, feather.

Names are those of the exchange's archive and REST, python-binance, ccxt, freqtrade and pandas exports, whatever their
case and punctuation. Nothing is read by position but files without a header.
"""

import io
import re
import zipfile
from pathlib import Path

import polars as pl

from nt_run.data.files import read_whole
from nt_run.data.ingest import RAW_COLUMNS
from nt_run.errors import ImportFileError
from nt_run.klines import PRICES

SYMBOL = "symbol"
"""The name of a column that says which contract the rows are of."""

_NAMES: dict[str, tuple[str, ...]] = {
    # The first of these that is there; the last ones are how pandas calls an index.
    "open_time": (
        *("open_time", "opentime", "timestamp", "open_timestamp", "unix", "date", "datetime", "time", "ts", "t"),
        *("index", "index_level_0", "unnamed_0", ""),
    ),
    "open": ("open", "open_price", "o"),
    "high": ("high", "high_price", "h"),
    "low": ("low", "low_price", "l"),
    "close": ("close", "close_price", "c"),
    "volume": ("volume", "base_volume", "base_asset_volume", "vol", "v"),
    "close_time": ("close_time", "closetime", "close_timestamp"),
    "quote_volume": ("quote_volume", "quote_asset_volume", "quotevolume", "quoteassetvolume", "quote_vol", "qav"),
    "trades": ("trades", "count", "number_of_trades", "numberoftrades", "num_trades", "trade_count", "tradecount"),
    "taker_buy_volume": (
        *("taker_buy_volume", "taker_buy_base_asset_volume", "taker_buy_base_volume", "taker_base_volume"),
        *("takerbuybaseassetvolume", "taker_base_vol", "taker_buy_base", "tb_base_av"),
    ),
    "taker_buy_quote_volume": (
        *("taker_buy_quote_volume", "taker_buy_quote_asset_volume", "taker_quote_volume"),
        *("takerbuyquoteassetvolume", "taker_quote_vol", "taker_buy_quote", "tb_quote_av"),
    ),
    SYMBOL: ("symbol", "pair", "ticker"),
}
_NEEDED = ("open_time", *PRICES, "volume")
_ORDERS = {12: (*RAW_COLUMNS, "ignore"), 11: RAW_COLUMNS, 6: _NEEDED}
_FORMS = "Give a CSV, Parquet or feather file."


def read_table(path: Path) -> tuple[bytes, pl.DataFrame]:
    """Return a file's content, and its rows with those of our columns it has; CSV values are text.

    Raises:
        ImportFileError: It is not there, not such a file, or lacks a column one cannot do without.
    """
    if path.is_dir():
        raise ImportFileError(str(path), "is a folder", _FORMS)
    try:
        content = read_whole(path)
    except FileNotFoundError as exc:
        raise ImportFileError(path.name, "is not there", _FORMS) from exc
    try:
        table = _decode(path, content)
    except (pl.exceptions.PolarsError, zipfile.BadZipFile, UnicodeDecodeError) as exc:
        raise ImportFileError(path.name, f"cannot be read: {str(exc).splitlines()[0]}", _FORMS) from exc
    chosen = _choose(table.columns)
    lacking = [name for name in _NEEDED if name not in chosen]
    if lacking:
        hint = f"It has {', '.join(table.columns) or 'none'}; rename what is meant."
        raise ImportFileError(path.name, f"has no column for {', '.join(lacking)}", hint)
    if table.is_empty():
        raise ImportFileError(path.name, "has no rows", _FORMS)
    return content, table.select(pl.col(own).alias(name) for name, own in chosen.items())


def csv_text(path: Path, content: bytes) -> bytes:
    """Return the text of a CSV, zipped or not; nothing for another kind of file."""
    if content.startswith((b"PAR1", b"ARROW1")):
        return b""
    return _unzip(path, content) if content.startswith(b"PK") else content


def _decode(path: Path, content: bytes) -> pl.DataFrame:
    if content.startswith(b"PAR1"):
        return pl.read_parquet(io.BytesIO(content))
    if content.startswith(b"ARROW1"):
        return pl.read_ipc(io.BytesIO(content))
    if content.startswith(b"FEA1"):
        raise ImportFileError(path.name, "is in the first feather format", "Write it again with today's pandas.")
    return _read_csv(path, csv_text(path, content).removeprefix(b"\xef\xbb\xbf"))


def _unzip(path: Path, content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.namelist()
        if len(members) != 1:
            raise ImportFileError(path.name, f"holds {len(members)} files", "Give one of them.")
        return archive.read(members[0])


def _read_csv(path: Path, content: bytes) -> pl.DataFrame:
    first = content.partition(b"\n")[0].decode().strip()
    separator = max(",;\t", key=first.count)
    fields = [field.strip().strip('"') for field in first.split(separator)]
    # The second field of a row of data is a price, of a header it is a name.
    header = len(fields) < 2 or re.fullmatch(r"[-+.\deE]+", fields[1]) is None  # noqa: PLR2004 - the second
    if not header and len(fields) not in _ORDERS:
        hint = "Without a header there must be 6 (time, open, high, low, close, volume) or the exchange's 12."
        raise ImportFileError(path.name, f"has {len(fields)} columns and no header", hint)
    # Blank lines at the end are no rows.
    table = pl.read_csv(content.rstrip() + b"\n", has_header=header, separator=separator, infer_schema=False)
    return table if header else table.rename(dict(zip(table.columns, _ORDERS[len(fields)], strict=True)))


def _choose(columns: list[str]) -> dict[str, str]:
    """Return which of a file's columns stands for which of ours, by our names."""
    plain: dict[str, str] = {}
    for name in columns:
        plain.setdefault(re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_"), name)
    found = {ours: next((plain[name] for name in names if name in plain), None) for ours, names in _NAMES.items()}
    return {ours: own for ours, own in found.items() if own is not None}
