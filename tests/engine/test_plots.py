"""What a strategy publishes of its indicators for charts."""

import gc
import math
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import polars as pl
import pytest
from nautilus_trader.indicators import SimpleMovingAverage
from nautilus_trader.model import Bar, BarType

from nt_run.engine.run import EngineOutput
from nt_run.errors import StrategyError, UsageError
from nt_run.frames import plots_frame
from nt_run.klines import Klines

type Run = Callable[..., EngineOutput]
type Make = Callable[..., Klines]

ROWS = [(close, close + 1, close - 1, close, 1) for close in (100, 102, 104, 103, 101, 99)]


@pytest.fixture
def publish(run: Run, make_klines: Make, kit: Any) -> Callable[..., pl.DataFrame | None]:
    """Run a strategy whose `plots` returns what `lines` makes of it, and return the frame of it."""

    def go(lines: Callable[[Any], Any], *, cls: Any = kit.Scripted) -> pl.DataFrame | None:
        published = type("Published", (cls,), {"plots": lines})
        klines = make_klines(ROWS)
        output = run(klines, kit.Source(published, {"script": {}}))
        return None if output.plots is None else plots_frame(output.plots, klines)

    return go


def test_an_indicator_is_unknown_until_it_is_warm_and_a_number_is_a_level(
    publish: Callable[..., pl.DataFrame], kit: Any
) -> None:
    class Averaging(kit.Scripted):
        def on_start(self) -> None:
            self.average = SimpleMovingAverage(3)
            self.register_indicator_for_bars(self.own["bar_type"], self.average)
            super().on_start()

    def lines(strategy: Any) -> Mapping[str, Any]:
        return {"price": {"SMA 3": strategy.average, "twice": lambda: 2.0 * strategy.number}, "Level": {"low": 30}}

    frame = publish(lines, cls=Averaging)
    assert frame.columns == ["time", "price/SMA 3", "price/twice", "Level/low"]
    # (100 + 102 + 104) ÷ 3 = 102, then 103, 102.667 and 101
    assert frame["price/SMA 3"].round(3).to_list() == [None, None, 102.0, 103.0, 102.667, 101.0]
    # Asked after on_bar, which counts the bars from 0.
    assert frame["price/twice"].to_list() == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    assert frame["Level/low"].to_list() == [30.0] * 6


def test_what_is_no_finite_value_is_unknown(publish: Callable[..., pl.DataFrame]) -> None:
    values = iter([None, math.nan, math.inf, 1, -math.inf, 2.5])
    frame = publish(lambda _: {"Mood": {"mood": lambda: next(values)}})
    assert frame["Mood/mood"].to_list() == [None, None, None, 1.0, None, 2.5]


def test_bars_a_strategy_was_not_given_are_unknown_and_composed_ones_are_not_recorded(
    publish: Callable[..., pl.DataFrame], kit: Any
) -> None:
    class Composing(kit.Scripted):
        def on_start(self) -> None:
            super().on_start()
            self.subscribe_bars(BarType.from_str("BTCUSDT-PERP.BINANCE-2-MINUTE-LAST-INTERNAL@1-MINUTE-EXTERNAL"))

        def on_bar(self, bar: Bar) -> None:
            super().on_bar(bar)
            if bar.close.as_double() == 103:
                self.unsubscribe_bars(self.own["bar_type"])

    frame = publish(
        lambda strategy: {"price": {"close": lambda: float(strategy.bars[-1].close.as_double())}}, cls=Composing
    )
    assert frame["price/close"].to_list() == [100.0, 102.0, 104.0, 103.0, None, None]


def test_a_strategy_that_publishes_nothing_has_no_frame(
    publish: Callable[..., Any], run: Run, make_klines: Make
) -> None:
    assert run(make_klines(ROWS), {}).plots is None
    assert publish(lambda _: {}) is None


@pytest.mark.parametrize("where", ["plots", "a source"])
def test_an_exception_is_the_strategys_own(publish: Callable[..., Any], where: str) -> None:
    def boom(*_: Any) -> float:
        raise ValueError("planted")

    with pytest.raises(StrategyError, match="planted") as caught:
        publish(boom if where == "plots" else lambda _: {"price": {"line": boom}})
    assert "in boom" in caught.value.trace
    assert "nt_run/engine" not in caught.value.trace


def test_a_source_that_gives_no_number_is_named(publish: Callable[..., Any]) -> None:
    with pytest.raises(StrategyError, match="Mood/mood from 'good', which is no number"):
        publish(lambda _: {"Mood": {"mood": lambda: "good"}})


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], r"plots\(\) must be a mapping"),
        ({"price": 3}, r"plots\(\)\['price'\] must be a mapping"),
        ({"a/b": {}}, "has the name 'a/b'"),
        ({"price": {" ": 3}}, "has the name ' '"),
        ({"price": {"line": "close"}}, "draws price/line from 'close'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(publish: Callable[..., Any], lines: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        publish(lambda _: lines)


def test_a_strategy_that_publishes_is_freed_at_once(run: Run, make_klines: Make, kit: Any) -> None:
    class Published(kit.Scripted):
        def plots(self) -> Mapping[str, Any]:
            return {"price": {"number": lambda: self.number}}

    source = kit.Source(Published, {"script": {}})
    gc.disable()
    try:
        run(make_klines(ROWS), source)
        alive = weakref.ref(source.built.pop())
        assert alive() is None
    finally:
        gc.enable()
