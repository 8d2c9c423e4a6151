"""What the report says of margin: liquidations, ahead of everything, and the brackets that decided on them."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from nt_run.formats import amount, percent, short_time, signed
from nt_run.liquidation import MARK_KLINES, NOT_REACHABLE
from nt_run.tables import BAD, grid

_MOST = 5


def liquidation_lines(summary: Mapping[str, Any]) -> list[RenderableType]:
    """Return the liquidations of a run as one part of its report, or nothing."""
    liquidations = summary.get("liquidations")  # runs of earlier versions have none
    if not liquidations:
        return []
    asset, base, margin = summary["account"]["asset"], summary["specs"]["base_asset"], summary["margin"]
    lost, count = sum(float(one["lost"]) for one in liquidations), len(liquidations)
    times = "once" if count == 1 else f"{count:,} times"
    head = f"LIQUIDATED {times}: {amount(str(lost))} {asset} lost, {margin['mode']} at {margin['leverage']} x"
    table = grid((BAD,), (BAD,), (BAD, "right"), (BAD,), (BAD, "right"), (BAD,))
    for one in liquidations[:_MOST]:
        price, gone = f"{float(one['price']):,.10g}", signed(-float(one["lost"]))
        when = f"{short_time(one['time'])} UTC"
        table.add_row(when, one["side"], f"{one['quantity']} {base}", f"at {price}", gone, asset)
    if count > _MOST:
        table.add_row(f"and {count - _MOST:,} more", "", "", "", "", "")
    return [Group(Text(head, style=f"bold {BAD}"), Padding(table, (0, 0, 0, 2)))]


def margin_lines(summary: Mapping[str, Any]) -> list[str]:
    """Return the brackets, and the prices that liquidation went by; nothing without leverage or liquidation."""
    margin = summary.get("margin")
    if margin is None or (margin["liquidation_prices"] == NOT_REACHABLE and float(margin["leverage"]) <= 1):
        return []
    known = f", known since {margin['brackets_as_of'][:10]}" if margin["brackets_as_of"] else ""
    first = f"{percent(float(margin['brackets'][0]['rate']), 2)} to {margin['max_leverage']} x"
    reached = _reached(margin, summary["data"]["loaded"])
    brackets = f"brackets {margin['brackets_source']}{known}: {first}"
    return [f"margin {margin['mode']} {margin['leverage']} x, {reached}; {brackets}"]


def _reached(margin: Mapping[str, Any], bars: int) -> str:
    """Say which prices decided on liquidation, and in how many bars others did for want of a mark kline."""
    source, missing = margin["liquidation_prices"], margin["bars_without_mark"]
    if source == NOT_REACHABLE:
        return "liquidation not reachable"
    own = f", in {missing:,} of {bars:,} bars by their own extremes" if source == MARK_KLINES and missing else ""
    return f"liquidation by {source}{own}"
