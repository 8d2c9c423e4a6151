"""How large a position may be: equity, risk, stop, costs and filters → quantity. Pure, in `Decimal`.

- `notional` puts a fraction of equity into the position: quantity = equity × fraction ÷ price, to the nearest step.
- `stop` and `atr` risk a fraction of equity: what is lost at the stop, both fees and slippage included, is at most
  equity × fraction. The quantity is floored to the step, so never above.
- `volatility` lets the position move by a fraction of equity a year: quantity = equity × fraction ÷ (price × σ), with σ
  the annualised volatility of the last bars. Floored.
- `kelly` puts a share of equity into the position, worked out from the trades so far (`nt_run.estimates`). Floored.

All methods are capped by leverage (initial margin plus the entry fee must fit into equity), by the largest position
the leverage brackets allow, and by the exchange's largest market order. What the exchange would refuse as too small is
an error that says what would do.
"""

from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal
from typing import Literal

from nt_run.errors import SizingError
from nt_run.execution import NO_SLIPPAGE, Slippage
from nt_run.model import Fees, Side
from nt_run.specs import InstrumentSpecs

Method = Literal["notional", "stop", "atr", "volatility", "kelly"]
METHODS: tuple[Method, ...] = ("notional", "stop", "atr", "volatility", "kelly")
BY_STOP: frozenset[Method] = frozenset({"stop", "atr"})
"""Methods whose fraction is what is lost at the stop."""
ESTIMATED: frozenset[Method] = frozenset({"volatility", "kelly"})
"""Methods that estimate from the run's own past."""

_CENT = Decimal("0.01")
_FRACTION_STEP = Decimal("0.000001")
_DIGITS = Context(prec=4)


