"""A kept run's margin, audited: who was liquidated, who should have been, at which prices, by which brackets."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from nt_run.held import follow
from nt_run.liquidation import MARK_KLINES, NOT_REACHABLE, brackets_object
from nt_run.model import MS, Audited, Fill, FundingPayment, Violation, parse_time
from nt_run.published import Published
from nt_run.readback import read_sent, read_terms
from nt_run.results import Run
from nt_run.solvency import CHECK, SolvencyCheck, check_listed, check_tiers, deciding_bars, furthest

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
    check = SolvencyCheck(course, bars, terms)
    violations = [*check_tiers(terms.tiers), *check.forced(), *check_listed(course, run.summary["liquidations"])]
    unchecked: list[str] = []
    if source == MARK_KLINES and run.marks is None:
        unchecked.append(
            "which bars reached a liquidation price: the folder, of an earlier version, has no mark prices"
        )
    else:
        violations += [*check.undue(), *check.missed(), *_check_ambiguity(run, check)]
    for found, words in (_check_marks(run, published), _check_brackets(margin, published)):
        violations += found
        unchecked += words
    return Audited(violations, check.bars_held, unchecked)


def _check_ambiguity(run: Run, check: SolvencyCheck) -> list[Violation]:
    told: dict[str, Any] | None = run.summary.get("ambiguity")
    listed = () if told is None else told["listed"]
    return check.unsaid({parse_time(row["start"]) for row in listed if row["liquidation"] is not None})


def _check_marks(run: Run, published: Published) -> tuple[list[Violation], list[str]]:
    """Hold the mark prices of a run against the market data, as far as both have them."""
    if run.marks is None:
        return [], []
    if published.marks is None:
        return [], ["the mark prices that decided on liquidation: the cache does not have those of this range"]
    ours = run.marks
    exponent = max(ours.exponent, published.marks.exponents.price)
    opened = published.marks.open_times()
    rows, *prices = ours.at(opened, exponent)
    scale = 10 ** (exponent - published.marks.exponents.price)
    theirs = [published.marks.frame[name].to_numpy()[rows] * scale for name in ("low", "high")]
    unlike = np.flatnonzero((prices[0] != theirs[0]) | (prices[1] != theirs[1]))
    if not len(unlike):
        return [], []
    at, more = unlike[0], f" ({len(unlike)} bars)" if len(unlike) > 1 else ""
    found = [" … ".join(f"{Decimal(int(side[at])).scaleb(-exponent):f}" for side in both) for both in (theirs, prices)]
    return [Violation(CHECK, f"mark price{more}", int(opened[rows][at]) * MS, *found)], []


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
