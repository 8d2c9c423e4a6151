"""Random numbers one can look up by position, so that any stretch of the synthetic market stands alone.

A stream is the raw output of PCG64, which numpy guarantees never to change (its distributions may change), and
`advance` reaches any position at once. Normals are built from the raw words with integer arithmetic, so they are the
same on every machine.
"""

import numpy as np
from numpy.typing import NDArray

type Floats = NDArray[np.float64]
type Ints = NDArray[np.int64]

_SEED = 20_250_101
_HALF = 0xFFFF
_MEAN = 4 * _HALF / 2
# The variance of one uniform 16-bit integer is (2³² − 1) / 12, and four are summed.
_DEVIATION = (4 * (2.0**32 - 1) / 12) ** 0.5


class Stream:
    """An endless sequence of random 64-bit words known by `names`; position `i` always holds the same word."""

    def __init__(self, *names: str) -> None:
        self._key = (_SEED, *(int.from_bytes(name.encode()) for name in names))

    def words(self, start: int, count: int) -> NDArray[np.uint64]:
        """Return the words at positions `start` to `start + count − 1`."""
        source = np.random.PCG64(np.random.SeedSequence(self._key))
        source.advance(start)
        return np.asarray(source.random_raw(count), dtype=np.uint64)

    def uniforms(self, start: int, count: int) -> Floats:
        """Return numbers between 0 and 1, both excluded."""
        return ((self.words(start, count) >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52

    def normals(self, start: int, count: int) -> Floats:
        """Return numbers of mean 0 and variance 1: sums of four uniforms, so never beyond ±3.47."""
        words = self.words(start, count)
        half = np.uint64(_HALF)
        total = (words & half) + (words >> np.uint64(48))
        total += (words >> np.uint64(16)) & half
        total += (words >> np.uint64(32)) & half
        return (total.astype(np.float64) - _MEAN) / _DEVIATION

    def smooth(self, spacing: int, positions: Ints) -> Floats:
        """Return normals that stand `spacing` positions apart, joined by straight lines, at ascending `positions`."""
        first, last = int(positions[0]) // spacing, int(positions[-1]) // spacing
        knots = self.normals(first, last - first + 2)
        return np.interp(positions / spacing - first, np.arange(len(knots)), knots)
