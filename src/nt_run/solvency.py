"""Every liquidation of a kept run, and every one it should have had, by the definition alone: see `held`.

Nothing is solved for the price: it is looked for among the ticks. Floats sort out the bars that are far from it, exact
decimals judge the rest. Like `replay`, this shares no line with the engine and the books.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import ROUND_DOWN, Decimal
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nt_run.held import Course, Held, MarginTerms, Tier
from nt_run.klines import Klines
from nt_run.matching import MarkExtremes, MatchBars, match_bars
from nt_run.model import MS, Fill, Side, Violation, format_iso

ZERO = Decimal(0)
CHECK = "margin"
_SLACK = Decimal("1e-6")
"""Quote asset: beyond it something is left, or nothing."""
_UNIT = Decimal("1e-8")
_SURE = 1e-9
"""Floats are trusted where what is left is more than this share of the position."""
_CUM_SLACK = Decimal("0.01")
"""Quote asset: what the decimals of a published table may leave."""

type Floats = NDArray[np.float64]
type Ints = NDArray[np.int64]


def deciding_bars(
    klines: Klines, detail: Klines | None, marks: MarkExtremes | None, fine_marks: MarkExtremes | None
) -> MatchBars:
    """Return the bars orders were matched on with the low and high that decided on liquidation.

    That is the mark kline's, or where there is none the bar's own. Finer bars have those of finer mark klines; where
    there are no such klines at all, the last finer bar of each bar also has those of the bar's mark kline.
    """
    bars = match_bars(klines, detail)
    fine = np.zeros(len(bars), dtype=np.bool_) if detail is None else np.isin(bars.opened, detail.open_times())
    known = [each for each in (marks, fine_marks) if each is not None]
    exponent = max([bars.exponent, *(each.exponent for each in known)])
    scale = 10 ** (exponent - bars.exponent)
    opened, low, high, close = (getattr(bars, name) * scale for name in ("open", "low", "high", "close"))
    for own, there in ((marks, ~fine), (fine_marks, fine)):
        if own is not None:
            rows, lows, highs = own.at(bars.opened, exponent)
            low[rows], high[rows] = np.where(there[rows], (lows, highs), (low[rows], high[rows]))
    if marks is not None and fine_marks is None and fine.any():
        ends = klines.close_times()
        last = np.flatnonzero(fine & np.isin(bars.closed, ends))
        rows, lows, highs = marks.at(klines.open_times()[np.searchsorted(ends, bars.closed[last])], exponent)
        low[last[rows]] = np.minimum(low[last[rows]], lows)
        high[last[rows]] = np.maximum(high[last[rows]], highs)
    return replace(bars, open=opened, low=low, high=high, close=close, exponent=exponent)


def furthest(bars: MatchBars, beyond: Decimal) -> MatchBars:
    """Return bars that each reach as far as all of them together, and `beyond` (a fraction) further."""
    low, high = (Decimal(int(edge)) for edge in (bars.low.min(), bars.high.max()))
    edges = (int(low * (1 - beyond)), int(high * (1 + beyond)))
    return replace(bars, low=np.full(len(bars), edges[0]), high=np.full(len(bars), edges[1]))


def check_tiers(tiers: Sequence[Tier]) -> list[Violation]:
    """Return where the brackets of a run do not follow one another, or floors and rates do not make their `cum`."""
    first = tiers[0]
    wrong = [] if first.floor == first.cum == 0 else [(1, "floor and cum 0", f"{first.floor:f} and {first.cum:f}")]
    for number, (below, tier) in enumerate(pairwise(tiers), start=2):
        cum = tier.floor * (tier.rate - below.rate) + below.cum
        if tier.floor != below.cap or tier.cap <= tier.floor or tier.rate < below.rate:
            wrong.append(
                (number, f"from {below.cap:f} on, at {below.rate:f} or more", f"{tier.floor:f}, {tier.rate:f}")
            )
        elif abs(cum - tier.cum) > _CUM_SLACK:
            wrong.append((number, f"cum {cum:f}", f"{tier.cum:f}"))
    return [Violation(CHECK, f"leverage bracket {number}", None, *told) for number, *told in wrong]


def check_listed(course: Course, listed: Sequence[Mapping[str, Any]]) -> list[Violation]:
    """Return where the liquidations a report lists, `liquidations` of a summary, are not those of the fills."""
    forced = course.forced
    if len(listed) != len(forced):
        return [Violation(CHECK, "liquidations reported", None, str(len(forced)), str(len(listed)))]
    found: list[Violation] = []
    for (number, fill), row in zip(forced, listed, strict=True):
        held = course.before[number]
        lost = fill.fee + fill.liquidation - held.profit(fill.price) - held.funding
        expected = {
            "time": format_iso(fill.time_ns // MS),
            "side": "long" if held.position > 0 else "short",
            "quantity": f"{fill.quantity.normalize():f}",
            "entry_price": f"{held.entry:.8f}",
            "price": f"{fill.price.normalize():f}",
        }
        stated = {name: row[name] for name in expected}
        stated |= {name: f"{Decimal(row[name]).normalize():f}" for name in ("quantity", "price")}
        if abs(Decimal(row["lost"]) - lost) > _SLACK:
            expected["lost"], stated["lost"] = f"{lost:.8f}", row["lost"]
        found += [
            Violation(CHECK, f"{name} reported", fill.time_ns, value, str(stated[name]))
            for name, value in expected.items()
            if value != stated[name]
        ]
    return found


class SolvencyCheck:
    """Holds a run's course against the prices that decided.

    Args:
        course: What was held.
        bars: The bars orders were matched on; `low` and `high` are those that decide.
        terms: What positions were margined by.
        next_open: Whether orders met the next open, so that a liquidation may be booked ahead of one.
    """

    def __init__(self, course: Course, bars: MatchBars, terms: MarginTerms, *, next_open: bool = False) -> None:
        self._course, self._bars, self._terms, self._next_open = course, bars, terms, next_open
        self._ends = bars.closed * MS
        caps = [float(tier.cap) for tier in terms.tiers[:-1]]
        self._caps = np.array(caps, dtype=np.float64)
        self._rates = np.array([float(tier.rate) for tier in terms.tiers])
        self._cums = np.array([float(tier.cum) for tier in terms.tiers])
        states = [(float(one.position), float(one.entry), float(one.wallet(terms))) for one in course.before]
        self._states = np.array(states, dtype=np.float64)

    def missed(self) -> list[Violation]:
        """Return the positions that a bar should have ended and did not, each with the first bar that should have."""
        at = np.searchsorted(self._course.due, self._ends, side="right")
        ended = [fill.time_ns for _, fill in self._course.forced]
        rows = np.flatnonzero(self._is_near(at, np.arange(len(at))))
        rows = rows[~np.isin(self._ends[rows], ended)]
        found: dict[int, tuple[int, Decimal, int]] = {}
        for row in rows.tolist():
            held = self._course.before[int(at[row])]
            price = self._extreme(held, row)
            if held.left(price, self._terms) < -_SLACK:
                first, extreme, count = found.get(int(at[row]), (row, price, 0))
                found[int(at[row])] = (first, extreme, count + 1)
        return [self._missed(state, *told) for state, told in found.items()]

    def unsaid(self, ambiguous: Collection[int]) -> list[Violation]:
        """Return the exits inside a bar that also reached the liquidation price, where the report does not say so.

        Args:
            ambiguous: The starts (ms) of the bars the report lists with a liquidation price.
        """
        at = np.array(self._course.resting, dtype=np.int64)
        times = np.array([self._course.events[number].time_ns for number in self._course.resting], dtype=np.int64)
        row = np.minimum(np.searchsorted(self._ends, times), len(self._ends) - 1)
        found: list[Violation] = []
        for each in np.flatnonzero(self._is_near(at, row) & (self._ends[row] == times)).tolist():
            held, event, bar = self._course.before[int(at[each])], self._course.events[int(at[each])], int(row[each])
            price = self._extreme(held, bar)
            reduces = isinstance(event, Fill) and event.side.sign == -held.sign
            if reduces and held.left(price, self._terms) < -_SLACK and int(self._bars.opened[bar]) not in ambiguous:
                told = (f"an ambiguous bar: {price:f} liquidates", "not listed")
                found.append(Violation(CHECK, "exit before a liquidation", event.time_ns, *told))
        return found

    def forced(self) -> list[Violation]:
        """Return what is wrong with the price and the charge of each liquidation."""
        found: list[Violation] = []
        for number, fill in self._course.forced:
            held, after = self._course.before[number : number + 2]
            told = [*self._wrong_price(fill, held), *self._wrong_charge(fill, held, after, number)]
            found += [Violation(CHECK, what, fill.time_ns, *rest) for what, *rest in told]
        return found

    def undue(self) -> list[Violation]:
        """Return the liquidations in bars that did not reach their price.

        One ahead of an order that meets the next open is booked before that: the next bar must open beyond the price.
        """
        found: list[Violation] = []
        for number, fill in self._course.forced:
            held, row = self._course.before[number], self._row(fill.time_ns)
            if row is not None and held.position:
                extreme = self._extreme(held, row)
                if (left := held.left(extreme, self._terms)) > _SLACK and not self._is_gone_by_open(held, row + 1):
                    told = (f"none: {extreme:f} leaves {left:.8f}", f"at {fill.price:f}")
                    found.append(Violation(CHECK, "liquidation", fill.time_ns, *told))
        return found

    @property
    def bars_held(self) -> int:
        """How many bars a position was held through, or ended in."""
        at = np.searchsorted(self._course.due, self._ends, side="right")
        return int(np.count_nonzero(self._states[at, 0]))

    def _wrong_price(self, fill: Fill, held: Held) -> Iterator[tuple[str, str, str]]:
        if not held.position:
            yield "position", "one to liquidate", "none"
            return
        if self._row(fill.time_ns) is None:
            yield "time", "the end of a bar", f"{fill.time_ns} ns"
            return
        terms, price = self._terms, fill.price
        step = held.sign * terms.tick
        # One tick that takes more than all of the margin is given to the trader.
        given = held.wallet(terms) + held.profit(price - step) < 0 < held.left(price, terms)
        below, above = (price - step, price) if given else (price, price + step)
        if not (held.left(below, terms) <= _UNIT and held.left(above, terms) >= -_UNIT and price > 0):
            yield "price", f"{self._price(held):f}, where the margin ends", f"{price:f}"

    def _price(self, held: Held) -> Decimal:
        """Return the price of a liquidation, looked for among the ticks: rounded against the trader."""
        terms, low, high = self._terms, 0, 1
        sign = held.sign

        def ended(ticks: int) -> bool:
            return held.left(ticks * terms.tick, terms) <= 0

        while ended(high) == (sign > 0):
            high *= 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if ended(middle) == (sign > 0) else (low, middle)
        price = max((low if sign > 0 else high) * terms.tick, terms.tick)
        return price + sign * terms.tick if held.wallet(terms) + held.profit(price) < 0 else price

    def _wrong_charge(self, fill: Fill, held: Held, after: Held, number: int) -> Iterator[tuple[str, str, str]]:
        terms, notional = self._terms, fill.quantity * fill.price
        left = max(held.wallet(terms) + held.profit(fill.price), ZERO)
        due = left if terms.mode == "isolated" else min(left, notional * terms.liquidation_fee)
        due, charged = due.quantize(_UNIT, ROUND_DOWN), fill.fee + fill.liquidation
        # The engine rounds each event to eight decimals.
        slack = _SLACK + number * _UNIT
        if abs(charged - due) > slack:
            yield "charge", f"{due:.8f}", f"{charged:.8f}"
        elif abs(min(notional * terms.taker, charged) - fill.fee) > _UNIT:
            yield "fee", f"{min(notional * terms.taker, charged):.8f}", f"{fill.fee:.8f}"
        if after.cash < -slack:
            yield "balance", "zero or more", f"{after.cash:.8f}"

    def _missed(self, state: int, row: int, price: Decimal, bars: int) -> Violation:
        held, end = self._course.before[state], int(self._ends[row])
        side = Side.BUY if held.position > 0 else Side.SELL
        word = "low" if side is Side.BUY else "high"
        more = f" ({bars} bars)" if bars > 1 else ""
        told = (f"a liquidation at {self._price(held):f}: the {word} was {price:f}", "none")
        return Violation(CHECK, f"missed liquidation{more}", end, *told)

    def _row(self, time_ns: int) -> int | None:
        row = int(np.searchsorted(self._ends, time_ns))
        return row if row < len(self._ends) and self._ends[row] == time_ns else None

    def _is_gone_by_open(self, held: Held, row: int) -> bool:
        if not self._next_open or row == len(self._bars):
            return False
        prices = (self._extreme(held, row), self._bars.price("open", row))
        return all(held.left(price, self._terms) <= _SLACK for price in prices)

    def _extreme(self, held: Held, row: int) -> Decimal:
        return self._bars.price("low" if held.position > 0 else "high", row)

    def _is_near(self, at: Ints, row: Ints) -> NDArray[np.bool_]:
        """Return where the position of a state may have nothing left at the deciding extreme of a bar."""
        position, entry, wallet = self._states[at].T
        price: Floats = np.where(position > 0, self._bars.low[row], self._bars.high[row]) / 10.0**self._bars.exponent
        notional: Floats = np.abs(position) * price
        tier: Ints = np.searchsorted(self._caps, notional, side="left")
        left = wallet + position * (price - entry) - (notional * self._rates[tier] - self._cums[tier])
        sure = _SURE * (notional + np.abs(wallet) + np.abs(position) * entry) + float(_SLACK)
        near: NDArray[np.bool_] = (position != 0) & (left <= sure)
        return near
