import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nt_run.chart.indicators import bollinger, ema

CLOSES = st.lists(st.floats(1e-5, 1.2e5), min_size=1, max_size=80).map(np.array)


@given(CLOSES, st.integers(1, 30))
def test_an_average_follows_its_recursion_and_is_unknown_while_warming_up(closes: np.ndarray, period: int) -> None:
    value, expected = closes[0], []
    for close in closes:
        value += 2 / (period + 1) * (close - value)
        expected.append(value)
    found = ema(closes, period)
    assert np.isnan(found[: period - 1]).all()
    np.testing.assert_allclose(found[period - 1 :], expected[period - 1 :], rtol=1e-9)


@given(CLOSES, st.integers(2, 20))
def test_bands_are_two_deviations_around_the_mean_of_their_window(closes: np.ndarray, period: int) -> None:
    bands = bollinger(closes, period)
    assert np.isnan(np.stack(bands)[:, : period - 1]).all()
    for row in range(period - 1, len(closes)):
        window = closes[row + 1 - period : row + 1]
        wanted = window.mean() + np.array([-2, 0, 2]) * window.std()
        scale = np.abs(closes).max()
        np.testing.assert_allclose([line[row] for line in bands], wanted, rtol=0, atol=1e-6 * scale)


def test_bands_of_a_flat_price_are_the_price() -> None:
    for line in bollinger(np.full(30, 0.0000123)):
        np.testing.assert_allclose(line[19:], 0.0000123, rtol=1e-9)


def test_a_run_shorter_than_the_window_has_no_bands_and_no_average() -> None:
    assert np.isnan(np.stack(bollinger(np.ones(5)))).all()
    assert np.isnan(ema(np.ones(5), 10)).all()


def test_a_period_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="0 bars"):
        ema(np.ones(3), 0)
    with pytest.raises(ValueError, match="0 bars"):
        bollinger(np.ones(3), 0)
