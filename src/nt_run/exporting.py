"""Market data of a cache written to files: klines, mark price klines and funding rates of several symbols."""

from pathlib import Path
from typing import Any

import msgspec

from nt_run.config import RunConfig
from nt_run.data.export import Format, Target, export_funding, export_klines
from nt_run.data.funding import FundingStore
from nt_run.data.kline_store import KLINES, MARK_KLINES, KlineStore
from nt_run.data.loader import MarketData
from nt_run.data.ranges import join
from nt_run.errors import DataError, NotCachedError, StoreError, UsageError
from nt_run.inputs import each_series, kinds_in, open_market
from nt_run.klines import DAY_MS, Gap
from nt_run.model import Interval, TimeRange, format_iso

_FORMS: dict[str, Format] = {"csv": "csv", "parquet": "parquet", "archive": "archive"}
_STORED = {"klines": KLINES, "mark": MARK_KLINES}


def exported(
    config: RunConfig,
    symbols: str | None,
    intervals: str | None,
    cache_dir: Path,
    target: Target,
    *,
    form: str,
    kinds: str | None = None,
) -> dict[str, Any]:
    """Write the cached data of a configuration's range to a folder, series by series; no network.

    Without a range each series is written from its last hole on; with days alone, the last days of what is cached.

    Raises:
        UsageError: `form` is not csv, parquet or archive, or a symbol, an interval or a kind is none.
        DataError: Only one series was asked for, and it is not cached, or cannot be written in this form. One of
            several that fails does not stop the others.
    """
    if form not in _FORMS:
        raise UsageError(f"--format must be one of {', '.join(_FORMS)}, not {form!r}.")
    series = _series(config, symbols, intervals, kinds)
    written: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []
    with open_market(config, cache_dir=cache_dir, offline=True) as market:
        for kind, one in series:
            place = {"kind": kind, "symbol": one.symbol, "interval": "" if kind == "funding" else one.interval}
            write = _write_funding if kind == "funding" else _write_klines
            try:
                written.append(place | write(market, one, kind, target, _FORMS[form]))
            except DataError as exc:
                if len(series) == 1:
                    raise
                failed.append({**place, "reason": str(exc)})
    return {"demo": config.demo, "exported": written, "failed": failed}


def _series(
    config: RunConfig, symbols: str | None, intervals: str | None, kinds: str | None
) -> list[tuple[str, RunConfig]]:
    """Each kind of each symbol, and in each interval but for funding rates, which have none."""
    found: list[tuple[str, RunConfig]] = []
    for kind in kinds_in(kinds, ["klines"]):
        found += [(kind, one) for one in each_series(config, symbols, None if kind == "funding" else intervals)]
    return found


def _write_klines(market: MarketData, config: RunConfig, kind: str, target: Target, form: Format) -> dict[str, Any]:
    interval, stored = Interval(config.interval), _STORED[kind]
    try:
        wanted, asked = _wanted_bars(market, config, kind, form)
        load = market.load_mark_klines if kind == "mark" else market.load_klines
        loaded = load(config.symbol, interval, wanted, min_completeness=0.0)
    except StoreError as exc:
        raise StoreError(exc.path, exc.reason, "nt-run data repair fetches it again.") from exc
    except NotCachedError as exc:
        raise _not_cached(exc, config, kind) from exc
    klines = loaded.klines
    manifest = KlineStore(market.root, config.symbol, interval, repair=False, kind=stored).series.manifest()
    files = export_klines(klines, wanted, stored, manifest, target, form)
    kept = sum(one.rows for one in manifest.partitions.values())
    return {
        **_span(klines.range),
        "rows": len(klines),
        "left_out": 0 if asked else kept - len(klines),
        "holes": [_hole_object(gap, interval) for gap in loaded.certificate.gaps],
        "files": [str(path) for path in files],
    }


def _wanted_bars(market: MarketData, config: RunConfig, kind: str, form: Format) -> tuple[TimeRange, bool]:
    """The range to write, and whether it was asked for."""
    if config.start and config.end:
        return config.time_range(0), True
    newest = market.newest_cached_range(config.symbol, Interval(config.interval), _STORED[kind])
    if newest is None:
        nothing = f"There are no {config.interval} klines of {config.symbol} in the cache."
        raise DataError(f"{nothing}\nFetch some first: {_get(config, kind)}")
    asked = _range(config, newest)
    return asked or (_whole_days(newest) if form == "archive" else newest), asked is not None


def _write_funding(market: MarketData, config: RunConfig, kind: str, target: Target, form: Format) -> dict[str, Any]:
    store = FundingStore(market.root, config.symbol, repair=False)
    covered = join(TimeRange(*one) for one in store.series.manifest().covered)
    if not covered:
        nothing = f"There are no funding rates of {config.symbol} in the cache."
        raise DataError(f"{nothing}\nFetch some first: {_get(config, kind)}")
    asked = _range(config, covered[-1])
    wanted = asked or covered[-1]
    try:
        rates = market.load_funding(config.symbol, wanted, min_completeness=0.0).rates
    except NotCachedError as exc:
        raise _not_cached(exc, config, kind) from exc
    if not rates:
        raise DataError(f"There is no settlement of {config.symbol} in {wanted}.")
    files = export_funding(config.symbol, rates, wanted, target, form)
    older = 0 if asked else len(store.read(TimeRange(covered[0].start_ms, wanted.end_ms))) - len(rates)
    return {
        **_span(wanted),
        "rows": len(rates),
        "left_out": older,
        "holes": [],
        "files": [str(path) for path in files],
    }


def _not_cached(exc: NotCachedError, config: RunConfig, kind: str) -> DataError:
    lacking = f"The cache does not have {exc.what}: {exc.missing[0]}{' and more' if exc.missing[1:] else ''}."
    return DataError(f"{lacking}\nFetch it first: {_get(config, kind)}")


def _get(config: RunConfig, kind: str) -> str:
    """The command that fetches it."""
    words = f"nt-run data get{' --demo' if config.demo else ''} --symbol {config.symbol} --interval {config.interval}"
    if kind != "klines":
        words += f" --kind {kind}"
    if config.start and config.end:
        wanted = config.time_range(0)
        words += f" --start {format_iso(wanted.start_ms)} --end {format_iso(wanted.end_ms)}"
    return words


def _range(config: RunConfig, newest: TimeRange) -> TimeRange | None:
    """The range asked for, `None` if none was; what it does not say is what the cache has from its last hole on."""
    if not (config.start or config.end or config.days):
        return None
    if not (config.start or config.days):
        config = msgspec.structs.replace(config, start=format_iso(newest.start_ms))
    return config.time_range(newest.end_ms)


def _whole_days(cached: TimeRange) -> TimeRange:
    """Return the days that a cached range has from beginning to end; the range itself if there is none."""
    first, last = -(-cached.start_ms // DAY_MS) * DAY_MS, cached.end_ms // DAY_MS * DAY_MS
    return TimeRange(first, last) if first < last else cached


def _span(time_range: TimeRange) -> dict[str, str]:
    return {"start": format_iso(time_range.start_ms), "end": format_iso(time_range.end_ms)}


def _hole_object(gap: Gap, interval: Interval) -> dict[str, Any]:
    return {**_span(gap.range), "bars": gap.range.bars(interval), "status": gap.status}
