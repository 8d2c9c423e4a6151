"""Funding rates as the exchange settled them: fetched, kept, never invented.

The raw funding time carries some milliseconds of jitter after the full hour, so both it and the nominal slot are kept.
How far apart slots are is read off the data: it differs between contracts and has changed over time.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from nt_run.data.archive import ArchiveClient, ArchiveFile, Arrived, Outcome, file_range
from nt_run.data.days import HOUR_MS, day_name, days_of
from nt_run.data.ingest import decimals_of, scaled
from nt_run.data.kline_store import MARKET
from nt_run.data.manifest import Loss, Manifest, SourceKind
from nt_run.data.ranges import join, subtract
from nt_run.data.recovery import find_orphans
from nt_run.data.rest import FUNDING_LIMIT, RestClient
from nt_run.data.store import Series
from nt_run.errors import InvalidKlinesError
from nt_run.model import FundingRate, TimeRange, format_time

KIND = "fundingRate"
JITTER_MS = 60_000
"""How long after the full hour a settlement may be stamped and published; recorded ones are within 16 ms."""

SCHEMA: dict[str, pl.DataType] = {
    "time": pl.Datetime("ms", "UTC"),
    "slot": pl.Datetime("ms", "UTC"),
    "rate": pl.Int64(),
    "mark_price": pl.Int64(),
}
"""`rate` and `mark_price` are scaled by the two exponents of a partition; `mark_price` is null on old rows."""


class FundingStore:
    """The funding rates of one symbol under a cache folder; see `Series` for `repair`."""

    def __init__(self, root: Path, symbol: str, *, repair: bool) -> None:
        self.symbol = symbol
        empty = Manifest(kind=KIND, symbol=symbol)
        folder = root / MARKET / KIND / symbol
        self.series = Series(folder, empty, "slot", repair=repair, take_back=self._take_back)

    def lacking(self, time_range: TimeRange) -> list[TimeRange]:
        """Return the parts of a range that were never fetched."""
        return subtract([time_range], _ranges(self.series.manifest().covered))

    def unpublished(self, time_range: TimeRange, rates: Sequence[FundingRate]) -> list[int]:
        """Return the slots of a range at which a settlement is due and not known yet, by the last step of `rates`."""
        if len(rates) < len(("last", "next")):
            return []
        step = rates[-1].slot_ms - rates[-2].slot_ms
        due = range(rates[-1].slot_ms + step, time_range.end_ms, step)
        lacking = self.lacking(time_range)
        return [slot for slot in due if any(part.start_ms <= slot < part.end_ms for part in lacking)]

    def asked(self) -> list[TimeRange]:
        """Return the ranges that were asked for, what is unexplained of them too."""
        manifest = self.series.manifest()
        return join([*_ranges(manifest.covered), *_ranges(manifest.unexplained)])

    def first_ms(self) -> int | None:
        """Return the slot of the contract's very first settlement; `None` if nobody asked for it, or it has none."""
        manifest = self.series.manifest()
        if manifest.first_ms is None:
            return None
        return min([manifest.first_ms, *(one.first_ms for one in manifest.partitions.values())])

    def _take_back(self, manifest: Manifest) -> None:
        """Note what is to be fetched again: nobody knows which ranges without a settlement were asked for."""
        for one in find_orphans(self.series.folder):
            if one.rows is not None:
                slots = one.rows["slot"].dt.epoch("ms")
                manifest.lost.append(Loss(one.path.name, slots[0], slots[-1] + 1))

    def set_first(self, slot_ms: int) -> None:
        """Keep the slot of the contract's very first settlement."""
        with self.series.writing() as manifest:
            manifest.first_ms = slot_ms

    def has_before(self, time_ms: int) -> bool:
        """Return whether a settlement before a time is stored."""
        return any(one.first_ms < time_ms for one in self.series.manifest().partitions.values())

    def read(self, time_range: TimeRange) -> list[FundingRate]:
        """Return the stored settlements with start ≤ slot < end, verified."""
        rates: list[FundingRate] = []
        for partition, frame in self.series.read(time_range):
            rate, mark = partition.exponents
            inside = frame.with_columns(pl.col("time", "slot").dt.epoch("ms")).filter(
                pl.col("slot").is_between(time_range.start_ms, time_range.end_ms, closed="left")
            )
            rates += [
                FundingRate(
                    time_ms=time,
                    slot_ms=slot,
                    rate=Decimal(scaled_rate).scaleb(-rate),
                    mark_price=None if price is None else Decimal(price).scaleb(-mark),
                )
                for time, slot, scaled_rate, price in inside.select(list(SCHEMA)).iter_rows()
            ]
        return rates

    def fetch(self, rest: RestClient, time_range: TimeRange, now_ms: int) -> None:
        """Fetch a range and keep it; each page is kept as it comes.

        Slots are full hours, so a range counts as known up to the next full hour that may still be settled; beyond it
        only the settlements that came do.

        Raises:
            SourceError: The exchange gave no usable answer.
            InvalidKlinesError: Its rows contradict themselves or those stored before.
        """
        known = -(-(now_ms - JITTER_MS) // HOUR_MS) * HOUR_MS
        end = min(time_range.end_ms, now_ms)
        cursor = time_range.start_ms
        while cursor < end:
            page = TimeRange(cursor, end + JITTER_MS)
            rows = rest.funding_rates(self.symbol, page)
            frame, exponents = parse_funding(rows, f"{self.symbol} funding rates from REST")
            full = len(rows) >= FUNDING_LIMIT
            upto = max(int(frame["slot"].to_physical()[-1]) + 1 if full else end, cursor + 1)
            self._commit(frame, exponents, TimeRange(cursor, upto), known, kind="rest", now_ms=now_ms)
            cursor = upto

    def fetch_archive(
        self, archive: ArchiveClient, ranges: Sequence[TimeRange], now_ms: int
    ) -> list[tuple[ArchiveFile, Outcome]]:
        """Fetch the months of ranges that have ended from the archive, which knows no mark prices; keep what comes.

        Returns:
            What became of each file.

        Raises:
            InvalidKlinesError: Its rows contradict themselves or those stored before.
        """
        months = dict.fromkeys(day_name(start)[:7] for one in ranges for start in days_of(one))
        files = [ArchiveFile(KIND, self.symbol, "", month) for month in months]
        outcomes: list[tuple[ArchiveFile, Outcome]] = []
        for file, outcome in archive.fetch_all(one for one in files if file_range(one).end_ms <= now_ms):
            outcomes.append((file, outcome))
            if isinstance(outcome, Arrived):
                what = f"{file.name}.zip"
                frame, exponents = parse_funding(_archive_rows(outcome.text, what), what)
                month = file_range(file)
                self._commit(frame, exponents, month, month.end_ms, kind="archive_monthly", now_ms=now_ms)
        return outcomes

    def forget(self, ranges: Sequence[TimeRange]) -> None:
        """Take ranges for unexplained, so that they are asked for again; settlements that are kept stay."""
        if not ranges:
            return
        with self.series.writing() as manifest:
            manifest.covered = _pairs(subtract(_ranges(manifest.covered), ranges))
            manifest.unexplained = _pairs(join([*_ranges(manifest.unexplained), *ranges]))

    def _commit(
        self,
        rows: pl.DataFrame,
        exponents: tuple[int, int],
        fetched: TimeRange,
        known: int,
        *,
        kind: SourceKind,
        now_ms: int,
    ) -> None:
        slot = pl.col("slot").dt.epoch("ms")
        inside = rows.filter(slot.is_between(fetched.start_ms, fetched.end_ms, closed="left"))
        fresh_slots = inside.filter(slot >= known)["slot"].to_physical()
        covered = [TimeRange(moment, moment + 1) for moment in fresh_slots]
        if fetched.start_ms < known:
            covered.append(TimeRange(fetched.start_ms, min(fetched.end_ms, known)))
        with self.series.writing() as manifest:
            for (year,), fresh in inside.group_by(pl.col("slot").dt.strftime("%Y"), maintain_order=True):
                key = str(year)
                old_exponents = manifest.partitions[key].exponents if key in manifest.partitions else (0, 0)
                old = self.series.read_for_update(manifest, {key})
                merged, both = _merge(old.get(key), (old_exponents[0], old_exponents[1]), fresh, exponents, self.symbol)
                self.series.put(manifest, key, merged, both)
            manifest.covered = _pairs(join([*_ranges(manifest.covered), *covered]))
            manifest.unexplained = _pairs(subtract(_ranges(manifest.unexplained), covered))
            manifest.asked_ms = max(manifest.asked_ms, now_ms)
            for month in inside["slot"].dt.strftime("%Y-%m").unique():
                manifest.origins[month] = tuple(sorted({*manifest.origins.get(month, ()), kind}))


def _ranges(pairs: Iterable[tuple[int, int]]) -> list[TimeRange]:
    return [TimeRange(start, end) for start, end in pairs]


def _pairs(ranges: Iterable[TimeRange]) -> list[tuple[int, int]]:
    return [(one.start_ms, one.end_ms) for one in ranges]


def parse_funding(rows: Sequence[Any], what: str) -> tuple[pl.DataFrame, tuple[int, int]]:
    """Return a REST answer as a frame of `SCHEMA`, sorted by slot, and the exponents of rate and mark price.

    Raises:
        InvalidKlinesError: A row lacks a time or a rate, or has a number that is not a plain decimal.
    """
    if not rows:
        return pl.DataFrame(schema=SCHEMA), (0, 0)
    try:
        times = pl.Series("time", [row["fundingTime"] for row in rows], dtype=pl.Int64, strict=True)
        rates = pl.Series("rate", [row["fundingRate"] for row in rows], dtype=pl.String, strict=True)
        marks = pl.Series("mark_price", [row.get("markPrice") or None for row in rows], dtype=pl.String, strict=True)
    except (KeyError, TypeError, AttributeError) as exc:
        raise InvalidKlinesError(what, "rows do not have the exchange's form", [str(rows[0])[:80]]) from exc
    exponents = decimals_of(rates), decimals_of(marks)
    columns = {"rate": scaled(rates, exponents[0]), "mark_price": scaled(marks, exponents[1])}
    bad = columns["rate"].is_null() | (columns["mark_price"].is_null() & marks.is_not_null()) | times.is_null()
    if bad.any():
        raise InvalidKlinesError(what, "a value is missing or not a plain decimal number", _times(times.filter(bad)))
    hour, minute = times - times % HOUR_MS, times - times % 60_000
    slots = hour.zip_with(times - hour <= JITTER_MS, minute)
    frame = pl.DataFrame({"time": times, "slot": slots, **columns})
    return frame.select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items()).sort("slot"), exponents


