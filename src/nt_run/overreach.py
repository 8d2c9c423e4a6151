"""Stops that opened a position the account had no margin for. Pure.

The exchange looks at the margin of a stop when it is triggered, and refuses it then; here it counts from when it is
sent. So a stop that was to close a position, and outlived it, opens one for which nobody asked for margin.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from nt_run.formats import counted
from nt_run.model import MS, TRIGGERED, Fill, FundingPayment, format_time

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Overreach:
    """A fill in the time of `time_ns`, after which the position was `times` the equity."""

    time_ns: int
    times: Decimal


def find_overreach(
    fills: Sequence[Fill], payments: Sequence[FundingPayment], *, balance: Decimal, leverage: Decimal
) -> list[Overreach]:
    """Return the fills of triggered orders that opened or enlarged a position beyond equity × leverage.

    Args:
        fills: All fills in time order.
        payments: All funding payments in time order.
        balance: What the account began with, in the quote asset.
        leverage: Of the account.
    """
    found: list[Overreach] = []
    cash, position, paid = balance, ZERO, 0
    for fill in fills:
        while paid < len(payments) and payments[paid].time_ns <= fill.time_ns:
            cash += payments[paid].amount
            paid += 1
        equity, after = cash + position * fill.price, position + fill.side.sign * fill.quantity
        opens = abs(after) > abs(position) or after * position < 0
        if fill.order_type in TRIGGERED and opens and abs(after) * fill.price > equity * leverage:
            found.append(
                Overreach(fill.time_ns, abs(after) * fill.price / equity if equity > 0 else Decimal("Infinity"))
            )
        cash -= fill.side.sign * fill.quantity * fill.price + fill.fee + fill.liquidation
        position = after
    return found


def overreach_warnings(found: Sequence[Overreach], leverage: Decimal) -> list[str]:
    """Return what to tell of them."""
    if not found:
        return []
    worst = max(found, key=lambda each: each.times)
    what = f"{counted(len(found), 'stop order')} opened a position beyond the account's margin"
    when = f"{format_time(worst.time_ns // MS)} at leverage {leverage.normalize():f}"
    why = "The exchange looks at margin when a stop is triggered, and would have refused it"
    return [
        f"{what}, at worst {worst.times:,.1f} times its equity, {when}. {why}. Mark stops that only close reduce-only."
    ]
