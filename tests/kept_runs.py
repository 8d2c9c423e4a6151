"""Folders of kept runs with what a listing reads: summary and equity."""

import json
from pathlib import Path
from typing import Any

import polars as pl


def keep(runs: Path, run_id: str, **changes: Any) -> Path:
    """Write a run's summary and equity; `changes` are keys of the summary, or figures of its metrics."""
    summary: dict[str, Any] = {
        "run_id": run_id,
        "created": "2026-06-30T12:00:00Z",
        "demo": True,
        "symbol": "BTCUSDT",
        "interval": "1m",
        "start": "2026-06-24T00:00:00Z",
        "end": "2026-07-01T12:00:00Z",
        "strategy": {"name": "ema_cross", "params": {"fast": 10}},
        "account": {"starting_balance": "10000", "final_balance": "10000", "final_equity": "9908.21"},
        "pnl": {"net": "-91.79", "fees": "-82.94"},
        "metrics": {"total_return": -0.009179, "max_drawdown": -0.0095, "sharpe": -47.2, "max_drawdown_start": None},
        "trades": 429,
        "data": {},
    }
    metrics = {name: changes.pop(name) for name in ("total_return", "max_drawdown", "sharpe") if name in changes}
    summary |= changes | {"metrics": summary["metrics"] | metrics}
    folder = runs / run_id
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps(summary))
    pl.DataFrame({"equity": [10_000.0 - at for at in range(121)]}).write_parquet(folder / "equity.parquet")
    return folder
