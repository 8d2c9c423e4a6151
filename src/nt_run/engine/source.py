"""A strategy as a run gets it: ready to be built, with the fields of its configuration that the runner fills in."""

from collections.abc import Mapping
from typing import Protocol

from nautilus_trader.model import BarType, CryptoPerpetual
from nautilus_trader.trading import Strategy

from nt_run.engine.guard import strategy_error
from nt_run.engine.sizer import EntrySizer
from nt_run.errors import NtRunError, UsageError
from nt_run.klines import Klines
from nt_run.sizing import Method


class StrategySource(Protocol):
    """A strategy ready to be built, however it was found; `accepts` names the fields of its configuration."""

    @property
    def name(self) -> str:
        """What the user calls it."""
        ...

    @property
    def accepts(self) -> frozenset[str]:
        """Fields of its configuration, the runner's included."""
        ...

    def build(self, fields: Mapping[str, object]) -> Strategy:
        """Return a new instance."""
        ...


def build_strategy(
    source: StrategySource,
    params: Mapping[str, object],
    history: Klines,
    method: Method,
    sizer: EntrySizer,
    instrument: CryptoPerpetual,
    bar_type: BarType,
) -> Strategy:
    """Return the strategy with its own parameters and those of the runner's fields that it has.

    Raises:
        UsageError: It does not size its entries, and the sizing method needs that.
        StrategyError: Its constructor raised.
    """
    accepts = source.accepts
    if method != "notional" and "sizer" not in accepts:
        raise UsageError(
            f"Strategy {source.name} cannot be sized by {method!r}: its configuration has no field "
            "'sizer'. Use --sizing notional, or let it ask a sizer for stop and quantity."
        )
    offered: dict[str, object] = {"instrument_id": instrument.id, "bar_type": bar_type, "sizer": sizer}
    if "trade_size" in accepts:
        offered["trade_size"] = sizer.trade_size()
    if "history" in accepts:
        offered["history"] = history.floats()
    fields = {name: value for name, value in offered.items() if name in accepts}
    try:
        return source.build({**params, **fields})
    except NtRunError:
        raise
    except Exception as exc:  # noqa: BLE001 - raised again as ours
        raise strategy_error(source.name, exc) from exc.with_traceback(None)
