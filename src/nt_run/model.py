"""Values that several steps share: time, sides, fills, funding.

Times are UTC. `*_ms` is milliseconds and `*_ns` nanoseconds since the Unix epoch. Prices, quantities and money are
`Decimal`; rates are fractions. Every range is half-open, `[start, end)`.
"""

import datetime as dt
import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from nt_run.errors import UsageError
from nt_run.intervals import Interval

MS = 1_000_000
"""Nanoseconds in a millisecond."""

_MINUTE = 60_000


class Side(StrEnum):
    """The side of an order or of a position: buying, and being long, is +1."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for a buy or a long position, −1 for a sell or a short one."""
        return 1 if self is Side.BUY else -1


class Liquidity(StrEnum):
    """Whether a fill made the market (`maker`) or took from it (`taker`)."""

    MAKER = "maker"
    TAKER = "taker"


@dataclass(frozen=True, slots=True, order=True)
class TimeRange:
    """A half-open UTC range `[start_ms, end_ms)`.

    Raises:
        UsageError: The range is empty or runs backwards.
    """

    start_ms: int
    end_ms: int

    def __post_init__(self) -> None:
        if self.start_ms >= self.end_ms:
            raise UsageError(
                f"The range starts at {format_time(self.start_ms)} and ends at {format_time(self.end_ms)}: "
                "the end must come after the start."
            )

    @property
    def ms(self) -> int:
        """Length in milliseconds."""
        return self.end_ms - self.start_ms

    def bars(self, interval: Interval) -> int:
        """How many klines of `interval` open inside the range."""
        return interval.number(interval.ceil(self.end_ms)) - interval.number(interval.ceil(self.start_ms))

    def __str__(self) -> str:
        return f"{format_time(self.start_ms)} → {format_time(self.end_ms)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fees:
    """Trading fees as fractions of notional, and where they come from (shown in every report)."""

    maker: Decimal
    taker: Decimal
    source: str


LIQUIDATION = "liquidation"
"""Order type of a fill by which the exchange closed a position."""
STOPS = frozenset({"stop_market", "stop_limit", "trailing_stop_market", "trailing_stop_limit"})
"""Order types that end a trade at a stop."""
TRIGGERED = STOPS | {"market_if_touched", "limit_if_touched"}
"""Order types that wait for a trigger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One execution. `fee` is positive when paid, in the quote asset; `liquidation` is charged on top of it."""

    time_ns: int
    order_id: str
    side: Side
    quantity: Decimal
    price: Decimal
    reference: Decimal
    """The market's price, of which slippage made `price`."""
    fee: Decimal
    liquidity: Liquidity
    order_type: str
    """`market`, `limit`, `stop_market`, …; `liquidation` where the exchange closed the position."""
    liquidation: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingRate:
    """One settlement as the exchange published it.

    `time_ms` is the raw funding time, which carries up to some ten milliseconds of jitter; `slot_ms` is the nominal
    settlement time. `mark_price` is absent on old rows.
    """

    time_ms: int
    slot_ms: int
    rate: Decimal
    mark_price: Decimal | None


PriceSource = Literal["mark_price", "last_close"]
"""Where a settlement price is from: the exchange's mark price, or, where it published none, the close of the last bar
there was: behind a hole that is an old price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """One settlement of a run's range, whether a position paid it or not."""

    time_ns: int
    """Its slot."""
    rate: Decimal
    price: Decimal
    """Settlement price, in the quote asset."""
    price_source: PriceSource


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingPayment:
    """One settlement charged to a position. `amount` is negative when paid, in the quote asset."""

    time_ns: int
    position: Decimal
    """Signed quantity held at the settlement."""
    rate: Decimal
    price: Decimal
    """Settlement price."""
    price_source: PriceSource
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedTrade:
    """One position as the engine booked it; `pnl` is what it has realised, net of fees and funding, in quote."""

    entry_time_ns: int
    exit_time_ns: int | None
    """`None` while it is open."""
    pnl: Decimal


@dataclass(frozen=True, slots=True)
class PlotLine:
    """A line a strategy publishes for charts, over the candles (`pane` is `price`) or in a pane of its own.

    One value per time of its `Plots`, NaN where there is none.
    """

    pane: str
    name: str
    values: array[float]


