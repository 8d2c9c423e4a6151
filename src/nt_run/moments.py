"""Which moments of a run are looked at: those at which orders of each kind were sent, and some at random. Pure."""

import random
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from itertools import zip_longest
from typing import Protocol

from nt_run.klines import Klines
from nt_run.model import MS, Fill, SentOrder

_AT_ORDERS = 0.6
"""Share of the moments over the whole range that are those of orders."""
_EARLIEST, _LATEST = 0.1, 0.95
_EARLY_LENGTHS, _EARLY_BARS = 2, 20_000
"""What the runs up to all early moments take together: lengths of the range, or bars where those are more."""


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


class Positions:
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

    def opened_after(self, time_ns: int) -> set[tuple[int, int]]:
        """Return the opening times and signs of all positions opened after a moment."""
        return {opened for opened in self._opened if opened is not None and opened[0] > time_ns}


def choose_moments(klines: Klines, whole: Outcome, times: int, seed: int) -> list[int]:
    """Return moments (ms) with bars on both sides: of orders as far as there are any, the rest closes at random."""
    draws = random.Random(seed)  # noqa: S311 - a sample, not a secret
    chosen = _in_turn(_kinds(klines, whole), max(1, round(times * _AT_ORDERS)), draws)
    step = klines.interval.ms
    closes = [int(time) + step for time in klines.open_times()]
    inner = closes[int(len(closes) * _EARLIEST) : max(int(len(closes) * _LATEST) - 1, 1)]
    left = sorted(set(inner) - chosen)
    chosen.update(draws.sample(left, min(len(left), max(0, times - len(chosen)))))
    return sorted(chosen)


def early_moments(klines: Klines, whole: Outcome, count: int, seed: int) -> list[int]:
    """Return up to `count` moments (ms) of orders, of each kind as many, drawn from where a run up to them is short.

    They lie as far into the range as the bars of all these runs together allow.
    """
    kinds, start_ms, step = _kinds(klines, whole), klines.range.start_ms, klines.interval.ms
    most, latest, bars = max(_EARLY_LENGTHS * len(klines), _EARLY_BARS), start_ms, 0
    for number, time in enumerate(sorted({time for kind in kinds for time in kind}), 1):
        bars += (time - start_ms) // step
        if bars * min(count, number) > most * number:
            break
        latest = time
    draws = random.Random(seed)  # noqa: S311 - a sample, not a secret
    return sorted(_in_turn([[time for time in kind if time <= latest] for kind in kinds], count, draws))


def _kinds(klines: Klines, whole: Outcome) -> list[list[int]]:
    """Return the times (ms) of orders with bars on both sides, a list for each kind: those that open come first.

    Who leaves after five bars knows nothing of the next one, but who enters may, or the other way round.
    """
    span, step, held = klines.range, klines.interval.ms, Positions(whole.fills)
    kinds: dict[tuple[object, ...], set[int]] = defaultdict(set)
    for order in whole.sent:
        time = -(-order.time_ns // MS)
        if span.start_ms + step <= time <= span.end_ms - step:
            position = held.before(order.time_ns)
            opens = order.action == "new" and (position is None or position[1] == order.side.sign)
            kinds[not opens, order.action, order.side.sign, order.order_type].add(time)
    return [sorted(times) for _, times in sorted(kinds.items())]


def _in_turn(kinds: Sequence[Sequence[int]], count: int, draws: random.Random) -> set[int]:
    """Draw one of each kind in turn, until there are enough or none is left."""
    chosen: set[int] = set()
    for drawn in zip_longest(*(draws.sample(kind, len(kind)) for kind in kinds)):
        for time in drawn:
            if time is not None and len(chosen) < count:
                chosen.add(time)
    return chosen
