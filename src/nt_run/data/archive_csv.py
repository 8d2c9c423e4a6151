"""The archive's CSV and our klines, both ways and exact.

A column shows the same number of decimals in all rows, but for a bare `0`. Where that holds, the text without its
points is a table of integers, which is what we keep: nothing is parsed that has to be rounded. Rows with a bare zero,
and any other text, take the slower way of `ingest`, number by number.

The header was left out until about May 2022, so the first byte decides, not the date. Zeros were written `0.000` and
are written `0` now.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import NamedTuple, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from nt_run.data.ingest import RAW_COLUMNS, merge_klines, parse_klines, parse_scaled
from nt_run.errors import InvalidKlinesError
from nt_run.klines import PRICES, QUANTITIES, QUOTES, SCHEMA, Exponents, Klines
from nt_run.model import Interval, TimeRange, format_time

HEADER = (
    b"open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    b"taker_buy_volume,taker_buy_quote_volume,ignore\n"
)
_COLUMNS = (*RAW_COLUMNS, "ignore")
_POINT, _LINE_END = b".\n"
_BELOW_DIGITS = 48  # commas, points, line ends and signs are all below the digits
_BLOCK = (
    1 << 19
)  # looked at block by block, a month needs no large arrays, whose fresh pages cost more than the looking


@dataclass(frozen=True, slots=True)
class CsvForm:
    """What may differ between two files of equal rows; the defaults are how files are written today."""

    header: bool = True
    bare_zeros: bool = True


def form_of(text: bytes, klines: Klines) -> CsvForm:
    """Return the form of a file from its text and its rows; a file without a zero counts as of today."""
    exponent = klines.exponents.quantity
    zeros = bool((klines.frame["taker_buy_volume"] == 0).any())
    long = b",0." + b"0" * exponent + b","
    return CsvForm(_has_header(text), not (exponent and zeros and long in text))


def parse_csv(symbol: str, interval: Interval, text: bytes, period: TimeRange, what: str) -> tuple[Klines, int]:
    """Return the klines of an archive file, and how many rows were the same row twice.

    Args:
        symbol: The symbol asked for.
        interval: The interval asked for.
        text: The CSV, with or without a header.
        period: What the file is for: a row outside it refuses the file.
        what: The file, for messages.

    Raises:
        InvalidKlinesError: A row breaks a rule (see `ingest.parse_klines`) or is of another period.
    """
    try:
        parts = [_parse_part(symbol, interval, part, what) for part in _by_form(text)]
    except pl.exceptions.PolarsError as exc:
        raise InvalidKlinesError(what, "it is not a CSV of the exchange's twelve columns", [repr(text[:60])]) from exc
    klines, repeated = parts[0] if len(parts) == 1 else _together(parts, what)
    outside = [int(opened) for opened in klines.open_times()[[0, -1]]] if len(klines) else []
    if not all(period.start_ms <= opened < period.end_ms for opened in outside):
        raise InvalidKlinesError(what, f"it holds rows outside {period}", [format_time(each) for each in outside])
    return klines, repeated


def write_csv(klines: Klines, form: CsvForm = CsvForm()) -> bytes:
    """Return klines as the archive writes them: fixed decimals, twelve columns, the last one zero."""
    opened = pl.col("open_time").dt.epoch("ms")
    texts = {name: _decimal_text(name, klines.exponents, form) for name in SCHEMA if name != "open_time"}
    closed = pl.lit(pl.Series(klines.close_times() - 1))
    columns = {"open_time": opened, "close_time": closed, "ignore": pl.lit("0"), **texts}
    frame = klines.frame.select(columns[name].alias(name) for name in _COLUMNS)
    return (HEADER if form.header else b"") + frame.write_csv(include_header=False, quote_style="never").encode()


def _has_header(text: bytes) -> bool:
    return text[:1].isalpha()


def _decimal_text(name: str, exponents: Exponents, form: CsvForm) -> pl.Expr:
    exponent = exponents.of(name)
    if not exponent:
        return pl.col(name)
    digits = pl.col(name).cast(pl.String).str.zfill(exponent + 1)
    text = digits.str.head(-exponent) + "." + digits.str.tail(exponent)
    return pl.when(pl.col(name) == 0).then(pl.lit("0")).otherwise(text) if form.bare_zeros else text


class _Marks(NamedTuple):
    """The commas, points, line ends and signs of a text: where they are, which, and how many the first line has."""

    places: NDArray[np.intp]
    signs: bytes
    width: int

    @classmethod
    def of(cls, text: bytes | memoryview) -> Self:
        data = np.frombuffer(text, np.uint8)
        places = np.flatnonzero(data < _BELOW_DIGITS)
        signs = data[places].tobytes()
        return cls(places, signs, signs.find(b"\n") + 1)

    @property
    def pattern(self) -> bytes | None:
        """The marks of a line, its end included, if every line has the same."""
        first = self.signs[: self.width]
        return first if first and first * (len(self.signs) // self.width) == self.signs else None


class _Part(NamedTuple):
    """Lines of a file, behind `skipped` ones of no interest; `decimals` are those that all of them show."""

    text: bytes
    skipped: int
    decimals: Exponents | None


def _by_form(text: bytes) -> list[_Part]:
    """Return the lines with as many marks as most have, and the others if there are any."""
    header = text.find(b"\n") + 1 if _has_header(text) else 0
    decimals = _fixed_decimals(memoryview(text)[header:])
    if decimals is not None:
        return [_Part(text, int(header > 0), decimals)]
    body = text[header:]
    marks = _Marks.of(body)
    counts = np.diff(np.flatnonzero(np.frombuffer(marks.signs, np.uint8) == _LINE_END), prepend=-1)
    lines = body.splitlines(keepends=True)
    if not len(counts) or len(lines) != len(counts):
        return [_Part(body, 0, None)]
    usual = counts == np.bincount(counts).argmax()
    parts = [b"".join(compress(lines, chosen)) for chosen in (usual, ~usual)]
    return [_Part(part, 0, _fixed_decimals(memoryview(part))) for part in parts if part]


def _together(parts: Sequence[tuple[Klines, int]], what: str) -> tuple[Klines, int]:
    merged = merge_klines([klines for klines, _ in parts], what)
    came = sum(len(klines) + repeated for klines, repeated in parts)
    return merged, came - len(merged)


def _parse_part(symbol: str, interval: Interval, part: _Part, what: str) -> tuple[Klines, int]:
    if part.decimals is None:
        return parse_klines(symbol, interval, _read(part.text, part.skipped, pl.String).select(RAW_COLUMNS), what)
    whole = _read(part.text.translate(None, b"."), part.skipped, pl.Int64)
    return parse_scaled(symbol, interval, whole, part.decimals, what)


def _fixed_decimals(body: memoryview) -> Exponents | None:
    """Return the decimals of prices, quantities and quote volumes if every row shows the same, else `None`."""
    shown: dict[str, int] | None = None
    for block in _blocks(body):
        decimals = _decimals(_Marks.of(block))
        if decimals is None or decimals != (shown or decimals):
            return None
        shown = decimals
    return None if shown is None else _of_groups(shown)


def _blocks(body: memoryview) -> Iterator[memoryview]:
    """Cut a text into blocks of whole lines."""
    start = 0
    while start < len(body):
        end = start + _BLOCK
        if end < len(body):
            end = start + bytes(body[start:end]).rfind(b"\n") + 1
        if end <= start or end > len(body):
            end = len(body)
        yield body[start:end]
        start = end


def _decimals(marks: _Marks) -> dict[str, int] | None:
    """Return the decimals of each column that shows a point, if every row shows the same, else `None`."""
    pattern = marks.pattern
    if pattern is None or pattern.count(b",") != len(_COLUMNS) - 1:
        return None
    points = [at for at, sign in enumerate(pattern) if sign == _POINT]
    lines = marks.places.reshape(-1, marks.width)
    digits = lines[:, [point + 1 for point in points]] - lines[:, points] - 1
    if (digits != digits[0]).any():
        return None
    shown: list[int] = digits[0].tolist()
    columns = [pattern[:point].count(b",") for point in points]
    if len(set(columns)) != len(columns):
        return None
    return dict(zip((_COLUMNS[at] for at in columns), shown, strict=True))


def _of_groups(decimals: dict[str, int]) -> Exponents | None:
    """Return the exponents if all columns of a group show the same decimals and whole numbers show none."""

    def same(names: Sequence[str]) -> int | None:
        shown = {decimals.get(name, 0) for name in names}
        return shown.pop() if len(shown) == 1 else None

    price, quantity, quote = same(PRICES), same(QUANTITIES), same(QUOTES)
    if price is None or quantity is None or quote is None or decimals.keys() - {*PRICES, *QUANTITIES, *QUOTES}:
        return None
    return Exponents(price, quantity, quote)


def _read(text: bytes, skipped: int, dtype: type[pl.DataType]) -> pl.DataFrame:
    schema: dict[str, type[pl.DataType]] = dict.fromkeys(_COLUMNS, dtype)
    if not text:
        return pl.DataFrame(schema=schema)
    return pl.read_csv(text, has_header=False, skip_lines=skipped, schema=schema, columns=range(len(RAW_COLUMNS)))
