// The table of trades: sorted by any column, filled as far as it is scrolled, a row jumps to its trade.

const ROWS_AT_ONCE = 200, PRINTED = 100;

class TradesTable {
  constructor(box, market, view) {
    this.market = market;
    this.view = view;
    this.columns = this.#columns();
    this.sort = { column: this.columns[0], descending: false };
    this.body = element("tbody");
    this.heads = this.columns.map((column) => this.#head(column));
    const table = element("table", { "aria-label": "Trades" }, element("thead", {}, element("tr", {}, ...this.heads)), this.body);
    this.scroll = element("div", { class: "scroll" }, table);
    const count = market.trades.length;
    const note = count ? `${number(count, 0)} · a row jumps to its trade` : "none";
    box.append(element("h2", { text: "Trades " }, element("span", { class: "dim", text: note })), this.scroll);
    if (count > PRINTED) box.append(element("p", { class: "printed dim", text: `The first ${PRINTED} of ${number(count, 0)}.` }));
    this.scroll.addEventListener("scroll", () => this.#more());
    this.body.addEventListener("click", (event) => this.#jump(event.target));
    this.body.addEventListener("keydown", (event) => this.#key(event));
    this.body.addEventListener("focusin", (event) => this.#stop(event.target.closest("tr")));
    view.listeners.push(() => this.#mark());
    this.order();
  }

  /** Sort and start again at the top. */
  order() {
    const { column, descending } = this.sort;
    const rows = [...this.market.trades];
    rows.sort((one, other) => (column.value(one) - column.value(other)) * (descending ? -1 : 1));
    this.rows = rows;
    this.heads.forEach((head, i) => {
      if (this.columns[i] === column) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    this.body.replaceChildren();
    this.scroll.scrollTop = 0;
    this.#more();
  }

  #columns() {
    const { price, quantity, money } = this.market.facts.decimals;
    // The year is said where a run has more than one.
    const ends = [this.market.timeOf(0), this.market.timeOf(this.market.slots) - 1];
    const years = ends.map((ms) => new Date(ms).getUTCFullYear());
    const when = (ms) => timeText(ms).slice(years[0] === years[1] ? 5 : 0);
    const end = (trade) => (trade.open ? Infinity : trade.exitTime);
    const amount = (title, value, rest = {}) => ({ title, value, text: (trade) => signed(value(trade), money), ...rest });
    return [
      { title: "#", value: (trade) => trade.number, text: (trade) => trade.number },
      { title: "Side", value: (trade) => -trade.sign, text: (trade) => (trade.sign > 0 ? "long" : "short"),
        tone: (trade) => (trade.sign > 0 ? "buy" : "sell") },
      { title: "Entry", value: (trade) => trade.entryTime, text: (trade) => when(trade.entryTime) },
      { title: "Exit", value: end, text: (trade) => (trade.open ? "open" : when(trade.exitTime)) },
      { title: "Length", value: (trade) => trade.exitSlot - trade.entrySlot,
        text: (trade) => (trade.open ? "" : lengthText(trade.exitTime - trade.entryTime)) },
      { title: "Quantity", value: (trade) => trade.quantity, text: (trade) => number(trade.quantity, quantity) },
      { title: "Entry price", value: (trade) => trade.entry, text: (trade) => number(trade.entry, price) },
      { title: "Exit price", value: (trade) => trade.exit, text: (trade) => number(trade.exit, price) },
      amount("Fees", (trade) => -trade.fee),
      amount("Funding", (trade) => trade.funding),
      amount("PnL", (trade) => trade.pnl, { tone: (trade) => tone(trade.pnl) }),
    ];
  }

  #head(column) {
    const button = element("button", { type: "button", text: column.title });
    button.addEventListener("click", () => {
      this.sort = { column, descending: this.sort.column === column && !this.sort.descending };
      this.order();
    });
    return element("th", { scope: "col" }, button);
  }

  #more() {
    const { scroll, body } = this;
    if (scroll.scrollTop + scroll.clientHeight < scroll.scrollHeight - 400 && body.rows.length) return;
    const next = this.rows.slice(body.rows.length, body.rows.length + ROWS_AT_ONCE);
    body.append(...next.map((trade) => this.#row(trade)));
    if (!body.querySelector("[tabindex='0']") && body.rows.length) this.#stop(body.rows[0]);
    this.#mark();
  }

  /** Make a row the one that the Tab key stops at: thousands of stops would be a wall. */
  #stop(row) {
    this.body.querySelector("[tabindex='0']")?.setAttribute("tabindex", -1);
    row.setAttribute("tabindex", 0);
  }

  /** Enter and space jump to the trade of a row, arrows go from row to row. */
  #key(event) {
    const row = event.target.closest("tr");
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const to = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling, Home: this.body.firstElementChild }[event.key];
    if (event.key === "Enter" || event.key === " ") this.#jump(row);
    else if (to === undefined) return;
    event.preventDefault();
    to?.focus();
  }

  #row(trade) {
    const cells = this.columns.map(({ text, tone: of }) => element("td", { text: text(trade), class: of?.(trade) }));
    return element("tr", { "data-trade": trade.number, tabindex: -1 }, ...cells);
  }

  #jump(target) {
    const row = target.closest("tr");
    if (!row) return;
    this.view.jump(this.market.trades[row.dataset.trade - 1]);
    const bottom = this.view.box.getBoundingClientRect().top + this.view.box.clientHeight / 2;
    if (bottom < 0 || bottom > innerHeight) this.view.box.scrollIntoView({ block: "start" });
  }

  #mark() {
    const selected = this.view.selected?.number;
    this.body.querySelector("[aria-selected]")?.removeAttribute("aria-selected");
    if (selected) this.body.querySelector(`[data-trade="${selected}"]`)?.setAttribute("aria-selected", "true");
  }
}
