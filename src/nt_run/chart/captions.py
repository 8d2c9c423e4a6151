"""What the panes say about the bar under the crosshair, as rich text. Pure: no screen."""

import html
import math
import re
from collections.abc import Callable, Sequence

import numpy as np

from nt_run.chart import theme
from nt_run.chart.compare import Course
from nt_run.chart.legend import Entry
from nt_run.chart.levels import Level
from nt_run.chart.published import PlotPane
from nt_run.chart.view import ChartData

SYNTHETIC = "SYNTHETIC MARKET (demo)"
"""What every picture of a demo run says."""
_GAP = " &nbsp; "
_WIDE_GAP = " &nbsp; &nbsp; &nbsp; "


def price_caption(
    data: ChartData, row: int | None, marks: Sequence[Entry] = (), *, level: Level, trade: int | None = None
) -> list[str]:
    """Return the parts of the price pane's caption: candle, averages and bands, the legend, the trade at the bar.

    What there is nothing to tell of is an empty text.

    Args:
        data: The chart.
        row: The bar, `None` where there is none.
        marks: The legend.
        level: The candles drawn.
        trade: The trade one has asked for, told as long as the bar is one of its own.
    """
    number = None if row is None else _trade_at(data, row, trade)
    return [
        f"{ink(level.name, theme.TEXT)}&nbsp; {ink('no bar', theme.DIM)}" if row is None else _candle(data, level, row),
        _overlay_line(data, level, row),
        _GAP.join(ink(entry.text, entry.name) for entry in marks),
        "" if number is None else trade_line(data, number),
    ]


def plot_caption(pane: PlotPane, row: int) -> str:
    """Return the line of a strategy's own pane: each of its lines by name with its value."""
    return _GAP.join(
        ink(f"{html.escape(line.name)} {_number(line.values[row], pane.decimals)}", theme.plot_colour(line.colour))
        for line in pane.lines
    )


def position_caption(data: ChartData, row: int) -> str:
    """Return the line of the position pane: signed quantity."""
    value = _value(data.account.position[row])
    return f"{ink('Position', theme.DIM)} {ink(f'{value:+,.{data.quantity_decimals}f}', theme.signed(value))}"


def equity_caption(data: ChartData, row: int, *, marked: bool = True) -> str:
    """Return the line of the equity pane: the amount, its change since the start, and funding where it is `marked`."""
    equity, start = _value(data.account.equity[row]), data.account.start
    parts = [ink("Equity", theme.DIM), ink(f"{equity:,.2f}", theme.EQUITY)]
    if start > 0:
        parts.append(ink(f"{equity / start - 1:+.2%}", theme.signed(equity - start)))
    if marked:
        parts.append(f"&nbsp;{ink('◆', theme.FUNDING)} {ink('funding', theme.DIM)}")
    return " ".join(parts)


def drawdown_caption(data: ChartData, row: int) -> str:
    """Return the line of the drawdown pane."""
    value = _value(data.account.drawdown[row])
    return f"{ink('Drawdown', theme.DIM)} {ink(f'{value:.2%}', theme.signed(value))}"


def funding_caption(data: ChartData, row: int) -> str:
    """Return the line of the funding pane: paid or received at the bar, and in all until then."""
    slot, funding = data.bars.slot[row], data.funding
    here = float(funding.amount[funding.slot == slot].sum())
    so_far = float(funding.amount[funding.slot <= slot].sum())
    return (
        f"{ink('Funding', theme.DIM)} {ink(f'{here:+,.2f}', theme.signed(here))} &nbsp;"
        f"{ink('in all', theme.DIM)} {ink(f'{so_far:+,.2f}', theme.TEXT)}"
    )


def courses_caption(courses: Sequence[Course], colours: Sequence[str], row: int) -> str:
    """Return the legend of compared runs: their names, returns and drawdowns at the bar, and returns at the end."""
    rows = [
        f"<tr><td>{ink('■ ' + html.escape(course.name), name)}</td>"
        f"<td align='right'>&nbsp; {ink(_percent(float(course.returns[row])), theme.TEXT)}</td>"
        f"<td align='right'>&nbsp; {ink(_percent(float(course.drawdown[row]), '.2%'), theme.TEXT)}</td>"
        f"<td align='right'>&nbsp; {ink(_percent(course.total), theme.signed(course.total))}</td></tr>"
        for course, name in zip(courses, colours, strict=True)
    ]
    heads = "".join(
        f"<td align='right'>&nbsp; {ink(text, theme.DIM)}</td>" for text in ("here", "drawdown", "at the end")
    )
    return f"<table cellspacing='0' cellpadding='0'><tr><td></td>{heads}</tr>{''.join(rows)}</table>"


