"""The stopped trade a report names as its worst, held against its own two fills. Pure.

What it lost beyond the risk asked is told by its parts, against what sizing expected at the price it sized at and at
the stop. The sizer's price is not kept: it is what the part of the price makes it, and the other parts must fit it.
Like `replay`, this shares no line with the engine and the books.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Any

from nt_run.model import MS, Fill, format_iso
from nt_run.resting import RestingOrder

ZERO = Decimal(0)
_SLACK = Decimal("1e-6")
"""Quote asset."""
_UNIT = Decimal("1e-7")
"""Quote asset: what the decimals of a report leave of an amount."""

type Told = Iterator[tuple[str, object, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StopTerms:
    """What sizing expected of a taker: the fee (a fraction), slippage in basis points and in ticks of `tick`."""

    taker: Decimal
    bps: Decimal
    ticks: int
    tick: Decimal

    def paid(self, price: Decimal, sign: int) -> Decimal:
        """Return what a buy (+1) or a sale (−1) at `price` was expected to pay, to the tick against it."""
        if not (self.bps or self.ticks):
            return price
        moved = price + sign * (price * self.bps / 10_000 + self.ticks * self.tick)
        ticks = (moved / self.tick).to_integral_value(ROUND_CEILING if sign > 0 else ROUND_FLOOR)
        return max(ticks * self.tick, self.tick)


def check_worst_stop(
    worst: Mapping[str, Any],
    fills: Sequence[Fill],
    life: Sequence[RestingOrder],
    known: Sequence[Decimal],
    terms: StopTerms,
) -> Told:
    """Yield which prices and parts of the worst trade are wrong.

    Args:
        worst: The trade, `risk_audit.worst` of a report.
        fills: The two it is made of.
        life: The stretches of the stop that ended it.
        known: Prices an entry is sized at: the last close before it, and its own limit or trigger.
        terms: What sizing expected.
    """
    entry, leave = fills
    plain = {"entry_price": entry.price, "exit_price": leave.price}
    yield from ((name, value, worst[name]) for name, value in plain.items() if value != Decimal(worst[name]))
    if (left := format_iso(leave.time_ns // MS)) != worst["exit"]:
        yield "exit", left, worst["exit"]
    sign, quantity, stop = entry.side.sign, entry.quantity, Decimal(worst["stop_price"])
    slack = _UNIT / quantity
    less = quantity * (entry.reference - leave.reference) - sign * Decimal(worst["over_by"]["price"])
    price = _to_tick(stop + less / quantity, terms.tick, slack)
    triggers = {each.trigger for each in life if each.trigger is not None}
    if stop not in triggers and all(abs(price - each) > slack for each in known):
        yield "stop_price", " or ".join(f"{each:f}" for each in sorted(triggers)) or "its order's", worst["stop_price"]
    yield from _check_parts(worst, entry, leave, price, terms)


def _check_parts(worst: Mapping[str, Any], entry: Fill, leave: Fill, price: Decimal, terms: StopTerms) -> Told:
    """Yield which parts are wrong of what was lost beyond the risk asked, had it been sized at `price`."""
    sign, quantity, stop = entry.side.sign, entry.quantity, Decimal(worst["stop_price"])
    first, last = terms.paid(price, sign), terms.paid(stop, -sign)
    expected = {
        "price": sign * quantity * (price - stop),
        "slippage": quantity * (abs(first - price) + abs(last - stop)),
        "fees": quantity * terms.taker * (first + last),
    }
    parts = {
        "step": sum(expected.values(), ZERO) - Decimal(worst["asked"]),
        "price": sign * quantity * (entry.reference - leave.reference) - expected["price"],
        "slippage": quantity * (abs(entry.price - entry.reference) + abs(leave.price - leave.reference))
        - expected["slippage"],
        "fees": entry.fee + leave.fee - expected["fees"],
    }
    told = worst["over_by"]
    for name, value in parts.items():
        if abs(value - Decimal(told[name])) > _SLACK:
            yield f"over_by.{name}", f"{value:.8f}", told[name]
    if Decimal(told["step"]) > _SLACK:
        yield "over_by.step", "at most 0: a size is rounded down", told["step"]
    late = max(ZERO, sign * (entry.price - first)) * (1 + sign * terms.taker)
    behind = max(ZERO, sign * (last - leave.price)) * (1 - sign * terms.taker)
    gap = quantity * (late + behind)
    if abs(gap - Decimal(worst["gap"])) > _SLACK:
        yield "gap", f"{gap:.8f}", worst["gap"]


def find_fills(worst: Mapping[str, Any], fills: Sequence[Fill]) -> tuple[Fill, Fill] | None:
    """Return the entry and the exit of a trade of a report, each with what it opened or closed of the trade alone.

    `None` if there is no such trade, or it was built or closed in parts.
    """
    position, entry = ZERO, None
    for fill in fills:
        after = position + fill.side.sign * fill.quantity
        if entry is not None and position * after <= 0 and _is(entry, worst):
            return entry, _part(fill, abs(position))
        # What adds to a position or takes a part of it leaves no trade of two fills.
        entry = _part(fill, abs(after)) if after and position * after <= 0 else None
        position = after
    return None


def _part(fill: Fill, quantity: Decimal) -> Fill:
    return (
        fill if fill.quantity == quantity else replace(fill, quantity=quantity, fee=fill.fee * quantity / fill.quantity)
    )


def _is(entry: Fill, worst: Mapping[str, Any]) -> bool:
    same = format_iso(entry.time_ns // MS) == worst["entry"] and entry.side.value == worst["side"]
    return same and entry.quantity == Decimal(worst["quantity"])


def _to_tick(price: Decimal, tick: Decimal, slack: Decimal) -> Decimal:
    """Return the multiple of the tick that a price stands for, but for what rounding left; else the price itself."""
    near = (price / tick).to_integral_value(ROUND_HALF_EVEN) * tick
    return near if abs(near - price) <= slack else price
