// The chart: panes, series, and which candles of which level are loaded. Never all of them: a year of minutes would
// take half a minute, so candles are put together per level and long levels are loaded in a window that moves along.

const WINDOW = 20_000, WHOLE = 30_000, MARGIN = 50;
const MIN_CANDLE = 3, TOO_NARROW = 2.3, TOO_WIDE = 13, DETAIL_FACTOR = 60, COARSE_FACTOR = 15, VALUE_AXIS = 78, NARROW = 600, NARROW_AXIS = 58;
const PRICE_PANE = 5.2, OWN_PANE = 1.2, ACCOUNT_PANES = [1, 2, 1.1, 0.9];
const DATA = ["open", "high", "low", "close"];

class View {
  constructor(box, market, palette) {
    this.box = box;
    this.market = market;
    this.palette = palette;
    this.auto = true;
    this.selected = null;
    this.chart = this.#chart();
    this.series = this.#series();
    const shares = [PRICE_PANE, ...market.ownPanes.map(() => OWN_PANE), ...ACCOUNT_PANES];
    this.chart.panes().forEach((pane, i) => pane.setStretchFactor(shares[i]));
    this.shades = new Shades(this, market);
    this.marks = new Marks(this, market);
    this.listeners = [];
  }

  // Places -----------------------------------------------------------------------------------------------------------

  /** The x of a candle by its number, also outside of the screen. */
  xOfCandle(candle) { return this.chart.timeScale().logicalToCoordinate(candle - this.first); }

  x(slot) { return this.xOfCandle(this.market.candleOf(slot, this.level)); }

  candleWidth() { return this.chart.timeScale().options().barSpacing; }

  /** Candles on the screen, [first, last], among those that are loaded. */
  visibleCandles() {
    const range = this.chart.timeScale().getVisibleLogicalRange();
    if (!range) return [this.first, this.first];
    const last = this.first + this.loaded.count - 1;
    const place = (logical) => Math.min(Math.max(logical + this.first, this.first), last);
    return [place(Math.floor(range.from + 0.5)), place(Math.ceil(range.to - 0.5))];
  }

  /** Slots on the screen, [first, last]. */
  visibleSlots() {
    const [from, to] = this.visibleCandles();
    return [this.market.slotOf(from, this.level), this.market.slotOf(to + 1, this.level) - 1];
  }

  /** The candle told of while nothing is pointed at: the end of the trade that is marked, or the last on the screen. */
  resting() {
    const [from, to] = this.visibleCandles();
    const exit = this.selected && this.market.candleOf(this.selected.exitSlot, this.level);
    return exit >= from && exit <= to ? exit : to;
  }

  lastSlot(candle) { return this.loaded.lastSlot[candle - this.first] ?? -1; }

  valuesAt(candle) { return [...DATA, "volume"].map((name) => this.loaded[name][candle - this.first]); }

  drawdownAt(candle) { return this.loaded.drawdown[candle - this.first]; }

  equityAt(slot) { return this.loaded.equity[this.market.candleOf(slot, this.level) - this.first]; }

  extremesAt(slot) {
    const i = this.market.candleOf(slot, this.level) - this.first;
    return [this.loaded.high[i], this.loaded.low[i]];
  }

  /** Whether averages and bands are drawn: at coarse levels they would belong to no candle on the screen. */
  detailed() { return this.level.ms < DETAIL_FACTOR * this.market.facts.stepMs || this.level.base; }

  // What is shown ----------------------------------------------------------------------------------------------------

  /** Show slots [from, to]; the level follows unless one was chosen by hand. */
  show(from, to, level = this.#fitting(to - from + 1)) {
    this.#load(level, from, to);
    const place = (slot) => this.market.candleOf(slot, level) - this.first;
    // A candle of room at both ends keeps the first and the last from being cut in halves.
    this.chart.timeScale().setVisibleLogicalRange({ from: place(from) - 0.5, to: place(to) + 0.5 });
    // The chart takes it over with its next frame.
    requestAnimationFrame(() => this.tell());
  }

  showAll() {
    this.auto = true;
    this.selected = null;
    this.show(0, this.market.slots - 1);
  }

  /** Choose the length of candles by hand, around what is visible; `null` leaves it to the zoom. */
  choose(level) {
    const [from, to] = this.visibleSlots();
    this.auto = level === null;
    if (level === null) {
      this.show(from, to);
      return;
    }
    // No more candles than have room, around the middle of the screen; at the end of it where the end is visible.
    const most = (this.width() / MIN_CANDLE) * (level.base ? 1 : level.ms / this.market.facts.stepMs);
    const span = Math.min(Math.max(to - from + 1, 1), most);
    const end = to >= this.market.slots - 1 ? to : Math.min((from + to + span) / 2, this.market.slots - 1);
    this.show(Math.max(Math.round(end - span + 1), 0), Math.round(end), level);
  }

