import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nt_run.chart.levels import BLOCK, SPANS, Extremes, Pyramid, envelope
from nt_run.intervals import INTERVALS

VALUES = st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=300).map(np.array)


def bars(count: int, seed: int, holes: bool) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    rng = np.random.default_rng(seed)
    slots = np.cumsum(rng.integers(1, 4, count)) if holes else np.arange(count) + 1
    times = 1_746_000_000_000 // 60_000 * 60_000 + slots.astype(np.int64) * 60_000
    opens, closes = rng.normal(100, 5, (2, count))
    highs, lows = np.maximum(opens, closes) + 1, np.minimum(opens, closes) - 1
    return times, (opens, highs, lows, closes, rng.random(count))


@given(st.integers(1, 400), st.integers(0, 9), st.booleans(), st.sampled_from([1, 3, 5, 15, 60, 1440, 10080]))
def test_every_level_equals_bars_grouped_by_the_clock(count: int, seed: int, holes: bool, factor: int) -> None:
    times, ohlcv = bars(count, seed, holes)
    level = Pyramid(times, ohlcv, "1m").level(factor)
    shift = 4 * 86_400_000 if factor == 10080 else 0
    groups: dict[int, list[int]] = {}
    for row, time in enumerate(times):
        groups.setdefault((int(time) - shift) // (factor * 60_000), []).append(row)
    opens, highs, lows, closes, volumes = ohlcv
    for candle, rows in enumerate(groups.values()):
        assert (level.first[candle], level.last[candle]) == (rows[0], rows[-1])
        assert level.open[candle] == opens[rows[0]]
        assert level.high[candle] == highs[rows].max()
        assert level.low[candle] == lows[rows].min()
        assert level.close[candle] == closes[rows[-1]]
        assert level.volume[candle] == pytest.approx(volumes[rows].sum())
    assert len(level.first) == len(groups)


def test_weeks_begin_on_mondays() -> None:
    monday = 1_746_403_200_000  # 2025-05-05
    times = monday + np.arange(-2, 3, dtype=np.int64) * 86_400_000
    ones = np.ones(5)
    level = Pyramid(times, (ones, ones, ones, ones, ones), "1d").level(7)
    assert level.first.tolist() == [0, 2]


@given(st.floats(1, 5e6), st.floats(1, 4000))
def test_the_level_picked_is_the_finest_with_candles_wide_enough(visible: float, width: float) -> None:
    times, ohlcv = bars(2, 0, holes=False)
    pyramid = Pyramid(times, ohlcv, "1m")
    factors = sorted({1} | {ms // 60_000 for ms in SPANS.values()})
    wide = [factor for factor in factors if factor * width / visible >= 3 - 1e-6]
    assert pyramid.pick(visible, width) == (wide[0] if wide else factors[-1])


@pytest.mark.parametrize("interval", INTERVALS)
def test_levels_of_every_interval_are_whole_multiples_and_have_names(interval: str) -> None:
    times, ohlcv = bars(3, 0, holes=False)
    pyramid = Pyramid(times, ohlcv, interval)
    assert pyramid.level(1).name == interval
    for visible in (10, 1e3, 1e5, 1e7):
        assert pyramid.level(pyramid.pick(visible, 1000)).name


@given(VALUES, st.data())
def test_an_envelope_keeps_the_extremes_and_the_ends(values: np.ndarray, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(values) - 1))
    stop = data.draw(st.integers(start + 1, len(values)))
    rows = envelope(values, start, stop, data.draw(st.integers(0, 50)))
    assert (rows[0], rows[-1]) == (start, stop - 1)
    assert (np.diff(rows) > 0).all()
    if np.isfinite(values[start:stop]).any():
        assert np.nanmin(values[rows]) == np.nanmin(values[start:stop])
        assert np.nanmax(values[rows]) == np.nanmax(values[start:stop])


@given(st.integers(100, 5000), st.integers(2, 60))
def test_an_envelope_is_as_small_as_its_bins(count: int, size: int) -> None:
    rows = envelope(np.random.default_rng(count).random(count), 0, count, size)
    assert len(rows) <= max(2 * count / size + 2 * size + 2, 0) or size * 2 >= count


@given(st.integers(1, 4 * BLOCK), st.data())
def test_extremes_of_any_range_equal_a_scan(count: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(count)
    lows, highs = rng.normal(size=(2, count))
    lows[rng.random(count) < 0.1] = np.nan
    start, stop = sorted(data.draw(st.tuples(st.integers(0, count), st.integers(0, count))))
    low, high = Extremes(lows, highs).of(start, stop)
    if start == stop:
        assert np.isnan(low)
        assert np.isnan(high)
    else:
        np.testing.assert_equal((low, high), (np.fmin.reduce(lows[start:stop]), np.fmax.reduce(highs[start:stop])))
