import itertools

from hypothesis import given
from hypothesis import strategies as st

from nt_run.data.ranges import hulls, in_words, join, subtract, to_grid
from nt_run.model import Interval, TimeRange, parse_time

RANGES = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12)), max_size=6).map(
    lambda pairs: [TimeRange(start, start + length) for start, length in pairs]
)


def points(ranges: list[TimeRange]) -> set[int]:
    return {point for one in ranges for point in range(one.start_ms, one.end_ms)}


@given(RANGES, RANGES)
def test_subtracting_leaves_exactly_the_points_that_are_not_known(
    ranges: list[TimeRange], known: list[TimeRange]
) -> None:
    assert points(subtract(ranges, known)) == points(ranges) - points(known)


@given(RANGES)
def test_joining_keeps_every_point_in_ranges_that_do_not_touch(ranges: list[TimeRange]) -> None:
    joined = join(ranges)
    assert points(joined) == points(ranges)
    assert all(earlier.end_ms < later.start_ms for earlier, later in itertools.pairwise(joined))


@given(RANGES, st.integers(1, 30))
def test_hulls_hold_every_point_and_are_not_longer_than_asked(ranges: list[TimeRange], longest: int) -> None:
    found = hulls(ranges, longest)
    assert points(found) >= points(ranges)
    assert all(one.ms <= max(longest, 12) for one in found)


def test_the_grid_holds_only_bars_that_open_in_the_range() -> None:
    minute = Interval("1m")
    assert to_grid(TimeRange(1, 180_000), minute) == TimeRange(60_000, 180_000)
    assert to_grid(TimeRange(0, 60_001), minute) == TimeRange(0, 120_000)
    assert to_grid(TimeRange(1, 59_999), minute) is None


def test_ranges_are_told_with_their_bars() -> None:
    start = parse_time("2025-05-04T15:33")
    words = in_words([TimeRange(start, start + 420_000)], Interval("1m"))
    assert words == ["2025-05-04 15:33 → 2025-05-04 15:40 (7 bars)"]
