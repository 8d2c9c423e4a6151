"""Buys weakness: long when the RSI is low, out when it is high, at the target or at the stop."""
# pyright: reportUnknownMemberType=false
# Nautilus' stubs leave the dictionaries of its own methods untyped.

from dataclasses import dataclass
from typing import Any

from nautilus_trader.indicators import MovingAverageType, RelativeStrengthIndex
from nautilus_trader.model import Bar, BarType, InstrumentId, OrderSide, Price
from nautilus_trader.trading import Strategy, StrategyConfig

from nt_run.errors import UsageError
from nt_run.strategies.sizer import Sizer


@dataclass(frozen=True, kw_only=True)
class RsiReversionConfig(StrategyConfig):
    """Period in bars, thresholds from 0 to 100; stop and target as fractions of the entry price."""

    instrument_id: InstrumentId
    bar_type: BarType
    sizer: Sizer
    period: int = 14
    low: float = 30.0
    high: float = 70.0
    stop: float = 0.10
    target: float = 0.02

    def __post_init__(self) -> None:
        """Refuse values with which nothing could be traded."""
        if not 1 <= self.period <= 1_000_000:  # noqa: PLR2004 - two years of minutes
            raise UsageError(f"rsi_reversion needs a period of 1 to 1,000,000 bars, and got period={self.period}.")
        if not 0 <= self.low < self.high <= 100:  # noqa: PLR2004 - the range of the RSI
            raise UsageError(f"rsi_reversion needs 0 ≤ low < high ≤ 100, and got low={self.low}, high={self.high}.")
        if not (0 < self.stop < 1 and 0 < self.target < float("inf")):
            raise UsageError(
                "rsi_reversion needs 0 < stop < 1 and target > 0, fractions of the entry price, and got "
                f"stop={self.stop}, target={self.target}."
            )


class RsiReversion(Strategy):
    """Long only. Stop and target rest at the exchange as a pair: when one fills, the other is cancelled.

    Where the sizing rules ask for a stop of their own, it takes the place of the parameter.
    """

    def __init__(self, config: RsiReversionConfig) -> None:
        super().__init__(config)
        self.own = config
        self.rsi = RelativeStrengthIndex(config.period, MovingAverageType.Wilder)

    def on_start(self) -> None:
        """Let the RSI follow the bars, and ask for the bars."""
        self.register_indicator_for_bars(self.own.bar_type, self.rsi)
        self.subscribe_bars(self.own.bar_type)

    def plots(self) -> dict[str, dict[str, object]]:
        """Publish the RSI between its thresholds for charts."""
        return {"RSI": {f"RSI {self.own.period}": self.rsi, "low": self.own.low, "high": self.own.high}}

    def on_bar(self, bar: Bar) -> None:
        """Enter or leave at the close of the bar that crossed a threshold."""
        if not self.indicators_initialized():
            return
        flat = self.portfolio.is_net_flat(self.own.instrument_id)
        if flat and self.rsi.value < self.own.low:
            self.enter(bar)
        elif not flat and self.rsi.value > self.own.high:
            self.cancel_all_orders(self.own.instrument_id)
            self.close_all_positions(self.own.instrument_id)

    def enter(self, bar: Bar) -> None:
        """Buy, with stop and target attached."""
        close = bar.close.as_double()
        stop = self.own.sizer.stop_price(OrderSide.BUY, bar.close) or self.at_tick(close * (1 - self.own.stop))
        quantity = self.own.sizer.quantity(bar.close, stop)
        if quantity is not None:
            self.submit_order_list(
                self.order_factory.bracket(
                    instrument_id=self.own.instrument_id,
                    order_side=OrderSide.BUY,
                    quantity=quantity,
                    sl_trigger_price=stop,
                    tp_price=self.at_tick(close * (1 + self.own.target)),
                )
            )

    def at_tick(self, value: float) -> Price:
        """Return the price at or next below `value` that is a multiple of the tick size."""
        instrument: Any = self.cache.instrument(self.own.instrument_id)
        return instrument.next_bid_price(value)
