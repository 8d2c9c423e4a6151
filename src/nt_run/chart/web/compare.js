// Several runs over each other: returns since their start, drawdowns, figures and settings side by side.

/** From so many letters on a value may be broken. */
const LONG = 28;
const RUNS = 8, MARKETS = 3, PANES = [3, 1.2];

/** Return the name of the colour of each curve: strong ones for runs, dim ones for markets. */
function courseColours(courses) {
  let runs = 0, markets = 0;
  return courses.map(({ market }) => (market ? `market${markets++ % MARKETS}` : `run${runs++ % RUNS}`));
}

const perCent = (value) => (Number.isFinite(value) ? number(value) + "%" : "–");
const signedPerCent = (value) => (value >= 0 ? "+" : "") + perCent(value);
const colourOf = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

class Curves {
  constructor(box, facts, columns, colours) {
    this.facts = facts;
    this.colours = colours;
    this.times = Array.from(columns.time);
    const percents = (name) => facts.courses.map((_, i) =>
      unknown(columns[`${name}_${i}`], columns[`${name}_${i}_edges`]).map((value) => value * 100));
    this.returns = percents("returns");
    this.drawdown = percents("drawdown");
    this.chart = makeChart(box, readPalette());
    this.series = [this.returns, this.drawdown].map((curves, pane) => this.#pane(curves, pane));
    this.chart.panes().forEach((pane, i) => pane.setStretchFactor(PANES[i]));
    this.#keepRange(box);
    this.recolour();
  }

  #pane(curves, pane) {
    const { courses } = this.facts;
    const format = { type: "custom", minMove: 0.01, formatter: perCent };
    // The first run lies on top of all others.
    const made = [...curves.keys()].reverse().map((i) => {
      const series = this.chart.addSeries(LightweightCharts.LineSeries, { lastValueVisible: pane === 0 && !courses[i].market,
        priceLineVisible: false, lineWidth: courses[i].market || pane ? 1 : 2, priceFormat: format }, pane);
      series.setData(linePoints(this.times, curves[i]));
      return [i, series];
    });
    return made.sort(([a], [b]) => a - b).map(([, series]) => series);
  }

  recolour() {
    this.chart.applyOptions(chartColours(readPalette()));
    for (const pane of this.series) pane.forEach((series, i) => series.applyOptions({
      color: fade(colourOf(this.colours[i]), this.facts.courses[i].market ? 0.75 : 1) }));
  }

  /** Show the same part when the window changes its width. */
  #keepRange(box) {
    const scale = this.chart.timeScale();
    let width = box.clientWidth, range = null;
    scale.subscribeVisibleLogicalRangeChange((now) => { if (box.clientWidth === width) range = now; });
    new ResizeObserver(() => {
      if (box.clientWidth === width) return;
      width = box.clientWidth;
      this.chart.applyOptions(sizes(box));
      if (range) scale.setVisibleLogicalRange(range);
    }).observe(box);
  }

  show([from, to]) { this.chart.timeScale().setVisibleRange({ from, to }); }
}

/** Return a table with the runs as columns, their names in the colours of their curves. */
function sideBySide(title, facts, colours, rows) {
  const names = facts.courses.filter((course) => !course.market).map((course, i) =>
    element("th", { scope: "col" }, element("span", { text: "■ ", class: colours[i] }), course.name));
  return [element("h2", { text: title }), element("div", { class: "scroll" }, element("table", {},
    element("thead", {}, element("tr", {}, element("th"), ...names)),
    element("tbody", {}, ...rows.map(([name, ...cells]) => element("tr", {}, element("th", { scope: "row", text: name }),
      ...cells.map((cell) => (Array.isArray(cell) ? element("td", { text: cell[0], class: tone(cell[1]) })
        : element("td", { text: cell, class: cell.length > LONG ? "long" : "" }))))))))];
}

function fillCourses(facts, colours) {
  const figure = (title) => facts.figures.find(([name]) => name === title);
  byId("courses").append(...facts.courses.map(({ name, total, market }, i) => element("div", { class: "card" },
    element("span", { class: "name" }, element("span", { text: "■ ", class: colours[i] }), name),
    element("b", { class: tone(total), text: signedPercent(total) }),
    element("small", { text: market ? "held from start to end" : `drawdown ${figure("Max drawdown")[i + 1][0]} · `
      + `Sharpe ${figure("Sharpe")[i + 1][0]} · ${figure("Trades")[i + 1][0]} trades` }))));
}

/** Tell return and drawdown of every curve at a point, at the end while nothing is pointed at. */
function follow(curves, facts, colours) {
  const boxes = [0, 1].map(() => element("div", { class: "legend" }));
  boxes[1].append(element("span", { text: "Drawdown", class: "dim" }));
  const cell = (value, text) => element("td", { text: text(value), class: tone(value) });
  const show = (at) => boxes[0].replaceChildren(element("table", {},
    element("tr", {}, element("td", { class: "strong", text: timeText(curves.times[at] * 1000) }),
      ...["return", "drawdown"].map((text) => element("td", { class: "dim", text }))),
    ...facts.courses.map(({ name }, i) => element("tr", {},
      element("td", {}, element("span", { text: "■ ", class: colours[i] }), element("span", { text: name, class: "dim wide" })),
      cell(curves.returns[i][at], signedPerCent), cell(curves.drawdown[i][at], perCent)))));
  const place = () => {
    hang(curves.chart, boxes);
    curves.chart.panes().forEach((pane, i) => leaveRoom(pane, curves.series[i][0].priceScale(), boxes[i].offsetHeight));
  };
  const last = curves.times.length - 1;
  curves.chart.subscribeCrosshairMove(({ logical }) =>
    show(logical === undefined ? last : Math.min(Math.max(Math.round(logical), 0), last)));
  new ResizeObserver(() => requestAnimationFrame(place)).observe(byId("chart"));
  show(last);
  return place;
}

async function start() {
  const facts = JSON.parse(byId("facts").textContent);
  fillHead(facts);
  byId("hint").textContent = `Returns since the start of each run, one point per ${facts.unit}. Wheel or pinch zooms, `
    + "dragging moves, Escape shows everything.";
  const columns = await takeColumns(facts);
  const colours = courseColours(facts.courses);
  fillCourses(facts, colours);
  byId("figures").append(...sideBySide("Figures", facts, colours, facts.figures));
  byId("configuration").append(...(facts.configuration.length
    ? sideBySide("Differences of configuration", facts, colours, facts.configuration)
    : [element("h2", { text: "Differences of configuration" }), element("p", { class: "dim", text: "none" })]));
  await loadFonts();
  const curves = new Curves(byId("chart"), facts, columns, colours);
  const place = follow(curves, facts, colours);
  curves.show(facts.focus);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") curves.chart.timeScale().fitContent();
  });
  const repaint = () => curves.recolour();
  listenToTheTheme(repaint);
  listenToThePrinter(curves.chart, byId("chart"), repaint);
  getReady(place);
}

start();
