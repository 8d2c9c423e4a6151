// What every pane says about the candle under the crosshair, or about the last one.

class Legends {
  constructor(view, market, frame) {
    this.view = view;
    this.market = market;
    this.boxes = view.chart.panes().map(() => frame.appendChild(element("div", { class: "legend" })));
    this.frame = frame;
  }

  /** Put every legend at the top of its pane; panes can be resized by hand. */
  place() {
    const top = this.frame.getBoundingClientRect().top;
    this.view.chart.panes().forEach((pane, i) => {
      const row = pane.getHTMLElement();
      if (row) this.boxes[i].style.top = row.getBoundingClientRect().top - top + 3 + "px";
    });
  }

  /** Tell of the candle at a logical place of the chart. */
  show(candle) {
    const slot = this.view.lastSlot(candle);
    const lines = slot < 0 ? this.boxes.map((_, i) => (i ? [] : [[["no bar", "dim"]]]))
      : [this.#price(candle, slot), ...this.market.ownPanes.map((pane) => [this.#plots(pane, slot)]),
        this.#position(slot), this.#equity(slot), this.#drawdown(candle), this.#funding(candle)];
    this.boxes.forEach((box, i) => {
      box.replaceChildren(...lines[i].map((parts) => element("div", {},
        ...parts.flatMap(([text, classes]) => [element("span", { text, class: classes }), " "]))));
    });
  }

  #price(candle, slot) {
    const { market, view } = this;
    const { price, quantity } = market.facts.decimals;
    const [open, high, low, close, volume] = view.valuesAt(candle);
    const side = close >= open ? "rise" : "fall";
    const part = (name, value) => [[name, "dim small"], [number(value, price), side]];
    const lines = [[[view.level.name, "strong"], ...part("O", open), ...part("H", high), ...part("L", low),
      ...part("C", close), [signedPercent(close / open - 1), side], ["Vol", "dim small"], [number(volume, quantity), side]]];
    if (!view.detailed()) {
      const what = market.facts.overlays ? "averages and bands" : "the strategy’s lines";
      lines.push([[`${what} are hidden at ${view.level.name}`, "dim"]]);
    } else if (!market.facts.overlays) {
      lines.push(this.#plots("price", slot));
    } else {
      const { fast, slow, bands } = market.facts.overlays;
      lines.push([[`EMA ${fast} ${number(market.fast[slot], price)}`, "fast"],
        [`EMA ${slow} ${number(market.slow[slot], price)}`, "slow"],
        [`BB (${bands}) ${number(market.lower[slot], price)} – ${number(market.upper[slot], price)}`, "bands"]]);
    }
    return [...lines, ...this.#trades(candle, slot)];
  }

  /** The lines the strategy publishes for a pane. */
  #plots(pane, slot) {
    return this.market.plots.filter((plot) => plot.pane === pane)
      .map((plot) => [`${plot.name} ${number(plot.values[slot], plot.decimals)}`, plotColour(plot)]);
  }

  /** What the marks mean, those that occur in the run. */
  #key() {
    const { ambiguous, facts, fills, lines } = this.market;
    const entries = fills.slot.length
      ? [["▲ buy", "buy"], ["▼ sell", "sell"], ["○ exit", ""], ["– win", "rise"], ["– loss", "fall"]] : [];
    if (lines.kind.includes(0)) entries.push(["– stop", "stop"]);
    if (lines.kind.includes(1)) entries.push(["– target", "target"]);
    if (lines.kind.includes(2)) entries.push(["– liquidation price", "warning"]);
    if (fills.liquidates.includes(1)) entries.push(["× liquidated", "warning"]);
    if (facts.holes.length) entries.push(["▨ no data", "dim"]);
    if (ambiguous.length) entries.push(["▮ ambiguous bar", "doubt"]);
    return entries;
  }

  #trades(candle, slot) {
    const { market, view } = this;
    const lines = [this.#key()];
    const start = market.slotOf(candle, view.level);
    const over = (trade) => trade && trade.entrySlot <= slot && trade.exitSlot >= start;
    // The trade entered last is the one that can still be open here; one that is marked comes first.
    const latest = market.trades[lowerBound(view.marks.entries, slot + 1) - 1];
    const trade = over(view.selected) ? view.selected : latest;
    if (over(trade)) {
      const { price, quantity, money } = market.facts.decimals;
      const route = `${number(trade.entry, price)} → ${number(trade.exit, price)}${trade.open ? " (open)" : ""}`;
      lines.push([[`Trade ${trade.number}`, "dim"],
        [`${trade.sign > 0 ? "long" : "short"} ${number(trade.quantity, quantity)} @ ${route}`, ""],
        [signed(trade.pnl, money), "strong " + tone(trade.pnl)],
        ...(trade.liquidation ? [[`liquidation at ${number(trade.liquidation, price)}`, "warning"]] : [])]);
    }
    return lines;
  }

  #position(slot) {
    const value = this.market.position[slot];
    return [[["Position", "dim"], [signed(value, this.market.facts.decimals.quantity), tone(value)]]];
  }

  #equity(slot) {
    const { facts, equity } = this.market;
    const parts = [["Equity", "dim"], [number(equity[slot], facts.decimals.money), "equity"]];
    if (facts.start > 0) parts.push([signedPercent(equity[slot] / facts.start - 1), tone(equity[slot] - facts.start)]);
    return [this.market.funding.slot.length ? [...parts, ["◆", "funding small"], ["funding", "dim"]] : parts];
  }

  #drawdown(candle) {
    const value = this.view.drawdownAt(candle);
    return [[["Drawdown", "dim"], [percent(value), tone(value)]]];
  }

  #funding(candle) {
    const { funding, paid, facts } = this.market;
    const from = lowerBound(funding.slot, this.market.slotOf(candle, this.view.level));
    const to = lowerBound(funding.slot, this.market.slotOf(candle + 1, this.view.level));
    const sum = (stop) => (stop ? paid[stop - 1] : 0);
    const here = sum(to) - sum(from);
    return [[["Funding", "dim"], [signed(here, facts.decimals.money), tone(here)], ["in all", "dim"],
      [signed(sum(to), facts.decimals.money), ""]]];
  }
}
