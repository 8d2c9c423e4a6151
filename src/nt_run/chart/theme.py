"""Colours, sizes and the order of drawing. No screen is needed to read them."""

from typing import Final

BACKGROUND: Final = "#0d1117"
GRID: Final = "#8b98b0"
TEXT: Final = "#c9d4e3"
DIM: Final = "#7d8899"
BORDER: Final = "#202836"
RISE: Final = "#2ebd85"
FALL: Final = "#f6465d"
FAST: Final = "#f0b90b"
SLOW: Final = "#58a6ff"
BANDS: Final = "#a48be0"
BUY: Final = "#35d69a"
SELL: Final = "#ff6b81"
EQUITY: Final = "#58a6ff"
DRAWDOWN: Final = "#f6465d"
FUNDING: Final = "#e3a6ff"
TAG: Final = "#2b3445"
CROSSHAIR: Final = "#9fb0c8"
WARNING: Final = "#f0b90b"
STOP: Final = "#ff9e64"
TARGET: Final = "#4dd0e1"
DOUBT: Final = "#d29922"
PLOTS: Final = (FAST, SLOW, FUNDING, TARGET, STOP, BANDS)
"""Colours of a strategy's own lines in a pane, in their order; levels are dim."""
RUNS: Final = ("#58a6ff", "#f0b90b", "#2ebd85", "#e3a6ff", "#ff9e64", "#4dd0e1", "#f6465d", "#b8e986")
"""Colours of compared runs, and of the markets beside them."""
MARKETS: Final = ("#9aa7bb", "#6f7d93", "#c2b59b")

FONT_PX: Final = 12
SMALL_PX: Final = 11
HEADER_PX: Final = 30
VALUE_AXIS_PX: Final = 78
TIME_AXIS_PX: Final = 24

RIGHT_MARGIN: Final = 6
"""Empty places after the last bar, so that it does not touch the border."""
DETAIL_FACTOR: Final = 10
"""From candles of this many bars on, averages and bands are hidden: over half their periods, they would run along each
candle and cover it. In panes of their own, a strategy's lines stay, as hairlines."""
FINE_POINTS: Final = 700
"""Above this many points a curve is drawn with the thin, fast pen."""

LABEL_ROOM_PX: Final = 24.0
"""While every visible trade has this much width, each shows its PnL."""
LABELLED_TRADES: Final = 90
"""More than this many trades show no PnL however wide the window."""
ARROW_ROOM_PX: Final = 12.0
ARROWED_TRADES: Final = 250
"""With less room for each, or with more than this many, trades are not marked on the candles but in a lane below."""
TICK_ROOM_PX: Final = 3.0
"""With less room for each, or in a low pane, the lane has results only."""
LOW_PX: Final = 220.0
"""A pane of candles lower than this is low: it has one line of text, and no lane of entries."""


def plot_colour(number: int) -> str:
    """Return the colour of a strategy's line by its number in its pane; −1 is a level."""
    return DIM if number < 0 else PLOTS[number % len(PLOTS)]


def signed(value: float) -> str:
    """Return the colour of an amount: green above zero, red below, plain at zero."""
    if value > 0:
        return RISE
    return FALL if value < 0 else TEXT
