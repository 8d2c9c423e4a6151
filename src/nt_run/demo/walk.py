"""The synthetic price before there are candles: a walk through regimes that can be entered anywhere.

Anchors, eight hours apart, are cheap and made for the whole history at once. Between two of them a bridge in the time
of its own variance leads from one to the other, which is what a walk conditioned on both its ends does, so no seam
shows. Volatility is the regime's, times the hour's, times noise on scales from a minute to two days.

Time is counted in minutes since the market's start.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nt_run.demo.noise import Floats, Ints, Stream
from nt_run.demo.regimes import HOURLY, REGIMES, Contract

STRETCH = 480
"""Minutes between two anchors."""

_DAY = 1440
_SLOW = ((2880, 0.22), (360, 0.28), (60, 0.25))
_FAST = ((12, 0.25), (3, 0.22))
"""Volatility noise all contracts share: minutes between its knots, and its size in logarithms."""
_FLICKER = 0.36
"""Size in logarithms of the volatility noise that each minute has to itself."""
_SLOW_LEVEL, _FAST_LEVEL = 0.88, 0.81
"""Noise in a logarithm raises the mean square of what it multiplies; these take it back (measured)."""
_SAMPLE = 30
"""Minutes between the samples of volatility that anchors are made from."""


class Path(NamedTuple):
    """A stretch of the walk: prices at the edges of minutes, and what happened in each minute between them."""

    price: Floats
    """One more than there are minutes."""
    shock: Floats
    """Each minute's noise: mean 0, variance 1."""
    volatility: Floats
    """Each minute's deviation, as a fraction of the price."""


class Walk:
    """The walk of one contract."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self.anchors = _find_anchors(contract)
        """Logarithm of the price every `STRETCH` minutes, from the start to the end of the last regime."""

    def path(self, start: int, count: int) -> Path:
        """Return `count` minutes from minute `start`, both multiples of `STRETCH`."""
        volatility = self._volatility(start, count)
        shock = _mixed_shock(self._contract, "minute", start, count)
        first = start // STRETCH
        anchors = self.anchors[first : first + count // STRETCH + 1]
        clock = np.cumsum((volatility**2).reshape(-1, STRETCH), axis=1)
        clock /= clock[:, -1:]
        walked = np.cumsum((shock * volatility).reshape(-1, STRETCH), axis=1)
        log = anchors[:-1, None] + walked + clock * (np.diff(anchors)[:, None] - walked[:, -1:])
        # The last edge is the next anchor itself, to the bit, so that neighbouring stretches agree.
        log[:, -1] = anchors[1:]
        return Path(np.exp(np.concatenate([anchors[:1], log.ravel()])), shock, volatility)

    def _volatility(self, start: int, count: int) -> Floats:
        minutes = np.arange(start, start + count)
        log = _shared_noise(_FAST, minutes)
        log += _FLICKER * Stream(self._contract.symbol, "flicker").normals(start, count)
        return np.exp(log) * _slow_volatility(minutes) * (_FAST_LEVEL * self._contract.volatility)


def _find_anchors(contract: Contract) -> Floats:
    """Walk from anchor to anchor so that each regime ends at its last price."""
    minutes = np.arange(_SAMPLE // 2, sum(regime.days for regime in REGIMES) * _DAY, _SAMPLE)
    # Anchors have to know the slow volatility, or quiet hours would drift where loud ones should have moved.
    variance = STRETCH * (_slow_volatility(minutes) ** 2).reshape(-1, STRETCH // _SAMPLE).mean(axis=1)
    count = len(variance)
    steps = _mixed_shock(contract, "anchor", 0, count) * np.sqrt(variance) * contract.volatility
    anchors = np.empty(count + 1)
    anchors[0] = np.log(contract.prices[0])
    place = 0
    for regime, price in zip(REGIMES, contract.prices[1:], strict=True):
        end = place + regime.days * _DAY // STRETCH
        clock = np.cumsum(variance[place:end])
        walked = np.cumsum(steps[place:end])
        missing = np.log(price) - anchors[place] - walked[-1]
        anchors[place + 1 : end + 1] = anchors[place] + walked + clock / clock[-1] * missing
        place = end
    return anchors


def _mixed_shock(contract: Contract, name: str, start: int, count: int) -> Floats:
    """Return noise of variance 1, of which the contract has `shared` in common with the market."""
    own = (1 - contract.shared**2) ** 0.5
    shock = contract.shared * Stream("market", name).normals(start, count)
    return shock + own * Stream(contract.symbol, name).normals(start, count)


def _slow_volatility(minutes: Ints) -> Floats:
    """Return what regime, hour and the hours before and after give each minute, for a contract of volatility 1."""
    hourly = np.interp(minutes % _DAY / 60, np.arange(25), [*HOURLY, HOURLY[0]])
    daily = np.repeat([regime.volatility for regime in REGIMES], [regime.days for regime in REGIMES])
    return daily[minutes // _DAY] * hourly * np.exp(_shared_noise(_SLOW, minutes)) * (_SLOW_LEVEL / _DAY**0.5)


def _shared_noise(scales: Sequence[tuple[int, float]], minutes: Ints) -> Floats:
    noise = np.zeros(len(minutes))
    for spacing, size in scales:
        noise += size * Stream("market", "volatility", str(spacing)).smooth(spacing, minutes)
    return noise