  /** Mark a trade and bring it to the middle of the screen. */
  jump(trade) {
    const length = trade.exitSlot - trade.entrySlot + 1;
    const room = Math.max(length, 40);
    this.auto = true;
    this.selected = trade;
    this.show(Math.max(trade.entrySlot - room, 0), Math.min(trade.exitSlot + room, this.market.slots - 1));
  }

  recolour(palette) {
    this.palette = palette;
    this.chart.applyOptions(chartColours(palette));
    for (const [name, options] of Object.entries(seriesColours(palette, this.market.plots))) {
      this.series[name]?.applyOptions(options);
    }
    const [from, to] = this.visibleSlots();
    const range = this.chart.timeScale().getVisibleLogicalRange();
    this.#load(this.level, from, to);
    this.chart.timeScale().setVisibleLogicalRange(range);
  }

  /** Follow what the user did: another level when candles became too narrow or too wide, another window at its end. */
  follow() {
    const range = this.chart.timeScale().getVisibleLogicalRange();
    if (!range || this.pressed) return;
    const spacing = this.candleWidth();
    const [from, to] = this.visibleSlots();
    const whole = range.from <= 0.5 && range.to >= this.loaded.count - 1.5;
    if (this.auto || (whole && this.loaded.count < this.total)) {
      const level = this.#fitting(to - from + 1);
      const coarser = level.ms > this.level.ms && (spacing < TOO_NARROW || whole);
      if (coarser || (level.ms < this.level.ms && spacing > TOO_WIDE)) {
        this.auto = true;
        this.show(from, to, level);
        return;
      }
    }
    const early = range.from < MARGIN && this.first > this.begin;
    const late = range.to > this.loaded.count - MARGIN && this.first + this.loaded.count < this.begin + this.total;
    if (early || late) {
      const before = this.first;
      this.#load(this.level, from, to);
      const moved = before - this.first;
      this.chart.timeScale().setVisibleLogicalRange({ from: range.from + moved, to: range.to + moved });
    }
    this.tell();
  }

  tell() {
    if (!this.loaded) return;
    const [from, to] = this.visibleSlots();
    Object.assign(this.box.dataset, { interval: this.level.name, from: this.market.timeOf(Math.max(from, 0)),
      to: this.market.timeOf(Math.min(to, this.market.slots - 1) + 1), candles: this.loaded.count,
      auto: this.auto, trade: this.selected?.number ?? "" });
    this.listeners.forEach((listener) => listener());
  }

  width() { return this.chart.timeScale().width() || this.box.clientWidth - VALUE_AXIS; }

  // Loading ----------------------------------------------------------------------------------------------------------

