"""What happened in a run besides trading: holes held across, protections, orders lost and cut, as parts of a report."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from nt_run.filters import refused_and_unfilled
from nt_run.formats import amount, counted, percent, short_time, signed
from nt_run.tables import DIM, coloured, grid

_MOST = 5


def incidents(summary: Mapping[str, Any]) -> list[RenderableType]:
    """Return what there is to tell; keys that runs of earlier versions lack are passed over."""
    parts: list[RenderableType] = []
    across = summary["data"].get("across_holes")
    if across and across["crossings"]:
        parts.append(_crossings(across, summary["account"]["asset"]))
    if uses := summary.get("protections"):
        parts.append(_protections(uses, summary["account"]["asset"]))
    refused, unfilled = refused_and_unfilled(summary["denied"])
    if refused:
        parts.append(_listing(f"Orders that never reached the market{_lost(summary)}", refused.items()))
    if unfilled:
        parts.append(_listing("Orders that ended at once without a fill", unfilled.items()))
    if cut := _cut(summary):
        parts.append(_listing("Entries cut to what may be held or sent", cut))
    return parts


def _crossings(across: Mapping[str, Any], asset: str) -> RenderableType:
    """List the positions held across holes, those first that made or lost the most there."""
    crossings = sorted(across["crossings"], key=lambda each: -abs(float(each["price"])))
    table = grid((None,), (DIM, "right"), (None, "right"), (None, "right"), (DIM,))
    for each in crossings[:_MOST]:
        hole, made = each["hole"], float(each["price"])
        note = f"of its trade's {signed(each['trade_pnl'])}"
        if each["open_after"] is None:
            note = "no bar follows: valued at the close before"
        if paid := each["settlements"]:
            old = sum(payment["price_source"] == "last_close" for payment in paid)
            note += f", {counted(len(paid), 'funding payment')}" + (f", {old:,} at the close before" if old else "")
        span = f"{short_time(hole['start'])} → {short_time(hole['end'])}"
        table.add_row(span, counted(hole["bars"], "bar"), each["position"], coloured(signed(made), made), note)
    if len(crossings) > _MOST:
        table.add_row(f"and {len(crossings) - _MOST:,} more", "", "", "", "")
    total = f"{signed(across['price'])} {asset} of the price PnL"
    title = f"{counted(len(crossings), 'position')} held across holes, where nobody could trade: {total}"
    return Group(Text(title, style="bold"), Padding(table, (0, 0, 0, 2)))


def _protections(uses: Sequence[Mapping[str, Any]], asset: str) -> RenderableType:
    """Each time trading ended, when and at what equity; of cooldowns, of which there may be many, the first."""
    table = grid(("bold",), (None,), (None, "right"), (DIM,))
    cooldowns = [use for use in uses if use["rule"] == "cooldown"]
    for some, most in (([use for use in uses if use["rule"] != "cooldown"], _MOST), (cooldowns, 1)):
        for use in some[:most]:
            change = float(use["equity"]) / float(use["reference"]) - 1
            until = f"no entry up to {short_time(use['until'])}" if use["until"] else "no trading any more"
            note = f"{asset}, {percent(change, sign=True)}; {until}"
            table.add_row(use["rule"].replace("_", " "), f"{short_time(use['time'])} UTC", amount(use["equity"]), note)
        if len(some) > most:
            table.add_row("", f"and {len(some) - most:,} more", "", "")
    counts = Counter(use["rule"].replace("_", " ") for use in uses)
    title = "Protections: " + ", ".join(f"{count:,} x {rule}" for rule, count in sorted(counts.items()))
    return Group(Text(title, style="bold"), Padding(table, (0, 0, 0, 2)))


def _listing(title: str, rows: Any) -> RenderableType:  # noqa: ANN401 - items of any mapping of counts
    table = grid((None, "right"), (None,))
    for name, count in rows:
        table.add_row(f"{count:,} x", name)
    return Group(Text(title, style="bold"), Padding(table, (0, 0, 0, 2)))


def _cut(summary: Mapping[str, Any]) -> list[tuple[str, int]]:
    # Runs of earlier versions keep no ledger.
    ledger: Mapping[str, Mapping[str, int]] = summary.get("filters", {}).get("by_filter", {})
    return [(f"by {name}", counts["capped"]) for name, counts in ledger.items() if counts["capped"]]


def _lost(summary: Mapping[str, Any]) -> str:
    lost = summary.get("filters", {}).get("lost", {"count": 0})
    if not lost["count"]:
        return ""
    return f" ({counted(lost['count'], 'signal')} lost, the first {short_time(lost['first'])[5:]})"
