"""What a value of a configuration may be, and what is said of one that it may not be."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

import msgspec

from nt_run.errors import UsageError
from nt_run.settings import SHARES, nearest

_LEAST = Decimal("1e-8")
"""A unit of the eight decimals that money is booked with."""
_DECIMALS = 28
"""As many as the engine takes."""
_MOST = 10**9
"""What no count needs to exceed."""
_KINDS = {"int": "a whole number", "decimal": "a number", "bool": "true or false", "str": "text; put it in quotes"}
_HINTS = dict.fromkeys(SHARES, "write 0.02 or 2%") | {"costs.slippage_bps": "write basis points, 100 of which are 1 %"}


def refuse_nan(table: msgspec.Struct, place: str = "") -> None:
    """Refuse decimals that are not finite, in inner tables, too.

    Args:
        table: A table of the configuration.
        place: Its dotted name and a dot; empty for the configuration itself.

    Raises:
        UsageError: A value is not a number.
    """
    for key, value in _flat(table, place):
        if isinstance(value, Decimal) and not value.is_finite():
            raise UsageError(f"{key} must be a number, not {value}.")


def refuse_extremes(table: msgspec.Struct, place: str = "") -> None:
    """Refuse numbers that nothing could be reckoned with: next to nothing, with endless decimals, or beyond all counts.

    Args:
        table: A table of the configuration, all its decimals finite.
        place: Its dotted name and a dot; empty for the configuration itself.

    Raises:
        UsageError: A value is such a number.
    """
    for key, value in _flat(table, place):
        if isinstance(value, Decimal) and value and (abs(value) < _LEAST or -_exponent(value) > _DECIMALS):
            raise UsageError(f"{key} must be at least {_LEAST:f} and have at most {_DECIMALS} decimals.")
        if isinstance(value, int) and abs(value) > _MOST:
            raise UsageError(f"{key} must be at most {_MOST:,}.")


def explain(
    message: str, raw: Mapping[str, Any], table: type[msgspec.Struct], choices: Mapping[str, Sequence[str]]
) -> str:
    """Return what is wrong with a configuration in the words of its readers.

    Args:
        message: What msgspec says of it.
        raw: The configuration as it was given, in nested tables.
        table: What it was to become.
        choices: By dotted key, the values of those that have only a few.
    """
    unknown = re.search(r"unknown field `(\w+)`(?: - at `\$\.?([\w.]*)`)?", message)
    if unknown is not None:
        return _no_key(unknown[1], unknown[2] or "", table)
    text, _, place = message.partition(" - at ")
    key = place.strip("`").removeprefix("$.")
    return f"{key or 'configuration'}: {_wrong(text, key, raw, choices)}."


def _no_key(name: str, place: str, table: type[msgspec.Struct]) -> str:
    for part in filter(None, place.split(".")):
        table = cast("type[msgspec.Struct]", {f.name: f.type for f in msgspec.structs.fields(table)}[part])
    fields = [field.name for field in msgspec.structs.fields(table)]
    section = f"[{place}]" if place else "the configuration"
    return f"{section} has no key {name!r}.{nearest(name, fields)} It has: {', '.join(fields)}."


def _wrong(text: str, key: str, raw: Mapping[str, Any], choices: Mapping[str, Sequence[str]]) -> str:
    given: Any = raw
    for part in key.split("."):
        given = cast("dict[str, Any]", given).get(part) if isinstance(given, dict) else None
    shown = repr(given) if isinstance(given, str) else str(given)
    kind = re.match(r"Expected `(\w+)(?: \| null)?`", text)
    if key in choices:
        return f"{shown} is not one of {', '.join(choices[key])}"
    if text.startswith("Invalid decimal"):
        return f"{shown} is not a number; {_HINTS.get(key, 'write it like 10000 or 0.5, without commas')}"
    if kind is not None and kind[1] in _KINDS:
        return f"{shown} is not {_KINDS[kind[1]]}"
    is_table = kind is not None and kind[1] == "object"
    return f"it is a table, such as [strategy] with name = …, and not {shown}" if is_table else text


def _exponent(value: Decimal) -> int:
    return int(value.as_tuple().exponent)


def _flat(table: msgspec.Struct, place: str) -> list[tuple[str, object]]:
    """Return the values of a table by their dotted names, those of inner tables among them."""
    found: list[tuple[str, object]] = []
    for field in msgspec.structs.fields(table):
        value: object = getattr(table, field.name)
        inner = isinstance(value, msgspec.Struct)
        found += _flat(value, f"{place}{field.name}.") if inner else [(f"{place}{field.name}", value)]
    return found
