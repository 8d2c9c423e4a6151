"""What each position was asked to risk, and what it lost when its stop was hit. Pure.

A position sized by its stop is meant to lose at most the money asked: |entry − stop| × quantity, slippage included, and
both fees. It loses more where the market does not trade at the stop (a gap), where the entry fills away from the price
it was sized at (the next open). Nothing else may add to it, and funding, which no stop can limit, is told beside it:

    realised − funding paid ≤ asked + gap

A stop beyond the price of liquidation protects nothing: the exchange closes the position first. Such entries are
counted, and so is what sized positions lost that were liquidated.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from typing import Any

from nt_run.accounting import Trade
from nt_run.asked import AskedRisk, Backing
from nt_run.execution import NO_SLIPPAGE, Slippage
from nt_run.model import LIQUIDATION, MS, STOPS, Fill, format_iso, format_time

ZERO = Decimal(0)
_ROUNDING = Decimal("2e-8")
"""Quote asset: two fees, each rounded to eight decimals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What sizing expects at entry and stop: the taker fee (a fraction) and the slippage, whose ticks are `tick`."""

    taker: Decimal
    tick: Decimal
    slippage: Slippage = NO_SLIPPAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppedTrade:
    """A trade that ended at its stop; money in the quote asset, losses and costs positive."""

    trade: Trade
    asked: AskedRisk
    gap: Decimal
    """What the entry and the exit lost by filling beyond the prices they were sized with, with the fees of it."""
    slippage: Decimal
    """What slippage took at both ends; sizing has expected it."""
    over_by: Mapping[str, Decimal]
    """What `over` is made of: `step` (≤ 0, what the step size left unused), `price`, `slippage` and `fees` beyond what
    sizing expected of them."""

    @property
    def realised(self) -> Decimal:
        """The loss, with fees and funding."""
        return -self.trade.pnl

    @property
    def over(self) -> Decimal:
        """How much more than asked was lost, funding aside; negative where it was less."""
        return self.over_with_funding + self.trade.funding

    @property
    def over_with_funding(self) -> Decimal:
        """How much more than asked was lost, with funding paid or received."""
        return self.realised - self.asked.asked

    @property
    def unexplained(self) -> Decimal:
        """What is over and no gap: at most zero."""
        return self.over - self.gap


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskAudit:
    """All trades that ended at a stop, in time order; `unmatched` counts those built or closed in parts or unsized.

    `liquidated` is what each such trade that was liquidated lost beyond what was asked, funding aside, and
    `unmatched_liquidated` counts the others. `beyond` are the entries, of those of `sized` such trades, whose stop
    liquidation comes before.
    """

    stopped: Sequence[StoppedTrade]
    unmatched: int
    liquidated: Sequence[Decimal] = ()
    unmatched_liquidated: int = 0
    beyond: Sequence[AskedRisk] = ()
    sized: int = 0
    backing: Backing | None = None

    @property
    def worst(self) -> StoppedTrade | None:
        """The trade that lost most beyond what was asked, or least below it."""
        return max(self.stopped, key=lambda each: each.over, default=None)


def audit_risk(
    trades: Sequence[Trade],
    fills: Sequence[Fill],
    asked: Sequence[AskedRisk],
    planned: Planned,
    backing: Backing | None = None,
) -> RiskAudit:
    """Return what the trades that ended at a stop were asked to risk, and what they lost.

    Args:
        trades: All trades of the run.
        fills: The fills they are made of, in time order.
        asked: What the sizer was asked, in time order; a trade belongs to the last answer before its entry if that
            was of its side and quantity.
        planned: What sizing expects at both ends.
        backing: What stands behind a position; `None` where none could be liquidated.
    """
    stopped: list[StoppedTrade] = []
    liquidated: list[Decimal] = []
    whole: list[AskedRisk] = []
    unmatched = {True: 0, False: 0}
    done = 0
    for trade, entry, leave in _round_trips(trades, fills):
        while done < len(asked) and asked[done].time_ns <= trade.entry_time_ns:
            done += 1
        forced, stops = leave.order_type == LIQUIDATION, leave.order_type in STOPS
        sized = asked[done - 1] if done else None
        if sized is None or trade.fills > 2 or (sized.side, sized.quantity) != (trade.side, trade.quantity):  # noqa: PLR2004 - one entry, one exit
            unmatched[forced] += forced or stops
            continue
        whole.append(sized)
        if forced:
            liquidated.append(trade.funding - trade.pnl - sized.asked)
        if stops:
            stopped.append(_stopped(trade, sized, entry, leave, planned))
    return RiskAudit(
        stopped=stopped,
        unmatched=unmatched[False],
        liquidated=liquidated,
        unmatched_liquidated=unmatched[True],
        beyond=[] if backing is None else list(filter(backing.comes_first, whole)),
        sized=len(whole),
        backing=backing,
    )


def stop_warnings(audit: RiskAudit | None) -> list[str]:
    """Return what a user is to be told of stops that liquidation comes before, if there are any."""
    if audit is None or audit.backing is None or not audit.beyond:
        return []
    backing = audit.backing
    first, leverage = audit.beyond[0], backing.leverage
    for each in audit.beyond:
        while leverage > 1 and replace(backing, leverage=leverage).comes_first(each):
            leverage = (leverage - 1).to_integral_value(ROUND_CEILING)
    keeps = "Less risk or a nearer stop" if backing.cross else f"--leverage {leverage:f} or less"
    told = (
        f"{len(audit.beyond):,} of {audit.sized:,} trades had their stop at or beyond the price of liquidation (first "
        f"{format_time(first.time_ns // MS)} UTC: stop {first.stop_price:f}, liquidation near "
        f"{backing.liquidated_at(first):.8g}): it is liquidated before its stop. {keeps} keeps stops in reach."
    )
    return [told]


def risk_object(audit: RiskAudit) -> dict[str, Any]:
    """Return a risk audit as one object: amounts as text, shares as fractions of what was asked."""
    worst = audit.worst
    return {
        "stopped": len(audit.stopped),
        "unmatched": audit.unmatched,
        "over": sum(each.over > _ROUNDING for each in audit.stopped),
        "max_over": None if worst is None else f"{worst.over:.8f}",
        "max_over_share": None if worst is None else float(worst.over / worst.asked.asked),
        "with_funding": {
            "over": sum(each.over_with_funding > _ROUNDING for each in audit.stopped),
            "max_over": f"{max(each.over_with_funding for each in audit.stopped):.8f}" if audit.stopped else None,
        },
        "liquidated": {
            "trades": len(audit.liquidated),
            "unmatched": audit.unmatched_liquidated,
            "over": sum(over > _ROUNDING for over in audit.liquidated),
            "max_over": f"{max(audit.liquidated):.8f}" if audit.liquidated else None,
        },
        "beyond_liquidation": len(audit.beyond),
        "max_unexplained": f"{max(each.unexplained for each in audit.stopped):.8f}" if audit.stopped else None,
        "worst": None if worst is None else _trade_object(worst),
    }


def _trade_object(each: StoppedTrade) -> dict[str, Any]:
    trade, sized = each.trade, each.asked
    money = {
        "asked": sized.asked,
        "realised": each.realised,
        "over": each.over,
        "price": each.realised - trade.fee + trade.funding - each.slippage,
        "fees": trade.fee,
        "funding": ZERO - trade.funding,
        "slippage": each.slippage,
        "gap": each.gap,
    }
    return {
        "entry": format_iso(trade.entry_time_ns // MS),
        "exit": None if trade.exit_time_ns is None else format_iso(trade.exit_time_ns // MS),
        "side": trade.side.value,
        "quantity": f"{trade.quantity:f}",
        "entry_price": f"{trade.entry_price:f}",
        "stop_price": f"{sized.stop_price:f}",
        "exit_price": None if trade.exit_price is None else f"{trade.exit_price:f}",
        **{name: f"{value:.8f}" for name, value in money.items()},
        "over_by": {name: f"{value:.8f}" for name, value in each.over_by.items()},
    }


def _round_trips(trades: Sequence[Trade], fills: Sequence[Fill]) -> Iterator[tuple[Trade, Fill, Fill]]:
    """Yield each closed trade with its own part of the fills that opened and closed it."""
    position, at, opened = ZERO, 0, None
    for fill in fills:
        after = position + fill.side.sign * fill.quantity
        if opened is not None and position * after <= 0:
            yield trades[at], opened, _part(fill, abs(position))
            at, opened = at + 1, None
        if opened is None and after:
            opened = _part(fill, abs(after))
        position = after


def _part(fill: Fill, quantity: Decimal) -> Fill:
    """Return what a fill did to one trade: one that turns a position round closes one and opens another."""
    return (
        fill if fill.quantity == quantity else replace(fill, quantity=quantity, fee=fill.fee * quantity / fill.quantity)
    )


def _stopped(trade: Trade, sized: AskedRisk, entry: Fill, leave: Fill, planned: Planned) -> StoppedTrade:
    slipped = sum((fill.quantity * abs(fill.price - fill.reference) for fill in (entry, leave)), ZERO)
    gap, over_by = _gap(sized, entry, leave, planned), _over_by(sized, entry, leave, planned)
    return StoppedTrade(trade=trade, asked=sized, gap=gap, slippage=slipped, over_by=over_by)


def _over_by(sized: AskedRisk, entry: Fill, leave: Fill, planned: Planned) -> dict[str, Decimal]:
    """Return what was lost beyond what was asked by its parts: the step, price, slippage and fees."""
    side, quantity = sized.side, sized.quantity
    first = planned.slippage.worse(sized.price, side, tick=planned.tick)
    last = planned.slippage.worse(sized.stop_price, leave.side, tick=planned.tick)
    expected = {
        "price": side.sign * quantity * (sized.price - sized.stop_price),
        "slippage": quantity * (abs(first - sized.price) + abs(last - sized.stop_price)),
        "fees": quantity * planned.taker * (first + last),
    }
    lost = {
        "price": side.sign * quantity * (entry.reference - leave.reference),
        "slippage": quantity * (abs(entry.price - entry.reference) + abs(leave.price - leave.reference)),
        "fees": entry.fee + leave.fee,
    }
    step = sum(expected.values(), ZERO) - sized.asked
    return {"step": step, **{name: lost[name] - expected[name] for name in expected}}


def _gap(sized: AskedRisk, entry: Fill, leave: Fill, planned: Planned) -> Decimal:
    """What was lost because entry and exit filled beyond the prices sizing expected.

    A long that leaves d lower loses d more and saves the fee of d; a short that leaves d higher pays the fee as well.
    At the entry it is the other way round.
    """
    side, away, tick = sized.side, leave.side, planned.tick
    first = planned.slippage.worse(sized.price, side, tick=tick)
    last = planned.slippage.worse(sized.stop_price, away, tick=tick)
    late = max(ZERO, side.sign * (entry.price - first)) * (1 + side.sign * planned.taker)
    behind = max(ZERO, side.sign * (last - leave.price)) * (1 - side.sign * planned.taker)
    return sized.quantity * (late + behind)
