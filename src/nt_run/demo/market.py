"""A deterministic synthetic market: one-minute klines, mark prices and funding of BTCUSDT and ETHUSDT.

The price is a walk through regimes. Anchors, eight hours apart, are cheap and made for the whole history at once;
inside an anchor's eight hours a bridge in the time of its own variance leads to the next one, which is what a walk
conditioned on both ends does, so no seam shows. Volatility is the regime's, times the hour's, times noise on scales
from a minute to two days. Everything is looked up by position (`noise`), so any day can be made without the others.
"""

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from nt_run.demo.candles import Candles, Kind
from nt_run.demo.noise import Floats, Ints, Stream
from nt_run.demo.regimes import CONTRACTS, HOURLY, REGIMES, Contract
from nt_run.model import FundingRate

DEMO_START_MS = int(dt.datetime(2025, 1, 1, tzinfo=dt.UTC).timestamp() * 1000)
"""Open time of the first kline."""
DEMO_NOW_MS = int(dt.datetime(2026, 7, 1, 0, 0, 30, tzinfo=dt.UTC).timestamp() * 1000)
"""The demo exchange's clock, which stands still so that everybody sees the same market."""

FUNDING_HOURS = 8
_MINUTE_MS = 60_000
_STRETCH = FUNDING_HOURS * 60
"""Minutes between two anchors, which are also the settlements."""
_DAY = 1440
_STRETCH_MS = _STRETCH * _MINUTE_MS
_DAYS = sum(regime.days for regime in REGIMES)
_SCALES = ((2880, 0.22), (360, 0.28), (60, 0.25), (12, 0.25), (3, 0.22))
"""Volatility noise: minutes between its knots, and its size in logarithms."""
_FLICKER = 0.36
"""Size in logarithms of the volatility noise that each minute has to itself."""
_PRICE_DECIMALS, _QUANTITY_DECIMALS, _QUOTE_DECIMALS, _MARK_DECIMALS = 2, 3, 5, 8


class _Path(NamedTuple):
    """Prices at the edges of minutes (one more than minutes), and each minute's noise and volatility (per minute)."""

    price: Floats
    shock: Floats
    volatility: Floats


