"""A kept run's margin, audited: who was liquidated, who should have been, at which prices, by which brackets."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from nt_run.allowance import check_sizes, count_beyond, lives_of
from nt_run.held import Course, MarginTerms, follow
from nt_run.klines import Klines
from nt_run.lacking import account_for, is_lost
from nt_run.liquidation import MARK_KLINES, NOT_REACHABLE, brackets_object
from nt_run.matching import MarkExtremes, match_bars
from nt_run.model import MS, Audited, Fill, FundingPayment, Violation, parse_time
from nt_run.published import Published
from nt_run.readback import read_orders, read_sent, read_terms
from nt_run.results import Run
from nt_run.solvency import CHECK, SolvencyCheck, check_listed, check_tiers, deciding_bars, furthest
from nt_run.unborne import check_borne

_BEYOND = Decimal("0.1")
"""How far beyond the bars' extremes nothing may be liquidated in a run that says nothing can be, as a fraction."""


def audit_margin(run: Run, fills: Sequence[Fill], payments: Sequence[FundingPayment], published: Published) -> Audited:
    """Hold every bar with a position against the deciding prices, and every liquidation against the definition."""
    margin: dict[str, Any] | None = run.summary.get("margin")
    if margin is None:
        told = "liquidations: the folder, of an earlier version, does not say how positions were margined"
        return Audited([], 0, [told])
    terms = read_terms(margin, run.specs, run.config.trading_fees().taker)
    course = follow(fills, payments, read_sent(run.orders), balance=run.config.account.balance, leverage=terms.leverage)
    source, bars = margin["liquidation_prices"], deciding_bars(run.klines, run.detail, run.marks, run.detail_marks)
    if source == NOT_REACHABLE:
        bars = furthest(bars, _BEYOND)
    next_open = run.config.execution_rules().fill == "next-open"
    check = SolvencyCheck(course, bars, terms, next_open=next_open)
    violations = [*check_tiers(terms.tiers), *check.forced(), *check_listed(course, run.summary["liquidations"])]
    unchecked: list[str] = []
    if run.marks is None and (source == MARK_KLINES or is_lost(run.summary, "marks")):
        lacking = account_for(run, "marks", CHECK, "which bars reached a liquidation price")
        violations += lacking.violations
        unchecked += lacking.unchecked
    else:
        violations += [*check.undue(), *check.missed(), *_check_ambiguity(run, check)]
    for found, words in (
        _check_orders(run, course, terms),
        _check_marks(run, published),
        _check_brackets(margin, published),
    ):
        violations += found
        unchecked += words
    return Audited(violations, check.bars_held, unchecked)


def _check_orders(run: Run, course: Course, terms: MarginTerms) -> tuple[list[Violation], list[str]]:
    """Hold positions against the leverage brackets, and stops against the price of liquidation."""
    if run.orders is None:
        return [], ["positions against the leverage brackets: the folder has no orders"]
    orders, bars, margin = read_orders(run.orders), match_bars(run.klines), run.summary["margin"]
    most = max(
        Decimal(row["cap"] or "Infinity")
        for row in margin["brackets"]
        if Decimal(row["max_leverage"]) >= terms.leverage
    )
    violations = [
        *check_sizes(course, lives_of(orders), bars, most),
        *check_borne(course, orders, bars, terms, most),
    ]
    risk: dict[str, Any] = run.summary.get("risk_audit") or {}
    told: int | None = risk.get("beyond_liquidation")  # reports of earlier versions do not say it
    if told is not None:
        out_of_reach = margin["liquidation_prices"] == NOT_REACHABLE
        sure, possible = (0, 0) if out_of_reach else count_beyond(course, orders, bars, terms)
        least = 0 if risk["unmatched"] or risk["liquidated"]["unmatched"] else sure
        if not least <= told <= possible:
            expected = str(least) if least == possible else f"{least} … {possible}"
            violations.append(Violation(CHECK, "stops beyond the price of liquidation", None, expected, str(told)))
    return violations, []


def _check_ambiguity(run: Run, check: SolvencyCheck) -> list[Violation]:
    told: dict[str, Any] | None = run.summary.get("ambiguity")
    listed = () if told is None else told["listed"]
    return check.unsaid({parse_time(row["start"]) for row in listed if row["liquidation"] is not None})


def _check_marks(run: Run, published: Published) -> tuple[list[Violation], list[str]]:
    """Hold the mark prices of a run, those of finer bars too, against the market data, as far as both have them."""
    violations: list[Violation] = []
    unchecked: list[str] = []
    if run.detail_marks is None and is_lost(run.summary, "detail_marks"):
        violations += account_for(run, "detail_marks", CHECK, "finer mark prices").violations
    for ours, theirs, bars, which in (
        (run.marks, published.marks, run.klines, "mark price"),
        (run.detail_marks, published.detail_marks, run.detail, "finer mark price"),
    ):
        if ours is None or bars is None:
            continue
        if theirs is None:
            where = "this range" if which == "mark price" else "its finer bars"
            unchecked.append(f"the {which}s that decided on liquidation: the cache does not have those of {where}")
            continue
        violations += _compare_marks(ours, theirs.within(bars.range), bars, which)
    return violations, unchecked


def _compare_marks(ours: MarkExtremes, theirs: Klines, bars: Klines, which: str) -> list[Violation]:
    starts = ours.frame["open_time"].dt.epoch("ms").to_numpy()
    if np.any(np.diff(starts) <= 0):
        at = int(np.argmax(np.diff(starts) <= 0)) + 1
        return [Violation(CHECK, which, int(starts[at]) * MS, "one for each bar", "another, or out of order")]
    opened = theirs.open_times()
    exponent = max(ours.exponent, theirs.exponents.price)
    rows, *prices = ours.at(opened, exponent)
    lost = np.delete(opened, rows)
    lost = lost[np.isin(lost, bars.open_times())] if len(lost) else lost
    violations = [
        Violation(CHECK, which + _more(len(lost)), int(each) * MS, "that of the bar", "none") for each in lost[:1]
    ]
    scale = 10 ** (exponent - theirs.exponents.price)
    known = [theirs.frame[name].to_numpy()[rows] * scale for name in ("low", "high")]
    unlike = np.flatnonzero((prices[0] != known[0]) | (prices[1] != known[1]))
    for at in unlike[:1].tolist():
        texts = [
            " … ".join(f"{Decimal(int(side[at])).scaleb(-exponent):f}" for side in both) for both in (known, prices)
        ]
        violations.append(Violation(CHECK, which + _more(len(unlike)), int(opened[rows][at]) * MS, *texts))
    return violations


def _more(count: int) -> str:
    return f" ({count} bars)" if count > 1 else ""


def _check_brackets(margin: dict[str, Any], published: Published) -> tuple[list[Violation], list[str]]:
    """Hold the leverage brackets against the table they are said to be from."""
    named = ("brackets_source", "brackets_as_of")
    now = {} if published.brackets is None else brackets_object(published.brackets)
    if [now.get(name) for name in named] != [margin[name] for name in named]:
        return [], [f"the leverage brackets: {margin['brackets_source']}, they are not at hand any more"]
    violations = [
        Violation(CHECK, f"leverage bracket {number}", None, str(theirs), str(ours))
        for number, (theirs, ours) in enumerate(zip(now["brackets"], margin["brackets"], strict=False), start=1)
        if theirs != ours
    ]
    if len(now["brackets"]) != len(margin["brackets"]):
        told = (str(len(now["brackets"])), str(len(margin["brackets"])))
        violations.append(Violation(CHECK, "number of leverage brackets", None, *told))
    return violations, []
