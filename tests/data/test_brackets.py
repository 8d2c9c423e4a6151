import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nt_run.data.brackets import assumed_rules, choose_rules, parse_brackets, read_brackets, shipped_rules
from nt_run.errors import DataError, UsageError
from nt_run.model import parse_time

D = Decimal


def exchange_form(symbol: str = "ABCUSDT") -> list[dict[str, Any]]:
    """As `/fapi/v1/leverageBracket` answers, highest bracket first to show that order does not matter."""
    rows = [(1, 50, 0, 5_000, 0.01, 0.0), (2, 25, 5_000, 50_000, 0.02, 50.0)]
    brackets = [
        {
            "bracket": number,
            "initialLeverage": leverage,
            "notionalCap": cap,
            "notionalFloor": floor,
            "maintMarginRatio": rate,
            "cum": cum,
        }
        for number, leverage, floor, cap, rate, cum in reversed(rows)
    ]
    return [{"symbol": "XYZUSDT", "brackets": []}, {"symbol": symbol, "brackets": brackets}]


def ccxt_form() -> dict[str, Any]:
    rows = [(0.0, 5000.0, 0.01, 50.0), (5000.0, 50000.0, 0.02, 25.0)]
    names = ("minNotional", "maxNotional", "maintenanceMarginRate", "maxLeverage")
    return {"XYZ/USDT:USDT": [], "ABC/USDT:USDT": [dict(zip(names, row, strict=True)) for row in rows], "BTC/USDT": []}


@pytest.mark.parametrize("content", [exchange_form(), exchange_form()[1], ccxt_form()])
def test_every_form_gives_the_same_brackets(content: object, tmp_path: Path) -> None:
    file = tmp_path / "tiers.json"
    file.write_text(json.dumps(content))
    rules = read_brackets(file, "ABCUSDT")
    assert [(one.floor, one.cap, one.rate, one.max_leverage, one.cum) for one in rules.brackets] == [
        (0, 5_000, D("0.01"), 50, 0),
        (5_000, 50_000, D("0.02"), 25, 50),
    ]
    assert rules.source == "tiers.json"


def test_the_recorded_table_of_bitcoin_is_the_one_shipped_but_for_its_digits(recordings: Path) -> None:
    recorded = read_brackets(recordings / "brackets" / "2024-10-24.json", "BTCUSDT")
    assert recorded.brackets == shipped_rules("BTCUSDT")[0].brackets


def test_two_dated_tables_of_bitcoin_are_shipped() -> None:
    older, newer = shipped_rules("BTCUSDT")
    assert (older.max_leverage, newer.max_leverage) == (125, 150)
    assert (older.brackets[1].cum, newer.brackets[1].cum) == (50, 300)
    assert shipped_rules("ETHUSDT") == []


@pytest.mark.parametrize(
    ("moment", "most"),
    [("2020-01-01", 125), ("2024-05-30", 125), ("2026-08-30", 125), ("2026-08-31", 150), ("2027-01-01", 150)],
)
def test_the_table_of_the_runs_date_is_used(moment: str, most: int) -> None:
    chosen = choose_rules(shipped_rules("BTCUSDT"), parse_time(moment))
    assert chosen is not None
    assert chosen.max_leverage == most


def test_unknown_brackets_are_a_flat_rate_that_says_so() -> None:
    rules = assumed_rules("ABCUSDT")
    assert not rules.known
    assert rules.maintenance_margin(D(1_000_000)) == 30_000
    assert "assumed" in rules.source


def test_a_file_without_the_symbol_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tiers.json"
    file.write_text(json.dumps(exchange_form()))
    with pytest.raises(UsageError, match=r"tiers\.json has no leverage brackets of BTCUSDT"):
        read_brackets(file, "BTCUSDT")


@pytest.mark.parametrize("text", ["", "[1, 2", "5", '["ABCUSDT"]', "{}"])
def test_a_file_of_something_else_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "tiers.json"
    file.write_text(text)
    with pytest.raises(UsageError, match="brackets"):
        read_brackets(file, "ABCUSDT")


