"""Klines from a source's text, and the union of klines: refused or taken as they are, never repaired.

What is odd but does happen on the exchange is not refused here but counted: see `nt_run.quality`.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import reduce

import numpy as np
import polars as pl

from nt_run.errors import InvalidKlinesError
from nt_run.klines import OPTIONAL, PRICES, QUANTITIES, QUOTES, SCHEMA, Exponents, Klines, no_klines
from nt_run.model import Interval, format_time

RAW_COLUMNS = (
    "open_time",
    *PRICES,
    "volume",
    "close_time",
    "quote_volume",
    "trades",
    "taker_buy_volume",
    "taker_buy_quote_volume",
)
"""The exchange's own columns, REST and archive alike; a twelfth one is documented as "ignore"."""

_OLDEST_MS = 10**12  # 2001 in milliseconds; the same instant in microseconds is 10^15
_NEWEST_MS = 10**13
_INT64_MAX = 2**63 - 1


def parse_rows(symbol: str, interval: Interval, rows: Sequence[Sequence[object]], what: str) -> tuple[Klines, int]:
    """Return the klines of a REST answer; see `parse_klines`.

    Args:
        symbol: The symbol asked for.
        interval: The interval asked for.
        rows: Lists of open time, open, high, low, close, volume, close time, quote volume, trades, taker buy volume,
            taker buy quote volume, ignored; times and trades are numbers, the others text.
        what: The source, for messages.

    Raises:
        InvalidKlinesError: A row is not of that form, or breaks an invariant.
    """
    if not rows:
        return no_klines(symbol, interval), 0
    try:
        columns = list(zip(*rows, strict=True))[: len(RAW_COLUMNS)]
        text = pl.DataFrame(
            [
                pl.Series(name, values, dtype=pl.Int64 if isinstance(values[0], int) else pl.String, strict=True)
                for name, values in zip(RAW_COLUMNS, columns, strict=True)
            ]
        )
    except (ValueError, TypeError, OverflowError, pl.exceptions.PolarsError) as exc:
        raise InvalidKlinesError(what, "rows do not have the exchange's form", [str(rows[0])[:80]]) from exc
    return parse_klines(symbol, interval, text, what)


def parse_klines(
    symbol: str, interval: Interval, text: pl.DataFrame, what: str, *, unknown: Collection[str] = ()
) -> tuple[Klines, int]:
    """Return klines from a source's text, and how many rows were the same row twice.

    Exponents are the most decimals any text of the group shows, so that no digit is lost. Rows may come in any order.

    Args:
        symbol: The symbol asked for.
        interval: The interval asked for.
        text: `RAW_COLUMNS`, each either text or integers.
        what: The source, for messages.
        unknown: Columns of `OPTIONAL` that may be null.

    Raises:
        InvalidKlinesError: Times are not milliseconds or off the grid, a close time is not the last millisecond,
            a value is not a plain decimal number, low ≤ open, close ≤ high or low > 0 does not hold, a volume or
            count is negative, takers exceed the total, or two different rows have one open time.
    """
    times = text.select(pl.col("open_time", "close_time", "trades").cast(pl.Int64, strict=False))
    decimals = {name: decimals_of(text[name]) for name in RAW_COLUMNS if name not in times.columns}
    exponents = Exponents(*(max(decimals[name] for name in group) for group in (PRICES, QUANTITIES, QUOTES)))
    frame = times.with_columns(scaled(text[name], exponents.of(name)) for name in decimals)
    for name in unknown:
        garbled = text[name].is_not_null() & frame[name].is_null()
        if garbled.any():
            raise InvalidKlinesError(what, f"{name} is not a plain decimal number", _times_of(frame.filter(garbled)))
    return parse_scaled(symbol, interval, frame, exponents, what, unknown=unknown)


def parse_scaled(
    symbol: str,
    interval: Interval,
    frame: pl.DataFrame,
    exponents: Exponents,
    what: str,
    *,
    unknown: Collection[str] = (),
) -> tuple[Klines, int]:
    """Return klines from `RAW_COLUMNS` as integers scaled by `exponents`; a null stands for what was no number.

    See `parse_klines` for what is returned, and refused.
    """
    _refuse_where(frame, _clock_rules(interval), what)
    _refuse_where(frame, _value_rules(unknown), what)
    frame = frame.select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())
    return distinct(Klines(symbol, interval, exponents, frame), what)


def refuse_impossible(klines: Klines, what: str) -> None:
    """Check klines that were taken before against the rules of `parse_klines`.

    Raises:
        InvalidKlinesError: A row breaks a rule, or open times do not strictly increase.
    """
    opened = pl.col("open_time").dt.epoch("ms")
    rules = _value_rules(OPTIONAL) | {
        f"open time is off the grid of {klines.interval}": _opening(klines.interval, opened) == opened,
        "open times do not increase": (opened.diff() > 0).fill_null(value=True),
    }
    _refuse_where(klines.frame, rules, what)


def merge_klines(parts: Sequence[Klines], what: str) -> Klines:
    """Return the union of klines of one symbol and interval, exponents widened to hold every digit.

    Raises:
        InvalidKlinesError: Two parts have different rows for one open time, or a value leaves 64 bits.
    """
    if len(parts) == 1:
        return parts[0]
    exponents = reduce(Exponents.widest, (part.exponents for part in parts))
    frame = pl.concat([rescale(part, exponents, what).frame for part in parts], rechunk=True)
    return distinct(Klines(parts[0].symbol, parts[0].interval, exponents, frame), what)[0]


