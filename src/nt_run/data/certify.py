"""What can be said about the klines of a run: sources, fingerprint, completeness, holes, oddities."""

from collections.abc import Mapping

from nt_run.data.content import fingerprint
from nt_run.data.days import confirmed_holes, day_name, days_of, holes_in
from nt_run.data.manifest import Manifest
from nt_run.data.ranges import in_words, subtract
from nt_run.errors import IncompleteDataError
from nt_run.klines import DAY_MS, DataCertificate, Gap, Klines, find_gaps, find_zero_volume_runs
from nt_run.model import TimeRange

_ODDITIES = {
    "trades_without_volume": "bars count trades but no volume",
    "price_outside_range": "bars have an average price (quote volume ÷ volume) outside low … high",
    "partly_unknown": "imported bars lack quote volume, number of trades or taker volumes",
}


_LACKS = {
    "archive_monthly": "its file of the month lacks them",
    "archive_daily": "its file of the day lacks them",
    "rest": "asked twice, it has no such klines",
}


def certify(klines: Klines, wanted: TimeRange, manifest: Manifest) -> DataCertificate:
    """Return the certificate of klines that were read for the range `wanted` (on the grid)."""
    absent = [TimeRange(hole.from_ms, hole.to_ms) for hole in confirmed_holes(manifest.days, wanted)]
    gaps: list[Gap] = []
    for gap in find_gaps(klines, wanted):
        open_parts = subtract([gap.range], absent)
        gaps += [Gap(part) for part in open_parts]
        gaps += [Gap(part, "confirmed_absent") for part in subtract([gap.range], open_parts)]
    whole = {
        start: record.content_sha256
        for start in days_of(wanted)
        if start >= wanted.start_ms and start + DAY_MS <= wanted.end_ms
        if (record := manifest.days.get(day_name(start))) and record.content_sha256
    }
    return DataCertificate(
        sources=_shares(manifest, wanted),
        fingerprint=fingerprint(klines, whole),
        expected=wanted.bars(klines.interval),
        loaded=len(klines),
        gaps=sorted(gaps, key=lambda gap: gap.range),
        zero_volume_runs=find_zero_volume_runs(klines),
    )


def _shares(manifest: Manifest, wanted: TimeRange) -> dict[str, float]:
    """The share of rows by kind of source; a day that is used in part counts in proportion."""
    rows: dict[str, float] = {}
    for start in days_of(wanted):
        used = min(start + DAY_MS, wanted.end_ms) - max(start, wanted.start_ms)
        if record := manifest.days.get(day_name(start)):
            for source in record.sources:
                rows[source.kind] = rows.get(source.kind, 0.0) + source.rows * used / DAY_MS
    total = sum(rows.values())
    return {kind: count / total for kind, count in sorted(rows.items())} if total else {}


def incomplete(
    what: str, klines: Klines, certificate: DataCertificate, manifest: Manifest, failed: Mapping[str, str]
) -> IncompleteDataError:
    """Return the error that names the holes and what each source said; `failed` is what went wrong just now."""
    wanted = [gap.range for gap in certificate.gaps]
    holes = [hole for gap in wanted for hole in holes_in(manifest.days, gap)]
    reasons: dict[str, str] = {kind.strip(): reason for kind, reason in failed.items()}
    for kind in sorted({kind for hole in holes for kind in hole.by}):
        reasons[kind] = _LACKS[kind]
    if holes and all(hole.status == "unverified" for hole in holes):
        reasons["rest"] = "asked twice, it does not have them yet; try again in some minutes"
    return IncompleteDataError(
        f"{what} ({certificate.loaded} of {certificate.expected} bars)",
        in_words(wanted, klines.interval),
        reasons,
        certificate.completeness,
    )


def oddities(manifest: Manifest, wanted: TimeRange) -> list[str]:
    """Return what looked odd when the rows came, in words; a day that is used in part counts as a whole."""
    counts: dict[str, int] = {}
    for start in days_of(wanted):
        if record := manifest.days.get(day_name(start)):
            for name, count in record.oddities.items():
                counts[name] = counts.get(name, 0) + count
    what = f"{manifest.symbol} {manifest.interval}"
    return [f"{what}: {count} {_ODDITIES.get(name, name)}." for name, count in sorted(counts.items())]
