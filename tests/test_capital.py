from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nt_run.balances import MOST, NoBalanceError, Trial, Trials, search
from nt_run.capital import find_capital
from nt_run.capital_report import print_capital
from nt_run.config import RunConfig, load_config
from nt_run.errors import CapitalError, UsageError
from nt_run.model import Denial
from nt_run.pipeline import backtest

DAYS = {"start": "2026-06-01", "end": "2026-06-03"}
ORDERS = """
from dataclasses import dataclass
from nautilus_trader.model import Bar, BarType, InstrumentId, OrderSide, Quantity
from nautilus_trader.trading import Strategy, StrategyConfig

@dataclass(frozen=True, kw_only=True)
class MineConfig(StrategyConfig):
    instrument_id: InstrumentId
    bar_type: BarType
    amount: str = "1"

class Mine(Strategy):
    def __init__(self, config: MineConfig) -> None:
        super().__init__(config)
        self.own = config
        self.bars = 0

    def on_start(self):
        self.subscribe_bars(self.own.bar_type)

    def on_bar(self, bar: Bar):
        self.bars += 1
        if self.own.amount != "none" and self.bars % 500 == 0:
            amount = Quantity.from_str(self.own.amount)
            side = OrderSide.BUY if self.bars % 1000 else OrderSide.SELL
            self.submit_order(self.order_factory.market(self.own.instrument_id, side, amount))
"""


ADDS = ORDERS.replace("instrument_id: InstrumentId", "sizer: object\n    instrument_id: InstrumentId").replace(
    """            amount = Quantity.from_str(self.own.amount)
            side = OrderSide.BUY if self.bars % 1000 else OrderSide.SELL
            self.submit_order(self.order_factory.market(self.own.instrument_id, side, amount))
""",
    """            self.close_all_positions(self.own.instrument_id)
        elif self.bars % 500 in (100, 200) and (amount := self.own.sizer.quantity(bar.close)):
            self.submit_order(self.order_factory.market(self.own.instrument_id, OrderSide.BUY, amount))
""",
)
"""Two entries, and what closes both in one order."""


def trial(balance: int, needed: float, at_least: int = 0, most: float = float("inf")) -> Trial:
    lost = (Denial(time_ns=0, reason="sizing: below min notional 5 USDT"),) if balance < needed else ()
    cut = {"MARKET_LOT_SIZE": 2} if balance > most else {}
    return Trial(balance=balance, sent=1, lost=lost, cut=cut, at_least=at_least if lost else 0)


