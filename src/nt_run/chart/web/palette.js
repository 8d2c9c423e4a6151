// Colours come from the style sheet, so that the page and its canvas agree in both themes.

const COLOURS = ["background", "panel", "border", "grid", "text", "dim", "rise", "fall", "fast", "slow", "bands", "buy",
  "sell", "equity", "drawdown", "funding", "tag", "crosshair", "warning", "stop", "target", "doubt"];

/** Return the colours of the theme in use by name. */
function readPalette() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue("--" + name).trim()]));
}

/** Return a colour `#rrggbb` with an opacity from 0 to 1. */
const fade = (colour, opacity) => colour + Math.round(opacity * 255).toString(16).padStart(2, "0");

/** Return the options of the chart that depend on the theme. */
function chartColours(palette) {
  const line = { color: palette.crosshair, labelBackgroundColor: palette.tag };
  return {
    layout: { background: { color: palette.background }, textColor: palette.dim,
      panes: { separatorColor: palette.border, separatorHoverColor: palette.tag } },
    grid: { vertLines: { color: fade(palette.grid, 0.1) }, horzLines: { color: fade(palette.grid, 0.1) } },
    crosshair: { vertLine: line, horzLine: line },
    rightPriceScale: { borderColor: palette.border },
    timeScale: { borderColor: palette.border },
  };
}

const PLOTS = ["fast", "slow", "funding", "target", "stop", "bands"];

/** Return the name of the colour of a strategy's line: by its number in its pane, dim for a level. */
const plotColour = (plot) => (plot.colour < 0 ? "dim" : PLOTS[plot.colour % PLOTS.length]);

/** Return the options of every series that depend on the theme. */
function seriesColours(palette, plots) {
  const { rise, fall, equity, drawdown } = palette;
  const position = [palette.buy, palette.sell];
  return {
    candles: { upColor: rise, downColor: fall, wickUpColor: rise, wickDownColor: fall },
    fast: { color: palette.fast },
    slow: { color: palette.slow },
    lower: { color: fade(palette.bands, 0.55) },
    upper: { color: fade(palette.bands, 0.55) },
    position: {
      topLineColor: position[0], topFillColor1: fade(position[0], 0.37), topFillColor2: fade(position[0], 0.37),
      bottomLineColor: position[1], bottomFillColor1: fade(position[1], 0.37), bottomFillColor2: fade(position[1], 0.37),
    },
    equity: {
      crosshairMarkerBackgroundColor: equity, topLineColor: equity, bottomLineColor: equity, topFillColor1: fade(equity, 0.3), topFillColor2: fade(equity, 0.03),
      bottomFillColor1: fade(fall, 0.03), bottomFillColor2: fade(fall, 0.25),
    },
    ...Object.fromEntries(plots.map((plot, i) => [`plot${i}`, { color: palette[plotColour(plot)] }])),
    drawdown: {
      crosshairMarkerBackgroundColor: drawdown, topLineColor: drawdown, bottomLineColor: drawdown,
      bottomFillColor1: fade(drawdown, 0.06), bottomFillColor2: fade(drawdown, 0.38),
    },
  };
}
