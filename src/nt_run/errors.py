"""Every error a user can meet, drawn once.

    NtRunError                      70  a bug, unless a subclass says otherwise
    ├── UsageError                   2  a flag, a configuration, a strategy name
    ├── DataError                    3  market data or trading rules
    │   ├── UnknownSymbolError          the exchange does not list it
    │   ├── NotTradableError            not a perpetual, or not trading
    │   ├── SourceError                 the exchange failed to answer
    │   │   └── AllSourcesError             and so did every other source
    │   ├── NotCachedError              offline, and the cache does not have it
    │   ├── NoSnapshotError             no trading rules of that date are kept
    │   ├── SeriesFailedError           some of several series failed
    │   ├── IncompleteDataError         holes that no source fills
    │   ├── InvalidKlinesError          a source's klines contradict themselves or each other
    │   ├── SourcesDisagreeError        two sources have different rows for one bar
    │   ├── ImportFileError             a user's own file is not one of klines
    │   ├── SuspiciousKlinesError       a user's own file looks like another market
    │   └── StoreError                  a file of the cache is damaged, out of reach or too new
    ├── SizingError                  4  no position the exchange would accept
    │   └── CapitalError                no balance at which no signal is lost
    ├── RunError                     5  the run itself
    │   ├── StrategyError               a strategy raised
    │   └── BooksError                  the money does not add up
    ├── ResultsError                 6  a kept run
    ├── ChartError                   7  a chart
    └── CheckFailedError             8  a check the user asked for failed

A message says what happened, to what, and what to do next. It is built here from typed arguments, which stay
attributes. A vendor's exception is translated in the file that owns the vendor, with `from`. Only `__main__` catches.
"""

import math
from collections.abc import Mapping, Sequence

MAX_LISTED = 5


class NtRunError(Exception):
    """Base of all errors of this package; `exit_code` is what the process ends with."""

    exit_code = 70


class UsageError(NtRunError):
    """A flag, a configuration value or a name that cannot be used."""

    exit_code = 2


class DataError(NtRunError):
    """Market data or trading rules are missing, wrong or out of reach."""

    exit_code = 3


class UnknownSymbolError(DataError):
    """The exchange does not list the symbol; `nearest` are listed names like it, `hint` what else may help."""

    def __init__(self, symbol: str, nearest: Sequence[str] = (), hint: str = "") -> None:
        self.symbol = symbol
        self.nearest = tuple(nearest)
        meant = f" Did you mean {' or '.join(self.nearest)}?" if self.nearest else ""
        super().__init__(f"Binance USDⓈ-M futures do not list {symbol!r}.{meant}" + (f"\n{hint}" if hint else ""))


class NotTradableError(DataError):
    """The symbol exists but cannot be backtested as a perpetual."""

    def __init__(self, symbol: str, reason: str, hint: str) -> None:
        self.symbol = symbol
        self.reason = reason
        super().__init__(f"{symbol} {reason}. {hint}")


class SourceError(DataError):
    """A source of market data failed; `source` is where it was asked, `reason` what it did: `is not reachable`."""

    def __init__(self, source: str, reason: str, hint: str = "") -> None:
        self.source = source
        self.reason = reason
        self.hint = hint
        super().__init__(f"{source} {reason}." + (f"\n{hint}" if hint else ""))


class AllSourcesError(SourceError):
    """Every source was asked and `missing` is still missing; `reasons` maps each source to what it said."""

    def __init__(self, what: str, missing: Sequence[str], reasons: Mapping[str, str], hint: str = "") -> None:
        self.missing = tuple(missing)
        self.reasons = dict(reasons)
        story = "".join(f"\n  {source}: {said}" for source, said in self.reasons.items())
        super().__init__(what, f"could not be loaded, no source gave {_some(self.missing)}:{story}", hint)


class NotCachedError(DataError):
    """Offline, and the cache lacks `missing` (readable ranges or names)."""

    def __init__(self, what: str, missing: Sequence[str], hint: str) -> None:
        self.what = what
        self.missing = tuple(missing)
        super().__init__(f"Offline, and the cache does not have {what}: {_some(self.missing)}.\n{hint}")


class NoSnapshotError(DataError):
    """No exchangeInfo answer of `date` or before is kept; `kept` are the times of those that are, oldest first."""

    def __init__(self, date: str, kept: Sequence[str]) -> None:
        self.date = date
        self.kept = tuple(kept)
        what = f"Kept are those of {_some(self.kept)} UTC." if kept else "None is kept at all."
        super().__init__(
            f"No trading rules of {date} or before are kept. {what}\n"
            "nt-run specs import FILE adds a recorded exchangeInfo answer; --specs-at range does without."
        )


class SeriesFailedError(DataError):
    """Some of several series failed; `reasons` says of each why, and `done` is how many did not."""

    def __init__(self, reasons: Mapping[str, str], done: int) -> None:
        self.reasons = dict(reasons)
        self.done = done
        each = "\n".join(f"{name}: {reason}" for name, reason in self.reasons.items())
        super().__init__(
            f"{len(self.reasons)} of {len(self.reasons) + done} series failed, the others are done.\n{each}"
        )


