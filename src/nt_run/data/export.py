"""`export`: klines as CSV, as Parquet with floats, or as the archive's own CSV byte for byte."""

import io
from functools import reduce
from pathlib import Path
from typing import Literal

import polars as pl

from nt_run.data.archive import ArchiveFile, file_range
from nt_run.data.archive_csv import CsvForm, write_csv
from nt_run.data.days import day_name, days_of
from nt_run.data.files import write_whole
from nt_run.data.ingest import rescale
from nt_run.data.manifest import Manifest
from nt_run.errors import DataError, StoreError
from nt_run.klines import DAY_MS, OPTIONAL, SCHEMA, Exponents, Klines, tightened
from nt_run.model import Interval, TimeRange

Format = Literal["csv", "parquet", "archive"]


def export_klines(
    klines: Klines, asked: TimeRange, kind: str, manifest: Manifest, target: Path, form: Format
) -> list[Path]:
    """Write the klines of the range `asked` and return the files written, named as the archive names its own.

    `csv` and `parquet` are one file of the whole range, times in ISO 8601 and in milliseconds. `archive` is one file a
    month, in the very form the archive's file had, or one a day for a month of which only a part was asked for.

    Raises:
        DataError: `archive` is asked for, and imported rows do not know all of its columns, or the range cuts a day:
            a file of that name would promise the whole of it.
        StoreError: `target` is no folder, or cannot be written to.
    """
    if form == "archive":
        _refuse_cut_days(asked, klines.interval)
        if any(klines.frame[name].null_count() for name in OPTIONAL):
            raise DataError(
                f"{klines.symbol} {klines.interval}: imported rows lack quote volume, number of trades or takers, "
                "which the archive's form has. Export them as csv or parquet."
            )
        return [
            _write(target / f"{file.name}.csv", write_csv(_as_shown(part, manifest), _form(manifest, file.period)))
            for file, part in _months(klines, asked, kind)
        ]
    first, last = day_name(klines.range.start_ms), day_name(klines.range.end_ms - 1)
    name = f"{klines.symbol}-{klines.interval.file_name}-{first}-{last}"
    if form == "csv":
        klines = _as_shown(klines, manifest)
        exact = [_decimals(name, klines.exponents.of(name)) for name in SCHEMA if name != "open_time"]
        frame = klines.frame.select(pl.col("open_time").dt.strftime("%Y-%m-%dT%H:%M:%SZ"), *exact)
        return [_write(target / f"{name}.csv", frame.write_csv().encode())]
    content = io.BytesIO()
    klines.floats().write_parquet(content)
    return [_write(target / f"{name}.parquet", content.getvalue())]


def _refuse_cut_days(asked: TimeRange, interval: Interval) -> None:
    start, end = interval.floor(asked.start_ms), interval.ceil(asked.end_ms)
    if start % DAY_MS or end % DAY_MS:
        first, last = day_name(start), day_name(end - 1 + DAY_MS)
        raise DataError(
            f"The archive's files hold whole days, and the range cuts one: {asked}. Give --start {first} --end {last}, "
            "or export it as csv or parquet."
        )


def _months(klines: Klines, asked: TimeRange, kind: str) -> list[tuple[ArchiveFile, Klines]]:
    found: list[tuple[ArchiveFile, Klines]] = []
    for month in dict.fromkeys(day_name(start)[:7] for start in days_of(asked)):
        file = ArchiveFile(kind, klines.symbol, klines.interval.name, month)
        if _covers(asked, file_range(file), klines.interval):
            found.append((file, klines.within(file_range(file))))
            continue
        days = [day for day in map(day_name, days_of(asked)) if day.startswith(month)]
        files = [ArchiveFile(kind, klines.symbol, klines.interval.name, day) for day in days]
        found += [(each, part) for each in files if len(part := klines.within(file_range(each)))]
    return found


def _covers(whole: TimeRange, period: TimeRange, interval: Interval) -> bool:
    return whole.start_ms <= interval.ceil(period.start_ms) and interval.ceil(period.end_ms) <= whole.end_ms


def _as_shown(klines: Klines, manifest: Manifest) -> Klines:
    """Return klines at the decimals of their sources' text, which may end in zeros."""
    days = (manifest.days.get(day_name(start)) for start in days_of(klines.range))
    told = {source.decimals for day in days if day is not None for source in day.sources if source.decimals}
    if not told:
        return klines
    # Another month of the range may need more decimals than these rows.
    klines = tightened(klines)
    shown = reduce(Exponents.widest, (Exponents(*each) for each in told), klines.exponents)
    return rescale(klines, shown, f"{klines.symbol} {klines.interval}")


def _form(manifest: Manifest, period: str) -> CsvForm:
    """Return how the archive wrote the file of a period, or today's form if the rows are not from such a file.

    It may also have come by `import`, as the zip or as the CSV that is in it.
    """
    names = (f"-{period}.zip", f"-{period}.csv")
    for name, day in manifest.days.items():
        for source in day.sources:
            if name.startswith(period) and source.key.endswith(names):
                return CsvForm(source.header, source.bare_zeros)
    return CsvForm()


def _decimals(name: str, exponent: int) -> pl.Expr:
    if not exponent:
        return pl.col(name)
    digits = pl.col(name).cast(pl.String).str.zfill(exponent + 1)
    return (digits.str.head(-exponent) + "." + digits.str.tail(exponent)).alias(name)


def _write(path: Path, content: bytes) -> Path:
    try:
        write_whole(path, content)
    except StoreError as exc:
        raise StoreError(exc.path, exc.reason, "Give data export another folder to write to.") from exc
    return path
