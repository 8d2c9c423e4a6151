"""The certificate of a kept run's data, derived again from the cache: is what it was made of still there?

The object returned is what `--json` prints.
"""

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from nt_run.data.loader import MarketData
from nt_run.data.snapshots import Snapshot, SnapshotStore
from nt_run.errors import DataError, NotCachedError, StoreError
from nt_run.formats import percent
from nt_run.inputs import open_market
from nt_run.model import MS, Interval, TimeRange
from nt_run.results import Run, load_run
from nt_run.specs import parse_specs
from nt_run.summary import data_object, specs_object

_CHECKED = ("fingerprint", "expected", "loaded", "completeness", "gaps", "zero_volume_runs")
_LATER = ("mark_fingerprint", "settlements", "rules")
"""What only newer runs tell."""
_MISSING = "missing_settlements"
_OF_THE_ANSWER = {"as_of", "source", "maker_fee", "taker_fee", "fee_source"}
"""What of a run's rules is not the exchange's about the contract."""


def certificate(run: str | None, cache_dir: Path) -> dict[str, Any]:
    """Derive the data certificate of a kept run again from the cache; `same` says whether it is the same.

    Compared are the klines, the mark price klines if the run used any, the funding settlements, and the kept answer
    with the trading rules; `differ` names what is not as it was. Rows that are the same and came from another source
    since are no difference: `notes` says so.

    Raises:
        ResultsError: There is no such run.
        DataError: The cache does not have the run's klines any more.
    """
    kept = load_run(run, cache_dir / "runs")
    with open_market(kept.config, cache_dir=cache_dir, offline=True) as market:
        loaded = _klines(market, kept)
        now = (
            loaded
            | {"mark_fingerprint": _marks(market, kept), "rules": _rules(market, kept)}
            | _settlements(market, kept)
        )
    then = kept.summary["data"] | {
        "settlements": _kept_settlements(kept),
        "rules": kept.summary["specs"].get("snapshot"),
    }
    differ = [name for name in _CHECKED if then.get(name) != now[name]]
    differ += [name for name in _LATER if then.get(name) is not None and then[name] != now[name]]
    if now[_MISSING] is not None and then.get(_MISSING, now[_MISSING]) != now[_MISSING]:
        differ.append(_MISSING)
    return {
        "demo": kept.config.demo,
        "run_id": kept.run_id,
        "same": not differ,
        "differ": differ,
        "then": then,
        "now": now,
        "notes": [] if "fingerprint" in differ else _moved(then.get("sources") or {}, loaded["sources"]),
    }


def _moved(then: Mapping[str, float], now: Mapping[str, float]) -> list[str]:
    """What to say of rows that are the same and came from other sources."""
    if then == now:
        return []
    was, are = (", ".join(f"{name} {percent(share)}" for name, share in each.items()) for each in (then, now))
    return [f"The same rows came from {was}; now they are from {are}."]


def _klines(market: MarketData, kept: Run) -> dict[str, Any]:
    config = kept.config
    again = "nt-run data repair fetches it again."
    try:
        loaded = market.load_klines(
            config.symbol, Interval(config.interval), config.time_range(0), min_completeness=0.0
        )
    except StoreError as exc:
        raise StoreError(exc.path, exc.reason, again) from exc
    except NotCachedError as exc:
        start, end = config.start, config.end
        hint = f"nt-run data get --symbol {config.symbol} --interval {config.interval} --start {start} --end {end}"
        raise DataError(f"The cache no longer has all klines of {kept.run_id}. Fetch them with: {hint}") from exc
    return data_object(loaded.certificate)


def _marks(market: MarketData, kept: Run) -> str | None:
    """The fingerprint of the mark price klines, or what is wrong with them; `None` if the run used none."""
    if kept.summary["data"].get("mark_fingerprint") is None:
        return None
    try:
        loaded = market.load_mark_klines(
            kept.config.symbol, kept.klines.interval, kept.klines.range, min_completeness=0.0
        )
    except DataError as exc:
        return _reason(exc)
    return loaded.certificate.fingerprint


def _settlements(market: MarketData, kept: Run) -> dict[str, Any]:
    """What was settled after the first open and up to the last close, or what is wrong with it; and what is missing."""
    if not kept.config.funding:
        return {"settlements": None, _MISSING: []}
    span, asked = kept.klines.range, kept.config.time_range(0)
    held = TimeRange(asked.start_ms + 1, asked.end_ms + 1)
    try:
        loaded = market.load_settlements(kept.config.symbol, held, min_completeness=0.0)
    except DataError as exc:
        return {"settlements": _reason(exc), _MISSING: None}
    inside = [rate for rate in loaded.rates if span.start_ms < rate.slot_ms <= span.end_ms]
    return {
        "settlements": _digest((rate.slot_ms * MS, rate.rate, rate.mark_price) for rate in inside),
        _MISSING: [one.as_object() for one in loaded.missing],
    }


def _kept_settlements(kept: Run) -> str | None:
    if kept.settlements is None or not kept.config.funding:
        return None
    frame = kept.settlements.with_columns(pl.col("time").dt.epoch("ns"))
    # Without a mark price the price is that of a kline, and klines are compared on their own.
    rows = frame.select("time", "rate", pl.when(pl.col("price_source") == "mark_price").then("price")).rows()
    return _digest(rows)


def _digest(rows: Iterable[tuple[int, Decimal, Decimal | None]]) -> str:
    """Settlements as their number and a sha256 over time (ns), rate and mark price."""
    lines = [
        f"{time} {rate.normalize():f} {'' if mark is None else f'{mark.normalize():f}'}" for time, rate, mark in rows
    ]
    return f"{len(lines)}, sha256 {hashlib.sha256(chr(10).join(lines).encode()).hexdigest()[:16]}"


def _rules(market: MarketData, kept: Run) -> str | None:
    """The kept answer the run used, or what is wrong with it."""
    name, store = kept.summary["specs"].get("snapshot"), SnapshotStore(market.root, repair=False)
    try:
        found = next((one for one in store.all() if one.file == name), None)
        if found is None and (found := _successor(store, kept)) is None:
            return f"{name} is gone"
        store.read(found)
    except StoreError as exc:
        return f"{name} {exc.reason}"
    return str(name)


def _successor(store: SnapshotStore, kept: Run) -> Snapshot | None:
    """The answer that took the place of the one a run used, if it has the same rules of the contract."""
    specs = kept.summary["specs"]
    stamp = str(specs.get("snapshot")).partition(".")[0]
    for one in store.all():
        if one.file.partition(".")[0] == stamp and one.file != specs.get("snapshot"):
            with suppress(DataError):
                rules = parse_specs(store.read(one), kept.config.symbol, as_of_ms=one.fetched_at_ms, source=one.file)
                now = specs_object(rules, kept.config.trading_fees())
                if all(now[name] == specs[name] for name in now.keys() & specs.keys() - _OF_THE_ANSWER):
                    return one
    return None


def _reason(exc: DataError) -> str:
    return f"{exc.reason}" if isinstance(exc, StoreError) else "not in the cache any more"
