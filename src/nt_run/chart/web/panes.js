// A chart with panes, still empty, and the legends that hang in them.

const VALUE_AXIS = 78, NARROW = 600, NARROW_AXIS = 58, LEGEND_GAP = 6, MOST_HEADROOM = 0.45, FOOTROOM = 0.06;

/** Return what depends on the width of the chart. */
const sizes = (box) => ({ layout: { fontSize: box.clientWidth < NARROW ? 10 : 11 },
  rightPriceScale: { minimumWidth: box.clientWidth < NARROW ? NARROW_AXIS : VALUE_AXIS } });

function makeChart(box, palette) {
  const chart = LightweightCharts.createChart(box, {
    autoSize: true,
    layout: { fontFamily: "Inter, system-ui, sans-serif", attributionLogo: false, panes: { enableResize: true } },
    crosshair: { mode: LightweightCharts.CrosshairMode.Normal },
    // A finger that moves up or down scrolls the page.
    handleScroll: { vertTouchDrag: false },
    // A label that a pane cuts in two cannot be read.
    rightPriceScale: { entireTextOnly: true },
    timeScale: { timeVisible: true, secondsVisible: false, minBarSpacing: 0.02, fixLeftEdge: true, fixRightEdge: true },
    localization: { locale: "en-GB", dateFormat: "yyyy-MM-dd" },
  });
  chart.applyOptions(sizes(box));
  chart.applyOptions(chartColours(palette));
  return chart;
}

/** Print a picture of the chart, in light colours and as wide as the paper: the chart itself cannot follow it in time.
 *
 * `repaint` takes over the theme. Legends keep their places and sizes relative to the picture. */
function listenToThePrinter(chart, box, repaint) {
  const root = document.documentElement;
  let theme = null, picture = null;
  window.addEventListener("beforeprint", () => {
    theme = root.dataset.theme;
    root.dataset.theme = "light";
    repaint();
    const { left, top, width } = box.getBoundingClientRect();
    const share = (pixels) => `${(100 * pixels) / width}cqw`;
    picture = element("figure", { class: "printed" }, chart.takeScreenshot(true));
    for (const legend of box.querySelectorAll(".legend")) {
      const place = legend.getBoundingClientRect(), copy = legend.cloneNode(true), { fontSize, lineHeight } = getComputedStyle(legend);
      Object.assign(copy.style, { left: share(place.left - left), top: share(place.top - top), width: share(place.width + 40),
        fontSize: share(parseFloat(fontSize)), lineHeight: share(parseFloat(lineHeight)) });
      picture.append(copy);
    }
    box.after(picture);
  });
  window.addEventListener("afterprint", () => {
    root.dataset.theme = theme;
    picture.remove();
    repaint();
  });
}

/** Hang legends into the panes, which have their elements from the first frame on. */
function hang(chart, legends) {
  chart.panes().forEach((pane, i) => {
    const cell = pane.getHTMLElement()?.cells[1].firstElementChild;
    if (cell && legends[i].parentElement !== cell) cell.append(legends[i]);
  });
}

/** Keep values from lying under a legend so many pixels high, and out of so many pixels at the bottom. */
function leaveRoom(pane, scale, legend, below = 0) {
  const height = pane.getHeight();
  if (!height) return;
  const top = Math.min((legend + LEGEND_GAP) / height, MOST_HEADROOM);
  const bottom = below ? below / height : FOOTROOM;
  const { scaleMargins: now } = scale.options();
  if (now.top !== top || now.bottom !== bottom) scale.applyOptions({ scaleMargins: { top, bottom } });
}
