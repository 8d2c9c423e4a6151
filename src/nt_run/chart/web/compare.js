// Several runs over each other: returns since their start, drawdowns, figures and settings side by side.

const RUNS = 8, MARKETS = 3, NARROW = 600;

/** Return the name of the colour of each curve: strong ones for runs, dim ones for markets. */
function courseColours(courses) {
  let runs = 0, markets = 0;
  return courses.map(({ market }) => (market ? `market${markets++ % MARKETS}` : `run${runs++ % RUNS}`));
}

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
    const narrow = box.clientWidth < NARROW;
    this.chart = LightweightCharts.createChart(box, {
      autoSize: true,
      layout: { fontFamily: "Inter, system-ui, sans-serif", fontSize: narrow ? 10 : 11, attributionLogo: false },
      crosshair: { mode: LightweightCharts.CrosshairMode.Normal },
      handleScroll: { vertTouchDrag: false },
      timeScale: { timeVisible: true, secondsVisible: false, minBarSpacing: 0.02, fixLeftEdge: true, fixRightEdge: true },
      localization: { locale: "en-GB", dateFormat: "yyyy-MM-dd" },
    });
    this.series = [this.returns, this.drawdown].map((curves, pane) => this.#pane(curves, pane));
    this.chart.panes().forEach((pane, i) => pane.setStretchFactor([3, 1.2][i]));
    // Room for the legend, which has a line for each curve.
    this.series[0][0].priceScale().applyOptions({ scaleMargins: { top: 0.06, bottom: 0.06 } });
    this.recolour();
  }

  #pane(curves, pane) {
    const { courses } = this.facts;
    const format = { type: "custom", minMove: 0.01, formatter: (value) => number(value) + "%" };
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
    for (const pane of this.series) pane.forEach((series, i) => series.applyOptions({ color: colourOf(this.colours[i]) }));
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
        : element("td", { text: cell }))))))))];
}

function fillCourses(facts, colours) {
  const figure = (title) => facts.figures.find(([name]) => name === title);
  byId("courses").append(...facts.courses.map(({ name, total, market }, i) => element("div", { class: "card" },
    element("span", { class: "name" }, element("span", { text: "■ ", class: colours[i] }), name),
    element("b", { class: tone(total), text: signedPercent(total) }),
    element("small", { text: market ? "held from start to end" : `drawdown ${figure("Max drawdown")[i + 1][0]} · `
      + `Sharpe ${figure("Sharpe")[i + 1][0]} · ${figure("Trades")[i + 1][0]} trades` }))));
}

/** Tell the value of every curve at a point in both panes, at the end while nothing is pointed at. */
function follow(curves, frame, facts, colours) {
  const boxes = [0, 1].map(() => frame.appendChild(element("div", { class: "legend" })));
  const show = (at) => {
    const line = (values) => facts.courses.map((course, i) => element("div", {},
      element("span", { text: "■", class: colours[i] }), element("span", { text: course.name, class: "dim course" }),
      element("span", { text: signed(values[i][at]) + "%", class: tone(values[i][at]) })));
    const moment = element("div", { class: "strong", text: timeText(curves.times[at] * 1000) });
    boxes[0].replaceChildren(moment, ...line(curves.returns));
    boxes[1].replaceChildren(element("div", {}, element("span", { text: "Drawdown", class: "dim" }),
      ...curves.drawdown.map((values, i) => element("span", { text: number(values[at]) + "%", class: colours[i] }))));
  };
  const place = () => {
    const top = frame.getBoundingClientRect().top;
    curves.chart.panes().forEach((pane, i) => {
      const row = pane.getHTMLElement();
      if (row) boxes[i].style.top = row.getBoundingClientRect().top - top + 3 + "px";
    });
  };
  const last = curves.times.length - 1;
  curves.chart.subscribeCrosshairMove(({ logical }) => {
    show(logical === undefined ? last : Math.min(Math.max(Math.round(logical), 0), last));
    place();
  });
  new ResizeObserver(() => requestAnimationFrame(place)).observe(frame);
  show(last);
  return place;
}

async function start() {
  const facts = JSON.parse(byId("facts").textContent);
  byId("title").textContent = facts.title;
  byId("subtitle").textContent = facts.subtitle;
  byId("banners").append(...facts.banners.map(([kind, text]) => element("p", { class: "banner " + kind, text })));
  byId("hint").textContent = `Returns since the start of each run, one point per ${facts.unit}. Wheel or pinch zooms, `
    + "dragging moves, Escape shows everything.";
  const columns = await unpackColumns(facts.columns, byId("columns").textContent);
  byId("columns").remove();
  const colours = courseColours(facts.courses);
  fillCourses(facts, colours);
  byId("figures").append(...sideBySide("Figures", facts, colours, facts.figures));
  byId("configuration").append(...(facts.configuration.length
    ? sideBySide("Differences of configuration", facts, colours, facts.configuration)
    : [element("h2", { text: "Differences of configuration" }), element("p", { class: "dim", text: "none" })]));
  await Promise.all([400, 600].map((weight) => document.fonts.load(`${weight} 12px Inter`)));
  const curves = new Curves(byId("chart"), facts, columns, colours);
  const place = follow(curves, byId("frame"), facts, colours);
  curves.show(facts.focus);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") curves.chart.timeScale().fitContent();
  });
  byId("theme").addEventListener("click", () => {
    const { dataset } = document.documentElement;
    dataset.theme = dataset.theme === "dark" ? "light" : "dark";
    curves.recolour();
  });
  document.addEventListener("themechange", () => curves.recolour());
  requestAnimationFrame(() => requestAnimationFrame(() => {
    place();
    window.__ready = { ms: performance.now() };
  }));
}

start();
