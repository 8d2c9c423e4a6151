'''The resolver and the built-in strategies.

A strategy is a plain Nautilus 2.x `Strategy`. Its parameters are the fields of its configuration class, and that class
is the annotation of its constructor's one parameter:

    from dataclasses import dataclass

    from nautilus_trader.indicators import SimpleMovingAverage
    from nautilus_trader.model import Bar, BarType, InstrumentId, OrderSide
    from nautilus_trader.trading import Strategy, StrategyConfig

    from nt_run.strategies.sizer import Sizer


    @dataclass(frozen=True, kw_only=True)
    class AboveAverageConfig(StrategyConfig):
        instrument_id: InstrumentId
        bar_type: BarType
        sizer: Sizer
        period: int = 50


    class AboveAverage(Strategy):
        """Long above the average, flat below it."""

        def __init__(self, config: AboveAverageConfig) -> None:
            super().__init__(config)
            self.own = config
            self.average = SimpleMovingAverage(config.period)

        def on_start(self) -> None:
            self.register_indicator_for_bars(self.own.bar_type, self.average)
            self.subscribe_bars(self.own.bar_type)

        def on_bar(self, bar: Bar) -> None:
            instrument = self.own.instrument_id
            above = bar.close.as_double() > self.average.value
            if above and self.portfolio.is_net_flat(instrument):
                if quantity := self.own.sizer.quantity(bar.close):
                    self.submit_order(self.order_factory.market(instrument, OrderSide.BUY, quantity))
            elif not above:
                self.close_all_positions(instrument)

The runner fills in `instrument_id`, `bar_type`, `sizer` and `trade_size` where the configuration has them: `sizer` is
asked for the size of each entry, `trade_size` is a `Decimal`, the size at the first bar's open. The rest are parameters
(`--param period=100`). A configuration may also be any other class whose constructor takes its fields by keyword.

A strategy may publish lines for its chart in a method `plots`, asked once after `on_start`:

    def plots(self):
        return {"price": {"average": self.average}, "RSI": {"RSI 14": self.rsi, "low": 30, "high": 70}}

`price` is drawn over the candles, any other pane below them. A line is an indicator with `value` and `initialized`, a
callable that returns a number or `None`, asked after each `on_bar`, or a number, which is a level.
'''
