"""Rows of another market, in recordings of real ones and planted among synthetic ones."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from nt_run.data.crosscheck import find_disagreements, find_far_from_mark, find_finer_steps, narrowed
from nt_run.data.import_file import read_klines
from nt_run.data.ingest import parse_klines
from nt_run.klines import SCHEMA, Exponents, Klines
from nt_run.model import Interval, format_time, parse_time

HOUR = 3_600_000
NOW = parse_time("2027-01-01")
CONTAMINATED = "BTCUSDT-5m-contaminated-with-spot"
CLEAN = [
    "BTCUSDT-5m-2023-2024.feather",
    "BTCUSDT-1m-2025-01.feather",
    "BTCUSDT-1m-2025-05.feather",
    "BTCUSDT-1m-2025-01-01.csv",
]
SPOT = "2025-02-18 10:30 → 2025-02-20 10:25"


@pytest.fixture(scope="session")
def recorded(recordings: Path) -> Callable[[str], Klines]:
    def load(name: str) -> Klines:
        return read_klines(recordings / "klines" / name, symbol=None, interval=None, now_ms=NOW).klines

    return load


@pytest.fixture(scope="session")
def recorded_mark(recordings: Path) -> Callable[[str, str], Klines]:
    def load(name: str, interval: str) -> Klines:
        frame = pl.read_ipc(recordings / "mark" / name)
        opened, step = frame["date"].dt.epoch("ms"), Interval(interval)
        text = frame.select(pl.col("open", "high", "low", "close").cast(pl.String)).with_columns(
            open_time=opened,
            close_time=opened + step.ms - 1,
            volume=pl.lit("0"),
            quote_volume=pl.lit("0"),
            trades=pl.lit(0),
            taker_buy_volume=pl.lit("0"),
            taker_buy_quote_volume=pl.lit("0"),
        )
        return parse_klines(name[:7], step, text, name)[0]

    return load


def test_recorded_spot_rows_are_found_by_the_mark_price_alone(
    recorded: Callable[[str], Klines], recorded_mark: Callable[[str, str], Klines]
) -> None:
    suspect = recorded(f"{CONTAMINATED}.feather")
    findings, compared = find_far_from_mark(suspect, recorded_mark("BTCUSDT-1h-mark-2019-2026.feather", "1h"))
    assert compared == 3418
    assert [str(one.range) for one in findings] == ["2025-02-18 10:00 → 2025-02-20 10:00"]
    (found,) = narrowed(findings, suspect, None, HOUR)
    assert (str(found.range), found.rows) == (SPOT, 575)


def test_recorded_spot_rows_are_found_by_a_second_source(recorded: Callable[[str], Klines]) -> None:
    suspect = recorded(f"{CONTAMINATED}.feather")
    findings, compared, corrected = find_disagreements(suspect, recorded("BTCUSDT-1h-2019-2026.feather"), "1h klines")
    *corrections, found = narrowed(findings, suspect, None, HOUR)
    assert (str(found.range), found.rows) == (SPOT, 575)
    # What the exchange corrected itself, after outages.
    assert [format_time(one.range.start_ms) for one in corrections] == ["2024-10-28 20:00", "2025-01-14 15:00"]
    assert (compared, corrected) == (3418, 3)


def test_recorded_spot_rows_are_found_by_the_tick_size_alone(recorded: Callable[[str], Klines]) -> None:
    (found,) = find_finer_steps(recorded(f"{CONTAMINATED}.feather"), Decimal("0.10"))
    assert (str(found.range), found.rows) == (SPOT, 575)


@pytest.mark.parametrize("name", CLEAN)
def test_clean_recordings_give_no_alarm(
    recorded: Callable[[str], Klines], recorded_mark: Callable[[str, str], Klines], name: str
) -> None:
    klines = recorded(name)
    findings, compared = find_far_from_mark(klines, recorded_mark("BTCUSDT-1h-mark-2019-2026.feather", "1h"))
    assert (findings, compared >= 50) == ([], True)
    assert find_disagreements(klines, recorded("BTCUSDT-1h-2019-2026.feather"), "1h klines")[0] == []
    assert find_finer_steps(klines, Decimal("0.10")) == []


def test_six_years_of_recorded_hours_give_no_alarm(
    recorded: Callable[[str], Klines], recorded_mark: Callable[[str, str], Klines]
) -> None:
    history = recorded("BTCUSDT-1h-2019-2026.feather")
    mark = recorded_mark("BTCUSDT-1h-mark-2019-2026.feather", "1h")
    assert find_far_from_mark(history, mark) == ([], 56_084)
    # Until 2022-02-15 the tick size was 0.01: older steps are finer, and nothing is said of them.
    assert find_finer_steps(history, Decimal("0.10")) == []


def test_a_recording_of_another_contract_is_far_from_mark(
    recorded: Callable[[str], Klines], recorded_mark: Callable[[str, str], Klines]
) -> None:
    ethereum = recorded("ETHUSDT-1m-2025-05.feather")
    assert find_far_from_mark(ethereum, recorded_mark("ETHUSDT-8h-mark-2025.feather", "8h")) == ([], 125)
    (found,) = find_far_from_mark(ethereum, recorded_mark("BTCUSDT-1h-mark-2019-2026.feather", "1h"))[0]
    assert found.rows > 60_000


def walk(count: int, *, shift: int = 0, first: int = 0, last: int = 0, noise: int = 0) -> Klines:
    """Hours of a made-up contract at about 100,000.0; rows `first` … `last` - 1 are `shift` tenths higher."""
    steps = np.random.default_rng(7).integers(-300, 301, count + 1).cumsum() + 1_000_000
    wobble = np.random.default_rng(8).integers(-noise, noise + 1, count + 1)
    path = steps + wobble
    opens, closes = path[:-1].copy(), path[1:].copy()
    for column in (opens, closes):
        column[first:last] += shift
    start = parse_time("2025-03-01")
    frame = pl.DataFrame({"open_time": start + np.arange(count) * HOUR, "open": opens, "close": closes})
    frame = frame.with_columns(high=pl.max_horizontal("open", "close"), low=pl.min_horizontal("open", "close"))
    rest = [pl.lit(1).alias(name) for name in SCHEMA if name not in frame.columns]
    frame = frame.with_columns(rest).select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())
    return Klines("BTCUSDT", Interval("1h"), Exponents(1, 0, 0), frame)


def test_planted_rows_that_keep_a_distance_from_mark_are_found_where_they_are() -> None:
    # 40.0 on 100,000 are 4e-4, more than 2.5e-4; 5.0 are 0.5e-4, less than the noise of 1e-4.
    assert find_far_from_mark(walk(200, noise=100), walk(200)) == ([], 200)
    assert find_far_from_mark(walk(200, noise=100, shift=50, first=80, last=120), walk(200))[0] == []
    (found,) = find_far_from_mark(walk(200, noise=20, shift=400, first=80, last=120), walk(200))[0]
    start = parse_time("2025-03-01")
    assert (found.range.start_ms, found.range.end_ms) == (start + 80 * HOUR, start + 120 * HOUR)


def test_nothing_is_said_of_too_few_bars() -> None:
    assert find_far_from_mark(walk(7, shift=400, last=7), walk(7)) == ([], 0)
    assert len(find_far_from_mark(walk(8, shift=400, last=8), walk(8))[0]) == 1


def test_a_file_of_finer_steps_from_the_start_may_be_older_than_the_tick_size() -> None:
    klines = walk(300)
    assert find_finer_steps(klines, Decimal(1)) == []
    # Unless it is known to have held since before.
    (whole,) = find_finer_steps(klines, Decimal(1), held_from_ms=0)
    assert whole.range.start_ms == klines.range.start_ms
    assert find_finer_steps(klines, Decimal(1), held_from_ms=klines.range.end_ms) == []
    mixed = klines.frame.with_columns(
        pl.when(pl.int_range(pl.len()) < 150).then(pl.col(name) // 10 * 10).otherwise(pl.col(name)).alias(name)
        for name in ("open", "high", "low", "close")
    )
    (found,) = find_finer_steps(Klines("BTCUSDT", klines.interval, klines.exponents, mixed), Decimal(1))
    assert found.range.start_ms in range(parse_time("2025-03-01") + 150 * HOUR, parse_time("2025-03-01") + 153 * HOUR)
