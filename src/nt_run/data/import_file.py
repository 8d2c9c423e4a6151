"""Klines from a user's own file: refused or taken as they are, and never more than the file says.

What a file lacks (quote volume, trades, takers) stays unknown. Symbol and interval come from the file or its name where
those say so, and the rules are those of every other source: see `nt_run.data.ingest`.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from nt_run.data.archive_csv import CsvForm, form_of
from nt_run.data.download import CLOSED_AFTER_MS
from nt_run.data.files import sha256
from nt_run.data.import_table import SYMBOL, csv_text, read_table
from nt_run.data.import_values import plain_text, times_ms, whole_numbers
from nt_run.data.ingest import RAW_COLUMNS, parse_klines
from nt_run.errors import DataError, ImportFileError, UsageError
from nt_run.intervals import INTERVALS
from nt_run.klines import DAY_MS, OPTIONAL, SCHEMA, Klines, bar_numbers, bar_openings
from nt_run.model import Interval, format_time, parse_symbol

_SYMBOL = re.compile(r"(?<![A-Z0-9])([A-Z0-9]+?)[_-]?(USDT|USDC|BUSD)(?:[_-]\2)?(?![A-Z0-9])")
_INTERVALS = {name: name for name in INTERVALS} | {Interval(name).file_name: name for name in INTERVALS}
"""Intervals as files are named by them: a month is `1mo` in the archive."""
_INTERVAL = re.compile(rf"(?<![A-Za-z0-9])({'|'.join(_INTERVALS)})(?![A-Za-z0-9])")
_AT_INTERVAL = rf"(?=[_-](?:{'|'.join(_INTERVALS)})(?![A-Za-z0-9]))"
_CLEARLY_NAMED = re.compile(
    rf"(?<![A-Za-z0-9])(?:[A-Z0-9]+(?:USDT|USDC|BUSD)(?![A-Za-z0-9])|(?i:[A-Z0-9]+(?:USDT|USDC|BUSD)){_AT_INTERVAL}"
    rf"|[A-Z0-9]+[_-](USDT|USDC|BUSD)(?:[_-]\1)?{_AT_INTERVAL})"
)
"""A symbol beyond doubt: `BTCUSDT`, `btcusdt-1m`, `BTC_USDT_USDT-1m`; `my-export-usdt` or `for_usdt-1m` name none."""
_MONTH = Interval("1M")
_SHORTEST_MONTH_MS = 28 * DAY_MS
# Whole words, also as the archive writes them: `market` is none, `markPriceKlines` is one.
_OTHER = re.compile(r"(?<![a-z])(mark|funding|index|premium)([_-]?(price|rate|index|kline)s?)*(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedFile:
    """What a file holds: klines with null where it says nothing, and what is to be told about reading it."""

    name: str
    sha256: str
    klines: Klines
    unknown: list[str]
    """Columns of `OPTIONAL` it does not have, or not in every row."""
    repeated: int
    """Rows that were there twice."""
    remarks: list[str]
    form: CsvForm
    """How the text of a CSV is written, so that a file of the archive comes out of `export` as it was."""


def read_klines(path: Path, *, symbol: str | None, interval: str | None, now_ms: int) -> ImportedFile:
    """Return the klines of a file.

    Args:
        path: CSV (zipped, too), Parquet or feather.
        symbol: What the user says it is; else the file or its name says so.
        interval: The same; else the rows do.
        now_ms: The time by which a kline must have closed.

    Raises:
        ImportFileError: It cannot be read, is no file of klines, or does not say what it holds.
        InvalidKlinesError: A row breaks a rule.
        UsageError: The symbol or the interval is none.
    """
    content, table = read_table(path)
    if _OTHER.search(path.stem):
        reason = "is named like mark prices, an index or funding rates"
        raise ImportFileError(path.name, reason, "Only klines of the last price can be imported.")
    times, remarks = times_ms(table["open_time"], path.name)
    step = _interval_of(path.name, times, interval)
    name = _symbol_of(path.name, table, symbol)
    text = _as_text(table, times, step, path.name)
    text, dropped = _without_unclosed(text, step, path, now_ms)
    klines, repeated = parse_klines(name, step, text, path.name, unknown=OPTIONAL)
    if not (klines.frame["volume"] != 0).any():
        raise ImportFileError(
            path.name, "has no row in which anything was traded", "Is it the mark price, or an index?"
        )
    return ImportedFile(
        name=path.name,
        sha256=sha256(content),
        klines=klines,
        unknown=[name for name in OPTIONAL if klines.frame[name].null_count()],
        repeated=repeated,
        remarks=[*remarks, *dropped],
        form=form_of(csv_text(path, content), klines),
    )


def _as_text(table: pl.DataFrame, times: pl.Series, step: Interval, file: str) -> pl.DataFrame:
    """Return the exchange's columns, null where the file has none."""
    single = [name for name, dtype in table.schema.items() if dtype == pl.Float32]
    if single:
        hint = "Write it again with 64 bits."
        raise ImportFileError(file, f"has 32-bit floats, which hold seven digits, in {', '.join(single)}", hint)
    columns = {name: plain_text(table[name]) for name in table.columns if name in SCHEMA and name != "open_time"}
    if "trades" in table.columns:
        columns["trades"] = whole_numbers(table["trades"])
    closes = times_ms(table["close_time"], file)[0] if "close_time" in table.columns else _ends(times, step) - 1
    columns |= {"open_time": times, "close_time": closes}
    none = pl.Series([None] * table.height, dtype=pl.String)
    return pl.DataFrame([columns.get(name, none).alias(name) for name in RAW_COLUMNS])


