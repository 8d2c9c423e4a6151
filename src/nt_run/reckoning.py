"""Cost ladder, counts, risk, filters and ambiguity of a report, reckoned again from what its run folder has. Pure.

The ladder is found by booking every fill again at other prices, from nothing; `costs` takes what they change from the
net of the books. What the folder does not have (what the sizer asked for, orders that never reached the market) is held
to itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from nt_run.model import (
    LIQUIDATION,
    MS,
    STOPS,
    Fill,
    FundingPayment,
    Liquidity,
    Settlement,
    Violation,
    format_iso,
)
from nt_run.replay import ReplayedTrade

ZERO = Decimal(0)
_SLACK = Decimal("1e-6")
"""Quote asset."""
_HALF_RUNG = Decimal("0.005")
"""Basis points: half of the last decimal of a break-even."""
_RUIN = Decimal(10) ** 9
"""Basis points, at which whatever slips a purchase has cost more than any run makes."""
_DIGITS = 8
"""Decimals of prices and quantities in a run folder."""
_CUT_BY = {
    "leverage": "margin",
    "bracket": "leverage bracket",
    "market max quantity": "MARKET_LOT_SIZE",
    "max quantity": "LOT_SIZE",
}

type Told = Iterator[tuple[str, object, object]]
"""What, expected, found."""


def named(where: str, told: Told) -> list[Violation]:
    """Return what differs as violations, each under the part of the report it is in."""
    return [Violation("figures", f"{where}.{what}", None, str(ours), str(theirs)) for what, ours, theirs in told]


class Rebooking:
    """The fills of a run from `balance`, to be booked again at other prices; all but fees are exact integers.

    Fees follow the notional; makers, liquidations, funding and the last close stay.
    """

    def __init__(
        self, fills: Sequence[Fill], payments: Sequence[FundingPayment], last_close: Decimal, balance: Decimal
    ) -> None:
        moved = [one for one in fills if one.liquidity is Liquidity.TAKER and one.order_type != LIQUIDATION]
        kept = [one for one in fills if one.liquidity is not Liquidity.TAKER or one.order_type == LIQUIDATION]
        got = sum((payment.amount for payment in payments), ZERO)
        spent = sum((one.side.sign * one.quantity * one.price + one.fee + one.liquidation for one in kept), ZERO)
        held = sum((one.side.sign * one.quantity for one in fills), ZERO)
        self._rest, self._balance = got - spent + held * last_close, balance
        self._sign = np.array([one.side.sign for one in moved], dtype=np.object_)
        columns = ([int(getattr(one, name).scaleb(_DIGITS)) for one in moved] for name in ("quantity", "reference"))
        self._quantity, self._reference = (np.array(each, dtype=np.object_) for each in columns)
        # The fee of one unit of price: whatever a fill pays, its fee is that share of it.
        self._fee = np.array([float(one.fee / one.price) for one in moved])

    def net(self, bps: Decimal, step: Decimal | None) -> Decimal:
        """Return what the run would have made had its takers slipped by `bps`; no account loses more than it has.

        Prices are rounded to the next `step` against the trader, and a sale gets one at least; `None` rounds none.
        """
        points, whole = (bps / 10_000).as_integer_ratio()
        # What is got counts as negative: up is against the trader on both sides.
        price: np.ndarray = self._sign * self._reference * (whole + self._sign * points)
        if step is not None and bps:
            unit = whole * int(step.scaleb(_DIGITS))
            price = -(-price // unit) * unit
            price = np.where(self._sign < 0, np.minimum(price, -unit), price)
        worth = whole * 10**_DIGITS
        spent = Decimal(int((self._quantity * price).sum())) / (worth * 10**_DIGITS)
        fees = Decimal(float((self._fee * np.abs(price).astype(np.float64)).sum())) / worth
        return max(self._rest - spent - fees, -self._balance)


def check_costs(costs: Mapping[str, Any], booked: Rebooking, price_step: Decimal) -> Told:
    """Yield what is wrong with the cost ladder of a report and its break-even; earlier versions rounded no price."""
    step, edges = price_step, (ZERO, 2 * _HALF_RUNG)
    if "price_step" not in costs:
        step, edges = None, (-_HALF_RUNG, _HALF_RUNG)
    elif Decimal(costs["price_step"]) != price_step:
        yield "price_step", f"{price_step:f}", costs["price_step"]
    for rung in costs["ladder"]:
        if abs((net := booked.net(Decimal(rung["slippage_bps"]), step)) - Decimal(rung["net"])) > _SLACK:
            yield f"ladder at {rung['slippage_bps']} bp", f"{net:.8f}", rung["net"]
    free, stated = booked.net(ZERO, step), costs["break_even_bps"]
    if stated is None:
        if free > _SLACK and booked.net(_RUIN, step) < -_SLACK:
            yield "break_even_bps", "some slippage", "none"
        return
    most, least = (booked.net(max(Decimal(stated) + edge, ZERO), step) for edge in edges)
    if not least - _SLACK <= 0 <= most + _SLACK:
        yield "break_even_bps", "where the net is 0", f"{stated}, where it is {booked.net(Decimal(stated), step):.8f}"


def check_charged(
    funding: Mapping[str, Any],
    settlements: Sequence[Settlement],
    payments: Sequence[FundingPayment],
    fills: Sequence[Fill],
) -> Told:
    """Yield which counts of settlements are wrong; reports of earlier versions do not have the last one."""
    sources = [payment.price_source for payment in payments]
    expected = {
        "settlements": len(settlements),
        "charged": len(payments),
        "at_mark_price": sources.count("mark_price"),
        "at_bar_close": sources.count("last_close"),
    }
    if "filled_before" in funding:
        rested = {fill.time_ns for fill in fills if fill.order_type not in {"market", LIQUIDATION}}
        expected["filled_before"] = len(rested & {one.time_ns for one in settlements})
    yield from ((name, value, funding[name]) for name, value in expected.items() if value != funding[name])


def check_risk(risk: Mapping[str, Any], trades: Sequence[ReplayedTrade], fills: Sequence[Fill]) -> Told:
    """Yield what is wrong with the risk audit: how many trades ended at a stop, and what the worst of them lost."""
    stopped, compared = _stopped(fills), risk["stopped"] + risk["unmatched"]
    if stopped != compared:
        yield "stopped and unmatched", stopped, compared
    worst = risk["worst"]
    if (worst is None) != (not risk["stopped"]):
        yield "worst", "one if any was stopped", "none" if worst is None else "one"
    if worst is None:
        return
    trade = next((each for each in trades if _is(each, worst)), None)
    if trade is None or trade.exit_time is None:
        yield "worst", "a closed trade of the run", f"{worst['side']} {worst['quantity']} of {worst['entry']}"
        return
    asked = Decimal(worst["asked"])
    over = -trade.pnl - asked
    if "with_funding" in risk:  # in reports of earlier versions funding counted
        over += trade.funding
    yield from _check_worst(worst, trade, over)
    if abs(over - Decimal(risk["max_over"])) > _SLACK:
        yield "max_over", f"{over:.8f}", risk["max_over"]
    if abs(float(over / asked) - risk["max_over_share"]) > float(_SLACK):
        yield "max_over_share", f"{over / asked:.8f}", risk["max_over_share"]
    least, most = int(over > _SLACK), risk["stopped"] if over > -_SLACK else 0
    if not least <= risk["over"] <= most:
        yield "over", f"{least} … {most}", risk["over"]


def _check_worst(worst: Mapping[str, Any], trade: ReplayedTrade, over: Decimal) -> Told:
    """Yield which amounts of the worst trade are wrong."""
    slipped = -trade.slippage
    money = {
        "realised": -trade.pnl,
        "over": over,
        "fees": trade.fee,
        "funding": -trade.funding,
        "slippage": slipped,
        "price": -trade.pnl - trade.fee + trade.funding - slipped,
    }
    for name, value in money.items():
        if abs(value - Decimal(worst[name])) > _SLACK:
            yield f"worst.{name}", f"{value:.8f}", worst[name]


def _is(trade: ReplayedTrade, row: Mapping[str, Any]) -> bool:
    same = format_iso(trade.entry_time // MS) == row["entry"] and trade.side.value == row["side"]
    return same and trade.quantity == Decimal(row["quantity"])


def _stopped(fills: Sequence[Fill]) -> int:
    """How many positions the last fill of which was a stop's ended, or turned round."""
    position, count = ZERO, 0
    for fill in fills:
        after = position + fill.side.sign * fill.quantity
        count += bool(position) and position * after <= 0 and fill.order_type in STOPS
        position = after
    return count


