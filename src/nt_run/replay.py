"""The account of a kept run, rebuilt from fills and funding payments, and compared with what the run says.

This is a second opinion: it shares no line with `accounting` and asks no engine. It follows the cash. A trade is what
cash did from flat to flat, equity is cash plus what the position would fetch at a bar's close. At one instant a funding
settlement comes before the fills, because the exchange charges the position held when the settlement began.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from nt_run.klines import Klines
from nt_run.model import MS, Fill, FundingPayment, Side, Violation

type Floats = NDArray[np.float64]

TOLERANCE = Decimal("1e-6")
"""Quote asset: a difference above it fails an audit."""
ZERO = Decimal(0)
_EIGHT = Decimal("1e-8")
_ULPS = 2.0**-50
"""What a float of an amount may be off by, as a share of it."""
_MONEY = ("pnl", "price_pnl", "fee", "funding", "slippage", "liquidation")
_EXACT = ("side", "exit_time", "quantity", "fills")
_AVERAGES = ("entry_price", "exit_price")


@dataclass(slots=True, kw_only=True)
class ReplayedTrade:
    """One position from flat to flat; `cost` is the notional of what is still held, at its average entry price."""

    side: Side
    entry_time: int
    """UTC ns, as `exit_time`, which is `None` while the trade is open."""
    exit_time: int | None = None
    quantity: Decimal = ZERO
    held: Decimal = ZERO
    cost: Decimal = ZERO
    opened: Decimal = ZERO
    """Base quantity of all fills that opened or added; `reduced` of those that reduced."""
    reduced: Decimal = ZERO
    opened_notional: Decimal = ZERO
    reduced_notional: Decimal = ZERO
    fee: Decimal = ZERO
    funding: Decimal = ZERO
    slippage: Decimal = ZERO
    """What the fills cost beyond the market's prices, negative."""
    liquidation: Decimal = ZERO
    fills: int = 0

    @property
    def price_pnl(self) -> Decimal:
        """Realised: what the reductions fetched less what that part had cost, without slippage."""
        return self.side.sign * (self.reduced_notional - (self.opened_notional - self.cost)) - self.slippage

    @property
    def pnl(self) -> Decimal:
        """Net of fees, funding, slippage and what liquidations charged."""
        return self.price_pnl - self.fee + self.funding + self.slippage - self.liquidation

    @property
    def entry_price(self) -> Decimal:
        """Average price of what was opened."""
        return self.opened_notional / self.opened

    @property
    def exit_price(self) -> Decimal | None:
        """Average price of what was reduced."""
        return self.reduced_notional / self.reduced if self.reduced else None

    def book(self, fill: Fill, quantity: Decimal, fee: Decimal) -> None:
        """Open, add to or reduce the position with a part of a fill that does not turn it round."""
        price = fill.price
        if fill.side is self.side:
            self.opened += quantity
            self.opened_notional += quantity * price
            self.held += quantity
            self.cost += quantity * price
            self.quantity = max(self.quantity, self.held)
        else:
            self.reduced += quantity
            self.reduced_notional += quantity * price
            self.cost = self.cost * (self.held - quantity) / self.held if quantity < self.held else ZERO
            self.held -= quantity
        self.slippage += fill.side.sign * quantity * (fill.reference - price)
        self.fee += fee
        self.fills += 1


@dataclass(slots=True)
class Replay:
    """The account of a run after each event, and its trades."""

    cash: Decimal
    """Balance less what was paid for the open position: the sum of everything that was paid and received."""
    trades: list[ReplayedTrade] = field(default_factory=list[ReplayedTrade])
    position: Decimal = ZERO
    steps: list[tuple[int, float, float, float]] = field(default_factory=list[tuple[int, float, float, float]])
    """(UTC ns, cash, position, balance) after each event."""

    @property
    def open_trade(self) -> ReplayedTrade | None:
        """The trade that is still open."""
        return self.trades[-1] if self.trades and self.trades[-1].exit_time is None else None

    @property
    def balance(self) -> Decimal:
        """Cash with the open position taken back at its average entry price: what is realised."""
        trade = self.open_trade
        return self.cash + (trade.side.sign * trade.cost if trade else ZERO)

    def pay(self, payment: FundingPayment) -> None:
        """Book a funding payment."""
        self.cash += payment.amount
        if (trade := self.open_trade) is not None:
            trade.funding += payment.amount
        self._note(payment.time_ns)

    def fill(self, fill: Fill) -> None:
        """Book a fill; one that turns the position round closes a trade and opens another."""
        signed = fill.side.sign * fill.quantity
        self.cash -= signed * fill.price + fill.fee + fill.liquidation
        against = self.position * signed < 0
        closing = min(fill.quantity, abs(self.position)) if against else ZERO
        opening = fill.quantity - closing
        closing_fee = fill.fee * closing / fill.quantity if opening else fill.fee
        if closing:
            trade = self.trades[-1]
            trade.book(fill, closing, closing_fee)
            trade.exit_time = None if trade.held else fill.time_ns
            trade.liquidation += fill.liquidation
        if opening:
            if self.open_trade is None:
                self.trades.append(ReplayedTrade(side=fill.side, entry_time=fill.time_ns))
            self.trades[-1].book(fill, opening, fill.fee - closing_fee if closing else fill.fee)
        self.position += signed
        self._note(fill.time_ns)

    def at_closes(self, klines: Klines) -> tuple[Floats, Floats, Floats]:
        """Return equity, balance (quote asset) and position at the close of each bar."""
        steps = np.array(self.steps, dtype=np.float64)
        times = np.array([step[0] for step in self.steps], dtype=np.int64)
        after = np.searchsorted(times, klines.close_times() * MS, side="right") - 1
        _, cash, position, balance = steps[after].T
        return cash + position * klines.column("close"), balance, position

    def _note(self, time_ns: int) -> None:
        self.steps.append((time_ns, float(self.cash), float(self.position), float(self.balance)))


def replay(fills: Sequence[Fill], payments: Sequence[FundingPayment], balance: Decimal) -> Replay:
    """Return the account that these fills and payments make of a starting balance (quote asset)."""
    account = Replay(balance)
    account.steps.append((np.iinfo(np.int64).min, float(balance), 0.0, float(balance)))
    events: list[tuple[int, int, int]] = [(payment.time_ns, 0, at) for at, payment in enumerate(payments)]
    events += [(fill.time_ns, 1, at) for at, fill in enumerate(fills)]
    for _, kind, at in sorted(events):
        if kind:
            account.fill(fills[at])
        else:
            account.pay(payments[at])
    return account


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
    wrong = [(name, str(value), str(row[name])) for name in _EXACT if (value := getattr(ours, name)) != row[name]]
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
