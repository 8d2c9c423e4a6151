"""Changes of trading rules whose date is known: undone, applied, and compared with what a run uses. Pure.

An answer of the exchange says what holds when it is given. For any other time, the changes between then and that time
are undone (going back) or applied (going forward).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from nt_run.model import TimeRange, format_time
from nt_run.specs import InstrumentSpecs

ALL = "*"
"""Stands for every perpetual."""

RULES = ("tick_size", "step_size", "min_quantity", "max_quantity", "market_max_quantity", "min_notional")
"""The rules a run depends on; fields of `InstrumentSpecs`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleChange:
    """One rule of one contract, `before` until `time_ms` and `after` from then on.

    `seen` means that it was found changed at `time_ms`, and may have changed earlier.
    """

    symbol: str
    rule: str
    before: Decimal
    after: Decimal
    time_ms: int
    seen: bool
    source: str

    def __str__(self) -> str:
        whose = "every perpetual" if self.symbol == ALL else self.symbol
        return f"{whose} {rule_name(self.rule)} {self.before:f} → {self.after:f} {_why(self, back=False)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A rule that is known to have been something else, at least at one time of a run."""

    rule: str
    known: Decimal
    used: Decimal
    why: str
    """In words: `until 2023-11-02 10:00, <source>`."""

    def __str__(self) -> str:
        return f"{rule_name(self.rule)} {self.known:f} {self.why}"


def rule_name(rule: str) -> str:
    """Return a rule as people call it: `tick size`."""
    return rule.replace("_", " ")


def parse_changes(table: Mapping[str, Any]) -> list[RuleChange]:
    """Return the changes of the shipped table, in time order.

    Args:
        table: `change` holds one table each, with `symbol`, `rule`, `before`, `after`, `when`, `source`, `seen`.

    Raises:
        ValueError: A row names no rule of `RULES`, or lacks its zone.
    """
    changes: list[RuleChange] = []
    for row in table.get("change", ()):
        when: dt.datetime = row["when"]
        if row["rule"] not in RULES or when.tzinfo is None:
            raise ValueError(f"not a dated change of a rule: {row!r}")
        changes.append(
            RuleChange(
                symbol=row["symbol"],
                rule=row["rule"],
                before=Decimal(row["before"]),
                after=Decimal(row["after"]),
                time_ms=round(when.timestamp() * 1000),
                seen=bool(row.get("seen", False)),
                source=row["source"],
            )
        )
    return sorted(changes, key=lambda change: change.time_ms)


def at_time(
    specs: InstrumentSpecs, changes: Sequence[RuleChange], known_ms: int, time_ms: int
) -> tuple[InstrumentSpecs, list[Difference]]:
    """Return the rules at `time_ms`, as far as they are known, from those that held at `known_ms`.

    Also returned is what that changed: each difference between the rules at `time_ms` and `specs`.
    """
    values: dict[str, Decimal] = {}
    found: list[Difference] = []
    for rule in RULES:
        own = [one for one in changes if one.rule == rule and one.symbol in {specs.symbol, ALL}]
        undone = [one for one in own if time_ms < one.time_ms <= known_ms]
        applied = [one for one in own if known_ms < one.time_ms <= time_ms]
        used: Decimal = getattr(specs, rule)
        if not undone and not applied:
            continue
        change, value = (undone[0], undone[0].before) if undone else (applied[-1], applied[-1].after)
        if value != used:
            values[rule] = value
            found.append(Difference(rule=rule, known=value, used=used, why=_why(change, back=bool(undone))))
    return (replace(specs, **values) if values else specs), found


def differences(
    specs: InstrumentSpecs, changes: Sequence[RuleChange], known_ms: int, time_range: TimeRange
) -> list[Difference]:
    """Return where the rules of a range are known to differ from `specs`, which held at `known_ms`; in time order."""
    start, end = time_range.start_ms, time_range.end_ms
    times = [start, *(one.time_ms for one in changes if start < one.time_ms < end)]
    found = [one for time in times for one in at_time(specs, changes, known_ms, time)[1]]
    return list(dict.fromkeys(found))


def compare_rules(specs: InstrumentSpecs, other: InstrumentSpecs, why: str) -> list[Difference]:
    """Return the rules a run depends on in which `other` differs from `specs`; `why` says what `other` is."""
    return [
        Difference(rule=rule, known=getattr(other, rule), used=getattr(specs, rule), why=why)
        for rule in RULES
        if getattr(other, rule) != getattr(specs, rule)
    ]


def _why(change: RuleChange, *, back: bool) -> str:
    seen = "at the latest " if change.seen else ""
    when = f"until {seen}{format_time(change.time_ms)}" if back else f"since {seen}{format_time(change.time_ms)}"
    return f"{when} ({change.source})"
