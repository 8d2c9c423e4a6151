"""A deterministic synthetic market: one-minute klines, mark prices and funding of BTCUSDT and ETHUSDT.

Everything is looked up by position (`noise`, `walk`), so any day can be made without the others, and a day is the same
however it was asked for. All prices are multiples of the tick, all volumes of the step.
"""

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from nt_run.demo.candles import Candles, Kind
from nt_run.demo.noise import Floats, Ints, Stream
from nt_run.demo.regimes import CONTRACTS
from nt_run.demo.walk import STRETCH, Path, Walk
from nt_run.model import FundingRate, Interval

DEMO_START_MS = int(dt.datetime(2025, 1, 1, tzinfo=dt.UTC).timestamp() * 1000)
"""Open time of the first kline."""
DEMO_NOW_MS = int(dt.datetime(2026, 7, 1, 0, 0, 30, tzinfo=dt.UTC).timestamp() * 1000)
"""The demo exchange's clock, which stands still so that everybody sees the same market."""

_MINUTE = Interval("1m")
_MINUTE_MS = _MINUTE.ms
_STRETCH_MS = STRETCH * _MINUTE_MS
_DECIMALS = (2, 3, 5)
_MARK_DECIMALS = (8, 0, 0)
_USUAL_VOLATILITY = 0.02 / 1440**0.5
"""A minute's, on a day of 2 %."""
_INTEREST, _LEEWAY = 1e-4, 5e-4
"""The funding formula's interest per eight hours, and how far it may pull the premium."""


