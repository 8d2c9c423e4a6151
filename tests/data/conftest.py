"""Rows as the exchange sends them, stores in a fresh folder, and market data against the embedded exchange."""

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nt_run.data.ingest import parse_rows
from nt_run.data.kline_store import KlineStore
from nt_run.data.loader import MarketData
from nt_run.data.manifest import Source
from nt_run.demo.candles import Candles
from nt_run.klines import Klines
from nt_run.model import Interval, TimeRange

MINUTE = 60_000
COLUMNS = [field.name for field in fields(Candles) if field.name not in {"interval", "decimals"}]


def _rows(start_ms: int, count: int, *, step: int = MINUTE, decimals: int = 2, tick: int = 10) -> list[list[Any]]:
    """Rows that depend on their open time alone, so that two answers about one minute agree."""
    rows: list[list[Any]] = []
    for opened in range(start_ms, start_ms + count * step, step):
        wave = (opened // step * 7919) % 1000
        price = 6_000_000 + wave * tick
        volume = 1 + wave
        quote = price * volume
        text = [f"{number / 100:.{decimals}f}" for number in (price, price + 50, price - 50, price + 10)]
        rows.append(
            [
                opened,
                *text,
                f"{volume / 1000:.3f}",
                opened + step - 1,
                f"{quote / 100_000:.5f}",
                volume,
                f"{volume // 2 / 1000:.3f}",
                f"{quote // 2 / 100_000:.5f}",
                "0",
            ]
        )
    return rows


@pytest.fixture(scope="session")
def rows() -> Callable[..., list[list[Any]]]:
    return _rows


@pytest.fixture(scope="session")
def klines() -> Callable[..., Klines]:
    def build(start_ms: int, count: int, interval: str = "1m", **form: int) -> Klines:
        made = Interval(interval)
        return parse_rows("BTCUSDT", made, _rows(start_ms, count, step=made.ms, **form), "a test")[0]

    return build


@pytest.fixture
def store(tmp_path: Path) -> KlineStore:
    return KlineStore(tmp_path, "BTCUSDT", Interval("1m"), repair=True)


@pytest.fixture(scope="session")
def rest_source() -> Source:
    return Source(kind="rest", key="/fapi/v1/klines", fetched_at_ms=0, rows=0)


@pytest.fixture
def pauses() -> list[float]:
    """How long the client would have slept."""
    return []


@pytest.fixture
def open_data(tmp_path: Path, pauses: list[float]) -> Iterator[Callable[..., MarketData]]:
    """Open market data on this test's own cache folder; nothing ever sleeps."""
    opened: list[MarketData] = []

    def build(rest_url: str = "http://127.0.0.1:9", **options: Any) -> MarketData:
        root = options.pop("root", tmp_path)
        data = MarketData(root, rest_url=rest_url, sleep=pauses.append, **options)
        opened.append(data)
        return data

    yield build
    for data in opened:
        data.close()


def _without(*holes: TimeRange) -> Callable[[Candles], Candles]:
    def cut(candles: Candles) -> Candles:
        kept = np.ones(len(candles), np.bool_)
        for hole in holes:
            kept &= (candles.open_time < hole.start_ms) | (candles.open_time >= hole.end_ms)
        columns = {name: getattr(candles, name)[kept] for name in COLUMNS}
        return replace(candles, **columns)

    return cut


@pytest.fixture(scope="session")
def without() -> Callable[..., Callable[[Candles], Candles]]:
    """What makes candles lack the bars that open in some ranges."""
    return _without


@pytest.fixture(scope="session")
def corrected() -> Callable[..., Callable[[Candles], Candles]]:
    """What makes candles count one trade more in a range."""

    def build(where: TimeRange) -> Callable[[Candles], Candles]:
        def change(candles: Candles) -> Candles:
            inside = (candles.open_time >= where.start_ms) & (candles.open_time < where.end_ms)
            return replace(candles, trades=candles.trades + inside)

        return change

    return build
