"""What the marks in the price pane mean: those that are drawn, no others. Pure: no screen."""

import math
from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from nt_run.chart import theme
from nt_run.chart.crowd import Detail, Sight
from nt_run.chart.lines import LIQUIDATION, STOP, TARGET
from nt_run.chart.view import ChartData

_LINES = (
    (STOP, theme.STOP, "– stop"),
    (TARGET, theme.TARGET, "– target"),
    (LIQUIDATION, theme.WARNING, "– liquidation price"),
)


class Entry(NamedTuple):
    """A mark with what it means, and its colour."""

    name: str
    text: str


def legend(data: ChartData, span: tuple[float, float], sight: Sight, kinds: Collection[int]) -> list[Entry]:
    """Return what is drawn of trades, waiting prices, holes and bars in doubt.

    Args:
        data: The chart.
        span: The slots that are visible, from first to last.
        sight: Its trades and how they are drawn.
        kinds: Kinds of the price lines that are drawn.
    """
    entries = _trades(data, sight) if len(data.fills.slot) else [Entry(theme.DIM, "no trades")]
    entries += [Entry(name, text) for kind, name, text in _LINES if kind in kinds]
    if data.fills.liquidation[sight.fills].any():
        entries.append(Entry(theme.WARNING, "× liquidation"))
    left, right = (int(place) for place in np.searchsorted(data.bars.slot, [math.ceil(end) for end in span]))
    seen = data.bars.slot[max(left - 1, 0) : right + 1]
    if len(seen) and len(seen) <= seen[-1] - seen[0]:
        entries.append(Entry(theme.DIM, "■ no data"))
    if np.diff(np.searchsorted(data.ambiguous, (span[0] - 0.5, span[1] + 0.5)))[0]:
        entries.append(Entry(theme.DOUBT, "■ ambiguous bar"))
    return entries


def _trades(data: ChartData, sight: Sight) -> list[Entry]:
    fills, pnl = data.fills, data.trades.pnl[sight.trades]
    sign, opens = fills.sign[sight.fills], fills.opens[sight.fills]
    marks = sight.detail >= Detail.ARROWS
    won, lost = ("– win", "– loss") if marks else ("■ net win", "■ net loss")
    found = [
        (theme.BUY, "▲ buy", bool((opens & (sign > 0)).any()) and sight.detail != Detail.RESULTS),
        (theme.SELL, "▼ sell", bool((opens & (sign < 0)).any()) and sight.detail != Detail.RESULTS),
        (theme.TEXT, "○ exit", bool((~opens).any()) and marks),
        (theme.RISE, won, bool((pnl > 0).any())),
        (theme.FALL, lost, bool((pnl <= 0).any())),
        (theme.DIM, "where trades closed", len(pnl) > 0 and not marks),
    ]
    return [Entry(name, text) for name, text, is_drawn in found if is_drawn]