class SyntheticMarket:
    """The market of one symbol, a pure function of its name.

    Raises:
        KeyError: There is no synthetic market of that name.
    """

    interval = _MINUTE
    start_ms = DEMO_START_MS
    now_ms = DEMO_NOW_MS
    funding_hours = STRETCH // 60

    def __init__(self, symbol: str) -> None:
        self._contract = CONTRACTS[symbol]
        self._walk = Walk(self._contract)

    @property
    def symbol(self) -> str:
        """The exchange's name of the contract."""
        return self._contract.symbol

    def candles(self, kind: Kind, start_ms: int, end_ms: int) -> Candles:
        """Return one-minute candles that open in `[start_ms, end_ms)`; work grows with the range only."""
        first, last = self._slots(start_ms, end_ms - 1)
        start, count = first * STRETCH, (last - first) * STRETCH
        path = self._walk.path(start, count) if count > 0 else _NOWHERE
        make = self._last_candles if kind == "klines" else self._mark_candles
        return make(start, path).between(start_ms, end_ms)

    def funding(self, start_ms: int, end_ms: int) -> Sequence[FundingRate]:
        """Return the settlements whose raw time lies in `[start_ms, end_ms)`."""
        first, last = self._slots(start_ms, end_ms)
        if last <= first:
            return []
        slots = np.arange(first, last)
        jitter = (31 * self._stream("jitter").uniforms(first, len(slots)) ** 4).astype(np.int64)
        marks = np.exp(self._walk.anchors[slots]) * (1 + self._basis(slots * STRETCH))
        rows = [
            FundingRate(
                time_ms=DEMO_START_MS + slot * _STRETCH_MS + late,
                slot_ms=DEMO_START_MS + slot * _STRETCH_MS,
                rate=Decimal(f"{rate:.8f}"),
                mark_price=Decimal(f"{mark:.8f}"),
            )
            for slot, late, rate, mark in zip(
                slots.tolist(), jitter.tolist(), self._rates(slots).tolist(), marks.tolist(), strict=True
            )
        ]
        return [row for row in rows if start_ms <= row.time_ms < end_ms]

    def _slots(self, start_ms: int, end_ms: int) -> tuple[int, int]:
        """Return `[first, last)` of the stretches that hold both times, as far as there is a market."""
        first = max(start_ms - DEMO_START_MS, 0) // _STRETCH_MS
        return first, min((end_ms - DEMO_START_MS) // _STRETCH_MS + 1, len(self._walk.anchors) - 1)

    def _stream(self, name: str) -> Stream:
        return Stream(self.symbol, name)

    def _rates(self, slots: Ints) -> Floats:
        """Return funding rates by the exchange's formula: the premium, pulled towards interest as far as allowed."""
        trend = self._walk.anchors[slots] - self._walk.anchors[np.maximum(slots - 9, 0)]
        premium = 1.5e-3 * trend + 9e-5 * self._stream("premium").smooth(4, slots) - 4.2e-4
        return premium + np.clip(_INTEREST - premium, -_LEEWAY, _LEEWAY)

    def _basis(self, minutes: Ints) -> Floats:
        """Return mark price over last price, less one: some hundredths of a per cent."""
        slow, fast = self._stream("basis").smooth(240, minutes), self._stream("fast basis").smooth(4, minutes)
        return 1.2e-4 * slow + 3e-5 * fast - 1e-4

    def _last_candles(self, start: int, path: Path) -> Candles:
        count, tick = len(path.shock), self._contract.tick
        edges = np.rint(path.price * (10 ** _DECIMALS[0] / tick)).astype(np.int64)
        # From one trade to the next the price mostly stays or crosses the spread, which is one tick.
        opens = edges[:-1] + np.rint(0.74 * self._stream("gap").normals(start, count)).astype(np.int64)
        closes = edges[1:]
        top, bottom = self._extremes(start, opens, closes, 0.72 * path.volatility * opens)
        volume, trades, taker = self._volumes(start, path)
        place = self._stream("mean price").uniforms(start, count)
        mean = (bottom + np.rint((top - bottom) * place).astype(np.int64)) * tick
        return Candles(
            interval=_MINUTE,
            decimals=_DECIMALS,
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

    def _mark_candles(self, start: int, path: Path) -> Candles:
        """Mark-price klines carry no volume, and count the seconds they were computed in."""
        count = len(path.shock)
        basis = self._basis(np.arange(start, start + count + 1))
        edges = np.rint(path.price * (1 + basis) * 10.0 ** _MARK_DECIMALS[0]).astype(np.int64)
        opens, closes = edges[:-1], edges[1:]
        top, bottom = self._extremes(start, opens, closes, 0.5 * path.volatility * opens)
        none = np.zeros(count, np.int64)
        return Candles(
            interval=_MINUTE,
            decimals=_MARK_DECIMALS,
            open_time=_times(start, count),
            open=opens,
            high=top,
            low=bottom,
            close=closes,
            volume=none,
            quote_volume=none,
            trades=none + 60,
            taker_volume=none,
            taker_quote_volume=none,
        )

    def _extremes(self, start: int, opens: Ints, closes: Ints, reach: Floats) -> tuple[Ints, Ints]:
        """Return highs and lows of walks from `opens` to `closes` whose deviation is `reach`."""
        high, low = (self._stream(name).uniforms(start, len(opens)) for name in ("high", "low"))
        return _maximum(opens, closes, reach, high), -_maximum(-opens, -closes, reach, low)

    def _volumes(self, start: int, path: Path) -> tuple[Ints, Ints, Ints]:
        """Return volume, trades and the takers' volume, in steps: busier when the price moves."""
        contract, count = self._contract, len(path.shock)
        pace = (path.volatility / (contract.volatility * _USUAL_VOLATILITY)) ** 1.1
        pace *= np.exp(0.45 * np.abs(path.shock) + 0.65 * self._stream("volume").normals(start, count))
        size = contract.volume * pace
        volume = np.maximum(np.rint(size * 10 ** _DECIMALS[1]), 1).astype(np.int64)
        each = contract.trades * np.exp(0.25 * self._stream("trades").normals(start, count))
        trades = np.clip(np.rint(each * size**0.8), 1, volume).astype(np.int64)
        share = 0.5 + 0.09 * path.shock + 0.11 * self._stream("taker").normals(start, count)
        return volume, trades, (volume * np.clip(share, 0.02, 0.98)).astype(np.int64)


_NOWHERE = Path(np.ones(1), np.zeros(0), np.zeros(0))


def _times(start: int, count: int) -> Ints:
    return DEMO_START_MS + np.arange(start, start + count, dtype=np.int64) * _MINUTE_MS


def _maximum(opens: Ints, closes: Ints, reach: Floats, chance: Floats) -> Ints:
    """Return the maxima of Brownian bridges, drawn with `chance`: (a + b + √((a − b)² − 2 σ² ln U)) / 2."""
    span = (closes - opens).astype(np.float64)
    top = (opens + closes + np.sqrt(span * span - 2 * reach * reach * np.log(chance))) / 2
    return np.maximum(np.maximum(opens, closes), np.floor(top).astype(np.int64))
