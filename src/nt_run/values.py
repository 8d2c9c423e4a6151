"""What a value of a configuration may be, whichever key it belongs to."""

from decimal import Decimal

import msgspec

from nt_run.errors import UsageError

_LEAST = Decimal("1e-8")
"""A unit of the eight decimals that money is booked with."""
_DECIMALS = 28
"""As many as the engine takes."""
_MOST = 10**9
"""What no count needs to exceed."""


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
