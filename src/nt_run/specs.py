"""Trading rules of one contract, parsed from the exchange's own exchangeInfo answer.

Nothing here is typed in: every number is a filter's text. Precision is derived from tick size and step size, because
`pricePrecision` and `quantityPrecision` of exchangeInfo are something else (BTCUSDT: precision 2, tick 0.10).
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from nt_run.errors import DataError, NotTradableError, UnknownSymbolError
from nt_run.model import TimeRange, format_time, instrument_id

PERPETUAL = "PERPETUAL"
TRADING = "TRADING"

TODAY, RANGE = "today", "range"
"""Whose rules a run may ask for: those of now, or those in force when its range starts; else those of a date."""

_ENDLESS_MS = 4_102_444_800_000  # 2100-01-01; the exchange writes 2100-12-25 for what has no end

VIP_FEES: tuple[tuple[Decimal, Decimal], ...] = tuple(
    (Decimal(maker) / 100, Decimal(taker) / 100)
    for maker, taker in (
        ("0.0200", "0.0500"),
        ("0.0160", "0.0400"),
        ("0.0140", "0.0350"),
        ("0.0120", "0.0320"),
        ("0.0100", "0.0300"),
        ("0.0080", "0.0270"),
        ("0.0060", "0.0250"),
        ("0.0040", "0.0220"),
        ("0.0020", "0.0200"),
        ("0.0000", "0.0170"),
    )
)
"""(maker, taker) by VIP level, fractions: Binance's published USDⓈ-M fee schedule. exchangeInfo carries no fees."""

BNB_SHARE = Decimal("0.9")
"""What is left of a fee on USDⓈ-M futures that is paid in BNB, by the same schedule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentSpecs:
    """The frozen trading rules of one perpetual, as of one exchangeInfo answer.

    Prices and tick size are in the quote asset, quantities and step size in the base asset. A limit the exchange did
    not send is `None`: unknown is not the same as unlimited.
    """

    symbol: str
    base_asset: str
    quote_asset: str
    margin_asset: str
    contract_type: str
    status: str
    tick_size: Decimal
    step_size: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    market_min_quantity: Decimal
    market_max_quantity: Decimal
    market_step_size: Decimal
    min_notional: Decimal
    min_price: Decimal | None
    max_price: Decimal | None
    price_multiplier_up: Decimal | None
    price_multiplier_down: Decimal | None
    max_orders: int | None
    max_algo_orders: int | None
    """Of the open orders, those that wait for a trigger."""
    liquidation_fee: Decimal | None
    onboard_ms: int | None
    delivery_ms: int | None
    """When it stops trading: far away for what has no end, the real time once it is being settled."""
    as_of_ms: int
    """When the exchange gave this answer."""
    source: str
    """Where the answer came from: the REST address, or the kept snapshot's file name."""

    @property
    def instrument_id(self) -> str:
        """The engine's name: `BTCUSDT-PERP.BINANCE`."""
        return instrument_id(self.symbol)

    @property
    def price_precision(self) -> int:
        """Decimals of a price, derived from the tick size (0.10 → 1)."""
        return decimals(self.tick_size)

    @property
    def size_precision(self) -> int:
        """Decimals of a quantity, derived from the step size (0.001 → 3)."""
        return decimals(self.step_size)


def decimals(value: Decimal) -> int:
    """Return how many decimals a number needs: 0.10 → 1, 1 → 0, 100 → 0."""
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def parse_specs(
    answer: Mapping[str, Any], symbol: str, *, as_of_ms: int, source: str, traded: TimeRange | None = None
) -> InstrumentSpecs:
    """Return the rules of `symbol` from a whole exchangeInfo answer, ready to trade.

    Args:
        answer: The exchange's answer.
        symbol: The exchange's name of the contract.
        as_of_ms: When the answer was given.
        source: Where it came from.
        traded: A contract that does not trade any more will do if it traded in all of this range.

    Raises:
        UnknownSymbolError: The answer does not list the symbol.
        NotTradableError: It is not a perpetual, or does not trade.
        DataError: A filter the rules depend on is missing or not a number.
    """
    entry = find_symbol(answer, symbol)
    specs = parse_symbol_specs(entry, as_of_ms=as_of_ms, source=source)
    if specs.contract_type != PERPETUAL:
        kind = specs.contract_type or "without a contract type"
        raise NotTradableError(
            symbol, f"is not a perpetual (it is {kind})", "nt-run backtests perpetuals; choose its perpetual."
        )
    if specs.status != TRADING and not (traded and _traded_in(specs, traded)):
        until = specs.delivery_ms if specs.delivery_ms and specs.delivery_ms < _ENDLESS_MS else None
        ended = f", until {format_time(until)} UTC" if until else ""
        hint = "Choose a symbol whose status is TRADING"
        if until:
            hint += ", or a range that ends before, with --specs-at range"
        raise NotTradableError(symbol, f"does not trade (status {specs.status}{ended})", f"{hint}.")
    return specs


