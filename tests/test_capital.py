from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nt_run.capital import MOST, Trial, Trials, find_capital, search
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


def trial(balance: int, needed: float, at_least: int = 0) -> Trial:
    lost = (Denial(time_ns=0, reason="sizing: below min notional 5 USDT"),) if balance < needed else ()
    return Trial(balance=balance, sent=1, lost=lost, others={}, capped={}, at_least=at_least if lost else 0)


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


def test_a_strategy_that_sends_nothing_is_told_so(cache: Path, mine: str) -> None:
    with pytest.raises(UsageError, match="sent no order"):
        find_capital(demo(**{"strategy.name": mine, "strategy.params.amount": "none"}), cache_dir=cache)
