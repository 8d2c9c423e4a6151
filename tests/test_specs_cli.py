import gzip
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import symbol_entry
from nt_run.__main__ import main
from nt_run.demo import DemoExchange, Fault
from nt_run.model import parse_time

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """`nt-run specs` in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("NT_RUN_REST_URL", "NT_RUN_ARCHIVE_URL", "NT_RUN_CACHE"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["nt-run", "specs", *arguments])
        code = main()
        out, err = capfd.readouterr()
        return code, out, err

    return run


def entry(tick: str, **changes: Any) -> dict[str, Any]:
    filters = symbol_entry()["filters"]
    return symbol_entry(filters=[{**filters[0], "tickSize": tick}, *filters[1:]], **changes)


def with_notional(value: str, **changes: Any) -> dict[str, Any]:
    filters = symbol_entry()["filters"]
    return symbol_entry(
        filters=[{**each, "notional": value} if "notional" in each else each for each in filters], **changes
    )


def write(name: str, day: str, *entries: dict[str, Any]) -> str:
    content = json.dumps({"serverTime": parse_time(day), "symbols": entries}).encode()
    Path(name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return name


@pytest.fixture
def line(specs: Run) -> Run:
    """The same with two answers imported, the newer one first."""
    for name, day, tick in (("new.json.gz", "2022-05-04T20:00", "0.10"), ("old.json", "2021-09-06T13:13", "0.01")):
        assert specs("import", write(name, day, entry(tick), entry("1", symbol="ETHUSDT")))[0] == 0
    return specs


def test_imported_answers_are_listed_in_time_order(line: Run) -> None:
    listed = json.loads(line("list", "--json")[1])["snapshots"]
    assert [(one["first"], one["perpetuals"], one["damaged"]) for one in listed] == [
        ("2021-09-06T13:13:00Z", 2, ""),
        ("2022-05-04T20:00:00Z", 2, ""),
    ]
    out = line("list")[1]
    assert out.index("2021-09-06 13:13") < out.index("2022-05-04 20:00")
    assert listed[0]["file"].removesuffix(".json") in out


def test_a_damaged_answer_is_listed_as_one(line: Run, tmp_path: Path) -> None:
    path = next(tmp_path.glob("data_cache/v1/binance/um/exchangeInfo/2021*.json"))
    path.write_bytes(path.read_bytes()[:-1])
    assert "is damaged or gone" in line("list")[1]
    assert line("--at", "2021-12-01")[0] == 3


def test_an_empty_list_says_how_to_fill_it(specs: Run) -> None:
    assert "nt-run specs import FILE" in specs("list")[1]
    assert json.loads(specs("list", "--json")[1]) == {"demo": False, "snapshots": []}


def test_the_same_answer_twice_is_kept_once(line: Run) -> None:
    code, out, _ = line("import", "old.json")
    assert (code, "was kept already" in out) == (0, True)
    assert len(json.loads(line("list", "--json")[1])["snapshots"]) == 2


def test_an_answer_without_its_time_needs_one(specs: Run) -> None:
    Path("bare.json").write_text(json.dumps({"symbols": [entry("0.10")]}))
    code, _, err = specs("import", "bare.json")
    assert (code, "--at" in err) == (2, True)
    assert "not over yet" in specs("import", "bare.json", "--at", "2999-01-01")[2]
    kept = json.loads(specs("import", "bare.json", "--at", "2022-05-04T20:00", "--json")[1])
    assert (kept["as_of"], kept["perpetuals"], kept["known"]) == ("2022-05-04T20:00:00Z", 1, False)


def test_the_rules_of_a_date_are_those_kept_then_and_need_no_network(line: Run) -> None:
    rules = json.loads(line("--at", "2022-05-03", "--json")[1])
    assert (rules["tick_size"], rules["as_of"], rules["at"]) == ("0.01", "2021-09-06T13:13:00Z", "2022-05-03")
    code, out, err = line("--at", "2022-05-04")
    assert (code, err) == (0, "")
    assert "0.10 USDT" in out
    assert "mark price  " not in out


def test_the_rules_of_an_earlier_date_are_an_error_that_names_the_way_out(line: Run) -> None:
    code, out, err = line("--at", "2020-01-01")
    assert (code, out) == (3, "")
    assert "2021-09-06 13:13, 2022-05-04 20:00" in err
    assert "nt-run specs import" in err


@pytest.mark.parametrize(
    "sides", [("2021-09-06", "2022-05-04"), ("old.json", "new.json.gz"), ("old.json", "2023-01-01")]
)
def test_a_difference_ends_with_8_and_shows_both_values(line: Run, sides: tuple[str, str]) -> None:
    code, out, err = line("diff", *sides)
    assert (code, "differ" in err) == (8, True)
    assert "BTCUSDT tick size 0.01 → 0.10" in out
    found = json.loads(line("diff", *sides, "--json")[1])
    assert found["changed"] == [{"symbol": "BTCUSDT", "rule": "tick_size", "before": "0.01", "after": "0.10"}]
    assert (found["counts"], found["same"]) == ({"tick_size": 1}, False)


def test_today_is_fetched_to_compare_with_and_what_is_kept_stands_in(
    specs: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("old.json", "2021-09-06", entry("0.01"))
    with DemoExchange() as exchange:
        monkeypatch.setenv("NT_RUN_REST_URL", exchange.rest_url)
        code, out, _ = specs("diff", "old.json", "today", "--symbol", "BTCUSDT")
    assert (code, "2026-07-01 00:00 UTC" in out, "0.01 → 0.10" in out) == (8, True, True)
    # The exchange is gone, and its answer is kept.
    assert specs("diff", "today", "today")[0] == 0
    monkeypatch.setenv("NT_RUN_REST_URL", "http://127.0.0.1:9")
    code, _, err = specs("diff", "old.json", "today")
    assert (code, "is not reachable" in err) == (3, True)


def test_no_difference_ends_with_0(line: Run) -> None:
    assert line("diff", "2021-09-06", "2022-02-14")[0] == 0
    code, out, _ = line("diff", "old.json", "new.json.gz", "--symbol", "ETH/USDT:USDT")
    assert code == 0
    assert "nothing differs" in out


def test_two_dates_with_one_answer_are_told_and_what_is_known_to_have_changed_since_is_a_difference(specs: Run) -> None:
    answer = write("kept.json", "2022-05-04T20:00", with_notional("5"), with_notional("5", symbol="SOLUSDT"))
    assert specs("import", answer)[0] == 0
    # BTCUSDT's minimum notional went from 5 to 100 on 2023-11-02 10:00.
    code, out, _ = specs("diff", "2023-01-01", "2024-01-01", "--symbol", "BTCUSDT")
    told = " ".join(out.split())
    assert (code, "nothing differs" in out, "the rules are known to" in out) == (8, False, True)
    assert "One and the same answer stands for both: that of 2022-05-04 20:00 UTC" in told
    assert "For 2024-01-01 stands the answer of 2022-05-04 20:00 UTC." in told
    assert "BTCUSDT min notional 5 → 100 since 2023-11-02 10:00" in told
    found = json.loads(specs("diff", "2024-01-01", "2023-01-01", "--symbol", "BTCUSDT", "--json")[1])
    assert (found["same"], found["one_answer"], len(found["known_changes"])) == (False, True, 1)
    # Both are later: the answer is too old for either, and yet the rules of the two are the same.
    code, out, _ = specs("diff", "2023-12-01", "2024-01-01", "--symbol", "BTCUSDT")
    assert (code, "nothing differs" in out, out.count("min notional 5 → 100")) == (0, True, 2)
    # Another contract is not concerned.
    assert specs("diff", "2023-01-01", "2024-01-01", "--symbol", "SOLUSDT")[0] == 0


def test_an_answer_that_has_the_change_already_is_not_said_to_lack_it(specs: Run) -> None:
    assert specs("import", write("later.json", "2023-11-02", with_notional("100")))[0] == 0
    found = json.loads(specs("diff", "2023-11-02", "2024-01-01", "--json")[1])
    assert (found["same"], found["known_changes"]) == (True, [])


def test_offline_the_date_and_age_of_todays_rules_are_told(specs: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write("old.json", "2021-09-06", entry("0.01"))
    code, _, err = specs("diff", "old.json", "today", "--offline")
    assert (code, "no exchangeInfo was kept" in err) == (3, True)
    assert specs("import", write("new.json", "2022-05-04T20:00", entry("0.10")))[0] == 0
    code, out, _ = specs("diff", "old.json", "today", "--offline")
    told = " ".join(out.split())
    assert (code, "Offline: today's trading rules are those of 2022-05-04 20:00 UTC, " in told) == (8, True)
    assert "days old" in told
    assert "Offline: today's trading rules are those of 2022-05-04" in " ".join(specs("--offline")[1].split())
    with DemoExchange([Fault("/exchangeInfo", "418", times=None, retry_after=7200)]) as exchange:
        monkeypatch.setenv("NT_RUN_REST_URL", exchange.rest_url)
        monkeypatch.setenv("NT_RUN_ARCHIVE_URL", exchange.archive_url)
        assert specs("import", "new.json")[0] == 0
        out = " ".join(specs("diff", "old.json", "today")[1].split())
    assert "could not be fetched" in out
    assert "Those of 2022-05-04 20:00 UTC, " in out


def test_of_a_contract_that_was_listed_once_the_way_out_is_told_beside_names_like_it(
    specs: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert specs("import", write("old.json", "2021-09-06", entry("0.01", symbol="BTCUSD")))[0] == 0
    with DemoExchange() as exchange:
        monkeypatch.setenv("NT_RUN_REST_URL", exchange.rest_url)
        monkeypatch.setenv("NT_RUN_ARCHIVE_URL", exchange.archive_url)
        assert specs("import", "old.json")[0] == 0
        code, _, err = specs("--symbol", "BTCUSD")
    told = " ".join(err.split())
    assert (code, "Did you mean BTCUSDT" in told) == (3, True)
    assert "The answer kept of 2021-09-06 00:00 UTC lists it: --specs-at range" in told


def test_a_file_without_a_date_can_be_compared(specs: Run) -> None:
    Path("bare.json").write_text(json.dumps({"symbols": [entry("0.10")]}))
    assert "no date" in specs("diff", "bare.json", "bare.json")[1]


def test_hundreds_of_changes_fit_one_screen(specs: Run) -> None:
    names = [f"A{number}USDT" for number in range(600)]
    write("a.json", "2021-09-06", *(entry("0.01", symbol=name) for name in names))
    write(
        "b.json", "2022-09-06", *(entry("0.10", symbol=name, liquidationFee="0.02") for name in [*names[9:], "NEWUSDT"])
    )
    code, out, _ = specs("diff", "a.json", "b.json")
    lines = out.splitlines()
    assert code == 8
    assert len(lines) < 24
    assert max(map(len, lines)) < 100
    for expected in ("listed 1: NEWUSDT", "delisted 9: ", "tick size         591 0.01 → 0.10 (591)", "--symbol NAMES"):
        assert expected in out
    assert "A77USDT tick size" in specs("diff", "a.json", "b.json", "--symbol", "A77USDT")[1]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("import", "missing.json"), 2, "There is no file"),
        (("import", "old.json", "--at", "yesterday"), 2, "not a time"),
        (("diff", "old.json", "yesterday"), 2, "neither a file nor a date"),
        (("diff", "2020-01-01", "2022-01-01"), 3, "2020-01-01 or before"),
        (("diff", "2999-01-01", "2022-01-01"), 2, "lies in the future"),
        (("diff", "old.json", "new.json.gz", "--symbol", "BTCUSD"), 3, "Did you mean BTCUSDT?"),
        (("--at", "yesterday"), 2, "not a time"),
        (("--json", "list"), 2, "Write --json after the subcommand"),
        (("--symbol", "BTCUSDT", "diff", "a", "b"), 2, "nt-run specs diff --symbol"),
        (("nonsense",), 2, "No such command"),
    ],
)
def test_bad_input_ends_with_its_code(line: Run, arguments: tuple[str, ...], code: int, words: str) -> None:
    got, out, err = line(*arguments)
    assert (got, out) == (code, "")
    assert words in err
    assert "Traceback" not in err


def test_a_demo_keeps_its_rules_apart_and_says_so(line: Run) -> None:
    assert line("--demo")[0] == 0
    code, out, _ = line("list", "--demo")
    assert code == 0
    assert out.startswith(" SYNTHETIC MARKET")
    assert len(json.loads(line("list", "--demo", "--json")[1])["snapshots"]) == 1
    assert len(json.loads(line("list", "--json")[1])["snapshots"]) == 2