  #fitting(slots) {
    const { levels, stepMs } = this.market.facts;
    const most = this.width() / MIN_CANDLE;
    return levels.find((level) => (slots * (level.base ? 1 : stepMs / level.ms)) <= most) ?? levels.at(-1);
  }

  #load(level, from, to) {
    const { market } = this;
    this.level = level;
    this.begin = market.candleOf(0, level);
    this.total = market.candleOf(market.slots - 1, level) - this.begin + 1;
    let first = this.begin, stop = this.begin + this.total;
    if (this.total > WHOLE) {
      const middle = market.candleOf(Math.round((from + to) / 2), level);
      first = Math.min(Math.max(middle - WINDOW / 2, this.begin), this.begin + this.total - WINDOW);
      stop = first + WINDOW;
    }
    this.first = first;
    this.loaded = market.candles(level, first, stop);
    // They follow coarse candles so closely that thick ones would cover them.
    const coarse = level.ms >= COARSE_FACTOR * market.facts.stepMs;
    for (const name of ["fast", "slow", ...market.plots.flatMap((plot, i) => (plot.own ? [] : [`plot${i}`]))]) {
      this.series[name]?.applyOptions({ lineWidth: coarse ? 1 : 1.5 });
    }
    this.#fill();
  }

  #fill() {
    const { loaded, market, palette, series } = this;
    const rows = (make) => loaded.time.map((time, i) => (loaded.lastSlot[i] < 0 ? { time } : { time, ...make(i) }));
    const [up, down] = [fade(palette.rise, 0.28), fade(palette.fall, 0.28)];
    series.candles.setData(rows((i) => Object.fromEntries(DATA.map((name) => [name, loaded[name][i]]))));
    series.volume.setData(rows((i) => ({ value: loaded.volume[i], color: loaded.close[i] >= loaded.open[i] ? up : down })));
    const draw = (name, values) => series[name]?.setData(values ? linePoints(loaded.time, values) : []);
    const perCandle = (values) => Array.from(loaded.lastSlot, (slot) => (slot < 0 ? NaN : values[slot]));
    const overlay = (name, values, shown) => draw(name, shown && values && perCandle(values));
    for (const name of ["fast", "slow", "lower", "upper"]) overlay(name, market[name], this.detailed());
    market.plots.forEach((plot, i) => overlay(`plot${i}`, plot.values, plot.own || this.detailed()));
    for (const name of ["position", "equity"]) draw(name, loaded[name]);
    draw("drawdown", loaded.drawdown.map((value) => value * 100));
    series.funding?.setData(this.#payments());
  }

  #payments() {
    const { market, level, first, loaded, palette } = this;
    const sums = new Map();
    market.funding.slot.forEach((slot, i) => {
      const place = market.candleOf(slot, level) - first;
      if (place >= 0 && place < loaded.count) sums.set(place, (sums.get(place) ?? 0) + market.funding.amount[i]);
    });
    return [...sums].map(([place, value]) =>
      ({ time: loaded.time[place], value, color: value >= 0 ? palette.rise : palette.fall }));
  }

  // Building ---------------------------------------------------------------------------------------------------------

  #chart() {
    const narrow = this.box.clientWidth < NARROW;
    const chart = LightweightCharts.createChart(this.box, {
      autoSize: true,
      layout: { fontFamily: "Inter, system-ui, sans-serif", fontSize: narrow ? 10 : 11, attributionLogo: false,
        panes: { enableResize: true } },
      crosshair: { mode: LightweightCharts.CrosshairMode.Normal },
      // A finger that moves up or down scrolls the page.
      handleScroll: { vertTouchDrag: false },
      rightPriceScale: { minimumWidth: narrow ? NARROW_AXIS : VALUE_AXIS },
      timeScale: { timeVisible: true, secondsVisible: false, minBarSpacing: 0.02, fixLeftEdge: true,
        fixRightEdge: true },
      localization: { locale: "en-GB", dateFormat: "yyyy-MM-dd" },
    });
    chart.applyOptions(chartColours(this.palette));
    return chart;
  }

  #series() {
    const { money, price, quantity } = this.market.facts.decimals;
    const format = (decimals, unit = "") => ({ type: "custom", minMove: 10 ** -decimals,
      formatter: (value) => number(value, decimals) + unit });
    const { overlays } = this.market.facts;
    const { plots, ownPanes } = this.market;
    const colours = seriesColours(this.palette, plots);
    const below = 1 + ownPanes.length;
    const add = (kind, name, pane, options = {}) => this.chart.addSeries(LightweightCharts[kind], {
      lastValueVisible: false, priceLineVisible: false, ...colours[name], ...options }, pane);
    const hair = { crosshairMarkerVisible: false, lineWidth: 1, priceFormat: format(price) };
    const series = {
      volume: add("HistogramSeries", "volume", 0, { priceScaleId: "volume", priceFormat: { type: "volume" } }),
      ...(overlays && { lower: add("LineSeries", "lower", 0, hair), upper: add("LineSeries", "upper", 0, hair) }),
      candles: add("CandlestickSeries", "candles", 0, { borderVisible: false, lastValueVisible: true,
        priceLineVisible: true, priceFormat: format(price) }),
      ...(overlays && { slow: add("LineSeries", "slow", 0, { ...hair, lineWidth: 1.5 }),
        fast: add("LineSeries", "fast", 0, { ...hair, lineWidth: 1.5 }) }),
      ...Object.fromEntries(plots.map((plot, i) => [`plot${i}`, add("LineSeries", `plot${i}`,
        plot.own ? 1 + ownPanes.indexOf(plot.pane) : 0, { ...hair, lineWidth: plot.colour < 0 ? 1 : 1.5,
          lineStyle: LightweightCharts.LineStyle[plot.colour < 0 ? "Dashed" : "Solid"],
          priceFormat: format(plot.decimals) })])),
      position: add("BaselineSeries", "position", below, { baseValue: { type: "price", price: 0 }, lineWidth: 1,
        lineType: LightweightCharts.LineType.WithSteps, priceFormat: format(quantity) }),
      equity: add("BaselineSeries", "equity", below + 1, { lineWidth: 1.5, priceFormat: format(money),
        baseValue: { type: "price", price: this.market.facts.start } }),
      drawdown: add("AreaSeries", "drawdown", below + 2, { lineWidth: 1, invertFilledArea: true, priceFormat: format(2, "%") }),
    };
    if (this.market.funding.slot.length) {
      series.funding = add("HistogramSeries", "funding", below + 3, { priceFormat: format(money) });
    }
    series.volume.priceScale().applyOptions({ scaleMargins: { top: 0.83, bottom: 0 } });
    // Room for what the legend says, which takes more lines where it is narrow.
    const top = this.box.clientWidth < NARROW ? 0.22 : 0.1;
    series.candles.priceScale().applyOptions({ scaleMargins: { top, bottom: 0.06 } });
    return series;
  }
}
