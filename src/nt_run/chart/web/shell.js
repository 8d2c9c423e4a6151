// What every page has around its chart.

function fillHead({ title, subtitle, banners }) {
  byId("title").textContent = title;
  byId("subtitle").textContent = subtitle;
  byId("banners").append(...banners.map(([kind, text]) => element("p", { class: "banner " + kind, text })));
}

/** Return the columns of the page, which are kept once only. */
async function takeColumns(facts) {
  const columns = await unpackColumns(facts.columns, byId("columns").textContent);
  byId("columns").remove();
  return columns;
}

/** What is drawn on a canvas does not wait for its font by itself. */
const loadFonts = () => Promise.all([400, 600].map((weight) => document.fonts.load(`${weight} 12px Inter`)));

/** Repaint after the theme was changed, by the button or by the system. */
function listenToTheTheme(repaint) {
  byId("theme").addEventListener("click", () => {
    const { dataset } = document.documentElement;
    dataset.theme = dataset.theme === "dark" ? "light" : "dark";
    repaint();
  });
  document.addEventListener("themechange", repaint);
}

/** Say that all is painted: two frames later, after what was still to be put in its place. */
function getReady(place) {
  requestAnimationFrame(() => requestAnimationFrame(() => {
    place();
    window.__ready = { ms: performance.now() };
  }));
}
