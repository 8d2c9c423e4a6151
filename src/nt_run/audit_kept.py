"""A kept run's folder, audited beside its money: bars, orders that rested, what the report repeats, the files."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

import polars as pl

from nt_run.checksums import SUMS, find_changed
from nt_run.compliance import price_step
from nt_run.data.content import fingerprint
from nt_run.klines import find_gaps, find_zero_volume_runs
from nt_run.lacking import account_for
from nt_run.liquidation import MARK_KLINES
from nt_run.matching import disagreement, match_bars, replaced
from nt_run.model import MS, Audited, Fill, TimeRange, Violation, format_iso, format_time, parse_time
from nt_run.published import Published
from nt_run.readback import read_orders
from nt_run.replay import Replay
from nt_run.results import OWN_FILES, Run
from nt_run.twofold import check_ambiguous
from nt_run.working_orders import check_orders

_EIGHT = Decimal("1e-8")


def audit_klines(run: Run, published: Published) -> Audited:
    """Hold the bars of a run, finer ones too, against the fingerprints the report has of them, and the market data."""
    stated, found = run.summary["data"]["fingerprint"], fingerprint(run.klines, {})
    wrong = [] if stated == found else [Violation("klines", "fingerprint", None, stated[:16], found[:16])]
    wrong += _check_detail(run)
    unchecked: list[str] = []
    for klines, beside, which in (
        (run.klines, published.klines, "kline"),
        (run.detail, published.detail, "finer kline"),
    ):
        if klines is None:
            continue
        lacking = len(klines) if beside is None else beside.unknown
        if lacking:
            share = "the" if lacking == len(klines) else f"{lacking:,} of {len(klines):,}"
            unchecked.append(f"{share} {which}s against the market data: the cache does not have them")
        if beside and (one := beside.never):
            what = f"{which} ({one.bars:,} bars)" if one.bars > 1 else which
            wrong.append(Violation("klines", what, one.first_ms * MS, one.cached, one.given))
        if beside and (one := beside.since):
            told = f"{one.cached} at {format_time(one.first_ms)}, where the run has {one.given}"
            what = f"{one.bars:,} {which}s" if one.bars > 1 else f"a {which}"
            unchecked.append(f"{what}: the cache has other rows now, which came after the run: {told}")
    return Audited(wrong, len(run.klines), unchecked)


def audit_rules(run: Run, published: Published) -> Audited:
    """Hold the trading rules of a run against the kept answer of the exchange that it names."""
    if published.rules is None:
        told = f"the trading rules against the exchange's answer: the cache does not have {run.specs.get('snapshot')}"
        return Audited([], 0, [told])
    sure = {name: value for name, value in published.rules.items() if name not in published.unsure}
    told = list(_beside(sure, run.specs))
    wrong = [Violation("rules", name, None, str(ours), str(theirs)) for name, ours, theirs in told if ours != theirs]
    names = ", ".join(name.replace("_", " ") for name in published.unsure)
    unchecked = [f"{names}: other changes of the answer's rules are known now than the run knew"] if names else []
    return Audited(wrong, len(told), unchecked)


def _check_detail(run: Run) -> list[Violation]:
    """Return what is wrong with the finer klines: other ones than reported, or not those of the bars they replace."""
    told: dict[str, Any] = run.summary.get("ambiguity") or {}
    detail: dict[str, Any] = told.get("detail") or {}
    stated, fine = detail.get("fingerprint"), run.detail
    found = None if fine is None else fingerprint(fine, {})
    wrong = [] if stated == found else [Violation("klines", "finer klines", None, str(stated)[:16], str(found)[:16])]
    if fine is None:
        return wrong
    bars = run.klines.frame.filter(pl.Series(replaced(run.klines, fine)))["open_time"].dt.epoch("ms")
    for start in bars:
        bar = TimeRange(start, run.klines.interval.end(start))
        if contradiction := disagreement(run.klines, fine, bar):
            wrong.append(Violation("klines", "finer klines", start * MS, "those of its bar", contradiction))
    return wrong


def audit_orders(run: Run, fills: Sequence[Fill]) -> Audited:
    """Hold the orders that rested against their fills, the bars that came to their prices, and the ambiguous bars."""
    if run.orders is None:
        return account_for(run, "orders", "orders", "orders that rested")
    tick, step = (Decimal(run.specs[name]) for name in ("tick_size", "step_size"))
    orders, bars = read_orders(run.orders), match_bars(run.klines, run.detail)
    ambiguous = check_ambiguous(run.summary.get("ambiguity"), fills, orders, bars)
    unit = price_step(run.klines, run.detail, tick)
    return Audited([*check_orders(orders, fills, bars, tick=unit, step=step), *ambiguous], len(orders))


def audit_files(run: Run) -> Audited:
    """Hold the files of a run's folder against what they were when it was written."""
    if run.path is None:
        return Audited([], 0)
    changed = find_changed(run.path, OWN_FILES)
    if changed is None:
        left = "orders without a fill, plots, protections, warnings, versions and timings are held to nothing else"
        return Audited([], 0, [f"whether files were changed after the run: the folder has no {SUMS}, and {left}"])
    listed = len((run.path / SUMS).read_text(encoding="utf-8", errors="replace").splitlines())
    return Audited([Violation("files", name, None, ours[:16], theirs[:16]) for name, ours, theirs in changed], listed)