def check_filters(
    filters: Mapping[str, Any], denied: Mapping[str, int], capped: Mapping[str, int], by: Mapping[str, str | None]
) -> Told:
    """Yield where the filter ledger does not add up to what the report has of refusals and cuts.

    Args:
        filters: The ledger of the report.
        denied: How many orders were refused, by reason.
        capped: How many entries were cut, by what cut them.
        by: Which filter each of these reasons is about.
    """
    ledger: dict[str, Any] = filters["by_filter"]
    refused, cut = dict.fromkeys(ledger, 0), dict.fromkeys(ledger, 0)
    for reason, count in denied.items():
        if (name := by[reason]) is not None:
            refused[name] += count
    for limit, count in capped.items():
        cut[_CUT_BY[limit]] += count
    for name, row in ledger.items():
        expected = {"refused": refused[name], "capped": cut[name]}
        expected |= {"rounded": 0} if name != "LOT_SIZE" else {}
        yield from ((f"{name}.{what}", value, row[what]) for what, value in expected.items() if value != row[what])
    lost, most = filters["lost"], sum(refused.values())
    if not 0 <= lost["count"] <= most or {each is None for each in (lost["first"], lost["last"])} != {
        not lost["count"]
    }:
        yield "lost", f"at most {most} entries, with their times", lost
    elif lost["count"] and not lost["first"] <= lost["last"]:
        yield "lost", "the first before the last", lost