@dataclass(frozen=True, slots=True, kw_only=True)
class SizingRules:
    """What the user asked for.

    `fraction` is a share of equity: of its value for `notional`, of its loss at the stop for `stop` and `atr`, of its
    volatility a year for `volatility`; for `kelly` it is the part of Kelly's bet. `volatility_period` is in bars.
    Until `kelly_trades` trades are closed, `kelly` puts `kelly_start` of equity into a position, then at most
    `kelly_cap`.
    `stop_distance` (a fraction of the entry price) serves `stop` where the strategy names no stop of its own.
    `slippage` is expected at entry and at the stop. With `compound = false` the starting
    balance stands for equity for the whole run.
    """

    method: Method = "notional"
    fraction: Decimal = Decimal("0.02")
    leverage: Decimal = Decimal(1)
    compound: bool = True
    stop_distance: Decimal | None = None
    atr_period: int = 14
    atr_multiple: Decimal = Decimal(2)
    volatility_period: int = 100
    kelly_trades: int = 30
    kelly_start: Decimal = Decimal("0.02")
    kelly_cap: Decimal = Decimal(1)
    slippage: Slippage = NO_SLIPPAGE
    max_notional: Decimal | None = None
    """The largest position the leverage brackets allow at `leverage`, in the quote asset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """A quantity the exchange accepts, and how it came about.

    `asked_share` and `actual_share` are fractions of equity: notional for `notional` and `kelly`, volatility a year for
    `volatility`, loss at the stop otherwise.
    """

    quantity: Decimal
    price: Decimal
    notional: Decimal
    equity: Decimal
    asked_share: Decimal
    actual_share: Decimal
    capped_by: str | None
    rounded: bool = False
    """Whether the step moved the quantity."""


class BelowMinimumError(SizingError):
    """The quantity is below what the exchange accepts, or what the account can carry.

    `wanted` is what was asked for, which the step made `quantity`. `smallest_balance` (quote asset) and
    `smallest_fraction` would give an acceptable order at this price; `smallest_fraction` is `None` where no fraction of
    this account would do.
    """

    def __init__(
        self,
        specs: InstrumentSpecs,
        wanted: Decimal,
        quantity: Decimal,
        price: Decimal,
        limit: str,
        balance: Decimal,
        fraction: Decimal | None,
    ) -> None:
        self.symbol = specs.symbol
        self.wanted = wanted
        self.quantity = quantity
        self.price = price
        self.limit = limit
        self.smallest_balance = balance
        self.smallest_fraction = fraction
        asked = f"{wanted * price:.2f} {specs.quote_asset} at {price:f} are {_DIGITS.plus(wanted):f} {specs.base_asset}"
        remedy = f"--balance {balance}" + (f" or --risk {fraction}" if fraction is not None else "")
        super().__init__(
            f"{specs.symbol}: {asked}, which is {quantity:f} in steps of {_step(specs):f}, below the exchange's "
            f"{limit}.\nThe smallest that would do: {remedy}."
        )


def size_position(
    rules: SizingRules,
    specs: InstrumentSpecs,
    fees: Fees,
    *,
    equity: Decimal,
    price: Decimal,
    stop_price: Decimal | None = None,
    estimate: Decimal | None = None,
) -> Sized:
    """Return the size of one entry at `price`, the price known at entry.

    Args:
        rules: The method and its fraction.
        specs: The contract's filters.
        fees: The taker fee is expected at entry and at the stop.
        equity: Account equity now, in the quote asset.
        price: Expected entry price.
        stop_price: Price of the protective stop; required by `stop` and `atr`, on either side of `price`.
        estimate: The annualised volatility for `volatility`, the share of equity for `kelly`, both above zero; required
            by these two.

    Raises:
        BelowMinimumError: The exchange would refuse the order as too small.
        SizingError: Equity is spent, or a method that needs a stop or an estimate got none.
    """
    if equity <= 0:
        raise SizingError(f"{specs.symbol}: nothing is left to size a position with (equity {equity:f}).")
    if rules.method in ESTIMATED:
        rules, unit = _estimated(rules, specs, price, estimate)
    else:
        unit = _unit(rules, specs, fees, price, stop_price)
    wanted = equity * rules.fraction / unit
    rounding = ROUND_HALF_UP if rules.method == "notional" else ROUND_FLOOR
    quantity = to_step(wanted, _step(specs), rounding)
    capped_by = None
    for limit, name in _limits(rules, specs, fees, equity=equity, price=price):
        if quantity > limit:
            quantity, wanted, capped_by = to_step(limit, _step(specs), ROUND_FLOOR), limit, name
    if quantity < _least_quantity(specs, price):
        told = {"equity": equity, "price": price, "unit": unit, "wanted": wanted, "quantity": quantity}
        raise _below_minimum(rules, specs, fees, **told)
    return Sized(
        quantity=quantity,
        price=price,
        notional=quantity * price,
        equity=equity,
        asked_share=rules.fraction,
        actual_share=quantity * unit / equity,
        capped_by=capped_by,
        rounded=capped_by is None and quantity != wanted,
    )


def near_asked(sized: Sized, specs: InstrumentSpecs) -> Decimal:
    """Return the equity from which on a size like this one, rounded to the nearest step, is at most a tenth above.

    Half a step is a tenth of five: equity × share asked ÷ price ≥ 5 steps.
    """
    return 5 * _step(specs) * sized.price / sized.asked_share


def to_step(quantity: Decimal, step: Decimal, rounding: str = ROUND_FLOOR) -> Decimal:
    """Return the multiple of `step` at or next to `quantity`, in the step's own decimals."""
    return ((quantity / step).to_integral_value(rounding) * step).quantize(step)


