// What every pane says about the candle under the crosshair, or about the last one.

class Legends {
  constructor(view, market) {
    this.view = view;
    this.market = market;
    this.boxes = view.chart.panes().map(() => element("div", { class: "legend" }));
  }

  place() {
    hang(this.view.chart, this.boxes);
    this.view.makeRoom(this.boxes.map((box) => box.offsetHeight));
  }

  /** Tell of the candle at a logical place of the chart. */
  show(candle) {
    const slot = this.view.lastSlot(candle);
    const rows = slot < 0 ? this.boxes.map((_, i) => (i ? [] : [[[["no bar", "dim"]]]]))
      : [this.#price(candle, slot), ...this.market.ownPanes.map((pane) => [[this.#plots(pane, slot)]]),
        ...[this.#position(slot), this.#equity(slot), this.#drawdown(candle), this.#funding(candle)].map((each) => [[each]])];
    this.boxes.forEach((box, i) => box.replaceChildren(...rows[i].map((groups) => element("div", {},
      ...groups.map((parts) => element("span", { class: "group" },
        // The name of a number stays with it.
        ...parts.flatMap(([text, classes]) => [element("span", { text, class: classes }),
          classes.includes("small") ? "\u00a0" : " "])))))));
  }

  /** Rows of groups of texts, each with its class: the candle and its trade, then the averages and what marks mean. */
  #price(candle, slot) {
    return [[this.#candle(candle), this.#trade(candle, slot)], [this.#averages(slot), this.#key()]]
      .map((groups) => groups.filter((parts) => parts.length));
  }

  #candle(candle) {
    const { price, quantity } = this.market.facts.decimals;
    const { level } = this.view;
    const [open, high, low, close, volume] = this.view.valuesAt(candle);
    const side = close >= open ? "rise" : "fall";
    const part = (name, value) => [[name, "dim small"], [number(value, price), side]];
    return [[level.name, "strong"], ...(level.base ? [] : [["candle", "dim wide"]]), ...part("O", open), ...part("H", high),
      ...part("L", low), ...part("C", close), [signedPercent(close / open - 1), side],
      ["Vol", "dim small"], [number(volume, quantity), side]];
  }

  /** What is drawn over the candles has a value per bar of the run: over longer ones the bar is told, too. */
  #averages(slot) {
    const { facts, fast, slow, lower, upper } = this.market;
    const { level } = this.view;
    if (!this.view.detailed()) {
      return [[`${facts.overlays ? "averages and bands" : "the strategy’s lines"} are hidden at ${level.name}`, "dim wide"]];
    }
    const of = level.base ? [] : [[`of ${facts.levels[0].name} bars`, "dim"]];
    if (!facts.overlays) {
      const lines = this.#plots("price", slot);
      return lines.length ? [...lines, ...of] : [];
    }
    const { price } = facts.decimals;
    return [[`EMA ${facts.overlays.fast} ${number(fast[slot], price)}`, "fast"],
      [`EMA ${facts.overlays.slow} ${number(slow[slot], price)}`, "slow"],
      [`BB (${facts.overlays.bands}) ${number(lower[slot], price)} – ${number(upper[slot], price)}`, "bands"], ...of];
  }

  /** The lines the strategy publishes for a pane. */
  #plots(pane, slot) {
    return this.market.plots.filter((plot) => plot.pane === pane)
      .map((plot) => [`${plot.name} ${number(plot.values[slot], plot.decimals)}`, plotColour(plot)]);
  }

