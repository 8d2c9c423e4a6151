"""Protections of the account: when a run stops trading, for how long, and what came of it. Pure.

They judge equity at the close of each bar: what happens within a bar and is undone in it triggers nothing, and a
position is closed at that close (or the next open), beyond the limit, so the loss may exceed it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from nt_run.model import MS, format_iso

_DAY_NS = 86_400 * 10**9
_END_NS = 1 << 63
"""No time is later, in the year 2262."""


class ProtectionRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[protection]`: all off unless given.

    `max_drawdown` (a fraction of the highest equity so far) ends trading for the rest of the run. `max_daily_loss` (a
    fraction of equity at the start of the UTC day) ends it until the next UTC day. Both close the position and cancel
    what rests. For `cooldown` bars after a trade that lost, there is no entry.
    """

    max_drawdown: Decimal | None = None
    max_daily_loss: Decimal | None = None
    cooldown: int | None = None

    @property
    def asked(self) -> bool:
        """Whether any is on."""
        return any(rule is not None for rule in (self.max_drawdown, self.max_daily_loss, self.cooldown))

    def checks(self) -> dict[str, bool]:
        """Return what must hold of the rules, and whether it does."""
        return {
            f"protection.{name} must be between 0 and 1 (20% or 0.2)": value is None or 0 < value < 1
            for name, value in (("max_drawdown", self.max_drawdown), ("max_daily_loss", self.max_daily_loss))
        } | {"protection.cooldown must be at least one bar": self.cooldown is None or self.cooldown >= 1}


OFF = ProtectionRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionUse:
    """One time a protection set in. `equity` and `reference` (what it is measured by) are in the quote asset."""

    time_ns: int
    rule: str
    """`max_drawdown`, `max_daily_loss` or `cooldown`."""
    equity: Decimal
    reference: Decimal
    """The highest equity, the day's first, or the equity before the trade that lost."""
    until_ns: int | None
    """When entries may begin again; `None` for never."""


class EquityWatch:
    """Follows equity from close to close; `uses` is what set in, in time order."""

    def __init__(self, rules: ProtectionRules, balance: Decimal) -> None:
        self.uses: list[ProtectionUse] = []
        self._rules = rules
        self._peak = self._last = self._day_start = balance
        self._day = -1
        self._until: dict[str, int | None] = {}

    def reason(self, time_ns: int) -> str | None:
        """Return why an entry at this time is refused; `None` if it may pass."""
        for rule, until in self._until.items():
            if until is None or time_ns < until:
                return f"protection: {rule.replace('_', ' ')}"
        return None

    def close(self, time_ns: int, equity: Decimal) -> bool:
        """Take in the equity at the close of a bar, and return whether trading must end now."""
        day = (time_ns - 1) // _DAY_NS
        if day != self._day:
            self._day, self._day_start = day, self._last
        self._peak, self._last = max(self._peak, equity), equity
        limits = (
            ("max_drawdown", self._rules.max_drawdown, self._peak, None),
            ("max_daily_loss", self._rules.max_daily_loss, self._day_start, (day + 1) * _DAY_NS + 1),
        )
        ended = False
        for rule, limit, reference, until in limits:
            if limit is None or equity > reference * (1 - limit) or self._holds(rule, time_ns):
                continue
            self._set_in(ProtectionUse(time_ns=time_ns, rule=rule, equity=equity, reference=reference, until_ns=until))
            ended = True
        return ended

    def lost(self, time_ns: int, equity: Decimal, loss: Decimal, bar_ns: int) -> bool:
        """Take in a trade that lost (`loss` < 0), and return whether a cooldown begins.

        The first bar at whose close an entry may be sent is the one after `cooldown` bars without any.
        """
        if self._rules.cooldown is None:
            return False
        end = time_ns + self._rules.cooldown * bar_ns + 1
        until = end if end < _END_NS else None
        self._set_in(
            ProtectionUse(time_ns=time_ns, rule="cooldown", equity=equity, reference=equity - loss, until_ns=until)
        )
        return True

    def _holds(self, rule: str, time_ns: int) -> bool:
        until = self._until.get(rule, 0)
        return until is None or time_ns < until

    def _set_in(self, use: ProtectionUse) -> None:
        self.uses.append(use)
        self._until[use.rule] = use.until_ns


def protections_object(uses: Sequence[ProtectionUse]) -> list[dict[str, Any]]:
    """Return what set in as plain objects: times ISO 8601, money as text."""
    return [
        {
            "time": format_iso(use.time_ns // MS),
            "rule": use.rule,
            "equity": f"{use.equity:.8f}",
            "reference": f"{use.reference:.8f}",
            "until": None if use.until_ns is None else format_iso(use.until_ns // MS),
        }
        for use in uses
    ]
