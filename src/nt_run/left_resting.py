"""Stop-limit orders that a bar went through and that the engine left resting. Pure.

The engine triggers a sale at the bar's low. If that is beyond the order's limit, and so is the close, the order finds
no market at its limit and rests, where an exchange fills it on the way down, at its trigger.
"""

from collections.abc import Sequence
from itertools import pairwise

from nt_run.klines import Klines
from nt_run.matching import MatchBars, match_bars
from nt_run.model import LIQUIDATION, MS, Fill, format_time
from nt_run.resting import RestingOrder


def find_left(orders: Sequence[RestingOrder], fills: Sequence[Fill], bars: MatchBars) -> list[RestingOrder]:
    """Return the stretches of orders that ended in such a bar, by the time at which they did.

    Args:
        orders: One for each stretch in which an order did not change.
        fills: All fills of the run: what a liquidation comes before is not left.
        bars: What they were matched on.
    """
    lives: dict[str, list[RestingOrder]] = {}
    for order in orders:
        lives.setdefault(order.order_id, []).append(order)
    liquidated = {fill.time_ns for fill in fills if fill.order_type == LIQUIDATION}
    found = [
        waited
        for life in lives.values()
        for waited, after in pairwise(life)
        if waited.ended == "triggered"
        and waited.until_ns not in liquidated
        and after.ended != "refused"
        and (after.ended, after.until_ns) != ("filled", waited.until_ns)
        and _could_take(waited, bars)
    ]
    return sorted(found, key=lambda each: each.until_ns or 0)


def left_warnings(
    orders: Sequence[RestingOrder], fills: Sequence[Fill], klines: Klines, fine: Klines | None
) -> list[str]:
    """Return what a user is to be told of such orders, if there are any."""
    if not any(order.ended == "triggered" for order in orders):
        return []
    if not (left := find_left(orders, fills, match_bars(klines, fine))):
        return []
    many = "1 stop-limit order was" if len(left) == 1 else f"{len(left):,} stop-limit orders were"
    first = format_time((left[0].until_ns or 0) // MS)
    told = (
        f"{many} triggered in a bar that went through the limit and stayed beyond it (the first in the bar up to "
        f"{first} UTC): the engine leaves such an order resting, where an exchange fills it on the way, at its trigger."
    )
    return [told]


def _could_take(order: RestingOrder, bars: MatchBars) -> bool:
    """Tell whether a triggered order was marketable where the market came to its trigger."""
    row = None if order.until_ns is None else bars.ending_at(order.until_ns)
    if row is None or order.price is None or order.trigger is None:
        return False
    sign = order.side.sign
    stood = order.since_ns <= int(bars.opened[row]) * MS
    jumped = stood and sign * (bars.price("open", row) - order.price) > 0
    return sign * (order.price - order.trigger) >= 0 and not jumped