def find_symbol(answer: Mapping[str, Any], symbol: str) -> Mapping[str, Any]:
    """Return the raw entry of `symbol` in an exchangeInfo answer.

    Raises:
        UnknownSymbolError: It is not listed; the error names the nearest listed perpetuals.
        DataError: The answer holds no list of symbols.
    """
    entries: Sequence[Mapping[str, Any]] | None = answer.get("symbols")
    if not entries:
        raise DataError("The exchangeInfo answer lists no symbols; it is not the exchange's usual answer.")
    for entry in entries:
        if entry.get("symbol") == symbol:
            return entry
    names = [str(entry["symbol"]) for entry in entries if entry.get("contractType") == PERPETUAL]
    raise UnknownSymbolError(symbol, _nearest(symbol, names))


def _nearest(symbol: str, names: Sequence[str]) -> Sequence[str]:
    """Names like a symbol: the shortest that contains it (BTC, BTCUSD → BTCUSDT), else up to three of its like."""
    containing = sorted((name for name in names if symbol in name), key=lambda name: (len(name), name[-4:] != "USDT"))
    return containing[:1] or difflib.get_close_matches(symbol, names, n=3, cutoff=0.8)


def _traded_in(specs: InstrumentSpecs, time_range: TimeRange) -> bool:
    began, ended = specs.onboard_ms, specs.delivery_ms
    return began is not None and ended is not None and began <= time_range.start_ms and time_range.end_ms <= ended


def parse_symbol_specs(entry: Mapping[str, Any], *, as_of_ms: int, source: str) -> InstrumentSpecs:
    """Return the rules in one entry of `symbols`, whatever its status and contract type.

    Unknown filters are ignored. MARKET_LOT_SIZE falls back to LOT_SIZE, as the exchange documents; the other
    optional filters become `None`.

    Raises:
        DataError: PRICE_FILTER, LOT_SIZE or MIN_NOTIONAL is missing or not a positive number.
    """
    symbol = str(entry.get("symbol", "?"))
    filters = {str(item.get("filterType")): item for item in entry.get("filters", ())}
    lot = filters.get("LOT_SIZE", {})
    market = {**lot, **filters.get("MARKET_LOT_SIZE", {})}
    price = filters.get("PRICE_FILTER", {})
    band = filters.get("PERCENT_PRICE", {})

    def positive(given: Mapping[str, Any], name: str, key: str) -> Decimal:
        return _positive(given.get(key), f"{symbol}: exchangeInfo has no usable {name}.{key}")

    return InstrumentSpecs(
        symbol=symbol,
        base_asset=str(entry.get("baseAsset", "")),
        quote_asset=str(entry.get("quoteAsset", "")),
        margin_asset=str(entry.get("marginAsset", "")),
        contract_type=str(entry.get("contractType", "")),
        status=str(entry.get("status", "")),
        tick_size=positive(price, "PRICE_FILTER", "tickSize"),
        step_size=positive(lot, "LOT_SIZE", "stepSize"),
        min_quantity=positive(lot, "LOT_SIZE", "minQty"),
        max_quantity=positive(lot, "LOT_SIZE", "maxQty"),
        market_min_quantity=positive(market, "MARKET_LOT_SIZE", "minQty"),
        market_max_quantity=positive(market, "MARKET_LOT_SIZE", "maxQty"),
        market_step_size=positive(market, "MARKET_LOT_SIZE", "stepSize"),
        min_notional=positive(filters.get("MIN_NOTIONAL", {}), "MIN_NOTIONAL", "notional"),
        min_price=_number(price.get("minPrice")),
        max_price=_number(price.get("maxPrice")),
        price_multiplier_up=_number(band.get("multiplierUp")),
        price_multiplier_down=_number(band.get("multiplierDown")),
        max_orders=_limit(filters, "MAX_NUM_ORDERS"),
        max_algo_orders=_limit(filters, "MAX_NUM_ALGO_ORDERS"),
        liquidation_fee=_number(entry.get("liquidationFee")),
        onboard_ms=int(entry["onboardDate"]) if entry.get("onboardDate") else None,
        delivery_ms=int(entry["deliveryDate"]) if entry.get("deliveryDate") else None,
        as_of_ms=as_of_ms,
        source=source,
    )


def _limit(filters: Mapping[str, Mapping[str, Any]], name: str) -> int | None:
    limit = filters.get(name, {}).get("limit")
    return int(limit) if limit is not None else None


def _positive(text: object, problem: str) -> Decimal:
    value = _number(text)
    if value is None or value <= 0:
        raise DataError(f"{problem} ({text!r}), so its rules are unknown. Nothing is assumed in their place.")
    return value


def _number(text: object) -> Decimal | None:
    if text is None:
        return None
    try:
        value = Decimal(str(text))
    except InvalidOperation:
        return None
    return value if value.is_finite() else None