def check_bounds(ambiguity: Mapping[str, Any], *, net: Decimal, balance: Decimal, bars: int) -> Told:
    """Yield what is wrong with the bounds of a report's PnL: worst ≤ chosen ≤ best, and what its bars add up to."""
    pnl, listed = {name: Decimal(text) for name, text in ambiguity["pnl"].items()}, ambiguity["listed"]
    if not pnl["worst"] <= pnl["chosen"] <= pnl["best"]:
        yield "pnl", "worst ≤ chosen ≤ best", " … ".join(str(pnl[name]) for name in ("worst", "chosen", "best"))
    sums = {name: sum((Decimal(row[name]) for row in listed), ZERO) for name in ("worst", "best")}
    expected = {
        "worst": max(net + sums["worst"], min(net, -balance)),
        "chosen": net,
        "best": net + sums["best"],
    }
    # Each line of the list is rounded by itself.
    slack = _SLACK + len(listed) * Decimal("1e-8")
    yield from (
        (f"pnl.{name}", f"{value:.8f}", f"{pnl[name]:.8f}")
        for name, value in expected.items()
        if abs(value - pnl[name]) > slack
    )
    yield from (
        (f"listed at {row['start']}", "worst ≤ 0 ≤ best", f"{row['worst']} … {row['best']}")
        for row in listed
        if not Decimal(row["worst"]) <= 0 <= Decimal(row["best"])
    )
    for name, value in {"bars": len({row["start"] for row in listed}), "of": bars}.items():
        if value != ambiguity[name]:
            yield name, value, ambiguity[name]
