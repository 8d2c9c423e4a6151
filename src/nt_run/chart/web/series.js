// The series of a run, empty: panes from top to bottom are candles, what the strategy publishes, the account.

const PRICE_PANE = 5.2, OWN_PANE = 1.2, ACCOUNT_PANES = [1, 2, 1.1, 0.9], VOLUME_TOP = 0.83, LOW_PANE_DENSITY = 1.3;

/** Return the series of a run by name. */
function addSeries(chart, market, palette) {
  const { decimals, overlays, start } = market.facts;
  const { money, price, quantity } = decimals;
  const { plots, ownPanes } = market;
  const colours = seriesColours(palette, plots);
  const below = 1 + ownPanes.length;
  const format = (digits) => ({ type: "custom", minMove: 10 ** -digits, formatter: (value) => number(value, digits) });
  const add = (kind, name, pane, options = {}) => chart.addSeries(LightweightCharts[kind], {
    lastValueVisible: false, priceLineVisible: false, ...colours[name], ...options }, pane);
  const hair = { crosshairMarkerVisible: false, lineWidth: 1, priceFormat: format(price) };
  const thick = { ...hair, lineWidth: 1.5 };
  const base = (value) => ({ type: "price", price: value });
  const series = {
    volume: add("HistogramSeries", "volume", 0, { priceScaleId: "volume", priceFormat: { type: "volume" } }),
    ...(overlays && { lower: add("LineSeries", "lower", 0, hair), upper: add("LineSeries", "upper", 0, hair) }),
    candles: add("CandlestickSeries", "candles", 0, { borderVisible: false, lastValueVisible: true,
      priceLineVisible: true, priceFormat: format(price) }),
    ...(overlays && { slow: add("LineSeries", "slow", 0, thick), fast: add("LineSeries", "fast", 0, thick) }),
    ...Object.fromEntries(plots.map((plot, i) => [`plot${i}`, add("LineSeries", `plot${i}`,
      plot.own ? 1 + ownPanes.indexOf(plot.pane) : 0, { ...(plot.colour < 0 ? hair : thick),
        lineStyle: LightweightCharts.LineStyle[plot.colour < 0 ? "Dashed" : "Solid"],
        priceFormat: format(plot.decimals) })])),
    position: add("BaselineSeries", "position", below, { baseValue: base(0), lineWidth: 1,
      lineType: LightweightCharts.LineType.WithSteps, priceFormat: format(quantity) }),
    equity: add("BaselineSeries", "equity", below + 1, { lineWidth: 1.5, priceFormat: format(money), baseValue: base(start) }),
    drawdown: add("BaselineSeries", "drawdown", below + 2, { lineWidth: 1, baseValue: base(0),
      // Room for the legend is above zero, where there is no drawdown.
      priceFormat: { ...format(2), formatter: (value) => (value > 0 ? "" : number(value) + "%") } }),
  };
  if (market.funding.slot.length) series.funding = add("HistogramSeries", "funding", below + 3, { priceFormat: format(money) });
  series.volume.priceScale().applyOptions({ scaleMargins: { top: VOLUME_TOP, bottom: 0 } });
  // Low panes would have one label, or none.
  for (const pane of chart.panes().slice(1)) pane.priceScale("right").applyOptions({ tickMarkDensity: LOW_PANE_DENSITY });
  const shares = [PRICE_PANE, ...ownPanes.map(() => OWN_PANE), ...ACCOUNT_PANES];
  chart.panes().forEach((pane, i) => pane.setStretchFactor(shares[i]));
  return series;
}
