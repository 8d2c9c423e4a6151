"""Holds a position from the first bar on: put a rule of your own in its place."""
# pyright: reportUnknownMemberType=false
# Nautilus' stubs leave the dictionaries of its own methods untyped.

from dataclasses import dataclass

from nautilus_trader.model import Bar, BarType, InstrumentId, OrderSide
from nautilus_trader.trading import Strategy, StrategyConfig

from nt_run.strategies.sizer import Sizer


@dataclass(frozen=True, kw_only=True)
class TemplateConfig(StrategyConfig):
    """No parameter yet: each field below the runner's own is one."""

    # The runner fills these in; what follows are parameters: --param period=10.
    instrument_id: InstrumentId
    bar_type: BarType
    sizer: Sizer


class Template(Strategy):
    """Holds a position from the first bar on: put a rule of your own in its place."""

    def __init__(self, config: TemplateConfig) -> None:
        super().__init__(config)
        self.own = config

    def on_start(self) -> None:
        """Ask for the bars."""
        self.subscribe_bars(self.own.bar_type)

    def on_bar(self, bar: Bar) -> None:
        """Decide at the close of each bar: `bar.close.as_double()` is its price, `bar.ts_event` its time in ns."""
        flat = self.portfolio.is_net_flat(self.own.instrument_id)
        if flat:
            self.enter(bar)
        # To leave: self.close_all_positions(self.own.instrument_id)

    def enter(self, bar: Bar) -> None:
        """Buy at the market, as much as the sizing rules say: None is too little for the exchange."""
        if quantity := self.own.sizer.quantity(bar.close):
            self.submit_order(self.order_factory.market(self.own.instrument_id, OrderSide.BUY, quantity))