def test_a_symbol_listed_twice_is_refused_with_its_places(tmp_path: Path) -> None:
    file = tmp_path / "tiers.json"
    file.write_text(json.dumps([*exchange_form(), exchange_form()[1]]))
    with pytest.raises(
        UsageError, match=r"tiers\.json has leverage brackets of ABCUSDT 2 times: entry 2 and entry 3\."
    ):
        read_brackets(file, "ABCUSDT")
    file.write_text(json.dumps(ccxt_form() | {"ABCUSDT": ccxt_form()["ABC/USDT:USDT"]}))
    with pytest.raises(UsageError, match=r"ABCUSDT 2 times: 'ABC/USDT:USDT' and 'ABCUSDT'\. Keep one"):
        read_brackets(file, "ABCUSDT")
    rows = json.dumps(ccxt_form()["ABC/USDT:USDT"])
    file.write_text(f'{{"ABC/USDT:USDT": {rows}, "ABC/USDT:USDT": {rows}}}')
    with pytest.raises(UsageError, match="'ABC/USDT:USDT' twice in one object"):
        read_brackets(file, "ABCUSDT")


def test_a_rate_written_in_per_cent_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tiers.json"
    content = ccxt_form()
    for row in content["ABC/USDT:USDT"]:
        row["maintenanceMarginRate"] *= 20
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"bracket 1 of tiers\.json has the rate 0\.2 and the most leverage 50\.0"):
        read_brackets(file, "ABCUSDT")


@pytest.mark.parametrize(
    ("number", "changes", "problem"),
    [
        # 1 ÷ 50 of the notional is the margin: with a maintenance margin of 0.02 nothing is left to lose.
        (0, {"maintenanceMarginRate": 0.02}, "bracket 1 of test has the rate 0.02 and .* be liquidated at once"),
        (1, {"maintenanceMarginRate": 0.04}, "bracket 2 of test has the rate 0.04 and .* be liquidated at once"),
        (1, {"maxLeverage": 51}, "bracket 2 of test has the most leverage 51, more than the 50.0 of the one before"),
        (1, {"maintenanceMarginRate": 0.009}, "bracket 2 of test has the rate 0.009, which does not follow 0.01"),
        (1, {"minNotional": 4000}, "bracket 2 of test covers 4000 to 50000.0, and should begin at 5000.0"),
    ],
)
def test_brackets_no_exchange_could_have_are_refused(number: int, changes: dict[str, float], problem: str) -> None:
    content = ccxt_form()
    content["ABC/USDT:USDT"][number] |= changes
    with pytest.raises(DataError, match=problem):
        parse_brackets(content, "ABCUSDT", as_of_ms=None, source="test")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_brackets(tmp_path / "none.json", "ABCUSDT")


def test_a_row_without_its_rate_is_refused() -> None:
    content = exchange_form()
    del content[1]["brackets"][0]["maintMarginRatio"]
    with pytest.raises(DataError, match="maintMarginRatio"):
        parse_brackets(content, "ABCUSDT", as_of_ms=None, source="test")


def test_a_cum_that_does_not_fit_is_refused() -> None:
    content = exchange_form()
    content[1]["brackets"][0]["cum"] = 60.0
    with pytest.raises(DataError, match="floors and rates make it 50"):
        parse_brackets(content, "ABCUSDT", as_of_ms=None, source="test")


@pytest.mark.parametrize("wrong", ["NaN", "Infinity", "many", None])
@pytest.mark.parametrize("name", ["notionalCap", "maintMarginRatio", "initialLeverage", "cum"])
def test_brackets_of_no_numbers_are_refused(name: str, wrong: str | None) -> None:
    if (name, wrong) == ("cum", None):
        return  # left out, it is worked out
    content = exchange_form()
    content[1]["brackets"][0][name] = wrong
    with pytest.raises(DataError, match="no object with four numbers"):
        parse_brackets(content, "ABCUSDT", as_of_ms=None, source="test")


@pytest.mark.parametrize("rows", ["abc", [1, 2], 5])
def test_brackets_of_another_form_are_refused(rows: object) -> None:
    content = [{"symbol": "ABCUSDT", "brackets": rows}]
    with pytest.raises(DataError, match="no object with four numbers"):
        parse_brackets(content, "ABCUSDT", as_of_ms=None, source="test")
