// What is painted over the candles: fills, trades, funding. With less detail the more of it is visible.

const FEW = 50, MOST_PAYMENTS = 120, WHOLE_AMOUNT = 1000;
/** The lane, in pixels: results in bins, each at least so high, and above them ticks up and down for entries. */
const BIN = 2, LEAST_RESULT = 2, TICK = 8, LANE_GAP = 6, RESULTS = 26, LEAST_RESULTS = 10, RESULTS_SHARE = 0.08;
const resultsHeight = (pane) => Math.min(RESULTS, Math.max(RESULTS_SHARE * pane, LEAST_RESULTS));

class Marks {
  constructor(view, market) {
    this.view = view;
    this.market = market;
    const candles = view.series.candles;
    this.y = (price) => candles.priceToCoordinate(price);
    this.entries = market.trades.map((trade) => trade.entrySlot);
    candles.attachPrimitive(new Painter("top", (...space) => this.trades(...space)));
    view.series.equity.attachPrimitive(new Painter("top", (...space) => this.payments(...space)));
  }

  /** Return [first, stop) of the payments of funding on the screen; none where each would cover the next. */
  paymentsShown() {
    const [from, to] = this.view.visibleSlots();
    const { slot } = this.market.funding;
    const first = lowerBound(slot, from), stop = lowerBound(slot, to + 1);
    return stop - first > MOST_PAYMENTS ? [first, first] : [first, stop];
  }

  payments(context) {
    const { market, view } = this;
    const { slot } = market.funding;
    context.fillStyle = view.palette.funding;
    for (let [i, stop] = this.paymentsShown(); i < stop; i++) {
      const x = view.x(slot[i]), y = view.series.equity.priceToCoordinate(view.equityAt(slot[i]));
      if (y === null) continue;
      context.beginPath();
      for (const [dx, dy] of [[0, -4.5], [4.5, 0], [0, 4.5], [-4.5, 0]]) context.lineTo(x + dx, y + dy);
      context.fill();
    }
  }

  /** Return the trades on the screen, which fills those are, how many trades that makes, and what is drawn of them.
   *
   * Labels and arrows stand at the prices that were paid. Where they would hide the candles, entries and results have a
   * lane below them; results alone where even entries would run together. */
  crowd() {
    const { market, view } = this;
    const { limits } = market.facts;
    const [from, to] = view.visibleSlots(), [width, height] = view.size();
    const first = lowerBound(market.exits, from);
    const trades = market.trades.slice(first, Math.max(lowerBound(this.entries, to + 1), first));
    const fills = [lowerBound(market.fills.slot, from), lowerBound(market.fills.slot, to + 1)];
    const count = Math.max(trades.length, (fills[1] - fills[0] + 1) >> 1);
    const fit = (most, room) => count <= Math.min(most, width / room);
    const detail = fit(limits.labelled, limits.labelRoom) ? "labels" : fit(limits.arrowed, limits.arrowRoom) ? "arrows"
      : fit(Infinity, limits.tickRoom) && height >= limits.tickHeight ? "entries" : "results";
    return { trades, fills, count, detail, lane: detail === "entries" || detail === "results" };
  }

  /** The height of the lane in a pane so high, gaps included; none without one. */
  laneHeight(pane) {
    const { detail, lane } = this.crowd();
    return lane ? LANE_GAP + resultsHeight(pane) + (detail === "entries" ? LANE_GAP + 2 * TICK : 0) : 0;
  }

  trades(context, size) {
    const { trades, fills, count, detail, lane } = this.crowd();
    const { selected } = this.view;
    this.#selected(context, size);
    if (lane) {
      const base = size.height * VOLUME_TOP - LANE_GAP;
      this.#results(context, size.width, base, resultsHeight(size.height), trades);
      if (detail === "entries") this.#entries(context, size.width, base - resultsHeight(size.height) - LANE_GAP - TICK, fills);
      if (selected) this.#lines(context, [selected]);
    } else {
      this.#lines(context, trades);
      this.#fills(context, fills, count);
    }
    this.#liquidations(context, fills);
    if (detail === "labels") this.#labels(context, size, trades);
  }

