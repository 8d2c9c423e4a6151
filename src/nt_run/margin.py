"""Leverage brackets, maintenance margin and the liquidation price of one contract. Pure, in `Decimal`.

The exchange asks for more margin the larger a position is. Bracket n covers notionals from floor_n to cap_n:

    maintenance margin = notional × rate_n − cum_n
    cum_n = floor_n × (rate_n − rate_(n−1)) + cum_(n−1), cum_1 = 0

so that the margin does not jump where one bracket ends. A position is liquidated where its margin plus its unrealised
profit has fallen to the maintenance margin, both at the mark price (Binance's formula for one-way positions):

    liquidation price = (wallet + cum_n − side × quantity × entry) ÷ (quantity × rate_n − side × quantity)

with the bracket that holds quantity × liquidation price itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import msgspec

from nt_run.errors import DataError, SizingError
from nt_run.model import Side

MarginMode = Literal["isolated", "cross"]
MARGIN_MODES: tuple[MarginMode, ...] = ("isolated", "cross")

ZERO = Decimal(0)
_ENDLESS = Decimal("Infinity")
_CUM_SLACK = Decimal("0.01")
"""Quote asset: what the decimals of a published table may leave."""


class MarginConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[margin]`: `isolated` or `cross`; `brackets` is a file of leverage brackets, the exchange's or ccxt's JSON."""

    mode: MarginMode = "isolated"
    brackets: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """One bracket: notionals from `floor` to `cap` (quote asset), rate a fraction, `cum` in the quote asset."""

    floor: Decimal
    cap: Decimal
    rate: Decimal
    max_leverage: Decimal
    cum: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginRules:
    """The brackets of one contract in order, from which time they are known, and where they come from.

    `known` is false where no table was to be had and a flat rate stands in for it.

    Raises:
        DataError: The brackets do not follow one another, a rate is not below 1 ÷ leverage, or `cum` is not what floors
            and rates make it.
    """

    symbol: str
    brackets: tuple[Bracket, ...]
    as_of_ms: int | None
    source: str
    known: bool = True

    def __post_init__(self) -> None:
        if not self.brackets:
            raise DataError(f"{self.symbol}: {self.source} has no leverage brackets.")
        before = Bracket(floor=ZERO, cap=ZERO, rate=ZERO, max_leverage=_ENDLESS, cum=ZERO)
        for number, bracket in enumerate(self.brackets, start=1):
            problem = _problem(bracket, before)
            if problem:
                raise DataError(f"{self.symbol}: leverage bracket {number} of {self.source} {problem}.")
            before = bracket

    @property
    def max_leverage(self) -> Decimal:
        """The most leverage any position of this contract may have: that of the first bracket."""
        return self.brackets[0].max_leverage

    def bracket_of(self, notional: Decimal) -> Bracket:
        """Return the bracket that holds a notional; beyond the last cap, the last one."""
        return next((bracket for bracket in self.brackets if notional <= bracket.cap), self.brackets[-1])

    def maintenance_margin(self, notional: Decimal) -> Decimal:
        """Return what a position of `notional` must keep, in the quote asset."""
        bracket = self.bracket_of(notional)
        return notional * bracket.rate - bracket.cum

    def largest_notional(self, leverage: Decimal) -> Decimal:
        """Return the largest position that may be opened at `leverage`, in the quote asset.

        Raises:
            SizingError: No position may have that leverage.
        """
        if leverage > self.max_leverage:
            raise SizingError(
                f"{self.symbol} allows a leverage of at most {self.max_leverage.normalize():f}, and {leverage:f} was "
                f"asked for ({self.source}). Use --leverage {self.max_leverage.normalize():f} or less."
            )
        return max(bracket.cap for bracket in self.brackets if bracket.max_leverage >= leverage)


def build_brackets(rows: Sequence[tuple[Decimal, Decimal, Decimal, Decimal]]) -> tuple[Bracket, ...]:
    """Return brackets of (floor, cap, rate, most leverage) with their `cum` worked out."""
    made: list[Bracket] = []
    rate, cum = ZERO, ZERO
    for floor, cap, own, leverage in rows:
        rate, cum = own, next_cum(floor, own, rate, cum)
        made.append(Bracket(floor=floor, cap=cap, rate=rate, max_leverage=leverage, cum=cum))
    return tuple(made)


def flat_rules(symbol: str, rate: Decimal, max_leverage: Decimal, source: str) -> MarginRules:
    """Return rules of one endless bracket, for a contract whose brackets are not known."""
    brackets = build_brackets([(ZERO, _ENDLESS, rate, max_leverage)])
    return MarginRules(symbol=symbol, brackets=brackets, as_of_ms=None, source=source, known=False)


def next_cum(floor: Decimal, rate: Decimal, rate_before: Decimal, cum_before: Decimal) -> Decimal:
    """Return cum of a bracket from the one before it: floor × (rate − rate before) + cum before."""
    return floor * (rate - rate_before) + cum_before


def liquidation_price(
    side: Side, quantity: Decimal, entry: Decimal, wallet: Decimal, rules: MarginRules
) -> Decimal | None:
    """Return the mark price at which a position is liquidated; `None` when no price above zero does it.

    Args:
        side: Long (`BUY`) or short.
        quantity: Of base asset, above zero.
        entry: Average entry price.
        wallet: What stands behind the position, without its unrealised profit: its own margin (isolated), or the
            whole balance (cross).
        rules: The contract's brackets.

    Margin plus profit, less the maintenance margin, rises with the price for a long and falls for a short, all the
    way: at most one bracket gives a price that it holds itself.
    """
    for bracket in rules.brackets:
        slope = quantity * (bracket.rate - side.sign)
        price = (wallet + bracket.cum - side.sign * quantity * entry) / slope
        last = bracket is rules.brackets[-1]
        if price > 0 and bracket.floor <= quantity * price and (last or quantity * price <= bracket.cap):
            return price
    return None


def _problem(bracket: Bracket, before: Bracket) -> str | None:
    """Return what is wrong with a bracket that should follow another; `None` if nothing is."""
    rate, leverage = bracket.rate, bracket.max_leverage
    cum = next_cum(bracket.floor, rate, before.rate, before.cum)
    if bracket.floor != before.cap or bracket.cap <= bracket.floor:
        return f"covers {bracket.floor} to {bracket.cap}, and should begin at {before.cap}"
    if not before.rate <= rate < 1 or rate <= 0:
        return f"has the rate {rate}, which does not follow {before.rate}"
    if not 1 <= leverage <= before.max_leverage:
        most = "" if leverage < 1 else f", more than the {before.max_leverage} of the one before"
        return f"has the most leverage {leverage}{most}"
    if rate * leverage >= 1:
        return (
            f"has the rate {rate} and the most leverage {leverage}: a position of that leverage would be liquidated at "
            f"once, as its margin is 1 ÷ {leverage} of its notional. The rate is a fraction: 0.004 for 0.4 %"
        )
    if abs(bracket.cum - cum) > _CUM_SLACK:
        return f"has the cum {bracket.cum}, and its floors and rates make it {cum}"
    return None
