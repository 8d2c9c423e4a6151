"""A configuration explained: what each key came to and where it was said; and its schema, for editors of TOML."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import msgspec

from nt_run.config import DEFAULT_DAYS, RANGE_KEYS, RunConfig, load_config
from nt_run.intervals import INTERVALS
from nt_run.settings import SHARES, origins

BUILT_IN = "built-in"


def explain_config(path: Path | None, overrides: Mapping[str, object]) -> dict[str, Any]:
    """Return the configuration that a run would have, and where each key was said.

    Returns:
        `config`, as nested tables, and `origins` by dotted key: `flag`, `file`, `environment` or `built-in`.

    Raises:
        UsageError: As for `load_config`.
    """
    config = load_config(path, overrides)
    table = cast("dict[str, Any]", msgspec.to_builtins(config))
    if config.start is None and config.days is None:
        table["days"] = str(DEFAULT_DAYS)
    said = origins(path, overrides, RANGE_KEYS)
    return {"config": table, "origins": {key: said.get(key, BUILT_IN) for key, _ in flat(table)}}


def flat(table: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return nested tables as pairs of dotted key and value, in their order; an empty table is a value."""
    pairs: list[tuple[str, Any]] = []
    for key, value in table.items():
        inner = flat(cast("dict[str, Any]", value), f"{prefix}{key}.") if isinstance(value, dict) else []
        pairs += inner or [(f"{prefix}{key}", cast("Any", value))]
    return pairs


_DECIMAL = r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$"
"""What a decimal is as text; a number needs no pattern."""


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema of a configuration file: editors complete and check TOML by it."""
    schema = msgspec.json.schema(RunConfig)
    schema["$defs"]["RunConfig"]["properties"]["interval"]["enum"] = [*INTERVALS]
    schema = _for_toml(schema)
    for key in SHARES:
        _allow_percent(schema["$defs"], key)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "nt-run", **schema}


def _allow_percent(definitions: dict[str, Any], key: str) -> None:
    table, _, name = key.rpartition(".")
    of = (
        next(each for each in definitions.values() if name in each["properties"]) if table else definitions["RunConfig"]
    )
    stated = of["properties"][name]
    for form in stated.get("anyOf", [stated]):
        if "pattern" in form:
            form["pattern"] = form["pattern"].replace("$", "%?$")


def _for_toml(part: Any) -> Any:  # noqa: ANN401 - JSON
    """Let decimals be numbers, which msgspec wants as text."""
    if isinstance(part, list):
        return [_for_toml(each) for each in cast("list[Any]", part)]
    if not isinstance(part, dict):
        return part
    table = cast("dict[str, Any]", part)
    if table.get("format") == "decimal":
        kept = {key: value for key, value in table.items() if key != "format"}
        return {**kept, "type": ["number", "string"], "pattern": _DECIMAL}
    return {key: _for_toml(value) for key, value in table.items()}
