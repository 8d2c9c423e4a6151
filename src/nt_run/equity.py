"""The account of a run at the close of each bar, from fills, funding and klines alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
import polars as pl

from nt_run.accounting import ZERO, average_entry, in_order
from nt_run.klines import Klines
from nt_run.model import MS, Fill, FundingPayment


@dataclass(slots=True)
class _Ledger:
    """State of the account after each event, for the equity curve."""

    times: list[int] = field(default_factory=list[int])
    position: list[float] = field(default_factory=list[float])
    cash: list[float] = field(default_factory=list[float])
    balance: list[float] = field(default_factory=list[float])

    def note(self, time_ns: int, position: Decimal, cash: Decimal, balance: Decimal) -> None:
        self.times.append(time_ns)
        self.position.append(float(position))
        self.cash.append(float(cash))
        self.balance.append(float(balance))


def equity_curve(
    klines: Klines, fills: Sequence[Fill], payments: Sequence[FundingPayment], balance: Decimal
) -> pl.DataFrame:
    """Return one row per bar, marked to its close.

    Columns: `time` (the bar's close, UTC ms), `balance` (cash), `equity` (balance + unrealised PnL), `position` (signed
    quantity) and `drawdown` (fraction of the highest equity so far, ≤ 0); the starting balance is the first peak.
    """
    ledger = _ledger(fills, payments, balance)
    times = klines.close_times()
    closes = klines.column("close")
    after = np.searchsorted(np.asarray(ledger.times), times * MS, side="right") - 1
    position = np.asarray(ledger.position)[after]
    equity = np.asarray(ledger.cash)[after] + position * closes
    peak = np.maximum(np.maximum.accumulate(equity), float(balance))
    return pl.DataFrame(
        {
            "time": pl.Series(times).cast(pl.Datetime("ms", "UTC")),
            "balance": np.asarray(ledger.balance)[after],
            "equity": equity,
            "position": position,
            "drawdown": equity / peak - 1.0,
        }
    )


def _ledger(fills: Sequence[Fill], payments: Sequence[FundingPayment], balance: Decimal) -> _Ledger:
    ledger = _Ledger()
    position, cash, entry = ZERO, balance, ZERO
    ledger.note(np.iinfo(np.int64).min, position, cash, balance)
    for event in in_order(fills, payments):
        if isinstance(event, FundingPayment):
            cash += event.amount
        else:
            signed = event.side.sign * event.quantity
            cash -= signed * event.price + event.fee + event.liquidation
            entry = average_entry(position, entry, signed, event.price)
            position += signed
        # Cash plus the position at its entry price is the balance: what is realised, without the open PnL.
        ledger.note(event.time_ns, position, cash, cash + position * entry)
    return ledger
