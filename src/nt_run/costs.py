"""What a run's fills would have made at other slippage, and where its profit ends. Pure: exact prices, in integers.

The same fills meet other prices by the run's own rule: an order that takes pays reference × (1 ± bp ÷ 10,000), rounded
against it to what prices are multiples of, its fee follows its notional, and everything else (quantities, makers,
funding, the last close) stays. So the PnL falls in steps as slippage grows: the first hundredth of a basis point costs
each fill a whole tick. It tells how much slippage the trades could bear, not what the strategy would have done: with
other prices it might have sized or stopped otherwise, or been liquidated at another bar; the run's own liquidations
stay where they were. The limit of an order that takes is not looked at.
"""

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import numpy as np
import polars as pl

from nt_run.execution import Execution
from nt_run.model import LIQUIDATION, Fill, FundingPayment, Liquidity, Settlement, Side

ZERO = Decimal(0)
RUNGS = tuple(Decimal(bps) for bps in (0, 1, 2, 5, 10))
"""Slippage of the ladder, in basis points."""
_BPS = Decimal(10_000)
_HUNDREDTH = Decimal("0.01")
_LAST = Decimal("1e-8")
"""The last decimal of prices and amounts, in the quote asset."""
_LARGE = 2**62


class CostLadder:
    """The change of equity by slippage, of fills that slip."""

    def __init__(self, fills: pl.DataFrame, *, net: Decimal, price_step: Decimal, balance: Decimal) -> None:
        """Take the fills of a run.

        Args:
            fills: All of them, as the run folder has them.
            net: The change of equity that the run made, in the quote asset.
            price_step: What prices are multiples of: the tick size, or the klines' own step where they are finer.
            balance: Starting balance: an account cannot lose more than it has.
        """
        fills = fills.filter((pl.col("liquidity") == Liquidity.TAKER) & (pl.col("order_type") != LIQUIDATION))
        self.price_step, self._net, self._balance = price_step, net, balance
        paid, reference = (fills[name].to_physical().cast(pl.Int64).to_numpy() for name in ("price", "reference"))
        step = int(price_step / _LAST)
        unit = int(np.gcd.reduce(np.concatenate([[step], paid, reference])))
        self._step, self._paid, self._reference = step // unit, paid // unit, reference // unit
        self._sign = np.where(fills["side"].to_numpy() == Side.BUY, 1, -1)
        quantity, fee = (fills[name].cast(pl.Float64).to_numpy() for name in ("quantity", "fee"))
        self._cost = quantity * self._sign * float(unit * _LAST) + fee / self._paid
        """What one unit of price more takes from equity, the fee of it included."""

    def net(self, bps: Decimal) -> Decimal:
        """Return the change of equity at `bps` basis points of slippage, to 1e-8 of the quote asset."""
        less = float(((self._prices(bps) - self._paid).astype(np.float64) * self._cost).sum())
        return max(self._net - Decimal(less), -self._balance).quantize(_LAST, ROUND_HALF_EVEN)

    @property
    def break_even_bps(self) -> Decimal | None:
        """The largest slippage, in hundredths of a basis point, at which the net is not below zero.

        `None` where the run makes no profit without any, and where it is never gone: nothing slips, or sales alone,
        which get one step of the price at least.
        """
        if self.net(ZERO) <= 0:
            return None
        within, beyond, whole_price = 0, 1, int(_BPS / _HUNDREDTH)
        while self.net(beyond * _HUNDREDTH) >= 0:
            if beyond >= whole_price and not np.any(self._sign > 0):
                return None
            within, beyond = beyond, 2 * beyond
        while beyond - within > 1:
            middle = (within + beyond) // 2
            within, beyond = (middle, beyond) if self.net(middle * _HUNDREDTH) >= 0 else (within, middle)
        return within * _HUNDREDTH

    def _prices(self, bps: Decimal) -> np.ndarray:
        """Return what the fills pay or get: their references where nothing slips."""
        if not bps:
            return self._reference
        part, whole = (bps / _BPS).as_integer_ratio()
        largest = int(self._reference.max(initial=0)) * (whole + part)
        reference = self._reference.astype(np.int64 if largest < _LARGE else np.object_)
        # A floor division rounds down: of the negative price of a purchase, that is up.
        moved = -self._sign * reference * (whole + self._sign * part)
        return np.maximum(-self._sign * (moved // (whole * self._step)), 1) * self._step


def costs_object(ladder: CostLadder, execution: Execution) -> dict[str, Any]:
    """Return how orders were filled and the ladder as one object: amounts, prices and basis points as text."""
    most, slippage = ladder.break_even_bps, execution.slippage
    return {
        "fill": execution.fill,
        "slippage_bps": str(slippage.bps),
        "slippage_ticks": slippage.ticks,
        "price_step": f"{ladder.price_step.normalize():f}",
        "ladder": [{"slippage_bps": str(bps), "net": f"{ladder.net(bps):.8f}"} for bps in RUNGS],
        "break_even_bps": None if most is None else str(most),
    }


def funding_object(
    settlements: Sequence[Settlement], payments: Sequence[FundingPayment], fills: Sequence[Fill]
) -> dict[str, Any]:
    """Return what of the exchange's settlements was charged, and at which prices, as one object of counts.

    `filled_before` are the settlements at the end of a bar inside which orders filled that had rested: a bar does not
    tell when, and the position before it is what was charged.
    """
    inside = {fill.time_ns for fill in fills if fill.order_type not in {"market", LIQUIDATION}}
    return {
        "settlements": len(settlements),
        "charged": len(payments),
        "at_mark_price": sum(payment.price_source == "mark_price" for payment in payments),
        "at_bar_close": sum(payment.price_source == "last_close" for payment in payments),
        "filled_before": sum(settlement.time_ns in inside for settlement in settlements),
    }


def funding_warnings(funding: Mapping[str, Any] | None) -> list[str]:
    """Return what a reader must know of a run's funding, `None` where it was left out on request."""
    if funding is None:
        return ["Funding was left out (--no-funding): an exchange charges it at every settlement."]
    told: list[str] = []
    closes, charged, inside = funding["at_bar_close"], funding["charged"], funding["filled_before"]
    if closes:
        told.append(
            f"{closes:,} of {charged:,} funding payments had no mark price and were charged at their bar's close."
        )
    if inside:
        which = f"{inside:,} of {funding['settlements']:,} settlements"
        told.append(f"Orders filled inside the bars that end at {which}: the position before them was charged.")
    return told
