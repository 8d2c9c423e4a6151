// Elements and numbers as text. Nothing is ever parsed as HTML.

const byId = (id) => document.getElementById(id);

/** Return a new element: `element("td", {class: "rise", text: "1"})`. */
function element(tag, { text, class: classes, ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const formats = new Map();

/** Return a number with thousands separators and so many decimals; `–` where there is none. */
function number(value, decimals = 2) {
  if (!Number.isFinite(value)) return "–";
  if (!formats.has(decimals)) {
    const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
    formats.set(decimals, new Intl.NumberFormat("en-US", digits));
  }
  const text = formats.get(decimals).format(value);
  return /^-[0.,]*$/.test(text) ? text.slice(1) : text;
}

/** Return a number with its sign, zero with a plus. */
const signed = (value, decimals = 2) => (value >= 0 ? "+" : "") + number(value, decimals);
const percent = (fraction, decimals = 2) => number(fraction * 100, decimals) + "%";
const signedPercent = (fraction, decimals = 2) => signed(fraction * 100, decimals) + "%";

/** Return the class that colours an amount; zero is plain. */
const tone = (value) => (value > 0 ? "rise" : value < 0 ? "fall" : "");

/** Return `2025-05-04 15:33`, UTC. */
const timeText = (ms) => new Date(ms).toISOString().slice(0, 16).replace("T", " ");

/** Return a length of time in its two largest units: `3h 20m`. */
function lengthText(ms) {
  const units = [["d", 86_400_000], ["h", 3_600_000], ["m", 60_000], ["s", 1000]];
  const first = units.findIndex(([, size]) => ms >= size);
  if (first < 0) return "0m";
  let rest = ms;
  const parts = [];
  for (const [name, size] of units.slice(first, first + 2)) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count) parts.push(count + name);
  }
  return parts.join(" ");
}
