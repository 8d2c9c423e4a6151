"""Is a backtest of this strategy honest? Three tests of what it asked for, given a way to run it. Pure.

- The same again: two runs ask for the same orders.
- No future: whatever comes after a moment, the orders up to it are the same. The moments are those at which orders
  were sent, where knowledge of the next bar shows at once, and some at random; each has three futures: noise, its
  mirror image, and none, for how much data there is tells of the future, too.
- A later start: once indicators are warm, a run that starts later asks for the same in the same position.
"""

import random
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from itertools import zip_longest
from typing import Any, Literal, Protocol

from nt_run.counterfactual import with_other_future, without_future
from nt_run.klines import Klines
from nt_run.lens import Lens
from nt_run.model import MS, Fill, SentOrder, TimeRange


class Outcome(Protocol):
    """What a run of the strategy came to, in time order."""

    @property
    def sent(self) -> Sequence[SentOrder]:
        """What it asked for."""
        ...

    @property
    def fills(self) -> Sequence[Fill]:
        """What it got."""
        ...


type Trial = Callable[[Klines, Klines, Lens | None], Outcome]
"""Runs the strategy: what the engine is fed, what `history` holds, and through which lens all else is seen."""

_AT_ORDERS = 0.6
"""Share of the moments that are those of orders."""
_EARLIEST, _LATEST = 0.1, 0.95
_FED_BEYOND = 2
"""Bars of the other future the engine is fed: enough for the run's end to come after the moment."""
_ENOUGH = 3
"""Orders that must agree after the last difference, fewer where there are few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first place where two lists of orders part: `first` or `second` is `None` where that list has no order."""

    time_ns: int
    first: SentOrder | None
    second: SentOrder | None


