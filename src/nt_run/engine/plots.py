"""Records what a strategy publishes of its indicators, bar by bar, for charts.

A strategy may have a method `plots`, asked once after `on_start`. It returns panes by name, each with its lines by
name: `"price"` is drawn over the candles, every other pane is one of its own. A line comes from an indicator (its
`value`, once it is `initialized`), from a callable that takes nothing and returns a number or `None`, or is a number,
which is a level.
"""

import math
from array import array
from collections.abc import Callable, Mapping
from typing import Any, cast

from nautilus_trader.model import Bar
from nautilus_trader.trading import Strategy

from nt_run.errors import UsageError
from nt_run.model import PlotLine, Plots

_UNKNOWN = math.nan
_FORM = 'such as {"price": {"average": self.average}, "RSI": {"RSI": self.rsi, "low": 30}}'

type Read = Callable[[], float | None]


class PlotRecorder:
    """Keeps a value per line and bar that the strategy was given; `taken` ends with what was recorded."""

    def __init__(self) -> None:
        self._times = array("q")
        self._lines: list[tuple[str, str, Read | float, array[float]]] = []
        self._feeds: list[tuple[str, Read, Callable[[float], None]]] = []

    def start(self, strategy: Strategy) -> None:
        """Ask the strategy what it publishes.

        Raises:
            UsageError: It is not a mapping of panes to mappings of lines, or a line comes from nothing that is known.
        """
        for pane, lines in _entries("plots()", cast("Any", strategy).plots()):
            for name, source in _entries(f"plots()[{pane!r}]", lines):
                values = array("d")
                what = f"{pane}/{name}"
                read = _reader(what, source)
                self._lines.append((pane, name, read, values))
                if callable(read):
                    self._feeds.append((what, read, values.append))

    def take(self, bar: Bar) -> None:
        """Record every line at a bar the strategy has just decided on."""
        self._times.append(bar.ts_event)
        for what, read, append in self._feeds:
            value = read()
            try:
                append(_UNKNOWN if value is None else value)
            except TypeError:
                raise TypeError(f"plots() draws {what} from {value!r}, which is no number") from None

    def taken(self) -> Plots | None:
        """Return what was recorded; `None` if the strategy publishes no line."""
        if not self._lines:
            return None
        count = len(self._times)
        lines = [
            PlotLine(pane, name, values if callable(read) else array("d", [read]) * count)
            for pane, name, read, values in self._lines
        ]
        return Plots(self._times, lines)


def make_recorder(strategy: Strategy) -> PlotRecorder | None:
    """Return what records a strategy's lines; `None` where it has none to publish, so that no bar costs anything."""
    return PlotRecorder() if callable(getattr(strategy, "plots", None)) else None


def _entries(what: str, table: object) -> list[tuple[str, Any]]:
    if not isinstance(table, Mapping):
        raise UsageError(f"The strategy's {what} must be a mapping, {_FORM}, and is {table!r}.")
    found = cast("Mapping[object, Any]", table)
    for name in found:
        # Panes and lines are columns `pane/line` of the run's folder.
        if not isinstance(name, str) or not name.strip() or "/" in name:
            raise UsageError(f"The strategy's {what} has the name {name!r}. Names are texts without '/', {_FORM}.")
    return [(cast("str", name), value) for name, value in found.items()]


def _reader(what: str, source: Any) -> Read | float:  # noqa: ANN401 - anything a strategy returns
    if isinstance(source, int | float):
        return float(source)
    if hasattr(source, "value") and hasattr(source, "initialized"):
        return lambda: source.value if source.initialized else None
    if callable(source):
        return cast("Read", source)
    raise UsageError(
        f"The strategy's plots() draws {what} from {source!r}, which is no indicator with `value` and `initialized`, "
        "no callable and no number."
    )
