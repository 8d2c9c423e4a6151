"""What the main job's benchmark is held against: the same bars and strategy given to the engine, and nothing else.

    python tests/benchmarks/bare_engine.py KLINES.parquet QUANTITY DIGITS

No store, no checks, no funding, no sizing, no books, no report: read the run's klines, build the instrument, run.
"""

import sys
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
from nautilus_trader.backtest import BacktestEngine, BacktestEngineConfig
from nautilus_trader.common import LoggerConfig
from nautilus_trader.execution import MakerTakerFeeModel
from nautilus_trader.model import (
    AccountType,
    BarType,
    CryptoPerpetual,
    Currency,
    InstrumentId,
    LeveragedMarginModel,
    Money,
    OmsType,
    OrderSide,
    Price,
    Quantity,
    Symbol,
    Venue,
)
from nautilus_trader.persistence import BarDataWrangler

from nt_run.strategies.ema_cross import EmaCross, EmaCrossConfig

NAME = "BTCUSDT-PERP.BINANCE"
BAR_TYPE = f"{NAME}-1-MINUTE-LAST-EXTERNAL"
DECIMAL, TIME = pa.decimal128(38, 16), pa.timestamp("ns", "UTC")
CHUNK = 50_000


class OneSize:
    """In place of the sizer: the same quantity for every entry, no stop."""

    def __init__(self, quantity: Quantity) -> None:
        self._quantity = quantity

    def quantity(self, _price: Price, _stop: Price | None = None) -> Quantity:
        return self._quantity

    def stop_price(self, _side: OrderSide, _price: Price) -> None:
        return None


def instrument() -> CryptoPerpetual:
    usdt = Currency.from_str("USDT")
    return CryptoPerpetual(
        instrument_id=InstrumentId.from_str(NAME),
        raw_symbol=Symbol("BTCUSDT"),
        base_currency=Currency.from_str("BTC"),
        quote_currency=usdt,
        settlement_currency=usdt,
        is_inverse=False,
        price_precision=1,
        size_precision=3,
        price_increment=Price.from_str("0.1"),
        size_increment=Quantity.from_str("0.001"),
        margin_init=Decimal(1),
        margin_maint=Decimal("0.004"),
        ts_event=0,
        ts_init=0,
    )


def batches(path: str, price_digits: int) -> pa.Table:
    """Klines of a run folder (prices scaled by 10^digits) in the wrangler's schema."""
    table = pq.read_table(path)
    close_time = pa.compute.add(table["open_time"].cast(pa.int64()), 60_000)
    stamps = pa.compute.multiply(close_time, 1_000_000).cast(TIME)

    def exact(name: str, digits: int) -> pa.ChunkedArray:
        whole = table[name].cast(pa.decimal128(19, 0))
        return pa.compute.divide(whole.cast(pa.decimal128(24, 0)), pa.scalar(Decimal(10**digits))).cast(DECIMAL)

    digits = dict.fromkeys(("open", "high", "low", "close"), price_digits) | {"volume": 3}
    columns = [exact(name, digits[name]) for name in digits]
    return pa.table([*columns, stamps, stamps], names=[*digits, "ts_event", "ts_init"])


def main(path: str, quantity: str, digits: str) -> None:
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggerConfig(bypass_logging=True)))
    engine.add_venue(
        Venue("BINANCE"),
        OmsType.NETTING,
        AccountType.MARGIN,
        [Money.from_str("10000 USDT")],
        default_leverage=Decimal(1),
        margin_model=LeveragedMarginModel(),
        fee_model=MakerTakerFeeModel(Decimal("0.0002"), Decimal("0.0005")),
    )
    engine.add_instrument(instrument())
    wrangler = BarDataWrangler(BAR_TYPE, 1, 3)
    bars = 0
    for batch in batches(path, int(digits)).to_batches(max_chunksize=CHUNK):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        chunk = wrangler.process_record_batch_bytes(sink.getvalue().to_pybytes())
        bars += len(chunk)
        engine.add_data(chunk, sort=False)
    engine.sort_data()
    engine.add_strategy(
        EmaCross(
            EmaCrossConfig(
                instrument_id=InstrumentId.from_str(NAME),
                bar_type=BarType.from_str(BAR_TYPE),
                sizer=OneSize(Quantity.from_str(quantity)),
            )
        )
    )
    engine.run()
    print(f"{bars} bars, {engine.get_result().total_orders} orders")
    engine.dispose()


if __name__ == "__main__":
    main(*sys.argv[1:])
