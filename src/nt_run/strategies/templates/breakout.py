"""Long above the channel of the bars before, out below its middle."""
# pyright: reportUnknownMemberType=false
# Nautilus' stubs leave the dictionaries of its own methods untyped.

from dataclasses import dataclass

from nautilus_trader.indicators import DonchianChannel
from nautilus_trader.model import Bar, BarType, InstrumentId, OrderSide
from nautilus_trader.trading import Strategy, StrategyConfig

from nt_run.strategies.sizer import Sizer


@dataclass(frozen=True, kw_only=True)
class TemplateConfig(StrategyConfig):
    """Period of the channel, in bars."""

    # The runner fills these in; what follows are parameters: --param period=50.
    instrument_id: InstrumentId
    bar_type: BarType
    sizer: Sizer
    period: int = 20


class Template(Strategy):
    """Long above the channel of the bars before, out below its middle."""

    def __init__(self, config: TemplateConfig) -> None:
        super().__init__(config)
        self.own = config
        self.channel = DonchianChannel(config.period)
        self.upper: float | None = None
        self.middle: float | None = None

    def on_start(self) -> None:
        """Ask for the bars."""
        self.subscribe_bars(self.own.bar_type)

    def plots(self) -> dict[str, dict[str, object]]:
        """Show what closes were compared with over the candles of the chart."""
        return {"price": {"upper": lambda: self.upper, "middle": lambda: self.middle}}

    def on_bar(self, bar: Bar) -> None:
        """Decide at the close of each bar, then let the channel take it in: no close could leave one that holds it."""
        if self.channel.initialized:
            self.upper, self.middle = self.channel.upper, self.channel.middle
            flat = self.portfolio.is_net_flat(self.own.instrument_id)
            close = bar.close.as_double()
            if flat and close > self.upper:
                self.enter(bar)
            elif not flat and close < self.middle:
                self.close_all_positions(self.own.instrument_id)
        self.channel.handle_bar(bar)

    def enter(self, bar: Bar) -> None:
        """Buy at the market, as much as the sizing rules say: None is too little for the exchange."""
        if quantity := self.own.sizer.quantity(bar.close):
            self.submit_order(self.order_factory.market(self.own.instrument_id, OrderSide.BUY, quantity))
