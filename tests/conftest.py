"""Fixtures for every test: recordings, and specs as the exchange gave them."""

import json
import os
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, settings
from pyarrow import feather

from nt_run.data.ingest import parse_klines
from nt_run.klines import Klines
from nt_run.model import Fees, Interval
from nt_run.specs import InstrumentSpecs, parse_symbol_specs

# No test of ours is a timed test: a busy machine must not fail one.
settings.register_profile("nt-run", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("nt-run")


@pytest.fixture(scope="session", autouse=True)
def _state_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Request budgets are kept beside those of the user, also by what a fixture of a module or a command starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True)
def _state_of_the_test(
    _state_of_the_tests: None, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The port of one test's exchange may be the port of the next one's: no test inherits a wait from another."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of recorded market data; tests that need it are skipped where it is not there."""
    folder = os.environ.get("NT_RUN_RECORDINGS")
    if not folder:
        pytest.skip("NT_RUN_RECORDINGS names no folder of recordings")
    path = Path(folder).resolve()
    assert path.is_dir(), f"NT_RUN_RECORDINGS={folder} is not a folder"
    return path


@pytest.fixture(scope="session")
def recorded_exchange_info(recordings: Path) -> dict[str, Any]:
    """exchangeInfo of 2025-10-30."""
    return json.loads((recordings / "exchange_info" / "2025-10-30.json").read_text())


@pytest.fixture(scope="session")
def recorded_klines(recordings: Path) -> Callable[..., Klines]:
    """A recorded file as klines; the recordings have no quote volume, no trades and no takers."""

    def load(name: str, interval: str, symbol: str = "BTCUSDT", folder: str = "klines") -> Klines:
        frame = pl.DataFrame(pl.from_arrow(feather.read_table(recordings / folder / f"{name}.feather")))
        opened = frame["date"].dt.epoch("ms")
        text = frame.select(pl.col("open", "high", "low", "close", "volume").cast(pl.String)).with_columns(
            open_time=opened,
            close_time=opened + Interval(interval).ms - 1,
            quote_volume=pl.lit("0"),
            trades=pl.lit(0),
            taker_buy_volume=pl.lit("0"),
            taker_buy_quote_volume=pl.lit("0"),
        )
        return parse_klines(symbol, Interval(interval), text, name)[0]

    return load


def symbol_entry(**changes: Any) -> dict[str, Any]:
    """One entry of exchangeInfo's symbols, BTCUSDT as in the exchange's documentation."""
    entry: dict[str, Any] = {
        "symbol": "BTCUSDT",
        "contractType": "PERPETUAL",
        "status": "TRADING",
        "baseAsset": "BTC",
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "pricePrecision": 2,
        "quantityPrecision": 3,
        "onboardDate": 1569398400000,
        "liquidationFee": "0.012500",
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "556.80", "maxPrice": "4529764", "tickSize": "0.10"},
            {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
            {"filterType": "MARKET_LOT_SIZE", "minQty": "0.001", "maxQty": "120", "stepSize": "0.001"},
            {"filterType": "MAX_NUM_ORDERS", "limit": 200},
            {"filterType": "MIN_NOTIONAL", "notional": "50"},
            {"filterType": "PERCENT_PRICE", "multiplierUp": "1.0500", "multiplierDown": "0.9500"},
        ],
    }
    return entry | changes


@pytest.fixture
def btc() -> InstrumentSpecs:
    return parse_symbol_specs(symbol_entry(), as_of_ms=1_750_000_000_000, source="test")


@pytest.fixture
def fees() -> Fees:
    return Fees(maker=Decimal("0.0002"), taker=Decimal("0.0005"), source="test")
