"""Runs a strategy, finds the bars that do not tell what came first, and looks at just those in finer klines.

A bar resolved in one way may change what the strategy does afterwards, and so which bars matter. So the run is repeated
from the start with the finer klines that were found to be needed, until no bar is left that could be looked at closer.
The strategy sees its own bars only; what its orders meet in between is decided by the finer ones.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from nt_run.ambiguity import Ambiguity, Booked, ambiguity_object, find_ambiguities
from nt_run.data.content import fingerprint
from nt_run.data.ingest import merge_klines
from nt_run.engine.job import EngineInput, EngineOutput
from nt_run.engine.run import run_engine
from nt_run.klines import Klines
from nt_run.matching import MarkExtremes, disagreement, mark_extremes, match_bars
from nt_run.model import Interval, TimeRange
from nt_run.outcomes import Costs

MOST_ROUNDS = 20
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Finer:
    """Finer klines of one range; `sources` are shares by kind, `marks` the mark klines where liquidation needs them."""

    klines: Klines
    sources: Mapping[str, float]
    marks: Klines | None
    warnings: Sequence[str]


type LoadDetail = Callable[[Sequence[TimeRange]], Sequence[Finer]]
"""Returns the finer klines of some ranges."""


@dataclass(slots=True)
class Detail:
    """The finer klines a run came to use; `refused` are the bars they contradict, and how."""

    interval: Interval
    klines: Klines | None = None
    marks: Klines | None = None
    rounds: int = 0
    """How often the run was repeated."""
    settled: bool = True
    """Whether no bar was left to be looked at."""
    bars: set[TimeRange] = field(default_factory=set[TimeRange])
    """The bars that are made up of finer ones now."""
    refused: dict[TimeRange, str] = field(default_factory=dict[TimeRange, str])
    shares: dict[str, float] = field(default_factory=dict[str, float])
    """Rows by kind of source."""
    said: list[str] = field(default_factory=list[str])

    def take(self, bars: Sequence[TimeRange], run: Klines, load: LoadDetail) -> bool:
        """Load the finer klines of some bars, and return whether any of them can be used."""
        used: list[Klines] = []
        marks: list[Klines] = []
        spans = _joined(bars)
        for span, loaded in zip(spans, load(spans), strict=True):
            marks += [] if loaded.marks is None else [loaded.marks]
            self.said += [warning for warning in loaded.warnings if warning not in self.said]
            for bar in (each for each in bars if span.start_ms <= each.start_ms < span.end_ms):
                if wrong := disagreement(run, loaded.klines, bar):
                    self.refused[bar] = wrong
                    continue
                used.append(loaded.klines.within(bar))
                self.bars.add(bar)
                for source, share in loaded.sources.items():
                    self.shares[source] = self.shares.get(source, 0.0) + share * len(used[-1])
        what = f"{run.symbol} {self.interval}"
        self.klines = _merged(self.klines, used, what)
        self.marks = _merged(self.marks, marks, what)
        return bool(used)

    def warnings(self) -> list[str]:
        """Return what the user must know: bars that stay as they are, and why."""
        made = list(self.said)
        named = [f"{bar} ({wrong})" for bar, wrong in sorted(self.refused.items())]
        if named:
            more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
            listed = "; ".join(named[:_MOST_NAMED]) + more
            made.append(
                f"The {self.interval} klines do not make up the bars they belong to, which stay whole: {listed}."
            )
        if not self.settled:
            made.append(
                f"After {self.rounds} runs with finer klines there were still new ambiguous bars; they stay whole."
            )
        return made

    def as_object(self) -> dict[str, Any]:
        """Return what was looked at as one object, with what is certified about the finer klines."""
        rows = 0 if self.klines is None else len(self.klines)
        marks = None if self.klines is None else mark_extremes(self.marks, self.klines.open_times())
        total = sum(self.shares.values())
        return {
            "interval": self.interval.name,
            "rounds": self.rounds,
            "settled": self.settled,
            "bars": len(self.bars),
            "refused": [{"bar": str(bar), "why": wrong} for bar, wrong in sorted(self.refused.items())],
            "klines": rows,
            "mark_klines": 0 if marks is None else marks.frame.height,
            "sources": {name: rows / total for name, rows in sorted(self.shares.items())},
            "fingerprint": None if self.klines is None else fingerprint(self.klines, {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Refined:
    """A run, the bars of it that are not clear, and the finer klines it used."""

    output: EngineOutput
    ambiguities: Sequence[Ambiguity]
    bars: int
    """How many bars orders were matched on."""
    detail: Detail | None

    @property
    def fine(self) -> Klines | None:
        """The finer klines in the place of some bars."""
        return None if self.detail is None else self.detail.klines

    @property
    def fine_marks(self) -> MarkExtremes | None:
        """The mark prices that decided on liquidation in the finer klines."""
        fine = self.fine
        return None if self.detail is None or fine is None else mark_extremes(self.detail.marks, fine.open_times())

    @property
    def warnings(self) -> list[str]:
        """What the user must know of the finer klines."""
        return [] if self.detail is None else self.detail.warnings()

    def as_object(self, net: Decimal, balance: Decimal) -> dict[str, Any] | None:
        """Return the ambiguity of the run as one object; `None` if no order ever rested."""
        if not self.output.resting:
            return None
        detail = None if self.detail is None else self.detail.as_object()
        return ambiguity_object(self.ambiguities, bars=self.bars, net=net, balance=balance) | {"detail": detail}


def run_refined(run: EngineInput, detail: Interval | None = None, load: LoadDetail | None = None) -> Refined:
    """Run a strategy; with `detail` look at its ambiguous bars in klines of that interval, given by `load`.

    Raises:
        NtRunError: As `run_engine`, and whatever `load` raises.
    """
    finer = Detail(detail) if detail is not None and load is not None else None
    while True:
        fine = finer.klines if finer is not None else None
        margin = run.margin
        if margin is not None and finer is not None:
            margin = replace(margin, fine_marks=finer.marks)
        output = run_engine(replace(run, fine=fine, margin=margin))
        bars = match_bars(run.klines, fine)
        costs = Costs(fees=run.fees, execution=run.execution, tick=run.specs.tick_size)
        found = find_ambiguities(
            Booked(
                bars=bars,
                resting=output.resting,
                fills=output.fills,
                payments=output.payments,
                threats=output.threats,
                costs=costs,
            )
        )
        if finer is None or load is None or not _look_closer(finer, found, run.klines, load):
            return Refined(output=output, ambiguities=found, bars=len(bars), detail=finer)


def _look_closer(finer: Detail, found: Sequence[Ambiguity], klines: Klines, load: LoadDetail) -> bool:
    """Load finer klines for the ambiguous bars that have none yet, and return whether to run again."""
    interval = klines.interval
    starts = {interval.floor(each.bar.start_ms) for each in found}
    bars = [TimeRange(start, interval.end(start)) for start in sorted(starts)]
    bars = [bar for bar in bars if bar not in finer.bars and bar not in finer.refused]
    finer.settled = not bars or finer.rounds < MOST_ROUNDS
    if not bars or not finer.settled or not finer.take(bars, klines, load):
        return False
    finer.rounds += 1
    return True


def _merged(known: Klines | None, more: Sequence[Klines], what: str) -> Klines | None:
    parts = [*([] if known is None else [known]), *more]
    return merge_klines(parts, what) if parts else None


def _joined(bars: Sequence[TimeRange]) -> list[TimeRange]:
    """Return the ranges that bars in time order cover."""
    spans: list[TimeRange] = []
    for bar in bars:
        if spans and spans[-1].end_ms == bar.start_ms:
            spans[-1] = TimeRange(spans[-1].start_ms, bar.end_ms)
        else:
            spans.append(bar)
    return spans
