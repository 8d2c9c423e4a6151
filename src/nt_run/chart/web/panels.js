// Everything around the chart that is text: cards, returns, sections.

function fillCards(facts) {
  byId("cards").append(...facts.cards.map(({ name, value, note, sign }) => element("div", { class: "card" },
    element("span", { class: "dim", text: name }), element("b", { class: tone(sign), text: value }),
    element("small", { text: note }))));
}

/** Fill the cells of returns, the stronger the colour the larger the return. */
function fillReturns(facts, palette) {
  const parts = [element("h2", { text: "Monthly returns" })];
  for (const [title, cells] of facts.returns) {
    if (title) parts.push(element("h2", { text: title }));
    const most = Math.max(...cells.map(([, value]) => Math.abs(value)), 0.01);
    parts.push(element("div", { class: "cells" }, ...cells.map(([label, value]) => {
      const cell = element("div", {}, element("small", { text: label }),
        element("span", { text: signedPercent(value), class: "value" }));
      const colour = value < 0 ? palette.fall : palette.rise;
      if (value) cell.style.background = fade(colour, 0.1 + 0.35 * Math.min(Math.abs(value) / most, 1));
      return cell;
    })));
  }
  byId("returns").replaceChildren(...parts);
}

function fillSections(facts) {
  byId("sections").append(...facts.sections.map(({ title, rows, head, text }) => {
    const box = element("section", { class: "box" }, element("h2", { text: title }));
    if (text !== undefined) box.append(element("pre", { text }));
    if (rows) {
      const body = element("tbody", {}, ...rows.map(([name, ...values]) => element("tr", {},
        element("th", { scope: "row", text: name }),
        ...values.map((value) => element("td", { text: value, class: value.length > 40 ? "long" : "" })))));
      const top = head ? [element("thead", {}, element("tr", {}, ...head.map((each) =>
        element("th", { scope: "col", text: each }))))] : [];
      box.append(element("table", {}, ...top, body));
    }
    return box;
  }));
}