def rescale(klines: Klines, exponents: Exponents, what: str) -> Klines:
    """Return the same values with wider exponents.

    Raises:
        InvalidKlinesError: A value leaves 64 bits.
    """
    factors = {name: 10 ** (exponents.of(name) - klines.exponents.of(name)) for name in SCHEMA}
    widened = {name: factor for name, factor in factors.items() if factor != 1}
    _refuse_where(
        klines.frame,
        {
            f"{name} has more digits than 64 bits hold": pl.col(name).is_null()
            | (pl.col(name).abs() <= _INT64_MAX // factor)
            for name, factor in widened.items()
        },
        what,
    )
    frame = klines.frame.with_columns(pl.col(name) * factor for name, factor in widened.items())
    return Klines(klines.symbol, klines.interval, exponents, frame)


def decimals_of(text: pl.Series) -> int:
    """Return the most decimals that a text of the column shows; 0 for integers."""
    if text.dtype != pl.String:
        return 0
    point = text.str.find(".", literal=True)
    most = (text.str.len_bytes() - point - 1).max()
    return int(most) if isinstance(most, int) else 0


def scaled(text: pl.Series, exponent: int) -> pl.Series:
    """Return the text's value × 10^exponent, exact; null where it is not a plain decimal number or too large."""
    if text.dtype != pl.String:
        return text.cast(pl.Int64, strict=False) * 10**exponent
    # Scientific notation hides its decimals from `_decimals`, so it is not read at all.
    plain = text.set(text.str.contains("[eE]"), None)
    return plain.cast(pl.Decimal(38, exponent), strict=False).to_physical().cast(pl.Int64, strict=False)


def _clock_rules(interval: Interval) -> dict[str, pl.Expr]:
    plausible = pl.col("open_time").is_between(_OLDEST_MS, _NEWEST_MS)
    # What is no time at all is not asked for its month.
    opened = pl.when(plausible).then(pl.col("open_time"))
    return {
        "open time is not in milliseconds (futures never use microseconds)": plausible,
        f"open time is off the grid of {interval}": _opening(interval, opened) == opened,
        "close time is not the last millisecond of the bar": pl.col("close_time") == _opening(interval, opened, 1) - 1,
    }


def _opening(interval: Interval, time: pl.Expr, later: int = 0) -> pl.Expr:
    """When the bar that is open at a time opens, or one that many bars `later`; all in milliseconds."""
    if interval.is_month:
        return pl.from_epoch(time, "ms").dt.truncate("1mo").dt.offset_by(f"{later}mo").dt.epoch("ms")
    return (time - interval.offset_ms) // interval.ms * interval.ms + interval.offset_ms + later * interval.ms


def _value_rules(unknown: Collection[str]) -> dict[str, pl.Expr]:
    low, high = pl.col("low"), pl.col("high")
    signed = pl.min_horizontal("volume", "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume")
    return {
        "a value is missing, too large or not a plain decimal number": ~pl.any_horizontal(
            pl.all().exclude(unknown).is_null()
        ),
        "low ≤ open, close ≤ high does not hold": (
            (low <= pl.min_horizontal("open", "close")) & (pl.max_horizontal("open", "close") <= high)
        ),
        "the low is not above zero": low > 0,
        "a volume or the number of trades is negative": signed >= 0,
        "takers bought more than was traded": (
            # With one of the two unknown nothing is said; what must be known was checked above.
            (pl.col("taker_buy_volume") <= pl.col("volume")).fill_null(value=True)
            & (pl.col("taker_buy_quote_volume") <= pl.col("quote_volume")).fill_null(value=True)
        ),
    }


def _refuse_where(frame: pl.DataFrame, rules: Mapping[str, pl.Expr], what: str) -> None:
    """Raise for the first rule that does not hold in every row; a null breaks a rule."""
    if not rules or frame.is_empty():
        return
    held = frame.select(rule.fill_null(value=False).alias(name) for name, rule in rules.items())
    for name in held.columns:
        if not held[name].all():
            raise InvalidKlinesError(what, name, _times_of(frame.filter(~held[name])))


def distinct(klines: Klines, what: str) -> tuple[Klines, int]:
    """Return klines in order of time, and how many rows were the same row twice.

    Raises:
        InvalidKlinesError: Two different rows have one open time.
    """
    times = klines.open_times()
    if bool(np.all(times[1:] > times[:-1])):
        return klines, 0
    once = klines.frame.sort("open_time", maintain_order=True).unique(maintain_order=True)
    twice = once.filter(once["open_time"].is_duplicated())
    if not twice.is_empty():
        raise InvalidKlinesError(what, "two different rows for one open time", _times_of(twice))
    return (
        Klines(klines.symbol, klines.interval, klines.exponents, once),
        klines.frame.height - once.height,
    )


def _times_of(frame: pl.DataFrame) -> list[str]:
    times = frame["open_time"].to_physical().unique(maintain_order=True)
    return [
        "no time" if time is None else format_time(time) if _OLDEST_MS <= time < _NEWEST_MS else str(time)
        for time in times
    ]
