"""What a strategy may reach while it runs: its clock with guarded callbacks, and the data that a run has.

A strategy's clock and its subscriptions are attributes of its class that no instance can replace, so the strategy is
given a subclass of its own for the time of the run.
"""

from collections.abc import Callable
from typing import Any, cast

from nautilus_trader.common import Clock
from nautilus_trader.model import BarType
from nautilus_trader.trading import Strategy

from nt_run.errors import UsageError

type Wrap = Callable[[Callable[..., object]], Callable[..., object]]
"""Returns a callback whose exception is kept."""

_DELIVERED = frozenset({"subscribe_bars", "subscribe_instrument", "subscribe_instruments"})
_OWN_MESSAGES = frozenset({"subscribe_data", "subscribe_signal", "subscribe_topic"})
"""What a strategy publishes itself reaches it."""
_FED_BY_TICKS = ("register_indicator_for_quote_ticks", "register_indicator_for_trade_ticks")
_TAKES_CALLBACKS = ("set_time", "register_default")


type Handlers = dict[Callable[..., object], Callable[..., object]]
"""The strategy's handlers of topics, and what was handed to the engine in their place."""


def narrowed(cls: type[Strategy], bar_type: BarType, wrap: Wrap, handlers: Handlers) -> type[Strategy]:
    """Return a subclass of `cls`, of the same name, whose instances are told what a run does not have.

    Args:
        cls: The strategy's class.
        bar_type: The bars of the run, the one kind of market data there is.
        wrap: Guards each callback the strategy hands over: to its clock, or for a topic.
        handlers: Where the handlers of topics are kept. A class is freed by the garbage collector only, on whatever
            thread, so it must not hold the strategy itself.
    """

    def clock(strategy: Strategy) -> object:
        return _GuardedClock(cast("Any", super(made, strategy)).clock, wrap)

    def subscribe_bars(strategy: Strategy, asked: BarType, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        if asked != bar_type and not (asked.is_composite() and asked.composite() == bar_type):
            raise UsageError(_no_such_bars(asked, bar_type))
        cast("Any", super(made, strategy)).subscribe_bars(asked, *args, **kwargs)

    def subscribe_topic(strategy: Strategy, topic: str, handler: Callable[..., object], priority: int = 0) -> None:
        cast("Any", super(made, strategy)).subscribe_topic(topic, handlers.setdefault(handler, wrap(handler)), priority)

    def unsubscribe_topic(strategy: Strategy, topic: str, handler: Callable[..., object]) -> None:
        cast("Any", super(made, strategy)).unsubscribe_topic(topic, handlers.get(handler, handler))

    absent = {name for name in dir(Strategy) if name.startswith("subscribe_")} - _DELIVERED - _OWN_MESSAGES
    space: dict[str, object] = {name: _refuse(name, bar_type) for name in (*absent, *_FED_BY_TICKS)}
    for method in (subscribe_bars, subscribe_topic, unsubscribe_topic):
        space[method.__name__] = method
    space |= {"clock": property(clock), "__slots__": (), "__module__": cls.__module__, "__doc__": cls.__doc__}
    make = cast("Callable[..., type[Strategy]]", type(cls))
    made = make(cls.__name__, (cls,), space)
    return made


class _GuardedClock:
    """The engine's clock; the callbacks of its timers and alerts are guarded."""

    def __init__(self, clock: Clock, wrap: Wrap) -> None:
        self._clock = clock
        self._wrap = wrap

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the clock's own attribute
        found = getattr(self._clock, name)
        return self._guarded(found) if name.startswith(_TAKES_CALLBACKS) else found

    def _guarded(self, method: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            return method(*map(self._safe, args), **{name: self._safe(value) for name, value in kwargs.items()})

        return call

    def _safe(self, value: object) -> object:
        return self._wrap(value) if callable(value) else value


def _refuse(name: str, bar_type: BarType) -> Callable[..., object]:
    def refused(*_args: object, **_kwargs: object) -> object:
        raise UsageError(
            f"A strategy cannot use {name}: the only market data of a run are its bars, {bar_type}. Use subscribe_bars."
        )

    return refused


def _no_such_bars(asked: BarType, bar_type: BarType) -> str:
    name = str(bar_type.instrument_id)
    longer = f"{name}-1-DAY-LAST-INTERNAL@{str(bar_type).removeprefix(f'{name}-').replace('-LAST', '')}"
    return (
        f"A strategy cannot subscribe to the bars {asked}: a run has {bar_type}, and longer ones of these ({longer})."
    )
