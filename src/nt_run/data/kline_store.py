"""Klines on disk: months, days of the open month, years for intervals of an hour or more."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from nt_run.data.content import split_days
from nt_run.data.days import HOUR_MS, day_name, days_of, partition_key, record_day
from nt_run.data.ingest import merge_klines
from nt_run.data.manifest import Hole, Manifest, Source
from nt_run.data.store import Series
from nt_run.klines import SCHEMA, Exponents, Klines, no_klines
from nt_run.model import Interval, TimeRange

MARKET = "v1/binance/um"
KLINES = "klines"
MARK_KLINES = "markPriceKlines"


class KlineStore:
    """The klines of one symbol and interval under a cache folder; see `Series` for `repair`."""

    def __init__(self, root: Path, symbol: str, interval: Interval, *, repair: bool, kind: str = KLINES) -> None:
        self.symbol = symbol
        self.interval = interval
        folder = root / MARKET / kind / symbol / interval.name
        empty = Manifest(kind=kind, symbol=symbol, interval=interval.name)
        self.series = Series(folder, empty, "open_time", repair=repair)

    def read(self, time_range: TimeRange) -> Klines:
        """Return the stored klines that open in a range, verified; holes are simply not there.

        Raises:
            StoreError: A file is damaged and not to be repaired, or the format is too new.
        """
        parts = [
            self._klines(frame, partition.exponents).within(time_range)
            for partition, frame in self.series.read(time_range)
        ]
        return merge_klines(parts, str(self.series.folder)) if parts else no_klines(self.symbol, self.interval)

    def commit(self, rows: Klines, *, source: Source, holes: Sequence[Hole] = (), now_ms: int) -> None:
        """Add rows and what is known of holes; rows that are there already may come again.

        Days of a month that has ended are put together into one file, those of earlier commits too.

        Args:
            rows: New rows.
            source: Where they came from.
            holes: Bars that were asked for and did not come.
            now_ms: The exchange's time.

        Raises:
            InvalidKlinesError: A row differs from the one that is stored. Nothing is changed then.
            StoreError: The format is too new.
        """
        with self.series.writing() as manifest:
            fresh = split_days(rows)
            touched = {*fresh, *(day for hole in holes for day in days_of(TimeRange(hole.from_ms, hole.to_ms)))}
            for key, days in self._targets(manifest, touched, now_ms).items():
                merged = self._merge(manifest, key, [fresh[day] for day in days if day in fresh])
                if len(merged):
                    own = merged.exponents
                    self.series.put(manifest, key, merged.frame, (own.price, own.quantity, own.quote))
                by_day = split_days(merged)
                for day in sorted(days & touched):
                    manifest.days[day_name(day)] = record_day(
                        day,
                        by_day.get(day, no_klines(self.symbol, self.interval)),
                        manifest.days.get(day_name(day)),
                        holes=holes,
                        source=source,
                        now_ms=now_ms,
                    )

    def set_first(self, first_ms: int) -> None:
        """Keep the open time of the exchange's very first kline."""
        with self.series.writing() as manifest:
            manifest.first_ms = first_ms

    def _targets(self, manifest: Manifest, touched: set[int], now_ms: int) -> dict[str, set[int]]:
        """The partitions to write, and the touched days of each."""
        targets: dict[str, set[int]] = {}
        for day in touched:
            targets.setdefault(partition_key(day_name(day), self.interval, now_ms), set()).add(day)
        if self.interval.ms < HOUR_MS:
            for key in manifest.partitions:
                target = partition_key(key, self.interval, now_ms) if len(key) > len("2024-01") else key
                if target != key:
                    targets.setdefault(target, set())
        return targets

    def _merge(self, manifest: Manifest, key: str, fresh: Sequence[Klines]) -> Klines:
        """The rows of a partition and of the days that become part of it, with new ones."""
        old = {name for name in manifest.partitions if name == key or name.startswith(f"{key}-")}
        exponents = {name: manifest.partitions[name].exponents for name in old}
        frames = self.series.read_for_update(manifest, old)
        for name in frames.keys() - {key}:
            del manifest.partitions[name]
        parts = [*(self._klines(frame, exponents[name]) for name, frame in sorted(frames.items())), *fresh]
        what = f"{self.symbol} {self.interval} klines"
        return merge_klines(parts, what) if parts else no_klines(self.symbol, self.interval)

    def _klines(self, frame: pl.DataFrame, exponents: tuple[int, ...]) -> Klines:
        price, quantity, quote = exponents
        return Klines(self.symbol, self.interval, Exponents(price, quantity, quote), frame.select(list(SCHEMA)))
