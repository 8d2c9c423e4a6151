"""Values of a user's own file: times by their magnitude or zone, floats as the shortest text that means them."""

from decimal import Decimal

import polars as pl

from nt_run.errors import ImportFileError

_UNITS = {"seconds": (10**9, 10**10), "milliseconds": (10**12, 10**13), "nanoseconds": (10**18, 9 * 10**18)}
_MICROSECONDS = (10**15, 10**16)
_NS = 1_000_000
_ISO = r"^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?$"
_ZONE = r"T.*(Z|[+-]\d\d:?\d\d)$"
_SCIENTIFIC = r"^[+-]?\d+(\.\d*)?[eE][+-]?\d{1,2}$"
NAIVE = "its times name no zone; they are taken as UTC"


def times_ms(column: pl.Series, file: str) -> tuple[pl.Series, list[str]]:
    """Return times as UTC milliseconds, and what is to be said about how they were read.

    Numbers are seconds, milliseconds or nanoseconds by their magnitude. Text is a number or ISO 8601.

    Args:
        column: Text, numbers, dates or datetimes.
        file: Name of the file, for messages.

    Raises:
        ImportFileError: A time is missing or none of these, units are mixed, or they are microseconds: those are what
            the spot archive uses since 2025-01-01; futures never did.
    """
    if column.null_count():
        raise _no_times(file, "a time is missing")
    if column.dtype == pl.String:
        column = column.str.strip_chars()
        if not column.str.contains(r"^\d+(\.0*)?$").all():
            return _from_iso(column, file)
        column = column.str.replace(r"\.0*$", "").cast(pl.Int64)
    if column.dtype == pl.Date:
        return column.cast(pl.Datetime("ms")).dt.epoch("ms"), [NAIVE]
    if isinstance(column.dtype, pl.Datetime):
        remarks = [] if column.dtype.time_zone else [NAIVE]
        return _whole_ms(column.dt.epoch("ns"), file), remarks
    if column.dtype.is_float():
        if not (column.is_finite() & (column == column.floor())).all():
            raise _no_times(file, "a time is no whole number")
        column = column.cast(pl.Int64)
    if not column.dtype.is_integer():
        raise _no_times(file, f"its times are {column.dtype}")
    return _from_numbers(column.cast(pl.Int64), file), []


def plain_text(column: pl.Series) -> pl.Series:
    """Return numbers as plain decimal text: of a float the shortest that means it, so that 0.1 is 0.1.

    Text stays as it is, but for spaces around it; integers stay integers; NaN is null.
    """
    if column.dtype == pl.String:
        text = column.str.strip_chars()
        text = text.set(text.is_in(["", "nan", "NaN", "None", "null"]), None)
        odd = text.str.contains(_SCIENTIFIC).fill_null(value=False)
        return text.zip_with(~odd, _without_exponents(text.set(~odd, None))) if odd.any() else text
    if column.dtype.is_float():
        text = column.fill_nan(None).cast(pl.String).str.replace(r"\.0$", "")
        odd = text.str.contains("e", literal=True).fill_null(value=False)
        return text.zip_with(~odd, _without_exponents(text)) if odd.any() else text
    return column.cast(pl.String) if column.dtype == pl.Decimal else column


def whole_numbers(column: pl.Series) -> pl.Series:
    """Return counts as integers; `365.0` is 365, and what is no whole number is left as text, to be refused."""
    text = plain_text(column)
    if text.dtype != pl.String:
        return text
    text = text.str.replace(r"\.0*$", "")
    return text.cast(pl.Int64) if text.str.contains(r"^\d+$").fill_null(value=True).all() else text


def _without_exponents(text: pl.Series) -> pl.Series:
    plain = [
        format(Decimal(one).normalize(), "f") if one is not None and "inf" not in one else one for one in text.to_list()
    ]
    return pl.Series(text.name, plain, dtype=pl.String)


def _from_numbers(numbers: pl.Series, file: str) -> pl.Series:
    def within(bounds: tuple[int, int]) -> bool:
        return bool(numbers.is_between(bounds[0], bounds[1], closed="left").all())

    if within(_MICROSECONDS):
        reason = "has times in microseconds, which futures never use"
        hint = "Binance's spot archive does since 2025-01-01: this is likely a spot file. Take one of futures/um."
        raise ImportFileError(file, reason, hint)
    unit = next((name for name, bounds in _UNITS.items() if within(bounds)), None)
    if unit is None:
        raise _no_times(file, f"its times run from {numbers.min()} to {numbers.max()}")
    if unit == "nanoseconds":
        return _whole_ms(numbers, file)
    return numbers * 1000 if unit == "seconds" else numbers


def _from_iso(text: pl.Series, file: str) -> tuple[pl.Series, list[str]]:
    text = text.str.replace(r"\s*UTC$", "Z").str.replace(" ", "T", literal=True)
    bad = ~text.str.contains(_ISO)
    if bad.any():
        raise _no_times(file, f"one of its times is {text.filter(bad)[0]!r}")
    zoned = text.str.contains(_ZONE)
    if zoned.any() and not zoned.all():
        raise _no_times(file, "some of its times name a zone and others do not")
    whole = text if zoned.all() else text.str.replace(r"^(.{10})$", "${1}T00:00") + "Z"
    # Seconds may be left out.
    whole = whole.str.replace(r"T(\d\d:\d\d)(Z|[+-])", "T${1}:00${2}")
    try:
        moments = whole.str.to_datetime("%+", time_unit="ns", time_zone="UTC")
    except pl.exceptions.PolarsError as exc:
        raise _no_times(file, f"its times cannot be read, such as {text[0]!r}") from exc
    return _whole_ms(moments.dt.epoch("ns"), file), [] if zoned.all() else [NAIVE]


def _whole_ms(nanoseconds: pl.Series, file: str) -> pl.Series:
    if (nanoseconds % _NS != 0).any():
        raise _no_times(file, "its times are finer than a millisecond")
    return nanoseconds // _NS


def _no_times(file: str, reason: str) -> ImportFileError:
    return ImportFileError(file, f"has no usable times: {reason}", "Give open times in ISO 8601 or in milliseconds.")
