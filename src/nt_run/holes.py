"""What holes in the klines did to a run: positions held across them, and the PnL that only they explain. Pure.

Nothing is filled in: between the last close before a hole and the first open behind it there is no price, and whatever
a position made in between was made where nobody could act. The price PnL across a hole is

    position × (first open after − last close before)
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from typing import Any

from nt_run.accounting import Trade
from nt_run.klines import Klines, find_gaps
from nt_run.model import MS, Fill, FundingPayment, TimeRange, format_iso


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """A trade that was open across a hole; money is in the quote asset.

    The range may end in a hole: then there is no `open_after`, the position stays valued at the close before it, and
    `price_pnl` is zero.
    """

    hole: TimeRange
    bars: int
    entry_time_ns: int
    exit_time_ns: int | None
    """`None` if the trade is open at the end of the run."""
    trade_pnl: Decimal
    """Net PnL of the whole trade; what is open is valued at its average entry price."""
    position: Decimal
    """Signed quantity held across the hole."""
    close_before: Decimal
    open_after: Decimal | None
    settlements: Sequence[FundingPayment]
    """Funding charged inside the hole."""

    @property
    def price_pnl(self) -> Decimal:
        """Price PnL made across the hole."""
        return Decimal(0) if self.open_after is None else self.position * (self.open_after - self.close_before)


def find_crossings(
    klines: Klines,
    expected: TimeRange,
    trades: Sequence[Trade],
    fills: Sequence[Fill],
    payments: Sequence[FundingPayment],
) -> list[Crossing]:
    """Return every trade that was open across a hole, hole by hole in time order.

    Args:
        klines: The bars of the run.
        expected: The range that should be full of them.
        trades: All trades, built from `fills` and `payments`.
        fills: All fills in time order; one at the close of the last bar before a hole is held across it.
        payments: All funding payments; one that was charged after that close and up to the hole's end is inside it.
    """
    crossings: list[Crossing] = []
    opened = klines.open_times()
    filled, entered = [fill.time_ns for fill in fills], [trade.entry_time_ns for trade in trades]
    held = list(accumulate((fill.side.sign * fill.quantity for fill in fills), initial=Decimal(0)))
    for gap in find_gaps(klines, expected):
        hole, start_ns, end_ns = gap.range, gap.range.start_ms * MS, gap.range.end_ms * MS
        if not (position := held[bisect_right(filled, start_ns)]):
            continue
        trade = trades[bisect_right(entered, start_ns) - 1]
        after = int(opened.searchsorted(hole.start_ms))
        crossings.append(
            Crossing(
                hole=hole,
                bars=hole.bars(klines.interval),
                entry_time_ns=trade.entry_time_ns,
                exit_time_ns=trade.exit_time_ns,
                trade_pnl=trade.pnl,
                position=position,
                close_before=_price(klines, "close", after - 1),
                open_after=_price(klines, "open", after) if after < len(klines) else None,
                settlements=[payment for payment in payments if start_ns < payment.time_ns <= end_ns],
            )
        )
    return crossings


def _price(klines: Klines, column: str, row: int) -> Decimal:
    return Decimal(int(klines.frame[column][row])).scaleb(-klines.exponents.price)


def crossings_object(crossings: Sequence[Crossing]) -> dict[str, Any]:
    """Return what positions held across holes made there as one object: per trade and hole, and the sums."""
    paid = [payment for each in crossings for payment in each.settlements]
    return {
        "price": _money(sum((each.price_pnl for each in crossings), Decimal(0))),
        "funding": _money(sum((payment.amount for payment in paid), Decimal(0))),
        "crossings": [
            {
                "hole": {
                    "start": format_iso(each.hole.start_ms),
                    "end": format_iso(each.hole.end_ms),
                    "bars": each.bars,
                },
                "entry": format_iso(each.entry_time_ns // MS),
                "exit": None if each.exit_time_ns is None else format_iso(each.exit_time_ns // MS),
                "position": f"{each.position:f}",
                "close_before": f"{each.close_before:f}",
                "open_after": None if each.open_after is None else f"{each.open_after:f}",
                "price": _money(each.price_pnl),
                "trade_pnl": _money(each.trade_pnl),
                "settlements": [
                    {
                        "time": format_iso(payment.time_ns // MS),
                        "price": f"{payment.price:f}",
                        "price_source": payment.price_source,
                        "amount": _money(payment.amount),
                    }
                    for payment in each.settlements
                ],
            }
            for each in crossings
        ],
    }


def _money(value: Decimal) -> str:
    return f"{value:.8f}"
