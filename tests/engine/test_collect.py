from collections.abc import Callable
from typing import Any

import pytest

from nt_run.engine import bars
from nt_run.engine.collect import plain_reason
from nt_run.engine.run import EngineOutput
from nt_run.klines import Klines


@pytest.mark.parametrize(
    ("reason", "plain"),
    [
        ("NOTIONAL_BELOW_MINIMUM: min=5.00000000 USDT, notional=0.99000000 USDT", "notional below minimum"),
        ("INITIAL_MARGIN_EXCEEDS_FREE_BALANCE: free=9.1 USDT, margin=20 USDT", "initial margin exceeds free balance"),
        (
            "No market for BTCUSDT-PERP.BINANCE",
            "no market for it: there was none yet, or its position was liquidated first",
        ),
        ("Contingent order O-20240101-000100-001-000-7 already closed", "its entry or its sibling had ended"),
        (
            "POST_ONLY LIMIT BUY order limit px of 101.0 would have been a TAKER: bid=100.0, ask=100.0",
            "post-only order would have taken",
        ),
        (
            "STOP_LIMIT SELL order stop px of 101.0 was in the market: bid=100.0, ask=100.0, but rejected because of …",
            "stop price already crossed by the market",
        ),
        (
            "LIMIT_IF_TOUCHED BUY order trigger px of 101.0 was in the market: bid=100.0, ask=100.0",
            "trigger price already crossed by the market",
        ),
        ("Order O-20240101-000100-001-000-7 is lost", "Order … is lost"),
        (
            "Reduce-only order O-20240101-000100-001-000-7 (STOP_MARKET-SELL) would have increased position",
            "reduce-only order would have increased the position",
        ),
    ],
)
def test_equal_reasons_read_the_same(reason: str, plain: str) -> None:
    assert plain_reason(reason) == plain


STEADY = [(100, 101, 99, 100, 40)]


def test_a_strategy_finds_its_closed_orders_for_thirty_days_and_little_longer(
    run: Callable[..., EngineOutput], make_klines: Callable[..., Klines], kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bars, "CHUNK", 24)
    there: list[int] = []

    class Remembering(kit.Scripted):
        def on_bar(self, bar: Any) -> None:
            kit.Scripted.on_bar(self, bar)
            if self.cache.orders_closed():
                there.append(self.number)

    source = kit.Source(Remembering, {"script": {0: [kit.buy("1")]}})
    output = run(make_klines(STEADY * 24 * 34, interval="1h"), source)
    days = len(there) / 24
    assert there == list(range(1, len(there) + 1))
    assert 30 <= days <= 31
    assert len(output.fills) == 1


def test_closing_and_opening_in_one_bar_is_accepted(
    run: Callable[..., EngineOutput], make_klines: Callable[..., Klines], kit: Any
) -> None:
    output = run(make_klines(STEADY * 4), {0: [kit.buy("600")], 2: [kit.sell("600"), kit.sell("600")]})
    assert output.denials == []
    assert [fill.side.value for fill in output.fills] == ["buy", "sell", "sell"]


def test_an_order_larger_than_the_account_is_not_mistaken_for_a_turn(
    run: Callable[..., EngineOutput], make_klines: Callable[..., Klines], kit: Any
) -> None:
    class Entering(kit.Scripted):
        def on_position_closed(self, _event: Any) -> None:
            kit.sell("999.9")(self, self.bars[-1])

    source = kit.Source(Entering, {"script": {0: [kit.buy("600")], 1: [kit.buy("600")], 2: [kit.sell("600")]}})
    output = run(make_klines(STEADY * 4), source)
    assert [denial.reason for denial in output.denials] == ["initial margin exceeds free balance"] * 2
