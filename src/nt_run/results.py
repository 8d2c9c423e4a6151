"""A run folder: kept whole or not at all, loaded, listed.

<cache>/runs/<UTC time>-<strategy>-<symbol>-<interval>-<digest>[-demo]/
    config.toml specs.json summary.json klines.parquet fills.parquet trades.parquet funding.parquet equity.parquet
    settlements.parquet orders.parquet plots.parquet detail.parquet marks.parquet detail_marks.parquet SHA256SUMS
"""

import datetime as dt
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import msgspec
import polars as pl

from nt_run.checksums import write_checksums
from nt_run.config import RunConfig, load_config
from nt_run.errors import NtRunError, ResultsError
from nt_run.folders import SUMMARY, find_run
from nt_run.klines import SCHEMA, Exponents, Klines
from nt_run.matching import MarkExtremes
from nt_run.model import Interval

REQUIRED = ("run_id", "demo", "symbol", "interval", "start", "end", "account", "pnl", "metrics", "trades", "data")
"""What no summary is without."""
FRAMES = ("fills", "trades", "funding", "equity")
LATER_FRAMES = ("settlements", "orders", "plots")
"""What folders of earlier versions lack, and `plots` those of strategies that publish nothing."""
DETAIL = "detail.parquet"
MARKS = ("marks", "detail_marks")
"""What only folders of runs have in which mark klines decided on liquidation."""
OWN_FILES = (
    "config.toml",
    "specs.json",
    SUMMARY,
    "klines.parquet",
    DETAIL,
    *(f"{name}.parquet" for name in (*FRAMES, *LATER_FRAMES, *MARKS)),
)
"""All that a run may write into its folder beside the list of checksums; what else is there came later."""
_EXPONENTS = "nt_run.klines"
_PRICE_EXPONENT = "nt_run.price_exponent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A finished run: its configuration, its report as one object, and its frames.

    Frames (times UTC; money `Decimal(38, 8)` in the quote asset):

    - `fills`: time (ns), order_id, side, quantity, price, reference (the price before slippage), fee, liquidity,
      order_type
    - `trades`: entry_time, exit_time (ns, null while open), side, quantity, entry_price, exit_price (floats), pnl,
      price_pnl, fee, funding, slippage, fills
    - `funding`: time (ns), position, rate, price, amount
    - `settlements`: time (ns), rate, price, price_source: all of the range, charged or not; `None` in old run folders
    - `orders`: order_id, side, order_type, quantity, price, trigger, sent, since, until (ns, null while it
      rests), ended: one row per stretch in which a resting order did not change; `None` in old run folders
    - `plots`: time (ms, the bar's close), and what the strategy publishes for charts: a float column `pane/line` for
      each line, one row per bar, null where it has no value; `None` where it publishes nothing
    - `equity`: time (ms, the bar's close), balance, equity, position, drawdown (floats), one row per bar
    """

    run_id: str
    path: Path | None
    """The run folder; `None` when the run was not kept."""
    config: RunConfig
    specs: dict[str, Any]
    summary: dict[str, Any]
    klines: Klines
    fills: pl.DataFrame
    trades: pl.DataFrame
    funding: pl.DataFrame
    equity: pl.DataFrame
    settlements: pl.DataFrame | None = None
    orders: pl.DataFrame | None = None
    plots: pl.DataFrame | None = None
    detail: Klines | None = None
    """Finer klines in the place of some bars; `None` where there are none."""
    marks: MarkExtremes | None = None
    """Mark prices that decided on liquidation, by bar; `None` where there are none, and in old run folders."""
    detail_marks: MarkExtremes | None = None
    """The same of the finer bars."""


def run_name(config: RunConfig, digest: str, now: dt.datetime) -> str:
    """Return the id of a run: when, what, and which configuration."""
    strategy = config.strategy.name.rsplit("/", 1)[-1].replace(".py", "").replace(":", ".").replace(os.sep, ".")
    parts = [f"{now:%Y%m%dT%H%M%S%f}"[:18] + "Z", strategy, config.symbol, config.interval, digest[:8]]
    return "-".join([*parts, "demo"] if config.demo else parts)


def save_run(run: Run, runs: Path) -> Run:
    """Write the run's folder under `runs`, whole or not at all, and return the run with its path.

    Raises:
        ResultsError: The folder cannot be written.
    """
    target = runs / run.run_id
    try:
        runs.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".writing-", dir=runs))
        try:
            _write(run, scratch)
            write_checksums(scratch)
            scratch.chmod(0o755)
            scratch.rename(target)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
    except OSError as exc:
        raise ResultsError(f"The run could not be kept in {target}: {exc.strerror or exc}.") from exc
    return replace(run, path=target)


def load_run(name: str | Path | None, runs: Path) -> Run:
    """Return a kept run by id, unique start of an id, or folder; `None` is the latest.

    Raises:
        ResultsError: There is no such run, or its folder is damaged.
    """
    path = find_run(name, runs)
    kept = [*FRAMES, *(frame for frame in LATER_FRAMES if (path / f"{frame}.parquet").is_file())]
    marks, detail_marks = (_read_kept(path / f"{name}.parquet", _read_marks) for name in MARKS)
    return Run(
        run_id=path.name,
        path=path,
        summary=_read_file(path / SUMMARY, lambda file: read_summary(file.parent)),
        config=_read_file(path / "config.toml", partial(load_config, kept=True)),
        specs=_read_file(path / "specs.json", lambda file: json.loads(file.read_text(encoding="utf-8"))),
        klines=_read_file(path / "klines.parquet", _read_klines),
        detail=_read_kept(path / DETAIL, _read_klines),
        marks=marks,
        detail_marks=detail_marks,
        **{frame: _read_file(path / f"{frame}.parquet", pl.read_parquet) for frame in kept},
    )


def read_curve(folder: Path, points: int) -> list[float]:
    """Return the equity of a kept run at `points` times, equally far apart in bars, the last one at its end.

    Raises:
        ValueError: The run has no equity that can be read.
    """
    try:
        equity = pl.read_parquet(folder / "equity.parquet", columns=["equity"])["equity"]
    except pl.exceptions.PolarsError as exc:
        raise ValueError(f"{folder / 'equity.parquet'} cannot be read: {exc}") from exc
    last = len(equity) - 1
    return [round(equity[(at + 1) * last // points], 2) for at in range(points)] if last >= 0 else []


def read_summary(folder: Path) -> dict[str, Any]:
    """Return the summary of a kept run.

    Raises:
        OSError: It cannot be read.
        ValueError: It is damaged.
    """
    summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    if not isinstance(summary, dict):
        raise ValueError(f"{SUMMARY} is not an object")  # noqa: TRY004 - the caller looks for one kind of error
    found = cast("dict[str, Any]", summary)
    if missing := [key for key in REQUIRED if key not in found]:
        raise ValueError(f"{SUMMARY} lacks {', '.join(missing)}")
    return found


def _write(run: Run, folder: Path) -> None:
    (folder / "config.toml").write_text(run.config.to_toml(), encoding="utf-8")
    (folder / "specs.json").write_bytes(_json(run.specs))
    for name in (*FRAMES, *LATER_FRAMES):
        frame: pl.DataFrame | None = getattr(run, name)
        if frame is not None:
            frame.write_parquet(folder / f"{name}.parquet", compression="zstd", compression_level=3)
    _write_klines(run.klines, folder / "klines.parquet")
    if run.detail is not None:
        _write_klines(run.detail, folder / DETAIL)
    for name in MARKS:
        marks: MarkExtremes | None = getattr(run, name)
        if marks is not None:
            facts = {_PRICE_EXPONENT: str(marks.exponent)}
            marks.frame.write_parquet(
                folder / f"{name}.parquet", compression="zstd", compression_level=1, metadata=facts
            )
    # Last, because a folder with a summary is a run.
    (folder / SUMMARY).write_bytes(_json(run.summary))


def _write_klines(klines: Klines, path: Path) -> None:
    exponents = klines.exponents
    facts = {
        "symbol": klines.symbol,
        "interval": klines.interval.name,
        "exponents": [exponents.price, exponents.quantity, exponents.quote],
    }
    klines.frame.write_parquet(path, compression="zstd", compression_level=1, metadata={_EXPONENTS: json.dumps(facts)})


def _read_kept[T](path: Path, read: Callable[[Path], T]) -> T | None:
    """Return what a file of a run says that not every run has."""
    return _read_file(path, read) if path.is_file() else None


def _read_file[T](path: Path, read: Callable[[Path], T]) -> T:
    """Return what a file of a run says, or say of which file it is that it says nothing."""
    try:
        if not path.stat().st_size:
            raise ValueError("it is empty")  # noqa: TRY301 - told as all other damage
        return read(path)
    except FileNotFoundError as exc:
        reason, cause = "is missing", exc
    except (OSError, ValueError, KeyError, TypeError, NtRunError, pl.exceptions.PolarsError) as exc:
        lines = str(exc).splitlines() or [type(exc).__name__]
        reason, cause = f"is damaged ({lines[0].rstrip('.')})", exc
    raise ResultsError(f"{path.parent} is not a whole run: {path.name} {reason}. Run the backtest again.") from cause


def _read_klines(path: Path) -> Klines:
    facts = json.loads(pl.read_parquet_metadata(path)[_EXPONENTS])
    frame = pl.read_parquet(path, columns=list(SCHEMA))
    return Klines(facts["symbol"], Interval(facts["interval"]), Exponents(*facts["exponents"]), frame)


def _read_marks(path: Path) -> MarkExtremes:
    frame = pl.read_parquet(path, columns=["open_time", "low", "high"])
    return MarkExtremes(frame, int(pl.read_parquet_metadata(path)[_PRICE_EXPONENT]))


def _json(value: dict[str, Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
