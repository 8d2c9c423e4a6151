"""Each fill and each settlement of a kept run against the exchange's rules and the market's prices, one by one.

Like `replay`, this shares nothing with the engine and the books. Sources of the rules: the exchange's filters
(PRICE_FILTER, LOT_SIZE, MARKET_LOT_SIZE, MIN_NOTIONAL, from which orders that only close are exempt), fee = notional ×
rate, funding = −position × price × rate on the position held before the fills of that moment.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from nt_run.execution import PLAIN, Execution
from nt_run.klines import PRICES, Klines, tight_exponents
from nt_run.matching import MatchBars, match_bars
from nt_run.model import LIQUIDATION, MS, Fill, FundingPayment, FundingRate, Liquidity, Settlement, Side, Violation
from nt_run.specs import decimals

ZERO = Decimal(0)
_UNIT = Decimal("1e-8")
"""The engine keeps money to eight decimals; a fee or a payment may be rounded either way."""
_TAKES = frozenset({"market", "stop_market", "market_if_touched", "trailing_stop_market"})
"""Order types that never make the market."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What a limit order stated: its price, in the quote asset, and whether it waited for another order to fill."""

    price: Decimal
    waited: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What bound the fills of a run: filters in quote and base asset, fees as fractions of notional."""

    tick_size: Decimal
    step_size: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    market_max_quantity: Decimal
    min_notional: Decimal
    maker: Decimal
    taker: Decimal
    execution: Execution = PLAIN


class _Bars:
    """Prices of the klines by the time at which a fill happened."""

    def __init__(self, bars: MatchBars) -> None:
        self._columns = {name: getattr(bars, name) for name in PRICES}
        self._starts = bars.opened * MS
        self._ends = bars.closed * MS
        self._exponent = bars.exponent

    def at(self, fills: Sequence[Fill]) -> list[int]:
        """Return for each fill the last bar that had ended by its time, −1 before the first one."""
        times = np.array([fill.time_ns for fill in fills], dtype=np.int64)
        return (np.searchsorted(self._ends, times, side="right") - 1).tolist()

    def next_open(self, time_ns: int) -> Decimal | None:
        """Return the first open at or after a time, `None` after the last one."""
        bar = int(np.searchsorted(self._starts, time_ns))
        return self.price("open", bar) if bar < len(self._starts) else None

    def price(self, name: str, bar: int) -> Decimal:
        return Decimal(int(self._columns[name][bar])).scaleb(-self._exponent)


def check_fills(
    fills: Sequence[Fill],
    klines: Klines,
    rules: Rules,
    detail: Klines | None = None,
    limits: Mapping[str, Limit] | None = None,
) -> list[Violation]:
    """Return what is wrong with the fills of a run, each by itself; `limits` are its limit orders by order id.

    A market order fills at the close of the bar that has just ended or at the next open, as the run was asked to, and
    so does a limit order that takes at once; every other order between that bar's low and high. Orders that take then
    slip, one with a limit up to that. A limit order that rested gets its own price, also where the market jumped over
    it, to the trader's disadvantage: then it lies between that bar and the close before. A liquidation closes the whole
    position, at a price that the mark price may have reached alone.
    """
    violations: list[Violation] = []
    bars, position, last_ns = _Bars(match_bars(klines, detail)), ZERO, 0
    increment = price_step(klines, detail, rules.tick_size)
    for fill, bar in zip(fills, bars.at(fills), strict=True):
        signed = fill.side.sign * fill.quantity
        reduces = position * signed < 0 and abs(signed) <= abs(position)
        limit = (limits or {}).get(fill.order_id)
        told = [
            *_wrong_price(fill, bars, bar, rules.execution, limit),
            *_wrong_slippage(fill, rules, increment, limit),
            *_beyond(fill, limit, bars.price("open", bar) if limit and position * signed < 0 and bar >= 0 else None),
            *_wrong_quantity(fill, rules),
            *_wrong_fee(fill, rules),
        ]
        if fill.order_type == LIQUIDATION and signed != -position:
            told.append(("quantity of a liquidation", f"{-position:f}, the whole position", f"{signed:f}"))
        if not reduces and bar >= 0:
            told += _too_small(fill, bars, bar, rules, limit)
        if fill.time_ns < last_ns:
            told.append(("time", f"{last_ns} ns or later", f"{fill.time_ns} ns"))
        last_ns = max(last_ns, fill.time_ns)
        position += signed
        violations += [Violation("fills", f"{what} of {fill.order_id}", fill.time_ns, *rest) for what, *rest in told]
    return violations


def price_step(klines: Klines, detail: Klines | None, tick: Decimal) -> Decimal:
    """Return what the prices of a run are multiples of: the tick size, or the own step of klines that are finer."""
    return min(_increment(part, tick) for part in (klines, detail) if part is not None)


def _increment(klines: Klines, tick: Decimal) -> Decimal:
    digits = max(klines.exponents.price, decimals(tick))
    whole, unit = int(tick.scaleb(digits)), 10 ** (digits - klines.exponents.price)
    off = any(np.any(klines.frame[name].to_numpy() * unit % whole) for name in PRICES)
    return Decimal(1).scaleb(-max(tight_exponents(klines).price, decimals(tick))) if off else tick


type _Wrong = Iterator[tuple[str, str, str]]
"""What, expected, found."""


def _wrong_price(fill: Fill, bars: _Bars, bar: int, execution: Execution, limit: Limit | None) -> _Wrong:
    """The price before slippage."""
    if bar < 0:
        yield "time", "after the end of the first bar", f"{fill.time_ns} ns"
        return
    if fill.order_type == LIQUIDATION:
        return  # at the liquidation price, to which the mark price may have gone alone
    takes = fill.order_type == "limit" and fill.liquidity is Liquidity.TAKER
    if (takes or fill.order_type == "market") and execution.fill == "next-open":
        if (opened := bars.next_open(fill.time_ns)) != fill.reference:
            yield "price", "none" if opened is None else f"{opened:f}, the next open", f"{fill.reference:f}"
        return
    if fill.order_type == "market" and fill.reference == bars.price("close", bar):
        return
    low, high = bars.price("low", bar), bars.price("high", bar)
    if "limit" in fill.order_type:
        before = bars.price("close", max(bar - 1, 0))
        low, high = min(low, before), max(high, before)
    # What waited for another order takes wherever in the bar that was filled.
    at_close = fill.order_type == "market" or (takes and limit is not None and not limit.waited)
    if not low <= fill.reference <= high:
        yield "price outside its bar", f"{low:f} … {high:f}", f"{fill.reference:f}"
    elif at_close and fill.reference != (close := bars.price("close", bar)):
        yield "price", f"{close:f}, the close", f"{fill.reference:f}"


def _wrong_slippage(fill: Fill, rules: Rules, increment: Decimal, limit: Limit | None) -> _Wrong:
    """What was asked for, and less than a tick more, up to a limit; nothing for what makes the market."""
    asked, worse = ZERO, fill.side.sign * (fill.price - fill.reference)
    if fill.order_type in _TAKES or (fill.order_type != LIQUIDATION and fill.liquidity is Liquidity.TAKER):
        slippage = rules.execution.slippage
        asked = fill.reference * slippage.bps / 10_000 + slippage.ticks * rules.tick_size
    # A sale fetches at least one tick.
    least = min(asked, fill.reference - increment) if fill.side is Side.SELL else asked
    if limit is not None:
        least = min(least, fill.side.sign * (limit.price - fill.reference))
    elif "limit" in fill.order_type:
        least = ZERO  # the folder of an earlier version does not tell the limit
    if not least <= worse < asked + increment or (not asked and worse):
        expected = f"{fill.reference + fill.side.sign * asked:f}"
        yield "price", f"{expected}, after slippage, to the tick" if asked else expected, f"{fill.price:f}"
    if fill.price % increment:
        yield "price off the tick", f"a multiple of {increment:f}", f"{fill.price:f}"


def _beyond(fill: Fill, limit: Limit | None, opened: Decimal | None) -> _Wrong:
    """Whether a limit order filled at another price than its own; one that takes may do so at a better one.

    One that closes a position which came to be behind a gap, at the open that has jumped over the order, does so there.
    """
    better = ZERO if limit is None else fill.side.sign * (limit.price - fill.price)
    if limit is None or (better > 0 and fill.price == opened):
        return
    if fill.liquidity is Liquidity.MAKER and better:
        yield "price", f"{limit.price:f}, its limit", f"{fill.price:f}"
    elif better < 0:
        yield "price", f"{limit.price:f} or better, its limit", f"{fill.price:f}"


def _wrong_quantity(fill: Fill, rules: Rules) -> _Wrong:
    if fill.quantity <= 0 or fill.quantity % rules.step_size:
        yield "quantity off the step", f"a multiple of {rules.step_size:f}", f"{fill.quantity:f}"
    most = rules.market_max_quantity if fill.order_type == "market" else rules.max_quantity
    if fill.order_type != LIQUIDATION and fill.quantity > most:
        yield "quantity", f"at most {most:f}", f"{fill.quantity:f}"


def _too_small(fill: Fill, bars: _Bars, bar: int, rules: Rules, limit: Limit | None) -> _Wrong:
    if fill.quantity < rules.min_quantity:
        yield "quantity", f"at least {rules.min_quantity:f}", f"{fill.quantity:f}"
    # What counts is the price when the order was sent. A resting one was filled at a better price behind a gap, at most
    # as far away as the close before; a market order may fill at a better open than the close.
    known = bar if fill.order_type == "market" else max(bar - 1, 0)
    price = max(fill.price, bars.price("close", known), ZERO if limit is None else limit.price)
    if fill.quantity * price < rules.min_notional:
        yield "notional", f"at least {rules.min_notional:f}", f"{fill.quantity * price:f}"


def _wrong_fee(fill: Fill, rules: Rules) -> _Wrong:
    makes = fill.liquidity is Liquidity.MAKER
    if makes and fill.order_type in _TAKES:
        yield "liquidity", "taker", "maker"
    fee = fill.quantity * fill.price * (rules.maker if makes else rules.taker)
    if fill.order_type == LIQUIDATION:
        # The exchange takes what is left, which may be less than the fee.
        if not 0 <= fill.fee <= fee + _UNIT or fill.liquidation < 0:
            yield "fee", f"0 … {fee:.8f}, and no less beyond it", f"{fill.fee:.8f}, and {fill.liquidation:.8f}"
    elif abs(fee - fill.fee) > _UNIT or fill.liquidation:
        yield "fee", f"{fee:.8f}", f"{fill.fee:.8f}"


def check_funding(
    settlements: Sequence[Settlement], payments: Sequence[FundingPayment], fills: Sequence[Fill]
) -> list[Violation]:
    """Return what is wrong with the payments of a run, given all settlements of its range."""
    violations: list[Violation] = []
    left = {payment.time_ns: payment for payment in payments}
    if len(left) < len(payments):
        violations.append(Violation("funding", "settlements paid twice", None, "none", f"{len(payments) - len(left)}"))
    position, done = ZERO, 0
    for due in settlements:
        while done < len(fills) and fills[done].time_ns < due.time_ns:
            position += fills[done].side.sign * fills[done].quantity
            done += 1
        paid = left.pop(due.time_ns, None)
        expected = -position * due.price * due.rate
        if paid is None:
            if position:
                violations.append(Violation("funding", "payment", due.time_ns, f"{expected:.8f}", "none"))
            continue
        pairs = (("position", position, paid.position), ("rate", due.rate, paid.rate), ("price", due.price, paid.price))
        told = [(what, f"{ours:f}", f"{theirs:f}") for what, ours, theirs in pairs if ours != theirs]
        if abs(paid.amount - expected) > _UNIT:
            told.append(("payment", f"{expected:.8f}", f"{paid.amount:.8f}"))
        violations += [Violation("funding", what, due.time_ns, *rest) for what, *rest in told]
    violations += [Violation("funding", "payment", time, "none", f"{left[time].amount:.8f}") for time in sorted(left)]
    return violations


def check_settlements(
    settlements: Sequence[Settlement], published: Sequence[FundingRate] | None, klines: Klines
) -> list[Violation]:
    """Return where the settlements of a run differ from those the exchange published, and from the closes.

    Args:
        settlements: All settlements of the run's range.
        published: What the market data has of the same range; `None` if it does not have it.
        klines: The bars of the run: without a mark price the last close settles.
    """
    violations: list[Violation] = []
    bars = _Bars(match_bars(klines))
    ends = klines.close_times() * MS
    for due in settlements:
        if due.price_source == "last_close":
            bar = max(int(np.searchsorted(ends, due.time_ns, side="right")) - 1, 0)
            if (close := bars.price("close", bar)) != due.price:
                violations.append(Violation("funding", "price", due.time_ns, f"{close:f}", f"{due.price:f}"))
    if published is None:
        return violations
    kept = {due.time_ns: due for due in settlements}
    known = {rate.slot_ms * MS: rate for rate in published}
    for time_ns in sorted(kept.keys() | known.keys()):
        due, rate = kept.get(time_ns), known.get(time_ns)
        if due is None or rate is None:
            told = (f"rate {rate.rate:f}" if rate else "none", f"rate {due.rate:f}" if due else "none")
            violations.append(Violation("funding", "settlement", time_ns, *told))
            continue
        if due.rate != rate.rate:
            violations.append(Violation("funding", "rate", time_ns, f"{rate.rate:f}", f"{due.rate:f}"))
        # A mark price may have become known since the run.
        if due.price_source == "mark_price" and rate.mark_price not in {None, due.price}:
            violations.append(Violation("funding", "mark price", time_ns, f"{rate.mark_price:f}", f"{due.price:f}"))
    return violations
