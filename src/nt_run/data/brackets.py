"""Leverage brackets as they are written down: the exchange's own answer, ccxt's form, and the table shipped with us.

The exchange tells brackets to holders of an API key only. Without one there are the user's file, the dated tables of
BTCUSDT in `brackets.json`, and at last a flat rate.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, cast

import msgspec

from nt_run.data.snapshots import BRACKETS, SnapshotStore
from nt_run.errors import DataError, UsageError
from nt_run.margin import Bracket, MarginRules, build_brackets, flat_rules
from nt_run.model import parse_symbol, parse_time

FLAT_RATE = Decimal("0.03")
"""The largest rate any first bracket had among the 349 contracts of 2024-10-24."""
FLAT_LEVERAGE = Decimal(20)
"""The most leverage contracts of that rate had."""
_DAY_MS = 86_400_000
_EXCHANGE = ("notionalFloor", "notionalCap", "maintMarginRatio", "initialLeverage")
_CCXT = ("minNotional", "maxNotional", "maintenanceMarginRate", "maxLeverage")
_SHIPPED = Path(__file__).parent / "brackets.json"


def choose_rules(tables: Sequence[MarginRules], at_ms: int) -> MarginRules | None:
    """Return the table in force at a time: the newest known by then, a day's grace given, else the oldest there is."""
    dated = sorted(tables, key=lambda rules: rules.as_of_ms or 0)
    known = [rules for rules in dated if (rules.as_of_ms or 0) <= at_ms + _DAY_MS]
    return known[-1] if known else next(iter(dated), None)


def kept_rules(store: SnapshotStore, symbol: str, at_ms: int) -> list[MarginRules]:
    """Return what the kept answers of the exchange say of a contract at a time: one table or none."""
    answers = store.all()
    known = [one for one in answers if one.fetched_at_ms <= at_ms + _DAY_MS] or answers[:1]
    if not known:
        return []
    content = store.read(known[-1]).get(BRACKETS)
    if _find_rows(content, symbol) is None:
        return []
    return [parse_brackets(content, symbol, as_of_ms=known[-1].fetched_at_ms, source="the exchange's own")]


def shipped_rules(symbol: str) -> list[MarginRules]:
    """Return the tables of a contract that come with the package, oldest first; none for most contracts."""
    shipped = cast("dict[str, dict[str, list[Any]]]", msgspec.json.decode(_SHIPPED.read_bytes()))
    made: list[MarginRules] = []
    for date, rows in shipped.get(symbol, {}).items():
        caps = [Decimal(row[0]) for row in rows]
        floors = [Decimal(0), *caps]
        brackets = tuple(
            Bracket(floor=floor, cap=cap, rate=Decimal(rate), max_leverage=Decimal(leverage), cum=Decimal(cum))
            for floor, cap, (_, rate, leverage, cum) in zip(floors, caps, rows, strict=False)
        )
        source = "the published table shipped with nt-run"
        made.append(MarginRules(symbol=symbol, brackets=brackets, as_of_ms=parse_time(date), source=source))
    return made


def assumed_rules(symbol: str) -> MarginRules:
    """Return the flat rate that stands in for unknown brackets."""
    source = f"not known, {(FLAT_RATE * 100).normalize():f} % of any notional assumed"
    return flat_rules(symbol, FLAT_RATE, FLAT_LEVERAGE, source)


def read_brackets(path: Path, symbol: str) -> MarginRules:
    """Return the brackets of `symbol` from a user's JSON file, in the exchange's form or ccxt's.

    Raises:
        UsageError: The file is missing, is not JSON, or lacks the symbol.
        DataError: Its brackets contradict themselves.
    """
    try:
        content: object = msgspec.json.decode(path.read_bytes())
    except OSError as exc:
        raise UsageError(f"The brackets {path} cannot be read: {exc.strerror or exc}.") from exc
    except msgspec.DecodeError as exc:
        raise UsageError(f"The brackets {path} are not JSON: {exc}.") from exc
    return parse_brackets(content, symbol, as_of_ms=None, source=path.name)


def parse_brackets(content: object, symbol: str, *, as_of_ms: int | None, source: str) -> MarginRules:
    """Return the brackets of `symbol` from an answer of `/fapi/v1/leverageBracket`, or from what ccxt makes of it.

    The exchange's is a list of `{symbol, brackets: [{notionalFloor, notionalCap, maintMarginRatio, initialLeverage,
    cum}]}`, or one such object; ccxt's maps `BTC/USDT:USDT` to a list of `{minNotional, maxNotional,
    maintenanceMarginRate, maxLeverage}`.

    Raises:
        UsageError: It has neither form, or lacks the symbol.
        DataError: The brackets contradict themselves.
    """
    rows = _find_rows(content, symbol)
    if rows is None:
        raise UsageError(
            f"{source} has no leverage brackets of {symbol}. It must be an answer of /fapi/v1/leverageBracket, or "
            "ccxt's leverage tiers."
        )
    try:
        read = sorted(_rows(rows), key=lambda row: row[0])
    except (KeyError, TypeError, ValueError, AttributeError, InvalidOperation) as exc:
        raise DataError(
            f"{symbol}: a leverage bracket of {source} is no object with four numbers. "
            f"It must have {', '.join(_EXCHANGE)}, or {', '.join(_CCXT)}."
        ) from exc
    made = build_brackets([row[:4] for row in read])
    told = [one if row[4] is None else replace(one, cum=row[4]) for one, row in zip(made, read, strict=True)]
    return MarginRules(symbol=symbol, brackets=tuple(told), as_of_ms=as_of_ms, source=source)


def _find_rows(content: object, symbol: str) -> list[Any] | None:
    if isinstance(content, Mapping):
        table = cast("Mapping[str, Any]", content)
        if "brackets" not in table:
            return cast("list[Any] | None", next((rows for name, rows in table.items() if _names(name, symbol)), None))
        content = [table]
    if not isinstance(content, list):
        return None
    entries = cast("list[Any]", content)
    found = (cast("Mapping[str, Any]", entry) for entry in entries if isinstance(entry, Mapping))
    return next((entry.get("brackets") for entry in found if entry.get("symbol") == symbol), None)


def _names(name: str, symbol: str) -> bool:
    try:
        return parse_symbol(name) == symbol
    except UsageError:
        return False


type _Row = tuple[Decimal, Decimal, Decimal, Decimal, Decimal | None]


def _rows(rows: Iterable[Mapping[str, Any]]) -> list[_Row]:
    """Return (floor, cap, rate, most leverage, cum if told) of each row."""
    made: list[_Row] = []
    for row in rows:
        names = _CCXT if "maintenanceMarginRate" in row else _EXCHANGE
        floor, cap, rate, leverage = (_number(row[name]) for name in names)
        told = row.get("cum", cast("Mapping[str, Any]", row.get("info") or {}).get("cum"))
        made.append((floor, cap, rate, leverage, None if told is None else _number(told)))
    return made


def _number(value: object) -> Decimal:
    number = Decimal(str(value))
    if not number.is_finite():
        raise ValueError(number)
    return number
