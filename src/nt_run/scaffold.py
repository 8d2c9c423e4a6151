"""`nt-run new-strategy`: a strategy that runs at once, its configuration, and a test of it."""

import json
import keyword
import re
import sys
import sysconfig
from importlib.machinery import PathFinder
from pathlib import Path

from nt_run.errors import ResultsError, UsageError
from nt_run.settings import nearest

_LONGEST = 64
"""Letters of a name: file systems end at 255 bytes, and a run's id has the name in it."""
TEMPLATES = ("ema", "breakout", "mean-reversion", "blank")
_FOLDER = Path(__file__).parent / "strategies" / "templates"
_INSTALLED = [*(sysconfig.get_path(name) for name in ("purelib", "platlib")), str(Path(__file__).parents[1])]
"""Where modules are that a strategy might need: not all of `sys.path`, which has folders of the users' own."""
_CONFIG = """# {title}: what to run it on. Flags override single keys: --symbol ETHUSDT --days 90
#   nt-run backtest {config} --demo     without --demo: on the exchange's own data
#   nt-run check {config} --demo        does it know the future?

symbol = "BTCUSDT"
interval = "15m"
days = 30

[account]
balance = 10_000    # USDT
leverage = 1

[sizing]
method = "notional" # the fraction goes into the position; "stop" risks it at a stop
fraction = 0.1

[strategy]
name = {strategy}
params = {{ {params} }}
"""
_TEST = '''"""{title} on the synthetic market: it runs, does the same twice, and does not know the future."""

import tomllib
from pathlib import Path

import pytest
from nt_run import backtest, load_config
from nt_run.check import check
from nt_run.config import RunConfig

HERE = Path(__file__).parent


@pytest.fixture
def config() -> RunConfig:
    """The configuration beside this file, wherever the test is started."""
    params = tomllib.loads((HERE / "{name}.toml").read_text(encoding="utf-8"))["strategy"]["params"]
    return load_config(
        HERE / "{name}.toml",
        {{
            "strategy.name": f"{{HERE / '{name}.py'}}:{title}",
            **{{f"strategy.params.{{key}}": value for key, value in params.items()}},
            "demo": True,
            "start": "2026-06-01",
            "end": "2026-06-15",
        }},
    )


def test_it_sees_every_bar_and_trades(config: RunConfig, tmp_path: Path) -> None:
    run = backtest(config, cache_dir=tmp_path, save=False)
    assert run.summary["bars"]["skipped"] == 0
    assert run.summary["fills"] > 0


def test_it_does_the_same_twice_and_does_not_know_the_future(config: RunConfig, tmp_path: Path) -> None:
    tests = check(config, times=3, cache_dir=tmp_path)["tests"]
    assert tests["determinism"]["passed"]
    assert tests["future"]["passed"]
'''


def new_strategy(name: str, template: str, to: Path) -> list[Path]:
    """Write a strategy, its configuration and a test, and return the three files.

    Args:
        name: Of the files; in `CamelCase` that of the class.
        template: One of `TEMPLATES`.
        to: Their folder.

    Raises:
        UsageError: The name cannot be a module's, or is taken; there is no such template; or one of the files exists.
        ResultsError: The files cannot be written.
    """
    module = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower()
    title = "".join(part[:1].upper() + part[1:] for part in module.split("_"))
    if len(module) > _LONGEST:
        raise UsageError(f"A name of {len(module)} letters is too long for a strategy. Use at most {_LONGEST}.")
    # The engine knows a strategy by its class, in ASCII.
    if (
        not module.isidentifier()
        or not module.isascii()
        or module != module.strip("_")
        or {module, title} & set(keyword.kwlist)
    ):
        raise UsageError(f"{name!r} cannot name a strategy. Use letters from a to z, digits and _, as in my_idea.")
    if template not in TEMPLATES:
        raise UsageError(f"There is no template {template!r}.{nearest(template, TEMPLATES)} {_choices()}")
    source = _source(template, title)
    if taken := _taken(module, title, template):
        raise UsageError(f"{name!r} cannot name a strategy: {taken}. Choose another name, such as my_{module}.")
    strategy, config = to / f"{module}.py", to / f"{module}.toml"
    texts = {
        strategy: source,
        config: _CONFIG.format(
            title=title,
            config=config,
            strategy=json.dumps(f"{strategy}:{title}", ensure_ascii=False),
            params=_params(source),
        ),
        to / f"test_{module}.py": _TEST.format(title=title, name=module),
    }
    if existing := [path for path in texts if path.exists()]:
        raise UsageError(f"{existing[0]} exists, and nothing is overwritten. Choose another name, or --to DIR.")
    try:
        to.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as exc:
        raise ResultsError(f"{to} cannot be written: {exc.strerror or exc}.") from exc
    return list(texts)


def _taken(module: str, title: str, template: str) -> str:
    """Return what a name stands for already where its files are imported or tested; nothing where it is free."""
    if module == "conftest" or module.startswith("test_") or module.endswith("_test"):
        return f"pytest would take {module}.py for its own"
    if module in sys.stdlib_module_names or PathFinder.find_spec(module, _INSTALLED) is not None:
        return f"beside it, `import {module}` would find {module}.py in place of the module there is"
    if re.search(rf"\b{title}\b", _source(template, "")):
        return f"its class {title} would hide another one that it needs"
    return ""


def _choices() -> str:
    return f"There are {', '.join(TEMPLATES)}."


def _source(template: str, title: str) -> str:
    lines = (_FOLDER / f"{template.replace('-', '_')}.py").read_text(encoding="utf-8").splitlines()
    # What our own type checker needs is not for users.
    kept = [line for line in lines if not line.startswith(("# pyright:", "# Nautilus' stubs"))]
    return "\n".join(kept).replace("Template", title) + "\n"


def _params(source: str) -> str:
    return ", ".join(re.findall(r"^    (\w+ = [\d.]+)$", re.sub(r": (?:int|float) =", " =", source), re.MULTILINE))
