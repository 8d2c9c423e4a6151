"""Keeps what a strategy raises: the engine would log it and go on as if all were well.

The engine swallows every exception of a callback, Ctrl-C included. So whatever of a strategy is called back is wrapped:
its `on_*`, the callbacks of its timers and topics, its own indicators. The first exception is kept, the engine is asked
to stop, and the caller raises it once the engine has returned.
"""

import signal
import sys
import threading
import traceback
import types
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, cast

from nautilus_trader.model import Bar, BarType
from nautilus_trader.trading import Strategy

from nt_run.engine import plots
from nt_run.engine.plots import PlotRecorder, make_recorder
from nt_run.engine.reach import Handlers, narrowed
from nt_run.errors import NtRunError, StrategyError, UsageError
from nt_run.model import Plots

_OTHER_CALLBACKS = ("post_market_exit",)
_ABSENT: Any = object()
_OURS = (__file__, plots.__file__)
"""Files whose frames stand between the engine and the strategy."""

type Before = Mapping[str, Callable[..., None]]
"""By the name of a callback: what is called with the strategy and the callback's arguments ahead of it."""


class Guard:
    """Wraps one strategy. `bars_seen` counts the bars of `bar_type` its `on_bar` was given."""

    def __init__(self, bar_type: BarType, before: Before) -> None:
        self.error: BaseException | None = None
        self.bars_seen = 0
        self._bar_type = bar_type
        self._before: Before = before
        self._recorder: PlotRecorder | None = None
        self._one_type = True
        self._strategy: Strategy | None = None
        self._cls: type[Strategy] | None = None
        self._handlers: Handlers = {}
        self._put_in: list[tuple[Any, str, object, object]] = []
        """(object, attribute, what it had of its own, what it was given)."""

    def install(self, strategy: Strategy) -> None:
        """Wrap every callback that is not the engine's own empty one."""
        self._strategy, self._cls, self._recorder = strategy, type(strategy), make_recorder(strategy)
        strategy.__class__ = narrowed(self._cls, self._bar_type, self.wrap, self._handlers)
        watched = {"on_start"} if self._recorder is None else {"on_start", "on_bar"}
        for name in _callbacks(strategy) | self._before.keys() | watched:
            self._guard(strategy, name)
        self._put(strategy, "subscribe_bars", self._watched(strategy))
        self._put(strategy, "register_indicator_for_bars", self._registered(strategy))

    def release(self, strategy: Strategy) -> None:
        """Undo `install`: without the circle of references the strategy is freed at once, on its own thread.

        The engine's objects must not be freed on another thread, which the garbage collector may well be on.
        """
        for target, name, own, _ in reversed(self._put_in):
            if own is _ABSENT:
                delattr(target, name)
            else:
                setattr(target, name, own)
        self._put_in.clear()
        if self._cls is not None:
            strategy.__class__ = self._cls
        self._strategy, self._before, self._recorder = None, {}, None
        self._handlers.clear()

    def plots(self) -> Plots | None:
        """Return what the strategy published bar by bar, if anything."""
        return None if self._recorder is None else self._recorder.taken()

    def check_callbacks(self) -> None:
        """Keep an error if the strategy has set a callback while it ran, where its exceptions would be lost."""
        if self._strategy is not None and self.error is None and (names := self._unguarded(self._strategy)):
            self.error = UsageError(
                f"The strategy sets {names[0]} while it runs, where its exceptions would be lost. Set it in __init__ "
                f"or on_start, or let {names[0]} call what changes."
            )

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
        kept = strategy_error(name, error)
        # Its text is kept; its frames hold the strategy, which must be freed here and not wherever the error ends.
        raise kept from error.with_traceback(None)

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
            print("\nStopping after this bar; Ctrl-C again stops at once.", file=sys.stderr)  # noqa: T201 - or silence

        previous = signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)

    def wrap(self, callback: Callable[..., object]) -> Callable[..., Any]:
        """Return a callback whose first exception is kept, and that does nothing once there is one."""

        def guarded(*args: object) -> object:
            if self.error is None:
                try:
                    return callback(*args)
                except BaseException as exc:  # noqa: BLE001 - kept and raised again by raise_kept
                    self.error = exc
            self._stop()
            return None

        return guarded

    def _wrap_bar(self, callback: Callable[[Bar], object]) -> Callable[[Bar], object]:
        """Do the same as `wrap`, and count; a function of its own because it runs for every bar."""

        def guarded(bar: Bar) -> None:
            if self.error is None:
                try:
                    # Comparing types costs more than the rest, so only where a strategy subscribes to several.
                    if self._one_type or bar.bar_type == self._bar_type:
                        self.bars_seen += 1
                    callback(bar)
                except BaseException as exc:  # noqa: BLE001 - as in wrap
                    self.error = exc
                else:
                    return
            self._stop()

        return guarded

    def _stop(self) -> None:
        if self._strategy is not None:
            self._strategy.shutdown_system("stopped")

    def _guard(self, strategy: Strategy, name: str) -> None:
        callback: Callable[..., object] = getattr(strategy, name)
        if name in self._before:
            callback = _preceded(self._before[name], strategy, callback)
        if name == "on_start":
            callback = self._followed(strategy, callback)
        if name == "on_bar" and self._recorder is not None:
            callback = self._recorded(callback, self._recorder)
        wrap = self._wrap_bar if name == "on_bar" else self.wrap
        self._put(strategy, name, wrap(callback))

    def _followed(self, strategy: Strategy, on_start: Callable[[], object]) -> Callable[[], object]:
        def start_and_look() -> None:
            on_start()
            # A strategy may choose its callbacks as it starts.
            for name in self._unguarded(strategy):
                self._guard(strategy, name)
            if self._recorder is not None:
                self._recorder.start(strategy)

        return start_and_look

    def _recorded(self, on_bar: Callable[[Bar], object], recorder: PlotRecorder) -> Callable[[Bar], object]:
        def decide_and_record(bar: Bar) -> None:
            on_bar(bar)
            if self._one_type or bar.bar_type == self._bar_type:
                recorder.take(bar)

        return decide_and_record

    def _unguarded(self, strategy: Strategy) -> list[str]:
        ours = {name: value for target, name, _, value in self._put_in if target is strategy}
        return [
            name
            for name, value in vars(strategy).items()
            if name.startswith("on_") and callable(value) and value is not ours.get(name)
        ]

    def _watched(self, strategy: Strategy) -> Callable[..., None]:
        subscribe: Callable[..., None] = cast("Any", strategy).subscribe_bars

        def subscribe_bars(bar_type: BarType, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed through
            self._one_type = self._one_type and bar_type == self._bar_type
            subscribe(bar_type, *args, **kwargs)

        return subscribe_bars

    def _registered(self, strategy: Strategy) -> Callable[..., None]:
        register: Callable[..., None] = cast("Any", strategy).register_indicator_for_bars

        def register_indicator_for_bars(bar_type: BarType, indicator: Any) -> None:  # noqa: ANN401 - passed through
            # The engine's own indicators take no attributes, and raise nothing.
            if not isinstance(getattr(cast("Any", type(indicator)), "handle_bar", None), types.MethodDescriptorType):
                self._put(indicator, "handle_bar", self.wrap(indicator.handle_bar))
            register(bar_type, indicator)

        return register_indicator_for_bars

    def _put(self, target: Any, name: str, value: object) -> None:  # noqa: ANN401 - strategies and indicators
        if not hasattr(target, "__dict__"):
            what = type(target).__name__
            raise UsageError(f"{what}.{name} cannot be watched for exceptions: take __slots__ out of {what}.")
        own = cast("dict[str, object]", vars(target))
        self._put_in.append((target, name, own.get(name, _ABSENT), value))
        setattr(target, name, value)


def _callbacks(strategy: Strategy) -> set[str]:
    """Return the names of the callbacks a strategy has, from its classes, their mixins, or set in its constructor."""
    names = {name for name in dir(strategy) if name.startswith("on_") or name in _OTHER_CALLBACKS}
    cls, base = cast("Any", type(strategy)), cast("Any", Strategy)
    return {
        name for name in names if name in vars(strategy) or getattr(cls, name, None) is not getattr(base, name, None)
    }


def together(*befores: Before) -> Before:
    """Return several such mappings as one; what shares a callback is called in turn."""
    joined: dict[str, Callable[..., None]] = {}
    for before in befores:
        for name, first in before.items():
            joined[name] = _both(joined[name], first) if name in joined else first
    return joined


def _both(first: Callable[..., None], second: Callable[..., None]) -> Callable[..., None]:
    def both(*args: object) -> None:
        first(*args)
        second(*args)

    return both


def _preceded(first: Callable[..., None], strategy: Strategy, callback: Callable[..., object]) -> Callable[..., object]:
    def both(*args: object) -> object:
        first(strategy, *args)
        return callback(*args)

    return both


def strategy_error(name: str, error: BaseException) -> StrategyError:
    """Return the error of a strategy with its traceback from the strategy's first frame on."""
    trace = traceback.TracebackException.from_exception(error)
    while trace.stack and trace.stack[0].filename in _OURS:
        del trace.stack[0]
    return StrategyError(name, repr(error), "".join(trace.format()))
