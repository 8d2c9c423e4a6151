// The run on its time axis. A place on the axis is a slot: whole intervals since the first bar, so that holes keep
// their width. Candles of coarser levels are put together from slots when they are shown.

/** Return the exponential average, seeded with the first value; the first `period` − 1 are NaN. */
function average(values, period) {
  const weight = 2 / (period + 1);
  const out = new Float64Array(values.length);
  let last = values[0];
  for (let i = 0; i < values.length; i++) {
    last += weight * (values[i] - last);
    out[i] = i < period - 1 ? NaN : last;
  }
  return out;
}

/** Return [lower, upper]: `width` population standard deviations around the mean of `period` values. */
function bollinger(values, period, width) {
  const lower = new Float64Array(values.length).fill(NaN);
  const upper = new Float64Array(values.length).fill(NaN);
  const level = values[0];
  let sum = 0;
  let squares = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] - level;
    sum += value;
    squares += value * value;
    if (i >= period) {
      const old = values[i - period] - level;
      sum -= old;
      squares -= old * old;
    }
    if (i < period - 1) continue;
    const mean = sum / period;
    const spread = width * Math.sqrt(Math.max(squares / period - mean * mean, 0));
    lower[i] = level + mean - spread;
    upper[i] = level + mean + spread;
  }
  return [lower, upper];
}

/** Undo the packing of prices: the open is kept against the last close, the others against the body. */
function prices(columns) {
  const { open, high, low, close } = columns;
  let last = 0;
  const unit = columns.priceUnit;
  const exact = (value) => Math.round(value * unit) / unit;
  for (let i = 0; i < open.length; i++) {
    open[i] = exact(last + open[i]);
    close[i] = exact(open[i] + close[i]);
    last = close[i];
    high[i] = exact(Math.max(open[i], last) + high[i]);
    low[i] = exact(Math.min(open[i], last) - low[i]);
  }
}

/** Spread one value per bar over slots, NaN in holes. */
function spread(values, holes, slots) {
  if (!holes.length) return values;
  const out = new Float64Array(slots).fill(NaN);
  let bar = 0;
  let slot = 0;
  for (const [start, length] of [...holes, [slots, 0]]) {
    out.set(values.subarray(bar, bar + start - slot), slot);
    bar += start - slot;
    slot = start + length;
  }
  return out;
}

class Market {
  constructor(facts, columns) {
    columns.priceUnit = 10 ** facts.columns.find((each) => each.name === "open").decimals;
    prices(columns);
    const perBar = {
      open: columns.open, high: columns.high, low: columns.low, close: columns.close, volume: columns.volume,
      position: columns.position, equity: columns.equity,
    };
    if (facts.overlays) {
      const { fast, slow, bands } = facts.overlays;
      const [lower, upper] = bollinger(columns.close, bands[0], bands[1]);
      Object.assign(perBar, { fast: average(columns.close, fast), slow: average(columns.close, slow), lower, upper });
    }
    for (const [name, values] of Object.entries(perBar)) this[name] = spread(values, facts.holes, facts.slots);
    // What the strategy publishes: lines over the candles (`own` is false) and in panes of its own.
    this.plots = facts.plots.map((plot, i) => ({ ...plot, own: plot.pane !== "price", values:
      spread(unknown(columns[`plot_${i}`], columns[`plot_${i}_edges`]), facts.holes, facts.slots) }));
    this.ownPanes = [...new Set(this.plots.filter((plot) => plot.own).map((plot) => plot.pane))];
    this.facts = facts;
    this.slots = facts.slots;
    this.drawdown = this.#drawdown(facts.start);
    this.funding = { slot: columns.funding_slot, amount: columns.funding_amount };
    this.fills = { slot: columns.fill_slot, price: columns.fill_price, sign: columns.fill_sign,
      opens: columns.fill_opens, liquidates: columns.fill_liquidates };
    this.lines = { start: columns.line_start, end: columns.line_end, price: columns.line_price,
      kind: columns.line_kind };
    this.ambiguous = columns.ambiguous;
    this.trades = Array.from(columns.trade_entry_slot, (slot, i) => ({
      number: i + 1, entrySlot: slot, exitSlot: columns.trade_exit_slot[i], sign: columns.trade_sign[i],
      quantity: columns.trade_quantity[i], entry: columns.trade_entry_price[i], exit: columns.trade_exit_price[i],
      pnl: columns.trade_pnl[i], liquidation: columns.trade_liquidation[i], fee: columns.trade_fee[i], funding: columns.trade_funding[i],
      entryTime: columns.trade_entry_time[i] * 1000, exitTime: columns.trade_exit_time[i] * 1000,
      open: columns.trade_open[i] === 1,
    }));
    // Trades are in order of entry; the latest exit so far is in order, too, which is what a search needs.
    let last = 0;
    this.exits = this.trades.map((trade) => (last = Math.max(last, trade.exitSlot)));
    this.paid = this.funding.amount.map(((sum) => (amount) => (sum += amount))(0));
  }

