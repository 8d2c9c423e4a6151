"""Bars that do not tell what became of a position, and what that may have cost or made. Pure.

Counted is each bar in which a position could leave in more than one way: its stop and its target both lie inside, or
one of them and the liquidation price, or it was entered by a resting order and its own stop or target lies inside as
well, or a trailing stop that moved inside may have filled. Behind a gap there is no doubt: what the open has passed
fills there, first of all.

For the quantity in question each way out has a price, a fee and a slippage; `worst` and `best` are the differences to
what was booked. A way that leaves open what was booked as gone is followed: to the first later bar that must fill one
of its exits, where trailing stops ride on, or to the last close. The strategy may close it at market before, so the end
of each bar up to the run's next entry counts as well. This is first order: what else the strategy would have done
differently afterwards, and the funding of such a position, are not in it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import groupby
from typing import Any

from nt_run.aftermath import Aftermath, span_of
from nt_run.matching import MatchBars
from nt_run.model import LIQUIDATION, MS, Fill, FundingPayment, Liquidity, Side, TimeRange, format_iso
from nt_run.outcomes import NO_EXIT, ZERO, Costs, Span, Threat, alike, find_exits, heading, named, part_of, total, worth
from nt_run.resting import RestingOrder
from nt_run.trails import Trail, find_trails, with_trails


@dataclass(frozen=True, slots=True, kw_only=True)
class Ambiguity:
    """One position in one bar that allows more than one end; money in the quote asset."""

    bar: TimeRange
    side: Side
    quantity: Decimal
    entry: Decimal | None
    """Where a resting order opened it inside the bar; `None` where it was open before."""
    stop: Decimal | None
    """The nearest stop inside the bar."""
    target: Decimal | None
    liquidation: Decimal | None
    """The liquidation price, where the bar reaches it as well."""
    chosen: str
    """What was booked: `stop`, `target`, `open`, or several of them."""
    worst: Decimal
    """What the worst end makes less than the chosen one, ≤ 0."""
    best: Decimal
    """What the best end makes more, ≥ 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Booked:
    """What a run booked, in time order, and what its orders met."""

    bars: MatchBars
    resting: Sequence[RestingOrder]
    fills: Sequence[Fill]
    payments: Sequence[FundingPayment]
    threats: Sequence[Threat]
    costs: Costs


def find_ambiguities(booked: Booked) -> list[Ambiguity]:
    """Return every bar, position by position, that allows another end than the booked one, in time order."""
    return _Search(booked).run() if booked.resting else []


