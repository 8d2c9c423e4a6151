// The chart: what is visible, and which candles of which level are loaded. Never all of them: a year of minutes would
// take half a minute, so candles are put together per level and long levels are loaded in a window that moves along.

const WINDOW = 20_000, WHOLE = 30_000, MARGIN = 50;
/** How far outside of the candles a stop or target may lie and be shown, in heights of theirs. */
const OWN_LINE = 3, ANY_LINE = 0.3;
const MIN_CANDLE = 3, TOO_NARROW = 2.3, TOO_WIDE = 13, FEWEST = 60;
const DATA = ["open", "high", "low", "close"];

class View {
  constructor(box, market, palette) {
    this.box = box;
    this.market = market;
    this.palette = palette;
    this.auto = true;
    this.selected = null;
    this.chart = makeChart(box, palette);
    this.series = addSeries(this.chart, market, palette);
    this.shades = new Shades(this, market);
    this.marks = new Marks(this, market);
    this.series.candles.applyOptions({ autoscaleInfoProvider: (own) => this.#withLines(own()) });
    this.listeners = [];
    this.headroom = [];
    this.fitted = box.clientWidth;
  }

  // Places -----------------------------------------------------------------------------------------------------------

  /** The x of a candle by its number, also outside of the screen. */
  xOfCandle(candle) { return this.chart.timeScale().logicalToCoordinate(candle - this.first); }

  x(slot) { return this.xOfCandle(this.market.candleOf(slot, this.level)); }

  /** The x at which the bar at a slot begins, also inside of a candle. */
  edge(slot) {
    // The chart knows only the middles of candles.
    const place = this.market.placeOf(slot, this.level), candle = Math.floor(place);
    return this.xOfCandle(candle) + (place - candle - 0.5) * this.candleWidth();
  }

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
    if (!this.selected) return to;
    const exit = this.market.candleOf(this.selected.exitSlot, this.level);
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
  detailed() { return this.level.base || this.level.ms < this.market.facts.limits.detail * this.market.facts.stepMs; }

  // What is shown ----------------------------------------------------------------------------------------------------

  /** Show slots [from, to]; the level follows unless one was chosen by hand. */
  show(from, to, level = this.#fitting(to - from + 1)) {
    this.span = [from, to];
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
    // No more candles than have room and no fewer than say something, around the middle of the screen; at the end of it
    // where the end is visible.
    const each = level.base ? 1 : level.ms / this.market.facts.stepMs;
    const span = Math.min(Math.max(to - from + 1, FEWEST * each), (this.width() / MIN_CANDLE) * each, this.market.slots);
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
    // What a change of the window's width did to the chart is no wish of the user.
    if (!range || this.pressed || this.box.clientWidth !== this.fitted) return;
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

  /** Keep values from lying under the legends, which are so many pixels high, and candles from lying over the lane of
   * trades. Room that was needed once is kept: a scale that moves with the crosshair cannot be read. */
  makeRoom(heights) {
    const { series, chart } = this;
    const own = this.market.ownPanes.map((name) => `plot${this.market.plots.findIndex((plot) => plot.pane === name)}`);
    this.headroom = heights.map((height, i) => Math.max(height, this.headroom[i] ?? 0));
    const [price] = chart.panes(), lane = this.marks.laneHeight(price.getHeight());
    const below = lane ? (1 - VOLUME_TOP) * price.getHeight() + lane + LEGEND_GAP : 0;
    ["candles", ...own, "position", "equity", "drawdown", "funding"].forEach((name, i) => {
      if (series[name]) leaveRoom(chart.panes()[i], series[name].priceScale(), this.headroom[i], i ? 0 : below);
    });
  }

  /** Show the same slots as before in a box of another width. */
  refit() {
    if (this.box.clientWidth === this.fitted) return;
    this.fitted = this.box.clientWidth;
    this.headroom = [];
    this.chart.applyOptions(sizes(this.box));
    if (this.span) this.show(...this.span, this.auto ? undefined : this.level);
  }

  tell() {
    if (!this.loaded) return;
    const [from, to] = this.span = this.visibleSlots();
    Object.assign(this.box.dataset, { interval: this.level.name, from: this.market.timeOf(Math.max(from, 0)),
      to: this.market.timeOf(Math.min(to, this.market.slots - 1) + 1), candles: this.loaded.count,
      auto: this.auto, trade: this.selected?.number ?? "" });
    this.listeners.forEach((listener) => listener());
  }

  /** Width and height of the pane of the candles. */
  size() { return [this.width(), this.chart.panes()[0].getHeight()]; }

  width() { return this.chart.timeScale().width() || this.box.clientWidth - VALUE_AXIS; }

  /** Widen a range of prices to the stops and targets on the screen; far for those of a trade that is marked. */
  #withLines(info) {
    if (!info?.priceRange) return info;
    const { start, end, price, kind } = this.market.lines;
    let { minValue: low, maxValue: high } = info.priceRange;
    const height = high - low;
    for (let [i, stop] = this.shades.linesShown(); i < stop; i++) {
      const own = this.selected && start[i] <= this.selected.exitSlot && end[i] >= this.selected.entrySlot;
      const most = height * (own ? OWN_LINE : ANY_LINE);
      if (kind[i] > 1 || price[i] < info.priceRange.minValue - most || price[i] > info.priceRange.maxValue + most) continue;
      low = Math.min(low, price[i]);
      high = Math.max(high, price[i]);
    }
    return { ...info, priceRange: { minValue: low, maxValue: high } };
  }

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
}
