"""What is found of many bars at once is what a look at each would find."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nt_run.engine import lookout
from nt_run.engine.clearance import Clearance
from nt_run.engine.lookout import Lookout
from nt_run.engine.run import EngineOutput
from nt_run.engine.watcher import Watcher
from nt_run.liquidation import Extremes, MarginPlan
from nt_run.margin import MarginRules, build_brackets
from nt_run.model import MS
from nt_run.sizing import SizingRules

D = Decimal
Run = Callable[..., EngineOutput]
Make = Callable[..., Any]
MINUTE = 60_000
RULES = MarginRules(
    symbol="BTCUSDT", brackets=build_brackets([(D(0), D(10**9), D("0.004"), D(150))]), as_of_ms=0, source="test"
)
FLAT = (100_000, 100_000, 100_000, 100_000, 1)


def extremes(lows: list[int], highs: list[int]) -> Extremes:
    closed = MINUTE * np.arange(1, len(lows) + 1)
    return Extremes(
        closed=closed, low=np.array(lows), high=np.array(highs), exponent=0, source="bar extremes", missing=0
    )


def test_a_stretch_begins_at_the_bar_that_ends_with_or_after_a_settlement() -> None:
    # Bars end at 1, 2, … 6 minutes; settlements at 2:00 (the second bar's end) and 4:30 (inside the fifth).
    found = Lookout(extremes([9] * 6, [9] * 6), [2 * MINUTE * MS, 4 * MINUTE * MS + 30_000 * MS])
    assert [found.next_start(row) for row in range(6)] == [1, 4, 4, 4, 6, 6]
    assert [found.row(time * MINUTE * MS) for time in (0, 1, 2)] == [0, 0, 1]
    assert found.row(MINUTE * MS + 1) == 1


def test_a_settlement_after_the_last_bar_begins_nothing() -> None:
    assert Lookout(extremes([9], [9]), [5 * MINUTE * MS]).next_start(0) == 1


prices = st.lists(st.integers(1, 20), min_size=1, max_size=40)


@given(lows=prices, due=st.lists(st.integers(0, 45), max_size=6), limit=st.integers(-1, 21), data=st.data())
def test_a_stretch_is_crossed_if_one_of_its_bars_is(
    lows: list[int], due: list[int], limit: int, data: st.DataObject
) -> None:
    highs = [low + data.draw(st.integers(0, 5)) for low in lows]
    found = Lookout(extremes(lows, highs), sorted(time * MINUTE * MS for time in due))
    row = data.draw(st.integers(0, len(lows) - 1))
    stretch = range(row, found.next_start(row))
    assert len(stretch) > 0
    for long in (True, False):
        one_by_one = any(found.is_crossed(each, limit, long=long) for each in stretch)
        assert found.is_crossed_from(row, limit, long=long) == one_by_one


@pytest.mark.parametrize("rows", [1, 7, 512])
def test_a_position_is_followed_through_many_stretches(
    rows: int, monkeypatch: pytest.MonkeyPatch, run: Run, make_klines: Make, kit: Any
) -> None:
    # 1 BTC at 100,000 with 10,000 behind it is liquidated at (100,000 − 10,000) ÷ (1 − 0.004) = 90,361.4.
    monkeypatch.setattr(lookout, "MOST_ROWS", rows)
    ohlcv = [*[FLAT] * 30, (100_000, 100_000, 90_361, 95_000, 1), *[FLAT] * 5]
    output = run(
        make_klines(ohlcv),
        {1: [kit.buy("1")]},
        sizing=SizingRules(leverage=D(10)),
        margin=MarginPlan(mode="isolated", rules=RULES),
    )
    (event,) = output.liquidations
    assert (event.price, event.quantity) == (D("90361.4"), 1)
    assert event.time_ns == output.fills[0].time_ns + 29 * MINUTE * MS


def test_no_bar_is_looked_at_where_none_can_liquidate(
    monkeypatch: pytest.MonkeyPatch, run: Run, make_klines: Make, kit: Any
) -> None:
    seen: list[Any] = []

    def is_never_clear(*_: object) -> bool:
        return False

    def see(_watcher: Watcher, bar: Any) -> None:
        seen.append(bar)

    monkeypatch.setattr(Clearance, "holds", is_never_clear)
    monkeypatch.setattr(Watcher, "on_bar", see)
    run(
        make_klines([FLAT] * 40),
        {1: [kit.buy("1")], 20: [kit.sell("2")]},
        sizing=SizingRules(leverage=D(10)),
        margin=MarginPlan(mode="isolated", rules=RULES),
    )
    assert seen == []
