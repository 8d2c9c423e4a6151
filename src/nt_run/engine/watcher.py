"""An actor beside the strategy: woken at set times, and shown the bars orders are matched on while it watches."""

from collections.abc import Callable
from typing import Any, cast

from nautilus_trader.common import DataActor
from nautilus_trader.model import Bar, BarType


class Watcher(DataActor):
    """An actor beside the strategy, which does not see the bars of `bar_type`.

    While it watches, they go to `look`, each once the engine has matched it and before the strategy gets its own.
    `begin` is called as the run begins, `wake` at each time of `wake_at`.
    """

    def __init__(self, config: object = None) -> None:
        super().__init__(config)
        self.bar_type: BarType | None = None
        self.begin: Callable[[], object] | None = None
        self.look: Callable[[Bar], object] | None = None
        self.wake: Callable[[], object] | None = None
        self._watches = False

    def watch(self, *, on: bool) -> None:
        """Begin to watch, or end it; a bar that is being matched is the first to be seen."""
        if on == self._watches:
            return
        self._watches = on
        if on:
            cast("Any", self).subscribe_bars(self.bar_type)
        else:
            cast("Any", self).unsubscribe_bars(self.bar_type)

    def wake_at(self, time_ns: int) -> None:
        """Ask to be woken before anything that happens after `time_ns`."""
        self.clock.set_time_alert_ns(f"wake {time_ns}", time_ns, self._woken)

    def release(self) -> None:
        """Let go of whoever is called."""
        self.begin = self.look = self.wake = None

    def on_start(self) -> None:
        """Say that the run begins."""
        if self.begin is not None:
            self.begin()

    def on_bar(self, bar: Bar) -> None:
        """Hand the bar on."""
        if self.look is not None:
            self.look(bar)

    def _woken(self, _event: object) -> None:
        if self.wake is not None:
            self.wake()
