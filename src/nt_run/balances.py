"""The search for the smallest balance at which a strategy's signals are sent whole, given a way to run it at one. Pure.

An account may be too small for a strategy: signals are lost to the smallest order or to margin. It may be too large:
entries are cut to what the exchange takes at once, and what closes a position does not pass in one order any more. In
between lie the balances looked for, and there may be none.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from nt_run.errors import CapitalError, SizingError, UsageError
from nt_run.filters import refused_by
from nt_run.model import MS, Denial, format_time

MOST = 10**12
"""The largest balance that is tried, in the quote asset."""
_PARTS = 1000
"""The answer is exact to one part in so many, or to one unit of the quote asset."""
_BRACKET = "leverage bracket"
_NONE: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The largest position of a run: shares of equity asked for and taken.

    From a balance of about `near_from` (quote asset) on, what is taken is at most a tenth more.
    """

    asked: Decimal
    taken: Decimal
    near_from: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One run: what a larger balance might have kept is `lost`, what a smaller one might is `too_large` and `cut`.

    The mappings count orders by the reason of their refusal, those that were cut by what cut them.
    """

    balance: int
    sent: int
    """Orders that were filled or refused."""
    lost: tuple[Denial, ...] = ()
    too_large: Mapping[str, int] = _NONE
    """Refused because they were larger than what the exchange takes."""
    cut: Mapping[str, int] = _NONE
    """Entries that the sizer cut to what the exchange takes."""
    by_margin: int = 0
    """Entries that the sizer cut to what the account can carry: a larger one asks for as much more."""
    others: Mapping[str, int] = _NONE
    """Refused for what has nothing to do with the balance."""
    position: Position | None = None
    at_least: int = 0
    """The least that the sizer said would do for the first entry, if that was refused."""


class NoBalanceError(SizingError):
    """The account is too large before it is large enough: `below` still loses signals, and `above` is outgrown.

    `outgrown` is what the balance of `above` alone makes too large, counted by reason or filter. `below` is `None`
    where even the smallest balance does.
    """

    def __init__(self, below: Trial | None, above: Trial, outgrown: Mapping[str, int]) -> None:
        self.below = below
        self.above = above
        self.outgrown = outgrown
        lines = ["No balance keeps every signal whole."]
        if below is not None:
            first = below.lost[0]
            when = f"the first {format_time(first.time_ns // MS)} UTC: {first.reason}"
            lines.append(
                f"With a balance of {below.balance:,} or less, signals are lost ({len(below.lost):,}, {when})."
            )
        told = ", ".join(f"{count:,} x {reason}" for reason, count in outgrown.items())
        lines.append(f"With a balance of {above.balance:,} or more, orders are too large for the exchange ({told}).")
        lines.append(_remedy(below, outgrown))
        super().__init__("\n".join(lines))


def _remedy(below: Trial | None, outgrown: Mapping[str, int]) -> str:
    by_bracket = any(name == _BRACKET or refused_by(name) == _BRACKET for name in outgrown)
    if below is not None and refused_by(below.lost[0].reason) != "margin":
        small = "Sizes that differ less would help"
    else:
        small = (
            "Less --risk ties up less margin" if by_bracket else "Less --risk or more --leverage ties up less margin"
        )
    large = "less --leverage allows larger positions" if by_bracket else "large positions can be sent in several orders"
    return f"{small}; {large}."


class Trials:
    """Runs at balances, each one once. `done` holds them in the order in which they were made.

    `tell` is told before each run how many are done, and about how many there will be.
    """

    def __init__(self, run: Callable[[int], Trial], tell: Callable[[int, int], None] | None = None) -> None:
        self.done: dict[int, Trial] = {}
        self._run = run
        self._tell = tell

    def __call__(self, balance: int, left: int = 0) -> Trial:
        """Return the run at `balance`; `left` is about how many more will be asked for."""
        if balance not in self.done:
            if self._tell is not None:
                self._tell(len(self.done), len(self.done) + 1 + left)
            self.done[balance] = self._run(balance)
        return self.done[balance]

    def outgrown(self, trial: Trial) -> dict[str, int]:
        """Return what a smaller balance would not have cut or refused as too large, by filter or reason.

        What the smallest account that trades at all is refused as too large does not come from the balance.
        """
        told = dict(trial.cut)
        if trial.too_large:
            smallest = self(1)
            anyway = (self(smallest.at_least) if smallest.at_least > 1 else smallest).too_large
            more = {reason: count - anyway.get(reason, 0) for reason, count in trial.too_large.items()}
            told |= {reason: count for reason, count in more.items() if count > 0}
        return told

    def fits(self, trial: Trial) -> bool:
        """Return whether a run lost no signal and cut none."""
        return not trial.lost and not self.outgrown(trial)


def search(trials: Trials, start: int) -> tuple[int | None, int]:
    """Return the largest balance found to be too small and the smallest found to be enough, next to each other.

    The first is `None` where one unit of the quote asset is enough. Steps away from `start` grow as their own squares,
    so that a balance out of all proportion, or none, is known after a few runs.

    Raises:
        CapitalError: Signals are lost whatever the balance.
        NoBalanceError: The account is too large before it is large enough.
        UsageError: There are no signals.
    """
    enough = _enough_from(trials, start)
    enough = min(balance for balance, trial in trials.done.copy().items() if balance <= enough and trials.fits(trial))
    below, factor = max((balance for balance in trials.done if balance < enough), default=0), 2
    while not below and enough > 1:
        balance = max(enough // factor, 1)
        if trials.fits(trials(balance, left=_halvings(balance, enough))):
            enough, factor = balance, factor * factor
        else:
            below = balance
    while below and not _are_next(below, enough):
        balance = _between(below, enough)
        if trials.fits(trials(balance, left=_halvings(below, enough))):
            enough = balance
        else:
            below = balance
    return below or None, enough


def _enough_from(trials: Trials, start: int) -> int:
    """Return a balance that fits: up from one too small, down from one too large, and between the two."""
    low, high, balance, factor = 0, 0, max(start, 1), 2
    while not trials.fits(trial := trials(balance, left=10)):
        outgrown = trials.outgrown(trial)
        low, high = (low, balance) if outgrown else (balance, high)
        if high and _are_next(low, high):
            raise NoBalanceError(trials(low) if low else None, trials(high), trials.outgrown(trials(high)))
        if low and high:
            balance = _between(low, high)
            continue
        if low >= MOST:
            raise CapitalError(MOST, trial.lost[0].reason, len(trial.lost))
        if low and trial.at_least > balance:
            balance = trial.at_least
        else:
            balance = min(balance * factor, MOST) if low else max(balance // factor, 1)
            factor *= factor
    if not trial.sent:
        raise UsageError("The strategy sent no order in this range, so any balance is enough. Choose a longer range.")
    return balance


def _are_next(below: int, enough: int) -> bool:
    return enough - below <= max(1, enough // _PARTS)


def _between(below: int, enough: int) -> int:
    return math.isqrt(below * enough) if enough > 4 * below else (below + enough) // 2


def _halvings(below: int, enough: int) -> int:
    return max(enough - below, 1).bit_length() - max(enough // _PARTS, 1).bit_length() + 1