  #selected(context, size) {
    const trade = this.view.selected;
    if (!trade) return;
    const half = this.view.candleWidth() / 2;
    const left = this.view.x(trade.entrySlot) - half, right = this.view.x(trade.exitSlot) + half;
    context.fillStyle = fade(this.view.palette[trade.pnl > 0 ? "rise" : "fall"], 0.08);
    context.fillRect(left, 0, right - left, size.height);
  }

  #lines(context, shown) {
    const { palette, selected } = this.view;
    context.setLineDash([4, 3]);
    for (const trade of shown) {
      context.lineWidth = trade === selected ? 2.4 : 1.3;
      context.strokeStyle = fade(trade.pnl > 0 ? palette.rise : palette.fall, 0.85);
      context.beginPath();
      context.moveTo(this.view.x(trade.entrySlot), this.y(trade.entry));
      context.lineTo(this.view.x(trade.exitSlot), this.y(trade.exit));
      context.stroke();
    }
    context.setLineDash([]);
  }

  #fills(context, [first, stop], count) {
    const { fills } = this.market;
    const { palette } = this.view;
    const size = count < FEW ? 11 : 8, radius = count < FEW ? 3.6 : 2.8;
    for (let i = first; i < stop; i++) {
      const x = this.view.x(fills.slot[i]), y = this.y(fills.price[i]), side = fills.sign[i];
      context.fillStyle = side > 0 ? palette.buy : palette.sell;
      context.beginPath();
      if (fills.opens[i]) {
        // The tip touches the price that was paid.
        context.moveTo(x, y);
        context.lineTo(x - 0.62 * size, y + side * size);
        context.lineTo(x + 0.62 * size, y + side * size);
        context.closePath();
        context.strokeStyle = palette.background;
        context.lineWidth = 1;
      } else {
        context.arc(x, y, radius, 0, 2 * Math.PI);
        context.fillStyle = palette.background;
        context.strokeStyle = palette.text;
        context.lineWidth = 1.3;
      }
      context.fill();
      context.stroke();
    }
  }

  /** A cross where the exchange closed a position, at every level of detail. */
  #liquidations(context, [first, stop]) {
    const { fills } = this.market;
    const { background, warning } = this.view.palette;
    for (let i = first; i < stop; i++) {
      if (!fills.liquidates[i]) continue;
      const x = this.view.x(fills.slot[i]), y = this.y(fills.price[i]);
      for (const [colour, width] of [[background, 5.5], [warning, 2.6]]) {
        context.strokeStyle = colour;
        context.lineWidth = width;
        context.beginPath();
        for (const side of [-1, 1]) {
          context.moveTo(x - 6, y - 6 * side);
          context.lineTo(x + 6, y + 6 * side);
        }
        context.stroke();
      }
    }
  }

  /** A tick up for every entry that bought, down for one that sold. */
  #entries(context, width, middle, [first, stop]) {
    const { fills } = this.market;
    this.#rule(context, width, middle);
    for (let i = first; i < stop; i++) {
      if (!fills.opens[i]) continue;
      context.fillStyle = fills.sign[i] > 0 ? this.view.palette.buy : this.view.palette.sell;
      context.fillRect(Math.round(this.view.x(fills.slot[i])) - 1, Math.round(middle), BIN, -TICK * fills.sign[i]);
    }
  }

  /** Net PnL of the trades that ended in two pixels, as bars. */
  #results(context, width, base, highest, shown) {
    const net = new Float64Array(Math.ceil(width / BIN) + 1);
    for (const trade of shown) {
      const bin = Math.floor(this.view.x(trade.exitSlot) / BIN);
      if (bin >= 0 && bin < net.length) net[bin] += trade.pnl;
    }
    const most = net.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0) || 1;
    this.#rule(context, width, base);
    net.forEach((value, bin) => {
      if (!value) return;
      // The root keeps small results visible beside the largest.
      const height = Math.max(highest * (Math.abs(value) / most) ** 0.6, LEAST_RESULT);
      context.fillStyle = value > 0 ? this.view.palette.rise : this.view.palette.fall;
      context.fillRect(bin * BIN, base - height, BIN - 0.4, height);
    });
  }

  #rule(context, width, y) {
    context.fillStyle = fade(this.view.palette.grid, 0.27);
    context.fillRect(0, Math.round(y), width, 1);
  }

  #labels(context, size, shown) {
    const { market, view } = this;
    const taken = [];
    const height = 16;
    context.font = "600 11px Inter, system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (const trade of shown) {
      const text = signed(trade.pnl, Math.abs(trade.pnl) < WHOLE_AMOUNT ? market.facts.decimals.money : 0);
      const width = context.measureText(text).width + 10;
      const end = view.x(trade.exitSlot);
      if (end > size.width + 1) continue;
      const x = Math.max(Math.min(end, size.width - width / 2 - 2), width / 2 + 2);
      const top = this.#freePlace(x, width, height, trade, taken);
      if (top === null) continue;
      taken.push([x - width / 2, top, x + width / 2, top + height]);
      context.beginPath();
      context.roundRect(x - width / 2, top, width, height, 3);
      context.fillStyle = fade(view.palette.background, 0.85);
      context.fill();
      context.strokeStyle = context.fillStyle = trade.pnl > 0 ? view.palette.rise : view.palette.fall;
      context.lineWidth = trade === view.selected ? 2 : 1;
      context.stroke();
      context.fillText(text, x, top + height / 2 + 0.5);
    }
  }

  /** Return the top of a label that covers no other: above the high of the exit's candle, or below its low. */
  #freePlace(x, width, height, trade, taken) {
    const [high, low] = this.view.extremesAt(trade.exitSlot).map(this.y);
    const above = [high - 9 - height, high - 27 - height], below = [low + 9, low + 27];
    const ceiling = (this.view.headroom[0] ?? 0) + LANE_GAP;
    const [one, other] = trade.pnl > 0 ? [above, below] : [below, above];
    for (const top of [one[0], other[0], one[1], other[1]]) {
      const free = ([left, upper, right, lower]) =>
        x - width / 2 >= right || x + width / 2 <= left || top >= lower || top + height <= upper;
      if (top >= ceiling && taken.every(free)) return top;
    }
    return null;
  }
}
