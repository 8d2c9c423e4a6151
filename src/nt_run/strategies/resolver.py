"""A strategy's name → its class, its parameters and a digest of its source."""

import dataclasses
import difflib
import hashlib
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, cast

from nautilus_trader.trading import Strategy, StrategyConfig

from nt_run.errors import UsageError
from nt_run.strategies.load import load_file, load_module

GROUP = "nt_run.strategies"
BUILT_IN = {
    "ema_cross": "nt_run.strategies.ema_cross:EmaCross",
    "rsi_reversion": "nt_run.strategies.rsi_reversion:RsiReversion",
    "donchian_breakout": "nt_run.strategies.donchian_breakout:DonchianBreakout",
}
"""Found without the metadata of an installed package, too."""

RUNNER_FIELDS = frozenset({"instrument_id", "bar_type", "trade_size", "sizer", "history"})
"""Fields the runner fills in; they are no parameters."""

REQUIRED: Any = inspect.Parameter.empty
"""Default of a parameter that has none."""


@dataclass(frozen=True, slots=True)
class StrategySpec:
    """A strategy that was found. `parameters` maps a parameter's name to (annotation, default)."""

    name: str
    cls: type[Strategy]
    config: type
    source_digest: str
    """sha256 of the text of the file that defines it, so that a run's identity covers its strategy."""
    parameters: Mapping[str, tuple[Any, Any]]
    accepts: frozenset[str]
    """All fields of the configuration, the runner's included."""

    def build(self, fields: Mapping[str, object]) -> Strategy:
        """Return a new instance with these fields in its configuration."""
        make = cast("Callable[[object], Strategy]", self.cls)
        return make(self.config(**fields))


def resolve_strategy(name: str) -> StrategySpec:
    """Return the strategy called `name`.

    A name is a built-in's or another package's entry point (`ema_cross`), `package.module:Class`, `file.py:Class`, or
    `file.py` where the file has one strategy.

    Raises:
        UsageError: There is no such strategy, or it cannot be configured; the message names the nearest names.
    """
    path, _, wanted = name.rpartition(":") if ":" in name else (name, "", "")
    if path.endswith(".py"):
        cls = _pick(load_file(path), wanted, path)
    elif wanted:
        cls = _pick(load_module(path), wanted, path)
    else:
        cls = _registered(name)
    return _describe(name, cls)


def strategy_names() -> list[str]:
    """Return the names of the built-in strategies and of those other packages registered."""
    return sorted(BUILT_IN.keys() | {entry.name for entry in entry_points(group=GROUP)})


def check_params(spec: StrategySpec, params: Mapping[str, object]) -> dict[str, object]:
    """Return `params` as values of the annotated types; text is converted (`"10"` → 10).

    Raises:
        UsageError: An unknown parameter, a value that is not of its type, a parameter without a value, or what the
            configuration itself says with a `UsageError`: before any data is loaded.
    """
    checked: dict[str, object] = {}
    for name, value in params.items():
        if name not in spec.parameters:
            raise UsageError(_unknown_parameter(spec, name))
        checked[name] = _converted(spec, name, value)
    missing = [name for name, (_, default) in spec.parameters.items() if default is REQUIRED and name not in checked]
    if missing:
        raise UsageError(f"{spec.name} needs a value for {', '.join(missing)}: --param {missing[0]}=…")
    _try_out(spec, checked)
    return checked


def _try_out(spec: StrategySpec, params: Mapping[str, object]) -> None:
    """Let the configuration refuse parameters early; whatever else it raises is told when it is built for good."""
    try:
        spec.config(**dict.fromkeys(spec.accepts & RUNNER_FIELDS), **params)
    except UsageError:
        raise
    except Exception:  # noqa: BLE001, S110 - the runner's fields are still empty, so this may be no fault of its own
        pass


def _registered(name: str) -> type[Strategy]:
    targets = {**BUILT_IN, **{entry.name: entry.value for entry in entry_points(group=GROUP)}}
    if name not in targets:
        raise UsageError(
            f"There is no strategy {name!r}.{_nearest(name, targets)} Strategies: {', '.join(sorted(targets))}, "
            "package.module:Class or file.py:Class."
        )
    module, _, cls = targets[name].partition(":")
    return _pick(load_module(module), cls, module)


def _pick(module: types.ModuleType, wanted: str, path: str) -> type[Strategy]:
    own = {
        name: value
        for name, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, Strategy) and value is not Strategy
    }
    if wanted in own:
        return own[wanted]
    defined = {name: value for name, value in own.items() if value.__module__ == module.__name__}
    if not wanted and len(defined) == 1:
        return next(iter(defined.values()))
    choices = ", ".join(f"{path}:{name}" for name in defined) or "it defines none"
    problem = f"has no strategy {wanted!r}.{_nearest(wanted, own)}" if wanted else "does not say which strategy to run."
    raise UsageError(f"{path} {problem} Its strategies: {choices}.")


