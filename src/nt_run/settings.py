"""TOML, environment and flags → one plain table, before it becomes a configuration."""

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from nt_run.errors import UsageError

ENVIRONMENT = {
    "NT_RUN_REST_URL": "exchange.rest_url",
    "NT_RUN_ARCHIVE_URL": "exchange.archive_url",
    "NT_RUN_ARCHIVE_LIST_URL": "exchange.archive_list_url",
}
SHARES = (
    "min_completeness",
    "fees.maker",
    "fees.taker",
    "protection.max_drawdown",
    "protection.max_daily_loss",
    "sizing.fraction",
    "sizing.stop_distance",
    "sizing.kelly_start",
    "sizing.kelly_cap",
)
"""Keys that may also say `20%`, in a file or a flag."""


def gather(path: Path | None, overrides: Mapping[str, object], ranges: Iterable[str]) -> dict[str, Any]:
    """Return the table of a file with overrides by dotted key, and the environment where both are silent.

    A range given by override replaces the file's range as a whole, another strategy drops the file's parameters.

    Raises:
        UsageError: The file cannot be read, or a key goes through a value.
    """
    raw = _stated(path, overrides, ranges)
    for key, value in (_environment(raw) | dict(overrides)).items():
        _put(raw, key, value)
    for key in SHARES:
        table, _, name = key.rpartition(".")
        stated = cast("dict[str, Any]", raw.get(table, {}) if table else raw)
        value: object = stated.get(name) if isinstance(raw.get(table, {}), dict) else None
        if isinstance(value, str):
            stated[name] = parse_share(value)
    return raw


def origins(path: Path | None, overrides: Mapping[str, object], ranges: Iterable[str]) -> dict[str, str]:
    """Return where each key that is said anywhere was said, by dotted key: `flag`, `environment` or `file`.

    Raises:
        UsageError: The file cannot be read.
    """
    raw = _stated(path, overrides, ranges)
    said = dict.fromkeys(_dotted(raw), "file") | dict.fromkeys(_environment(raw), "environment")
    return said | dict.fromkeys(overrides, "flag")


def _stated(path: Path | None, overrides: Mapping[str, object], ranges: Iterable[str]) -> dict[str, Any]:
    """Return what a file says where the overrides leave it standing."""
    raw = _renamed(_read_toml(path)) if path is not None else {}
    if any(key in overrides for key in ranges):
        raw = {key: value for key, value in raw.items() if key not in ranges}
    _drop_foreign_params(raw, overrides.get("strategy.name"))
    return raw


def _dotted(table: Mapping[str, Any]) -> list[str]:
    keys: list[str] = []
    for key, value in table.items():
        inner = _dotted(cast("dict[str, Any]", value)) if isinstance(value, dict) else []
        keys += [f"{key}.{one}" for one in inner] or [key]
    return keys


def parse_setting(text: str) -> tuple[str, object]:
    """Return key and value of `key=value`; the value is TOML where it reads as TOML, else text.

    Raises:
        UsageError: There is no `=`, or no key before it.
    """
    key, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not key:
        raise UsageError(f"{text!r} is not a setting. Write key=value, for example sizing.compound=false.")
    try:
        return key, tomllib.loads(f"value = {value}", parse_float=Decimal)["value"]
    except tomllib.TOMLDecodeError:
        return key, value


def parse_timerange(text: str) -> tuple[str, str]:
    """Return start and end (ISO) of `20250504-20250511`; the end is excluded, as everywhere.

    Raises:
        UsageError: The text has another form.
    """
    match = re.fullmatch(r"(\d{4})(\d\d)(\d\d)-(\d{4})(\d\d)(\d\d)", text.strip())
    if match is None:
        raise UsageError(f"{text!r} is not a time range. Write 20250504-20250511 (UTC, the end excluded).")
    year, month, day, to_year, to_month, to_day = match.groups()
    return f"{year}-{month}-{day}", f"{to_year}-{to_month}-{to_day}"


def parse_share(text: str) -> str:
    """Return `20%` as the fraction `0.2`; anything else is returned as it is, for the configuration to judge."""
    number = text.strip().removesuffix("%")
    try:
        return f"{Decimal(number) / 100:f}" if text.strip().endswith("%") else text
    except ArithmeticError:
        return text


def nearest(name: str, names: Iterable[str]) -> str:
    """Return ` Did you mean …?` for the most similar name, or an empty text."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def _environment(raw: Mapping[str, Any]) -> dict[str, object]:
    """What the environment says where the file is silent: a kept run must run again on its own exchange."""
    table = raw.get("exchange", {})
    stated = cast("dict[str, Any]", table) if isinstance(table, dict) else {}
    found = {key: os.environ.get(name) for name, key in ENVIRONMENT.items() if key.split(".")[1] not in stated}
    return {key: value for key, value in found.items() if value}


def _renamed(raw: dict[str, Any]) -> dict[str, Any]:
    """Return a file's table with `sizing.slippage_bps`, as kept runs of earlier versions have it, where it is now."""
    sizing = raw.get("sizing")
    if isinstance(sizing, dict) and "slippage_bps" in sizing:
        _put(raw, "costs.slippage_bps", cast("dict[str, Any]", sizing).pop("slippage_bps"))
    return raw


def _drop_foreign_params(raw: dict[str, Any], strategy: object) -> None:
    table = raw.get("strategy")
    if isinstance(table, dict):
        stated = cast("dict[str, Any]", table)
        if strategy not in (None, stated.get("name")):
            stated.pop("params", None)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return _plain_times(tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal))
    except FileNotFoundError as exc:
        raise UsageError(f"There is no configuration file {path}.") from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"{path} cannot be read: {exc}.") from exc
    except tomllib.TOMLDecodeError as exc:
        raise UsageError(f"{path} is not TOML: {exc}.") from exc


def _plain_times(table: dict[str, Any]) -> dict[str, Any]:
    """TOML's own dates and times as the ISO text that flags give."""
    return {
        key: _plain_times(cast("dict[str, Any]", value))
        if isinstance(value, dict)
        else value.isoformat()
        if hasattr(value, "isoformat")
        else value
        for key, value in table.items()
    }


def _put(raw: dict[str, Any], dotted: str, value: object) -> None:
    *tables, key = dotted.split(".")
    for table in tables:
        inner = raw.setdefault(table, {})
        if not isinstance(inner, dict):
            raise UsageError(f"{table!r} is a value, not a table, so {dotted!r} cannot be set.")
        raw = cast("dict[str, Any]", inner)
    raw[key] = value


def without_none(table: dict[str, Any]) -> dict[str, Any]:
    """Return a table without the keys that have no value, which TOML cannot write."""
    return {
        key: without_none(cast("dict[str, Any]", value)) if isinstance(value, dict) else value
        for key, value in table.items()
        if value is not None
    }
