"""A kept run as files other programs read: CSV, Parquet, JSON, or a workbook."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast, get_args

import msgspec
import polars as pl

from nt_run.errors import ResultsError, UsageError
from nt_run.klines import SCHEMA
from nt_run.results import FRAMES, LATER_FRAMES, Run

type Form = Literal["csv", "parquet", "json", "xlsx"]
FORMS: tuple[str, ...] = get_args(Form.__value__)
SHEET_ROWS = 1_048_575
"""Rows of a sheet below its heading (Excel's specifications and limits)."""
EQUITY_ROWS = 100_000
"""A workbook with more rows of equity takes minutes to write and to open: from here on it has one for each day."""
_VALUE_WIDTH = 360
"""Of the column of values, in pixels; some are sentences."""
_NO_DATE = dt.datetime(2000, 1, 1)  # noqa: DTZ001 - workbooks know no zones
_TIME = "%Y-%m-%dT%H:%M:%S%.fZ"


def export_run(run: Run, form: str, to: Path) -> tuple[list[Path], list[str]]:
    """Write a run to the folder `to`, in place of an earlier export of it.

    CSV and Parquet are a folder named like the run, with a file for each frame, klines included, and its summary and
    configuration; JSON and xlsx are one file named like it. CSV, Parquet and JSON are exact; a workbook has floats,
    times without zone (UTC), no klines, and at most a row of equity for each day where there are many bars.

    Returns:
        The files, and what is to be said of them.

    Raises:
        UsageError: `form` is none of `FORMS`.
        ResultsError: The files cannot be written, or a frame has more rows than a sheet.
    """
    if form not in FORMS:
        raise UsageError(f"--format must be one of {', '.join(FORMS)}, not {form!r}.")
    try:
        to.mkdir(parents=True, exist_ok=True)
        if form == "json":
            return [_json(run, to / f"{run.run_id}.json")], []
        if form == "xlsx":
            return _workbook(run, to / f"{run.run_id}.xlsx")
        return _folder(run, to / run.run_id, form), []
    except OSError as exc:
        raise ResultsError(f"The run could not be exported to {to}: {exc.strerror or exc}.") from exc


def _frames(run: Run) -> dict[str, pl.DataFrame]:
    frames = {name: cast("pl.DataFrame | None", getattr(run, name)) for name in (*FRAMES, *LATER_FRAMES)}
    return {name: frame for name, frame in frames.items() if frame is not None}


def _klines(run: Run) -> pl.DataFrame:
    """The bars in the exchange's own decimals instead of scaled integers."""
    exponents = run.klines.exponents
    scaled = [name for name in SCHEMA if name not in {"open_time", "trades"}]
    return run.klines.frame.with_columns(_decimals(name, exponents.of(name)) for name in scaled)


def _decimals(name: str, exponent: int) -> pl.Expr:
    # By moving the point in the text: a division might round.
    digits = pl.col(name).cast(pl.String).str.zfill(exponent + 1)
    text = pl.concat_str(digits.str.head(-exponent), pl.lit("."), digits.str.tail(exponent)) if exponent else digits
    return text.str.to_decimal(scale=exponent).cast(pl.Decimal(38, exponent)).alias(name)


def _folder(run: Run, folder: Path, form: str) -> list[Path]:
    folder.mkdir(exist_ok=True)
    written: list[Path] = []
    for name, frame in (_frames(run) | {"klines": _klines(run)}).items():
        path = folder / f"{name}.{form}"
        if form == "csv":
            frame.write_csv(path, datetime_format=_TIME)
        else:
            frame.write_parquet(path)
        written.append(path)
    for path, text in ((folder / "config.toml", run.config.to_toml()), (folder / "summary.json", _pretty(run.summary))):
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def _json(run: Run, path: Path) -> Path:
    rows = {
        name: frame.with_columns(pl.selectors.datetime().dt.to_string(_TIME)).to_dicts()
        for name, frame in (_frames(run) | {"klines": _klines(run)}).items()
    }
    whole = {"summary": run.summary, "config": msgspec.to_builtins(run.config), "specs": run.specs, **rows}
    path.write_text(_pretty(whole), encoding="utf-8")
    return path


def _pretty(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=1).decode() + "\n"


def _workbook(run: Run, path: Path) -> tuple[list[Path], list[str]]:
    import xlsxwriter  # noqa: PLC0415 - for a workbook alone

    frames, remarks = _frames(run), list[str]()
    if frames["equity"].height > EQUITY_ROWS:
        frames["equity"] = frames["equity"].group_by(pl.col("time").dt.date(), maintain_order=True).last()
        remarks.append(f"equity has one row for each day, of {run.equity.height:,} bars; --format csv has them all.")
    for name, frame in frames.items():
        if frame.height > SHEET_ROWS:
            raise ResultsError(f"{name} has {frame.height:,} rows, more than a sheet can hold. Use --format csv.")
    with xlsxwriter.Workbook(path) as book:
        # The same run is the same file.
        book.set_properties({"created": _NO_DATE})  # pyright: ignore[reportUnknownMemberType] - untyped there
        for name, table in {"summary": run.summary, "config": msgspec.to_builtins(run.config)}.items():
            lines = _lines(table)
            sheet = pl.DataFrame([pl.Series("key", list(lines)), pl.Series("value", list(lines.values()))])
            sheet.write_excel(book, name, autofit=True, column_widths={"value": _VALUE_WIDTH})
        for name, frame in frames.items():
            plain = frame.with_columns(
                pl.selectors.datetime().dt.replace_time_zone(None).dt.cast_time_unit("ms"),
                pl.selectors.decimal().cast(pl.Float64),
            )
            plain.write_excel(book, name, autofit=True, freeze_panes=(1, 0))
    return [path], remarks


def _lines(table: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    lines: dict[str, str] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            lines |= _lines(cast("dict[str, Any]", value), f"{prefix}{key}.")
        else:
            lines[f"{prefix}{key}"] = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return lines