def _describe(name: str, cls: type[Strategy]) -> StrategySpec:
    config = _config_class(name, cls)
    fields = _fields(name, config)
    return StrategySpec(
        name=name,
        cls=cls,
        config=config,
        source_digest=_digest(name, cls),
        parameters={key: value for key, value in fields.items() if key not in RUNNER_FIELDS},
        accepts=frozenset(fields),
    )


def _digest(name: str, cls: type[Strategy]) -> str:
    try:
        return hashlib.sha256(Path(inspect.getfile(cls)).read_bytes()).hexdigest()
    except (OSError, TypeError) as exc:
        raise UsageError(f"Strategy {name} has no source file, so a run with it could not be told apart.") from exc


def _config_class(name: str, cls: type[Strategy]) -> type:
    taken = [*inspect.signature(cls.__init__).parameters.values()][1:]
    if cls.__init__ is not Strategy.__init__ and len(taken) == 1:
        config = _hints(cls.__init__).get(taken[0].name)
        if inspect.isclass(config):
            return config
    raise UsageError(
        f"The constructor of strategy {name} must take one parameter, annotated with its configuration class: "
        f"def __init__(self, config: {cls.__name__}Config)."
    )


def _fields(name: str, config: type) -> dict[str, tuple[Any, Any]]:
    """Return the fields the configuration's own constructor takes: {name: (annotation, default)}."""
    for cls in config.__mro__:
        if cls in (StrategyConfig, object):
            break
        for constructor in (vars(cls).get("__init__"), vars(cls).get("__new__")):
            if inspect.isfunction(constructor):
                return _taken(constructor)
        if vars(cls).get("__annotations__") or (issubclass(cls, StrategyConfig) and inspect.get_annotations(cls)):
            raise UsageError(
                f"The configuration {cls.__name__} of strategy {name} names fields but has no constructor, so their "
                "values would be lost. Put @dataclass(frozen=True, kw_only=True) above it."
            )
    return {}


def _taken(constructor: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    hints = _hints(constructor)
    parameters = [*inspect.signature(constructor).parameters.values()][1:]
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {
        parameter.name: (hints.get(parameter.name, str), _default(parameter.default))
        for parameter in parameters
        if parameter.kind in named
    }


def _default(default: object) -> object:
    # A dataclass marks default_factory with a private value: it has a default, only not one to show.
    return None if type(default).__module__ == dataclasses.__name__ else default


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations as types; one whose name is imported for type checking only stays text."""
    hints: dict[str, Any] = {}
    for name, annotation in inspect.get_annotations(function).items():
        alone = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            hints |= typing.get_type_hints(alone, globalns=getattr(function, "__globals__", {}))
        except NameError:
            hints[name] = annotation
    return hints


def _unknown_parameter(spec: StrategySpec, name: str) -> str:
    if name in RUNNER_FIELDS:
        return f"{name!r} of {spec.name} is filled in by the runner and cannot be set."
    known = ", ".join(sorted(spec.parameters)) or "none"
    return f"{spec.name} has no parameter {name!r}.{_nearest(name, spec.parameters)} Its parameters: {known}."


def _nearest(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def _converted(spec: StrategySpec, name: str, value: object) -> object:
    annotation = spec.parameters[name][0]
    kinds = [kind for kind in (typing.get_args(annotation) or (annotation,)) if kind is not types.NoneType]
    optional = types.NoneType in typing.get_args(annotation)
    if optional and (value is None or str(value).lower() == "none"):
        return None
    for kind in kinds:
        convert = _CONVERTERS.get(kind)
        if convert is None:
            continue
        try:
            return convert(value)
        except (ValueError, InvalidOperation):
            continue
    wanted = " or ".join(getattr(kind, "__name__", str(kind)) for kind in kinds)
    raise UsageError(f"{spec.name}: {name}={value!s} is not of the type {wanted}.")


def _to_int(value: object) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError(value)
    return int(value) if isinstance(value, float) else int(str(value).replace("_", ""))


def _to_float(value: object) -> float:
    if isinstance(value, bool):
        raise ValueError(value)  # noqa: TRY004 - one kind of refusal for all converters
    return float(str(value))


def _to_decimal(value: object) -> Decimal:
    if isinstance(value, bool):
        raise ValueError(value)  # noqa: TRY004 - as above
    return Decimal(str(value))


def _to_bool(value: object) -> bool:
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    word = str(value).lower()
    if word not in words:
        raise ValueError(value)
    return words[word]


_CONVERTERS: dict[Any, Callable[[object], object]] = {
    int: _to_int,
    float: _to_float,
    Decimal: _to_decimal,
    bool: _to_bool,
    str: str,
}
