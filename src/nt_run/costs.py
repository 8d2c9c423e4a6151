"""What a run's fills would have made at other slippage, and where its profit ends. Pure, in `Decimal`.

The books are run again with the same fills at other prices: an order that takes pays reference × (1 ± bp ÷ 10,000), its
fee follows its notional, and everything else (quantities, makers, funding, the last close) stays. So the PnL is a
straight line in the slippage, as long as the account has something to lose. It tells how much slippage the trades could
bear, not what the strategy would have done: with other prices it might have sized or stopped otherwise, or been
liquidated at another bar; the run's own liquidations stay where they were. Prices are not rounded to the tick here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from nt_run.execution import Execution
from nt_run.model import LIQUIDATION, Fill, FundingPayment, Liquidity, Settlement

ZERO = Decimal(0)
RUNGS = tuple(Decimal(bps) for bps in (0, 1, 2, 5, 10))
"""Slippage of the ladder, in basis points."""
_BPS = Decimal(10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostLadder:
    """The change of equity by slippage: `free` (quote asset) without any, less `per_bp` for each basis point.

    An account cannot lose more than it has, `balance`.
    """

    free: Decimal
    per_bp: Decimal
    balance: Decimal

    def net(self, bps: Decimal) -> Decimal:
        """Return the change of equity at `bps` basis points of slippage."""
        return max(self.free - self.per_bp * bps, -self.balance)

    @property
    def break_even_bps(self) -> Decimal | None:
        """The slippage at which nothing is left; `None` where nothing slips or the run loses without any."""
        return self.free / self.per_bp if self.per_bp > 0 and self.free > 0 else None


def cost_ladder(
    fills: Sequence[Fill], payments: Sequence[FundingPayment], last_close: Decimal, balance: Decimal
) -> CostLadder:
    """Return the ladder of a run.

    One basis point costs a fill quantity × reference ÷ 10,000, and the fee of that: a dearer purchase pays more fee, a
    cheaper sale less.

    Args:
        fills: All fills of the run in time order.
        payments: All funding payments of the run in time order.
        last_close: Price that marks what is open at the end.
        balance: Starting balance.
    """
    free = sum((payment.amount for payment in payments), ZERO)
    position = loss = ZERO
    for fill in fills:
        signed = fill.side.sign * fill.quantity
        position += signed
        if not slips(fill):
            free -= signed * fill.price + fill.fee + fill.liquidation
            continue
        fee = fill.fee if fill.price == fill.reference else fill.fee * fill.reference / fill.price
        free -= signed * fill.reference + fee
        loss += fill.quantity * fill.reference + fill.side.sign * fee
    return CostLadder(free=free + position * last_close, per_bp=loss / _BPS, balance=balance)


def slips(fill: Fill) -> bool:
    """Return whether slippage moves such a fill: it takes, and is no liquidation. A limit is not looked at."""
    return fill.liquidity is Liquidity.TAKER and fill.order_type != LIQUIDATION


def costs_object(ladder: CostLadder, execution: Execution) -> dict[str, Any]:
    """Return how orders were filled and the ladder as one object: amounts and basis points as text."""
    most, slippage = ladder.break_even_bps, execution.slippage
    return {
        "fill": execution.fill,
        "slippage_bps": str(slippage.bps),
        "slippage_ticks": slippage.ticks,
        "ladder": [{"slippage_bps": str(bps), "net": f"{ladder.net(bps):.8f}"} for bps in RUNGS],
        "break_even_bps": None if most is None else str(most.quantize(Decimal("0.01"), ROUND_HALF_EVEN)),
    }


def funding_object(settlements: Sequence[Settlement], payments: Sequence[FundingPayment]) -> dict[str, Any]:
    """Return what of the exchange's settlements was charged, and at which prices, as one object of counts."""
    return {
        "settlements": len(settlements),
        "charged": len(payments),
        "at_mark_price": sum(payment.price_source == "mark_price" for payment in payments),
        "at_bar_close": sum(payment.price_source == "last_close" for payment in payments),
    }


def funding_warnings(funding: Mapping[str, Any] | None) -> list[str]:
    """Return what a reader must know of a run's funding, `None` where it was left out on request."""
    if funding is None:
        return ["Funding was left out (--no-funding): an exchange charges it at every settlement."]
    closes, charged = funding["at_bar_close"], funding["charged"]
    if closes:
        return [f"{closes:,} of {charged:,} funding payments had no mark price and were charged at their bar's close."]
    return []
