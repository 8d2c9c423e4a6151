from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from chart.made_up_runs import make_klines, make_run
from nt_run.chart.overview import banners, cards, returns
from nt_run.chart.view import ChartData, chart_data

SUMMARY: dict[str, Any] = {
    "account": {"starting_balance": "10000", "final_equity": "9908.2", "open_position": "-0.002", "open_pnl": "1.0862"},
    "pnl": {"net": "-91.79", "price": "-8.89", "fees": "-82.94", "funding": "0.04", "liquidation": "0.00000000"},
    "metrics": {"total_return": -0.009179, "max_drawdown": -0.0095, "win_rate": 0.1772, "trades": 1429},
    "specs": {"base_asset": "BTC", "checks": [{"name": "tick_size", "exchange": "0.1", "built": "0.2", "same": False}]},
    "data": {"completeness": 1.0, "fingerprint": "ab" * 32, "sources": {"rest": 1.0}, "gaps": []},
    "trades": 1429,
}


def with_equity(daily: list[float], *, start: float = 100.0) -> ChartData:
    """A run of hours whose equity stays at one amount for a day."""
    run = make_run(make_klines(24 * len(daily), interval="1h"), trades=0)
    equity = run.equity.with_columns(pl.Series("equity", np.repeat(daily, 24)))
    return chart_data(replace(run, equity=equity, summary=run.summary | {"account": {"starting_balance": str(start)}}))


def test_a_period_starts_from_the_equity_at_the_end_of_the_one_before() -> None:
    # 2025-05-01 on: 100 → 110 is +10 %, 110 → 99 is −10 %, in all 99 ÷ 100 − 1 = −1 %.
    (_, months), (title, days) = returns(with_equity([110.0, 99.0]))
    assert [label for label, _ in months] == ["2025-05"]
    assert [value for _, value in months] == pytest.approx([-0.01])
    assert title == "Daily returns"
    assert [label for label, _ in days] == ["05-01", "05-02"]
    assert [value for _, value in days] == pytest.approx([0.10, -0.10])


def test_months_multiply_to_the_whole_and_a_long_run_shows_no_days() -> None:
    data = with_equity([100.0 + day for day in range(100)])
    parts = returns(data)
    assert [title for title, _ in parts] == [""]
    labels, values = zip(*parts[0][1], strict=True)
    assert labels == ("2025-05", "2025-06", "2025-07", "2025-08")
    assert np.prod(1 + np.array(values)) == pytest.approx(199 / 100)


def test_cards_tell_what_the_report_tells() -> None:
    made = {card["name"]: card for card in cards(SUMMARY)}
    assert (made["Net PnL"]["value"], made["Net PnL"]["note"], made["Net PnL"]["sign"]) == ("-91.79", "-0.92 %", -1)
    assert made["Final equity"]["note"] == "-0.002 BTC open, +1.09"
    assert (made["Trades"]["value"], made["Trades"]["note"]) == ("1,429", "17.7 % won")
    assert made["Sharpe"]["value"] == "–"


def test_a_synthetic_market_and_a_liquidation_come_first() -> None:
    liquidations = [{"time": "2025-05-04T10:00:00Z", "side": "long", "quantity": "1", "price": "9", "lost": "12.5"}] * 2
    summary = SUMMARY | {"demo": True, "warnings": ["synthetic", "second"], "liquidations": liquidations}
    kinds, texts = zip(*banners(summary), strict=True)
    assert kinds == ("synthetic", "alarm", "")
    assert "SYNTHETIC MARKET (demo)" in texts[0]
    assert texts[1] == "Liquidated 2 times: 25.00  lost"
    assert texts[2] == "second"
