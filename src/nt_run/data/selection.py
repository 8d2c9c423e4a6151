"""Which series of a cache are meant, and where they are."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from nt_run.data.kline_store import MARKET
from nt_run.data.manifest import FILE
from nt_run.errors import UsageError
from nt_run.intervals import INTERVALS
from nt_run.model import Interval


@dataclass(frozen=True, slots=True)
class Selection:
    """Kinds, symbols and intervals; an empty one means all of them."""

    kinds: frozenset[str] = frozenset()
    symbols: frozenset[str] = frozenset()
    intervals: frozenset[str] = frozenset()

    def holds(self, ref: "SeriesRef") -> bool:
        """Return whether a series is meant; one without an interval (funding rates) is, whatever the intervals."""
        return (
            (not self.kinds or ref.kind in self.kinds)
            and (not self.symbols or ref.symbol in self.symbols)
            and (not self.intervals or not ref.interval or ref.interval in self.intervals)
        )


@dataclass(frozen=True, slots=True, order=True)
class SeriesRef:
    """One series: its place under `<cache>/v1/binance/um`."""

    kind: str
    symbol: str
    interval: str
    folder: Path

    @property
    def step(self) -> Interval | None:
        """The interval of klines, `None` for events."""
        return Interval(self.interval) if self.interval else None

    def __str__(self) -> str:
        return " ".join(part for part in (self.kind, self.symbol, self.interval) if part)


def names_in(option: str, text: str | None) -> list[str]:
    """Return the names of a list such as `BTCUSDT,ETHUSDT`, none without one.

    Raises:
        UsageError: There is a list, and it names nothing.
    """
    names = [each.strip() for each in (text or "").split(",") if each.strip()]
    if text is not None and not names:
        raise UsageError(f"{option} names nothing. Leave it out, or give one name or several, with commas between.")
    return names


def find_series(root: Path, selection: Selection) -> list[SeriesRef]:
    """Return the series under a cache folder that are meant, by kind, symbol and length of the interval."""
    found = [ref for ref in _all_series(root / MARKET) if selection.holds(ref)]
    return sorted(found, key=lambda ref: (ref.kind, ref.symbol, INTERVALS.get(ref.interval, 0)))


def find_unmatched(root: Path, selection: Selection) -> str:
    """Return in words what of a selection a cache has nothing of, empty if each symbol and interval has a series."""
    known = list(_all_series(root / MARKET))
    symbols = {ref.symbol for ref in known}
    unknown = sorted(selection.symbols - symbols)
    if unknown:
        near = [name for each in unknown for name in get_close_matches(each, sorted(symbols), n=1)]
        return ", ".join(unknown) + "." + (f" Did you mean {' or '.join(dict.fromkeys(near))}?" if near else "")
    chosen = [ref for ref in known if not selection.symbols or ref.symbol in selection.symbols]
    absent = sorted(selection.intervals - {ref.interval for ref in chosen}, key=lambda each: INTERVALS[each])
    if not absent:
        return ""
    return f"{', '.join(sorted(selection.symbols)) or 'any symbol'} in {', '.join(absent)}."


def _all_series(base: Path) -> Iterable[SeriesRef]:
    names = {Interval(name).file_name: name for name in INTERVALS}
    for folder in base.glob("*/*"):
        if _has_data(folder):
            yield SeriesRef(folder.parent.name, folder.name, "", folder)
        for inner in folder.glob("*/"):
            if inner.name in names and _has_data(inner):
                yield SeriesRef(folder.parent.name, folder.name, names[inner.name], inner)


def _has_data(folder: Path) -> bool:
    """Whether a series was ever written to: data without a manifest count, for one that is lost is to be noticed.

    A folder that holds nothing but a lock belongs to a download that ended before its first row.
    """
    return (folder / FILE).exists() or any(folder.glob("*.parquet*"))
