"""Is a backtest of this strategy honest? Three tests of what it asked for, given a way to run it. Pure.

- The same again: two runs ask for the same orders.
- No future: whatever comes after a moment, the orders up to it are the same. Each moment of `nt_run.moments` has three
  futures: noise, its mirror image, and none, for how much data there is tells of the future, too. The many early ones
  have one: noise that at first goes the other way than the market did, and ends before long.
- A later start: once indicators are warm, a run that starts later asks for the same in the same position.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from itertools import zip_longest
from typing import Any, Literal

from nt_run.counterfactual import go_alike, with_other_future, without_future
from nt_run.klines import Klines
from nt_run.lens import Lens
from nt_run.model import MS, SentOrder, TimeRange
from nt_run.moments import Outcome, Positions, choose_moments

type Trial = Callable[[Klines, Klines, Lens | None], Outcome]
"""Runs the strategy: what the engine is fed, what `history` holds, and through which lens all else is seen."""

_FED_BEYOND = 2
"""Bars of the other future the engine is fed: enough for the run's end to come after the moment."""
_BRIEF = 10
"""A brief future leaves at least so manieth a part of the range, so that whoever needs some rows to begin has them."""
_ENOUGH = 3
"""Orders that must agree after the last difference, fewer where there are few."""
_APART = 10
"""Positions both runs open without one in common that are no coincidence any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first place where two lists of orders part: `first` or `second` is `None` where that list has no order."""

    time_ns: int
    first: SentOrder | None
    second: SentOrder | None


Future = Literal["noise", "mirror", "end", "brief"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One moment after which the future was replaced; `orders` were sent up to it.

    `future` is the one that made the `difference`; both are `None` where none did.
    """

    time_ms: int
    orders: int
    difference: Difference | None
    future: Future | None = None


Agreement = Literal["equal", "by_position", "apart", "never", "no_orders"]
"""`equal`: the same decisions in the same position, once warm. `by_position`: the runs parted while warming up and held
different positions from then on, so there is too little to compare. `apart`: the same, though both went on to open many
positions, which no longer range would change. `never`: they go on to decide differently while in the same position."""


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
    """What all tests found; `moments` and `starts` are empty where the strategy does not do the same twice.

    `processes` counts the runs that were made in processes of their own.
    """

    orders: int
    processes: int
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
    whole: Outcome,
    *,
    tick: Decimal,
    times: int,
    seed: int,
    early: Sequence[int] | None = (),
    keep_open: bool = False,
) -> list[Moment]:
    """Return what the moments show, in time order; a moment ends with the first of its futures that differs.

    Args:
        trial: Runs the strategy.
        klines: The market as it was.
        whole: What the strategy did in it.
        tick: The contract's tick size.
        times: How many moments over the whole range.
        seed: Which moments, and which noise.
        early: More moments (ms), with a brief future each; they end with the first that differs. `None` where the
            strategy was given no bars but those it is fed: all futures are the same to it, so each moment has one.
        keep_open: Whether the open after a moment stays as it was, as where market orders fill at it.
    """
    noise = partial(with_other_future, tick=tick, keep_open=keep_open)
    examine = partial(_examine, trial, klines, whole.sent)

    def futures(moment: int, number: int) -> dict[Future, Lens]:
        other = partial(noise, known_until_ms=moment, seed=seed + number)
        end = partial(without_future, end_ms=moment + _FED_BEYOND * klines.interval.ms)
        more: dict[Future, Lens] = {} if early is None else {"mirror": partial(other, mirrored=True), "end": end}
        return {"noise": other, **more}

    moments: list[Moment] = []
    for number, moment in enumerate(early or (), times):
        brief = _brief(klines, moment, partial(noise, known_until_ms=moment, seed=seed + number))
        moments.append(examine(moment, {"brief": brief}))
        if moments[-1].difference:
            # One of the others says more plainly what it knew.
            plain = examine(moment, futures(moment, number))
            moments[-1] = plain if plain.difference else moments[-1]
            break
    for number, moment in enumerate(choose_moments(klines, whole, times, seed)):
        moments.append(examine(moment, futures(moment, number)))
    return sorted(moments, key=lambda moment: moment.time_ms)


def _examine(
    trial: Trial, klines: Klines, orders: Sequence[SentOrder], moment: int, futures: Mapping[Future, Lens]
) -> Moment:
    """Run the strategy up to a moment with each of its futures, until one makes a difference."""
    known = [order for order in orders if order.time_ns <= moment * MS]
    fed = TimeRange(klines.range.start_ms, moment + _FED_BEYOND * klines.interval.ms)
    for future, lens in futures.items():
        changed = lens(klines)
        outcome = trial(changed.within(fed), changed, lens)
        sent = [order for order in outcome.sent if order.time_ns <= moment * MS]
        if difference := first_difference(known, sent):
            return Moment(time_ms=moment, orders=len(known), difference=difference, future=future)
    return Moment(time_ms=moment, orders=len(known), difference=None)


def _brief(klines: Klines, moment: int, noise: Callable[..., Klines]) -> Lens:
    """Return a future of as many bars as came before: what it costs to look at it does not grow with the range."""
    span, past = klines.range, moment - klines.range.start_ms
    end = span.start_ms + max(
        2 * past, past + _FED_BEYOND * klines.interval.ms, (span.end_ms - span.start_ms) // _BRIEF
    )

    def seen(shown: Klines, *, mirrored: bool) -> Klines:
        return noise(without_future(shown, end), mirrored=mirrored)

    return partial(seen, mirrored=go_alike(klines, seen(klines, mirrored=False), moment))


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
    entered = Positions(whole.fills), Positions(later.fills)
    times = {key[0] for key in first.keys() ^ second.keys()}
    parted = [time for time in times if entered[0].before(time) == entered[1].before(time)]
    last = max(parted, default=start_ns)
    same = sum(key[0] > last for key in first.keys() & second.keys())
    agreement: Agreement = "equal"
    if not first and not second:
        agreement = "no_orders"
    elif times and same < min(_ENOUGH, max(1, len(first) // 4)):
        agreement = "by_position"
        opened = [positions.opened_after(start_ns) for positions in entered]
        if last - start_ns > (end_ns - start_ns) // 2:
            agreement = "never"
        elif bars == 1 and min(map(len, opened)) >= _APART and opened[0].isdisjoint(opened[1]):
            agreement = "apart"
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
