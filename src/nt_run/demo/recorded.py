"""A recorded market: bars somebody kept, served as the exchange would have served them. For tests and replays."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from nt_run.demo.candles import Candles, Kind
from nt_run.demo.noise import Ints
from nt_run.klines import PRICES, Exponents
from nt_run.model import FundingRate, Interval

_SETTLE_MS = 30_000
_MARK = Exponents(price=8, quantity=0, quote=0)
_TOLERANCE = 0.01
"""Of the last decimal: what a float may be off the decimal number it stands for."""


class RecordedMarket:
    """One symbol's recorded bars, their mark prices and settlements.

    A float becomes the decimal number it stands for, with the decimals of `exponents`. What the recording lacks is
    made up from what it has, for this purpose only: quote volume is volume × close, a bar with volume has one trade,
    takers bought nothing.

    Args:
        symbol: The exchange's name of the contract.
        frame: `open_time` (any datetime, UTC), `open`, `high`, `low`, `close`, `volume` as floats; optionally
            `quote_volume`, `trades`, `taker_buy_volume`, `taker_buy_quote_volume`. Ascending.
        interval: Length of the bars.
        exponents: Decimals of the exchange's text.
        mark: The same for mark prices, 8 decimals, prices only; without it mark klines are the last-price klines.
        funding: Settlements, ascending.
        now_ms: The moment the market is seen at; half a minute after the last bar's close unless given.

    Raises:
        ValueError: A number needs more decimals than `exponents` gives it, or open times do not ascend.
    """

    def __init__(
        self,
        symbol: str,
        frame: pl.DataFrame,
        *,
        interval: str = "1m",
        exponents: Exponents = Exponents(price=2, quantity=3, quote=5),  # noqa: B008 (frozen)
        mark: pl.DataFrame | None = None,
        funding: Sequence[FundingRate] = (),
        funding_hours: int = 8,
        now_ms: int | None = None,
    ) -> None:
        self.symbol = symbol
        self.interval = Interval(interval)
        self.funding_hours = funding_hours
        self._funding = tuple(funding)
        last = _read(frame, self.interval, exponents)
        self._candles: dict[Kind, Candles] = {
            "klines": last,
            "markPriceKlines": _without_volume(last) if mark is None else _read(mark, self.interval, _MARK),
        }
        self.start_ms = int(last.open_time[0])
        self.now_ms = self.interval.end(int(last.open_time[-1])) + _SETTLE_MS if now_ms is None else now_ms

    def candles(self, kind: Kind, start_ms: int, end_ms: int) -> Candles:
        """Return the recorded candles that open in `[start_ms, end_ms)`."""
        return self._candles[kind].between(start_ms, end_ms)

    def funding(self, start_ms: int, end_ms: int) -> Sequence[FundingRate]:
        """Return the settlements whose raw time lies in `[start_ms, end_ms)`."""
        return [row for row in self._funding if start_ms <= row.time_ms < end_ms]


def _read(frame: pl.DataFrame, interval: Interval, exponents: Exponents) -> Candles:
    times = frame["open_time"].dt.epoch("ms").to_numpy().astype(np.int64)
    if not len(times) or (np.diff(times) <= 0).any():
        raise ValueError("open times of a recording must ascend, and there must be some")
    prices = {name: _scaled(frame[name], exponents.price) for name in PRICES}
    volume = _scaled(frame["volume"], exponents.quantity)
    quote = volume * prices["close"] * 10**exponents.quote // 10 ** (exponents.price + exponents.quantity)
    none = np.zeros(len(times), np.int64)
    kept = {
        name: _scaled(frame[name], exponents.of(name)) if name in frame.columns else substitute
        for name, substitute in {
            "quote_volume": quote,
            "trades": (volume > 0).astype(np.int64),
            "taker_buy_volume": none,
            "taker_buy_quote_volume": none,
        }.items()
    }
    return Candles(
        interval=interval,
        decimals=(exponents.price, exponents.quantity, exponents.quote),
        open_time=times,
        **prices,
        volume=volume,
        quote_volume=kept["quote_volume"],
        trades=kept["trades"],
        taker_volume=kept["taker_buy_volume"],
        taker_quote_volume=kept["taker_buy_quote_volume"],
    )


def _scaled(column: pl.Series, decimals: int) -> Ints:
    scaled = column.cast(pl.Float64).to_numpy() * 10.0**decimals
    whole = np.rint(scaled)
    if (np.abs(scaled - whole) > _TOLERANCE + 1e-15 * np.abs(whole)).any():
        raise ValueError(f"{column.name} needs more than {decimals} decimals")
    return whole.astype(np.int64)


def _without_volume(candles: Candles) -> Candles:
    """Return last-price candles in the form of mark-price ones."""
    up = 10 ** (_MARK.price - candles.decimals[0])
    none = np.zeros(len(candles), np.int64)
    return Candles(
        interval=candles.interval,
        decimals=(_MARK.price, _MARK.quantity, _MARK.quote),
        open_time=candles.open_time,
        open=candles.open * up,
        high=candles.high * up,
        low=candles.low * up,
        close=candles.close * up,
        volume=none,
        quote_volume=none,
        trades=none + candles.interval.ms // 1000,
        taker_volume=none,
        taker_quote_volume=none,
    )
