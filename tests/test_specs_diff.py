import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from conftest import symbol_entry
from nt_run.specs_diff import COMPARED, compare_answers, count_perpetuals, value_text


def answer(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"symbols": list(entries)}


def with_filter(name: str, **values: str) -> dict[str, Any]:
    filters = [item | values if item["filterType"] == name else item for item in symbol_entry()["filters"]]
    return symbol_entry(filters=filters)


def test_an_answer_differs_in_nothing_from_itself() -> None:
    diff = compare_answers(answer(symbol_entry()), answer(symbol_entry()))
    assert diff.same
    assert (diff.before, diff.after, diff.counts()) == (1, 1, {})


def test_each_rule_that_changed_is_named_with_both_values() -> None:
    diff = compare_answers(answer(with_filter("PRICE_FILTER", tickSize="0.01")), answer(symbol_entry()))
    (changed,) = diff.changed
    assert (changed.symbol, changed.rule) == ("BTCUSDT", "tick_size")
    assert (changed.before, changed.after) == (Decimal("0.01"), Decimal("0.10"))
    assert not diff.same


def test_numbers_are_compared_by_value_and_not_by_their_text() -> None:
    assert compare_answers(answer(with_filter("PRICE_FILTER", tickSize="0.1")), answer(symbol_entry())).same


def test_contracts_that_came_and_went_are_listed() -> None:
    old, new = symbol_entry(symbol="LUNAUSDT"), symbol_entry(symbol="LUNA2USDT")
    diff = compare_answers(answer(symbol_entry(), old), answer(symbol_entry(), new))
    assert (diff.listed, diff.delisted, diff.changed, diff.same) == (["LUNA2USDT"], ["LUNAUSDT"], [], False)


def test_a_contract_that_is_being_settled_changes_status_and_delivery() -> None:
    settling = symbol_entry(status="SETTLING", deliveryDate=1718096400000)
    diff = compare_answers(answer(symbol_entry(deliveryDate=4133404800000)), answer(settling))
    assert [(one.rule, value_text(one.rule, one.after)) for one in diff.changed] == [
        ("status", "SETTLING"),
        ("delivery_ms", "2024-06-11T09:00:00Z"),
    ]


def test_delivery_contracts_are_left_out() -> None:
    quarter = symbol_entry(symbol="BTCUSDT_260925", contractType="CURRENT_QUARTER")
    assert compare_answers(answer(symbol_entry()), answer(symbol_entry(), quarter)).same
    assert count_perpetuals(answer(symbol_entry(), quarter)) == 1


def test_only_the_symbols_asked_for_are_compared() -> None:
    one, other = answer(symbol_entry(), symbol_entry(symbol="A")), answer(symbol_entry())
    assert compare_answers(one, other, {"BTCUSDT"}).same
    assert compare_answers(one, other, {"A"}).delisted == ["A"]
    assert compare_answers(one, other, {"BTCUSDT"}).before == 2


def test_a_contract_without_its_rules_is_told_and_stops_nothing() -> None:
    diff = compare_answers(answer(symbol_entry(filters=[])), answer(symbol_entry()))
    assert (diff.unreadable, diff.changed) == (["BTCUSDT"], [])


@given(
    st.lists(st.sampled_from(["A", "B", "C", "D"]), unique=True),
    st.lists(st.sampled_from(["A", "B", "C", "D"]), unique=True),
)
def test_what_is_listed_one_way_is_delisted_the_other(one: list[str], other: list[str]) -> None:
    first, second = (answer(*(symbol_entry(symbol=name) for name in names)) for names in (one, other))
    there, back = compare_answers(first, second), compare_answers(second, first)
    assert (there.listed, there.delisted) == (back.delisted, back.listed)
    assert there.after == there.before + len(there.listed) - len(there.delisted)


def test_four_years_of_the_exchange(recordings: Path) -> None:
    old, new = (
        json.loads((recordings / "exchange_info" / f"{day}.json").read_text()) for day in ("2021-09-06", "2025-10-30")
    )
    diff = compare_answers(old, new)
    assert (diff.before, diff.after, len(diff.listed), len(diff.delisted)) == (130, 621, 512, 21)
    of_btc = {one.rule: (str(one.before), str(one.after)) for one in diff.changed if one.symbol == "BTCUSDT"}
    assert of_btc == {
        "tick_size": ("0.01", "0.10"),
        "market_max_quantity": ("200", "120"),
        "min_notional": ("5", "100"),
        "min_price": ("556.72", "556.80"),
        "liquidation_fee": ("0.020000", "0.012500"),
    }
    assert set(diff.counts()) <= set(COMPARED)
