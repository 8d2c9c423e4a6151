import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from nautilus_trader.model import BarType

from nt_run.engine.run import EngineOutput
from nt_run.errors import SizingError, StrategyError, UsageError
from nt_run.klines import Klines


def boom(*_args: Any) -> None:
    raise ValueError("planted")


@pytest.mark.parametrize(
    "name", ["on_start", "on_bar", "on_order_filled", "on_position_opened", "on_stop", "on_dispose"]
)
def test_an_exception_in_a_callback_ends_the_run(
    name: str, run: Callable[..., EngineOutput], random_market: Callable[..., Klines], kit: Any
) -> None:
    class Broken(kit.Scripted):
        pass

    setattr(Broken, name, boom)
    source = kit.Source(Broken, {"script": {3: [kit.buy("0.01")]}})
    with pytest.raises(StrategyError, match="Strategy test raised ValueError") as caught:
        run(random_market(50), source)
    assert isinstance(caught.value.__cause__, ValueError)


def test_the_traceback_starts_in_the_strategy(
    run: Callable[..., EngineOutput], random_market: Callable[..., Klines], kit: Any
) -> None:
    def act(*_args: Any) -> None:
        boom()

    with pytest.raises(StrategyError) as caught:
        run(random_market(50), {3: [act]})
    assert "engine/guard.py" not in caught.value.trace.replace("tests/engine", "")
    assert "in boom" in caught.value.trace


def test_a_strategy_that_raised_is_not_asked_again(
    run: Callable[..., EngineOutput], random_market: Callable[..., Klines], kit: Any
) -> None:
    source = kit.Source(kit.Scripted, {"script": {3: [boom]}})
    with pytest.raises(StrategyError):
        run(random_market(50), source)
    assert len(source.built[0].bars) == 4


def test_an_exception_in_the_constructor_is_the_strategys_error(
    run: Callable[..., EngineOutput], random_market: Callable[..., Klines], kit: Any
) -> None:
    class Broken(kit.Scripted):
        def __init__(self, config: Any) -> None:
            boom()

    with pytest.raises(StrategyError, match="planted"):
        run(random_market(5), kit.Source(Broken, {"script": {}}))


def test_our_own_errors_pass_through_as_they_are(
    run: Callable[..., EngineOutput], random_market: Callable[..., Klines]
) -> None:
    def act(*_args: Any) -> None:
        raise SizingError("too small")

    with pytest.raises(SizingError, match="too small"):
        run(random_market(5), {1: [act]})


