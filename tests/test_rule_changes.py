import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import symbol_entry
from nt_run.model import TimeRange, parse_time
from nt_run.rule_changes import RuleChange, at_time, compare_rules, differences, parse_changes
from nt_run.specs import InstrumentSpecs, parse_symbol_specs

TODAY = parse_time("2026-11-22")
TICK, EVERY, HUNDRED, FIFTY = (parse_time(day) for day in ("2022-02-15", "2021-02-24", "2023-11-02", "2026-06-21"))


def change(symbol: str, rule: str, before: str, after: str, time_ms: int, *, seen: bool = False) -> RuleChange:
    return RuleChange(
        symbol=symbol,
        rule=rule,
        before=Decimal(before),
        after=Decimal(after),
        time_ms=time_ms,
        seen=seen,
        source="a test",
    )


CHANGES = [
    change("*", "min_notional", "1", "5", EVERY),
    change("BTCUSDT", "tick_size", "0.01", "0.10", TICK),
    change("BTCUSDT", "min_notional", "5", "100", HUNDRED),
    change("BTCUSDT", "min_notional", "100", "50", FIFTY, seen=True),
]


def rules(specs: InstrumentSpecs) -> tuple[str, str]:
    return f"{specs.tick_size:f}", f"{specs.min_notional:f}"


# Today BTCUSDT has tick 0.10 and min notional 50; going back, each change is undone in turn.
TIME_LINE = [
    ("2021-01-31", ("0.01", "1")),
    ("2021-02-24", ("0.01", "5")),
    ("2022-02-14", ("0.01", "5")),
    ("2022-02-15", ("0.10", "5")),
    ("2023-11-02", ("0.10", "100")),
    ("2026-06-20", ("0.10", "100")),
    ("2026-06-21", ("0.10", "50")),
]


@pytest.mark.parametrize(("day", "expected"), TIME_LINE)
def test_changes_since_are_undone(btc: InstrumentSpecs, day: str, expected: tuple[str, str]) -> None:
    assert rules(at_time(btc, CHANGES, TODAY, parse_time(day))[0]) == expected


@given(st.sampled_from(TIME_LINE), st.sampled_from(TIME_LINE))
def test_from_the_rules_of_any_day_those_of_any_other_follow(
    one: tuple[str, tuple[str, str]], other: tuple[str, tuple[str, str]]
) -> None:
    today = parse_symbol_specs(symbol_entry(), as_of_ms=TODAY, source="test")
    then, later = parse_time(one[0]), parse_time(other[0])
    known = at_time(today, CHANGES, TODAY, then)[0]
    assert rules(at_time(known, CHANGES, then, later)[0]) == other[1]


def test_changes_of_another_contract_are_not_its_own(btc: InstrumentSpecs) -> None:
    other = replace(btc, symbol="XRPUSDT", min_notional=Decimal(5))
    assert rules(at_time(other, CHANGES, TODAY, parse_time("2021-01-31"))[0]) == ("0.10", "1")
    assert at_time(other, CHANGES, TODAY, parse_time("2021-03-01")) == (other, [])


def test_what_changed_is_said_with_its_date_and_source(btc: InstrumentSpecs) -> None:
    back = [str(one) for one in at_time(btc, CHANGES, TODAY, parse_time("2022-01-01"))[1]]
    assert back == [
        "tick size 0.01 until 2022-02-15 00:00 (a test)",
        "min notional 5 until 2023-11-02 00:00 (a test)",
    ]
    (forth,) = at_time(replace(btc, min_notional=Decimal(5)), CHANGES, TICK, parse_time("2024-01-01"))[1]
    assert str(forth) == "min notional 100 since 2023-11-02 00:00 (a test)"
    (seen,) = at_time(btc, CHANGES, TODAY, parse_time("2026-06-01"))[1]
    assert str(seen) == "min notional 100 until at the latest 2026-06-21 00:00 (a test)"


def test_a_range_across_a_change_differs_in_one_part_whatever_is_used(btc: InstrumentSpecs) -> None:
    across = TimeRange(parse_time("2023-11-01"), parse_time("2023-11-04"))
    # Today's 50 held in neither part; those of the start, 5, hold up to the change and not after it.
    assert [one.known for one in differences(btc, CHANGES, TODAY, across)] == [Decimal(5), Decimal(100)]
    of_start = at_time(btc, CHANGES, TODAY, across.start_ms)[0]
    assert [one.known for one in differences(of_start, CHANGES, across.start_ms, across)] == [Decimal(100)]


def test_a_range_after_all_changes_has_no_known_differences(btc: InstrumentSpecs) -> None:
    assert differences(btc, CHANGES, TODAY, TimeRange(FIFTY, TODAY)) == []


def test_two_answers_differ_in_the_rules_a_run_depends_on(btc: InstrumentSpecs) -> None:
    other = replace(btc, tick_size=Decimal("0.01"), liquidation_fee=Decimal("0.02"))
    assert [str(one) for one in compare_rules(btc, other, "then")] == ["tick size 0.01 then"]


@pytest.mark.parametrize("wrong", [{"rule": "status"}, {"rule": "tick-size"}, {"when": dt.datetime(2022, 1, 1)}])  # noqa: DTZ001
def test_a_row_that_says_nothing_about_a_rule_is_refused(wrong: dict[str, Any]) -> None:
    row = {"symbol": "*", "rule": "tick_size", "before": "1", "after": "2", "source": "x"}
    row["when"] = dt.datetime(2022, 1, 1, tzinfo=dt.UTC)
    assert len(parse_changes({"change": [row]})) == 1
    with pytest.raises(ValueError, match="not a dated change"):
        parse_changes({"change": [row | wrong]})
