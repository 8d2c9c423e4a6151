"""Leverage brackets as they are written down: the exchange's own answer, ccxt's form, and the table shipped with us.

The exchange tells brackets to holders of an API key only. Without one there are the user's file, the dated tables of
BTCUSDT in `brackets.json`, and at last a flat rate.
"""

import json
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
    if _find_rows(content, symbol, "the exchange's own") is None:
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
        UsageError: The file is missing, is not JSON, lacks the symbol, or has it more than once.
        DataError: Its brackets contradict themselves.
    """
    try:
        # Of two equal names msgspec keeps the last without a word.
        content: object = json.loads(path.read_bytes(), object_pairs_hook=_without_twins)
    except OSError as exc:
        raise UsageError(f"The brackets {path} cannot be read: {exc.strerror or exc}.") from exc
    except (json.JSONDecodeError, UnicodeDecodeError) as exc:
        raise UsageError(f"The brackets {path} are not JSON: {exc}.") from exc
    except _TwiceError as exc:
        raise UsageError(f"The brackets {path} have {exc.args[0]!r} twice in one object. Keep one of the two.") from exc
    return parse_brackets(content, symbol, as_of_ms=None, source=path.name)


def parse_brackets(content: object, symbol: str, *, as_of_ms: int | None, source: str) -> MarginRules:
    """Return the brackets of `symbol` from an answer of `/fapi/v1/leverageBracket`, or from what ccxt makes of it.

    The exchange's is a list of `{symbol, brackets: [{notionalFloor, notionalCap, maintMarginRatio, initialLeverage,
    cum}]}`, or one such object; ccxt's maps `BTC/USDT:USDT` to a list of `{minNotional, maxNotional,
    maintenanceMarginRate, maxLeverage}`.

    Raises:
        UsageError: It has neither form, lacks the symbol, or has it more than once.
        DataError: The brackets contradict themselves.
    """
    rows = _find_rows(content, symbol, source)
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


def _find_rows(content: object, symbol: str, source: str) -> list[Any] | None:
    """Return the rows of a symbol, `None` if there are none.

    Raises:
        UsageError: There are several.
    """
    if isinstance(content, Mapping):
        table = cast("Mapping[str, Any]", content)
        if "brackets" not in table:
            named = [(repr(name), rows) for name, rows in table.items() if _names(name, symbol)]
            return _only(named, symbol, source)
        content = [table]
    if not isinstance(content, list):
        return None
    named: list[tuple[str, Any]] = []
    for number, entry in enumerate(cast("list[Any]", content), start=1):
        if isinstance(entry, Mapping) and (one := cast("Mapping[str, Any]", entry)).get("symbol") == symbol:
            named.append((f"entry {number}", one.get("brackets")))
    return _only(named, symbol, source)


def _only(found: Sequence[tuple[str, Any]], symbol: str, source: str) -> list[Any] | None:
    if len(found) > 1:
        places = " and ".join(name for name, _ in found)
        raise UsageError(f"{source} has leverage brackets of {symbol} {len(found)} times: {places}. Keep one of them.")
    return found[0][1] if found else None


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


class _TwiceError(Exception):
    """A name that one JSON object has twice."""


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in pairs:
        if name in made:
            raise _TwiceError(name)
        made[name] = value
    return made


def _number(value: object) -> Decimal:
    number = Decimal(str(value))
    if not number.is_finite():
        raise ValueError(number)
    return number
