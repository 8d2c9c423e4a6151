"""Stopped trades by hand: 1,000 to begin with, a hundredth of the balance at risk in each."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from nt_run.model import Side
from nt_run.replay import ReplayedTrade
from nt_run.stop_losses import RiskRules, StopLoss, check_stop_losses, find_stop_losses

D = Decimal
RULES = RiskRules(fraction=D("0.01"), compound=True, balance=D(1000))


def trade(entry: int, *, lost: str, funding: str = "0", fills: int = 2, by: str = "stop_market") -> ReplayedTrade:
    """A trade that lost so much by price; it ends one tick of time after its entry."""
    return ReplayedTrade(
        side=Side.BUY,
        entry_time=entry,
        exit_time=entry + 1,
        exit_type=by,
        reduced_notional=D(0),
        opened_notional=D(lost),
        funding=D(funding),
        fills=fills,
    )


def told(trades: list[ReplayedTrade], **stated: Any) -> Iterator[tuple[str, object, object]]:
    risk = {"unmatched": 0, "stopped": 2, "over": 1, "max_over": "0.10000000"}
    risk |= {"with_funding": {"over": 2, "max_over": "0.60000000"}} | stated
    return check_stop_losses(risk, trades, RULES)


# 10 of 1,000 was asked, 9.9 lost and 0.7 paid in funding; then 989.4 are left and 9.894 of them asked, 9.994 lost.
TRADES = [trade(1, lost="9.9", funding="-0.7"), trade(3, lost="9.994")]


def test_each_trade_is_held_to_the_balance_before_it() -> None:
    found, sure = find_stop_losses(TRADES, RULES)
    assert found == [StopLoss(D("-0.1"), D("0.6")), StopLoss(D("0.1"), D("0.1"))]
    assert sure
    flat, _ = find_stop_losses(TRADES, RiskRules(fraction=D("0.01"), compound=False, balance=D(1000)))
    assert flat[1].over == D("-0.006")


def test_other_figures_in_the_report_are_named() -> None:
    assert list(told(TRADES)) == []
    assert [what for what, *_ in told(TRADES, max_over="0.2")] == ["max_over"]
    assert [what for what, *_ in told(TRADES, over=2)] == ["over"]
    wrong = {"with_funding": {"over": 1, "max_over": "0.5"}}
    assert [what for what, *_ in told(TRADES, **wrong)] == ["with_funding.max_over", "with_funding.over"]


def test_where_the_balance_of_the_sizer_is_not_known_nothing_is_said() -> None:
    turned = [trade(1, lost="1", by="market"), trade(2, lost="50"), trade(5, lost="1")]
    assert list(told(turned)) == []
    assert list(told([*TRADES, trade(7, lost="90", fills=3)], unmatched=1)) == []


def test_what_liquidated_trades_lost_is_held_to_the_report() -> None:
    # 10 of 1,000 was asked and 10.2 lost.
    trades = [trade(1, lost="10.2", by="liquidation")]

    def wrong(**stated: Any) -> list[str]:
        forced = {"trades": 1, "unmatched": 0, "over": 1, "max_over": "0.20000000"} | stated
        return [what for what, *_ in told(trades, stopped=0, liquidated=forced)]

    assert wrong() == []
    assert wrong(max_over="0.3") == ["liquidated.max_over"]
    assert wrong(over=0) == ["liquidated.over"]
    assert wrong(unmatched=1) == ["liquidated.trades and unmatched"]
    assert wrong(trades=0, unmatched=1, over=0, max_over=None) == []
    assert wrong(trades=0, unmatched=1) == ["liquidated.over", "liquidated.max_over"]
