"""What the stopped trades of a kept run were asked to risk and what they lost, from fills and rules alone. Pure.

A position sized by its stop may lose `fraction` of the balance before it: money that is worked out here from the
replayed account, never read from the report. Like `replay`, this shares nothing with the engine and the books.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from nt_run.model import LIQUIDATION, STOPS
from nt_run.replay import ReplayedTrade

ZERO = Decimal(0)
_SLACK = Decimal("1e-6")
"""Quote asset."""
_UNIT = Decimal("1e-8")
"""The engine rounds each event to it."""
_WHOLE = 2
"""Fills of a position that was neither built nor closed in parts."""
_NONE: Mapping[str, object] = {"over": 0, "max_over": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskRules:
    """What a position may lose at its stop: a fraction of the balance, or with `compound` off of the starting one."""

    fraction: Decimal
    compound: bool
    balance: Decimal


@dataclass(frozen=True, slots=True)
class StopLoss:
    """One trade that ended at its stop: beyond the risk asked, without and with funding, in the quote asset."""

    over: Decimal
    over_with_funding: Decimal


def find_stop_losses(
    trades: Sequence[ReplayedTrade], rules: RiskRules, ends: frozenset[str] = STOPS
) -> tuple[list[StopLoss], bool]:
    """Return the trades of one entry and one exit that one of `ends` ended, and whether it is known what each risked.

    It is not where a position was turned round at market: the sizer may have been asked before the first one closed.
    """
    found: list[StopLoss] = []
    balance, sure, before = rules.balance, True, None
    for trade in trades:
        if trade.exit_type in ends and trade.fills == _WHOLE:
            asked = rules.fraction * (balance if rules.compound else rules.balance)
            over = -trade.pnl - asked
            found.append(StopLoss(over + trade.funding, over))
            sure &= before is None or before.exit_type != "market" or before.exit_time != trade.entry_time
        balance += trade.pnl
        before = trade
    return found, sure


def check_stop_losses(
    risk: Mapping[str, Any], trades: Sequence[ReplayedTrade], rules: RiskRules
) -> Iterator[tuple[str, object, object]]:
    """Yield what of a report's risk audit is other than what the trades lost, as far as all of them were sized."""
    slack = _SLACK + len(trades) * _UNIT
    found, sure = find_stop_losses(trades, rules)
    if found and sure and not risk["unmatched"] and len(found) == risk["stopped"]:
        told: Mapping[str, Any] = risk.get("with_funding") or {}
        parts = [("", [each.over for each in found], risk)] if told else []
        for where, over, stated in [
            *parts,
            ("with_funding.", [each.over_with_funding for each in found], told or risk),
        ]:
            yield from _compare(where, over, stated, slack)
    forced: Mapping[str, Any] | None = risk.get("liquidated")  # reports of earlier versions have none
    if forced is None:
        return
    ended = sum(trade.exit_type == LIQUIDATION for trade in trades)
    if ended != forced["trades"] + forced["unmatched"]:
        yield "liquidated.trades and unmatched", ended, forced["trades"] + forced["unmatched"]
    found, sure = find_stop_losses(trades, rules, frozenset({LIQUIDATION}))
    if not forced["trades"]:
        yield from ((f"liquidated.{name}", ours, forced[name]) for name, ours in _NONE.items() if forced[name] != ours)
    elif sure and not forced["unmatched"] and len(found) == forced["trades"]:
        yield from _compare("liquidated.", [each.over for each in found], forced, slack)


def _compare(
    where: str, over: Sequence[Decimal], stated: Mapping[str, Any], slack: Decimal
) -> Iterator[tuple[str, object, object]]:
    if abs(max(over) - Decimal(stated["max_over"])) > slack:
        yield f"{where}max_over", f"{max(over):.8f}", stated["max_over"]
    least, most = sum(each > slack for each in over), sum(each > -slack for each in over)
    if not least <= stated["over"] <= most:
        yield f"{where}over", least if least == most else f"{least} … {most}", stated["over"]