class IncompleteDataError(DataError):
    """Klines or settlements are missing and no source has them; `reasons` maps a source to what it said.

    `completeness` is the share that is there, a fraction; `instead` names another way out: `--no-funding charges none`.
    """

    def __init__(
        self, what: str, missing: Sequence[str], reasons: Mapping[str, str], completeness: float, instead: str = ""
    ) -> None:
        self.what = what
        self.completeness = completeness
        self.missing = tuple(missing)
        self.reasons = dict(reasons)
        story = "".join(f"\n  {source}: {reason}" for source, reason in self.reasons.items())
        super().__init__(
            f"{what}: no source has {_some(self.missing)}.{story}\n"
            f"Nothing is filled in. Choose a range without the hole{_allowing(completeness)}."
            + (f" {instead}." if instead else "")
        )


class InvalidKlinesError(DataError):
    """A source's klines break a rule no real kline breaks; `where` names the rows."""

    def __init__(self, what: str, rule: str, where: Sequence[str]) -> None:
        self.what = what
        self.rule = rule
        self.where = tuple(where)
        super().__init__(f"{what}: {rule}, at {_some(self.where)}.\nThe rows were refused and nothing was stored.")


class SourcesDisagreeError(DataError):
    """Two sources have different rows for the same bars, and the user has not said whose to use."""

    def __init__(
        self, what: str, bars: int, where: Sequence[str], sources: Sequence[str], columns: Sequence[str]
    ) -> None:
        self.what = what
        self.bars = bars
        self.where = tuple(where)
        self.sources = tuple(sources)
        self.columns = tuple(columns)
        super().__init__(
            f"{what}: {' and '.join(self.sources)} disagree on {bars} bars, in {', '.join(self.columns)}, "
            f"at {_some(self.where)}.\n" + _whose_to_use(self.sources)
        )


def _whose_to_use(sources: Sequence[str]) -> str:
    families = list(dict.fromkeys("archive" if one.startswith("archive") else one for one in sources))
    if families == ["archive"]:
        return "Both are the archive's. nt-run data repair --prefer archive uses the one that came later."
    return f"Say whose rows to use: nt-run data repair --prefer {', or --prefer '.join(families)}."


class ImportFileError(DataError):
    """A user's own file cannot be imported; `reason` says what it is or does, as in `has no rows`."""

    def __init__(self, file: str, reason: str, hint: str) -> None:
        self.file = file
        self.reason = reason
        super().__init__(f"{file} {reason}. {hint}")


class SuspiciousKlinesError(DataError):
    """Rows of a user's own file contradict what the exchange says; `findings` name them and why."""

    def __init__(self, file: str, findings: Sequence[str]) -> None:
        self.file = file
        self.findings = tuple(findings)
        listed = "".join(f"\n  {one}" for one in self.findings[:MAX_LISTED])
        more = len(self.findings) - MAX_LISTED
        super().__init__(
            f"{file} is suspicious, and nothing was stored:{listed}"
            + (f"\n  and {more} more" if more > 0 else "")
            + "\nLeave these rows out, or add --accept-suspicious."
        )


class StoreError(DataError):
    """A file of the cache is damaged, out of reach or too new.

    `reason` says what it is, as in `is damaged`, `hint` what to do about it.
    """

    def __init__(self, path: str, reason: str, hint: str) -> None:
        self.path = path
        self.reason = reason
        self.hint = hint
        super().__init__(f"{path} {reason}. {hint}")


class SizingError(NtRunError):
    """The size asked for is one the exchange or the account would refuse."""

    exit_code = 4


class CapitalError(SizingError):
    """Even with `most` of the quote asset `lost` signals are refused, the first one because of `reason`."""

    def __init__(self, most: int, reason: str, lost: int) -> None:
        self.most = most
        self.reason = reason
        self.lost = lost
        super().__init__(
            f"No balance up to {most:,} keeps every signal: {lost:,} are still refused, the first one because of "
            f"{reason!r}.\nThe strategy's own sizes must change: let it ask its sizer, or change its parameters."
        )


class RunError(NtRunError):
    """The run itself failed."""

    exit_code = 5


class StrategyError(RunError):
    """A strategy raised; `trace` is its traceback as text."""

    def __init__(self, strategy: str, error: str, trace: str) -> None:
        self.strategy = strategy
        self.error = error
        self.trace = trace
        super().__init__(f"{trace.rstrip()}\nStrategy {strategy} raised {error}. No result was kept.")


class BooksError(RunError):
    """Recomputed money differs from the engine's; amounts in the quote asset."""

    def __init__(self, what: str, expected: str, found: str) -> None:
        self.what = what
        self.expected = expected
        self.found = found
        super().__init__(
            f"The books do not balance: {what} should be {expected} and is {found}.\n"
            "No result was kept. Please report this with the configuration of the run."
        )


class ResultsError(NtRunError):
    """A kept run is missing, damaged or not a run."""

    exit_code = 6


class ChartError(NtRunError):
    """A chart cannot be drawn here; the message names another way to see it."""

    exit_code = 7


class CheckFailedError(NtRunError):
    """A check the user asked for (`--assert`, `verify`) did not hold."""

    exit_code = 8


def _allowing(completeness: float) -> str:
    """How to go on with what there is, in as few digits as say it."""
    for digits in range(2, 9):
        enough = math.floor(completeness * 10**digits) / 10**digits
        if completeness - enough <= (1 - completeness) / 2 and enough > 0:
            return f", or allow it and have it listed: --min-completeness {enough:.{digits}f}"
    return ""


def _some(items: Sequence[str]) -> str:
    shown = ", ".join(items[:MAX_LISTED])
    rest = len(items) - MAX_LISTED
    return f"{shown} and {rest} more" if rest > 0 else shown
