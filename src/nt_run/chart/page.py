"""The page of a run: one HTML file that carries everything it shows and loads nothing from anywhere.

Drawn in the reader's browser by lightweight-charts (Apache License 2.0, vendored in `web/vendor`) and the scripts of
`web`. Scripts and styles are allowed by their hashes alone, connections not at all.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np

from nt_run.chart import sheet, theme
from nt_run.chart.focus import Focus, find_span
from nt_run.chart.levels import SPANS, Ints
from nt_run.chart.overview import banners, cards, returns
from nt_run.chart.packing import Column, column, gapped_columns
from nt_run.chart.published import PRICE
from nt_run.chart.sections import sections
from nt_run.chart.view import ChartData, chart_data
from nt_run.chart.writing import check_target, write_whole
from nt_run.results import Run

SCRIPTS = (
    "dom", "unpack", "market", "palette", "lines", "shades", "marks", "panes", "series", "legends", "view", "trades",
    "panels", "shell", "main",
)  # fmt: skip
"""Scripts of the page in the order they are put together."""
BUTTONS = ("1m", "5m", "15m", "1h", "4h", "1d", "1w")
"""Lengths of candles one can choose besides the run's own interval."""
BANDS = (20, 2)
"""Period and width of the bands, as `indicators.bollinger` has them by default."""
_FEWEST_CANDLES = 12
"""A length that leaves fewer candles than this shows nothing."""
_DIGITS = 7
"""Digits of the starting balance that are kept: cents from 10,000 up to 99,999."""
_HIDDEN = 4
"""Decimals of an amount kept beyond those shown, so that sums of them are right."""
_WEEK = SPANS["1w"]
_MONDAY = 4 * SPANS["1d"]


def save_page(run: Run, path: Path, focus: Focus | None = None) -> None:
    """Write the page of a run; the file appears whole or not at all.

    Args:
        run: A kept run.
        path: The file, `*.html`, overwritten if it exists; its folder must exist.
        focus: What it shows when it is opened; all of the run is in it.

    Raises:
        ChartError: The file is not named as a page or cannot be written, its folder is missing, or there is no such
            trade or range.
    """
    check_target(path, ".html", "The page", "pages are HTML files")
    write_whole(path, page_html(run, focus).encode(), "page")


def page_html(run: Run, focus: Focus | None = None) -> str:
    """Return the page of a run. The same run gives the same text.

    Raises:
        ChartError: There is no such trade or range.
    """
    data = chart_data(run)
    return sheet.page("run.html", SCRIPTS, _facts(run, data) | {"focus": _focus(data, focus)}, _columns(run, data))


def levels(data: ChartData) -> list[dict[str, Any]]:
    """Return the lengths of candles the page can draw, finest first; the first one are the bars themselves."""
    interval, start = data.bars.interval, int(data.bars.open_ms[0])
    found = [{"name": interval.name, "ms": interval.ms, "anchorMs": 0, "base": True, "button": True}]
    if interval.is_month:
        return found
    whole = data.bars.slots * interval.ms
    for name, ms in SPANS.items():
        if ms <= interval.ms or ms % interval.ms or whole < _FEWEST_CANDLES * ms:
            continue
        anchor = _MONDAY if ms % _WEEK == 0 else 0
        # Bars that are off the grid of longer ones would be torn in two by it.
        if (start - anchor) % interval.ms == 0:
            found.append({"name": name, "ms": ms, "anchorMs": anchor, "base": False, "button": name in BUTTONS})
    return found


def _facts(run: Run, data: ChartData) -> dict[str, Any]:
    bars, overlays = data.bars, data.overlays
    return {
        "title": data.title,
        "subtitle": data.subtitle,
        "startMs": int(bars.open_ms[0]),
        "stepMs": bars.interval.ms,
        "monthly": bars.interval.is_month,
        "slots": bars.slots,
        "holes": _holes(bars.slot),
        "levels": levels(data),
        "limits": {
            "detail": theme.DETAIL_FACTOR,
            "labelRoom": theme.LABEL_ROOM_PX,
            "labelled": theme.LABELLED_TRADES,
            "arrowRoom": theme.ARROW_ROOM_PX,
            "arrowed": theme.ARROWED_TRADES,
            "tickRoom": theme.TICK_ROOM_PX,
            "tickHeight": theme.LOW_PX,
        },
        "start": data.account.start,
        "decimals": {
            "price": data.price_decimals,
            "quantity": data.quantity_decimals,
            "money": _money_decimals(data.account.start),
        },
        "overlays": overlays and {"fast": overlays.fast_period, "slow": overlays.slow_period, "bands": list(BANDS)},
        "plots": [
            {"pane": pane.name, "name": line.name, "colour": line.colour, "decimals": pane.decimals}
            for pane in data.plots
            for line in pane.lines
        ],
        "banners": banners(run.summary),
        "cards": cards(run.summary),
        "returns": returns(data),
        "sections": sections(run.summary, run.specs, run.config.to_toml()),
    }


