"""At which price a taker's order fills: the moment, and the slippage on top of it. Pure, in `Decimal`.

Slippage is charged to every fill that takes: market orders, stops, touched and trailing orders, limit orders that are
marketable when they are sent, up to their limit. It never helps the trader, and never touches a limit order that
rested, which fills at its own price or not at all.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Literal

from nt_run.errors import UsageError
from nt_run.model import Interval, Side

FillTime = Literal["close", "next-open"]
FILL_TIMES: tuple[FillTime, ...] = ("close", "next-open")
_BPS = Decimal(10_000)
MOST_SLIPPAGE = Decimal("0.1")
"""Share of the price: the prices that fills reach beyond the market's are taken to be no further from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slippage:
    """What a taker pays beyond the price: `bps` basis points of it plus `ticks` tick sizes; both add up."""

    bps: Decimal = Decimal(0)
    ticks: int = 0

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.bps or self.ticks)

    def worse(self, price: Decimal, side: Side, *, tick: Decimal, grid: Decimal | None = None) -> Decimal:
        """Return what an order on `side` pays or gets where the market's price is `price`.

        price ± (price × bps ÷ 10,000 + ticks × tick), rounded to the next multiple of `grid` against the order. A sale
        gets at least one `grid`. Without slippage the price stays as it is.

        Args:
            price: The market's price, in the quote asset.
            side: The order's side.
            tick: The contract's tick size.
            grid: What prices are multiples of; the tick size unless the data is finer.
        """
        if not self:
            return price
        step = grid or tick
        moved = price + side.sign * (price * self.bps / _BPS + self.ticks * tick)
        rounded = (moved / step).to_integral_value(ROUND_CEILING if side is Side.BUY else ROUND_FLOOR) * step
        return max(rounded, step).quantize(step)


NO_SLIPPAGE = Slippage()


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """How orders meet the market.

    `fill` says when a market order fills, and a limit order that is marketable when it is sent: at the close of the bar
    that signalled, or at the open of the next one.
    """

    fill: FillTime = "close"
    slippage: Slippage = NO_SLIPPAGE

    @property
    def plain(self) -> bool:
        """Whether the engine's own prices are the answer."""
        return self.fill == "close" and not self.slippage


PLAIN = Execution()


def check_detail(interval: str, detail: str | None) -> None:
    """Refuse finer klines that are not finer, or of which no bar of the run can be put together.

    Raises:
        UsageError: There is no such interval, or it is not finer than the run's, or does not divide it.
    """
    if detail is None:
        return
    whole, part = Interval(interval), Interval(detail)
    if part.ms >= whole.ms:
        raise UsageError(
            f"execution.detail (--detail) must be finer than the run's interval, {whole}, and {part} is not."
        )
    if not whole.is_made_of(part):
        raise UsageError(
            f"execution.detail (--detail) must divide the run's interval: {whole} is not made of whole {part}."
        )


def check_slippage(slippage: Slippage, *, tick: Decimal, lowest: Decimal) -> None:
    """Refuse slippage in ticks that comes to too large a share of the price.

    Args:
        slippage: What was asked for.
        tick: The contract's tick size.
        lowest: The lowest price of the run, in the quote asset, above zero.

    Raises:
        UsageError: Together with basis points it is more than `MOST_SLIPPAGE` of the lowest price.
    """
    in_bps = slippage.bps / _BPS
    share = in_bps + slippage.ticks * tick / lowest
    if not slippage.ticks or share <= MOST_SLIPPAGE:
        return
    most = int((MOST_SLIPPAGE - in_bps) * lowest / tick)
    beside = f" with {slippage.bps.normalize():f} bp" if slippage.bps else ""
    shown = f"{share * 100:.4g} %"
    raise UsageError(
        f"costs.slippage_ticks (--slippage-ticks): {slippage.ticks} ticks of {tick.normalize():f}{beside} come to "
        f"{shown} of the run's lowest price, {lowest.normalize():f}. Slippage may be "
        f"{MOST_SLIPPAGE * 100:.0f} % of it: at most {most} ticks."
    )