  #drawdown(start) {
    const out = new Float64Array(this.slots).fill(NaN);
    let peak = start;
    for (let i = 0; i < this.slots; i++) {
      const equity = this.equity[i];
      if (equity > peak) peak = equity;
      if (equity === equity) out[i] = peak > 0 ? equity / peak - 1 : 0;
    }
    return out;
  }

  /** When the bar at a slot opens, UTC milliseconds. Months differ in length; all else is even. */
  timeOf(slot) {
    const { startMs, stepMs, monthly } = this.facts;
    if (!monthly) return startMs + slot * stepMs;
    const first = new Date(startMs);
    return Date.UTC(first.getUTCFullYear(), first.getUTCMonth() + slot);
  }

  /** Where the bar at a slot begins, counted in candles of a level. */
  placeOf(slot, level) {
    if (level.base) return slot;
    return (this.facts.startMs + slot * this.facts.stepMs - level.anchorMs) / level.ms;
  }

  /** The candle of a level that a slot belongs to. */
  candleOf(slot, level) { return Math.floor(this.placeOf(slot, level)); }

  /** The first slot of a candle, also of one that starts before the data. */
  slotOf(candle, level) {
    if (level.base) return candle;
    return Math.ceil((candle * level.ms + level.anchorMs - this.facts.startMs) / this.facts.stepMs);
  }

  /** The last slot at or before `slot` that has a bar, or -1. */
  barAt(slot) {
    let found = Math.min(Math.max(Math.round(slot), 0), this.slots - 1);
    while (found >= 0 && Number.isNaN(this.close[found])) found--;
    return found;
  }

  /** Return the candles [first, stop) of a level, in columns; a candle without a bar has only its time. */
  candles(level, first, stop) {
    const made = { first, count: stop - first, lastSlot: new Int32Array(stop - first), time: [] };
    const names = ["open", "high", "low", "close", "volume", "position", "equity", "drawdown"];
    for (const name of names) made[name] = new Float64Array(stop - first).fill(NaN);
    for (let candle = first; candle < stop; candle++) this.#candle(made, level, candle);
    return made;
  }

  #candle(made, level, candle) {
    const from = Math.max(this.slotOf(candle, level), 0);
    const to = Math.min(this.slotOf(candle + 1, level), this.slots);
    const i = candle - made.first;
    made.time.push(Math.round((level.base ? this.timeOf(candle) : candle * level.ms + level.anchorMs) / 1000));
    made.lastSlot[i] = -1;
    let high = -Infinity, low = Infinity, volume = 0, bars = 0, deepest = 0;
    for (let slot = from; slot < to; slot++) {
      if (Number.isNaN(this.close[slot])) continue;
      if (!bars++) made.open[i] = this.open[slot];
      if (this.high[slot] > high) high = this.high[slot];
      if (this.low[slot] < low) low = this.low[slot];
      if (this.drawdown[slot] < deepest) deepest = this.drawdown[slot];
      volume += this.volume[slot];
      made.lastSlot[i] = slot;
    }
    if (!bars) return;
    const last = made.lastSlot[i];
    made.high[i] = high;
    made.low[i] = low;
    made.close[i] = this.close[last];
    made.volume[i] = volume;
    // As it is at the end, like the equity: a mean would be a position that never was.
    made.position[i] = this.position[last];
    made.equity[i] = this.equity[last];
    made.drawdown[i] = deepest;
  }
}
