// What lies behind the candles: bands, stretches without data, bars in doubt, and prices an order waited at.

const MOST_LINES = 250, LEAST_STRIPE = 2, HATCHED = 6, MOST_BANDS = 6000;
/** Colour and dashes of the lines by kind: stop, target, liquidation price. */
const LINES = [["stop", [5, 3]], ["target", [5, 3]], ["warning", [1, 2]]];

/** Something a pane paints: `paint(context, size, ratio)` in CSS pixels, `order` is normal, top or bottom. */
class Painter {
  constructor(order, paint) {
    const renderer = {
      draw: (target) => target.useMediaCoordinateSpace(({ context, mediaSize }) => {
        context.save();
        paint(context, mediaSize);
        context.restore();
      }),
    };
    this.views = [{ zOrder: () => order, renderer: () => renderer }];
  }

  paneViews() { return this.views; }
}

/** Return the first place in a sorted list at or above a value. */
function lowerBound(values, wanted) {
  let start = 0, stop = values.length;
  while (start < stop) {
    const middle = (start + stop) >> 1;
    if (values[middle] < wanted) start = middle + 1;
    else stop = middle;
  }
  return start;
}

class Shades {
  constructor(view, market) {
    this.view = view;
    this.market = market;
    const { candles, position, equity, drawdown } = view.series;
    this.y = (price) => candles.priceToCoordinate(price);
    // Lines are in order of their start; the latest end so far is in order, too, which is what a search needs.
    let last = 0;
    this.ends = market.lines.end.map((end) => (last = Math.max(last, end)));
    for (const series of [candles, position, equity, drawdown]) {
      series.attachPrimitive(new Painter("bottom", (...space) => this.holes(...space)));
    }
    candles.attachPrimitive(new Painter("bottom", (...space) => this.doubts(...space)));
    candles.attachPrimitive(new Painter("bottom", (...space) => this.bands(...space)));
    candles.attachPrimitive(new Painter("normal", (...space) => this.lines(...space)));
  }

  bands(context) {
    const { market, view } = this;
    const [from, to] = view.visibleCandles();
    if (!market.upper || !view.detailed() || to - from > MOST_BANDS) return;
    const upper = [], lower = [];
    const close = () => {
      if (upper.length > 1) {
        context.beginPath();
        for (const [x, y] of upper) context.lineTo(x, y);
        for (const [x, y] of lower.reverse()) context.lineTo(x, y);
        context.fill();
      }
      upper.length = lower.length = 0;
    };
    context.fillStyle = fade(view.palette.bands, 0.09);
    for (let candle = from; candle <= to; candle++) {
      const slot = view.lastSlot(candle);
      if (slot < 0 || Number.isNaN(market.upper[slot])) { close(); continue; }
      const x = view.xOfCandle(candle);
      upper.push([x, this.y(market.upper[slot])]);
      lower.push([x, this.y(market.lower[slot])]);
    }
    close();
  }

  holes(context, size) {
    const { market, view } = this;
    context.strokeStyle = fade(view.palette.dim, 0.45);
    context.fillStyle = fade(view.palette.dim, 0.12);
    for (const [start, length] of market.facts.holes) {
      const begin = Math.round(view.edge(start));
      const end = Math.max(Math.round(view.edge(start + length)), begin + LEAST_STRIPE);
      const left = Math.max(begin, 0), right = Math.min(end, size.width);
      if (right <= left) continue;
      // A stripe at least, so that none is lost behind coarser candles.
      context.fillRect(left, 0, right - left, size.height);
      if (end - begin < HATCHED) continue;
      context.save();
      context.beginPath();
      context.rect(left, 0, right - left, size.height);
      context.clip();
      context.beginPath();
      for (let x = left - size.height; x < right; x += 9) {
        context.moveTo(x, size.height);
        context.lineTo(x + size.height, 0);
      }
      context.stroke();
      context.restore();
    }
  }

  /** Bars that allow more than one end of a position. */
  doubts(context, size) {
    const { market, view } = this;
    const [from, to] = view.visibleSlots();
    const width = Math.max(view.candleWidth(), LEAST_STRIPE);
    context.fillStyle = fade(view.palette.doubt, 0.28);
    for (let i = lowerBound(market.ambiguous, from); market.ambiguous[i] <= to; i++) {
      context.fillRect(view.x(market.ambiguous[i]) - width / 2, 0, width, size.height);
    }
  }

  /** Return [first, stop) of the lines on the screen; none where there would be too many. */
  linesShown() {
    const [from, to] = this.view.visibleSlots();
    const first = lowerBound(this.ends, from), stop = lowerBound(this.market.lines.start, to + 1);
    return stop - first > MOST_LINES ? [first, first] : [first, stop];
  }

  /** Each price as long as it stood. */
  lines(context) {
    const { market, view } = this;
    const { start, end, price, kind } = market.lines;
    const [first, stop] = this.linesShown();
    context.lineWidth = 1.2;
    for (let i = first; i < stop; i++) {
      const [name, dashes] = LINES[kind[i]];
      context.strokeStyle = fade(view.palette[name], 0.85);
      context.setLineDash(dashes);
      context.beginPath();
      context.moveTo(view.x(start[i]), this.y(price[i]));
      context.lineTo(view.x(end[i]), this.y(price[i]));
      context.stroke();
    }
  }
}
