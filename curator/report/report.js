// Adds to the finished page what needs a script: sorting, filtering, and reading the documents behind a row.
// Whatever comes from a data set goes in by textContent only.
"use strict";
(() => {
  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const count = (number) => (number ?? 0).toLocaleString("en");
  const collator = new Intl.Collator("en", { numeric: true });

  // Tables ------------------------------------------------------------------------------------------------------------
  const compare = (index, numeric) => (a, b) => {
    const [x, y] = [a.cells[index], b.cells[index]];
    if (!numeric) return collator.compare(x.textContent, y.textContent);
    return Number(x.dataset.value || -Infinity) - Number(y.dataset.value || -Infinity) || 0;
  };

  const sortable = (table) => {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, index) => {
      const numeric = head.classList.contains("n");
      const button = make("button", { type: "button" }, head.textContent);
      button.addEventListener("click", () => {
        const up = head.ariaSort ? head.ariaSort === "descending" : !numeric; // numbers start with the largest
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const order = compare(index, numeric);
        const rows = [...table.tBodies[0].rows].sort((a, b) => (up ? order(a, b) : order(b, a)));
        table.tBodies[0].append(...rows);
      });
      head.replaceChildren(button);
    });
  };

  const filterable = (section, table) => {
    const rows = [...table.tBodies[0].rows];
    if (rows.length < 5) return;
    const title = section.querySelector("h2").textContent;
    const box = make("input", { type: "search", placeholder: "Filter", "aria-label": `Filter ${title}` });
    const left = make("span", { role: "status" }, `${count(rows.length)} rows`);
    box.addEventListener("input", () => {
      const wanted = box.value.toLowerCase().trim();
      let shown = 0;
      for (const row of rows) {
        row.hidden = !row.textContent.toLowerCase().includes(wanted);
        shown += row.hidden ? 0 : 1;
      }
      left.textContent = wanted ? `${count(shown)} of ${count(rows.length)} rows` : `${count(rows.length)} rows`;
    });
    section.querySelector(".scroll").before(make("div", { class: "finder" }, box, left));
  };

  // The reader --------------------------------------------------------------------------------------------------------
  const reader = document.getElementById("reader");
  const at = (name) => document.getElementById(`reader-${name}`);
  let embedded; // parsed when first asked for: the page is on screen before
  const data = () => (embedded ??= JSON.parse(document.getElementById("data").textContent));
  const state = { places: [], position: 0, view: "conversation" };

  const conversation = (entry) => {
    const shown = document.createDocumentFragment();
    let from = 0;
    for (const [role, kind, units, tokens] of entry.turns) {
      const text = entry.text.slice(from, (from += units));
      if (!text) continue;
      const head = make("h3", {}, `${role}, ${count(tokens)} tokens`);
      if (!["plain", "template"].includes(kind)) head.append(make("b", {}, kind.replaceAll("_", " ")));
      shown.append(make("div", { class: "turn", "data-role": role, "data-kind": kind }, head, make("div", { dir: "auto" }, text)));
    }
    if (from < entry.text.length) shown.append(make("pre", { dir: "auto" }, entry.text.slice(from)));
    return shown;
  };

  const visible = { "\n": "↵\n", "\t": "⇥\t", "\u0000": "␀", "\r": "␍" };
  const spelled = (piece) =>
    piece.replace(/[\n\t\r\u0000\u200b-\u200f\u202a-\u202e\u2060-\u2069\u2028\u2029\ufeff]/g,
      (mark) => visible[mark] ?? `‹U+${mark.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}›`);

  const pieces = (entry) => {
    let from = 0;
    return entry.pieces.map((piece) => (typeof piece === "string" ? piece : entry.text.slice(from, (from += piece))));
  };

  const tokens = (entry) => {
    const special = new Set(data().special);
    const line = make("pre", { class: "tokens", dir: "auto" });
    for (const piece of pieces(entry)) {
      const span = make("span", special.has(piece) ? { class: "special", title: "special token" } : {}, spelled(piece));
      line.append(span);
    }
    return line;
  };

  const views = { conversation, tokens, text: (entry) => make("pre", { dir: "auto" }, entry.text) };

  const ending = (entry) => {
    if (state.view === "tokens" && entry.pieces.length < entry.tokens) return `The first ${count(entry.pieces.length)} of ${count(entry.tokens)} tokens.`;
    if (entry.excerpt) return "The beginning; the whole document is in documents.parquet.";
    return entry.cut ? `Cut here: ${count(entry.cut)} more tokens did not fit into the sample.` : "The end of the document.";
  };

  const facts = (entry) => {
    const origin = entry.origin;
    const recognised = entry.detected ? `recognised as ${entry.detected}` : "not recognised";
    const told = {
      Source: entry.source, Category: entry.category, Licence: entry.license ?? "not stated",
      Language: entry.language ? `claimed ${entry.language}, ${recognised}` : entry.detected && recognised,
      Tokens: entry.cut ? `${count(entry.tokens)}, ${count(entry.cut)} cut` : count(entry.tokens),
      Place: `sample ${entry.sample} at ${entry.start}`,
      Origin: [origin.dataset, origin.revision && `at ${origin.revision.slice(0, 12)}`, origin.split, origin.row && `row ${origin.row}`].filter(Boolean).join(", "),
    };
    return Object.entries(told).filter(([, value]) => value).map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", { dir: "auto" }, String(value))));
  };

  const render = () => {
    const entry = data().documents[state.places[state.position]];
    at("place").textContent = `${count(state.position + 1)} of ${count(state.places.length)}`;
    at("facts").replaceChildren(...facts(entry));
    at("body").replaceChildren(views[state.view](entry), make("p", { class: "end" }, ending(entry)));
    at("body").scrollTop = 0;
    at("previous").disabled = state.position === 0;
    at("next").disabled = state.position === state.places.length - 1;
    for (const button of reader.querySelectorAll("[data-view]")) button.setAttribute("aria-pressed", String(button.dataset.view === state.view));
    [...at("list").children].forEach((item, index) => {
      const button = item.firstChild;
      if (index === state.position) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
      if (index === state.position) button.scrollIntoView({ block: "nearest" });
    });
  };

  const go = (position) => {
    state.position = Math.min(Math.max(position, 0), state.places.length - 1);
    render();
  };

  const opener = (entry) => { // the first words that the template did not add
    let from = 0;
    for (const [role, kind, units] of entry.turns) {
      const text = entry.text.slice(from, (from += units)).trim();
      if (text && role !== "template" && kind !== "template") return text;
    }
    return entry.text.trim();
  };

  const item = (place, index) => {
    const entry = data().documents[place];
    const button = make("button", { type: "button", dir: "auto" }, [...opener(entry).slice(0, 120)].slice(0, 60).join("") || "(no text)");
    button.append(make("small", {}, `${entry.source}, ${count(entry.tokens)} tokens`));
    button.addEventListener("click", () => go(index));
    return make("li", {}, button);
  };

  const open = (anchor, row) => {
    Object.assign(state, { places: row.dataset.documents.split(" ").map(Number), position: 0 });
    at("title").textContent = row.dataset.name;
    at("list").replaceChildren(...state.places.map(item));
    history.replaceState(null, "", `#${anchor}=${encodeURIComponent(row.dataset.name)}`);
    reader.showModal();
    render();
    at("body").focus();
  };

  const opening = (section, table) => {
    for (const row of table.tBodies[0].rows) {
      if (!row.dataset.documents) continue;
      const cell = row.cells[0];
      const some = row.dataset.documents.split(" ").length;
      const button = make("button", { type: "button", class: "open", title: `${count(some)} of its documents to read` }, ...cell.childNodes);
      button.addEventListener("click", () => open(section.id, row));
      cell.replaceChildren(button);
    }
  };

  const follow = () => {
    const [anchor, name] = location.hash.slice(1).split("=");
    if (name === undefined) return;
    const row = [...document.querySelectorAll(`#${CSS.escape(anchor)} tr[data-documents]`)].find((r) => r.dataset.name === decodeURIComponent(name));
    if (!row || !reader || reader.open) return;
    row.scrollIntoView({ block: "center", behavior: "instant" });
    open(anchor, row);
  };

  for (const section of document.querySelectorAll("section")) {
    const table = section.querySelector("table");
    if (!table) continue;
    if (reader) opening(section, table);
    filterable(section, table);
    sortable(table);
  }
  if (reader) {
    at("previous").addEventListener("click", () => go(state.position - 1));
    at("next").addEventListener("click", () => go(state.position + 1));
    at("close").addEventListener("click", () => reader.close());
    reader.addEventListener("click", (event) => event.target === reader && reader.close());
    reader.addEventListener("close", () => history.replaceState(null, "", location.pathname + location.search));
    reader.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step) go(state.position + step);
    });
    for (const button of reader.querySelectorAll("[data-view]")) {
      button.addEventListener("click", () => {
        state.view = button.dataset.view;
        render();
      });
    }
    window.addEventListener("hashchange", follow);
    follow();
  }
})();