def _interval_of(file: str, times: pl.Series, told: str | None) -> Interval:
    opened = np.unique(times.to_numpy())
    steps = np.diff(opened)
    usual = int(np.bincount(np.searchsorted(np.unique(steps), steps)).argmax()) if len(steps) else -1
    seen = int(np.unique(steps)[usual]) if len(steps) else 0
    named = _INTERVAL.search(file)
    said = told or (_INTERVALS[named[1]] if named else None)
    found = next((name for name, length in INTERVALS.items() if length == seen), None)
    if seen >= _SHORTEST_MONTH_MS and (bar_openings(_MONTH, bar_numbers(_MONTH, opened)) == opened).all():
        found = _MONTH.name
    if seen and found is None:
        raise ImportFileError(file, f"has rows {seen / 60_000:g} minutes apart", "That is no interval of the exchange.")
    if said and found and Interval(said).name != found:
        source = "--interval" if told else "its name"
        raise ImportFileError(file, f"has rows of {found}, and {source} says {said}", "Which one is right?")
    if not (said or found):
        raise ImportFileError(file, "does not say which interval it is", "Add --interval.")
    return Interval(said or found or "")


def _ends(times: pl.Series, step: Interval) -> pl.Series:
    """When the bars that open at some times end."""
    return pl.Series(bar_openings(step, bar_numbers(step, times.to_numpy()) + 1)) if step.is_month else times + step.ms


def _symbol_of(file: str, table: pl.DataFrame, told: str | None) -> str:
    named = _SYMBOL.search(file.upper())
    inside = table[SYMBOL].unique().to_list() if SYMBOL in table.columns else []
    if len(inside) > 1:
        raise ImportFileError(file, f"holds {len(inside)} symbols", "Split it: one file a symbol.")
    texts = [told, str(inside[0]) if inside else None, named[1] + named[2] if named else None]
    found = [_plain(text) for text in texts if text]
    if not found:
        raise ImportFileError(file, "does not say which symbol it is", "Add --symbol.")
    if inside and found[0] != _plain(str(inside[0])):
        raise ImportFileError(file, f"says that it is {inside[0]}, not {found[0]}", "Which one is right?")
    if (clear := _clearly_named(file)) and found[0] not in clear:
        source = "--symbol says" if told else "its rows say"
        reason = f"is named like one of {clear[0]}, and {source} {found[0]}"
        raise ImportFileError(file, reason, "Which one is right? If the name is wrong, rename the file.")
    return found[0]


def _plain(text: str) -> str:
    try:
        return parse_symbol(text)
    except UsageError:
        return parse_symbol(text.replace("/", "").replace("-", "").replace("_", ""))


def _clearly_named(file: str) -> list[str]:
    """Return the symbols that a file's name has beyond doubt."""
    found = (_SYMBOL.search(one[0].upper()) for one in _CLEARLY_NAMED.finditer(file))
    return [one[1] + one[2] for one in found if one]


def _without_unclosed(text: pl.DataFrame, step: Interval, path: Path, now_ms: int) -> tuple[pl.DataFrame, list[str]]:
    """Drop the last row if it had not closed by now, or when the file was written; more of the future is refused."""
    closes = _ends(text["open_time"], step)
    future = closes > now_ms - CLOSED_AFTER_MS
    if future.sum() > 1:
        raise DataError(f"{path.name}: {future.sum()} rows close after {format_time(now_ms)}, which is now.")
    # Copying may give a file a later time, never an earlier one than its last row, unless that is made up.
    written = closes > path.stat().st_mtime_ns // 1_000_000
    unclosed = written if written.sum() == 1 else future
    if not unclosed.any():
        return text, []
    opened = format_time(int(text["open_time"].filter(unclosed)[0]))
    return text.filter(~unclosed), [f"the kline of {opened} had not closed yet and is left out"]
