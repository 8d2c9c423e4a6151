"""Long when the RSI is low, out when it has come back."""
# pyright: reportUnknownMemberType=false
# Nautilus' stubs leave the dictionaries of its own methods untyped.

from dataclasses import dataclass

from nautilus_trader.indicators import MovingAverageType, RelativeStrengthIndex
from nautilus_trader.model import Bar, BarType, InstrumentId, OrderSide
from nautilus_trader.trading import Strategy, StrategyConfig

from nt_run.strategies.sizer import Sizer


@dataclass(frozen=True, kw_only=True)
class TemplateConfig(StrategyConfig):
    """Period in bars; the RSI to buy below and to sell above, from 0 to 100."""

    # The runner fills these in; what follows are parameters: --param low=25.
    instrument_id: InstrumentId
    bar_type: BarType
    sizer: Sizer
    period: int = 14
    low: float = 30.0
    back: float = 50.0


class Template(Strategy):
    """Long when the RSI is low, out when it has come back."""

    def __init__(self, config: TemplateConfig) -> None:
        super().__init__(config)
        self.own = config
        self.rsi = RelativeStrengthIndex(config.period, MovingAverageType.Wilder)

    def on_start(self) -> None:
        """Ask for the bars; the RSI follows them."""
        self.register_indicator_for_bars(self.own.bar_type, self.rsi)
        self.subscribe_bars(self.own.bar_type)

    def plots(self) -> dict[str, dict[str, object]]:
        """Show the RSI and its levels in a pane below the candles of the chart."""
        return {"RSI": {f"RSI {self.own.period}": self.rsi, "low": self.own.low, "back": self.own.back}}

    def on_bar(self, bar: Bar) -> None:
        """Decide at the close of each bar; the RSI holds it already."""
        if not self.indicators_initialized():
            return
        flat = self.portfolio.is_net_flat(self.own.instrument_id)
        if flat and self.rsi.value < self.own.low:
            self.enter(bar)
        elif not flat and self.rsi.value > self.own.back:
            self.close_all_positions(self.own.instrument_id)

    def enter(self, bar: Bar) -> None:
        """Buy at the market, as much as the sizing rules say: None is too little for the exchange."""
        if quantity := self.own.sizer.quantity(bar.close):
            self.submit_order(self.order_factory.market(self.own.instrument_id, OrderSide.BUY, quantity))
