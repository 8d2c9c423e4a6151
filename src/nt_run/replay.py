"""The account of a kept run, rebuilt from fills and funding payments.

This is a second opinion: it shares no line with `accounting` and asks no engine. It follows the cash. A trade is what
cash did from flat to flat, equity is cash plus what the position would fetch at a bar's close. At one instant a funding
settlement comes before the fills, because the exchange charges the position held when the settlement began.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from nt_run.klines import Klines
from nt_run.model import MS, Fill, FundingPayment, Side

type Floats = NDArray[np.float64]

ZERO = Decimal(0)


@dataclass(slots=True, kw_only=True)
class ReplayedTrade:
    """One position from flat to flat; `cost` is the notional of what is still held, at its average entry price."""

    side: Side
    entry_time: int
    """UTC ns, as `exit_time`, which is `None` while the trade is open."""
    exit_time: int | None = None
    exit_type: str | None = None
    """Order type of the fill that closed it."""
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
        notional = quantity * price
        if fill.side is self.side:
            self.opened += quantity
            self.opened_notional += notional
            self.held += quantity
            self.cost += notional
            self.quantity = max(self.quantity, self.held)
        else:
            self.reduced += quantity
            self.reduced_notional += notional
            self.cost = self.cost * (self.held - quantity) / self.held if quantity < self.held else ZERO
            self.held -= quantity
        if price != fill.reference:
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
        signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
        self.cash -= signed * fill.price + fill.fee + fill.liquidation
        against = self.position * signed < 0
        closing = min(fill.quantity, abs(self.position)) if against else ZERO
        opening = fill.quantity - closing
        closing_fee = fill.fee * closing / fill.quantity if closing and opening else fill.fee
        if closing:
            trade = self.trades[-1]
            trade.book(fill, closing, closing_fee)
            if not trade.held:
                trade.exit_time, trade.exit_type = fill.time_ns, fill.order_type
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
        cash = float(self.cash)
        step = (
            (time_ns, cash, float(self.position), float(self.balance)) if self.position else (time_ns, cash, 0.0, cash)
        )
        self.steps.append(step)


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
