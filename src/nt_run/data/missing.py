"""Settlements that are due and not there: where, how many, and whether any source has them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from nt_run.data.days import HOUR_MS
from nt_run.klines import GapStatus
from nt_run.model import FundingRate, TimeRange, format_iso, format_time

_LONGEST_INTERVAL_MS = 8 * HOUR_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingSettlements:
    """`count` settlements that are missing in `range`, after the one before and before the next."""

    range: TimeRange
    count: int
    status: GapStatus = "unverified"

    def __str__(self) -> str:
        return f"no settlement {self._where}"

    def in_full(self) -> str:
        """Return it as what a source lacks: `2 settlements between …`."""
        what = "the settlement" if self.count == 1 else f"{self.count:,} settlements"
        return f"{what} {self._where}"

    def as_object(self) -> dict[str, Any]:
        """Return it as a report keeps it."""
        start, end = self._minutes
        return {"start": format_iso(start), "end": format_iso(end), "count": self.count, "status": self.status}

    @property
    def _where(self) -> str:
        start, end = self._minutes
        return f"between {format_time(start)} and {format_time(end)}"

    @property
    def _minutes(self) -> tuple[int, int]:
        # The range begins a millisecond after the settlement before.
        return self.range.start_ms // 60_000 * 60_000, self.range.end_ms // 60_000 * 60_000


def find_missing(rates: Sequence[FundingRate], time_range: TimeRange) -> list[MissingSettlements]:
    """Return where settlements seem to be missing, in time order.

    A step is odd when it is longer than eight hours, the longest interval the exchange has, or longer than both its
    neighbours: `4 h, 8 h, 4 h` lacks one, `4 h, 8 h, 8 h` is a change of interval. Two missing at a change of interval
    can go unnoticed. Before the first and after the last, one is missing at a slot of eight hours (00:00, 08:00, 16:00
    UTC): every interval has those. How many are missing follows from the shorter of the neighbours.
    """
    slots = [rate.slot_ms for rate in rates]
    steps = [later - earlier for earlier, later in pairwise(slots)]
    found: list[MissingSettlements] = []
    for at, step in enumerate(steps):
        beside = [steps[near] for near in (at - 1, at + 1) if 0 <= near < len(steps)]
        if step > _LONGEST_INTERVAL_MS or (len(beside) == 2 and step > max(beside)):  # noqa: PLR2004 - both sides
            found.append(_lost(slots[at] + 1, slots[at + 1], beside))
    edges = [time_range.start_ms, *slots, time_range.end_ms]
    ends = {(edges[0], edges[1], *steps[:1]), (edges[-2] + (1 if slots else 0), edges[-1], *steps[-1:])}
    found += [_lost(start, end, beside) for start, end, *beside in ends if _slots(start, end, _LONGEST_INTERVAL_MS)]
    return sorted(found, key=lambda one: one.range)


def _lost(start: int, end: int, beside: Sequence[int]) -> MissingSettlements:
    usual = min([*beside, _LONGEST_INTERVAL_MS])
    return MissingSettlements(range=TimeRange(start, end), count=max(1, _slots(start, end, usual)))


def _slots(start: int, end: int, step: int) -> int:
    """How many full multiples of a step since midnight UTC lie in `[start, end)`."""
    return max(0, -(-end // step) - -(-start // step))
