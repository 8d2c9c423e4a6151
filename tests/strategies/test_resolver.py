import hashlib
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from nautilus_trader.trading import Strategy

from nt_run import strategies
from nt_run.errors import UsageError
from nt_run.strategies import ema_cross, resolver
from nt_run.strategies.resolver import check_params, resolve_strategy, strategy_names

SOURCE = """
from dataclasses import dataclass
from decimal import Decimal
from nautilus_trader.trading import Strategy, StrategyConfig

@dataclass(frozen=True, kw_only=True)
class MineConfig(StrategyConfig):
    period: int
    ratio: float = 0.5
    exact: Decimal = Decimal("0.1")
    active: bool = True
    label: str = "x"
    limit: int | None = None

class Mine(Strategy):
    def __init__(self, config: MineConfig) -> None:
        super().__init__(config)
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def go(source: str) -> Path:
        file = tmp_path / "mine.py"
        file.write_text(source)
        return file

    return go


def test_a_built_in_is_found_by_name() -> None:
    spec = resolve_strategy("ema_cross")
    assert spec.cls is ema_cross.EmaCross
    assert spec.parameters == {"fast": (int, 10), "slow": (int, 21)}
    assert spec.accepts == {"instrument_id", "bar_type", "sizer", "fast", "slow"}
    assert spec.source_digest == hashlib.sha256(Path(ema_cross.__file__).read_bytes()).hexdigest()


def test_every_built_in_can_be_resolved_and_is_short() -> None:
    for name in resolver.BUILT_IN:
        spec = resolve_strategy(name)
        text = Path(sys.modules[spec.cls.__module__].__file__ or "").read_text()
        assert len(text.splitlines()) < 100


def test_the_names_are_listed() -> None:
    assert {"ema_cross", "rsi_reversion", "donchian_breakout"} <= set(strategy_names())


def test_built_ins_do_not_depend_on_the_packages_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "entry_points", lambda **_kwargs: [])
    assert resolve_strategy("donchian_breakout").name == "donchian_breakout"


def test_a_class_is_found_by_its_module() -> None:
    assert resolve_strategy("nt_run.strategies.ema_cross:EmaCross").cls is ema_cross.EmaCross


@pytest.mark.parametrize("suffix", ["", ":Mine"])
def test_a_class_is_found_in_a_file(suffix: str, write: Callable[[str], Path]) -> None:
    file = write(SOURCE)
    spec = resolve_strategy(f"{file}{suffix}")
    assert spec.cls.__name__ == "Mine"
    assert spec.source_digest == hashlib.sha256(SOURCE.encode()).hexdigest()
    assert isinstance(spec.build({"period": 3}), Strategy)


def test_a_relative_path_starts_in_the_current_folder(
    write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write(SOURCE).parent)
    assert resolve_strategy("mine.py:Mine").cls.__name__ == "Mine"


def test_a_file_that_changed_is_loaded_anew(write: Callable[[str], Path]) -> None:
    first = resolve_strategy(str(write(SOURCE)))
    second = resolve_strategy(str(write(SOURCE.replace("0.5", "0.7"))))
    assert (first.parameters["ratio"][1], second.parameters["ratio"][1]) == (0.5, 0.7)
    assert first.source_digest != second.source_digest


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ema_kross", "There is no strategy 'ema_kross'. Did you mean 'ema_cross'?"),
        ("nt_run.strategies.ema_cross:EmaKross", "Did you mean 'EmaCross'?"),
        ("nt_run.strategies.nowhere:X", "There is no module 'nt_run.strategies.nowhere'"),
        (
            "nowhere.py:X",
            f"There is no strategy file nowhere.py: started in {Path.cwd()}, that is {Path.cwd()}/nowhere.py.",
        ),
        ("/nowhere.py:X", "There is no strategy file /nowhere.py."),
        ("nt_run.strategies.resolver:StrategySpec", "has no strategy 'StrategySpec'"),
        ("nt_run.strategies.ema_cross:Strategy", "has no strategy 'Strategy'"),
    ],
)
def test_a_name_that_leads_nowhere_says_so(name: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_strategy(name)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (SOURCE + SOURCE.replace("Mine(", "Yours("), "mine.py:Mine, "),
        ("x = 1\n", "it defines none"),
        ("import nowhere_at_all\n", "cannot be loaded: ModuleNotFoundError"),
        (SOURCE.replace("config: MineConfig", "config"), "annotated with its configuration class"),
        (SOURCE.replace("@dataclass(frozen=True, kw_only=True)", ""), "would be lost"),
    ],
    ids=["two strategies", "none", "does not load", "no annotation", "fields without a constructor"],
)
def test_a_file_that_cannot_be_used_says_why(source: str, message: str, write: Callable[[str], Path]) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_strategy(str(write(source)))
    assert message in str(caught.value)


def test_a_configuration_may_write_its_own_constructor(write: Callable[[str], Path]) -> None:
    source = """
from nautilus_trader.trading import Strategy, StrategyConfig

class MineConfig(StrategyConfig):
    def __init__(self, *, bar_type: str, period: int = 3, **kwargs: object) -> None:
        self.bar_type, self.period = bar_type, period

class Mine(Strategy):
    def __init__(self, config: MineConfig) -> None:
        super().__init__(config)
