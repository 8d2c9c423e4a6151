import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest
from nautilus_trader.model import BarType

from nt_run.engine.run import EngineOutput
from nt_run.errors import SizingError, StrategyError, UsageError
from nt_run.klines import Klines


def boom(*_args: Any) -> None:
    raise ValueError("planted")


@pytest.mark.parametrize("name", ["on_start", "on_bar", "on_order_filled", "on_position_opened", "on_stop"])
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


def test_mark_prices_are_refused_to_strategies(
    run: Callable[..., EngineOutput], random_market: Callable[..., Klines], kit: Any
) -> None:
    class Peeking(kit.Scripted):
        def on_start(self) -> None:
            super().on_start()
            self.subscribe_mark_prices(self.own["instrument_id"])

        def on_mark_price(self, _mark: Any) -> None: ...

    with pytest.raises(UsageError, match="on_mark_price"):
        run(random_market(120), kit.Source(Peeking, {"script": {}}), funding=[kit.rate("0.0001", "40000")])