def _candle(data: ChartData, level: Level, row: int) -> str:
    decimals, place = data.price_decimals, level.place(row)
    opened, closed = float(level.open[place]), float(level.close[place])
    name = theme.RISE if closed >= opened else theme.FALL
    prices = zip("OHLC", (opened, level.high[place], level.low[place], closed), strict=True)
    parts = [ink(level.name, theme.TEXT) + ("" if level.factor == 1 else ink(" candle", theme.DIM)) + "&nbsp;"]
    parts += [f"{ink(letter, theme.DIM)} {ink(f'{value:,.{decimals}f}', name)}" for letter, value in prices]
    if opened:
        parts.append(ink(f"{closed / opened - 1:+.2%}", name))
    parts.append(f"&nbsp;{ink('Vol', theme.DIM)} {ink(f'{level.volume[place]:,.{data.quantity_decimals}f}', name)}")
    return " ".join(parts)


def _overlay_line(data: ChartData, level: Level, row: int | None) -> str:
    lines, decimals, published = data.overlays, data.price_decimals, data.price_plot
    if lines is None and published is None:
        return ""
    if level.factor >= theme.DETAIL_FACTOR:
        what = "the strategy's lines" if lines is None else "averages and bands"
        return ink(f"{what} are hidden at {level.name}", theme.DIM)
    if row is None:
        return ""
    # Over longer candles the values are of one bar of the run.
    of = "" if level.factor == 1 else _GAP + ink(f"of {data.bars.interval} bars", theme.DIM)
    if lines is None:
        return "" if published is None else plot_caption(published, row) + of
    edges = f"{_number(lines.bands.lower[row], decimals)} – {_number(lines.bands.upper[row], decimals)}"
    parts = (
        ink(f"EMA {lines.fast_period} {_number(lines.fast[row], decimals)}", theme.FAST),
        ink(f"EMA {lines.slow_period} {_number(lines.slow[row], decimals)}", theme.SLOW),
        ink(f"BB (20, 2) {edges}", theme.BANDS),
    )
    return _GAP.join(parts) + of


def _trade_at(data: ChartData, row: int, wanted: int | None) -> int | None:
    trades, slot = data.trades, int(data.bars.slot[row])
    # The trade entered last is the one that can still be open at the bar.
    number = int(np.searchsorted(trades.entry_slot, slot, side="right")) - 1
    if wanted is not None and trades.entry_slot[wanted - 1] <= slot <= trades.exit_slot[wanted - 1]:
        number = wanted - 1
    return None if number < 0 or trades.exit_slot[number] < slot else number


def trade_line(data: ChartData, number: int) -> str:
    """Return what there is to tell of the trade in row `number`."""
    trades, decimals = data.trades, data.price_decimals
    direction = "long" if trades.sign[number] > 0 else "short"
    prices = [f"{float(side[number]):,.{decimals}f}" for side in (trades.entry_price, trades.exit_price)]
    route = " → ".join(prices) + (" (open)" if trades.is_open[number] else "")
    pnl = float(trades.pnl[number])
    quantity = f"{trades.quantity[number]:,.{data.quantity_decimals}f}"
    result = f"<b>{ink(f'{pnl:+,.2f}', theme.signed(pnl))}</b>"
    limit = float(trades.liquidation[number])
    edge = f" &nbsp;{ink(f'liquidation at {limit:,.{decimals}f}', theme.WARNING)}" if math.isfinite(limit) else ""
    return f"{ink(f'Trade {number + 1}', theme.DIM)} {direction} {quantity} @ {route} &nbsp;{result}{edge}"


def lay_out(parts: Sequence[str], room_px: float, width: Callable[[str], float], *, low: bool) -> list[str]:
    """Return the lines of the price pane's caption: two of two parts each, or more where these have no room.

    Args:
        parts: What `price_caption` returns.
        room_px: How wide a line may be.
        width: Gives the width of a plain text in pixels.
        low: The pane has room for one line: the trade at the bar, else the bar.
    """
    bar, averages, marks, trade = parts
    if low:
        return [trade or bar]
    lines: list[str] = []
    for pair in ((bar, averages), (marks, trade)):
        told = [part for part in pair if part]
        joined = _WIDE_GAP.join(told)
        lines += told if len(told) > 1 and width(_plain(joined)) > room_px else [joined] if told else []
    return lines


def _plain(text: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", text))


def _number(value: float, decimals: int) -> str:
    return f"{value:,.{decimals}f}" if math.isfinite(value) else "–"


def _percent(value: float, form: str = "+.2%") -> str:
    return format(value, form) if math.isfinite(value) else "–"


def _value(value: float) -> float:
    return float(value) if math.isfinite(value) else 0.0


def ink(text: str, name: str) -> str:
    """Return `text` in a colour, as rich text."""
    return f"<span style='color:{name}'>{text}</span>"