"""
    spec = resolve_strategy(str(write(source)))
    assert spec.parameters == {"period": (int, 3)}
    assert spec.accepts == {"bar_type", "period"}
    built: Any = spec.build({"bar_type": "b", "period": 4})
    assert built.config.period == 4


def test_the_example_of_the_documentation_runs(write: Callable[[str], Path]) -> None:
    text = strategies.__doc__ or ""
    lines = [line[4:] for line in text.splitlines() if line.startswith("    ") or not line]
    spec = resolve_strategy(str(write("\n".join(lines))))
    assert spec.parameters == {"period": (int, 50)}


def test_text_becomes_the_annotated_type(write: Callable[[str], Path]) -> None:
    spec = resolve_strategy(str(write(SOURCE)))
    given = {"period": "10", "ratio": "0.25", "exact": "0.30", "active": "no", "label": "7", "limit": "5"}
    assert check_params(spec, given) == {
        "period": 10,
        "ratio": 0.25,
        "exact": Decimal("0.30"),
        "active": False,
        "label": "7",
        "limit": 5,
    }


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("period", 10.0, 10),
        ("ratio", 3, 3.0),
        ("exact", 0.1, Decimal("0.1")),
        ("active", True, True),
        ("limit", "none", None),
        ("limit", None, None),
    ],
)
def test_values_of_a_file_are_taken_too(
    name: str, value: object, expected: object, write: Callable[[str], Path]
) -> None:
    checked = check_params(resolve_strategy(str(write(SOURCE))), {"period": 1} | {name: value})[name]
    assert checked == expected
    assert type(checked) is type(expected)


@pytest.mark.parametrize(
    ("name", "value"),
    [("period", "ten"), ("period", 1.5), ("period", True), ("ratio", "half"), ("exact", "x"), ("active", "maybe")],
)
def test_a_value_of_another_type_is_refused(name: str, value: object, write: Callable[[str], Path]) -> None:
    with pytest.raises(UsageError, match=f"{name}={value} is not of the type"):
        check_params(resolve_strategy(str(write(SOURCE))), {"period": 1} | {name: value})


def test_an_unknown_parameter_names_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        check_params(resolve_strategy("ema_cross"), {"fsat": "10"})
    assert str(caught.value) == ("ema_cross has no parameter 'fsat'. Did you mean 'fast'? Its parameters: fast, slow.")


def test_what_the_runner_fills_in_cannot_be_set() -> None:
    with pytest.raises(UsageError, match="filled in by the runner"):
        check_params(resolve_strategy("ema_cross"), {"sizer": "x"})


def test_a_parameter_without_a_default_is_asked_for(write: Callable[[str], Path]) -> None:
    with pytest.raises(UsageError, match="needs a value for period: --param period=…"):
        check_params(resolve_strategy(str(write(SOURCE))), {})


def test_annotations_imported_for_type_checking_only_do_no_harm(write: Callable[[str], Path]) -> None:
    source = SOURCE.replace("    period: int\n", "    bar_type: BarType\n    period: int\n")
    source = "from __future__ import annotations\nfrom typing import TYPE_CHECKING\n" + source.replace(
        "\n@dataclass", "\nif TYPE_CHECKING:\n    from nautilus_trader.model import BarType\n\n@dataclass"
    )
    spec = resolve_strategy(str(write(source)))
    assert "bar_type" in spec.accepts
    assert check_params(spec, {"period": "3"}) == {"period": 3}


def test_a_file_may_import_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside_the_strategy.py").write_text("PERIOD = 7\n")
    strategy = tmp_path / "leaning.py"
    strategy.write_text(
        "from nt_run.strategies.ema_cross import EmaCross\n"
        "from beside_the_strategy import PERIOD\n"
        "class Leaning(EmaCross):\n"
        "    period = PERIOD\n"
    )
    assert resolve_strategy(str(strategy)).cls.period == 7  # pyright: ignore[reportAttributeAccessIssue]


def test_a_package_of_the_current_folder_is_found_though_it_is_not_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "package_right_here"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "beside.py").write_text("PERIOD = 7\n")
    (package / "mine.py").write_text("from package_right_here.beside import PERIOD\n" + SOURCE)
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder])
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    assert resolve_strategy("package_right_here.mine:Mine").cls.__name__ == "Mine"
    assert sys.path == before


def test_a_package_of_the_current_folder_hides_no_installed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "colorsys.py").write_text("raise RuntimeError\n")
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder])
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="has no strategy 'X'"):
        resolve_strategy("colorsys:X")


def test_parameters_that_make_no_sense_are_refused_before_there_is_a_market() -> None:
    with pytest.raises(UsageError, match="1 ≤ fast < slow ≤ 1,000,000, and got fast=30, slow=21"):
        check_params(resolve_strategy("ema_cross"), {"fast": "30"})
    assert check_params(resolve_strategy("ema_cross"), {"fast": "20"}) == {"fast": 20}


def test_a_configuration_that_needs_the_market_is_left_alone_until_there_is_one(write: Callable[[str], Path]) -> None:
    source = """
class MineConfig(StrategyConfig):
    def __init__(self, *, instrument_id, period: int = 1):
        self.symbol = instrument_id.symbol
"""
    head, strategy = SOURCE.partition("@dataclass(")[0], "class Mine(" + SOURCE.partition("class Mine(")[2]
    spec = resolve_strategy(str(write(head + source + strategy)))
    assert check_params(spec, {"period": "3"}) == {"period": 3}
