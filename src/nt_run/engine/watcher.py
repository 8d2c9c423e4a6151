"""An actor that watches the bars orders are matched on, beside the strategy, which does not see them."""

from collections.abc import Callable
from typing import Any, cast

from nautilus_trader.common import DataActor
from nautilus_trader.model import Bar, BarType


class Watcher(DataActor):
    """An actor beside the strategy; the bars of `bar_type` go to `look`, once the engine has matched them."""

    def __init__(self, config: object = None) -> None:
        super().__init__(config)
        self.bar_type: BarType | None = None
        self.look: Callable[[Bar], object] | None = None

    def on_start(self) -> None:
        """Ask for the bars."""
        cast("Any", self).subscribe_bars(self.bar_type)

    def on_bar(self, bar: Bar) -> None:
        """Hand the bar on."""
        if self.look is not None:
            self.look(bar)
