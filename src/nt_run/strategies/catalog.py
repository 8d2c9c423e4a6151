"""The strategies that are installed: what they do and what can be set."""

import inspect
import sys
from importlib.metadata import entry_points
from typing import Any

from nt_run.errors import UsageError
from nt_run.strategies.resolver import BUILT_IN, GROUP, REQUIRED, StrategySpec, resolve_strategy, strategy_names


def installed_strategies() -> list[dict[str, Any]]:
    """Return the built-in strategies and those other packages registered, by name; one that fails says why.

    Each has `name`, `target` (`module:Class`), `package` (who registered it), `summary` (one line), `parameters` (each
    with `name`, `type` and `default`, `null` where a value is needed) and `error`.
    """
    registered = {entry.name: entry for entry in entry_points(group=GROUP)}
    found: list[dict[str, Any]] = []
    for name in strategy_names():
        entry = registered.get(name)
        target = entry.value if entry else BUILT_IN[name]
        package = entry.dist.name if entry and entry.dist else "nt-run"
        told: dict[str, Any] = {"name": name, "target": target, "package": package}
        try:
            spec = resolve_strategy(name)
            told |= {"summary": _summary(spec), "parameters": _parameters(spec), "error": None}
        except UsageError as exc:
            told |= {"summary": None, "parameters": [], "error": str(exc)}
        found.append(told)
    return found


def _summary(spec: StrategySpec) -> str:
    """The first line of what the strategy's module says of it, else of what its class says."""
    module = sys.modules.get(spec.cls.__module__)
    text = inspect.getdoc(module) or inspect.getdoc(spec.cls) or ""
    return text.split("\n", 1)[0]


def _parameters(spec: StrategySpec) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "type": getattr(annotation, "__name__", str(annotation)),
            "default": None if default is REQUIRED else default,
        }
        for name, (annotation, default) in spec.parameters.items()
    ]
