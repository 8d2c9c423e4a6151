"""What changed between two exchangeInfo answers, perpetual by perpetual. Pure."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any

from nt_run.errors import DataError
from nt_run.model import format_iso
from nt_run.specs import PERPETUAL, InstrumentSpecs, parse_symbol_specs

COMPARED = tuple(
    field.name
    for field in fields(InstrumentSpecs)
    if field.name not in {"symbol", "contract_type", "as_of_ms", "source"}
)
"""The rules that are compared: all that `InstrumentSpecs` holds, but for where they are from."""

type Value = Decimal | str | int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """One rule of one contract, before and after."""

    symbol: str
    rule: str
    before: Value
    after: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecsDiff:
    """Two answers, compared. `unreadable` are contracts whose rules one of the answers does not state in full."""

    before: int
    """Perpetuals in the first answer."""
    after: int
    listed: list[str]
    delisted: list[str]
    unreadable: list[str]
    changed: list[Changed]

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not (self.listed or self.delisted or self.changed)

    def counts(self) -> dict[str, int]:
        """Return for how many contracts each rule changed, in the order of `COMPARED`."""
        found = Counter(one.rule for one in self.changed)
        return {rule: found[rule] for rule in COMPARED if rule in found}


def compare_answers(before: Mapping[str, Any], after: Mapping[str, Any], symbols: Collection[str] = ()) -> SpecsDiff:
    """Compare the perpetuals of two answers; only `symbols`, if any are given.

    Numbers are compared by value: 0.10 and 0.1 are the same tick size.
    """
    one, other = _perpetuals(before, symbols), _perpetuals(after, symbols)
    changed: list[Changed] = []
    unreadable: list[str] = []
    for symbol in sorted(one.keys() & other.keys()):
        try:
            then, now = (parse_symbol_specs(each[symbol], as_of_ms=0, source="") for each in (one, other))
        except DataError:
            unreadable.append(symbol)
            continue
        changed += [
            Changed(symbol=symbol, rule=rule, before=getattr(then, rule), after=getattr(now, rule))
            for rule in COMPARED
            if getattr(then, rule) != getattr(now, rule)
        ]
    return SpecsDiff(
        before=count_perpetuals(before),
        after=count_perpetuals(after),
        listed=sorted(other.keys() - one.keys()),
        delisted=sorted(one.keys() - other.keys()),
        unreadable=unreadable,
        changed=changed,
    )


def value_text(rule: str, value: Value) -> str | None:
    """Return a value as text, `None` for what is not stated: numbers as they are written, times in ISO 8601."""
    if isinstance(value, int) and rule.endswith("_ms"):
        return format_iso(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    return None if value is None else str(value)


def count_perpetuals(answer: Mapping[str, Any]) -> int:
    """Return how many perpetuals an answer lists."""
    return len(_perpetuals(answer, ()))


def states(answer: Mapping[str, Any], rule: str, value: Decimal, symbols: Collection[str]) -> bool:
    """Return whether an answer states a value of a rule for any of `symbols`, for any perpetual if none is given."""
    for entry in _perpetuals(answer, symbols).values():
        try:
            if getattr(parse_symbol_specs(entry, as_of_ms=0, source=""), rule) == value:
                return True
        except DataError:
            continue
    return False


def _perpetuals(answer: Mapping[str, Any], symbols: Collection[str]) -> dict[str, Mapping[str, Any]]:
    entries: list[Mapping[str, Any]] = answer.get("symbols") or []
    return {
        str(entry.get("symbol")): entry
        for entry in entries
        if entry.get("contractType") == PERPETUAL and (not symbols or entry.get("symbol") in symbols)
    }
