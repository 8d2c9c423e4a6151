"""A made-up run for pictures: a random walk, a strategy that flips at random, and books that follow from both."""

import datetime as dt
from typing import Any

import numpy as np
import polars as pl

from nt_run.config import load_config
from nt_run.klines import SCHEMA, Exponents, Klines
from nt_run.model import Interval
from nt_run.results import Run

START_MS = 1_746_057_600_000
NS = pl.Datetime("ns", "UTC")
MONEY = pl.Decimal(38, 8)


def make_klines(
    bars: int, *, price: float = 64_000.0, decimals: int = 1, interval: str = "1m", seed: int = 7
) -> Klines:
    rng = np.random.default_rng(seed)
    step = Interval(interval).ms
    calm = np.repeat(rng.choice([0.4, 1.0, 2.2], bars // 60 + 1), 60)[:bars]
    closes = price * np.exp(np.cumsum(rng.normal(0, 6e-4, bars) * calm))
    opens = np.r_[price, closes[:-1]]
    spread = np.abs(rng.normal(0, 4e-4, (2, bars))) * calm * closes
    unit = 10**decimals
    columns = {
        "open": opens,
        "high": np.maximum(opens, closes) + spread[0],
        "low": np.minimum(opens, closes) - spread[1],
        "close": closes,
    }
    frame = pl.DataFrame(
        {
            "open_time": pl.Series(START_MS + step * np.arange(bars)).cast(pl.Datetime("ms", "UTC")),
            **{name: np.rint(values * unit).astype(np.int64) for name, values in columns.items()},
            "volume": (rng.gamma(1.2, 12_000, bars) * calm).astype(np.int64),
            "quote_volume": np.zeros(bars, np.int64),
            "trades": np.ones(bars, np.int64),
            "taker_buy_volume": np.zeros(bars, np.int64),
            "taker_buy_quote_volume": np.zeros(bars, np.int64),
        },
        schema=SCHEMA,
    )
    return Klines("BTCUSDT", Interval(interval), Exponents(decimals, 3, 5), frame)


def make_run(klines: Klines, trades: int = 6, *, funding: bool = True, demo: bool = False, seed: int = 3) -> Run:
    """Return a run whose every trade is one market fill in and one out, at closes; the last stays open."""
    rng = np.random.default_rng(seed)
    bars, step = len(klines), klines.interval.ms
    closes = klines.floats()["close"].to_numpy()
    open_ms = klines.frame["open_time"].dt.epoch("ms").to_numpy()
    close_ms = open_ms + step
    trades = min(trades, bars // 2)
    rows = np.sort(rng.choice(bars, 2 * trades, replace=False)) if trades else np.zeros(0, int)
    entry, leave = rows[0::2], rows[1::2]
    sign = rng.choice([1, -1], trades)
    quantity = 0.625
    position = np.zeros(bars)
    change = np.zeros(bars)
    for number in range(trades):
        is_last = number == trades - 1
        end = bars if is_last else leave[number]
        position[entry[number] : end] = sign[number] * quantity
        change[entry[number]] -= 0.0004 * quantity * closes[entry[number]]
    held = np.r_[0.0, position[:-1]]
    change += held * np.diff(np.r_[closes[:1], closes])
    settled = np.flatnonzero(open_ms % (8 * 3_600_000) == 0) if funding else np.zeros(0, int)
    settled = settled[held[settled] != 0]
    paid = -held[settled] * closes[settled] * 1e-4
    change[settled] += paid
    equity = 100_000 + np.cumsum(change)
    peak = np.maximum.accumulate(equity)
    exit_price = closes[leave]
    pnl = sign * quantity * (exit_price - closes[entry]) - 0.0008 * quantity * closes[entry]
    fills = _fills(close_ms, closes, entry, leave, sign, quantity)
    is_open = np.arange(trades) == trades - 1
    exit_time = pl.Series(close_ms[leave] * 1_000_000).cast(NS)
    frame = pl.DataFrame(
        {
            "entry_time": pl.Series(close_ms[entry] * 1_000_000).cast(NS),
            "exit_time": exit_time,
            "side": ["buy" if value > 0 else "sell" for value in sign],
            "quantity": pl.Series([quantity] * trades, dtype=pl.Float64).cast(MONEY),
            "entry_price": closes[entry],
            "exit_price": exit_price,
            "pnl": pl.Series(pnl, dtype=pl.Float64).cast(MONEY),
            "fee": pl.Series(0.0008 * quantity * closes[entry], dtype=pl.Float64).cast(MONEY),
            "funding": pl.Series(np.zeros(trades)).cast(MONEY),
            "open": is_open,
        }
    ).with_columns(
        pl.when(~pl.col("open")).then("exit_time").alias("exit_time"),
        pl.when(~pl.col("open")).then("exit_price").alias("exit_price"),
    )
    return Run(
        run_id="a-run",
        path=None,
        config=load_config(None, {"interval": klines.interval.name}),
        specs={},
        klines=klines,
        fills=fills,
        trades=frame.drop("open"),
        funding=pl.DataFrame(
            {
                "time": pl.Series(open_ms[settled] * 1_000_000, dtype=pl.Int64).cast(NS),
                "position": pl.Series(held[settled]).cast(MONEY),
                "rate": pl.Series(np.full(len(settled), 1e-4)).cast(MONEY),
                "price": pl.Series(closes[settled]).cast(MONEY),
                "amount": pl.Series(paid, dtype=pl.Float64).cast(MONEY),
            }
        ),
        equity=pl.DataFrame(
            {
                "time": pl.Series(close_ms).cast(pl.Datetime("ms", "UTC")),
                "balance": equity,
                "equity": equity,
                "position": position,
                "drawdown": equity / peak - 1,
            }
        ),
        summary=_summary(klines, equity, peak, pnl, paid, demo=demo),
    )


def _fills(close_ms: Any, closes: Any, entry: Any, leave: Any, sign: Any, quantity: float) -> pl.DataFrame:
    rows = np.stack([entry, leave], 1).ravel()[: max(2 * len(entry) - 1, 0)]
    sides = np.stack([sign, -sign], 1).ravel()[: len(rows)]
    return pl.DataFrame(
        {
            "time": pl.Series(close_ms[rows] * 1_000_000, dtype=pl.Int64).cast(NS),
            "order_id": [f"O-{number}" for number in range(len(rows))],
            "side": pl.Series(["buy" if side > 0 else "sell" for side in sides], dtype=pl.String),
            "quantity": pl.Series([quantity] * len(rows), dtype=pl.Float64).cast(MONEY),
            "price": pl.Series(closes[rows], dtype=pl.Float64).cast(MONEY),
            "fee": pl.Series(0.0004 * quantity * closes[rows], dtype=pl.Float64).cast(MONEY),
            "liquidity": pl.Series(["taker"] * len(rows), dtype=pl.String),
            "order_type": pl.Series(["market"] * len(rows), dtype=pl.String),
        }
    )


def _summary(klines: Klines, equity: Any, peak: Any, pnl: Any, paid: Any, *, demo: bool) -> dict[str, Any]:
    wins, losses = pnl[pnl > 0].sum(), -pnl[pnl < 0].sum()
    start, end = (dt.datetime.fromtimestamp(ms / 1000, dt.UTC) for ms in (klines.range.start_ms, klines.range.end_ms))
    return {
        "run_id": "a-run",
        "symbol": "BTCUSDT",
        "interval": klines.interval.name,
        "demo": demo,
        "start": start.isoformat(),
        "end": end.isoformat(),
        "strategy": {"name": "ema_cross", "params": {"fast": 10, "slow": 21}},
        "account": {"starting_balance": "100000"},
        "pnl": {"net": str(equity[-1] - 100_000), "fees": "-95.47", "funding": str(paid.sum())},
        "metrics": {
            "total_return": float(equity[-1] / 100_000 - 1),
            "max_drawdown": float((equity / peak - 1).min()),
            "win_rate": float((pnl > 0).mean()) if len(pnl) else None,
            "profit_factor": float(wins / losses) if losses else None,
        },
        "trades": len(pnl),
        "data": {"completeness": 1.0, "fingerprint": "5f" * 32},
    }