def audit_report(run: Run, account: Replay) -> Audited:
    """Hold what a report repeats of its configuration, its rules, its bars and its first trade against them."""
    expected = _configured(run) | {"specs": run.specs, **_loaded(run), "sizing": _sizing(run, account)} | _detailed(run)
    told = [*_beside(expected, run.summary), *_plotted(run)]
    found = [Violation("report", what, None, str(ours), str(theirs)) for what, ours, theirs in told if ours != theirs]
    return Audited(found, len(told))


def _beside(expected: Mapping[str, Any], stated: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield name, expected and found of each figure; those a report lacks, as of an earlier version, are left out."""
    for name, ours in expected.items():
        if name not in stated:
            continue
        theirs = stated[name]
        if isinstance(ours, dict) and isinstance(theirs, dict):
            yield from _beside(cast("dict[str, Any]", ours), cast("dict[str, Any]", theirs), f"{where}{name}.")
        else:
            yield f"{where}{name}", ours, Decimal(theirs) if isinstance(ours, Decimal) else theirs


def _configured(run: Run) -> dict[str, Any]:
    config, fees = run.config, run.config.trading_fees()
    leverage, strategy = config.account.leverage, config.strategy
    return {
        "symbol": config.symbol,
        "instrument_id": run.specs["instrument_id"],
        "interval": config.interval,
        "start": config.start,
        "end": config.end,
        "demo": config.demo,
        "strategy": {"name": strategy.name, "params": dict(strategy.params)},
        "account": {"leverage": str(leverage), "asset": run.specs["quote_asset"]},
        "fees": {"maker": str(fees.maker), "taker": str(fees.taker), "source": fees.source},
        "costs": {
            "fill": config.execution.fill,
            "slippage_bps": str(config.costs.slippage_bps),
            "slippage_ticks": config.costs.slippage_ticks,
        },
        "margin": {"mode": config.margin.mode, "leverage": f"{leverage:f}", **_marked(run)},
    } | ({} if config.funding else {"funding": None})


def _marked(run: Run) -> dict[str, Any]:
    """Return what the report should say of its brackets and of the prices that decided on liquidation."""
    said: dict[str, Any] = run.summary.get("margin") or {}
    brackets: list[dict[str, Any]] = said.get("brackets", [])
    allowed = [row["cap"] for row in brackets if Decimal(row["max_leverage"]) >= run.config.account.leverage]
    if not brackets:
        return {}
    top = {"max_leverage": brackets[0]["max_leverage"], "max_notional": allowed[-1] if allowed else None}
    if run.marks is None:
        return top
    known = run.marks.frame["open_time"].is_in(run.klines.frame["open_time"].implode()).sum()
    return top | {"liquidation_prices": MARK_KLINES, "bars_without_mark": len(run.klines) - known}


def _plotted(run: Run) -> Iterator[tuple[str, Any, Any]]:
    """Yield the closes of the bars beside the times of the lines that the strategy published."""
    if run.plots is not None:
        ours, theirs = run.klines.close_times().tolist(), run.plots["time"].dt.epoch("ms").to_list()
        yield "plots", f"{len(ours)} bars", f"{len(ours)} bars" if ours == theirs else "other times"


def _detailed(run: Run) -> dict[str, Any]:
    """Return what the report should say of finer bars."""
    interval = run.config.execution.detail
    if run.detail is None or interval is None:
        return {}
    bars, marks = int(replaced(run.klines, run.detail).sum()), run.detail_marks
    said = {"interval": interval, "bars": bars, "klines": len(run.detail)}
    return {"ambiguity": {"detail": said | ({} if marks is None else {"mark_klines": marks.frame.height})}}


def _loaded(run: Run) -> dict[str, Any]:
    """Return what the report should say of the bars."""
    klines, fed = run.klines, run.summary["bars"]["fed"]
    span = TimeRange(parse_time(str(run.config.start)), parse_time(str(run.config.end)))
    expected, loaded = span.bars(klines.interval), len(klines)
    gaps = [_span(gap.range) for gap in find_gaps(klines, span)]
    named = run.summary["data"].get("gaps", [])
    data = {
        "expected": expected,
        "loaded": loaded,
        "completeness": loaded / expected if expected else 1.0,
        # Whether the exchange confirms a hole is not in the bars.
        "gaps": [gap | {"status": told["status"]} for gap, told in zip(gaps, named, strict=False)]
        if len(gaps) == len(named)
        else gaps,
        "zero_volume_runs": [_span(still) for still in find_zero_volume_runs(klines)],
    }
    return {"data": data, "bars": {"expected": expected, "loaded": loaded, "skipped": loaded - fed}}


def _sizing(run: Run, account: Replay) -> dict[str, Any]:
    """Return what the report should say of sizing, and of the first trade."""
    rules, balance = run.config.sizing, run.config.account.balance
    said = {"method": rules.method, "fraction": str(rules.fraction), "compound": rules.compound}
    if not account.trades:
        return said | {"first": None}
    quantity, price = account.trades[0].quantity, account.trades[0].entry_price
    first = {
        "quantity": quantity,
        "price": price.quantize(_EIGHT),
        "notional": (quantity * price).quantize(_EIGHT),
        "notional_share": float(quantity * price / balance),
        "one_unit_share": float(price / balance),
    }
    return said | {"first": first}


def _span(time_range: TimeRange) -> dict[str, str]:
    return {"start": format_iso(time_range.start_ms), "end": format_iso(time_range.end_ms)}