def _archive_rows(text: bytes, what: str) -> list[dict[str, Any]]:
    """The rows of the archive's CSV in the form of REST; the names in its header say which column is which."""
    try:
        frame = pl.read_csv(text, infer_schema=False)
        times, rates = frame["calc_time"].cast(pl.Int64), frame["last_funding_rate"]
    except pl.exceptions.PolarsError as exc:
        raise InvalidKlinesError(what, "it is not a CSV of funding rates", [repr(text[:60])]) from exc
    return [{"fundingTime": time, "fundingRate": rate} for time, rate in zip(times, rates, strict=True)]


def _merge(
    old: pl.DataFrame | None, held: tuple[int, int], fresh: pl.DataFrame, came: tuple[int, int], symbol: str
) -> tuple[pl.DataFrame, tuple[int, int]]:
    if old is None:
        old, held = pl.DataFrame(schema=SCHEMA), came
    both = max(held[0], came[0]), max(held[1], came[1])
    merged = pl.concat(
        frame.with_columns(
            pl.col("rate") * 10 ** (both[0] - own[0]),
            pl.col("mark_price") * 10 ** (both[1] - own[1]),
        )
        for frame, own in ((old.select(list(SCHEMA)), held), (fresh, came))
    )
    # The archive has no mark prices: its row and the one of REST are the same settlement.
    merged = merged.sort("mark_price", nulls_last=True).unique(["slot", "rate"], keep="first", maintain_order=True)
    twice = merged.filter(pl.col("slot").is_duplicated())
    if not twice.is_empty():
        what = f"{symbol} funding rates"
        raise InvalidKlinesError(what, "two different rows for one settlement", _times(twice["slot"].to_physical()))
    return merged.sort("slot"), both


def _times(times: pl.Series) -> list[str]:
    return [format_time(time) if isinstance(time, int) else "no time" for time in times.unique(maintain_order=True)]
