"""Long while the fast average is above the slow one, short while it is below."""
# pyright: reportUnknownMemberType=false
# Nautilus' stubs leave the dictionaries of its own methods untyped.

from dataclasses import dataclass

from nautilus_trader.indicators import ExponentialMovingAverage
from nautilus_trader.model import Bar, BarType, InstrumentId, OrderSide, PositionClosed, PositionOpened, Price
from nautilus_trader.trading import Strategy, StrategyConfig

from nt_run.errors import UsageError
from nt_run.strategies.sizer import Sizer


@dataclass(frozen=True, kw_only=True)
class EmaCrossConfig(StrategyConfig):
    """Periods of the two exponential averages, in bars."""

    instrument_id: InstrumentId
    bar_type: BarType
    sizer: Sizer
    fast: int = 10
    slow: int = 21

    def __post_init__(self) -> None:
        """Refuse periods that make no cross."""
        if not 1 <= self.fast < self.slow <= 1_000_000:  # noqa: PLR2004 - two years of minutes
            raise UsageError(
                f"ema_cross needs 1 ≤ fast < slow ≤ 1,000,000, and got fast={self.fast}, slow={self.slow}."
            )


class EmaCross(Strategy):
    """Always in the market once both averages are warm; flips at the close of the bar that crossed.

    Where the sizing rules ask for a protective stop, it rests at the exchange; once it is hit, the strategy waits for
    the next cross.
    """

    def __init__(self, config: EmaCrossConfig) -> None:
        super().__init__(config)
        self.own = config
        self.fast = ExponentialMovingAverage(config.fast)
        self.slow = ExponentialMovingAverage(config.slow)
        self.side: OrderSide | None = None
        self.crossed: Bar | None = None
        self.protection: Price | None = None

    def on_start(self) -> None:
        """Let the averages follow the bars, and ask for the bars."""
        self.register_indicator_for_bars(self.own.bar_type, self.fast)
        self.register_indicator_for_bars(self.own.bar_type, self.slow)
        self.subscribe_bars(self.own.bar_type)

    def on_bar(self, bar: Bar) -> None:
        """Flip if the averages have crossed."""
        if not self.indicators_initialized():
            return
        side = OrderSide.BUY if self.fast.value >= self.slow.value else OrderSide.SELL
        if side == self.side:
            return
        self.side = side
        self.crossed = bar
        if self.portfolio.is_net_flat(self.own.instrument_id):
            self.enter(bar, side)
        else:
            self.cancel_all_orders(self.own.instrument_id)
            self.close_all_positions(self.own.instrument_id)

    def on_position_closed(self, event: PositionClosed) -> None:  # noqa: ARG002 - any close will do
        """Enter the other side once the old position has given its margin back; a stop waits for the next cross."""
        if self.crossed is not None and self.side is not None:
            self.enter(self.crossed, self.side)

    def enter(self, bar: Bar, side: OrderSide) -> None:
        """Open a position; the sizing rules say how large, and where its stop goes."""
        self.crossed = None
        self.protection = self.own.sizer.stop_price(side, bar.close)
        quantity = self.own.sizer.quantity(bar.close, self.protection)
        if quantity is not None:
            self.submit_order(self.order_factory.market(self.own.instrument_id, side, quantity))

    def on_position_opened(self, event: PositionOpened) -> None:
        """Rest the stop at the exchange."""
        if self.protection is not None:
            away = OrderSide.SELL if event.entry == OrderSide.BUY else OrderSide.BUY
            self.submit_order(
                self.order_factory.stop_market(
                    event.instrument_id, away, event.quantity, self.protection, reduce_only=True
                )
            )