def _focus(data: ChartData, focus: Focus | None) -> dict[str, int | None]:
    """Return the trade to mark, if any, and the first and the last slot to show."""
    span = find_span(data, focus or Focus())
    last = data.bars.slots - 1
    first, stop = max(math.ceil(span.left), 0), min(math.floor(span.right), last)
    return {"trade": focus and focus.trade, "from": first, "to": stop}


def _columns(run: Run, data: ChartData) -> list[Column]:
    bars, account, fills = data.bars, data.account, data.fills
    # Klines may need fewer decimals than orders of the same contract.
    price = max(run.klines.exponents.price, run.specs.get("price_precision", 0))
    quantity = max(run.klines.exponents.quantity, run.specs.get("size_precision", 0))
    money = _money_decimals(account.start)
    exact = min(money + _HIDDEN, 8)
    before = np.concatenate([[0.0], bars.close[:-1]])
    equity = np.where(np.isfinite(account.equity), account.equity, account.start)
    return [
        # Against its neighbour a price is a small number, and small numbers are short.
        column("open", bars.open - before, price),
        column("high", bars.high - np.maximum(bars.open, bars.close), price),
        column("low", np.minimum(bars.open, bars.close) - bars.low, price),
        column("close", bars.close - bars.open, price),
        column("volume", bars.volume, quantity),
        column("position", np.nan_to_num(account.position), quantity, running=True),
        column("equity", equity, money, running=True),
        column("fill_slot", fills.slot, running=True),
        column("fill_price", fills.price, price, running=True),
        column("fill_sign", fills.sign),
        column("fill_opens", fills.opens.astype(np.int64)),
        column("fill_liquidates", fills.liquidation.astype(np.int64)),
        *_trade_columns(run, data, price, quantity, exact),
        column("line_start", data.lines.start, running=True),
        column("line_end", data.lines.end, running=True),
        column("line_price", data.lines.price, price),
        column("line_kind", data.lines.kind),
        column("ambiguous", data.ambiguous, running=True),
        column("funding_slot", data.funding.slot, running=True),
        column("funding_amount", data.funding.amount, exact),
        *_plot_columns(data),
    ]


def _trade_columns(run: Run, data: ChartData, price: int, quantity: int, money: int) -> list[Column]:
    trades = data.trades
    return [
        column("trade_entry_slot", trades.entry_slot, running=True),
        column("trade_exit_slot", trades.exit_slot, running=True),
        column("trade_sign", trades.sign),
        column("trade_open", trades.is_open.astype(np.int64)),
        column("trade_quantity", trades.quantity, quantity),
        column("trade_entry_price", trades.entry_price, price, running=True),
        column("trade_exit_price", trades.exit_price, price, running=True),
        column("trade_pnl", trades.pnl, money),
        # No position is liquidated at zero, which stands for none.
        column("trade_liquidation", np.nan_to_num(trades.liquidation), price),
        *(column(f"trade_{name}", run.trades[name].cast(float).to_numpy(), money) for name in ("fee", "funding")),
        *(column(f"trade_{name}", _seconds(run, name), running=True) for name in ("entry_time", "exit_time")),
    ]


def _plot_columns(data: ChartData) -> list[Column]:
    columns: list[Column] = []
    for pane in data.plots:
        for line in pane.lines:
            decimals = pane.decimals + (pane.name == PRICE)
            columns += gapped_columns(f"plot_{len(columns) // 2}", line.values, decimals)
    return columns


def _seconds(run: Run, name: str) -> Ints:
    """Whole seconds since 1970, of an open trade those of its entry."""
    times = run.trades[name].fill_null(run.trades["entry_time"])
    return (times.dt.epoch("ms").to_numpy() // 1000).astype(np.int64)


def _holes(slots: Ints) -> list[list[int]]:
    """Return [first slot, slots] of every hole in the bars."""
    steps = np.diff(slots)
    return [[int(slots[row]) + 1, int(steps[row]) - 1] for row in np.flatnonzero(steps > 1)]


def _money_decimals(start: float) -> int:
    """Return how many decimals of an amount are kept: cents, and more where the account is small."""
    return min(max(2, _DIGITS - 1 - int(math.log10(start)) - 1), 8) if start > 0 else 2
