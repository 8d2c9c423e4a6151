"""Random numbers by position."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nt_run.demo.noise import Stream


@given(start=st.integers(0, 10**9), skip=st.integers(0, 50), count=st.integers(1, 50))
def test_a_position_holds_the_same_number_wherever_one_starts_to_read(start: int, skip: int, count: int) -> None:
    stream = Stream("test")
    for read in (stream.words, stream.uniforms, stream.normals):
        assert np.array_equal(read(start, skip + count)[skip:], read(start + skip, count))
    places = np.arange(start, start + skip + count)
    assert np.allclose(stream.smooth(7, places)[skip:], stream.smooth(7, places[skip:]), rtol=0, atol=1e-6)


def test_numbers_are_the_same_on_every_machine() -> None:
    assert [f"{number:.12f}" for number in Stream("test").normals(0, 3)] == [
        "-0.256440566830",
        "-0.254643394972",
        "-1.940681317361",
    ]


def test_streams_of_different_names_have_nothing_in_common() -> None:
    left, right = Stream("a").normals(0, 20_000), Stream("b").normals(0, 20_000)
    assert abs(np.corrcoef(left, right)[0, 1]) < 0.03


def test_normals_have_mean_zero_and_variance_one_and_uniforms_fill_their_interval() -> None:
    normals, uniforms = Stream("n").normals(0, 100_000), Stream("u").uniforms(0, 100_000)
    assert abs(normals.mean()) < 0.02
    assert abs(normals.std() - 1) < 0.01
    assert uniforms.min() > 0
    assert uniforms.max() < 1
    assert abs(uniforms.mean() - 0.5) < 0.01
