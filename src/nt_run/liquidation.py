"""Liquidation as far as it is arithmetic: can it happen in a run at all, which prices decide, what was lost.

Mark prices decide on the exchange. A kline of mark prices says how far they went within a bar; without one the bar's
own extremes stand in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from nt_run.klines import Klines
from nt_run.margin import MarginMode, MarginRules
from nt_run.matching import replaced
from nt_run.model import Fees, Fill, FundingRate, Side, format_iso
from nt_run.sizing import to_step

MARK_KLINES, BAR_EXTREMES, NOT_REACHABLE = "mark klines", "bar extremes", "not reachable"
GROWTH = 10
"""How many times its start an account may grow to before `is_reachable` has to be asked again."""
_CENT = Decimal("1e-8")
_MARK_BEYOND_LAST = Decimal("0.1")
"""How far beyond the last prices' extremes the mark price is taken to go, as a fraction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Liquidation:
    """One position the exchange closed. Money in the quote asset; what is lost counts as positive.

    `price` is the liquidation price, rounded to the tick against the trader. `lost` is what the position cost from its
    entry to its end, trading fees aside: the loss of price, what was charged for the liquidation, and the funding paid
    since (less what was received), of which a partial close takes its share as it does of the margin. Isolated, that is
    the margin that was put up.
    """

    time_ns: int
    order_id: str
    side: Side
    quantity: Decimal
    entry_price: Decimal
    price: Decimal
    lost: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginPlan:
    """How the positions of a run are margined; `followed` is false where none can come near its liquidation price.

    Without `marks`, klines of mark prices, the bars' own extremes decide.
    """

    mode: MarginMode
    rules: MarginRules
    followed: bool = True
    marks: Klines | None = None
    fine_marks: Klines | None = None
    """Mark klines of the finer bars a run uses, of their interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extremes:
    """Lowest and highest price per bar that decide on liquidation, scaled by 10^`exponent`; when it ends in UTC ms.

    `source` names where they are from; `missing` counts bars without a mark kline, which have their own extremes.
    """

    closed: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    exponent: int
    source: str
    missing: int


def find_extremes(klines: Klines, marks: Klines | None) -> Extremes:
    """Return the deciding extremes of each bar: those of its mark kline, or where there is none its own."""
    low, high = (klines.frame[name].to_numpy() for name in ("low", "high"))
    closed = klines.close_times()
    if marks is None:
        own, missing = klines.exponents.price, len(klines)
        return Extremes(closed=closed, low=low, high=high, exponent=own, source=BAR_EXTREMES, missing=missing)
    exponent = max(klines.exponents.price, marks.exponents.price)
    own, theirs = 10 ** (exponent - klines.exponents.price), 10 ** (exponent - marks.exponents.price)
    mark = marks.frame.select("open_time", mark_low=pl.col("low") * theirs, mark_high=pl.col("high") * theirs)
    joined = klines.frame.select("open_time").join(mark, on="open_time", how="left", maintain_order="left")
    return Extremes(
        closed=closed,
        low=joined["mark_low"].fill_null(pl.Series(low * own)).to_numpy(),
        high=joined["mark_high"].fill_null(pl.Series(high * own)).to_numpy(),
        exponent=exponent,
        source=MARK_KLINES,
        missing=joined["mark_low"].null_count(),
    )


def match_extremes(klines: Klines, fine: Klines | None, plan: MarginPlan) -> Extremes:
    """Return the deciding extremes of each bar orders are matched on, in the order of `match_bars`.

    Finer bars without mark klines of their own have their own extremes; so that no mark price is lost, the last one of
    each bar also has those of the bar's mark kline.
    """
    whole = find_extremes(klines, plan.marks)
    if fine is None:
        return whole
    finer = find_extremes(fine, plan.fine_marks)
    exponent = max(whole.exponent, finer.exponent)
    kept = ~replaced(klines, fine)
    up, up_finer = 10 ** (exponent - whole.exponent), 10 ** (exponent - finer.exponent)
    low, high = finer.low * up_finer, finer.high * up_finer
    if plan.marks is not None and plan.fine_marks is None:
        known = ~kept & np.isin(klines.open_times(), plan.marks.open_times())
        last = np.isin(finer.closed, whole.closed[known])
        low[last] = np.minimum(low[last], whole.low[known] * up)
        high[last] = np.maximum(high[last], whole.high[known] * up)
    order = np.argsort(np.concatenate([klines.open_times()[kept], fine.open_times()]))
    return Extremes(
        closed=np.concatenate([whole.closed[kept], finer.closed])[order],
        low=np.concatenate([whole.low[kept] * up, low])[order],
        high=np.concatenate([whole.high[kept] * up, high])[order],
        exponent=exponent,
        source=whole.source,
        missing=whole.missing,
    )


def is_reachable(
    klines: Klines,
    rates: Sequence[FundingRate],
    rules: MarginRules,
    fees: Fees,
    *,
    leverage: Decimal,
    balance: Decimal,
) -> bool:
    """Return whether any position at `leverage` could be liquidated within the prices of `klines`.

    Safe and not exact: entries may be at any price, all funding goes against the position, the mark price goes a tenth
    beyond the last one. With wallet ≥ notional ÷ leverage, less what funding and fees take, and a maintenance margin
    of at most r of the notional, a long is liquidated no higher than entry × (1 − 1 ÷ leverage + taken) ÷ (1 − r), a
    short no lower than entry × (1 + 1 ÷ leverage − taken) ÷ (1 + r). The rate r is that of an account grown `GROWTH`
    times; `outgrown` tells whether one grew more.
    """
    scale = Decimal(1).scaleb(-klines.exponents.price)
    lowest, highest = (Decimal(int(value)) * scale for value in (_least(klines, "low"), _most(klines, "high")))
    spread = highest / lowest
    notional = balance * GROWTH * leverage * spread
    rate = rules.maintenance_margin(notional) / notional
    taken = spread * (sum((abs(one.rate) for one in rates), Decimal(0)) + 2 * fees.taker)
    long_at = highest * (1 - 1 / leverage + taken) / (1 - rate)
    short_at = lowest * (1 + 1 / leverage - taken) / (1 + rate)
    return lowest * (1 - _MARK_BEYOND_LAST) <= long_at or highest * (1 + _MARK_BEYOND_LAST) >= short_at


def outgrown(fills: Sequence[Fill], leverage: Decimal, balance: Decimal) -> bool:
    """Return whether a position was larger than `is_reachable` took for granted."""
    position, largest = Decimal(0), Decimal(0)
    for fill in fills:
        position += fill.side.sign * fill.quantity
        largest = max(largest, abs(position) * fill.price)
    return largest > balance * GROWTH * leverage


def _listed(liquidations: Sequence[Liquidation]) -> list[dict[str, Any]]:
    return [
        {
            "time": format_iso(one.time_ns // 1_000_000),
            "side": "long" if one.side is Side.BUY else "short",
            "quantity": f"{one.quantity:f}",
            "entry_price": f"{one.entry_price:.8f}",
            "price": f"{one.price:f}",
            "lost": f"{one.lost:.8f}",
        }
        for one in liquidations
    ]


def margin_object(
    plan: MarginPlan, klines: Klines, leverage: Decimal, liquidations: Sequence[Liquidation]
) -> dict[str, Any]:
    """Return `margin` (mode, brackets, the prices that liquidation went by) and `liquidations` of a run."""
    return {"margin": _rules(plan, klines, leverage), "liquidations": _listed(liquidations)}


def closing_terms(
    position: Decimal, entry: Decimal, behind: Decimal, exact: Decimal, *, tick: Decimal, fee_rate: Decimal | None
) -> tuple[Decimal, Decimal, Decimal]:
    """Return the price of a liquidation, the profit it realises and what is charged for it (quote asset).

    Where a tick is worth more than the maintenance margin, the price is rounded in the trader's favour: he never loses
    more than what stands behind the position.

    Args:
        position: Signed, in the base asset.
        entry: Its average price.
        behind: What stands behind it, its open profit aside, in the quote asset.
        exact: The liquidation price, not rounded.
        tick: What the price is rounded to.
        fee_rate: What is charged at most, as a fraction of notional; `None` takes all that is left.
    """
    against, other = (ROUND_FLOOR, ROUND_CEILING) if position > 0 else (ROUND_CEILING, ROUND_FLOOR)
    price = max(to_step(exact, tick, against), tick)
    if behind + position * (price - entry) < 0:
        price = max(to_step(exact, tick, other), tick)
    profit = position * (price - entry)
    left = max(behind + profit, Decimal(0))
    if fee_rate is not None:
        left = min(left, abs(position) * price * fee_rate)
    return price, profit, left.quantize(_CENT, ROUND_DOWN)


def _rules(plan: MarginPlan, klines: Klines, leverage: Decimal) -> dict[str, Any]:
    rules, extremes = plan.rules, find_extremes(klines, plan.marks) if plan.followed else None
    most = rules.largest_notional(leverage)
    return {
        "mode": plan.mode,
        "leverage": f"{leverage:f}",
        "max_notional": f"{most:f}" if most.is_finite() else None,
        **brackets_object(rules),
        "liquidation_prices": NOT_REACHABLE if extremes is None else extremes.source,
        "bars_without_mark": 0 if extremes is None else extremes.missing,
    }


def brackets_object(rules: MarginRules) -> dict[str, Any]:
    """Return a contract's leverage brackets, and where they are from, as one object."""
    return {
        "max_leverage": f"{rules.max_leverage.normalize():f}",
        "brackets_source": rules.source,
        "brackets_as_of": None if rules.as_of_ms is None else format_iso(rules.as_of_ms),
        "brackets_known": rules.known,
        "brackets": [
            {
                "floor": f"{one.floor:f}",
                "cap": f"{one.cap:f}" if one.cap.is_finite() else None,
                "rate": f"{one.rate:f}",
                "max_leverage": f"{one.max_leverage.normalize():f}",
                "cum": f"{one.cum.normalize():f}",
            }
            for one in rules.brackets
        ],
    }


def _least(klines: Klines, column: str) -> int:
    return int(klines.frame[column].to_numpy().min())


def _most(klines: Klines, column: str) -> int:
    return int(klines.frame[column].to_numpy().max())