def split_quantity(quantity: Decimal, most: Decimal, step: Decimal) -> list[Decimal]:
    """Return a quantity in as few parts of at most `most` as there can be, on the step, the largest first.

    The parts differ by one step at most, so that none is below a minimum that the others reach. Nothing has no parts.
    """
    if not quantity:
        return []
    count = int((quantity / to_step(most, step)).to_integral_value(ROUND_CEILING))
    units, odd = divmod(quantity, step)
    parts = [step * (units // count + (number < units % count)) for number in range(count)]
    return [*parts[:-1], parts[-1] + odd]


def loss_per_unit(
    price: Decimal, stop_price: Decimal, *, taker: Decimal, tick: Decimal, slippage: Slippage = NO_SLIPPAGE
) -> Decimal:
    """Return what one unit of base asset loses between entry and stop, both fees and slippage included.

    loss = |entry − exit| + (entry + exit) × taker fee, where entry and exit are the two prices with slippage
    """
    enters = Side.BUY if stop_price < price else Side.SELL
    leaves = Side.SELL if enters is Side.BUY else Side.BUY
    entry = slippage.worse(price, enters, tick=tick)
    exit_ = slippage.worse(stop_price, leaves, tick=tick)
    return abs(entry - exit_) + (entry + exit_) * taker


def _unit(
    rules: SizingRules, specs: InstrumentSpecs, fees: Fees, price: Decimal, stop_price: Decimal | None
) -> Decimal:
    """What one unit of base asset costs in terms of the fraction: its price, or its loss at the stop."""
    if rules.method == "notional":
        return price
    if stop_price is None or stop_price <= 0:
        got = "" if stop_price is None else f" (got {stop_price})"
        raise SizingError(
            f"Sizing by {rules.method!r} needs the price of a stop above zero, and there is none{got}. "
            "Give the strategy a stop, set sizing.stop_distance, or use --sizing notional."
        )
    return loss_per_unit(price, stop_price, taker=fees.taker, tick=specs.tick_size, slippage=rules.slippage)


def _estimated(
    rules: SizingRules, specs: InstrumentSpecs, price: Decimal, estimate: Decimal | None
) -> tuple[SizingRules, Decimal]:
    """Return the rules with the fraction that counts, and what one unit of base asset costs in terms of it."""
    if estimate is None or estimate <= 0:
        raise SizingError(f"{specs.symbol}: sizing by {rules.method!r} needs an estimate above zero, not {estimate}.")
    if rules.method == "volatility":
        return rules, price * estimate
    return replace(rules, fraction=estimate), price


def _carried(rules: SizingRules, specs: InstrumentSpecs, fees: Fees, price: Decimal) -> Decimal:
    """Equity that one unit of base asset ties up at entry: initial margin plus the entry fee, at the price paid."""
    paid = rules.slippage.worse(price, Side.BUY, tick=specs.tick_size)
    return paid * (1 / rules.leverage + fees.taker)


def _limits(
    rules: SizingRules, specs: InstrumentSpecs, fees: Fees, *, equity: Decimal, price: Decimal
) -> list[tuple[Decimal, str]]:
    """Return the largest quantities there may be, and what limits them."""
    return [
        (equity / _carried(rules, specs, fees, price), "leverage"),
        (Decimal("Infinity") if rules.max_notional is None else rules.max_notional / price, "bracket"),
        (specs.market_max_quantity, "market max quantity"),
        (specs.max_quantity, "max quantity"),
    ]


def _step(specs: InstrumentSpecs) -> Decimal:
    return max(specs.step_size, specs.market_step_size)


def _least_lot(specs: InstrumentSpecs) -> Decimal:
    needed = max(specs.min_quantity, specs.market_min_quantity, _step(specs))
    return to_step(needed, _step(specs), ROUND_CEILING)


def _least_quantity(specs: InstrumentSpecs, price: Decimal) -> Decimal:
    return max(_least_lot(specs), to_step(specs.min_notional / price, _step(specs), ROUND_CEILING))


def _below_minimum(
    rules: SizingRules,
    specs: InstrumentSpecs,
    fees: Fees,
    *,
    equity: Decimal,
    price: Decimal,
    unit: Decimal,
    wanted: Decimal,
    quantity: Decimal,
) -> BelowMinimumError:
    least = _least_quantity(specs, price)
    # Rounding to nearest reaches a step from half a step below it.
    reached = least - _step(specs) / 2 if rules.method == "notional" else least
    carried = least * _carried(rules, specs, fees, price)
    balance = max(reached * unit / rules.fraction, carried).quantize(_CENT, ROUND_CEILING)
    fraction = (reached * unit / equity).quantize(_FRACTION_STEP, ROUND_CEILING)
    most = rules.leverage if rules.method == "notional" else Decimal(1)
    # Kelly's share follows from the trades, not from --risk.
    feasible = carried <= equity and fraction <= most and rules.method != "kelly"
    limit = f"min notional {specs.min_notional:f} {specs.quote_asset}"
    # Where the smallest order there is satisfies min notional, that is not what refuses.
    if least == _least_lot(specs):
        limit = f"min quantity {least:f} {specs.base_asset}"
    smallest = fraction.normalize() if feasible else None
    return BelowMinimumError(specs, wanted, quantity, price, limit, balance, smallest)
