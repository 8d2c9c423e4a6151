"""Long while the fast average is above the slow one, else flat."""
# pyright: reportUnknownMemberType=false
# Nautilus' stubs leave the dictionaries of its own methods untyped.

from dataclasses import dataclass

from nautilus_trader.indicators import ExponentialMovingAverage
from nautilus_trader.model import Bar, BarType, InstrumentId, OrderSide
from nautilus_trader.trading import Strategy, StrategyConfig

from nt_run.strategies.sizer import Sizer


@dataclass(frozen=True, kw_only=True)
class TemplateConfig(StrategyConfig):
    """Periods of the two averages, in bars."""

    # The runner fills these in; what follows are parameters: --param fast=5.
    instrument_id: InstrumentId
    bar_type: BarType
    sizer: Sizer
    fast: int = 20
    slow: int = 50


class Template(Strategy):
    """Long while the fast average is above the slow one, else flat."""

    def __init__(self, config: TemplateConfig) -> None:
        super().__init__(config)
        self.own = config
        self.fast = ExponentialMovingAverage(config.fast)
        self.slow = ExponentialMovingAverage(config.slow)

    def on_start(self) -> None:
        """Ask for the bars; the averages follow them."""
        self.register_indicator_for_bars(self.own.bar_type, self.fast)
        self.register_indicator_for_bars(self.own.bar_type, self.slow)
        self.subscribe_bars(self.own.bar_type)

    def plots(self) -> dict[str, dict[str, object]]:
        """Show both averages over the candles of the chart."""
        return {"price": {f"EMA {self.own.fast}": self.fast, f"EMA {self.own.slow}": self.slow}}

    def on_bar(self, bar: Bar) -> None:
        """Decide at the close of each bar; the averages hold it already."""
        if not self.indicators_initialized():
            return
        flat = self.portfolio.is_net_flat(self.own.instrument_id)
        if flat and self.fast.value > self.slow.value:
            self.enter(bar)
        elif not flat and self.fast.value < self.slow.value:
            self.close_all_positions(self.own.instrument_id)

    def enter(self, bar: Bar) -> None:
        """Buy at the market, as much as the sizing rules say: None is too little for the exchange."""
        if quantity := self.own.sizer.quantity(bar.close):
            self.submit_order(self.order_factory.market(self.own.instrument_id, OrderSide.BUY, quantity))
