"""What a kept run held, and what stood behind it, from its fills and payments. Pure, in `Decimal`.

A position is liquidated where what is left of its margin is nothing, at the mark price:

    left(price) = wallet + position × (price − entry) − (notional × rate − cum)

with the signed position, notional = |position| × price, and rate and cum of the bracket that holds the notional. The
wallet is the position's own margin, never more than the balance (isolated), or the whole balance (cross). Like
`replay`, this shares no line with the engine and the books.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nt_run.model import LIQUIDATION, Fill, FundingPayment, Liquidity

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Notionals up to `cap` (quote asset, the last may be infinite): `rate` is a fraction, `cum` in the quote asset."""

    floor: Decimal
    cap: Decimal
    rate: Decimal
    cum: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginTerms:
    """What a run says its positions were margined by; fees are fractions of notional, `tick` is in the quote asset."""

    mode: Literal["isolated", "cross"]
    leverage: Decimal
    tiers: Sequence[Tier]
    taker: Decimal
    liquidation_fee: Decimal
    tick: Decimal

    def required(self, notional: Decimal) -> Decimal:
        """Return the maintenance margin of a notional."""
        tier = next((each for each in self.tiers if notional <= each.cap), self.tiers[-1])
        return notional * tier.rate - tier.cum


@dataclass(frozen=True, slots=True)
class Held:
    """A position with what stands behind it, in the quote asset; `cash` is the balance, without open profit.

    `funding` is what it received since it was opened, and negative what it paid: the share of what is still open.
    """

    position: Decimal
    entry: Decimal
    margin: Decimal
    cash: Decimal
    funding: Decimal = ZERO

    @property
    def sign(self) -> int:
        """+1 for a long, −1 for a short."""
        return 1 if self.position > 0 else -1

    def wallet(self, terms: MarginTerms) -> Decimal:
        """Return what stands behind the position, its open profit aside."""
        return self.cash if terms.mode == "cross" else min(self.margin, self.cash)

    def profit(self, price: Decimal) -> Decimal:
        """Return the open profit at a price."""
        return self.position * (price - self.entry)

    def left(self, price: Decimal, terms: MarginTerms) -> Decimal:
        """Return what the definition leaves of the margin at a price."""
        return self.wallet(terms) + self.profit(price) - terms.required(abs(self.position) * price)

    def paid(self, payment: FundingPayment) -> "Held":
        """Return the position after a settlement, which its margin pays."""
        amount = -self.position * payment.price * payment.rate
        return replace(self, margin=self.margin + amount, cash=self.cash + amount, funding=self.funding + amount)

    def filled(self, fill: Fill, leverage: Decimal) -> "Held":
        """Return the position after a fill: an opening brings notional ÷ leverage, a closing takes its share."""
        signed, position, entry = fill.side.sign * fill.quantity, self.position, self.entry
        margin, funding = self.margin, self.funding
        cash = self.cash - fill.fee - fill.liquidation
        if signed == -position:
            return Held(ZERO, ZERO, ZERO, cash + position * (fill.price - entry))
        if not position:
            return Held(signed, fill.price, fill.quantity * fill.price / leverage, cash)
        if position * signed < 0:
            closed = min(abs(signed), abs(position))
            cash += self.sign * closed * (fill.price - entry)
            kept = 1 - closed / abs(position)
            margin, funding = margin * kept, funding * kept
            position, signed = position - self.sign * closed, signed + self.sign * closed
        if signed:
            entry = (position * entry + signed * fill.price) / (position + signed)
            margin = (margin if position else ZERO) + abs(signed) * fill.price / leverage
            position += signed
        return Held(position, entry, margin, cash, funding)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What was held from one event to the next.

    `before[k]` is what the account was ahead of event k, and the last one what it is at the end. `due[k]` (ns) is the
    time from which event k counts where a bar is held against its extremes: what a bar's own matching filled counts at
    its end, what was sent at the end only after it. `resting` are the events that a bar's matching filled.
    """

    events: Sequence[Fill | FundingPayment]
    before: Sequence[Held]
    due: NDArray[np.int64]
    resting: Sequence[int]

    @property
    def forced(self) -> list[tuple[int, Fill]]:
        """The liquidations, with their numbers among the events."""
        return [
            (number, event)
            for number, event in enumerate(self.events)
            if isinstance(event, Fill) and event.order_type == LIQUIDATION
        ]


def follow(
    fills: Sequence[Fill],
    payments: Sequence[FundingPayment],
    sent: Mapping[str, int],
    *,
    balance: Decimal,
    leverage: Decimal,
) -> Course:
    """Return what a run held, from its fills and payments.

    Args:
        fills: In the order in which they happened.
        payments: In time order; at one instant they come before the fills.
        sent: When each order that rested was sent (ns), by its id: an order cannot fill against a path before that.
        balance: Starting balance.
        leverage: What the margin of an opened position is its notional divided by.
    """
    events: list[Fill | FundingPayment] = [*payments, *fills]
    events.sort(key=lambda each: (each.time_ns, isinstance(each, Fill)))
    held, before, due, resting = Held(ZERO, ZERO, ZERO, balance), list[Held](), list[int](), list[int]()
    for number, event in enumerate(events):
        before.append(held)
        late = 0
        if isinstance(event, FundingPayment):
            held = held.paid(event)
        else:
            # A limit order that takes was marketable when it was sent or changed: at the end of a bar.
            at_end = event.order_type == "limit" and event.liquidity is Liquidity.TAKER
            at_end = at_end or event.order_type in {"market", LIQUIDATION}
            met = not at_end and sent.get(event.order_id, 0) < event.time_ns
            resting += [number] if met else []
            late = 0 if met else 1
            held = held.filled(event, leverage)
        due.append(event.time_ns + late)
    return Course(
        events=events, before=[*before, held], due=np.maximum.accumulate(np.array(due, dtype=np.int64)), resting=resting
    )
