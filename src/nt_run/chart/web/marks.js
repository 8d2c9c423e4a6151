// What is painted over the candles: fills, trades, funding. With less detail the more of it is visible.

const LABELLED_TRADES = 90, ARROWED_TRADES = 250, TICKED_TRADES = 900, LABEL_ROOM = 24, FEW = 50;
const STRIP_HEIGHT = 24, STRIP_BIN = 2, STRIP_TOP = 0.8, WHOLE_AMOUNT = 1000;

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

  payments(context) {
    const { market, view } = this;
    const [from, to] = view.visibleSlots();
    const { slot } = market.funding;
    const first = lowerBound(slot, from), stop = lowerBound(slot, to + 1);
    if (stop - first > 120) return;
    context.fillStyle = view.palette.funding;
    for (let i = first; i < stop; i++) {
      const x = view.x(slot[i]), y = view.series.equity.priceToCoordinate(view.equityAt(slot[i]));
      if (y === null) continue;
      context.beginPath();
      for (const [dx, dy] of [[0, -4.5], [4.5, 0], [0, 4.5], [-4.5, 0]]) context.lineTo(x + dx, y + dy);
      context.fill();
    }
  }

  trades(context, size) {
    const { market, view } = this;
    const [from, to] = view.visibleSlots();
    const first = lowerBound(market.exits, from);
    const stop = Math.max(lowerBound(this.entries, to + 1), first);
    const firstFill = lowerBound(market.fills.slot, from), stopFill = lowerBound(market.fills.slot, to + 1);
    const shown = market.trades.slice(first, stop);
    const count = Math.max(shown.length, (stopFill - firstFill + 1) >> 1);
    this.#selected(context, size);
    if (count > TICKED_TRADES) {
      this.#strip(context, size, shown);
      return;
    }
    this.#lines(context, shown, count <= ARROWED_TRADES);
    if (count <= ARROWED_TRADES) this.#fills(context, firstFill, stopFill, count);
    else this.#ticks(context, firstFill, stopFill);
    this.#liquidations(context, firstFill, stopFill);
    if (count <= Math.min(LABELLED_TRADES, size.width / LABEL_ROOM)) this.#labels(context, size, shown);
  }

  #selected(context, size) {
    const trade = this.view.selected;
    if (!trade) return;
    const half = this.view.candleWidth() / 2;
    const left = this.view.x(trade.entrySlot) - half, right = this.view.x(trade.exitSlot) + half;
    context.fillStyle = fade(this.view.palette[trade.pnl > 0 ? "rise" : "fall"], 0.08);
    context.fillRect(left, 0, right - left, size.height);
  }

  #lines(context, shown, fine) {
    const { palette, selected } = this.view;
    context.setLineDash(fine ? [4, 3] : []);
    for (const trade of shown) {
      context.lineWidth = trade === selected ? 2.4 : fine ? 1.3 : 1;
      context.strokeStyle = fade(trade.pnl > 0 ? palette.rise : palette.fall, 0.85);
      context.beginPath();
      context.moveTo(this.view.x(trade.entrySlot), this.y(trade.entry));
      context.lineTo(this.view.x(trade.exitSlot), this.y(trade.exit));
      context.stroke();
    }
    context.setLineDash([]);
  }

  #fills(context, first, stop, count) {
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
        context.strokeStyle = palette.text;
        context.lineWidth = 1.3;
      }
      context.fill();
      context.stroke();
    }
  }

  /** A cross where the exchange closed a position, at every level of detail that shows single fills. */
  #liquidations(context, first, stop) {
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

  #ticks(context, first, stop) {
    const { fills } = this.market;
    context.lineWidth = 2;
    for (let i = first; i < stop; i++) {
      if (!fills.opens[i]) continue;
      const x = this.view.x(fills.slot[i]), y = this.y(fills.price[i]);
      context.strokeStyle = fills.sign[i] > 0 ? this.view.palette.buy : this.view.palette.sell;
      context.beginPath();
      context.moveTo(x, y + 2 * fills.sign[i]);
      context.lineTo(x, y + 9 * fills.sign[i]);
      context.stroke();
    }
  }

  /** Net PnL of the trades that ended in two pixels, as bars above the volume. */
  #strip(context, size, shown) {
    const net = new Float64Array(Math.ceil(size.width / STRIP_BIN) + 1);
    for (const trade of shown) {
      const bin = Math.floor(this.view.x(trade.exitSlot) / STRIP_BIN);
      net[Math.min(Math.max(bin, 0), net.length - 1)] += trade.pnl;
    }
    const most = net.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0) || 1;
    const base = size.height * STRIP_TOP;
    net.forEach((value, bin) => {
      // The root keeps small days visible beside the largest.
      const height = STRIP_HEIGHT * (Math.abs(value) / most) ** 0.6;
      context.fillStyle = fade(value > 0 ? this.view.palette.rise : this.view.palette.fall, 0.75);
      context.fillRect(bin * STRIP_BIN, base - height, STRIP_BIN - 0.4, height);
    });
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
      const x = Math.min(end, size.width - width / 2 - 2);
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
    const [one, other] = trade.pnl > 0 ? [above, below] : [below, above];
    for (const top of [one[0], other[0], one[1], other[1]]) {
      const free = ([left, upper, right, lower]) =>
        x - width / 2 >= right || x + width / 2 <= left || top >= lower || top + height <= upper;
      if (top >= 0 && taken.every(free)) return top;
    }
    return null;
  }
}