Future = Literal["noise", "mirror", "end"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One moment after which the future was replaced; `orders` were sent up to it.

    `future` is the one that made the `difference`; both are `None` where none did.
    """

    time_ms: int
    orders: int
    difference: Difference | None
    future: Future | None = None


Agreement = Literal["equal", "by_position", "never", "no_orders"]
"""`equal`: the same decisions in the same position, once warm. `by_position`: the runs parted while warming up and held
different positions from then on, so there is too little to compare. `never`: they go on to decide differently while in
the same position."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaterStart:
    """One run that started `bars` later.

    `compared` counts the orders of the whole run after the later start, `equal_after` the bars up to the last time the
    two decided differently while in the same position, which is `difference`.
    """

    bars: int
    compared: int
    agreement: Agreement
    equal_after: int
    difference: Difference | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What all tests found; `moments` and `starts` are empty where the strategy does not do the same twice."""

    orders: int
    again: Difference | None
    moments: Sequence[Moment]
    starts: Sequence[LaterStart]


def first_difference(first: Sequence[SentOrder], second: Sequence[SentOrder]) -> Difference | None:
    """Return where two lists of orders, in time order, part; `None` if they are the same."""
    for one, other in zip_longest(first, second):
        if one == other:
            continue
        time_ns = min(order.time_ns for order in (one, other) if order is not None)
        # An order the other list has later, or never, has no counterpart at this time.
        then = [order if order is not None and order.time_ns == time_ns else None for order in (one, other)]
        return Difference(time_ns=time_ns, first=then[0], second=then[1])
    return None


def check_future(
    trial: Trial,
    klines: Klines,
    orders: Sequence[SentOrder],
    *,
    tick: Decimal,
    times: int,
    seed: int,
    keep_open: bool = False,
) -> list[Moment]:
    """Return what `times` moments show, in time order; a moment ends with the first of its futures that differs.

    Args:
        trial: Runs the strategy.
        klines: The market as it was.
        orders: What the strategy asked for in it.
        tick: The contract's tick size.
        times: How many moments.
        seed: Which moments, and which noise.
        keep_open: Whether the open after a moment stays as it was, as where market orders fill at it.
    """
    moments: list[Moment] = []
    for number, moment in enumerate(choose_moments(klines, orders, times, seed)):
        known = [order for order in orders if order.time_ns <= moment * MS]
        fed = TimeRange(klines.range.start_ms, moment + _FED_BEYOND * klines.interval.ms)
        noise = partial(with_other_future, known_until_ms=moment, tick=tick, seed=seed + number, keep_open=keep_open)
        futures: dict[Future, Lens] = {
            "noise": noise,
            "mirror": partial(noise, mirrored=True),
            "end": partial(without_future, end_ms=fed.end_ms),
        }
        difference, found = None, None
        for future, lens in futures.items():
            changed = lens(klines)
            outcome = trial(changed.within(fed), changed, lens)
            sent = [order for order in outcome.sent if order.time_ns <= moment * MS]
            if difference := first_difference(known, sent):
                found = future
                break
        moments.append(Moment(time_ms=moment, orders=len(known), difference=difference, future=found))
    return moments


def choose_moments(klines: Klines, orders: Sequence[SentOrder], times: int, seed: int) -> list[int]:
    """Return moments (ms) with bars on both sides: of orders as far as there are any, the rest closes at random."""
    draws = random.Random(seed)  # noqa: S311 - a sample, not a secret
    span, step = klines.range, klines.interval.ms
    sent = sorted({-(-order.time_ns // MS) for order in orders})
    sent = [time for time in sent if span.start_ms + step <= time <= span.end_ms - step]
    chosen = set(draws.sample(sent, min(len(sent), max(1, round(times * _AT_ORDERS)))))
    closes = [int(time) + step for time in klines.open_times()]
    inner = closes[int(len(closes) * _EARLIEST) : max(int(len(closes) * _LATEST) - 1, 1)]
    left = sorted(set(inner) - chosen)
    chosen.update(draws.sample(left, min(len(left), max(0, times - len(chosen)))))
    return sorted(chosen)


def check_later_starts(trial: Trial, klines: Klines, whole: Outcome) -> list[LaterStart]:
    """Return what runs over the same market from later starts show: a bar later, an odd few, a tenth of the range.

    Quantities and prices may differ, as equity does; time, side and type of new orders are compared, and only where
    both runs are in the same position: what is done about a position depends on when it was opened.
    """
    starts: list[LaterStart] = []
    for bars in sorted({1, 61, len(klines) // 10}):
        if 0 < bars < len(klines) // 2:
            later = Klines(klines.symbol, klines.interval, klines.exponents, klines.frame[bars:])
            starts.append(_compare(bars, later, whole, trial(later, later, None)))
    return starts


def _compare(bars: int, klines: Klines, whole: Outcome, later: Outcome) -> LaterStart:
    start_ns, end_ns = klines.range.start_ms * MS, klines.range.end_ms * MS
    first, second = (_decisions(run.sent, start_ns) for run in (whole, later))
    entered = _Positions(whole.fills), _Positions(later.fills)
    times = {key[0] for key in first.keys() ^ second.keys()}
    parted = [time for time in times if entered[0].before(time) == entered[1].before(time)]
    last = max(parted, default=start_ns)
    same = sum(key[0] > last for key in first.keys() & second.keys())
    agreement: Agreement = "equal"
    if not first and not second:
        agreement = "no_orders"
    elif times and same < min(_ENOUGH, max(1, len(first) // 4)):
        agreement = "never" if last - start_ns > (end_ns - start_ns) // 2 else "by_position"
    return LaterStart(
        bars=bars,
        compared=len(first),
        agreement=agreement,
        equal_after=-(-(last - start_ns) // (klines.interval.ms * MS)),
        difference=_difference_at(last, first, second) if parted else None,
    )


type _Decisions = dict[tuple[Any, ...], SentOrder]


def _decisions(orders: Sequence[SentOrder], start_ns: int) -> _Decisions:
    """Return the new orders after the start by what is compared of them."""
    return {
        (order.time_ns, order.side, order.order_type): order
        for order in orders
        if order.action == "new" and order.time_ns > start_ns
    }


def _difference_at(time_ns: int, first: _Decisions, second: _Decisions) -> Difference:
    one, other = (
        next((order for key, order in mine.items() if key[0] == time_ns and key not in theirs), None)
        for mine, theirs in ((first, second), (second, first))
    )
    return Difference(time_ns=time_ns, first=one, second=other)


class _Positions:
    """When and which way the position of each moment was opened."""

    def __init__(self, fills: Sequence[Fill]) -> None:
        self._times: list[int] = []
        self._opened: list[tuple[int, int] | None] = []
        held, opened = Decimal(0), None
        for fill in fills:
            before, held = held, held + fill.side.sign * fill.quantity
            if before * held <= 0:
                opened = (fill.time_ns, fill.side.sign) if held else None
            self._times.append(fill.time_ns)
            self._opened.append(opened)

    def before(self, time_ns: int) -> tuple[int, int] | None:
        """Return the opening time and sign of the position held just before a moment; `None` if there was none."""
        place = bisect_left(self._times, time_ns)
        return self._opened[place - 1] if place else None
