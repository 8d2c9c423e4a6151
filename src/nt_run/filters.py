"""The exchange's filters: what one order may be, and the ledger of what they did to a run's orders. Pure.

Source: the exchange's documentation of exchangeInfo ("Common Definition" of the USDⓈ-M futures) and of its error codes.

- PRICE_FILTER: limit and trigger prices within bounds and on the tick (-4014).
- LOT_SIZE, and MARKET_LOT_SIZE for what fills at the market: quantity within bounds and on the step (-4023), always
  of the base asset: unlike on spot, an order has no `quoteOrderQty`.
- PERCENT_PRICE: a limit price of a buy at most mark price × multiplierUp (-4016), of a sale at least mark price ×
  multiplierDown (-4024). One bound per side; triggers have none.
- MIN_NOTIONAL: price × quantity; orders marked reduce-only are exempt (-4164). The engine applies it.
- MAX_NUM_ORDERS and MAX_NUM_ALGO_ORDERS: open orders, and those of them that wait for a trigger.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from nt_run.model import MS, Denial, Side, format_iso
from nt_run.specs import InstrumentSpecs

OFF_TICK = "price off the tick size"
PRICE_BOUNDS = "price outside the contract's bounds"
QUOTE_QUANTITY = "quantity in the quote asset: the contract takes none; send amount ÷ price, rounded down to the step"
OFF_STEP = "quantity off the step size"
TOO_SMALL = "quantity below the smallest"
TOO_LARGE = "quantity above the largest"
MARKET_TOO_SMALL = "quantity below the smallest market order"
MARKET_TOO_LARGE = "quantity above the largest market order"
NOTIONAL_TOO_SMALL = "notional below minimum"
FAR_PRICE = "limit price too far from the market"
MANY_ORDERS = "too many open orders"
MANY_ALGO_ORDERS = "too many open stop orders"
POSITION_TOO_LARGE = "position larger than the leverage brackets allow at this leverage"
NO_MARGIN = "initial margin exceeds free balance"
TURN_TOO_LARGE = (
    "initial margin of the turned position exceeds what closing the opposite one leaves: turn with less, or mark what "
    "only closes reduce-only"
)
UNBORNE = "no margin for what it opens when it fills: mark what only closes reduce-only"

FOUND_NOTHING = {
    "IOC": "immediate-or-cancel order found nothing at its price",
    "FOK": "fill-or-kill order found nothing at its price",
}
"""What is told of orders that the exchange took and that ended at once, by their time in force."""

MODIFICATION = "modification refused: "
"""How the reason begins where a change of an order was refused and the order stayed as it was."""

FILTERS = (
    "PRICE_FILTER",
    "LOT_SIZE",
    "MARKET_LOT_SIZE",
    "MIN_NOTIONAL",
    "PERCENT_PRICE",
    "MAX_NUM_ORDERS",
    "MAX_NUM_ALGO_ORDERS",
    "margin",
    "leverage bracket",
)
"""Everything the ledger has a line for: the exchange's filters by their names, and the account's limits."""

_REFUSED_BY = {
    OFF_TICK: "PRICE_FILTER",
    PRICE_BOUNDS: "PRICE_FILTER",
    "price precision exceeds maximum": "PRICE_FILTER",
    "price not positive": "PRICE_FILTER",
    QUOTE_QUANTITY: "LOT_SIZE",
    OFF_STEP: "LOT_SIZE",
    TOO_SMALL: "LOT_SIZE",
    TOO_LARGE: "LOT_SIZE",
    "quantity precision exceeds maximum": "LOT_SIZE",
    "quantity below minimum": "LOT_SIZE",
    "quantity exceeds maximum": "LOT_SIZE",
    "sizing: below min quantity": "LOT_SIZE",
    MARKET_TOO_SMALL: "MARKET_LOT_SIZE",
    MARKET_TOO_LARGE: "MARKET_LOT_SIZE",
    NOTIONAL_TOO_SMALL: "MIN_NOTIONAL",
    "sizing: below min notional": "MIN_NOTIONAL",
    FAR_PRICE: "PERCENT_PRICE",
    MANY_ORDERS: "MAX_NUM_ORDERS",
    MANY_ALGO_ORDERS: "MAX_NUM_ALGO_ORDERS",
    TURN_TOO_LARGE: "margin",
    NO_MARGIN: "margin",
    UNBORNE: "margin",
    "sizing: no equity left": "margin",
    POSITION_TOO_LARGE: "leverage bracket",
}
"""How reasons begin, and what refused. Those without a constant are the engine's and the sizer's own words."""

_FOR_WANT_OF_CAPITAL = (
    TOO_SMALL,
    MARKET_TOO_SMALL,
    *(reason for reason, name in _REFUSED_BY.items() if name in {"MIN_NOTIONAL", "margin"}),
    "quantity below minimum",
    "sizing: below min quantity",
)

_TOO_LARGE = (TOO_LARGE, MARKET_TOO_LARGE, POSITION_TOO_LARGE, "quantity exceeds maximum")

_CAPPED_BY = {
    "leverage": "margin",
    "bracket": "leverage bracket",
    "market max quantity": "MARKET_LOT_SIZE",
    "max quantity": "LOT_SIZE",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTerms:
    """What the filters look at in an order; prices in the quote asset, `quantity` in the base asset."""

    side: Side
    quantity: Decimal
    at_market: bool
    """It is a market order, or becomes one once triggered."""
    limit: Decimal | None = None
    triggers: Sequence[Decimal] = ()
    """Stop and activation prices."""


def find_breach(terms: OrderTerms, specs: InstrumentSpecs, *, tick: Decimal, last: Decimal) -> str | None:
    """Return which rule of price or quantity an order breaks, `None` if none.

    Args:
        terms: The order.
        specs: The contract's filters.
        tick: The price step of the run: the tick size, or the klines' own step where they are finer.
        last: The last price; it stands for the mark price.
    """
    prices = (terms.limit, *terms.triggers) if terms.limit is not None else terms.triggers
    for price in prices:
        # Zero switches a bound off.
        if price < (specs.min_price or 0) or (specs.max_price and price > specs.max_price):
            return PRICE_BOUNDS
        if price % tick:
            return OFF_TICK
    return _quantity_breach(terms, specs) or (_band_breach(terms.side, terms.limit, specs, last))


def _quantity_breach(terms: OrderTerms, specs: InstrumentSpecs) -> str | None:
    quantity, market = terms.quantity, terms.at_market
    if quantity < specs.min_quantity:
        return TOO_SMALL
    if market and quantity < specs.market_min_quantity:
        return MARKET_TOO_SMALL
    if market and quantity > specs.market_max_quantity:
        return MARKET_TOO_LARGE
    if quantity > specs.max_quantity:
        return TOO_LARGE
    if quantity % specs.step_size or (market and quantity % specs.market_step_size):
        return OFF_STEP
    return None


def _band_breach(side: Side, limit: Decimal | None, specs: InstrumentSpecs, last: Decimal) -> str | None:
    up, down = specs.price_multiplier_up, specs.price_multiplier_down
    if limit is None:
        return None
    if side is Side.BUY:
        return FAR_PRICE if up and limit > last * up else None
    return FAR_PRICE if down and limit < last * down else None


def refused_by(reason: str) -> str | None:
    """Return which of `FILTERS` a refusal is about, `None` if it is about something else."""
    plain = reason.removeprefix(MODIFICATION)
    # "above the largest" begins "above the largest market order", too: the longest one meant is the one.
    start = max((each for each in _REFUSED_BY if plain.startswith(each)), key=len, default=None)
    return None if start is None else _REFUSED_BY[start]


def needs_capital(reason: str) -> bool:
    """Return whether a larger balance might have kept an order from being refused: too small, or too little margin."""
    return reason.startswith(_FOR_WANT_OF_CAPITAL)


def is_too_large(reason: str) -> bool:
    """Return whether an order was refused because it was larger than what the exchange takes, whoever sends it."""
    return reason.removeprefix(MODIFICATION).startswith(_TOO_LARGE)


def capped_by(limit: str) -> str:
    """Return which of `FILTERS` it is that the sizer calls `limit` where it cut an entry."""
    return _CAPPED_BY[limit]


def refused_and_unfilled(denied: Mapping[str, int]) -> tuple[dict[str, int], dict[str, int]]:
    """Return counts by reason in two: of what was refused, and of what the exchange took and could not fill."""
    there = set(FOUND_NOTHING.values())
    refused = {reason: count for reason, count in denied.items() if reason not in there}
    return refused, {reason: count for reason, count in denied.items() if reason in there}


def filter_ledger(rounded: int, capped: Mapping[str, int], denials: Iterable[Denial]) -> dict[str, Any]:
    """Return what the filters did to the orders of a run, as one object.

    Args:
        rounded: Entries the sizer rounded to the step.
        capped: Entries the sizer cut, by what cut them.
        denials: Every refusal of the run, in time order.

    Returns:
        `by_filter`: for each of `FILTERS`, how many orders were `rounded`, `capped` and `refused`. `lost`: how many
        entries were refused (`count`), and when the first and the last one was.
    """
    ledger = {name: {"rounded": 0, "capped": 0, "refused": 0} for name in FILTERS}
    ledger["LOT_SIZE"]["rounded"] = rounded
    for limit, count in capped.items():
        ledger[capped_by(limit)]["capped"] += count
    lost: list[Denial] = []
    for denial in denials:
        if (name := refused_by(denial.reason)) is not None:
            ledger[name]["refused"] += 1
            if denial.entry:
                lost.append(denial)
    times = [format_iso(denial.time_ns // MS) for denial in (lost[:1] + lost[-1:])] or [None, None]
    return {"by_filter": ledger, "lost": {"count": len(lost), "first": times[0], "last": times[-1]}}
