"""Funding: the exchange's settlements → the engine's data, and the engine's payments → ours, each one checked.

A settlement at slot T concerns the position held before the orders of the bar that closes at T: on the exchange those
orders come after T. The engine settles after all data of a moment, so the settlement is planned one nanosecond before
T (`next_funding_ns`), with a mark price just ahead of it. Its amount is −position × price × rate, rounded to 1e-8.
A position that a stop closes inside the bar that ends at T still pays: the engine knows no time within a bar.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from nautilus_trader.model import FundingRateUpdate, InstrumentId, MarkPriceUpdate, Price

from nt_run.errors import BooksError
from nt_run.klines import Klines
from nt_run.model import MS, Fill, FundingPayment, FundingRate, Settlement, format_time

_CENT = Decimal("1e-8")
"""What the engine books in; half of it is the largest rounding of one payment."""
_MARK_DECIMALS = 8


class FundingPlan:
    """The settlements of one run: those after its first open, up to and including its last close."""

    def __init__(self, rates: Sequence[FundingRate], klines: Klines) -> None:
        span = klines.range
        self.rates = [rate for rate in rates if span.start_ms < rate.slot_ms <= span.end_ms]
        self.prices = _settlement_prices(self.rates, klines)
        """Settlement price by slot: the mark price, or the close of the last bar that had ended."""

    def settlements(self) -> list[Settlement]:
        """Return all settlements in time order, with the price each would charge."""
        return [
            Settlement(
                time_ns=rate.slot_ms * MS,
                rate=rate.rate,
                price=self.prices[rate.slot_ms],
                price_source="last_close" if rate.mark_price is None else "mark_price",
            )
            for rate in self.rates
        ]

    def data(self, instrument: InstrumentId, start_ns: int, end_ns: int) -> list[Any]:
        """Return the engine's data of the slots in (start_ns, end_ns], ready to be sorted among bars."""
        made: list[Any] = []
        for rate in self.rates:
            slot = rate.slot_ms * MS
            if start_ns < slot <= end_ns:
                price = Price.from_decimal_dp(self.prices[rate.slot_ms], _MARK_DECIMALS)
                made.append(MarkPriceUpdate(instrument, price, slot - 2, slot - 2))
                made.append(FundingRateUpdate(instrument, rate.rate, slot - 2, slot - 2, next_funding_ns=slot - 1))
        return made

    def payments(self, booked: Mapping[int, Decimal], fills: Sequence[Fill]) -> list[FundingPayment]:
        """Return the payments in time order.

        Args:
            booked: What the engine booked, by the time in ns it booked it.
            fills: All fills of the run in time order.

        Raises:
            BooksError: A settlement with an open position was not booked, one without was, or an amount is wrong.
        """
        made: list[FundingPayment] = []
        position, done = Decimal(0), 0
        for rate in self.rates:
            slot = rate.slot_ms * MS
            while done < len(fills) and fills[done].time_ns < slot:
                position += fills[done].side.sign * fills[done].quantity
                done += 1
            amount, price = booked.get(slot - 1), self.prices[rate.slot_ms]
            if amount is None and not position:
                continue
            expected = -position * price * rate.rate
            if amount is None or abs(amount - expected) > _CENT:
                what = f"the funding of {format_time(rate.slot_ms)}"
                raise BooksError(what, f"{expected:.8f}", "missing" if amount is None else f"{amount:.8f}")
            made.append(
                FundingPayment(
                    time_ns=slot,
                    position=position,
                    rate=rate.rate,
                    price=price,
                    price_source="last_close" if rate.mark_price is None else "mark_price",
                    amount=amount,
                )
            )
        if len(made) != len(booked):
            raise BooksError("the number of funding payments", str(len(made)), str(len(booked)))
        return made


def _settlement_prices(rates: Sequence[FundingRate], klines: Klines) -> dict[int, Decimal]:
    ended = klines.close_times()
    closes = klines.frame["close"]
    prices: dict[int, Decimal] = {}
    for rate in rates:
        if rate.mark_price is not None:
            prices[rate.slot_ms] = rate.mark_price
            continue
        last = int(ended.searchsorted(rate.slot_ms, side="right")) - 1
        prices[rate.slot_ms] = Decimal(int(closes[max(last, 0)])).scaleb(-klines.exponents.price)
    return prices
