"""What the panes say about the bar under the crosshair, as rich text. Pure: no screen."""

import math

import numpy as np

from nt_run.chart import theme
from nt_run.chart.view import ChartData

SYNTHETIC = "SYNTHETIC MARKET (demo)"
"""What every picture of a demo run says."""
_GAP = " &nbsp; "


def window_title(data: ChartData) -> str:
    """Return the plain title of a window."""
    prefix = f"{SYNTHETIC} · " if data.demo else ""
    return f"{prefix}{data.title} · {data.subtitle}"


def price_caption(data: ChartData, row: int, *, level: str, detailed: bool) -> str:
    """Return the lines of the price pane: the bar, the averages and bands, the legend, the trade at the bar.

    Args:
        data: The chart.
        row: The bar.
        level: Name of the candles drawn, such as `5m`.
        detailed: Whether averages and bands are drawn at this level.
    """
    lines = [_bar_line(data, row, level), _overlay_line(data, row) if detailed else ""]
    if not detailed:
        lines[1] = _ink(f"averages and bands are hidden at {level}", theme.DIM)
    if len(data.fills.slot):
        legend = ((theme.BUY, "▲ buy"), (theme.SELL, "▼ sell"), (theme.TEXT, "○ exit"))
        outcomes = ((theme.RISE, "– win"), (theme.FALL, "– loss"))
        lines.append(_GAP.join(_ink(text, name) for name, text in legend + outcomes))
    return "<br>".join(lines + _trade_line(data, row))


def position_caption(data: ChartData, row: int) -> str:
    """Return the line of the position pane: signed quantity."""
    value = _value(data.account.position[row])
    return f"{_ink('Position', theme.DIM)} {_ink(f'{value:+,.{data.quantity_decimals}f}', theme.signed(value))}"


def equity_caption(data: ChartData, row: int) -> str:
    """Return the line of the equity pane: the amount, its change since the start, and the mark of funding."""
    equity, start = _value(data.account.equity[row]), data.account.start
    parts = [_ink("Equity", theme.DIM), _ink(f"{equity:,.2f}", theme.EQUITY)]
    if start > 0:
        parts.append(_ink(f"{equity / start - 1:+.2%}", theme.signed(equity - start)))
    if len(data.funding.slot):
        parts.append(f"&nbsp;{_ink('◆', theme.FUNDING)} {_ink('funding', theme.DIM)}")
    return " ".join(parts)


def drawdown_caption(data: ChartData, row: int) -> str:
    """Return the line of the drawdown pane."""
    value = _value(data.account.drawdown[row])
    return f"{_ink('Drawdown', theme.DIM)} {_ink(f'{value:.2%}', theme.signed(value))}"


def funding_caption(data: ChartData, row: int) -> str:
    """Return the line of the funding pane: paid or received at the bar, and in all until then."""
    slot, funding = data.bars.slot[row], data.funding
    here = float(funding.amount[funding.slot == slot].sum())
    so_far = float(funding.amount[funding.slot <= slot].sum())
    return (
        f"{_ink('Funding', theme.DIM)} {_ink(f'{here:+,.2f}', theme.signed(here))} &nbsp;"
        f"{_ink('in all', theme.DIM)} {_ink(f'{so_far:+,.2f}', theme.TEXT)}"
    )


def _bar_line(data: ChartData, row: int, level: str) -> str:
    bars, decimals = data.bars, data.price_decimals
    name = theme.RISE if bars.close[row] >= bars.open[row] else theme.FALL
    prices = zip("OHLC", (bars.open, bars.high, bars.low, bars.close), strict=True)
    parts = [_ink(level, theme.TEXT) + "&nbsp;"]
    parts += [f"{_ink(letter, theme.DIM)} {_ink(f'{values[row]:,.{decimals}f}', name)}" for letter, values in prices]
    if bars.open[row]:
        parts.append(_ink(f"{bars.close[row] / bars.open[row] - 1:+.2%}", name))
    parts.append(f"&nbsp;{_ink('Vol', theme.DIM)} {_ink(f'{bars.volume[row]:,.{data.quantity_decimals}f}', name)}")
    return " ".join(parts)


def _overlay_line(data: ChartData, row: int) -> str:
    lines, decimals = data.overlays, data.price_decimals

    def number(value: float) -> str:
        return f"{value:,.{decimals}f}" if math.isfinite(value) else "–"

    edges = f"{number(lines.bands.lower[row])} – {number(lines.bands.upper[row])}"
    return _GAP.join(
        (
            _ink(f"EMA {lines.fast_period} {number(lines.fast[row])}", theme.FAST),
            _ink(f"EMA {lines.slow_period} {number(lines.slow[row])}", theme.SLOW),
            _ink(f"BB (20, 2) {edges}", theme.BANDS),
        )
    )


def _trade_line(data: ChartData, row: int) -> list[str]:
    trades, decimals = data.trades, data.price_decimals
    # The trade entered last is the one that can still be open at the bar.
    slot = int(data.bars.slot[row])
    number = int(np.searchsorted(trades.entry_slot, slot, side="right")) - 1
    if number < 0 or trades.exit_slot[number] < slot:
        return []
    direction = "long" if trades.sign[number] > 0 else "short"
    prices = [f"{float(side[number]):,.{decimals}f}" for side in (trades.entry_price, trades.exit_price)]
    route = " → ".join(prices) + (" (open)" if trades.is_open[number] else "")
    pnl = float(trades.pnl[number])
    quantity = f"{trades.quantity[number]:,.{data.quantity_decimals}f}"
    result = f"<b>{_ink(f'{pnl:+,.2f}', theme.signed(pnl))}</b>"
    return [f"{_ink(f'Trade {number + 1}', theme.DIM)} {direction} {quantity} @ {route} &nbsp;{result}"]


def _value(value: float) -> float:
    return float(value) if math.isfinite(value) else 0.0


def _ink(text: str, name: str) -> str:
    return f"<span style='color:{name}'>{text}</span>"