def test_a_keyboard_interrupt_in_a_callback_comes_out(
    run: Callable[..., EngineOutput], random_market: Callable[..., Klines]
) -> None:
    def act(*_args: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(random_market(5), {1: [act]})


def test_ctrl_c_stops_the_run_and_the_handler_is_put_back(
    run: Callable[..., EngineOutput], random_market: Callable[..., Klines], kit: Any
) -> None:
    def press(*_args: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    source = kit.Source(kit.Scripted, {"script": {3: [press]}})
    with pytest.raises(KeyboardInterrupt):
        run(random_market(2000), source)
    assert len(source.built[0].bars) == 4
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_gets_out_of_an_endless_callback(
    run: Callable[..., EngineOutput], random_market: Callable[..., Klines]
) -> None:
    def press(*_args: Any) -> None:
        while True:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(random_market(5), {1: [press]})


def test_a_run_after_a_failed_one_is_unharmed(
    run: Callable[..., EngineOutput], random_market: Callable[..., Klines], kit: Any
) -> None:
    with pytest.raises(StrategyError):
        run(random_market(5), {1: [boom]})
    assert len(run(random_market(5), {1: [kit.buy("0.01")]}).fills) == 1


def test_a_run_outside_the_main_thread_works(
    run: Callable[..., EngineOutput], random_market: Callable[..., Klines], kit: Any
) -> None:
    outputs: list[EngineOutput] = []
    thread = threading.Thread(target=lambda: outputs.append(run(random_market(5), {1: [kit.buy("0.01")]})))
    thread.start()
    thread.join()
    assert len(outputs[0].fills) == 1


def test_bars_of_another_type_are_not_counted(
    run: Callable[..., EngineOutput], random_market: Callable[..., Klines], kit: Any
) -> None:
    class Two(kit.Scripted):
        def on_start(self) -> None:
            super().on_start()
            self.subscribe_bars(BarType.from_str("BTCUSDT-PERP.BINANCE-5-MINUTE-LAST-INTERNAL@1-MINUTE-EXTERNAL"))

    source = kit.Source(Two, {"script": {}})
    output = run(random_market(60), source)
    assert output.bars_seen == output.bars_fed == 60
    assert len(source.built[0].bars) > 60


def timer(strategy: Any) -> None:
    strategy.clock.set_timer("t", timedelta(minutes=5), callback=boom)


def timer_by_position(strategy: Any) -> None:
    strategy.clock.set_timer("t", timedelta(minutes=5), None, None, boom)


def timer_ns(strategy: Any) -> None:
    strategy.clock.set_timer_ns("t", 300_000_000_000, callback=boom)


def zoned_timer(strategy: Any) -> None:
    strategy.clock.set_timer_zoned("t", "5m", strategy.clock.utc_now(), callback=boom)


def alert(strategy: Any) -> None:
    strategy.clock.set_time_alert("a", strategy.clock.utc_now() + timedelta(minutes=5), callback=boom)


def alert_ns(strategy: Any) -> None:
    strategy.clock.set_time_alert_ns("a", strategy.clock.timestamp_ns() + 300_000_000_000, callback=boom)


def default_handler(strategy: Any) -> None:
    strategy.clock.register_default_handler(boom)
    strategy.clock.set_timer("t", timedelta(minutes=5))


def on_time_event(strategy: Any) -> None:
    strategy.on_time_event = boom
    strategy.clock.set_timer("t", timedelta(minutes=5))


def topic(strategy: Any) -> None:
    strategy.subscribe_topic("greeting", boom)
    strategy.clock.set_timer("t", timedelta(minutes=5), callback=lambda _: strategy.publish_message("greeting", 1))


def signal_of_its_own(strategy: Any) -> None:
    strategy.on_signal = boom
    strategy.subscribe_signal("mood")
    strategy.clock.set_timer("t", timedelta(minutes=5), callback=lambda _: strategy.publish_signal("mood", 1.0))


class PlainIndicator:
    name = "plain"
    has_inputs = initialized = True

    def handle_bar(self, _bar: Any) -> None:
        boom()


def indicator(strategy: Any) -> None:
    strategy.register_indicator_for_bars(strategy.own["bar_type"], PlainIndicator())


def late_callback(strategy: Any) -> None:
    strategy.on_bar = boom


@pytest.mark.parametrize(
    "arrange",
    [
        timer,
        timer_by_position,
        timer_ns,
        zoned_timer,
        alert,
        alert_ns,
        default_handler,
        on_time_event,
        topic,
        signal_of_its_own,
        indicator,
        late_callback,
    ],
)
def test_an_exception_ends_the_run_however_the_strategy_is_called_back(
    arrange: Any, run: Callable[..., EngineOutput], random_market: Callable[..., Klines], kit: Any
) -> None:
    class Arranged(kit.Scripted):
        def on_start(self) -> None:
            super().on_start()
            arrange(self)

    with pytest.raises(StrategyError, match="planted") as caught:
        run(random_market(50), kit.Source(Arranged, {"script": {}}))
    assert isinstance(caught.value.__cause__, ValueError)


def test_an_exception_in_a_callback_of_a_mixin_ends_the_run(
    run: Callable[..., EngineOutput], random_market: Callable[..., Klines], kit: Any
) -> None:
    class Mixin:
        def on_order_filled(self, _event: Any) -> None:
            boom()

    class Mixed(Mixin, kit.Scripted):
        pass

    with pytest.raises(StrategyError, match="planted"):
        run(random_market(50), kit.Source(Mixed, {"script": {3: [kit.buy("0.01")]}}))


def test_an_exception_in_a_callback_that_the_constructor_chose_ends_the_run(
    run: Callable[..., EngineOutput], random_market: Callable[..., Klines], kit: Any
) -> None:
    class Choosing(kit.Scripted):
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.on_bar = boom

    source = kit.Source(Choosing, {"script": {}})
    with pytest.raises(StrategyError, match="planted"):
        run(random_market(50), source)
    assert source.built[0].on_bar is boom


def test_a_callback_set_while_the_strategy_runs_is_refused(
    run: Callable[..., EngineOutput], random_market: Callable[..., Klines]
) -> None:
    def act(strategy: Any, _bar: Any) -> None:
        strategy.on_bar = boom

    with pytest.raises(UsageError, match="sets on_bar while it runs"):
        run(random_market(5), {1: [act]})


def test_an_indicator_that_cannot_be_watched_is_refused(
    run: Callable[..., EngineOutput], random_market: Callable[..., Klines], kit: Any
) -> None:
    class Slotted:
        __slots__ = ()

        def handle_bar(self, _bar: Any) -> None: ...

    class Arranged(kit.Scripted):
        def on_start(self) -> None:
            self.register_indicator_for_bars(self.own["bar_type"], Slotted())

    with pytest.raises(UsageError, match="take __slots__ out of Slotted"):
        run(random_market(5), kit.Source(Arranged, {"script": {}}))


def test_timers_topics_and_python_indicators_work_and_the_strategy_is_left_as_it_was(
    run: Callable[..., EngineOutput], random_market: Callable[..., Klines], kit: Any
) -> None:
    calls: list[str] = []

    class Counting(PlainIndicator):
        def handle_bar(self, _bar: Any) -> None:
            calls.append("indicator")

    class Arranged(kit.Scripted):
        def on_start(self) -> None:
            super().on_start()
            self.clock.set_timer("t", timedelta(minutes=5), callback=self.tick)
            self.subscribe_topic("greeting", self.hear)
            self.register_indicator_for_bars(self.own["bar_type"], Counting())
            self.subscribe_topic("other", self.hear)
            self.unsubscribe_topic("other", self.hear)
            assert self.indicators_initialized()

        def tick(self, _event: Any) -> None:
            calls.append("timer")
            self.publish_message("greeting", 1)
            self.publish_message("other", 1)

        def hear(self, _message: Any) -> None:
            calls.append("topic")

    source = kit.Source(Arranged, {"script": {}})
    run(random_market(12), source)
    assert Counter(calls) == {"indicator": 12, "timer": 2, "topic": 2}
    assert type(source.built[0]) is Arranged
    assert not [name for name in vars(source.built[0]) if name.startswith(("on_", "subscribe_", "register_"))]


@pytest.mark.parametrize(
    "name",
    [
        "subscribe_quotes",
        "subscribe_trades",
        "subscribe_book_deltas",
        "subscribe_book_depth",
        "subscribe_book_at_interval",
        "subscribe_mark_prices",
        "subscribe_index_prices",
        "subscribe_funding_rates",
        "subscribe_option_greeks",
        "subscribe_instrument_status",
        "subscribe_instrument_close",
        "register_indicator_for_quote_ticks",
    ],
)
def test_data_that_a_run_does_not_have_is_refused_by_naming_what_it_has(
    name: str, run: Callable[..., EngineOutput], random_market: Callable[..., Klines], kit: Any
) -> None:
    class Asking(kit.Scripted):
        def on_start(self) -> None:
            getattr(self, name)(self.own["instrument_id"])

    with pytest.raises(UsageError, match=f"cannot use {name}: .* BTCUSDT-PERP.BINANCE-1-MINUTE-LAST-EXTERNAL"):
        run(random_market(5), kit.Source(Asking, {"script": {}}))


@pytest.mark.parametrize(
    "other",
    [
        "BTCUSDT-PERP.BINANCE-5-MINUTE-LAST-EXTERNAL",
        "BTCUSDT-PERP.BINANCE-5-MINUTE-LAST-INTERNAL",
        "BTCUSDT-PERP.BINANCE-1-SECOND-LAST-EXTERNAL",
        "BTCUSDT-PERP.BINANCE-5-MINUTE-LAST-INTERNAL@1-SECOND-EXTERNAL",
        "ETHUSDT-PERP.BINANCE-1-MINUTE-LAST-EXTERNAL",
    ],
)
def test_bars_that_a_run_does_not_have_are_refused(
    other: str, run: Callable[..., EngineOutput], random_market: Callable[..., Klines], kit: Any
) -> None:
    class Asking(kit.Scripted):
        def on_start(self) -> None:
            self.subscribe_bars(BarType.from_str(other))

    with pytest.raises(UsageError, match=f"cannot subscribe to the bars {other}: a run has BTCUSDT"):
        run(random_market(5), kit.Source(Asking, {"script": {}}))


def test_longer_bars_made_of_the_runs_are_whole(
    run: Callable[..., EngineOutput], random_market: Callable[..., Klines], kit: Any
) -> None:
    class Two(kit.Scripted):
        def on_start(self) -> None:
            super().on_start()
            self.subscribe_bars(BarType.from_str("BTCUSDT-PERP.BINANCE-5-MINUTE-LAST-INTERNAL@1-MINUTE-EXTERNAL"))

    source = kit.Source(Two, {"script": {}})
    run(random_market(10), source)
    bars = source.built[0].bars
    # The sixth and the last, each after the fifth minute it is made of.
    minutes, longer = bars[:5], bars[5]
    assert [bar.bar_type.spec.step for bar in bars] == [1, 1, 1, 1, 1, 5, 1, 1, 1, 1, 1, 5]
    assert (longer.open, longer.close) == (minutes[0].open, minutes[4].close)
    assert (longer.high, longer.low) == (max(bar.high for bar in minutes), min(bar.low for bar in minutes))
    assert longer.ts_event == minutes[4].ts_event
