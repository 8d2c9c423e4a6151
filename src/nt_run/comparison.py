"""What a kept run says of its trades, its equity and its totals, compared with the replayed account. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl

from nt_run.klines import Klines
from nt_run.model import MS, Violation
from nt_run.replay import ZERO, Replay, ReplayedTrade

TOLERANCE = Decimal("1e-6")
"""Quote asset: a difference above it fails an audit."""
_EIGHT = Decimal("1e-8")
_ULPS = 2.0**-50
"""What a float of an amount may be off by, as a share of it."""
_MONEY = ("pnl", "price_pnl", "fee", "funding", "slippage", "liquidation")
_EXACT = ("side", "exit_time", "exit_type", "quantity", "fills")
_AVERAGES = ("entry_price", "exit_price")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What a comparison found: the largest difference (quote asset), when, and everything that is wrong."""

    largest: Decimal = ZERO
    time_ns: int | None = None
    violations: Sequence[Violation] = ()


def compare_trades(account: Replay, kept: Sequence[Mapping[str, Any]]) -> Compared:
    """Compare the trades of a run, rows of its `trades` frame with times in ns, with the replayed ones.

    A trade that only one side has counts with its whole PnL.
    """
    largest: tuple[Decimal, int | None] = (ZERO, None)
    violations: list[Violation] = []
    found = _numbered((row["entry_time"], row) for row in kept)
    expected = _numbered((trade.entry_time, trade) for trade in account.trades)
    for key in sorted(found.keys() | expected.keys()):
        ours, row = expected.get(key), found.get(key)
        if ours is None or row is None:
            pnl = abs(Decimal(row["pnl"]) if ours is None and row else ours.pnl if ours else ZERO)
            told = ("no trade", f"{row['side']} {row['quantity']:f}, PnL {row['pnl']:f}") if row else None
            told = told or (f"{ours.side} {ours.quantity:f}, PnL {ours.pnl:.8f}" if ours else "", "no trade")
            violations.append(Violation("trades", "trade", key[0], *told))
        else:
            pnl, wrong = _compare_trade(ours, row)
            violations += wrong
        largest = max(largest, (pnl, key[0]), key=lambda item: item[0])
    return Compared(largest=largest[0], time_ns=largest[1], violations=violations)


def _numbered(items: Any) -> dict[tuple[int, int], Any]:  # noqa: ANN401 - trades or rows
    """Return items by (entry time, how many had it before): two trades may open at one instant."""
    counts: Counter[int] = Counter()
    made: dict[tuple[int, int], Any] = {}
    for time_ns, item in items:
        made[time_ns, counts[time_ns]] = item
        counts[time_ns] += 1
    return made


def _compare_trade(ours: ReplayedTrade, row: Mapping[str, Any]) -> tuple[Decimal, list[Violation]]:
    """Return the largest difference of a trade's money, and what is wrong with it."""
    worst = ZERO
    if _is_equal(ours, row):
        return worst, []
    wrong = [
        (name, str(value), str(row[name]))
        for name in _EXACT
        if name in row and (value := getattr(ours, name)) != row[name]  # folders of earlier versions lack some
    ]
    for name in _AVERAGES:
        value: Decimal | None = getattr(ours, name)
        stated: float | None = row[name]
        if (value is None) != (stated is None) or (
            value is not None and stated is not None and abs(float(value) - stated) > _ULPS * float(value)
        ):
            wrong.append((name, "none" if value is None else f"{value:.10f}", str(stated)))
    for name in _MONEY:
        value = getattr(ours, name).quantize(_EIGHT)
        difference = abs(value - row[name])
        worst = max(worst, difference)
        if difference > TOLERANCE:
            wrong.append((name, f"{value:f}", f"{row[name]:f}"))
    return worst, [Violation("trades", name, ours.entry_time, *told) for name, *told in wrong]


def _is_equal(ours: ReplayedTrade, row: Mapping[str, Any]) -> bool:
    """Tell whether nothing at all differs, as it mostly is: only what does is looked at figure by figure."""
    return (
        all(getattr(ours, name) == row.get(name) for name in _EXACT)
        and all(getattr(ours, name).quantize(_EIGHT) == row[name] for name in _MONEY)
        and float(ours.entry_price) == row["entry_price"]
        and (None if ours.exit_price is None else float(ours.exit_price)) == row["exit_price"]
    )


def compare_equity(account: Replay, klines: Klines, kept: pl.DataFrame, balance: Decimal) -> Compared:
    """Compare a run's `equity` frame with the replayed account, marked to each bar's close."""
    closes_at = klines.close_times()
    if kept["time"].dt.epoch("ms").to_list() != closes_at.tolist():
        told = f"{len(closes_at)} bars of the klines", f"{kept.height} rows, or other times"
        return Compared(violations=[Violation("equity", "rows", None, *told)])
    equity, realised, position = account.at_closes(klines)
    peak = np.maximum.accumulate(np.concatenate([[float(balance)], equity]))[1:]
    drawdown = equity / peak - 1.0
    expected = {"equity": equity, "balance": realised, "position": position, "drawdown": drawdown}
    violations: list[Violation] = []
    for name, values in expected.items():
        stated = kept[name].to_numpy()
        unlike = np.flatnonzero(~(np.abs(values - stated) <= float(TOLERANCE) + _ULPS * np.abs(values)))
        if len(unlike):
            at, more = unlike[0], f" ({len(unlike)} bars)" if len(unlike) > 1 else ""
            time_ns = int(closes_at[at]) * MS
            violations.append(Violation("equity", name + more, time_ns, f"{values[at]:.10g}", f"{stated[at]:.10g}"))
    off = np.abs(equity - kept["equity"].to_numpy())
    worst = int(np.argmax(off))
    return Compared(
        largest=Decimal(str(off[worst])),
        time_ns=int(closes_at[worst]) * MS if off[worst] else None,
        violations=violations,
    )


def compare_totals(
    account: Replay, stated: Mapping[str, Decimal], *, balance: Decimal, last_close: Decimal
) -> Compared:
    """Compare the totals of a run's report with the replayed account.

    Args:
        account: The replayed account.
        stated: Amounts by name, as the report has them; names it lacks are not compared.
        balance: Starting balance.
        last_close: Price that marks what is open.
    """
    trade, net = account.open_trade, account.cash + account.position * last_close - balance
    fees = -sum((each.fee for each in account.trades), ZERO)
    funding = sum((each.funding for each in account.trades), ZERO)
    slippage = sum((each.slippage for each in account.trades), ZERO)
    liquidation = -sum((each.liquidation for each in account.trades), ZERO)
    expected = {
        "starting_balance": balance,
        "final_balance": account.balance,
        "final_equity": balance + net,
        "net": net,
        "price": net - fees - funding - slippage - liquidation,
        "fees": fees,
        "funding": funding,
        "slippage": slippage,
        "liquidation": liquidation,
        "rounding": ZERO,
        "open_position": account.position,
        "open_pnl": trade.side.sign * (trade.held * last_close - trade.cost) if trade else ZERO,
    }
    # The engine rounds each fill of a position that was built or closed in parts once.
    parts = sum(each.fills for each in account.trades if each.fills > 2)  # noqa: PLR2004 - one entry, one exit
    allowed = TOLERANCE + parts * _EIGHT
    off = {name: abs(value - stated[name]) for name, value in expected.items() if name in stated}
    violations = [
        Violation("totals", name, None, f"{expected[name]:.8f}", f"{stated[name]:.8f}")
        for name, difference in off.items()
        if difference > allowed
    ]
    return Compared(largest=off.get("final_equity", ZERO), violations=violations)
