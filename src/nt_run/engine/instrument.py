"""Trading rules → the engine's instrument, and the comparison of the built instrument with those rules."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from nautilus_trader.model import (
    CryptoPerpetual,
    Currency,
    CurrencyType,
    InstrumentId,
    Money,
    Price,
    Quantity,
    Symbol,
)

from nt_run.klines import PRICES, Exponents, Klines, tight_exponents
from nt_run.specs import InstrumentSpecs, decimals

_CRYPTO_PRECISION = 8
"""Decimals of an amount in an asset the engine does not know by itself; the exchange books in eight."""


@dataclass(frozen=True, slots=True)
class SpecCheck:
    """One trading rule as the exchange states it and as the built instrument has it."""

    name: str
    exchange: Decimal
    built: Decimal

    @property
    def same(self) -> bool:
        """Whether the instrument has exactly the exchange's value."""
        return self.exchange == self.built


def build_instrument(specs: InstrumentSpecs, *market: Klines | None) -> CryptoPerpetual:
    """Return the engine's perpetual for `specs` and the klines of its market.

    Old klines can be finer than today's tick size (BTCUSDT moved in 0.01 until 2022, its tick size is 0.10 now). No
    kline is ever rounded, and the engine drops without a word each fill whose price is not a multiple of its price
    increment. So there the instrument gets the klines' decimals and their increment, and `compare_with_specs` shows
    it. Volumes that are finer than today's step size widen the size precision only: orders keep the step.

    `margin_maint` is 1, so that an open position ties up notional ÷ leverage, as on the exchange, and `margin_init` 0,
    so that orders are left to `MarginGate`, which asks for their margin as the exchange does. Real maintenance margin
    depends on brackets and is not the engine's affair. The largest quantity is left
    to `FilterGate`: it holds for what a strategy sends, and not for the liquidation of a position of several orders.
    """
    data = Exponents(0, 0, 0)
    there = [klines for klines in market if klines is not None]
    for klines in there:
        data = data.widest(tight_exponents(klines))
    price_decimals = max(specs.price_precision, data.price)
    size_decimals = max(specs.size_precision, data.quantity)
    coarse = not all(_all_on_tick(klines, specs.tick_size) for klines in there)
    increment = Decimal(1).scaleb(-price_decimals) if coarse else specs.tick_size
    quote = ensure_currency(specs.quote_asset)

    def quantity(value: Decimal) -> Quantity:
        return Quantity.from_decimal_dp(value, size_decimals)

    return CryptoPerpetual(
        instrument_id=InstrumentId.from_str(specs.instrument_id),
        raw_symbol=Symbol(specs.symbol),
        base_currency=ensure_currency(specs.base_asset),
        quote_currency=quote,
        settlement_currency=ensure_currency(specs.margin_asset),
        is_inverse=False,
        price_precision=price_decimals,
        size_precision=size_decimals,
        price_increment=Price.from_decimal_dp(increment, price_decimals),
        size_increment=quantity(specs.step_size),
        min_quantity=quantity(specs.min_quantity),
        min_notional=Money.from_decimal(specs.min_notional, quote),
        margin_init=Decimal(0),
        margin_maint=Decimal(1),
        ts_event=0,
        ts_init=0,
    )


def compare_with_specs(instrument: CryptoPerpetual, specs: InstrumentSpecs) -> list[SpecCheck]:
    """Return the six rules of `specs` beside the values read back from the built instrument."""
    minimum: Any = instrument.min_quantity
    notional: Any = instrument.min_notional
    return [
        SpecCheck("price_precision", Decimal(specs.price_precision), Decimal(instrument.price_precision)),
        SpecCheck("size_precision", Decimal(specs.size_precision), Decimal(instrument.size_precision)),
        SpecCheck("tick_size", specs.tick_size, instrument.price_increment.as_decimal()),
        SpecCheck("step_size", specs.step_size, instrument.size_increment.as_decimal()),
        SpecCheck("min_quantity", specs.min_quantity, minimum.as_decimal()),
        SpecCheck("min_notional", specs.min_notional, notional.as_decimal()),
    ]


def ensure_currency(code: str) -> Currency:
    """Return the engine's currency, registering assets it does not know (new listings appear every week)."""
    try:
        return Currency.from_str(code, strict=True)
    except ValueError:
        currency = Currency(code, _CRYPTO_PRECISION, 0, code, CurrencyType.CRYPTO)
        Currency.register(currency)
        return currency


def _all_on_tick(klines: Klines, tick_size: Decimal) -> bool:
    digits = max(klines.exponents.price, decimals(tick_size))
    tick, unit = int(tick_size.scaleb(digits)), 10 ** (digits - klines.exponents.price)
    return not any(np.any(klines.frame[name].to_numpy() * unit % tick) for name in PRICES)
