"""`import`: a user's own file into the store, once nothing in it looks like another market."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nt_run.data.crosscheck import Finding
from nt_run.data.import_file import ImportedFile, read_klines
from nt_run.data.kline_store import KlineStore
from nt_run.data.manifest import Source
from nt_run.data.references import CrossChecked, CrossChecker
from nt_run.data.sources import Sources
from nt_run.errors import SourceError, SuspiciousKlinesError
from nt_run.rule_changes import RuleChange

_SPOT = re.compile(r"(?<![a-z])spot(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A file, what it was compared with, and how many of its rows are new to the store."""

    file: ImportedFile
    checked: CrossChecked
    added: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOrder:
    """What the user asked for.

    `symbol` and `interval` are only needed where the file does not say. `accept` takes rows in spite of findings;
    where the store has another row, that one stays all the same. `store` is false if the file is only to be checked.
    """

    path: Path
    symbol: str | None = None
    interval: str | None = None
    accept: bool = False
    store: bool = True


def import_klines(root: Path, sources: Sources, order: ImportOrder, changes: Sequence[RuleChange] = ()) -> Imported:
    """Read a file, cross-check it, and add its rows to the store.

    Raises:
        ImportFileError: It is no file of klines, or does not say what it holds.
        InvalidKlinesError: A row breaks a rule, or another import has a different one.
        SuspiciousKlinesError: Rows look like another market's, and were not accepted.
    """
    now_ms = _now_ms(sources)
    file = read_klines(order.path, symbol=order.symbol, interval=order.interval, now_ms=now_ms)
    klines = file.klines
    checked = CrossChecker(root, sources, changes).check(klines, stored=False)
    if _SPOT.search(order.path.stem) and checked.told_by_whom(klines.symbol):
        reason = "are named like spot data, and no source of the exchange says otherwise"
        checked.findings.append(Finding(range=klines.range, rows=len(klines), reason=reason))
    if checked.findings and not order.accept:
        raise SuspiciousKlinesError(file.name, [str(one) for one in checked.findings])
    if not order.store:
        return Imported(file=file, checked=checked, added=0)
    store = KlineStore(root, klines.symbol, klines.interval, repair=not sources.offline)
    before = len(store.read(klines.range))
    source = Source(
        kind="import",
        key=file.name,
        fetched_at_ms=now_ms,
        rows=0,
        header=file.form.header,
        bare_zeros=file.form.bare_zeros,
        file_sha256=file.sha256,
    )
    # The exchange's own rows are preferred, whichever they are: a file never overrides them.
    store.commit(klines, source=source, now_ms=now_ms, prefer="archive")
    return Imported(file=file, checked=checked, added=len(store.read(klines.range)) - before)


def _now_ms(sources: Sources) -> int:
    """Return the exchange's time, or this machine's where the exchange is not to be asked or does not answer."""
    if not sources.offline:
        try:
            return sources.server_time_ms()
        except SourceError:
            pass
    return int(time.time() * 1000)
