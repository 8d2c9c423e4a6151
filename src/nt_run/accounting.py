"""The books of a run: trades and the PnL identity, from fills and funding alone.

Nothing here asks the engine. Fills and funding payments are replayed in exact `Decimal`; the result must end on the
engine's balance plus open PnL, or the run fails. At one instant a funding settlement comes before the fills: the
exchange charges the position held when the settlement began.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from nt_run.errors import BooksError
from nt_run.klines import Klines
from nt_run.model import Fill, FundingPayment, Side

ZERO = Decimal(0)
_FLOAT_STEP = Decimal(4) * Decimal(2) ** -52
TOLERANCE = Decimal("1e-8")
"""Quote asset: the engine keeps money to eight decimals."""


@dataclass(slots=True, kw_only=True)
class Trade:
    """A position from flat to flat; `exit_time_ns` is `None` while it is open.

    Money is in the quote asset: `price_pnl` is realised by the exits so far, `fee` is positive when paid, `funding` and
    `slippage` are negative when paid. `quantity` is the largest position held. `liquidation`, positive, is what the
    exchange charged for closing it, beyond the fee; `exit_type` is the kind of order that did, `None` while it is open.
    """

    side: Side
    entry_time_ns: int
    exit_time_ns: int | None = None
    quantity: Decimal = ZERO
    bought: Decimal = ZERO
    """Base quantity of all buys; `sold` of all sells."""
    sold: Decimal = ZERO
    paid: Decimal = ZERO
    """Notional of all buys; `received` of all sells."""
    received: Decimal = ZERO
    position: Decimal = ZERO
    """Signed quantity still held."""
    average: Decimal = ZERO
    """Average entry price of what is still held: adding averages, reducing keeps it."""
    fee: Decimal = ZERO
    funding: Decimal = ZERO
    slippage: Decimal = ZERO
    """What the fills cost beyond the market's prices, of what is still open as well."""
    liquidation: Decimal = ZERO
    fills: int = 0
    exit_type: str | None = None

    @property
    def entry_price(self) -> Decimal:
        """Average price of all fills that opened or added."""
        return self.paid / self.bought if self.side is Side.BUY else self.received / self.sold

    @property
    def exit_price(self) -> Decimal | None:
        """Average price of the fills that reduced, `None` before the first."""
        quantity, notional = (self.sold, self.received) if self.side is Side.BUY else (self.bought, self.paid)
        return notional / quantity if quantity else None

    @property
    def price_pnl(self) -> Decimal:
        """Realised price PnL at the market's prices; what is open is valued at its average entry price."""
        return self.received - self.paid + self.position * self.average - self.slippage

    @property
    def pnl(self) -> Decimal:
        """Net: price − fee + funding + slippage − liquidation."""
        return self.price_pnl - self.fee + self.funding + self.slippage - self.liquidation

    def add(self, fill: Fill, quantity: Decimal, fee: Decimal) -> None:
        """Book one execution, or the part of one that belongs to this trade."""
        side, price = fill.side, fill.price
        buys = side is Side.BUY
        signed = quantity if buys else -quantity
        self.average = average_entry(self.position, self.average, signed, price)
        if buys:
            self.bought += quantity
            self.paid += quantity * price
        else:
            self.sold += quantity
            self.received += quantity * price
        self.position += signed
        if side is self.side and (held := abs(self.position)) > self.quantity:
            self.quantity = held
        self.slippage -= signed * (price - fill.reference)
        self.fee += fee
        self.fills += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Where the change of equity comes from, in the quote asset; the parts add up to `net` exactly.

    `fees` and losses are negative. `price` is what the market's own prices made, `slippage` what the fills cost beyond
    them. `open_pnl` is what is unrealised, at the last close. `rounding` is what the engine's eight decimals add to the
    exact arithmetic.
    """

    starting_balance: Decimal
    final_balance: Decimal
    final_equity: Decimal
    price: Decimal
    fees: Decimal
    funding: Decimal
    slippage: Decimal
    liquidation: Decimal
    rounding: Decimal
    open_pnl: Decimal
    open_position: Decimal

    @property
    def net(self) -> Decimal:
        """Change of equity."""
        return self.final_equity - self.starting_balance


def build_trades(fills: Sequence[Fill], payments: Sequence[FundingPayment]) -> list[Trade]:
    """Return the trades of time-ordered fills and payments; a fill that flips the position is split in two.

    Raises:
        BooksError: A funding payment was charged while no position was open.
    """
    trades: list[Trade] = []
    current: Trade | None = None
    for event in in_order(fills, payments):
        if isinstance(event, FundingPayment):
            if current is None or current.position != event.position:
                held = ZERO if current is None else current.position
                raise BooksError(
                    f"the position that paid funding at {event.time_ns} ns", f"{held}", f"{event.position}"
                )
            current.funding += event.amount
            continue
        left, fee_left = event.quantity, event.fee
        while left:
            if current is None:
                current = Trade(side=event.side, entry_time_ns=event.time_ns)
                trades.append(current)
            held = abs(current.position)
            part = left if event.side is current.side else min(left, held)
            # The last part takes what is left of the fee, so that the parts add up exactly.
            fee = fee_left if part == left else event.fee * part / event.quantity
            current.add(event, part, fee)
            left, fee_left = left - part, fee_left - fee
            if not current.position:
                current.exit_time_ns, current.exit_type = event.time_ns, event.order_type
                # A liquidation closes a position, whole, and never opens one.
                current.liquidation += event.liquidation
                current = None
    return trades


def close_books(
    trades: Sequence[Trade],
    *,
    starting_balance: Decimal,
    last_close: Decimal,
    engine_balance: Decimal,
    engine_open_pnl: Decimal,
) -> Books:
    """Return the PnL identity of a run, checked against the engine's account.

    Args:
        trades: All trades of the run, the open one included.
        starting_balance: Quote asset.
        last_close: Price that marks the open position.
        engine_balance: The engine's final balance.
        engine_open_pnl: The engine's unrealised PnL at the last close.

    Raises:
        BooksError: Equity differs from the engine's by more than 1e-8, and by more than the floats explain in which
            the engine keeps the average entry price of a position that was built or closed in parts.
    """
    open_trade = trades[-1] if trades and trades[-1].exit_time_ns is None else None
    price = sum((trade.received - trade.paid for trade in trades), ZERO)
    position = open_trade.position if open_trade else ZERO
    slippage = sum((trade.slippage for trade in trades), ZERO)
    price += position * last_close - slippage
    open_pnl = position * (last_close - open_trade.average) if open_trade else ZERO
    fees = -sum((trade.fee for trade in trades), ZERO)
    funding = sum((trade.funding for trade in trades), ZERO)
    liquidation = -sum((trade.liquidation for trade in trades), ZERO)
    exact = starting_balance + price + fees + funding + slippage + liquidation
    engine_equity = engine_balance + engine_open_pnl
    rounding = engine_equity - exact
    if abs(rounding) > TOLERANCE + sum((rounding_bound(trade) for trade in trades), ZERO):
        raise BooksError("the final equity", f"{exact:.10f}", f"{engine_equity:.10f}")
    return Books(
        starting_balance=starting_balance,
        final_balance=engine_balance,
        final_equity=engine_equity,
        price=price,
        fees=fees,
        funding=funding,
        slippage=slippage,
        liquidation=liquidation,
        rounding=rounding,
        open_pnl=open_pnl,
        open_position=position,
    )


def rounding_bound(trade: Trade) -> Decimal:
    """Bound on what the engine's float average entry price and its rounded exits can differ by, for one trade.

    With one entry and one exit nothing is averaged, and what floats of 53 bits are off is lost in the rounding to eight
    decimals, up to a position of 5.6 million; beyond that it may turn the last of them. Otherwise each fill rounds once
    and multiplies floats a few times.
    """
    floats = max(trade.paid, trade.received) * _FLOAT_STEP
    if trade.fills <= 2:  # noqa: PLR2004 - one entry, one exit
        return ZERO if floats < TOLERANCE / 2 else TOLERANCE + floats
    return trade.fills * (TOLERANCE + floats)


def last_close(klines: Klines) -> Decimal:
    """Return the last close, exact, in the quote asset: it marks what is open at the end."""
    return Decimal(int(klines.frame["close"][-1])).scaleb(-klines.exponents.price)


def average_entry(position: Decimal, entry: Decimal, signed: Decimal, price: Decimal) -> Decimal:
    """Return the average entry price after a fill: adding averages, reducing keeps, flipping starts anew."""
    if not position:
        return price
    after = position + signed
    if not after:
        return ZERO
    if position * signed >= 0:
        return (position * entry + signed * price) / after
    return entry if position * after > 0 else price


def in_order(fills: Sequence[Fill], payments: Sequence[FundingPayment]) -> Iterator[Fill | FundingPayment]:
    """Yield fills and payments by time; at one instant payments come first."""
    due = iter(payments)
    payment = next(due, None)
    for fill in fills:
        while payment is not None and payment.time_ns <= fill.time_ns:
            yield payment
            payment = next(due, None)
        yield fill
    while payment is not None:
        yield payment
        payment = next(due, None)
