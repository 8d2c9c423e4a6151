"""Refuses orders the account has no margin for, as the exchange does for one-way positions.

The engine itself asks no margin for orders (`build_instrument`): it would add up buys and sales, and ask for the whole
of an order that closes or turns a position. The exchange counts only the larger side: position + open buys, or position
− open sales. So what closes the position asks for nothing, be it a market order, a target or a stop, also where the
market order that opens the position is of the same moment. What lies beyond it opens with what closing leaves. Where
two orders may close the same position, the second one to fill opens another: it is asked then (`overreach`).
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, cast

from nautilus_trader.model import BarType, InstrumentId, Money, OrderType, Price
from nautilus_trader.trading import Strategy

from nt_run.engine.account import account_equity, position_margin
from nt_run.engine.instrument import ensure_currency
from nt_run.engine.moment import ZERO, Moment, held_after, signed, stated_price, waiting
from nt_run.engine.venue import VENUE
from nt_run.filters import NO_MARGIN, POSITION_TOO_LARGE, TURN_TOO_LARGE, UNBORNE
from nt_run.specs import InstrumentSpecs

FEES_SINCE = 4
"""How many taker fees on its notional a limit order's margin may lack when it fills: those paid since it was sent."""


class MarginGate:
    """A gate (`nt_run.engine.refuse.Gate`) that knows what the account has free.

    A market order counts at the last close of the bars of `bar_type`, any other at its own price. Initial margin is
    notional ÷ `leverage`, at which the brackets allow a position of at most `most` (quote asset; `None` for any). With
    `cross` open profit and loss count towards what is free; an isolated position keeps the margin it was opened with.
    `taker` is the fee of market orders, a fraction of notional. `unasked` gets the ids of orders that passed because
    they only closed when they were sent.
    """

    def __init__(
        self,
        specs: InstrumentSpecs,
        bar_type: BarType,
        moment: Moment,
        *,
        leverage: Decimal,
        most: Decimal | None,
        taker: Decimal,
        cross: bool,
        unasked: set[str],
    ) -> None:
        self.unasked = unasked
        self._leverage, self._most, self._taker, self._cross = leverage, most, taker, cross
        self._bar_type, self._moment = bar_type, moment
        self._currency = ensure_currency(specs.quote_asset)
        self._instrument_id = InstrumentId.from_str(specs.instrument_id)

    def __call__(self, strategy: Strategy, order: Any) -> str | None:  # noqa: ANN401 - the engine's orders share no base
        """Return why the account cannot bear an order, `None` if it can."""
        if order.is_reduce_only:
            return None
        bar = cast("Any", strategy).cache.bar(self._bar_type)
        last = stated_price(order) if bar is None else bar.close
        if last is None:
            return None
        coming = self._moment.coming(strategy)
        price = (stated_price(order) or last).as_decimal()
        others = waiting(strategy, order, coming)
        return self._judged(strategy, order, price, last, coming, others, cross=self._cross)

    def at_fill(self, strategy: Strategy, order: Any, price: Price) -> str | None:  # noqa: ANN401 - as above
        """Return why the account cannot bear an order that waited and fills at `price`, whatever else waits beside it.

        A limit order's margin was set aside when it was sent. It is refused where realised losses have eaten that
        since; fees and open losses do not.
        """
        at = price.as_decimal()
        if order.order_type != OrderType.LIMIT or order.client_order_id.value in self.unasked:
            reason = self._judged(strategy, order, at, price, (), (), cross=self._cross)
        else:
            spare = FEES_SINCE * self._taker * order.quantity.as_decimal() * at
            reason = self._judged(strategy, order, at, price, (), (), cross=False, spare=spare)
        return UNBORNE if reason in {NO_MARGIN, TURN_TOO_LARGE} else reason

    def _judged(
        self,
        strategy: Strategy,
        order: Any,  # noqa: ANN401 - as above
        price: Decimal,
        last: Price,
        coming: Sequence[Any],
        others: Sequence[Any],
        *,
        cross: bool,
        spare: Decimal = ZERO,
    ) -> str | None:
        """Judge an order at its `price`, and the rest at the last one, behind what comes and beside what waits.

        `spare` is margin it has already.
        """
        held: Decimal = cast("Any", strategy.portfolio).net_position(self._instrument_id)
        after = held_after(held, coming)
        quantity: Decimal = order.quantity.as_decimal()
        closes = abs(after) if after * signed(order) < 0 else ZERO
        if quantity <= closes:
            # Whatever waits beside it: a position can always be closed.
            self.unasked.add(order.client_order_id.value)
            return None
        notional = quantity * price
        for each in others:
            also: Decimal = each.leaves_qty.as_decimal()
            quantity += also
            notional += also * (stated_price(each) or last).as_decimal()
        opens = quantity - closes
        if self._most is not None and (opens if closes else opens + abs(after)) * price > self._most:
            return POSITION_TOO_LARGE
        if not closes:
            free = spare + self._free(strategy, held, after, coming, last, cross=cross)
            return NO_MARGIN if notional > free * self._leverage else None
        equity = account_equity(strategy, self._instrument_id, self._currency, last)
        left = equity + spare - self._fees(coming, last) - closes * last.as_decimal() * self._taker
        return TURN_TOO_LARGE if notional * opens / quantity > left * self._leverage else None

    def _free(
        self, strategy: Strategy, held: Decimal, after: Decimal, coming: Sequence[Any], last: Price, *, cross: bool
    ) -> Decimal:
        """Return what no position ties up once the market orders of the moment have filled, in the quote asset."""
        portfolio: Any = strategy.portfolio
        if not held and not coming:
            return portfolio.equity(VENUE)[self._currency].as_decimal()
        free = account_equity(strategy, self._instrument_id, self._currency, last)
        kept = min(abs(held), abs(after)) if held * after > 0 else ZERO
        if kept and cross:
            free -= kept * last.as_decimal() / self._leverage
        elif kept:
            pnl: Money = portfolio.unrealized_pnl(self._instrument_id, last)
            margin = position_margin(strategy, self._instrument_id, self._leverage)
            free -= (pnl.as_decimal() + margin) * kept / abs(held)
        opened = (abs(after) - kept) * last.as_decimal() / self._leverage
        return free - opened - self._fees(coming, last)

    def _fees(self, coming: Sequence[Any], last: Price) -> Decimal:
        """Return the fees of the market orders on their way."""
        sizes = (each.quantity.as_decimal() for each in coming if each.order_type == OrderType.MARKET)
        return sum(sizes, ZERO) * last.as_decimal() * self._taker
