"""Keeps what a strategy raises: the engine would log it and go on as if all were well.

The engine swallows every exception of a callback, Ctrl-C included. So each `on_*` a strategy overrides is wrapped: the
first exception is kept, the engine is asked to stop, and the caller raises it once the engine has returned.
"""

import signal
import threading
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any, cast

from nautilus_trader.model import Bar, BarType
from nautilus_trader.trading import Strategy

from nt_run.errors import NtRunError, StrategyError, UsageError

_UNDELIVERED = ("on_mark_price", "on_index_price")


class Guard:
    """Wraps one strategy. `bars_seen` counts the bars of `bar_type` its `on_bar` was given."""

    def __init__(self, bar_type: BarType, before_start: Callable[[Strategy], None]) -> None:
        self.error: BaseException | None = None
        self.bars_seen = 0
        self._bar_type = bar_type
        self._before_start = before_start
        self._one_type = True
        self._installed: list[str] = []

    def install(self, strategy: Strategy) -> None:
        """Wrap every callback the strategy's own classes define."""
        own = [cls for cls in type(strategy).__mro__ if issubclass(cls, Strategy) and cls is not Strategy]
        names = {name for cls in own for name in vars(cls) if name.startswith("on_")}
        for name in sorted(names | {"on_start"}):
            callback: Callable[..., object] = getattr(strategy, name)
            if name in _UNDELIVERED:
                callback = _refuse(name)
            if name == "on_start":
                callback = self._prepared(strategy, callback)
            wrap = self._wrap_bar if name == "on_bar" else self._wrap
            self._put(strategy, name, wrap(strategy, callback))
        self._put(strategy, "subscribe_bars", self._watched(strategy))

    def release(self, strategy: Strategy) -> None:
        """Undo `install`: without the circle of references the strategy is freed at once, on its own thread.

        The engine's objects must not be freed on another thread, which the garbage collector may well be on.
        """
        for name in self._installed:
            delattr(strategy, name)
        self._installed.clear()

    def raise_kept(self, name: str) -> None:
        """Raise what the strategy called `name` raised, if anything.

        Raises:
            NtRunError: Our own errors as they are.
            KeyboardInterrupt: Ctrl-C, as it is.
            StrategyError: Everything else, with the strategy's part of the traceback.
        """
        error, self.error = self.error, None
        if error is None:
            return
        if isinstance(error, NtRunError | KeyboardInterrupt):
            raise error
        raise strategy_error(name, error) from error

    @contextmanager
    def interruptible(self) -> Generator[None]:
        """Turn Ctrl-C into a kept error while the engine runs; a second one is raised on the spot.

        Python would raise it between two callbacks, where the engine swallows it.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def interrupt(_signal: int, _frame: FrameType | None) -> None:
            if self.error is not None:
                raise KeyboardInterrupt
            self.error = KeyboardInterrupt()

        previous = signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)

    def _wrap(self, strategy: Strategy, callback: Callable[..., object]) -> Callable[..., Any]:
        def guarded(*args: object) -> object:
            if self.error is None:
                try:
                    return callback(*args)
                except BaseException as exc:  # noqa: BLE001 - kept and raised again by raise_kept
                    self.error = exc
            strategy.shutdown_system("stopped")
            return None

        return guarded

    def _wrap_bar(self, strategy: Strategy, callback: Callable[[Bar], object]) -> Callable[[Bar], object]:
        """Do the same as `_wrap`, and count; a function of its own because it runs for every bar."""

        def guarded(bar: Bar) -> None:
            if self.error is None:
                try:
                    # Comparing types costs more than the rest, so only where a strategy subscribes to several.
                    if self._one_type or bar.bar_type == self._bar_type:
                        self.bars_seen += 1
                    callback(bar)
                except BaseException as exc:  # noqa: BLE001 - as in _wrap
                    self.error = exc
                else:
                    return
            strategy.shutdown_system("stopped")

        return guarded

    def _prepared(self, strategy: Strategy, callback: Callable[[], object]) -> Callable[[], object]:
        def on_start() -> object:
            self._before_start(strategy)
            return callback()

        return on_start

    def _watched(self, strategy: Strategy) -> Callable[..., None]:
        subscribe: Callable[..., None] = cast("Any", strategy).subscribe_bars

        def subscribe_bars(bar_type: BarType, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed through
            self._one_type = self._one_type and bar_type == self._bar_type
            subscribe(bar_type, *args, **kwargs)

        return subscribe_bars

    def _put(self, strategy: Strategy, name: str, value: object) -> None:
        setattr(strategy, name, value)
        self._installed.append(name)


def strategy_error(name: str, error: BaseException) -> StrategyError:
    """Return the error of a strategy with its traceback from the strategy's first frame on."""
    trace = traceback.TracebackException.from_exception(error)
    while trace.stack and trace.stack[0].filename == __file__:
        del trace.stack[0]
    return StrategyError(name, repr(error), "".join(trace.format()))


def _refuse(name: str) -> Callable[..., object]:
    def callback(*_args: object) -> object:
        raise UsageError(
            f"A strategy cannot use {name}: mark prices are given to the engine for funding only, a moment early. "
            "Read bars instead."
        )

    return callback
