// Lines that end where their values do: left to itself the chart joins the points on both sides of a hole.

/** What makes the piece of a line that begins at a point invisible, for every kind of line. */
const UNSEEN = Object.fromEntries(["color", "topLineColor", "bottomLineColor", "topFillColor1", "topFillColor2",
  "bottomFillColor1", "bottomFillColor2"].map((name) => [name, "transparent"]));

/** Return the points of a line; a value that is no number is a hole, over which nothing is drawn. */
function linePoints(times, values) {
  const known = (i) => Number.isFinite(values[i]);
  let last = values.length - 1;
  while (last >= 0 && !known(last)) last--;
  return times.map((time, i) => {
    if (!known(i)) return { time };
    return i === last || known(i + 1) ? { time, value: values[i] } : { time, value: values[i], ...UNSEEN };
  });
}
