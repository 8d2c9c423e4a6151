import json
import re
import sys
import tomllib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nt_run.__main__ import main
from nt_run.config import RunConfig, load_config
from nt_run.explain import config_schema, explain_config, flat
from nt_run.settings import SHARES, parse_setting
from nt_run.start_listing import print_config

CONFIGS = Path(__file__).parent.parent / "configs"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text('symbol = "ETHUSDT"\ndays = 3\n[strategy]\nname = "ema_cross"\nparams = { fast = 5, slow = 9 }\n')
    return path


def test_each_key_says_where_it_was_said(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NT_RUN_REST_URL", "http://127.0.0.1:1")
    explained = explain_config(file, {"strategy.params.fast": 6, "account.leverage": "2"})
    wanted = {
        "symbol": "file",
        "days": "file",
        "interval": "built-in",
        "account.leverage": "flag",
        "account.balance": "built-in",
        "strategy.params.fast": "flag",
        "strategy.params.slow": "file",
        "exchange.rest_url": "environment",
        "exchange.archive_url": "built-in",
    }
    assert {key: explained["origins"][key] for key in wanted} == wanted
    values = dict(flat(explained["config"]))
    assert (values["strategy.params.fast"], values["account.leverage"], values["symbol"]) == (6, "2", "ETHUSDT")
    assert values.keys() == explained["origins"].keys()


def test_what_a_flag_replaces_as_a_whole_is_not_said_by_the_file(file: Path) -> None:
    other = explain_config(file, {"start": "2026-06-01", "strategy.name": "rsi_reversion"})
    assert (other["origins"]["days"], other["origins"]["start"]) == ("built-in", "flag")
    assert not any(key.startswith("strategy.params.") for key in other["origins"])


def test_an_address_of_the_file_wins_over_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NT_RUN_REST_URL", "http://127.0.0.1:1")
    (tmp_path / "a.toml").write_text('[exchange]\nrest_url = "http://127.0.0.1:2"\n')
    assert explain_config(tmp_path / "a.toml", {})["origins"]["exchange.rest_url"] == "file"


def allowed(schema: dict[str, Any], part: dict[str, Any], value: Any) -> bool:
    """Whether a value of TOML fits a part of the schema: as much of JSON Schema as the schema uses."""
    if "$ref" in part:
        return allowed(schema, schema["$defs"][part["$ref"].rsplit("/", 1)[-1]], value)
    if "anyOf" in part:
        return any(allowed(schema, each, value) for each in part["anyOf"])
    if "enum" in part:
        return value in part["enum"]
    kinds = {
        "string": str,
        "boolean": bool,
        "integer": int,
        "number": int | float | Decimal,
        "object": dict,
        "array": list,
        "null": type(None),
    }
    types = part["type"] if isinstance(part["type"], list) else [part["type"]]
    if not any(isinstance(value, kinds[kind]) for kind in types if isinstance(value, bool) is (kind == "boolean")):
        return False
    if isinstance(value, str) and not re.search(part.get("pattern", ""), value):
        return False
    return not isinstance(value, dict) or fields_allowed(schema, part, value)


def fields_allowed(schema: dict[str, Any], part: dict[str, Any], table: dict[str, Any]) -> bool:
    known, others = part.get("properties", {}), part.get("additionalProperties", True)
    return all(
        allowed(schema, known[key], value)
        if key in known
        else others is True or (isinstance(others, dict) and allowed(schema, others, value))
        for key, value in table.items()
    )


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_the_schema_allows_what_runs(path: Path) -> None:
    schema = config_schema()
    assert allowed(schema, schema, tomllib.loads(path.read_text()))
    assert allowed(schema, schema, tomllib.loads(load_config(path).to_toml()))


@pytest.mark.parametrize("key", SHARES)
def test_a_share_may_be_said_in_per_cent_in_a_file_and_in_a_setting(key: str, tmp_path: Path) -> None:
    file = tmp_path / "shares.toml"
    file.write_text(f"{key} = '2.5%'")
    schema = config_schema()
    assert allowed(schema, schema, tomllib.loads(file.read_text()))
    table, _, name = key.rpartition(".")
    for config in (load_config(file), load_config(None, dict([parse_setting(f"{key}=2.5%")]))):
        assert getattr(getattr(config, table) if table else config, name) == Decimal("0.025")


def test_the_default_range_is_shown_and_not_where_a_start_is_given() -> None:
    assert explain_config(None, {})["config"]["days"] == "7"
    assert explain_config(None, {"start": "2025-01-01"})["config"]["days"] is None


@pytest.mark.parametrize(
    "text",
    [
        "account.balance = '5%'",
        'smybol = "BTCUSDT"',
        "symbol = 1",
        'interval = "7m"',
        "[sizing]\nmethod = 'all'",
        "demo = 'yes'",
        "account = 1",
        "days = 'x'",
    ],
)
def test_the_schema_refuses_what_does_not(text: str) -> None:
    schema = config_schema()
    assert not allowed(schema, schema, tomllib.loads(text))


def test_the_schema_has_every_key() -> None:
    schema = config_schema()
    assert schema["$defs"]["RunConfig"]["properties"].keys() == set(RunConfig.__struct_fields__)
    assert schema["$schema"].endswith("2020-12/schema")


@pytest.fixture
def nt_run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["nt-run", "config", *arguments])
        return main(), *capfd.readouterr()

    return run


def test_show_takes_the_words_of_backtest(nt_run: Callable[..., tuple[int, str, str]], file: Path) -> None:
    words = ["show", str(file), "--risk", "0.05", "--timerange", "20260101-20260201", "--param", "fast=7"]
    code, out, _ = nt_run(*words)
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    assert ["sizing.fraction", "0.05", "flag"] in rows
    assert ["start", "2026-01-01", "flag"] in rows
    assert ["strategy.params.slow", "9", "file"] in rows
    assert ["strategy.params.fast", "7", "flag"] in rows
    assert json.loads(nt_run(*words, "--json")[1])["config"]["end"] == "2026-02-01"


def test_what_show_prints_as_toml_runs(nt_run: Callable[..., tuple[int, str, str]], file: Path, tmp_path: Path) -> None:
    _, out, _ = nt_run("show", str(file), "--toml", "--set", "sizing.compound=false")
    (tmp_path / "again.toml").write_text(out)
    assert load_config(tmp_path / "again.toml") == load_config(file, {"sizing.compound": False})


@pytest.mark.parametrize(
    ("words", "message"),
    [(["--bogus"], "No such option: --bogus"), (["--symbol"], "requires an argument"), (["--days", "x"], "days")],
)
def test_show_refuses_what_backtest_refuses(
    nt_run: Callable[..., tuple[int, str, str]], words: list[str], message: str
) -> None:
    code, _, err = nt_run("show", *words)
    assert code == 2
    assert message in err


def test_schema_is_one_json_object(nt_run: Callable[..., tuple[int, str, str]]) -> None:
    assert json.loads(nt_run("schema")[1]) == json.loads(json.dumps(config_schema()))


def test_a_listing_of_eighty_columns_has_whole_keys_and_says_where_each_was_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nt_run.tables.WIDTH", 80)
    explained = explain_config(None, {"demo": True})
    print_config(flat(explained["config"]), explained["origins"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert ["protection.max_daily_loss", "–", "built-in"] in [line.split() for line in lines]
    url = next(at for at, line in enumerate(lines) if line.startswith("exchange.archive_list_url"))
    assert lines[url].endswith(" built-in")
    assert lines[url].split()[1] + lines[url + 1].strip() == explained["config"]["exchange"]["archive_list_url"]