def ambiguity_object(found: Sequence[Ambiguity], *, bars: int, net: Decimal, balance: Decimal) -> dict[str, Any]:
    """Return ambiguities as one object: `bars` were matched, `net` is the PnL; no end takes more than `balance`."""
    pnl = {
        "worst": max(net + sum((each.worst for each in found), ZERO), min(net, -balance)),
        "chosen": net,
        "best": net + sum((each.best for each in found), ZERO),
    }
    return {
        "bars": len({each.bar for each in found}),
        "of": bars,
        "pnl": {name: f"{value:.8f}" for name, value in pnl.items()},
        "listed": [
            {
                "start": format_iso(each.bar.start_ms),
                "end": format_iso(each.bar.end_ms),
                "side": "long" if each.side is Side.BUY else "short",
                "quantity": f"{each.quantity:f}",
                "entry": _text(each.entry),
                "stop": _text(each.stop),
                "target": _text(each.target),
                "liquidation": _text(each.liquidation),
                "chosen": each.chosen,
                "worst": f"{each.worst:.8f}",
                "best": f"{each.best:.8f}",
            }
            for each in found
        ],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """The fills at the close of one bar, which happened somewhere inside it or at its close."""

    row: int
    held: Decimal
    """The signed position before them."""
    fills: Sequence[Fill]
    first: int
    """Where they begin among all fills."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One position in one bar: `quantity` of it was open at the open, or from `entry` on."""

    row: int
    side: Side
    quantity: Decimal
    entry: Decimal | None
    span: Span
    exits: Sequence[RestingOrder]
    trails: Sequence[Trail]
    """Those of the exits that trail and may have filled."""
    left: Sequence[Fill]
    """The fills in which it left."""
    after: int
    """The first fill of the run after these and the entry."""
    held: Decimal
    """The signed position before that fill."""


class _Search:
    def __init__(self, booked: Booked) -> None:
        self._booked = booked
        self._after = Aftermath(booked.bars, booked.fills, booked.payments, booked.costs)
        self._coming = sorted(booked.resting, key=lambda each: each.since_ns)
        self._come = 0
        self._threats = {threat.order_id: threat for threat in booked.threats}
        self._active: list[RestingOrder] = []
        self._since: dict[int, list[RestingOrder]] = {}
        for each in booked.resting:
            self._since.setdefault(each.since_ns, []).append(each)

    def run(self) -> list[Ambiguity]:
        found: list[Ambiguity] = []
        held, first = ZERO, 0
        # A trailing stop that moved may have filled in a bar in which nothing did.
        trailing = (each for each in self._booked.resting if each.trailing and each.ended == "modified")
        moved = {each.until_ns for each in trailing if each.until_ns is not None}
        filled = {time_ns: list(group) for time_ns, group in groupby(self._booked.fills, key=lambda each: each.time_ns)}
        for time_ns in sorted(filled.keys() | moved):
            fills = filled.get(time_ns, [])
            row = self._booked.bars.ending_at(time_ns)
            if row is not None and (time_ns in moved or any(fill.order_type != "market" for fill in fills)):
                moment = _Moment(row=row, held=held, fills=fills, first=first)
                found += [judged for case in self._cases(moment, time_ns) if (judged := self._judge(case))]
            first += len(fills)
            held += sum((fill.side.sign * fill.quantity for fill in fills), ZERO)
        return found

    def _cases(self, moment: _Moment, time_ns: int) -> list[_Case]:
        """Return the positions of one bar that left, or were opened, by orders that rested over it."""
        opened_ns = int(self._booked.bars.opened[moment.row]) * MS
        over = self._resting_over(opened_ns, time_ns)
        # Exits of a position entered inside: its own, and those that its liquidation may have come before.
        children = [each for each in self._since.get(time_ns, ()) if each.sent_ns <= opened_ns]
        threatened = self._threats.keys() & over.keys()
        children += [over[each.order_id] for each in moment.fills if each.order_id in threatened]
        cases, held = list[_Case](), moment.held
        if held:
            side = Side.BUY if held > 0 else Side.SELL
            case = self._case(moment, side, abs(held), over.values())
            cases += [case] if case.left or case.trails else []
        for fill in moment.fills:
            signed = fill.side.sign * fill.quantity
            opens = fill.quantity if held * signed >= 0 else max(ZERO, fill.quantity - abs(held))
            held += signed
            if opens and fill.order_id in over:
                case = self._case(moment, fill.side, opens, children, (over[fill.order_id], fill))
                cases += [case] if case.exits else []
        return cases

    def _case(
        self,
        moment: _Moment,
        side: Side,
        quantity: Decimal,
        orders: Iterable[RestingOrder],
        entry: tuple[RestingOrder, Fill] | None = None,
    ) -> _Case:
        fills, span = moment.fills, span_of(self._booked.bars, moment.row)
        exits = [each for each in orders if each.side is not side]
        ends = {each.order_id for each in exits}
        ends |= {each.order_id for each in fills if each.order_type == LIQUIDATION and each.side is not side}
        left = part_of(fills, ends, quantity)
        # A limit that the open had passed fills at its own price, but at the open all the same.
        if entry is not None and heading(entry[0]) * (entry[1].reference - span.start) > 0:
            span = replace(span, start=entry[1].reference, approach=heading(entry[0]))
        names = {each.order_id for each in left} | ({entry[1].order_id} if entry else set[str]())
        done = max((at for at, fill in enumerate(fills) if fill.order_id in names), default=-1) + 1
        return _Case(
            row=moment.row,
            side=side,
            quantity=quantity,
            entry=None if entry is None else entry[1].reference,
            span=span,
            exits=exits,
            trails=find_trails(span, exits, self._booked.costs.tick),
            left=left,
            after=moment.first + done,
            held=moment.held + sum((fill.side.sign * fill.quantity for fill in fills[:done]), ZERO),
        )

    def _judge(self, case: _Case) -> Ambiguity | None:
        """Return the case if a path through the bar ends otherwise than it was booked."""
        forced = next((fill for fill in case.left if fill.order_type == LIQUIDATION), None)
        # What lies beyond the liquidation price came too late; what lies before it was filled.
        orders = [each for each in case.exits if forced is None or heading(each) == case.side.sign]
        trails = case.trails if forced is None else ()
        trailing = {trail.order.order_id for trail in trails}
        exits = find_exits(case.span, [each for each in orders if each.order_id not in trailing])
        taken, fetched = self._ends(case)
        threat = next((found for fill in case.left if (found := self._threats.get(fill.order_id))), None)
        possible = with_trails(list(exits.paths(case.quantity)), trails, case.quantity, gapped=bool(exits.at_once))
        if forced is not None:
            possible = [{**path, forced.order_id: case.quantity - total(path)} for path in (NO_EXIT, *possible)]
        elif threat is not None:
            possible.append({LIQUIDATION: case.quantity})
            fetched[LIQUIDATION] = case.side.sign * threat.price - threat.charge / threat.quantity
        paths = [path for path in possible if not alike(path, taken, fetched)]
        if not paths:
            return None
        differences = self._differences(case, paths, taken, fetched)
        inside = [order for way in exits.reached.values() for order in way[:1]] + [trail.order for trail in trails]
        return Ambiguity(
            bar=TimeRange(int(self._booked.bars.opened[case.row]), int(self._booked.bars.closed[case.row])),
            side=case.side,
            quantity=case.quantity,
            entry=case.entry,
            stop=next((each.level for each in inside if each.is_stop), None),
            target=next((each.level for each in inside if not each.is_stop), None),
            liquidation=forced.price if forced is not None else threat.price if threat is not None else None,
            chosen=named(taken, case.exits, case.quantity),
            worst=min(ZERO, *differences),
            best=max(ZERO, *differences),
        )

    def _ends(self, case: _Case) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
        """Return how much left by which order, and what one unit fetched, or would have fetched, by each."""
        costs = self._booked.costs
        fetched = {order.order_id: costs.fetched(order, order.level) for order in case.exits}
        for trail in case.trails:
            fetched |= {name: costs.fetched(trail.order, price) for name, price in trail.prices.items()}
        taken: dict[str, Decimal] = {}
        for fill in case.left:
            net = costs.net(fill.side, fill.price, makes=fill.liquidity is Liquidity.MAKER)
            fetched[fill.order_id] = net - fill.liquidation / fill.quantity
            taken[fill.order_id] = taken.get(fill.order_id, ZERO) + fill.quantity
        return taken, fetched

    def _differences(
        self,
        case: _Case,
        paths: Sequence[Mapping[str, Decimal]],
        taken: Mapping[str, Decimal],
        fetched: Mapping[str, Decimal],
    ) -> list[Decimal]:
        """Return what each path makes more than what was booked."""
        stayed = case.quantity - total(taken)
        open_at = self._after.booked(case.side, case.row, case.after, case.held) if stayed else ZERO
        booked = worth(taken, fetched) + stayed * open_at
        # Only what was booked as gone has to be followed.
        gone = [max(ZERO, case.quantity - total(path) - stayed) for path in paths]
        followed = self._followed(case) if any(gone) else []
        differences: list[Decimal] = []
        for path, more in zip(paths, gone, strict=True):
            made = worth(path, fetched) + (case.quantity - total(path) - more) * open_at - booked
            differences += [made + more * value for value in followed] if more else [made]
        return differences

    def _followed(self, case: _Case) -> list[Decimal]:
        """Return what a unit may fetch that stays open after the bar."""
        moved = {trail.order.order_id: trail.moved for trail in case.trails}
        ways = {tuple(moved.get(each.order_id, (each,))[at] for each in case.exits) for at in (0, -1)}
        until = self._after.next_opening(case.after, case.held)
        follow, start = self._after.followed, case.span.start
        return [value for exits in ways for value in follow(exits, case.side, case.row, start, until)]

    def _resting_over(self, opened_ns: int, closed_ns: int) -> dict[str, RestingOrder]:
        """Return what rested from a bar's open to its close, by order id; bars are asked for in time order."""
        while self._come < len(self._coming) and self._coming[self._come].since_ns <= opened_ns:
            self._active.append(self._coming[self._come])
            self._come += 1
        self._active = [each for each in self._active if each.until_ns is None or each.until_ns >= closed_ns]
        return {each.order_id: each for each in self._active}


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"