@dataclass(frozen=True, slots=True)
class Plots:
    """What a strategy publishes, in its order, at the closes (ns) of the bars it was given."""

    times_ns: array[int]
    lines: Sequence[PlotLine]


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing an audit found wrong in a kept run."""

    check: str
    """Which check: `fills`, `funding`, `trades`, `equity`, `totals`, …"""
    what: str
    time_ns: int | None
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Audited:
    """What one check of an audit found: what is wrong, how much it looked at, and what could not be checked."""

    violations: Sequence[Violation]
    checked: int
    unchecked: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """An order that never reached the market, and why."""

    time_ns: int
    reason: str
    entry: bool = True
    """Whether a signal was lost with it: not for a reduce-only order or for a change of an order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentOrder:
    """What a strategy asked for at one moment, whatever became of it."""

    time_ns: int
    action: str
    """`new`, `modified` or `cancelled`."""
    side: Side
    order_type: str
    """`market`, `limit`, `stop_market`, …"""
    quantity: Decimal
    price: Decimal | None = None
    """Limit price; `None` where the order has none, or left as it was by a modification."""
    trigger: Decimal | None = None

    def __str__(self) -> str:
        parts = [self.side.value, f"{self.quantity.normalize():f}", self.order_type.replace("_", " ")]
        parts += [f"at {self.price:f}"] if self.price is not None else []
        parts += [f"triggered at {self.trigger:f}"] if self.trigger is not None else []
        return ("" if self.action == "new" else f"{self.action}: ") + " ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketState:
    """Prices (quote asset) and funding of this moment.

    `funding_interval_ms` is the time from the last settlement to the next. What the exchange did not say is `None`.
    """

    time_ms: int
    mark_price: Decimal
    index_price: Decimal | None
    last_funding_rate: Decimal | None
    next_funding_ms: int | None
    funding_interval_ms: int | None


def parse_symbol(text: str) -> str:
    """Return the exchange's symbol for any of its usual spellings.

    `BTCUSDT`, `btcusdt`, `BTC/USDT:USDT`, `BTCUSDT-PERP` and `BTCUSDT-PERP.BINANCE` all mean `BTCUSDT`.

    Raises:
        UsageError: The text has none of these forms.
    """
    match = re.fullmatch(r"(\w+?)(?:/(\w+):(\w+)|-PERP(?:\.BINANCE)?)?", text.strip().upper())
    if match is None or (match[2] is not None and match[2] != match[3]):
        raise UsageError(
            f"{text!r} is not a symbol of a USDⓈ-M perpetual. Write BTCUSDT, BTC/USDT:USDT or BTCUSDT-PERP."
        )
    return match[1] + (match[2] or "")


def instrument_id(symbol: str) -> str:
    """Return the engine's name for the perpetual of `symbol`: `BTCUSDT-PERP.BINANCE`."""
    return f"{symbol}-PERP.BINANCE"


def format_time(time_ms: int) -> str:
    """Return a UTC time as `2025-05-04 15:33`, with seconds only where they matter."""
    moment = dt.datetime.fromtimestamp(time_ms / 1000, dt.UTC)
    return f"{moment:%Y-%m-%d %H:%M}" if time_ms % _MINUTE == 0 else f"{moment:%Y-%m-%d %H:%M:%S}"


def format_iso(time_ms: int) -> str:
    """Return a UTC time as ISO 8601: `2025-05-04T15:33:00Z`, with milliseconds only where there are any."""
    moment = dt.datetime.fromtimestamp(time_ms // 1000, dt.UTC)
    millis = time_ms % 1000
    return f"{moment:%Y-%m-%dT%H:%M:%S}" + (f".{millis:03d}Z" if millis else "Z")


def parse_time(text: str) -> int:
    """Return the milliseconds of an ISO date or time, UTC unless it says otherwise.

    Raises:
        UsageError: The text is not an ISO 8601 date or time, or one of a year outside 1970 to 2999.
    """
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as exc:
        raise UsageError(f"{text!r} is not a time. Write 2025-05-04 or 2025-05-04T15:33 (UTC).") from exc
    if not 1970 <= moment.year <= 2999:  # noqa: PLR2004 - a wide margin to what calendars have
        raise UsageError(f"{text!r} is not a time within the years 1970 to 2999.")
    moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return round(moment.timestamp() * 1000)
