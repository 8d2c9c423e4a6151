from typing import Any

import pytest

from nt_run.config import load_config
from nt_run.pipeline import backtest
from nt_run.report import print_run
from nt_run.tables import grid, show

STOP = {
    "demo": True,
    "start": "2026-06-01",
    "end": "2026-06-02",
    "sizing.method": "stop",
    "sizing.stop_distance": "0.002",
    "account.leverage": 50,
}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The summary of a run sized by its stop."""
    return backtest(load_config(None, STOP), cache_dir=tmp_path_factory.mktemp("cache"), save=False).summary


def risk_line(summary: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the line of the risk audit; a long one is wrapped onto the next."""
    print_run(summary)
    lines = capsys.readouterr().out.splitlines()
    at = next(at for at, line in enumerate(lines) if "risk at the stop" in line)
    return f"{lines[at]} {lines[at + 1].strip()}"


def test_a_run_that_lost_no_more_than_asked_says_so(
    stopped: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    line = risk_line(stopped, capsys)
    assert line.startswith("✓")
    assert f"{stopped['risk_audit']['stopped']:,} stops, none lost more than was asked" in line


def test_a_run_that_lost_more_says_how_much_and_how_much_of_it_a_gap_was(
    stopped: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    risk = stopped["risk_audit"]
    over = {"over": 1, "max_over_share": 0.05, "worst": risk["worst"] | {"over": "10.5", "gap": "9.25", "funding": "1"}}
    line = risk_line(stopped | {"risk_audit": risk | over}, capsys)
    assert line.startswith("!")
    assert "+5.00 %" in line
    assert "stops lost more: 10.50 USDT (gap 9.25, funding 1.00)" in line


def test_funding_beyond_the_risk_is_told_beside_a_stop_that_was_kept(
    stopped: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    risk = stopped["risk_audit"] | {"with_funding": {"over": 2, "max_over": "18.3"}}
    line = risk_line(stopped | {"risk_audit": risk}, capsys)
    assert line.startswith("✓")
    assert "none lost more than was asked; with funding 2 did, 18.30 USDT at most" in line


def test_a_report_of_an_earlier_version_prints_without_a_risk_audit(
    stopped: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    print_run({name: value for name, value in stopped.items() if name != "risk_audit"})
    assert "risk at the stop" not in capsys.readouterr().out


@pytest.mark.parametrize("columns", [36, 40, 50, 60, 80])
def test_a_narrow_report_breaks_no_word_and_no_number(
    stopped: dict[str, Any], columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    print_run(stopped)
    wide = capsys.readouterr().out.split()
    monkeypatch.setattr("nt_run.tables.WIDTH", columns)
    print_run(stopped)
    narrow = capsys.readouterr().out
    assert max(map(len, narrow.splitlines())) <= columns
    # The id of a run is longer than a line.
    assert {word for word in wide if len(word) <= columns} <= set(narrow.split())


def test_notes_that_have_no_room_beside_numbers_stand_below_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nt_run.tables.WIDTH", 30)
    table = grid((None,), (None, "right"), (None,))
    table.add_row("Net PnL", "+1,234.56", "USDT")
    table.add_row("funding", "-9.00", "in 100 payments")
    show(table)
    # 7 + 1 + 9 + 1 = 18 columns, and 12 for a note.
    expected = ["Net PnL +1,234.56 USDT", "funding     -9.00", "  in 100 payments"]
    assert capsys.readouterr().out.splitlines() == expected


def shown(summary: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> str:
    print_run(summary)
    return capsys.readouterr().out


@pytest.mark.parametrize("columns", range(60, 100))
def test_a_number_and_its_per_cent_sign_stay_on_one_line(
    stopped: dict[str, Any], columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nt_run.tables.WIDTH", columns)
    out = shown(stopped, capsys)
    assert not [line for line in out.splitlines() if line.lstrip().startswith("%")]
    assert "\ue000" not in out
    assert out.count(" %") > 10


def test_protections_that_are_not_listed_are_counted(
    stopped: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    use = {"time": "2026-06-01T10:00:00Z", "equity": "9000", "reference": "10000", "until": None}
    uses = [use | {"rule": "max_daily_loss"}] * 7 + [use | {"rule": "cooldown"}] * 101
    lines = [line.split() for line in shown(stopped | {"protections": uses}, capsys).splitlines()]
    assert lines.count(["and", "2", "more"]) == lines.count(["and", "100", "more"]) == 1
    few = shown(stopped | {"protections": [*uses[:5], uses[-1]]}, capsys)
    assert not [line for line in few.splitlines() if line.split()[:1] == ["and"]]


def test_one_cap_has_one_name(stopped: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    first = stopped["sizing"]["first"] | {"capped_by": "leverage"}
    out = shown(stopped | {"sizing": stopped["sizing"] | {"first": first}}, capsys)
    assert "cut by margin" in " ".join(out.split())
    assert "leverage" not in out.split("Starting balance")[0]


def test_funding_that_changes_nothing_is_not_told_beside_the_stops(
    stopped: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    risk = stopped["risk_audit"] | {"over": 42, "max_over": "19.32", "max_over_share": 0.1}
    worst = {"worst": risk["worst"] | {"over": "19.32", "gap": "19.32"}}
    same = {"with_funding": {"over": 42, "max_over": "19.32"}}
    assert "with funding" not in risk_line(stopped | {"risk_audit": risk | worst | same}, capsys)
    more = {"with_funding": {"over": 42, "max_over": "19.40"}}
    told = shown(stopped | {"risk_audit": risk | worst | more}, capsys)
    assert "with funding 42 did" in " ".join(told.split())


def test_bars_looked_at_more_closely_are_told_of_those_of_the_run(
    stopped: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    # 672 bars of 1h, 13 of them in 60 minutes each: 672 − 13 + 780 = 1,439.
    detail = {"interval": "1m", "bars": 13}
    ambiguity = stopped["ambiguity"] | {"bars": 0, "of": 1439, "detail": detail}
    out = shown(stopped | {"ambiguity": ambiguity, "bars": stopped["bars"] | {"fed": 672}}, capsys)
    assert "0 of 1,439 each told what came first; 13 of 672 looked at in 1m, 1,439 in all" in " ".join(out.split())


def test_orders_that_found_nothing_to_fill_did_reach_the_market(
    stopped: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    denied = {"fill-or-kill order found nothing at its price": 3, "too many open orders": 2}
    out = shown(stopped | {"denied": denied}, capsys)
    refused, unfilled = out.split("Orders that ended at once without a fill")
    assert "2 x too many open orders" in refused
    assert "fill-or-kill" not in refused
    assert "3 x fill-or-kill order found nothing at its price" in unfilled
