"""`export`: klines and funding rates as CSV or Parquet with floats, klines also as the archive's CSV byte for byte."""

import datetime as dt
import io
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Literal

import polars as pl

from nt_run.data.archive import ArchiveFile, file_range
from nt_run.data.archive_csv import CsvForm, write_csv
from nt_run.data.days import day_name, days_of
from nt_run.data.files import read_whole, write_whole
from nt_run.data.funding import KIND as FUNDING
from nt_run.data.ingest import rescale
from nt_run.data.kline_store import KLINES
from nt_run.data.manifest import Manifest
from nt_run.errors import DataError, StoreError
from nt_run.klines import DAY_MS, OPTIONAL, SCHEMA, Exponents, Klines, tightened
from nt_run.model import FundingRate, Interval, TimeRange

Format = Literal["csv", "parquet", "archive"]


@dataclass(frozen=True, slots=True)
class Target:
    """A folder to write to. A file there that holds something else stays as it is, unless it may be overwritten."""

    folder: Path
    overwrite: bool = False

    def write(self, name: str, content: bytes) -> Path:
        """Write a file, and return where it is.

        Raises:
            DataError: There is one of this name that holds something else.
            StoreError: The folder is none, or cannot be written to.
        """
        path = self.folder / name
        try:
            with suppress(FileNotFoundError):
                held = read_whole(path)
                if held == content:
                    return path
                if not self.overwrite:
                    hint = "Give data export another folder, or --overwrite."
                    raise DataError(f"{path} is there already and holds something else. {hint}")
            write_whole(path, content)
        except StoreError as exc:
            raise StoreError(exc.path, exc.reason, "Give data export another folder to write to.") from exc
        return path


def export_klines(
    klines: Klines, asked: TimeRange, kind: str, manifest: Manifest, target: Target, form: Format
) -> list[Path]:
    """Write the klines of the range `asked` and return the files written.

    `csv` and `parquet` are one file of the whole range, times in ISO 8601 and in milliseconds; its name has the kind,
    but for klines of the last price, and the times of a range that cuts a day. `archive` is one file a month, in the
    very form and with the very name the archive's file had, or one a day for a month of which only a part was asked
    for; kinds are told apart by their folders, as there.

    Raises:
        DataError: `archive` is asked for, and imported rows do not know all of its columns, or the range cuts a day:
            a file of that name would promise the whole of it. Or a file of the same name holds something else.
        StoreError: `target` is no folder, or cannot be written to.
    """
    if form == "archive":
        _refuse_cut_days(asked, klines.interval)
        if any(klines.frame[name].null_count() for name in OPTIONAL):
            raise DataError(
                f"{klines.symbol} {klines.interval}: imported rows lack quote volume, number of trades or takers, "
                "which the archive's form has. Export them as csv or parquet."
            )
        folder = "" if kind == KLINES else f"{kind}/"
        return [
            target.write(f"{folder}{file.name}.csv", write_csv(_as_shown(part, manifest), _form(manifest, file.period)))
            for file, part in _months(klines, asked, kind)
        ]
    name = "-".join(
        [klines.symbol, klines.interval.file_name, *([] if kind == KLINES else [kind]), _span(klines.range)]
    )
    if form == "csv":
        klines = _as_shown(klines, manifest)
        exact = [_decimals(name, klines.exponents.of(name)) for name in SCHEMA if name != "open_time"]
        frame = klines.frame.select(pl.col("open_time").dt.strftime("%Y-%m-%dT%H:%M:%SZ"), *exact)
        return [target.write(f"{name}.csv", frame.write_csv().encode())]
    return [target.write(f"{name}.parquet", _parquet(klines.floats()))]


def export_funding(
    symbol: str, rates: Sequence[FundingRate], asked: TimeRange, target: Target, form: Format
) -> list[Path]:
    """Write the settlements of the range `asked`, at least one, and return the file written.

    Columns: `funding_time` as the exchange stamped it, `slot`, the nominal time, `funding_rate`, a fraction, and
    `mark_price`, empty where the exchange did not tell.

    Raises:
        DataError: `archive` is asked for: its form has a column the cache does not keep. Or a file of the same name
            holds something else.
        StoreError: `target` is no folder, or cannot be written to.
    """
    if form == "archive":
        raise DataError(
            f"{symbol} funding rates: the archive's form has a column that is not kept, funding_interval_hours. "
            "Export them as csv or parquet."
        )
    moments = {"funding_time": [rate.time_ms for rate in rates], "slot": [rate.slot_ms for rate in rates]}
    times = {name: pl.Series(values).cast(pl.Datetime("ms", "UTC")) for name, values in moments.items()}
    numbers = {"funding_rate": [rate.rate for rate in rates], "mark_price": [rate.mark_price for rate in rates]}
    name = f"{symbol}-{FUNDING}-{_span(asked)}"
    if form == "csv":
        shown = {name: each.dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ") for name, each in times.items()}
        text = {name: [None if value is None else f"{value:f}" for value in each] for name, each in numbers.items()}
        return [target.write(f"{name}.csv", pl.DataFrame({**shown, **text}).write_csv().encode())]
    floats = {
        name: pl.Series([None if value is None else float(value) for value in each], dtype=pl.Float64)
        for name, each in numbers.items()
    }
    return [target.write(f"{name}.parquet", _parquet(pl.DataFrame({**times, **floats})))]


def _parquet(frame: pl.DataFrame) -> bytes:
    content = io.BytesIO()
    frame.write_parquet(content)
    return content.getvalue()


def _span(time_range: TimeRange) -> str:
    """Name a range: its first and last day, or its times where it cuts a day."""
    if time_range.start_ms % DAY_MS or time_range.end_ms % DAY_MS:
        ends = (dt.datetime.fromtimestamp(each / 1000, dt.UTC) for each in (time_range.start_ms, time_range.end_ms))
        return "-".join(each.strftime("%Y-%m-%dT%H%M") for each in ends)
    return f"{day_name(time_range.start_ms)}-{day_name(time_range.end_ms - 1)}"


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
