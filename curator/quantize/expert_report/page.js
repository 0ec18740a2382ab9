"use strict";
(() => {
  const map = document.getElementById("map");
  if (!map) return;
  const data = JSON.parse(document.getElementById("data").textContent);
  const panel = document.getElementById("expert");
  const rows = [...map.rows];
  map.style.minWidth = `${Number(map.dataset.experts) * 3 + 40}px`;
  map.setAttribute("role", "grid");
  rows.forEach((row, layer) => [...row.cells].slice(1).forEach((cell, expert) => {
    Object.assign(cell.dataset, { layer, expert });
    cell.tabIndex = -1;
  }));
  const number = (value) => value.toLocaleString("en");
  const percent = (value) => `${(100 * value).toFixed(1)} %`;

  const element = (name, text, parent, direction) => {
    const made = document.createElement(name);
    made.textContent = text;
    if (direction) made.dir = "auto";
    parent.append(made);
    return made;
  };

  const tellOrigin = (origin, layer, expert, total) => {
    const { names, average, experts } = data.origins[origin];
    const pairs = experts[layer][expert];
    if (!pairs.length) return;
    element("h3", `Above their share, by ${origin}`, panel);
    const list = panel.appendChild(document.createElement("ol"));
    for (let at = 0; at < pairs.length; at += 2) {
      const share = pairs[at + 1] / total;
      const usual = average[pairs[at]];
      if (share <= usual && at) break;
      const item = list.appendChild(document.createElement("li"));
      element("span", names[pairs[at]], item, true);
      element("b", percent(share), item);
      element("small", `${percent(usual)} of all tokens, ${number(pairs[at + 1])} tokens here`, item);
    }
  };

  const tell = (layer, expert) => {
    const { layer: name, tokens, calibrated, until } = data.layers[layer];
    const total = tokens[expert];
    const even = tokens.reduce((sum, value) => sum + value, 0) / tokens.length;
    panel.replaceChildren();
    element("h2", `Layer ${name}, expert ${expert}`, panel);
    const facts = panel.appendChild(document.createElement("dl"));
    const fact = (what, value) => { element("dt", what, facts); element("dd", value, facts); };
    fact("tokens", number(total));
    fact("of an even share", `${(total / even).toFixed(2)} ×`);
    if (data.minimum) fact(`samples until ${number(data.minimum)}`, until[expert] > data.samples ? "never" : number(until[expert]));
    if (calibrated) fact("calibrated on", number(calibrated[expert]));
    for (const origin of ["source", "category", "language"]) tellOrigin(origin, layer, expert, total);
  };

  let chosen = null;
  const choose = (cell) => {
    if (chosen) { chosen.classList.remove("chosen"); chosen.tabIndex = -1; }
    chosen = cell;
    cell.classList.add("chosen");
    cell.tabIndex = 0;
    tell(Number(cell.dataset.layer), Number(cell.dataset.expert));
  };
  rows[0].cells[1].tabIndex = 0;
  chosen = rows[0].cells[1];

  map.addEventListener("focusin", (event) => { if (event.target.dataset.layer) choose(event.target); });
  map.addEventListener("click", (event) => { if (event.target.dataset.layer) event.target.focus(); });
  const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  map.addEventListener("keydown", (event) => {
    const row = event.target.parentElement;
    const at = event.target.cellIndex;
    let next = null;
    if (steps[event.key]) {
      const [down, right] = steps[event.key];
      const there = map.rows[row.rowIndex + down];
      next = there && there.cells[at + right];
    } else if (event.key === "Home") next = row.cells[1];
    else if (event.key === "End") next = row.cells[row.cells.length - 1];
    if (next && next.dataset.layer) { event.preventDefault(); next.focus(); }
  });

  const order = document.getElementById("order");
  order.hidden = false;
  order.addEventListener("click", (event) => {
    const by = event.target.dataset.order;
    if (!by) return;
    for (const button of order.children) button.setAttribute("aria-pressed", String(button === event.target));
    rows.forEach((row, layer) => {
      const { tokens } = data.layers[layer];
      const key = by === "tokens" ? (cell) => -tokens[cell.dataset.expert] : (cell) => Number(cell.dataset.expert);
      row.append(...[...row.cells].slice(1).sort((a, b) => key(a) - key(b)));
    });
  });
})();