@given(needed=st.integers(1, MOST), start=st.integers(1, MOST), hint=st.floats(0, 3))
def test_the_balance_found_is_the_smallest_to_a_thousandth(needed: int, start: int, hint: float) -> None:
    trials = Trials(lambda balance: trial(balance, needed, int(needed * hint)))
    below, enough = search(trials, start)
    assert enough >= needed
    assert enough in trials.done
    if below is None:
        assert needed == enough == 1
    else:
        assert below < needed
        assert below in trials.done
        assert enough - below <= max(1, enough // 1000)
    assert len(trials.done) < 60


@given(needed=st.integers(1, MOST), room=st.floats(-0.9, 3), start=st.integers(1, MOST))
def test_a_balance_at_which_entries_are_cut_is_never_the_answer(needed: int, room: float, start: int) -> None:
    most = int(needed * (1 + room))
    trials = Trials(lambda balance: trial(balance, needed, most=most))
    try:
        below, enough = search(trials, start)
    except NoBalanceError as error:
        # Nothing fits, or what does lies between two balances that are next to each other.
        assert most <= needed * 1.002
        assert error.above.balance > most
        assert error.below is None or error.below.balance < needed
        assert error.outgrown == {"MARKET_LOT_SIZE": 2}
    else:
        assert needed <= enough <= most
        assert below is None or below < needed
    assert len(trials.done) < 80


@pytest.mark.parametrize(
    ("reason", "outgrown", "remedy"),
    [
        ("initial margin exceeds free balance", "MARKET_LOT_SIZE",
         "Less --risk or more --leverage ties up less margin; large positions can be sent in several orders."),
        ("initial margin exceeds free balance", "leverage bracket",
         "Less --risk ties up less margin; less --leverage allows larger positions."),
        ("sizing: below min quantity 0.001 BTC", "position larger than the leverage brackets allow at this leverage",
         "Sizes that differ less would help; less --leverage allows larger positions."),
    ],
)  # fmt: skip
def test_the_way_out_is_told_by_what_is_short_and_what_is_too_large(reason: str, outgrown: str, remedy: str) -> None:
    below = Trial(balance=9, sent=1, lost=(Denial(time_ns=0, reason=reason),))
    error = NoBalanceError(below, Trial(balance=10, sent=1), {outgrown: 3})
    assert str(error).splitlines() == [
        "No balance keeps every signal whole.",
        f"With a balance of 9 or less, signals are lost (1, the first 1970-01-01 00:00 UTC: {reason}).",
        f"With a balance of 10 or more, orders are too large for the exchange (3 x {outgrown}).",
        remedy,
    ]


def test_what_is_too_large_in_the_smallest_account_is_not_blamed_on_the_balance() -> None:
    market, limit = "quantity above the largest market order", "quantity above the largest"

    def run(balance: int) -> Trial:
        if balance < 50:
            return trial(balance, 50, at_least=50)
        counts = {market: 5} if balance < 1000 else {market: 7, limit: 1}
        return Trial(balance=balance, sent=9, too_large=counts)

    trials = Trials(run)
    assert trials.outgrown(trials(5000)) == {market: 2, limit: 1}
    assert trials.fits(trials(60))
    assert search(Trials(run), 5000) == (49, 50)


def test_an_account_that_nothing_helps_is_known_after_a_few_runs() -> None:
    trials = Trials(lambda balance: trial(balance, float("inf")))
    with pytest.raises(
        CapitalError, match="No balance up to 1,000,000,000,000 keeps every signal: 1 are still refused"
    ):
        search(trials, 10_000)
    assert len(trials.done) <= 7


def demo(**changes: Any) -> RunConfig:
    return load_config(None, {"demo": True, **DAYS, **changes})


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def lost(config: RunConfig, balance: str, cache: Path) -> int:
    changes = {**DAYS, "demo": True, "account.balance": balance, "strategy.name": config.strategy.name}
    whole = load_config(None, {**changes, "sizing.fraction": str(config.sizing.fraction)})
    return backtest(whole, cache_dir=cache, save=False).summary["filters"]["lost"]["count"]


def test_a_run_with_the_balance_found_loses_nothing_and_one_with_a_little_less_does(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = demo()
    found = find_capital(config, cache_dir=cache)
    # Half a step of 0.001 BTC at some 90,000 is 45 USDT, and that is 2 % of 2,250.
    assert 2_200 < int(found["balance"]) < 2_400
    assert int(found["balance"]) - int(found["below"]) <= 2
    assert lost(config, found["balance"], cache) == 0
    assert lost(config, found["below"], cache) == found["lost_below"]["count"] > 0
    assert found["limited_by"] == "LOT_SIZE"
    assert found["runs"] == len(found["tried"]) < 25
    assert not (cache / "runs").exists()
    print_capital(found)
    shown = capsys.readouterr().out
    for text in ("SYNTHETIC", "ema_cross fast=10 slow=21", f"{int(found['balance']):,} USDT", "LOT_SIZE", "runs"):
        assert text in shown


def test_the_search_does_not_depend_on_where_it_starts(cache: Path) -> None:
    low, high = (find_capital(demo(**{"account.balance": start}), cache_dir=cache) for start in ("3", "500000"))
    assert abs(int(low["balance"]) - int(high["balance"])) <= 2
    assert Decimal(low["tried"][0]["balance"]) == 3


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("mine") / "mine.py"
    file.write_text(ORDERS)
    return str(file)


def test_orders_of_one_size_need_their_margin(cache: Path, mine: str) -> None:
    # One BTC at some 90,000 without leverage: margin and fee must be free, whatever was lost before.
    found = find_capital(demo(**{"strategy.name": mine}), cache_dir=cache)
    assert found["limited_by"] == "margin"
    assert 85_000 < int(found["balance"]) < 110_000


def test_what_no_balance_mends_is_listed_and_not_searched_for(
    cache: Path, mine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CapitalError, match=r"first one because of 'notional below minimum'") as caught:
        find_capital(demo(**{"strategy.name": mine, "symbol": "ETHUSDT", "strategy.params.amount": "0.001"}),
                     cache_dir=cache)  # fmt: skip
    assert caught.value.exit_code == 4
    found = find_capital(demo(**{"strategy.name": mine, "strategy.params.amount": "121"}), cache_dir=cache)
    assert found["refused_anyway"] == {"quantity above the largest market order": 5}
    assert (found["balance"], found["below"], found["limited_by"]) == ("1", None, None)
    print_capital(found)
    assert "5 x quantity above the largest market order" in capsys.readouterr().out


@pytest.fixture(scope="module")
def adds(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("adds") / "adds.py"
    file.write_text(ADDS)
    return str(file)


def test_where_margin_is_short_until_orders_are_too_large_there_is_no_balance(cache: Path, adds: str) -> None:
    # Twice 60 % never fit into the account, six times in 2,880 minutes. 60 % of 18 million are the 120 BTC of the
    # largest market order at 90,000: from there on entries are cut.
    with pytest.raises(NoBalanceError) as caught:
        find_capital(demo(**{"strategy.name": adds, "sizing.fraction": "0.6"}), cache_dir=cache)
    below, above = caught.value.below, caught.value.above
    assert below is not None
    assert {denial.reason for denial in below.lost} == {"initial margin exceeds free balance"}
    assert 15_000_000 < below.balance < above.balance < 20_000_000
    assert caught.value.exit_code == 4
    assert "signals are lost (6, the first 2026-06-01 " in str(caught.value)
    assert "or more, orders are too large for the exchange (" in str(caught.value)
    assert "Less --risk or more --leverage" in str(caught.value)


def test_an_account_too_large_is_told_and_never_said_to_be_refused_whatever_the_balance(
    cache: Path, adds: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = demo(**{"strategy.name": adds, "sizing.fraction": "0.4", "account.balance": "100000000"})
    found = find_capital(config, cache_dir=cache)
    # Two entries of a step of 0.001 BTC each at some 90,000 are 180 USDT.
    assert 170 < int(found["balance"]) < 195
    assert (found["refused_anyway"], found["capped"]) == ({}, {})
    assert int(found["too_large"]["balance"]) > 10_000_000
    assert found["too_large"]["orders"].keys() <= {"MARKET_LOT_SIZE", "quantity above the largest market order"}
    print_capital(found)
    shown = capsys.readouterr().out
    assert "Too large" in shown
    assert "Refused whatever the balance" not in shown


def test_a_balance_that_takes_twice_what_was_asked_says_so(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = find_capital(demo(), cache_dir=cache)
    position = found["position"]
    # 0.0005 BTC are rounded up to 0.001: up to 4 %, and a little less where equity grew.
    assert position["asked_share"] == 0.02
    assert 0.035 < position["actual_share"] < 0.0401
    # Five steps of 0.001 BTC at some 90,000 are 450 USDT, 2 % of 22,500.
    assert 21_000 < int(position["near_from"]) < 24_000
    print_capital(found)
    shown = " ".join(capsys.readouterr().out.split())
    assert f"Takes up to {position['actual_share']:.2%}".replace("%", " %") in shown
    assert "asked 2.00 %: rounded to the step" in shown
    assert "the first with 10,000 USDT" in shown
    assert "no signal is lost or cut" in shown
    # The account had lost nearly all by then; and what its own margin cuts is said.
    print_capital(found | {"position": position | {"near_from": "8"}, "capped": {"margin": 3}})
    shown = " ".join(capsys.readouterr().out.split())
    assert "asked 2.00 % Too" in shown or "asked 2.00 % Found" in shown
    assert "no signal is lost, nor cut by the exchange" in shown


def test_a_strategy_that_sends_nothing_is_told_so(cache: Path, mine: str) -> None:
    with pytest.raises(UsageError, match="sent no order"):
        find_capital(demo(**{"strategy.name": mine, "strategy.params.amount": "none"}), cache_dir=cache)
