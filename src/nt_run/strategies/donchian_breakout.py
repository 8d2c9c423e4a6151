"""Follows a breakout: into the market at the highest high or lowest low of the last bars."""
# pyright: reportUnknownMemberType=false
# Nautilus' stubs leave the dictionaries of its own methods untyped.

from dataclasses import dataclass
from typing import Any

from nautilus_trader.indicators import DonchianChannel
from nautilus_trader.model import Bar, BarType, InstrumentId, OrderSide, Price
from nautilus_trader.trading import Strategy, StrategyConfig

from nt_run.errors import UsageError
from nt_run.strategies.sizer import Sizer


@dataclass(frozen=True, kw_only=True)
class DonchianBreakoutConfig(StrategyConfig):
    """Period of the channel in bars; stop and target as fractions of the entry price."""

    instrument_id: InstrumentId
    bar_type: BarType
    sizer: Sizer
    period: int = 20
    stop: float = 0.01
    target: float = 0.02

    def __post_init__(self) -> None:
        """Refuse values with which nothing could be traded; the target of a short lies above zero, too."""
        if not 1 <= self.period <= 1_000_000:  # noqa: PLR2004 - two years of minutes
            raise UsageError(f"donchian_breakout needs a period of 1 to 1,000,000 bars, and got period={self.period}.")
        if not (0 < self.stop < 1 and 0 < self.target < 1):
            raise UsageError(
                "donchian_breakout needs 0 < stop < 1 and 0 < target < 1, fractions of the entry price, and got "
                f"stop={self.stop}, target={self.target}."
            )


class DonchianBreakout(Strategy):
    """Long above the channel of the bars before, short below it; out at the stop or at the target.

    Where the sizing rules ask for a stop of their own, it takes the place of the parameter.
    """

    def __init__(self, config: DonchianBreakoutConfig) -> None:
        super().__init__(config)
        self.own = config
        self.channel = DonchianChannel(config.period)
        self.upper: float | None = None
        self.lower: float | None = None

    def on_start(self) -> None:
        """Ask for the bars."""
        self.subscribe_bars(self.own.bar_type)

    def plots(self) -> dict[str, dict[str, object]]:
        """Publish, for charts, the channel each close was compared with."""
        return {"price": {"upper": lambda: self.upper, "lower": lambda: self.lower}}

    def on_bar(self, bar: Bar) -> None:
        """Enter when the close leaves the channel, then let the channel take in the bar."""
        # Fed by hand: a registered channel would hold this bar already, and no close could leave it.
        if self.channel.initialized:
            self.upper, self.lower = self.channel.upper, self.channel.lower
            if self.portfolio.is_net_flat(self.own.instrument_id):
                close = bar.close.as_double()
                if close > self.upper:
                    self.enter(bar, OrderSide.BUY, 1)
                elif close < self.lower:
                    self.enter(bar, OrderSide.SELL, -1)
        self.channel.handle_bar(bar)

    def enter(self, bar: Bar, side: OrderSide, sign: int) -> None:
        """Enter with stop and target attached; when one fills, the other is cancelled."""
        close = bar.close.as_double()
        stop = self.own.sizer.stop_price(side, bar.close)
        stop = stop or self.at_tick(close * (1 - sign * self.own.stop))
        quantity = self.own.sizer.quantity(bar.close, stop)
        if quantity is not None:
            self.submit_order_list(
                self.order_factory.bracket(
                    instrument_id=self.own.instrument_id,
                    order_side=side,
                    quantity=quantity,
                    sl_trigger_price=stop,
                    tp_price=self.at_tick(close * (1 + sign * self.own.target)),
                )
            )

    def at_tick(self, value: float) -> Price:
        """Return the price at or next below `value` that is a multiple of the tick size."""
        instrument: Any = self.cache.instrument(self.own.instrument_id)
        return instrument.next_bid_price(value)
