from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from nt_run.engine.run import EngineOutput
from nt_run.errors import UsageError
from nt_run.sizing import SizingRules

type Trade = Callable[..., EngineOutput]
type Told = Callable[[EngineOutput], list[tuple[int, str, str, str]]]

UP_DOWN = [*range(1000, 1010), *range(1008, 990, -1), *range(992, 1005)]
BY_STOP = SizingRules(method="stop", fraction=Decimal("0.01"), stop_distance=Decimal("0.005"), leverage=Decimal(5))


def test_ema_cross_is_always_in_the_market_once_it_is_warm(trade: Trade, told: Told) -> None:
    output = trade("ema_cross", UP_DOWN, fast=2, slow=4)
    fills = told(output)
    assert [fill[1:3] for fill in fills] == [
        ("buy", "market"),
        ("sell", "market"),
        ("sell", "market"),
        ("buy", "market"),
        ("buy", "market"),
    ]
    assert fills[0][0] == 3
    assert [fills[1][0], fills[3][0]] == [fills[2][0], fills[4][0]]
    assert output.fills[0].quantity == output.fills[1].quantity


def test_ema_cross_rests_the_stop_its_sizing_asks_for_and_then_waits_for_the_next_cross(
    trade: Trade, told: Told
) -> None:
    bars: list[Any] = [*range(1000, 1006), (1005, 1005, 995, 1004), *range(1005, 1012), *range(1010, 1000, -1)]
    fills = told(trade("ema_cross", bars, BY_STOP, fast=2, slow=4))
    # 1003 × 0.995 = 997.985, rounded towards the price
    assert fills[:2] == [(3, "buy", "market", "1003.0"), (6, "sell", "stop_market", "998.0")]
    assert fills[2][1:3] == ("sell", "market")
    assert fills[2][0] > 13


def test_ema_cross_withdraws_its_stop_when_it_flips(trade: Trade, told: Told) -> None:
    bars: list[Any] = [*range(1000, 1006), *range(1005, 1000, -1), (1001, 1001, 900, 1000), 1000]
    fills = told(trade("ema_cross", bars, BY_STOP, fast=2, slow=4))
    # Sold at the flip; the long's stop at 998 is gone, and the fall to 900 fills nothing.
    assert [fill[1:3] for fill in fills] == [("buy", "market"), ("sell", "market"), ("sell", "market")]


@pytest.mark.parametrize(
    ("last", "exit_fill"),
    [
        ([(988, 1012, 988, 1010)], ("sell", "limit", "1007.7")),
        ([(988, 988, 880, 890)], ("sell", "stop_market", "889.2")),
        ([990, 994, 998, 1002], ("sell", "market", "1002.0")),
    ],
    ids=["target", "stop", "threshold"],
)
def test_rsi_reversion_buys_weakness_and_leaves_in_three_ways(
    last: list[Any], exit_fill: tuple[str, str, str], trade: Trade, told: Told
) -> None:
    bars = [1000, 997, 994, 991, 988, *last, (1000, 1200, 800, 1000)]
    fills = told(trade("rsi_reversion", bars, period=4, high=65))
    assert fills[0] == (4, "buy", "market", "988.0")
    assert fills[1][1:] == exit_fill


def test_donchian_breakout_enters_when_the_close_leaves_the_channel_of_the_bars_before(
    trade: Trade, told: Told
) -> None:
    channel: list[Any] = [(1000, 1005, 995, 1000)] * 5
    # A close at the channel's edge is still inside.
    up = told(trade("donchian_breakout", [*channel, 1005, 1006, (1006, 1030, 1006, 1025)], period=5))
    assert up[:2] == [(6, "buy", "market", "1006.0"), (7, "sell", "limit", "1026.1")]
    down = told(trade("donchian_breakout", [*channel, 994, (994, 1010, 994, 1008), (1000, 1300, 900, 1000)], period=5))
    assert down[0] == (5, "sell", "market", "994.0")
    assert down[1][:3] == (6, "buy", "stop_market")


def test_donchian_breakout_publishes_the_channel_each_close_was_compared_with(trade: Trade) -> None:
    plots = trade("donchian_breakout", [(1000, 1005, 995, 1000)] * 5 + [(1000, 1010, 1000, 1004), 1004], period=5).plots
    assert plots is not None
    upper, lower = ([value if value == value else None for value in line.values] for line in plots.lines)  # noqa: PLR0124 - NaN
    # Known after five bars; the high of 1010 counts from the bar after it on.
    assert upper == [None] * 5 + [1005.0, 1010.0]
    assert lower == [None] * 5 + [995.0, 995.0]


def test_rsi_reversion_publishes_the_rsi_between_its_thresholds(trade: Trade) -> None:
    plots = trade("rsi_reversion", [1000, 1001, 1002, 1003, 1002], period=2, low=25.0).plots
    assert plots is not None
    assert [(line.pane, line.name, line.values[-1]) for line in plots.lines[1:]] == [
        ("RSI", "low", 25.0),
        ("RSI", "high", 70.0),
    ]
    assert plots.lines[0].values[3] == 100.0


@pytest.mark.parametrize("name", ["rsi_reversion", "donchian_breakout"])
def test_the_stop_of_the_sizing_rules_takes_the_place_of_the_parameter(name: str, trade: Trade, told: Told) -> None:
    bars: list[Any] = [1000, 997, 994, 991, 988, (988, 988, 982, 983)]
    if name == "donchian_breakout":
        bars = [1000, 1003, 1000, 1003, 1000, 1004, (1004, 1004, 990, 991)]
    fills = told(trade(name, bars, BY_STOP, period=4, stop=0.5))
    entry = Decimal(fills[0][3])
    assert fills[1][2] == "stop_market"
    assert Decimal(fills[1][3]) / entry == pytest.approx(Decimal("0.995"), abs=Decimal("0.0001"))


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("ema_cross", {"fast": 0}, "1 ≤ fast < slow ≤ 1,000,000, and got fast=0, slow=21"),
        ("ema_cross", {"slow": 10**30}, f"got fast=10, slow={10**30}"),
        ("rsi_reversion", {"period": 10**30}, f"a period of 1 to 1,000,000 bars, and got period={10**30}"),
        ("donchian_breakout", {"period": 20_000_000}, "1 to 1,000,000 bars, and got period=20000000"),
        ("ema_cross", {"fast": -1}, "got fast=-1"),
        ("ema_cross", {"fast": 21}, "got fast=21, slow=21"),
        ("ema_cross", {"slow": 5}, "got fast=10, slow=5"),
        ("rsi_reversion", {"period": 0}, "got period=0"),
        ("rsi_reversion", {"low": 70}, "got low=70.0, high=70.0"),
        ("rsi_reversion", {"high": 101}, "got low=30.0, high=101.0"),
        ("rsi_reversion", {"stop": 2}, "got stop=2.0"),
        ("rsi_reversion", {"stop": 0}, "got stop=0.0"),
        ("rsi_reversion", {"stop": "nan"}, "got stop=nan"),
        ("rsi_reversion", {"target": 0}, "got stop=0.1, target=0.0"),
        ("donchian_breakout", {"period": 0}, "got period=0"),
        ("donchian_breakout", {"stop": 2}, "got stop=2.0"),
        ("donchian_breakout", {"target": 1}, "got stop=0.01, target=1.0"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_refused_in_a_sentence(
    name: str, params: dict[str, Any], message: str, trade: Trade
) -> None:
    with pytest.raises(UsageError) as caught:
        trade(name, UP_DOWN, **params)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{name} needs ")