  /** What the marks mean: those that are drawn, no others. */
  #key() {
    const { market, view } = this;
    const { ambiguous, facts, fills, lines } = market;
    const { trades, fills: [first, stop], detail, lane } = view.marks.crowd();
    const [from, to] = view.visibleSlots();
    const filled = (test) => { for (let i = first; i < stop; i++) if (test(i)) return true; return false; };
    const entered = (sign) => detail !== "results" && filled((i) => fills.opens[i] && fills.sign[i] === sign);
    const kinds = lines.kind.subarray(...view.shades.linesShown());
    const doubt = lowerBound(ambiguous, from);
    return [
      [!market.trades.length, "no trades", "dim"],
      [entered(1), "▲ buy", "buy"], [entered(-1), "▼ sell", "sell"],
      [!lane && filled((i) => !fills.opens[i]), "○ exit", ""],
      [trades.some((trade) => trade.pnl > 0), lane ? "■ net win" : "– win", "rise"],
      [trades.some((trade) => trade.pnl <= 0), lane ? "■ net loss" : "– loss", "fall"],
      [lane, "where trades closed", "dim wide"],
      [kinds.includes(0), "– stop", "stop"], [kinds.includes(1), "– target", "target"],
      [kinds.includes(2), "– liquidation price", "warning"],
      [filled((i) => fills.liquidates[i]), "× liquidation", "warning"],
      [facts.holes.some(([start, length]) => start <= to && start + length > from), "▨ no data", "dim"],
      [ambiguous[doubt] <= to, "■ ambiguous bar", "doubt"],
    ].filter(([drawn]) => drawn).map(([, text, colour]) => [text, colour]);
  }

  #trade(candle, slot) {
    const { market, view } = this;
    const start = market.slotOf(candle, view.level);
    const over = (trade) => trade && trade.entrySlot <= slot && trade.exitSlot >= start;
    // The trade entered last is the one that can still be open here; one that is marked comes first.
    const latest = market.trades[lowerBound(view.marks.entries, slot + 1) - 1];
    const trade = over(view.selected) ? view.selected : latest;
    if (!over(trade)) return [];
    const { price, quantity, money } = market.facts.decimals;
    const route = `${number(trade.entry, price)} → ${number(trade.exit, price)}${trade.open ? " (open)" : ""}`;
    return [[`Trade ${trade.number}`, "dim"],
      [`${trade.sign > 0 ? "long" : "short"} ${number(trade.quantity, quantity)} @ ${route}`, ""],
      [signed(trade.pnl, money), "strong " + tone(trade.pnl)],
      ...(trade.liquidation ? [[`liquidation at ${number(trade.liquidation, price)}`, "warning"]] : [])];
  }

  /** What a value of an account is of, where a candle is longer than a bar. */
  #when(text) { return this.view.level.base ? [] : [[text, "dim wide"]]; }

  #position(slot) {
    const value = this.market.position[slot];
    return [["Position", "dim"], [signed(value, this.market.facts.decimals.quantity), tone(value)],
      ...this.#when("at its end")];
  }

  #equity(slot) {
    const { facts, equity } = this.market;
    const parts = [["Equity", "dim"], [number(equity[slot], facts.decimals.money), "equity"]];
    if (facts.start > 0) parts.push([signedPercent(equity[slot] / facts.start - 1), tone(equity[slot] - facts.start)]);
    parts.push(...this.#when("at its end"));
    const [first, stop] = this.view.marks.paymentsShown();
    return stop > first ? [...parts, ["◆", "funding small"], ["funding", "dim"]] : parts;
  }

  #drawdown(candle) {
    const value = this.view.drawdownAt(candle);
    return [["Drawdown", "dim"], [percent(value), tone(value)], ...this.#when("deepest in it")];
  }

  #funding(candle) {
    const { funding, paid, facts } = this.market;
    const from = lowerBound(funding.slot, this.market.slotOf(candle, this.view.level));
    const to = lowerBound(funding.slot, this.market.slotOf(candle + 1, this.view.level));
    const sum = (stop) => (stop ? paid[stop - 1] : 0);
    const here = sum(to) - sum(from);
    return [["Funding", "dim"], [signed(here, facts.decimals.money), tone(here)], ["in all", "dim"],
      [signed(sum(to), facts.decimals.money), ""]];
  }
}
