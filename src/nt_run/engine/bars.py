"""Klines → the engine's bars: exact, vectorised, in chunks.

A kline is keyed by its open time; a bar is stamped with its close time, `ts_event = ts_init = open time + interval`, so
that nothing of a bar is known before it has ended.
"""

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import polars as pl
import pyarrow as _pyarrow  # noqa: ICN001 - `pa` is the same module without types
from nautilus_trader.model import Bar, CryptoPerpetual
from nautilus_trader.persistence import BarDataWrangler
from numpy.typing import NDArray

from nt_run.klines import PRICES, Klines
from nt_run.matching import replaced
from nt_run.model import MS, Interval

pa = cast("Any", _pyarrow)  # it ships no types

CHUNK = 10_000
"""Rows converted at a time: fewer cost time, more cost memory (one list of a year takes 1 GB)."""

_ENDLESS = 10**12
"""Volume of a bar that orders are matched on, in base units: more than any order, and less than the engine's most."""
_FIXED = pa.decimal128(38, 16)
_TIME = pa.timestamp("ns", "UTC")
_SCHEMA = pa.schema([*((name, _FIXED) for name in (*PRICES, "volume")), ("ts_event", _TIME), ("ts_init", _TIME)])
_STEPS = {"m": "MINUTE", "h": "HOUR", "d": "DAY", "w": "WEEK", "M": "MONTH"}


def bar_type_name(instrument_id: str, interval: Interval) -> str:
    """Return the engine's name of the bars: `BTCUSDT-PERP.BINANCE-1-MINUTE-LAST-EXTERNAL`."""
    return f"{instrument_id}-{interval.name[:-1]}-{_STEPS[interval.name[-1]]}-LAST-EXTERNAL"


def execution_type_name(instrument_id: str) -> str:
    """Return the engine's name of the bars it matches orders with: shorter by name than any that are shown."""
    return f"{instrument_id}-1-SECOND-LAST-EXTERNAL"


def make_bars(klines: Klines, instrument: CryptoPerpetual, bar_type: str) -> Iterator[list[Bar]]:
    """Yield the bars of `klines` in lists of at most `CHUNK`, every price and volume to its last digit.

    The instrument must have enough decimals for the klines; `build_instrument` sees to it.
    """
    wrangler = _wrangler(bar_type, instrument)
    for rows in _chunks(klines):
        yield _wrangle(wrangler, _record_batch(rows))


def make_bar_pairs(
    klines: Klines, instrument: CryptoPerpetual, fine: Klines | None = None, *, twins: bool = True
) -> Iterator[tuple[list[Bar], list[Bar]]]:
    """Yield lists of bars as `make_bars` does, each with the bars that orders are matched on, of endless volume.

    These are twins of the others by another name; where `fine` has bars that make up one, they come in its place. The
    second list is in no order; it is empty without `twins`.
    """
    name = str(instrument.id)
    shown = _wrangler(bar_type_name(name, klines.interval), instrument)
    twin = _wrangler(execution_type_name(name), instrument)
    for rows in _chunks(klines):
        batch = _record_batch(rows)
        if not twins:
            yield _wrangle(shown, batch), []
            continue
        finer = None if fine is None else fine.within(rows.range)
        if finer is None or not len(finer):
            parts = [batch]
        else:
            kept = Klines(
                rows.symbol, rows.interval, rows.exponents, rows.frame.filter(pl.Series(~replaced(rows, finer)))
            )
            parts = [_record_batch(part) for part in (kept, finer) if len(part)]
        yield _wrangle(shown, batch), [bar for part in parts for bar in _twins(twin, part)]


def _twins(wrangler: BarDataWrangler, batch: Any) -> list[Bar]:  # noqa: ANN401 - pyarrow ships no types
    volumes = _decimals(np.full(len(batch), _ENDLESS), 0)
    return _wrangle(wrangler, batch.set_column(len(PRICES), "volume", volumes))


def _wrangler(bar_type: str, instrument: CryptoPerpetual) -> BarDataWrangler:
    return BarDataWrangler(bar_type, instrument.price_precision, instrument.size_precision)


def _wrangle(wrangler: BarDataWrangler, batch: Any) -> list[Bar]:  # noqa: ANN401 - pyarrow ships no types
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return wrangler.process_record_batch_bytes(sink.getvalue().to_pybytes())


def _chunks(klines: Klines) -> Iterator[Klines]:
    for start in range(0, len(klines), CHUNK):
        yield Klines(klines.symbol, klines.interval, klines.exponents, klines.frame.slice(start, CHUNK))


def _record_batch(klines: Klines) -> Any:  # noqa: ANN401 - as above
    closed = _from_buffer(_TIME, klines.close_times() * MS)
    numbers = [_decimals(klines.frame[name].to_numpy(), klines.exponents.of(name)) for name in (*PRICES, "volume")]
    return pa.RecordBatch.from_arrays([*numbers, closed, closed], schema=_SCHEMA)


def _decimals(scaled: NDArray[np.int64], exponent: int) -> Any:  # noqa: ANN401 - as above
    """Return scaled integers as decimals: a 128-bit little-endian number is the integer and its sign word."""
    words = np.empty((len(scaled), 2), dtype="<i8")
    words[:, 0] = scaled
    words[:, 1] = scaled >> 63
    return _from_buffer(pa.decimal128(19, exponent), words).cast(_FIXED)


def _from_buffer(kind: Any, values: NDArray[np.int64]) -> Any:  # noqa: ANN401 - as above
    """Return numbers as an Arrow array without a copy; `pa.array` and `pa.scalar` would import pandas, in 0.3 s."""
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])