class SyntheticMarket:
    """The market of one symbol, a pure function of its name.

    Raises:
        KeyError: There is no synthetic market of that name.
    """

    def __init__(self, symbol: str) -> None:
        self._contract = CONTRACTS[symbol]
        self._shared = tuple(Stream(0, index) for index in range(8))
        self._own = tuple(Stream(self._contract.number, index) for index in range(16))
        self._anchors = _walk(self._contract, self._shared[0], self._own[0])

    @property
    def symbol(self) -> str:
        """The exchange's name of the contract."""
        return self._contract.symbol

    step_ms = _MINUTE_MS
    start_ms = DEMO_START_MS
    now_ms = DEMO_NOW_MS
    funding_hours = FUNDING_HOURS

    def candles(self, kind: Kind, start_ms: int, end_ms: int) -> Candles:
        """Return one-minute candles that open in `[start_ms, end_ms)`; work grows with the range only."""
        first = max(start_ms - DEMO_START_MS, 0) // _STRETCH_MS
        last = min(-(-max(end_ms - DEMO_START_MS, 0) // _STRETCH_MS), len(self._anchors) - 1)
        start, count = first * _STRETCH, max(last - first, 0) * _STRETCH
        if not count:
            return _empty(kind)
        path = self._path(start, count)
        make = self._last_candles if kind == "klines" else self._mark_candles
        return make(start, path).between(start_ms, end_ms)

    def funding(self, start_ms: int, end_ms: int) -> Sequence[FundingRate]:
        """Return the settlements whose raw time lies in `[start_ms, end_ms)`."""
        first = max(start_ms - DEMO_START_MS, 0) // _STRETCH_MS
        last = min((end_ms - DEMO_START_MS) // _STRETCH_MS + 1, len(self._anchors))
        if last <= first:
            return []
        rows = [self._settlement(slot) for slot in range(first, last)]
        return [row for row in rows if start_ms <= row.time_ms < end_ms]

    def _settlement(self, slot: int) -> FundingRate:
        """The exchange's rule: the premium, pulled towards interest of 0.01 % by at most 0.05 %."""
        recent = self._anchors[max(slot - 9, 0) : slot + 1]
        premium = 2.5e-3 * (recent[-1] - recent[0]) + 4.5e-4 * float(self._own[1].smooth(4, slot, 1)[0]) - 5e-5
        rate = premium + min(max(1e-4 - premium, -5e-4), 5e-4)
        jitter = int(31 * float(self._own[2].uniforms(slot, 1)[0]) ** 4)
        slot_ms = DEMO_START_MS + slot * _STRETCH_MS
        mark = float(np.exp(self._anchors[slot])) * (1 + float(self._basis(slot * _STRETCH, 1)[0]))
        return FundingRate(
            time_ms=slot_ms + jitter,
            slot_ms=slot_ms,
            rate=Decimal(f"{rate:.8f}"),
            mark_price=Decimal(f"{mark:.8f}"),
        )

    def _volatility(self, start: int, count: int) -> Floats:
        log = _FLICKER * self._own[3].normals(start, count)
        for stream, (spacing, size) in zip(self._shared[1:], _SCALES, strict=False):
            log += size * stream.smooth(spacing, start, count)
        return np.exp(log) * _expected_volatility(start, count) * self._contract.volatility

    def _path(self, start: int, count: int) -> _Path:
        """Walk `count` minutes from `start`, both multiples of a stretch, through the anchors."""
        volatility = self._volatility(start, count)
        shared, own = self._contract.shared, (1 - self._contract.shared**2) ** 0.5
        shock = shared * self._shared[7].normals(start, count)
        if own > 0:
            shock += own * self._own[4].normals(start, count)
        first = start // _STRETCH
        anchors = self._anchors[first : first + count // _STRETCH + 1]
        steps = (shock * volatility).reshape(-1, _STRETCH)
        clock = np.cumsum((volatility**2).reshape(-1, _STRETCH), axis=1)
        clock /= clock[:, -1:]
        walked = np.cumsum(steps, axis=1)
        log = anchors[:-1, None] + walked + clock * (np.diff(anchors)[:, None] - walked[:, -1:])
        log[:, -1] = anchors[1:]
        return _Path(np.exp(np.concatenate([anchors[:1], log.ravel()])), shock, volatility)

    def _last_candles(self, start: int, path: _Path) -> Candles:
        count = len(path.shock)
        tick = self._contract.tick
        edges = np.rint(path.price * 10**_PRICE_DECIMALS / tick).astype(np.int64)
        # Between two trades lies mostly the spread: none, one tick, rarely more.
        gap = self._own[5].normals(start, count)
        opens = edges[:-1] + np.where(np.abs(gap) > 2.6, np.rint(gap * 1.5), np.rint(gap * 0.74)).astype(np.int64)  # noqa: PLR2004 (see above)
        closes = edges[1:]
        reach = 0.72 * path.volatility * edges[:-1]
        top = _extreme(opens, closes, reach, self._own[6].uniforms(start, count))
        bottom = -_extreme(-opens, -closes, reach, self._own[7].uniforms(start, count))
        volume, trades, taker = self._volumes(start, path)
        place = self._own[8].uniforms(start, count)
        mean = (bottom + np.rint((top - bottom) * place).astype(np.int64)) * tick
        return Candles(
            step_ms=_MINUTE_MS,
            decimals=(_PRICE_DECIMALS, _QUANTITY_DECIMALS, _QUOTE_DECIMALS),
            open_time=_times(start, count),
            open=opens * tick,
            high=top * tick,
            low=bottom * tick,
            close=closes * tick,
            volume=volume,
            quote_volume=volume * mean,
            trades=trades,
            taker_volume=taker,
            taker_quote_volume=taker * mean,
        )

    def _volumes(self, start: int, path: _Path) -> tuple[Ints, Ints, Ints]:
        """Volume and the taker's share of it (in steps), and trades: busier when the price moves."""
        count = len(path.shock)
        contract = self._contract
        usual = contract.volatility * 0.02 / _DAY**0.5
        pace = (path.volatility / usual) ** 1.1 * np.exp(0.45 * np.abs(path.shock) - 0.35)
        size = contract.volume * pace * np.exp(0.55 * self._own[9].normals(start, count))
        volume = np.maximum(np.rint(size * 10**_QUANTITY_DECIMALS), 1).astype(np.int64)
        each = contract.trades * np.exp(0.25 * self._own[10].normals(start, count))
        trades = np.clip(np.rint(each * size**0.8), 1, volume).astype(np.int64)
        share = np.clip(0.5 + 0.09 * path.shock + 0.11 * self._own[11].normals(start, count), 0.02, 0.98)
        return volume, trades, (volume * share).astype(np.int64)

    def _basis(self, start: int, count: int) -> Floats:
        """Mark price over last price, less one: some hundredths of a per cent."""
        return 1.2e-4 * self._own[12].smooth(240, start, count) + 3e-5 * self._own[13].smooth(4, start, count) - 1e-4

    def _mark_candles(self, start: int, path: _Path) -> Candles:
        count = len(path.shock)
        edges = path.price * (1 + self._basis(start, count + 1)) * 10.0**_MARK_DECIMALS
        opens, closes = edges[:-1], edges[1:]
        reach = 0.5 * path.volatility * opens
        top = _extreme(opens, closes, reach, self._own[6].uniforms(start, count))
        bottom = -_extreme(-opens, -closes, reach, self._own[7].uniforms(start, count))
        prices = (np.rint(column).astype(np.int64) for column in (opens, top, bottom, closes))
        return _mark(_times(start, count), *prices)


def _times(start: int, count: int) -> Ints:
    return DEMO_START_MS + np.arange(start, start + count, dtype=np.int64) * _MINUTE_MS


def _mark(times: Ints, opens: Ints, high: Ints, low: Ints, close: Ints) -> Candles:
    """Mark-price klines carry no volume, and count the seconds they were computed in."""
    zero = np.zeros(len(times), np.int64)
    return Candles(
        step_ms=_MINUTE_MS,
        decimals=(_MARK_DECIMALS, 0, 0),
        open_time=times,
        open=opens,
        high=high,
        low=low,
        close=close,
        volume=zero,
        quote_volume=zero,
        trades=zero + 60,
        taker_volume=zero,
        taker_quote_volume=zero,
    )


def _empty(kind: Kind) -> Candles:
    none = np.zeros(0, np.int64)
    decimals = (_PRICE_DECIMALS, _QUANTITY_DECIMALS, _QUOTE_DECIMALS) if kind == "klines" else (_MARK_DECIMALS, 0, 0)
    return Candles(
        step_ms=_MINUTE_MS,
        decimals=decimals,
        open_time=none,
        open=none,
        high=none,
        low=none,
        close=none,
        volume=none,
        quote_volume=none,
        trades=none,
        taker_volume=none,
        taker_quote_volume=none,
    )


def _extreme(opens: Ints, closes: Ints, reach: Floats, chance: Floats) -> Ints:
    """Return the highest value of a walk from `opens` to `closes` whose deviation is `reach`.

    The maximum of a Brownian bridge: half of (a + b + √((a − b)² − 2 σ² ln U)).
    """
    span = (closes - opens).astype(np.float64)
    top = (opens + closes + np.sqrt(span * span - 2 * reach * reach * np.log(chance))) / 2
    return np.maximum(np.maximum(opens, closes), np.floor(top).astype(np.int64))


def _expected_volatility(start: int, count: int) -> Floats:
    """The volatility of each minute that regime and hour of day give, for a contract of volatility 1."""
    minutes = np.arange(start, start + count)
    hourly = np.interp(minutes % _DAY / 60, np.arange(25), [*HOURLY, HOURLY[0]])
    daily = np.repeat([regime.volatility for regime in REGIMES], [regime.days for regime in REGIMES])
    return daily[minutes // _DAY] / _DAY**0.5 * hourly


def _walk(contract: Contract, shared: Stream, own: Stream) -> Floats:
    """Return the logarithm of the price at every anchor: a walk that meets each regime's last price."""
    count = _DAYS * _DAY // _STRETCH
    shock = contract.shared * shared.normals(0, count) + (1 - contract.shared**2) ** 0.5 * own.normals(0, count)
    variance = (_expected_volatility(0, count * _STRETCH) ** 2).reshape(-1, _STRETCH).sum(axis=1)
    steps = shock * np.sqrt(variance) * contract.volatility
    anchors = np.empty(count + 1)
    anchors[0] = np.log(contract.prices[0])
    place = 0
    for regime, price in zip(REGIMES, contract.prices[1:], strict=True):
        end = place + regime.days * _DAY // _STRETCH
        clock = np.cumsum(variance[place:end])
        walked = np.cumsum(steps[place:end])
        missing = np.log(price) - anchors[place] - walked[-1]
        anchors[place + 1 : end + 1] = anchors[place] + walked + clock / clock[-1] * missing
        place = end
    return anchors
