"""The exchange as the engine simulates it: one margin account, explicit fees, whole fills."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from decimal import Decimal

from nautilus_trader.backtest import BacktestEngine, BacktestEngineConfig
from nautilus_trader.common import CacheConfig, LoggerConfig, LogLevel
from nautilus_trader.execution import ExecutionEngineConfig, FeeModel, FillModel, MakerTakerFeeModel
from nautilus_trader.model import AccountType, Currency, LeveragedMarginModel, Money, OmsType, Venue
from nautilus_trader.risk import RiskEngineConfig

from nt_run.model import Fees

VENUE = Venue("BINANCE")

_KEPT_BARS = 1_000
"""Bars the cache keeps for `cache.bars()`; the engine's own default is 10,000."""
_DAY_MINUTES = 24 * 60
_UNLIMITED = "1000000/00:00:01"


def make_engine() -> BacktestEngine:
    """Return a silent engine without its own statistics; ours use 365 days and exact money.

    The logger of the first engine of a process stays for its lifetime, so it is switched off at the source.
    """
    config = BacktestEngineConfig(
        logging=LoggerConfig(stdout_level=LogLevel.OFF, bypass_logging=True),
        bypass_logging=True,
        run_analysis=False,
        cache=CacheConfig(bar_capacity=_KEPT_BARS),
        # An account carries its whole history, and each look at it copies that: 8 ms after 30,000 fills.
        exec_engine=ExecutionEngineConfig(
            purge_account_events_interval_mins=_DAY_MINUTES, purge_account_events_lookback_mins=0
        ),
        # All orders of a bar are of one instant, and the engine's own limit is 100 a second.
        risk_engine=RiskEngineConfig(max_order_submit_rate=_UNLIMITED, max_order_modify_rate=_UNLIMITED),
    )
    with _not_imported("pandas", "uvloop"):
        return BacktestEngine(config)


@contextmanager
def open_engine() -> Generator[BacktestEngine]:
    """Make an engine, and dispose of it in the end."""
    engine = make_engine()
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _not_imported(*names: str) -> Generator[None]:
    """Keep the engine from importing packages of which it wants nothing but the version, for a log nobody sees.

    Importing pandas takes a third of a second. `None` in `sys.modules` makes an import fail, and the engine carries on.
    """
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # pyright: ignore[reportArgumentType, reportCallIssue]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def add_venue(
    engine: BacktestEngine,
    *,
    balance: Decimal,
    currency: Currency,
    leverage: Decimal,
    fees: Fees,
    prices: FillModel | None = None,
    charges: FeeModel | None = None,
    crossed: bool = False,
) -> None:
    """Add the exchange: one-way positions, one cross account in the quote asset, `leverage` for everything.

    Orders and open positions tie up notional ÷ leverage (`build_instrument` sets both margin rates to 1). Inside a
    bar the price is taken to run open, high, low, close. `prices` decides the price of taker fills,
    `charges` what they cost instead of `fees`. Stops that the market has crossed are rejected unless `crossed`.
    """
    engine.add_venue(
        VENUE,
        OmsType.NETTING,
        AccountType.MARGIN,
        [Money.from_decimal(balance, currency)],
        default_leverage=leverage,
        margin_model=LeveragedMarginModel(),
        fill_model=prices,
        fee_model=MakerTakerFeeModel(fees.maker, fees.taker) if charges is None else charges,
        reject_stop_orders=not crossed,
    )
