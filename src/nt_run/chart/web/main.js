// Puts the page together; `window.__ready` is set when everything is painted.

function fillIntervals(market, view) {
  const button = (text, press, name) => {
    const made = element("button", { type: "button", text, "data-interval": name ?? text });
    made.addEventListener("click", press);
    return made;
  };
  const levels = market.facts.levels.filter((level) => level.button);
  const nav = byId("intervals");
  nav.append(button("all", () => view.showAll()), button("auto", () => view.choose(null)),
    ...levels.map((level) => button(level.name, () => view.choose(level))));
  view.listeners.push(() => {
    for (const each of nav.children) {
      const { interval } = each.dataset;
      const on = interval === view.level.name || (interval === "auto" && view.auto);
      each.setAttribute("aria-pressed", on);
    }
  });
}

function listenToKeys(market, view) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { n: 1, p: -1 }[event.key];
    if (event.key === "Escape") view.showAll();
    if (!step || !market.trades.length) return;
    const place = view.selected ? view.selected.number - 1 + step : step > 0 ? 0 : market.trades.length - 1;
    view.jump(market.trades[Math.min(Math.max(place, 0), market.trades.length - 1)]);
  });
}

function listenToTheChart(view, legends) {
  let waiting = 0;
  const later = () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => view.follow(), 90);
  };
  view.chart.timeScale().subscribeVisibleLogicalRangeChange(later);
  // What is loaded is not exchanged under a hand that drags it.
  view.box.addEventListener("pointerdown", () => { view.pressed = true; });
  for (const name of ["pointerup", "pointercancel"]) {
    window.addEventListener(name, () => { view.pressed = false; later(); });
  }
  let pointed = null;
  const show = () => legends.show(pointed === null ? view.resting() : view.first + pointed);
  view.chart.subscribeCrosshairMove(({ logical }) => {
    pointed = logical === undefined ? null : Math.round(logical);
    show();
  });
  view.listeners.push(() => {
    show();
    legends.place();
  });
  new ResizeObserver(() => {
    view.refit();
    requestAnimationFrame(() => legends.place());
  }).observe(view.box);
}

async function start() {
  const facts = JSON.parse(byId("facts").textContent);
  fillHead(facts);
  fillCards(facts);
  const market = new Market(facts, await takeColumns(facts));
  const palette = readPalette();
  await loadFonts();
  const view = new View(byId("chart"), market, palette);
  const legends = new Legends(view, market);
  fillIntervals(market, view);
  listenToKeys(market, view);
  listenToTheChart(view, legends);
  const repaint = () => {
    view.recolour(readPalette());
    fillReturns(facts, readPalette());
  };
  listenToTheTheme(repaint);
  listenToThePrinter(view.chart, view.box, repaint);
  const { trade, from, to } = facts.focus;
  if (trade) view.jump(market.trades[trade - 1]);
  else view.show(from, to);
  new TradesTable(byId("trades"), market, view);
  fillReturns(facts, palette);
  fillSections(facts);
  getReady(() => legends.place());
}

start();
