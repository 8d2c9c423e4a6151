"""Kline intervals and the grids of their open times. Pure."""

import datetime as dt
from dataclasses import dataclass

from nt_run.errors import UsageError

_MINUTE = 60_000
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
INTERVALS: dict[str, int] = {
    **{f"{minutes}m": minutes * _MINUTE for minutes in (1, 3, 5, 15, 30)},
    **{f"{hours}h": hours * _HOUR for hours in (1, 2, 4, 6, 8, 12)},
    **{f"{days}d": days * _DAY for days in (1, 3)},
    "1w": 7 * _DAY,
    "1M": 31 * _DAY,
}
"""Kline intervals by the exchange's name, in milliseconds; of a month the longest."""

_MONTH = "1M"
_OFFSETS = {"1w": 4 * _DAY}
"""Where the grid of an interval passes, if not through the Unix epoch, a Thursday."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A kline interval such as `1m`, and the grid of its open times.

    The bars of an interval are numbered without a gap. Up to `1d` they are aligned to the Unix epoch. Weeks open on
    Mondays at 00:00 UTC (the example of the exchange's documentation opens at 1499040000000, a Monday, and closes
    seven days later), months on their first day. No document says on which days `3d` opens; it is taken to be aligned
    to the epoch like the shorter ones. Klines that are off their grid are refused, never moved.

    Raises:
        UsageError: The exchange has no such interval.
    """

    name: str

    def __post_init__(self) -> None:
        if self.name not in INTERVALS:
            hint = f" A month is {_MONTH}." if self.name.lower().startswith("1mo") else ""
            raise UsageError(f"Interval {self.name!r} is not one of {', '.join(INTERVALS)}.{hint}")

    @property
    def ms(self) -> int:
        """Length in milliseconds; of a month the longest."""
        return INTERVALS[self.name]

    @property
    def offset_ms(self) -> int:
        """An open time of the grid; of no use for months."""
        return _OFFSETS.get(self.name, 0)

    @property
    def is_month(self) -> bool:
        """Whether the bars are months, which differ in length."""
        return self.name == _MONTH

    @property
    def file_name(self) -> str:
        """The name for files and folders, `1mo` for months as in the archive: some file systems ignore case."""
        return "1mo" if self.is_month else self.name

    def is_made_of(self, finer: "Interval") -> bool:
        """Return whether bars of `finer` can be put together to bars of this interval."""
        if self.is_month or finer.is_month:
            return self.is_month and (finer.is_month or finer.ms <= _DAY)
        return self.ms % finer.ms == 0

    def number(self, time_ms: int) -> int:
        """Return the number of the bar that is open at a time."""
        if self.is_month:
            moment = dt.datetime.fromtimestamp(time_ms // 1000, dt.UTC)
            return moment.year * 12 + moment.month - 1
        return (time_ms - self.offset_ms) // self.ms

    def opening(self, number: int) -> int:
        """Return when the bar of a number opens, in milliseconds."""
        if self.is_month:
            return int(dt.datetime(number // 12, number % 12 + 1, 1, tzinfo=dt.UTC).timestamp()) * 1000
        return number * self.ms + self.offset_ms

    def floor(self, time_ms: int) -> int:
        """Return the latest open time that is not after a time."""
        return self.opening(self.number(time_ms))

    def ceil(self, time_ms: int) -> int:
        """Return the earliest open time that is not before a time."""
        floor = self.floor(time_ms)
        return floor if floor == time_ms else self.end(time_ms)

    def end(self, time_ms: int) -> int:
        """Return when the bar that is open at a time ends: when the next one opens."""
        return self.opening(self.number(time_ms) + 1)

    def __str__(self) -> str:
        return self.name
