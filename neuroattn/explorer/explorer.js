// The unit explorer: one module, which the page of a run and a notebook's widget share. It asks nothing of a network.
// What it is given is data: names and words reach the page as text, never as markup.

const PALETTE = ["#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#D55E00", "#0072B2", "#8C6BB1", "#7F7F7F"];
const ROW_HEIGHT = 28, EXTRA_ROWS = 8, MOST_PINNED = 3, KEPT_BLOCKS = 64;
const SVG = "http://www.w3.org/2000/svg";
const IDENTITY = ["model", "layer", "neuroid_id", "channel", "channel_y", "channel_x", "excluded_by"];

// ---------------------------------------------------------------------------------------------------------- elements

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter(child => child != null && child !== false && child !== ""));
  return node;
}
const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

function choice(label, values, chosen, changed) {
  const options = values.map(([value, text]) => h("option", { value, selected: value === chosen }, text));
  return h("label", {}, label, " ", h("select", { onchange: event => changed(event.target.value) }, ...options));
}
const button = (text, label, pressed) => h("button", { type: "button", "aria-label": label, title: label, onclick: pressed }, text);

export function shown(value) {
  if (typeof value !== "number") return value === "" || value == null ? "–" : String(value);
  if (Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e6) return value.toLocaleString("en").replace("-", "−");
  const text = size !== 0 && (size < 1e-3 || size >= 1e6) ? Number(value.toPrecision(3)).toExponential() : String(Number(value.toPrecision(4)));
  return text.replace("-", "−");
}
const words = name => name.replaceAll("_", " ");
const DEGREES = /^(absolute_|crossvalidated_)?(shift|bandwidth_change|half_width|preferred)/;

// -------------------------------------------------------------------------------------------------------------- data

async function gunzip(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

export function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}

class Data {
  constructor(source) {
    this.source = source;
    this.head = source.head;
    this.columns = new Map(this.head.columns.map(column => [column.name, column]));
    this.read = new Map();
    this.blocks = new Map();
    this.n = this.head.n_units;
  }

  async #bytes(name) { return gunzip(await this.source.block(name)); }

  // A column: {kind, value(i), values}. Words are codes and a list; they sort by their text.
  column(name) {
    if (!this.read.has(name)) this.read.set(name, this.#column(this.columns.get(name)));
    return this.read.get(name);
  }

  async #column(about) {
    const bytes = await this.#bytes(about.block), n = this.n;
    if (about.kind === "text") {
      const values = JSON.parse(new TextDecoder().decode(bytes));
      return { ...about, values, value: i => values[i] };
    }
    if (about.kind === "word") {
      const values = Uint16Array.from({ length: n }, (_, i) => bytes[i] | (bytes[n + i] << 8));
      return { ...about, values, value: i => about.words[values[i]] };
    }
    const joined = new Uint8Array(4 * n);
    for (let plane = 0; plane < 4; plane++) for (let i = 0; i < n; i++) joined[4 * i + plane] = bytes[plane * n + i];
    const values = new Float32Array(joined.buffer);
    return { ...about, values, value: i => values[i] };
  }

  group(i) { return this.head.groups.find(group => i >= group.first && i < group.first + group.count); }

  // Responses of one unit, (array, state, x, step) in one line, and what else its record holds; null without any.
  async unit(i) {
    const group = this.group(i);
    if (!group?.blocks.length) return null;
    const at = i - group.first, per = this.head.per_block, number = Math.floor(at / per);
    const bytes = await this.#block(group.blocks[number]);
    const n = Math.min(per, group.count - number * per), width = bytes.length / 2 / n, start = (at % per) * width;
    const record = Uint16Array.from({ length: width }, (_, k) => bytes[start + k] | (bytes[n * width + start + k] << 8));
    const sizes = [group.values, group.states, group.x, group.steps].map(axis => axis.length);
    const size = sizes.reduce((a, b) => a * b), numbers = part => Array.from(part, bits => half(bits) * group.scale);
    const responses = numbers(record.subarray(0, size));
    const value = (array, state, x, step) => responses[((array * sizes[1] + state) * sizes[2] + x) * sizes[3] + step];
    const pictures = record.subarray(size, size + group.ranks);
    const driven = numbers(record.subarray(size + group.ranks, size + 2 * group.ranks));
    const box = group.field ? record.subarray(size + 2 * group.ranks) : null;
    return { group, value, pictures, driven, box };
  }

  async #block(name) {
    if (!this.blocks.has(name)) {
      if (this.blocks.size >= KEPT_BLOCKS) this.blocks.delete(this.blocks.keys().next().value);
      this.blocks.set(name, this.#bytes(name));
    }
    return this.blocks.get(name);
  }

  // The size (y, x) of a layer's map, and the units of each channel.
  places(group) {
    return group.places ??= (async () => {
      const [channels, ys, xs] = await Promise.all(["channel", "channel_y", "channel_x"].map(name => this.column(name)));
      const size = [1, 1], of = new Map();
      for (let i = group.first; i < group.first + group.count; i++) {
        size[0] = Math.max(size[0], ys.values[i] + 1);
        size[1] = Math.max(size[1], xs.values[i] + 1);
        if (!of.has(channels.values[i])) of.set(channels.values[i], []);
        of.get(channels.values[i]).push(i);
      }
      return { size, channels: of };
    })();
  }

  // Of several pictures that with the largest contrast in a receptive field; the middle one where none is known.
  async clearest(group, numbers, box) {
    if (!box || numbers.length < 2) return numbers[numbers.length >> 1];
    const { shape: [height, width, channels], size, blocks } = group.pictures, per = this.head.pictures_per_block;
    const [top, bottom, left, right] = Array.from(box, (edge, k) => Math.round(edge * (k < 2 ? height / size[0] : width / size[1])));
    let best = null, most = -1;
    for (const number of numbers) {
      const bytes = await this.#block(blocks[Math.floor(number / per)]), start = (number % per) * height * width * channels;
      let n = 0, sum = 0, squares = 0;
      for (let y = top; y < Math.max(bottom, top + 1); y++) {
        for (let k = left * channels; k < Math.max(right, left + 1) * channels; k++, n++) {
          const value = bytes[start + y * width * channels + k];
          sum += value; squares += value * value;
        }
      }
      if (squares / n - (sum / n) ** 2 > most) [best, most] = [number, squares / n - (sum / n) ** 2];
    }
    return best;
  }

  // One picture as the address of a small image.
  async picture(group, number) {
    const { shape: [height, width, channels], blocks } = group.pictures, per = this.head.pictures_per_block;
    const bytes = await this.#block(blocks[Math.floor(number / per)]), start = (number % per) * height * width * channels;
    const canvas = h("canvas", { width, height }), context = canvas.getContext("2d"), image = context.createImageData(width, height);
    for (let p = 0; p < height * width; p++) {
      for (let c = 0; c < 3; c++) image.data[4 * p + c] = bytes[start + p * channels + Math.min(c, channels - 1)];
      image.data[4 * p + 3] = 255;
    }
    context.putImageData(image, 0, 0);
    return canvas.toDataURL();
  }
}

// ------------------------------------------------------------------------------------------------------------ drawing

function ticks(low, high, n = 4) {
  const raw = (high - low) / n || 1, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(k => k * power).find(one => one >= raw);
  const found = [];
  for (let t = Math.ceil(low / step - 1e-9) * step; t <= high + step * 1e-9; t += step) found.push(Number(t.toPrecision(12)));
  return found;
}

// Axes of a plot: places of values, and what is drawn of the axes themselves.
function axes({ width, height, x, y, xLabel, yLabel, xTicks, left = 64 }) {
  const right = 10, top = 10, bottom = 40, wide = width - left - right, high = height - top - bottom;
  const at = { x: v => left + wide * (v - x[0]) / (x[1] - x[0] || 1), y: v => top + high * (1 - (v - y[0]) / (y[1] - y[0] || 1)) };
  const marks = [s("path", { class: "axis", d: `M${left},${top}V${top + high}H${left + wide}` })];
  for (const tick of ticks(...y)) {
    marks.push(s("path", { class: "axis", d: `M${left - 4},${at.y(tick)}H${left}` }),
      s("text", { x: left - 7, y: at.y(tick) + 4, "text-anchor": "end" }, shown(tick)));
  }
  for (const [place, text] of xTicks ?? ticks(...x).map(tick => [tick, shown(tick)])) {
    marks.push(s("path", { class: "axis", d: `M${at.x(place)},${top + high}v4` }),
      s("text", { x: at.x(place), y: top + high + 17, "text-anchor": "middle" }, text));
  }
  marks.push(s("text", { x: left + wide / 2, y: height - 6, "text-anchor": "middle" }, xLabel));
  marks.push(s("text", { x: 12, y: top + high / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${top + high / 2})` }, yLabel));
  return { at, marks, box: { left, top, wide, high } };
}

function picture(label, width, height, ...children) {
  return s("svg", { role: "img", "aria-label": label, viewBox: `0 0 ${width} ${height}`, width, height, class: "plot" }, ...children);
}

function span(values) {
  const known = values.filter(Number.isFinite);
  if (!known.length) return [0, 1];
  const low = Math.min(0, ...known), high = Math.max(...known);
  return high > low ? [low, high + 0.05 * (high - low)] : [low, low + 1];
}

const line = (points) => points.map(([x, y], k) => `${k ? "L" : "M"}${x.toFixed(1)},${y.toFixed(1)}`).join("");

function mark(state, x, y) {
  return state % 2
    ? s("rect", { class: `state open state-${state % 4}`, x: x - 3, y: y - 3, width: 6, height: 6 })
    : s("circle", { class: `state solid state-${state % 4}`, cx: x, cy: y, r: 3.2 });
}

// Curves of states: [{name, points: [[x, y]], fit: [[x, y]], joined}], drawn with their legend.
function statesPlot({ label, series, x, xLabel, yLabel, xTicks }) {
  const known = series.map(one => ({ ...one, points: one.points.filter(([, v]) => Number.isFinite(v)) }));
  const y = span(known.flatMap(one => [...one.points, ...(one.fit ?? [])].map(point => point[1])));
  const width = 380, height = 230, legend = 18 * Math.ceil(known.length / 2);
  const { at, marks } = axes({ width, height, x, y, xLabel, yLabel, xTicks });
  const drawn = known.flatMap((one, state) => {
    const path = one.fit ?? (one.joined ? one.points : null);
    return [
      path && s("path", { class: `state line state-${state % 4}`, d: line(path.map(([a, b]) => [at.x(a), at.y(b)])) }),
      ...one.points.map(([a, b]) => mark(state, at.x(a), at.y(b))),
    ];
  });
  const names = known.map((one, state) => {
    const left = 64 + 160 * (state % 2), top = height + 12 + 18 * Math.floor(state / 2);
    return s("g", {}, mark(state, left, top - 4), s("text", { x: left + 9, y: top }, one.name));
  });
  return picture(label, width, height + legend, ...marks, ...drawn, ...names);
}

function blend(from, to, share) {
  const parts = colour => [1, 3, 5].map(k => parseInt(colour.slice(k, k + 2), 16));
  const [a, b] = [parts(from), parts(to)];
  return `rgb(${a.map((v, k) => Math.round(v + (b[k] - v) * share)).join(",")})`;
}
// Orange above a middle, blue below it; grey at it.
function diverging(value, low, middle, high) {
  const up = value >= middle, share = Math.min(1, Math.abs(value - middle) / (Math.abs((up ? high : low) - middle) || 1)) || (low === high ? 0.5 : 0);
  return blend("#DADADA", up ? "#D55E00" : "#0072B2", share);
}

// ----------------------------------------------------------------------------------------------------------- download

function save(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = h("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

// A text that a spreadsheet would take for a formula gets an apostrophe in front.
export function csv(rows) {
  const cell = value => {
    let text = typeof value === "number" ? String(value) : String(value ?? "");
    if (typeof value !== "number" && /^\s*[=+\-@]/.test(text)) text = `'${text}`;
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map(row => row.map(cell).join(",")).join("\n") + "\n";
}

const KEPT = ["fill", "stroke", "stroke-width", "stroke-dasharray", "font-size", "font-family", "font-weight", "opacity"];

function standAlone(drawing) {
  const copy = drawing.cloneNode(true), from = drawing.querySelectorAll("*"), to = copy.querySelectorAll("*");
  from.forEach((node, k) => {
    const style = getComputedStyle(node);
    for (const name of KEPT) to[k].style.setProperty(name, style.getPropertyValue(name));
  });
  return copy;
}

// Several drawings below each other, as one file.
function svgText(drawings, paper) {
  let y = 0, width = 0;
  const parts = drawings.map(drawing => {
    const copy = standAlone(drawing), box = drawing.viewBox.baseVal;
    fill(copy, { y, x: 0, width: box.width, height: box.height }, []);
    y += box.height + 12;
    width = Math.max(width, box.width);
    return copy;
  });
  const whole = s("svg", { xmlns: SVG, width, height: y, viewBox: `0 0 ${width} ${y}` }, s("rect", { width, height: y, fill: paper }), ...parts);
  return new XMLSerializer().serializeToString(whole);
}

// ----------------------------------------------------------------------------------------------------------- selection

// `gain_maximum>1.5 layer:stage2 excluded_by=""`: conditions on columns; anything else is looked for in the names.
export function conditions(text, names) {
  const found = [], rest = [];
  for (const part of text.match(/[^\s"]*"[^"]*"|\S+/g) ?? []) {
    const match = /^([^\s<>=!:]+)(>=|<=|!=|>|<|=|:)(.*)$/.exec(part);
    if (match && names.has(match[1])) found.push({ column: match[1], sign: match[2], value: match[3].replaceAll('"', "") });
    else rest.push(part.replaceAll('"', "").toLowerCase());
  }
  return { found, rest };
}

function test({ sign, value }, column) {
  if (column.kind !== "number") {
    const wanted = value.toLowerCase(), text = i => column.value(i).toLowerCase();
    if (sign === ":") return i => text(i).includes(wanted);
    return sign === "!=" ? i => text(i) !== wanted : i => text(i) === wanted;
  }
  const limit = /^(∞|inf(inity)?)$/i.test(value) ? Infinity : Number(value), of = column.values;
  return { ">": i => of[i] > limit, "<": i => of[i] < limit, ">=": i => of[i] >= limit, "<=": i => of[i] <= limit,
    "=": i => of[i] === limit, ":": i => of[i] === limit, "!=": i => of[i] !== limit }[sign];
}

function sorted(rows, column, descending) {
  const key = column.kind === "number" ? column.values
    : column.kind === "word" ? ranksOf(column) : null;
  if (!key) return rows.sort((a, b) => (descending ? -1 : 1) * column.value(a).localeCompare(column.value(b), "en", { numeric: true }) || a - b);
  const sign = descending ? -1 : 1;
  // What is not defined comes last, either way.
  return rows.sort((a, b) => {
    const [x, y] = [key[a], key[b]];
    if (x === y) return a - b;
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y) || a - b;
    return sign * (x < y ? -1 : 1);
  });
}

function ranksOf(column) {
  const order = column.words.map((word, k) => k).sort((a, b) => column.words[a].localeCompare(column.words[b], "en", { numeric: true }));
  const rank = new Uint16Array(order.length);
  order.forEach((code, place) => { rank[code] = place; });
  return Uint16Array.from(column.values, code => rank[code]);
}

// ------------------------------------------------------------------------------------------------------------ explorer

class Explorer {
  // `root` is an element of ours, `keys` hears the keyboard, `address` says whether the page's address names the unit.
  constructor(root, source, { keys = root, address = false, picked = () => {} } = {}) {
    Object.assign(this, { root, keys, address, picked, data: new Data(source) });
    const { head } = this.data, names = [...this.data.columns.keys()];
    this.numbers = head.columns.filter(column => column.kind === "number").map(column => column.name);
    const [x, y] = [head.measures[0] ?? this.numbers[0], head.measures[1] ?? head.measures[0] ?? this.numbers[0]];
    this.state = {
      filter: "", part: "", off: new Set(), sort: y ?? names[0], descending: true, x, y, colour: "layer",
      sideBySide: false, brush: null, unit: null, pinned: [], array: 0, step: null, map: y, open: false,
    };
    if (!this.data.columns.has("layer")) this.state.colour = this.data.columns.has("model") ? "model" : "";
    this.shownColumns = [...new Set([...IDENTITY.filter(name => this.data.columns.has(name) && name !== "channel_y" && name !== "channel_x"), x, y,
      ...this.numbers.filter(name => !IDENTITY.includes(name)).slice(0, 6)])].filter(Boolean);
    this.rows = []; this.rank = []; this.turn = 0;
  }

  async start() {
    this.build();
    await this.refresh();
    const named = this.address ? await this.asked() : null;
    await this.pick(named ?? this.rows[0] ?? null);
    this.root.dataset.ready = "true";
  }

  // What identifies a unit in the address.
  async names() { return this.data.head.of_units ? this.data.column("neuroid_id") : null; }

  async asked() {
    const match = /^#unit=(.+)$/.exec(location.hash);
    if (!match) return null;
    let name = match[1];
    try { name = decodeURIComponent(name); } catch { /* as it stands */ }
    const names = await this.names();
    let found = names ? -1 : Number(name);
    for (let i = 0; names && i < this.data.n && found < 0; i++) if (names.value(i) === name) found = i;
    if (found >= 0 && found < this.data.n) return found;
    this.say(`There is no unit ${name} on this page.`);
    return null;
  }

  say(text) { this.live.textContent = text; this.told.textContent = text; }

  // ----------------------------------------------------------------------------------------------------------- skeleton

  build() {
    const { head } = this.data, title = h("h1", {}, head.title);
    const many = head.n_total > head.n_units
      ? `${shown(head.n_units)} of ${shown(head.n_total)} ${this.kind()}, drawn at random` : `${shown(head.n_units)} ${this.kind()}`;
    const links = (head.links ?? []).map(([target, text]) => h("a", { href: target }, text));
    this.live = h("p", { class: "visually-hidden", "aria-live": "polite" });
    this.told = h("p", { class: "told" });
    this.parts = Object.fromEntries(["groups", "plots", "unit"].map(name => [name, h("div", { class: name })]));
    this.table = new Table(this);
    this.root.replaceChildren(
      h("header", {}, title, h("p", { class: "meta" }, many, ...links.flatMap(link => [" · ", link])),
        ...head.notes.map(note => h("p", { class: "warning" }, note))),
      this.tools(), this.live, this.told,
      this.parts.columns = h("div", { class: "columns" },
        h("div", { class: "left" },
          h("section", { "aria-label": "Scatter of two measures", class: "scatter" }, this.scatterTools(), this.parts.plots, this.parts.groups),
          h("section", { "aria-label": "Table" }, this.table.element)),
        h("section", { class: "right", "aria-label": "Unit" }, this.parts.unit)));
    this.keys.addEventListener("keydown", event => this.key(event));
    if (this.address) addEventListener("hashchange", async () => { const found = await this.asked(); if (found !== null) this.pick(found); });
    new ResizeObserver(() => { if (this.parts.plots.clientWidth !== this.width) this.drawScatter(); }).observe(this.parts.plots);
  }

  // The name of a measure, with its unit.
  named(measure) { return words(measure) + (DEGREES.test(measure) && this.data.head.groups.some(group => group.unit === "°") ? " (°)" : ""); }

  kind() { return this.data.head.of_units ? "units" : "rows"; }

  set(changes) { Object.assign(this.state, changes); return this.refresh(); }

  tools() {
    const search = h("input", { type: "search", placeholder: "stage1 gain_maximum>1.5", oninput: event => {
      clearTimeout(this.wait);
      this.wait = setTimeout(() => this.set({ filter: event.target.value, brush: null }), 150);
    } });
    const reasons = this.data.columns.get("excluded_by")?.words?.filter(word => word) ?? [];
    const part = this.data.columns.has("excluded_by") && choice("Show", [["", "all units"], ["in", "units that take part"],
      ...reasons.map(reason => [`out:${reason}`, `excluded: ${reason}`])], this.state.part, part => this.set({ part, brush: null }));
    const help = h("details", {}, h("summary", {}, "Filter and keys"),
      h("p", {}, "Words are looked for in the names; conditions are on columns: ", h("code", {}, "gain_maximum>1.5"), ", ", h("code", {}, "layer:stage2"), ", ",
        h("code", {}, "channel=3"), ", ", h("code", {}, 'excluded_by="not driven"'), ". n or ↓ and p or ↑: next and previous unit in the order of the table; ",
        "Home, End: first and last; k: keep the unit beside the others; Esc: undo the brush. Drag over the scatter to brush, click to pick."));
    return h("div", { class: "tools", role: "search" }, h("label", {}, "Filter ", search), part, help);
  }

  scatterTools() {
    const measures = this.numbers.map(name => [name, this.named(name)]);
    const colours = [["", "nothing"], ...["layer", "model", "excluded_by"].filter(name => this.data.columns.has(name))
      .map(name => [name, { model: "network", excluded_by: "exclusion" }[name] ?? name])];
    return h("div", { class: "tools" },
      choice("x", measures, this.state.x, x => this.set({ x, brush: null })),
      choice("y", measures, this.state.y, y => this.set({ y, map: y, brush: null }).then(() => this.drawUnit())),
      choice("Colour", colours, this.state.colour, colour => this.set({ colour })),
      this.data.head.groups.length > 1 && h("label", {}, h("input", { type: "checkbox", onchange: event => this.set({ sideBySide: event.target.checked, brush: null }) }),
        " layers and networks side by side"),
      button("SVG", "Download the scatter as SVG", () => this.saveScatter()));
  }

  // ---------------------------------------------------------------------------------------------------------- selection

  async refresh() {
    const turn = ++this.turn, { state, data } = this, asked = conditions(state.filter, data.columns);
    const needed = new Set([state.sort, state.x, state.y, state.colour, ...asked.found.map(one => one.column),
      ...this.shownColumns, ...IDENTITY].filter(name => data.columns.has(name)));
    const loaded = new Map(await Promise.all([...needed].map(async name => [name, await data.column(name)])));
    if (turn !== this.turn) return;
    this.loaded = loaded;
    const tests = asked.found.map(one => test(one, loaded.get(one.column)));
    const texts = ["model", "layer", "neuroid_id", "excluded_by", "condition"].map(name => loaded.get(name)).filter(Boolean);
    for (const word of asked.rest) tests.push(i => texts.some(column => column.value(i).toLowerCase().includes(word)));
    const excluded = loaded.get("excluded_by");
    if (excluded && state.part) {
      const wanted = state.part === "in" ? "" : state.part.slice(4);
      tests.push(i => excluded.value(i) === wanted);
    }
    const ranges = data.head.groups.filter(group => !state.off.has(group));
    const rows = new Uint32Array(data.n);
    let n = 0;
    for (const { first, count } of data.head.groups.length ? ranges : [{ first: 0, count: data.n }]) {
      for (let i = first; i < first + count; i++) if (tests.every(passes => passes(i))) rows[n++] = i;
    }
    this.filtered = rows.subarray(0, n);
    this.rows = sorted(state.brush ? this.filtered.filter(i => this.brushed(i)) : this.filtered.slice(), loaded.get(state.sort), state.descending);
    this.rank = new Int32Array(data.n).fill(-1);
    this.rows.forEach((i, rank) => { this.rank[i] = rank; });
    this.picked(state.brush || state.filter || state.part ? this.rows : null);
    this.drawScatter();
    this.drawGroups();
    this.table.draw();
    this.drawRank();
  }

  brushed(i) {
    const { panel, x, y } = this.state.brush, of = this.panels.find(one => one.name === panel);
    const at = [of.clampX(this.loaded.get(this.state.x).values[i]), of.clampY(this.loaded.get(this.state.y).values[i])];
    return of.has(i) && at[0] >= x[0] && at[0] <= x[1] && at[1] >= y[0] && at[1] <= y[1];
  }

  async pick(i) {
    this.state.unit = i;
    if (i === null) { this.parts.unit.replaceChildren(h("p", {}, "No unit fits the filter.")); return; }
    if (this.address) history.replaceState(null, "", `#unit=${encodeURIComponent(await this.label(i))}`);
    await this.drawUnit();
    this.table.mark(this.rank[this.state.unit]);
    this.drawNow();
  }

  async label(i) { const names = await this.names(); return names ? names.value(i) : String(i); }

  move(by) {
    const at = this.rank[this.state.unit] ?? -1, last = this.rows.length - 1;
    if (last < 0) return;
    this.pick(this.rows[at < 0 ? 0 : Math.max(0, Math.min(last, at + by))]);
  }

  key(event) {
    if (event.target.closest?.("input, select, textarea, summary") || event.ctrlKey || event.metaKey || event.altKey) return;
    const by = { n: 1, ArrowDown: 1, p: -1, ArrowUp: -1, Home: -Infinity, End: Infinity, PageDown: 10, PageUp: -10 }[event.key];
    if (by !== undefined) this.move(by);
    else if (event.key === "k") this.pin();
    else if (event.key === "Escape") this.set({ brush: null });
    else return;
    event.preventDefault();
  }

  pin() {
    const { unit, pinned } = this.state;
    if (unit === null || pinned.includes(unit)) return;
    this.state.pinned = [...pinned, unit].slice(-MOST_PINNED);
    this.drawUnit();
  }

  // ------------------------------------------------------------------------------------------------------------ scatter

  drawScatter() {
    const { state } = this, width = this.parts.plots.clientWidth;
    if (!this.loaded || !width || !state.x) return;
    const [xs, ys] = [this.loaded.get(state.x).values, this.loaded.get(state.y).values];
    const range = values => {
      const known = Float32Array.from(this.filtered, i => values[i]).filter(Number.isFinite).sort();
      if (!known.length) return [0, 1];
      const [low, high] = [0.005, 0.995].map(share => known[Math.round(share * (known.length - 1))]);
      const pad = 0.06 * (high - low) || 0.5;
      return [low - pad, high + pad];
    };
    const [x, y] = [range(xs), range(ys)];
    const groups = this.data.head.groups, apart = state.sideBySide && groups.length > 1;
    const here = groups.filter(group => !state.off.has(group));
    const panels = apart ? here.map(group => ({ name: `${group.model} ${group.layer}`, has: i => i >= group.first && i < group.first + group.count }))
      : [{ name: "", has: () => true }];
    const across = apart ? Math.max(1, Math.min(panels.length, Math.floor(width / 230))) : 1;
    const size = { width: Math.floor(width / across) - (apart ? 8 : 0), height: apart ? 220 : Math.min(360, Math.max(260, width * 0.55)) };
    const of = this.colouring();
    this.panels = panels.map(panel => {
      const { at, marks, box } = axes({ ...size, x, y, xLabel: this.named(state.x), yLabel: this.named(state.y) });
      const clamp = ([low, high]) => v => Math.max(low, Math.min(high, v));
      const rows = this.filtered.filter(i => panel.has(i) && !Number.isNaN(xs[i]) && !Number.isNaN(ys[i]));
      return { ...panel, ...size, at, marks, box, clampX: clamp(x), clampY: clamp(y), rows };
    });
    this.width = width;
    this.parts.plots.replaceChildren(...this.panels.map(panel => this.scatterPanel(panel, xs, ys, of)));
    this.drawNow();
    const drawn = this.panels.reduce((n, panel) => n + panel.rows.length, 0), total = here.length ? this.filtered.length : drawn;
    const edge = this.panels.reduce((n, panel) => n + panel.rows.filter(i => panel.clampX(xs[i]) !== xs[i] || panel.clampY(ys[i]) !== ys[i]).length, 0);
    const endless = this.filtered.filter(i => Math.abs(xs[i]) === Infinity || Math.abs(ys[i]) === Infinity).length;
    this.parts.plots.append(h("p", { class: "meta" }, `${shown(drawn)} of ${shown(total)} ${this.kind()} have both measures`,
      edge ? `; ${shown(edge)} beyond the axes are drawn at their edge` : "", endless ? `, ${shown(endless)} of them with ∞` : "", "."));
  }

  colouring() {
    const column = this.loaded.get(this.state.colour);
    if (!column) return () => PALETTE[5];
    const keys = column.kind === "word" ? column.words : [];
    return i => PALETTE[Math.max(0, keys.indexOf(column.value(i))) % PALETTE.length];
  }

  scatterPanel(panel, xs, ys, colour) {
    const { width, height, at, marks, box } = panel, ratio = devicePixelRatio || 1;
    const canvas = h("canvas", { width: width * ratio, height: height * ratio, style: `width:${width}px;height:${height}px`, "aria-hidden": "true" });
    const pen = canvas.getContext("2d"), size = panel.rows.length > 5000 ? 2 : 4;
    pen.scale(ratio, ratio);
    const place = i => [at.x(panel.clampX(xs[i])), at.y(panel.clampY(ys[i]))];
    for (const i of panel.rows) {
      pen.globalAlpha = this.state.brush && this.rank[i] < 0 ? 0.12 : 0.7;
      pen.fillStyle = colour(i);
      const [a, b] = place(i);
      pen.fillRect(a - size / 2, b - size / 2, size, size);
    }
    const label = `${words(this.state.y)} against ${words(this.state.x)}${panel.name ? ` of ${panel.name}` : ""}: ${panel.rows.length} ${this.kind()}. The table below has the same numbers.`;
    const drag = s("rect", { class: "brush", width: 0, height: 0 });
    const over = s("svg", { role: "img", "aria-label": label, viewBox: `0 0 ${width} ${height}`, width, height }, ...marks, drag);
    if (panel.name) over.append(s("text", { x: box.left + 4, y: 9, class: "name" }, panel.name));
    const drawn = new Uint8Array(this.data.n);
    for (const i of panel.rows) drawn[i] = 1;
    Object.assign(panel, { over, place, drawn });
    this.brushing(over, drag, panel, place);
    return h("div", { class: "panel", style: `width:${width}px;height:${height}px` }, canvas, over);
  }

  // A ring around the picked unit.
  drawNow() {
    for (const { over, place, drawn } of this.panels ?? []) {
      over.querySelector(".now")?.remove();
      if (!drawn[this.state.unit]) continue;
      const [cx, cy] = place(this.state.unit);
      over.append(s("circle", { class: "now", cx, cy, r: 7 }));
    }
  }

  brushing(over, drag, panel, place) {
    let from = null;
    const where = event => { const r = over.getBoundingClientRect(); return [event.clientX - r.left, event.clientY - r.top]; };
    over.addEventListener("pointerdown", event => { from = where(event); over.setPointerCapture(event.pointerId); });
    over.addEventListener("pointermove", event => {
      if (!from) return;
      const to = where(event), [x, y] = [0, 1].map(k => Math.min(from[k], to[k]));
      fill(drag, { x, y, width: Math.abs(to[0] - from[0]), height: Math.abs(to[1] - from[1]) }, []);
    });
    over.addEventListener("pointercancel", () => { from = null; });
    over.addEventListener("pointerup", event => {
      if (!from) return;
      const to = where(event), start = from, [low, high] = [Math.min, Math.max].map(of => [0, 1].map(k => of(start[k], to[k])));
      from = null;
      if (high[0] - low[0] < 5 && high[1] - low[1] < 5) { this.pickNear(panel, place, to); return; }
      const { left, top, wide, high: tall } = panel.box, zero = [panel.at.x(0), panel.at.y(0)];
      const per = [panel.at.x(1) - zero[0], panel.at.y(1) - zero[1]], back = (k, v) => (v - zero[k]) / per[k];
      // A brush that reaches an axis' end takes what is drawn at the edge, too.
      const x = [low[0] <= left + 1 ? -Infinity : back(0, low[0]), high[0] >= left + wide - 1 ? Infinity : back(0, high[0])];
      const y = [high[1] >= top + tall - 1 ? -Infinity : back(1, high[1]), low[1] <= top + 1 ? Infinity : back(1, low[1])];
      this.set({ brush: { panel: panel.name, x, y } });
      this.say("Brushed; press Esc to undo.");
    });
  }

  pickNear(panel, place, [x, y]) {
    let best = null, nearest = 15 ** 2;
    for (const i of panel.rows) {
      const [a, b] = place(i), far = (a - x) ** 2 + (b - y) ** 2;
      if (far < nearest) [best, nearest] = [i, far];
    }
    if (best !== null) this.pick(best);
    else if (this.state.brush) this.set({ brush: null });
  }

  saveScatter() {
    const [xs, ys] = [this.loaded.get(this.state.x).values, this.loaded.get(this.state.y).values], colour = this.colouring();
    const drawings = [...this.parts.plots.querySelectorAll("svg")];
    drawings.forEach((drawing, k) => {
      const panel = this.panels[k];
      const points = Array.from(panel.rows, i => s("circle", { class: "point", cx: panel.at.x(panel.clampX(xs[i])).toFixed(1), cy: panel.at.y(panel.clampY(ys[i])).toFixed(1), r: 1.6, fill: colour(i) }));
      drawing.append(...points);
    });
    save("scatter.svg", "image/svg+xml", svgText(drawings, this.paper()));
    this.root.querySelectorAll(".point").forEach(point => point.remove());
  }

  paper() { return getComputedStyle(this.root).backgroundColor; }

  // Layers and networks side by side, as numbers; also the legend.
  drawGroups() {
    const { groups } = this.data.head, { state } = this, colour = this.colouring();
    if (!groups.length) { this.parts.groups.replaceChildren(); return; }
    const middle = (name, group) => {
      const of = this.loaded.get(name)?.values;
      const known = of ? Float32Array.from(this.filtered.filter(i => i >= group.first && i < group.first + group.count && !Number.isNaN(of[i])), i => of[i]).sort() : [];
      const half = known.length / 2;
      return known.length ? (known[Math.ceil(half) - 1] + known[Math.floor(half)]) / 2 : NaN;
    };
    const rows = groups.map(group => {
      const check = h("input", { type: "checkbox", checked: !state.off.has(group), "aria-label": `show ${group.model} ${group.layer}`, onchange: () => {
        if (!state.off.delete(group)) state.off.add(group);
        this.set({ brush: null });
      } });
      const n = this.filtered.filter(i => i >= group.first && i < group.first + group.count).length;
      const swatch = h("span", { class: "swatch", style: state.colour === "excluded_by" ? "visibility:hidden" : `background:${colour(group.first)}` });
      return h("tr", {}, h("td", {}, h("label", {}, check, swatch, group.model)), h("td", {}, group.layer), h("td", { class: "number" }, shown(n)),
        ...[state.x, state.y].map(name => h("td", { class: "number" }, shown(middle(name, group)))));
    });
    const legend = state.colour === "excluded_by" ? h("p", { class: "meta" }, ...this.loaded.get("excluded_by").words.map((word, k) =>
      h("span", { class: "key" }, h("span", { class: "swatch", style: `background:${PALETTE[k % PALETTE.length]}` }), word || "takes part"))) : "";
    const head = ["network", "layer", "n", `median ${this.named(state.x ?? "")}`, `median ${this.named(state.y ?? "")}`];
    this.parts.groups.replaceChildren(legend, h("div", { class: "scroll" }, h("table", {},
      h("thead", {}, h("tr", {}, ...head.map(text => h("th", { scope: "col" }, text)))), h("tbody", {}, ...rows))), h("p", { class: "meta" }, "n: shown; medians are of those that have the measure."));
  }

  // --------------------------------------------------------------------------------------------------------------- unit

  drawRank() {
    if (!this.rankPlace) return;
    const at = this.rank[this.state.unit] ?? -1, order = `by ${words(this.state.sort)}, ${this.state.descending ? "descending" : "ascending"}`;
    const rank = h("input", { type: "number", min: 1, max: this.rows.length, value: at < 0 ? "" : at + 1, "aria-label": "rank",
      onchange: event => { const i = this.rows[Number(event.target.value) - 1]; if (i !== undefined) this.pick(i); } });
    this.rankPlace.replaceChildren("rank ", rank, ` of ${shown(this.rows.length)} ${order}`, at < 0 ? " (not among those shown)" : "");
  }

  async drawUnit() {
    const i = this.state.unit;
    if (i === null) return;
    this.rankPlace = h("span", { class: "rank" });
    const bar = h("div", { class: "tools" }, button("‹", "Previous unit", () => this.move(-1)), button("›", "Next unit", () => this.move(1)), this.rankPlace,
      button("Keep", "Keep this unit beside the others", () => this.pin()), button("CSV", "Download this unit's responses as CSV", () => this.saveResponses(i)),
      button("SVG", "Download this unit's drawings as SVG", () => save(`unit-${i}.svg`, "image/svg+xml", svgText([...this.parts.unit.querySelector("article").querySelectorAll("svg")], this.paper()))));
    const others = this.state.pinned.filter(one => one !== i);
    this.parts.columns.classList.toggle("comparing", others.length > 0);
    const made = await Promise.all([i, ...others].map(one => new UnitView(this, one).element(one !== i)));
    if (i !== this.state.unit) return;
    this.parts.unit.replaceChildren(bar, h("div", { class: "beside" }, ...made));
    this.drawRank();
    this.live.textContent = `Unit ${await this.label(i)}`;
  }

  async saveResponses(i) {
    const unit = await this.data.unit(i), rows = [["neuroid_id", "array", "state", unit?.group.x_name || "condition", "time_step", "response"]];
    const name = await this.label(i);
    unit?.group.values.forEach((array, a) => unit.group.states.forEach((state, b) => unit.group.x.forEach((x, c) => unit.group.steps.forEach((step, d) =>
      rows.push([name, array, state, x, step, unit.value(a, b, c, d)])))));
    save(`unit-${i}.csv`, "text/csv", csv(rows));
  }

  async saveTable() {
    const columns = await Promise.all(this.shownColumns.map(name => this.data.column(name)));
    save("units.csv", "text/csv", csv([this.shownColumns, ...Array.from(this.rows, i => columns.map(column => column.value(i)))]));
  }
}

// ---------------------------------------------------------------------------------------------------------------- unit

class UnitView {
  constructor(explorer, i) { Object.assign(this, { explorer, i, data: explorer.data }); }

  async element(kept) {
    const { explorer, i, data } = this, [label, unit] = await Promise.all([explorer.label(i), data.unit(i)]);
    const at = async name => data.columns.has(name) ? (await data.column(name)).value(i) : undefined;
    const excluded = await at("excluded_by"), model = await at("model"), layer = await at("layer");
    const status = excluded === undefined ? "" : excluded ? h("p", { class: "excluded" }, `Excluded: ${excluded}`) : h("p", { class: "included" }, "Takes part");
    const remove = kept && button("×", `Do not keep ${label}`, () => {
      explorer.state.pinned = explorer.state.pinned.filter(one => one !== i);
      explorer.drawUnit();
    });
    const place = [await at("channel"), await at("channel_y"), await at("channel_x")];
    const where = place[0] === undefined ? "" : `, channel ${place[0]} at y ${place[1]}, x ${place[2]}`;
    const drawings = unit ? [this.curves(unit, await this.fits(unit)), this.course(unit)] : [h("p", { class: "missing" }, data.head.of_units
      ? "The recording holds no responses of this unit." : "This row is no single unit: it has numbers, and no curves.")];
    const parts = await Promise.all([this.map(place), this.field(unit), this.driving(unit), this.numbers()]);
    return h("article", {}, h("h2", {}, data.head.of_units ? `Unit ${label}` : `Row ${label}`, " ", remove), h("p", { class: "meta" }, `${model ?? ""} ${layer ?? ""}${where}`), status,
      unit && this.choices(unit), ...drawings, ...parts);
  }

  figure(title, ...children) { return h("figure", {}, h("figcaption", {}, title), ...children); }

  step(unit) { const { step } = this.explorer.state; return step === null || step >= unit.group.steps.length ? unit.group.steps.length - 1 : step; }
  array(unit) { return Math.min(this.explorer.state.array, unit.group.values.length - 1); }

  choices(unit) {
    const { explorer } = this, { values, steps } = unit.group, list = names => names.map((name, k) => [String(k), String(name)]);
    const set = change => { Object.assign(explorer.state, change); explorer.drawUnit(); };
    if (values.length < 2 && steps.length < 2) return "";
    return h("div", { class: "tools" },
      values.length > 1 && choice("Over stimuli", list(values), String(this.array(unit)), k => set({ array: Number(k) })),
      steps.length > 1 && choice("Time step", list(steps), String(this.step(unit)), k => set({ step: Number(k) })));
  }

  // Parameters of the von Mises curve of every state, from the table.
  async fits(unit) {
    const pattern = this.data.head.fit, array = unit.group.values[this.array(unit)];
    return Promise.all((pattern ? unit.group.keys : []).map(async state => {
      const names = ["baseline", "amplitude", "kappa", "preferred"].map(parameter => pattern.replace("{parameter}", parameter).replace("{state}", state).replace("{value}", array));
      if (!names.every(name => this.data.columns.has(name))) return null;
      const values = await Promise.all(names.map(async name => (await this.data.column(name)).value(this.i)));
      return Number.isNaN(values[0]) ? null : values;
    }));
  }

  curves(unit, fits) {
    const { group, value } = unit, array = this.array(unit), step = this.step(unit), { x_name } = group;
    const title = `Responses over ${x_name ? words(x_name) : "stimuli"}, time step ${group.steps[step]}`;
    if (group.x.length < 2) return this.figure(title, h("p", { class: "missing" }, "Stimuli carry no variable of 2 to 64 values, over which there would be a curve."));
    const numeric = group.x.every(Number.isFinite) && !/class|label/.test(x_name), places = numeric ? group.x : group.x.map((_, k) => k);
    const gap = numeric ? 0 : 0.5, x = [Math.min(...places) - gap, Math.max(...places) + gap];
    const every = Math.ceil(places.length / 12);
    const series = group.states.map((name, state) => {
      const points = places.map((place, k) => [place, value(array, state, k, step)]);
      return { name, points, joined: numeric, fit: fits[state] && this.vonMises(fits[state], x) };
    });
    const label = `${title}. ${series.map(one => this.peak(one, group.x)).join("; ")}.`;
    const note = fits.length ? (fits.some(Boolean) ? "Points are responses, lines the fitted von Mises curves." : "No curve was fitted to this unit.") : "";
    return this.figure(title, statesPlot({ label, series, x, xLabel: words(x_name) + (group.unit ? ` (${group.unit})` : ""), yLabel: `response, ${group.values[array]} (1)`,
      xTicks: numeric ? null : places.filter(k => k % every === 0).map(k => [k, String(group.x[k]).slice(0, 10)]) }), note && h("p", { class: "meta" }, note));
  }

  peak({ name, points }, x) {
    const k = points.reduce((best, point, at) => point[1] > (points[best]?.[1] ?? -Infinity) ? at : best, -1);
    return k < 0 ? `${name}: not presented` : `${name}: largest ${shown(points[k][1])} at ${shown(x[k])}`;
  }

  vonMises([baseline, amplitude, kappa, preferred], [low, high]) {
    return Array.from({ length: 121 }, (_, k) => {
      const x = low + (high - low) * k / 120;
      return [x, Number.isNaN(kappa) ? baseline : baseline + amplitude * Math.exp(kappa * (Math.cos(2 * (x - preferred) * Math.PI / 180) - 1))];
    });
  }

  course(unit) {
    const { group, value } = unit, array = this.array(unit), title = "Time course, mean over conditions";
    if (group.steps.length < 2) return this.figure(title, h("p", { class: "missing" }, `Time step ${group.steps[0]} alone was recorded.`));
    const mean = (state, step) => {
      const known = group.x.map((_, k) => value(array, state, k, step)).filter(v => !Number.isNaN(v));
      return known.length ? known.reduce((a, b) => a + b) / known.length : NaN;
    };
    const series = group.states.map((name, state) => ({ name, joined: true, points: group.steps.map((step, t) => [step, mean(state, t)]) }));
    const label = `${title}. ${series.map(one => `${one.name}: ${one.points.map(point => shown(point[1])).join(", ")}`).join("; ")}.`;
    return this.figure(title, statesPlot({ label, series, x: [group.steps[0], group.steps.at(-1)], xLabel: "time step", yLabel: "response (1)",
      xTicks: group.steps.map(step => [step, String(step)]) }));
  }

  async map([channel, y, x]) {
    const { explorer, data, i } = this, group = data.group(i), measure = explorer.state.map;
    if (channel === undefined || !group || !measure) return "";
    const title = `Map of channel ${channel}: ${explorer.named(measure)} at (y, x)`;
    const [ys, xs, of] = await Promise.all(["channel_y", "channel_x", measure].map(name => data.column(name)));
    const { size, channels } = await data.places(group), here = channels.get(channel);
    if (size[0] * size[1] <= 1) return this.figure(title, h("p", { class: "missing" }, "The layer is a vector: its units have no places."));
    const known = here.map(k => of.values[k]).filter(Number.isFinite);
    const [low, high] = known.length ? [Math.min(...known), Math.max(...known)] : [0, 1], middle = low < 0 && high > 0 ? 0 : /gain|ratio/.test(measure) && low < 1 && high > 1 ? 1 : (low + high) / 2;
    const cell = Math.max(5, Math.min(16, Math.floor(320 / size[1]))), wide = cell * size[1], tall = cell * size[0];
    const cells = here.map(k => s("rect", { x: 30 + cell * xs.values[k], y: 4 + cell * ys.values[k], width: cell, height: cell,
      ...(Number.isNaN(of.values[k]) ? { class: "undefined" } : { fill: diverging(of.values[k], low, middle, high) }) }, s("title", {}, `y ${ys.values[k]}, x ${xs.values[k]}: ${shown(of.values[k])}`)));
    const key = Array.from({ length: 40 }, (_, k) => s("rect", { x: 30 + 3 * k, y: tall + 30, width: 3, height: 8, fill: diverging(low + (high - low) * k / 39, low, middle, high) }));
    const label = `${title}; ${here.length} of ${size[0] * size[1]} places are in the table, from ${shown(low)} to ${shown(high)}; this unit's is ${shown(of.values[i])}.`;
    return this.figure(title, picture(label, Math.max(wide + 40, 260), tall + 58, s("rect", { class: "frame", x: 30, y: 4, width: wide, height: tall }), ...cells,
      s("rect", { class: "now", x: 30 + cell * x, y: 4 + cell * y, width: cell, height: cell }),
      s("text", { x: 30 + wide / 2, y: tall + 18, "text-anchor": "middle" }, "x"), s("text", { x: 16, y: 4 + tall / 2, "text-anchor": "middle" }, "y"),
      ...key, s("text", { x: 30, y: tall + 52 }, shown(low)), s("text", { x: 150, y: tall + 52, "text-anchor": "end" }, shown(high))),
      h("p", { class: "meta" }, `${here.length} of ${shown(size[0] * size[1])} places of this channel are in the table; an empty outline: not defined.`));
  }

  // The pictures that drive the unit most, and least, each with its response; those that tie with the least are no most.
  async ranked(unit) {
    const found = await this.both(unit), per = found.length / 2, [most, least] = [found.slice(0, per), found.slice(per)];
    return { most: most.filter(one => one.response > least[0]?.response), least };
  }

  async both(unit) {
    const { group, value } = unit, { of_x } = group.pictures ?? {};
    if (!of_x?.length) return Array.from(unit.pictures, (number, k) => ({ number, response: unit.driven[k], text: `stimulus ${group.pictures.ids[number]}` }));
    const array = this.array(unit), step = this.step(unit);
    const found = (await Promise.all(of_x.map(async (numbers, k) => {
      const known = group.states.map((_, state) => value(array, state, k, step)).filter(v => !Number.isNaN(v));
      const number = await this.data.clearest(group, numbers, unit.box);
      return { number, response: known.reduce((a, b) => a + b, 0) / known.length, text: `${words(group.x_name)} ${shown(group.x[k])}${group.unit}` };
    }))).filter(one => one.number !== undefined && !Number.isNaN(one.response)).sort((a, b) => b.response - a.response);
    const n = Math.min(4, found.length);
    return [...found.slice(0, n), ...found.slice(found.length - n).reverse()];
  }

  async field(unit) {
    const title = "Receptive field, bottom up";
    if (!unit) return "";
    if (!unit.box) return this.figure(title, h("p", { class: "missing" }, "The receptive field is not known: the run's network was not at hand when this page was made, or the layer is no map."));
    const [top, bottom, left, right] = unit.box, text = `rows ${top} to ${bottom - 1}, columns ${left} to ${right - 1} of the picture`;
    const best = unit.group.pictures && (await this.ranked(unit)).most[0];
    if (!best) return this.figure(title, h("p", { class: "missing" }, `${text[0].toUpperCase()}${text.slice(1)}; there is no picture that drives it, to draw it on.`));
    const [height, width] = unit.group.pictures.size, scale = Math.max(1, Math.min(8, 300 / width)), address = await this.data.picture(unit.group, best.number);
    return this.figure(title, picture(`Receptive field on ${best.text}: ${text}.`, width * scale + 4, height * scale + 4,
      s("image", { href: address, x: 2, y: 2, width: width * scale, height: height * scale, class: "pixels", preserveAspectRatio: "none" }),
      s("rect", { class: "around", x: 2 + left * scale, y: 2 + top * scale, width: (right - left) * scale, height: (bottom - top) * scale }),
      s("rect", { class: "field", x: 2 + left * scale, y: 2 + top * scale, width: (right - left) * scale, height: (bottom - top) * scale })),
      h("p", { class: "meta" }, `On ${unit.group.pictures.of_x.length ? "an example of " : ""}${best.text}, which drives it most: ${text}. Feedback may reach further.`));
  }

  async driving(unit) {
    const title = "Pictures that drive it most and least";
    if (!unit) return "";
    if (!unit.group.pictures) return this.figure(title, h("p", { class: "missing" }, `There are no pictures: ${this.data.head.no_pictures || "none of the presentations has one"}.`));
    const { most, least } = await this.ranked(unit), { of_x, ids } = unit.group.pictures;
    if (!least.length) return this.figure(title, h("p", { class: "missing" }, "None of the pictures was presented in a condition that counts."));
    const row = async (name, part) => h("div", { class: "row" }, h("span", { class: "meta" }, name), ...await Promise.all(part.map(async one => h("span", { class: "thumb" },
      h("img", { src: await this.data.picture(unit.group, one.number), alt: one.text }), h("span", {}, `${shown(one.response)}`), h("span", { class: "meta" }, one.text)))));
    const how = of_x.length ? `The recording holds responses by condition, not by picture: of each condition one example${unit.box ? ", that with the largest contrast in the receptive field" : ""}, and the condition's response, mean over states.`
      : `Mean response over states at the last time step, of ${shown(ids.length)} pictures.`;
    return this.figure(title, most.length ? await row("most", most) : h("p", { class: "missing" }, "All pictures drive it alike."), await row("least", least), h("p", { class: "meta" }, how));
  }

  // All columns are read when they are looked at, not before.
  async numbers() {
    const { explorer, data } = this, body = h("tbody", {});
    const read = async () => {
      const columns = await Promise.all([...data.columns.keys()].map(name => data.column(name)));
      body.replaceChildren(...columns.map(column => h("tr", {}, h("th", { scope: "row" }, column.name), h("td", { class: "number" }, shown(column.value(this.i))))));
    };
    if (explorer.state.open) await read();
    return h("details", { open: explorer.state.open, ontoggle: event => { explorer.state.open = event.target.open; if (event.target.open) read(); } },
      h("summary", {}, `Its row of numbers (${data.columns.size})`),
      h("p", { class: "meta" }, "Rounded to four digits; – is not defined. The run's table of units has them in full."), h("table", {}, body));
  }
}

// --------------------------------------------------------------------------------------------------------------- table

class Table {
  constructor(explorer) {
    this.explorer = explorer;
    this.head = h("thead", {}); this.body = h("tbody", {}); this.count = h("span", { class: "count" });
    this.grid = h("table", {}, this.head, this.body);
    this.view = h("div", { class: "wide", tabindex: 0, role: "region", "aria-label": "Table; arrow keys pick the next and the previous row", onscroll: () => { if (Math.abs(this.view.scrollTop - this.top) > 1) this.fill(this.view.scrollTop); } }, this.grid);
    this.chooser = h("div", { class: "chooser" });
    const all = [...explorer.data.columns.keys()];
    this.chooser.append(...all.map(name => h("label", {}, h("input", { type: "checkbox", checked: explorer.shownColumns.includes(name), onchange: event => {
      explorer.shownColumns = event.target.checked ? [...explorer.shownColumns, name] : explorer.shownColumns.filter(one => one !== name);
      explorer.refresh();
    } }), ` ${name}`)));
    this.element = h("div", {}, h("div", { class: "tools" }, this.count, button("CSV", "Download the table as it is shown as CSV", () => explorer.saveTable()),
      h("details", {}, h("summary", {}, `Columns (${all.length})`), this.chooser)), this.view);
  }

  draw() {
    const { explorer } = this, { rows, state } = explorer, names = explorer.shownColumns.filter(name => explorer.loaded.has(name));
    this.names = names;
    this.count.textContent = `${shown(rows.length)} of ${shown(explorer.data.n)} ${explorer.kind()}${state.brush ? ", brushed" : ""}`;
    this.grid.setAttribute("aria-rowcount", rows.length + 1);
    this.head.replaceChildren(h("tr", {}, ...names.map(name => h("th", { scope: "col", class: explorer.loaded.get(name).kind === "number" ? "number" : "",
      "aria-sort": state.sort === name ? (state.descending ? "descending" : "ascending") : "none" },
    h("button", { type: "button", onclick: () => explorer.set({ sort: name, descending: state.sort === name ? !state.descending : true }) }, words(name))))));
    this.tall = this.view.clientHeight || 400;
    this.view.scrollTop = 0;
    this.fill(0);
  }

  // Mark the picked row, and bring it into view.
  mark(rank) {
    const top = rank * ROW_HEIGHT, room = this.tall - 2 * ROW_HEIGHT;
    if (rank >= 0 && (top < this.top || top > this.top + room)) {
      this.fill(Math.max(0, Math.min(top - room / 2, (this.explorer.rows.length + 1) * ROW_HEIGHT - this.tall)));
      requestAnimationFrame(() => { this.view.scrollTop = this.top; });  // with the frame's own layout, not with one more
    }
    for (const row of this.body.children) if (row.rank !== undefined) row.setAttribute("aria-selected", row.rank === rank);
  }

  // Only the rows in view are there; what is above and below them is room.
  fill(top) {
    this.top = top;
    const { explorer } = this, { rows, loaded, state } = explorer, seen = Math.ceil(this.tall / ROW_HEIGHT);
    const first = Math.max(0, Math.min(rows.length, Math.floor(top / ROW_HEIGHT) - EXTRA_ROWS)), last = Math.min(rows.length, first + seen + 2 * EXTRA_ROWS);
    const room = number => h("tr", { class: "room", "aria-hidden": "true", style: `height:${number * ROW_HEIGHT}px` }, h("td", { colspan: this.names.length }));
    const cell = (name, i) => {
      const column = loaded.get(name), value = column.value(i);
      return h("td", { class: column.kind === "number" ? "number" : "" }, name === "excluded_by" && !value ? "takes part" : shown(value));
    };
    const made = Array.from(rows.slice(first, last), (i, k) => Object.assign(h("tr", { "aria-rowindex": first + k + 2, "aria-selected": String(i === state.unit),
      onclick: () => explorer.pick(i) }, ...this.names.map(name => cell(name, i))), { rank: first + k }));
    this.body.replaceChildren(room(first), ...made, room(rows.length - last));
  }
}

// ---------------------------------------------------------------------------------------------------------------- doors

export function mount(root, source, options) {
  root.classList.add("neuroattn-explorer");
  const explorer = new Explorer(root, source, options);
  explorer.start().catch(error => { root.append(h("p", { class: "warning" }, `The page could not be shown: ${error.message}`)); throw error; });
  return explorer;
}

// In a notebook: blocks come from the kernel when they are asked for, and the rows that are shown go to it.
export default {
  render({ model, el }) {
    document.querySelectorAll(`[data-explorer="${CSS.escape(model.get("baked"))}"]`).forEach(baked => baked.remove());
    const waiting = new Map();
    model.on("msg:custom", ({ name }, [buffer]) => { waiting.get(name)?.(new Uint8Array(buffer.buffer ?? buffer)); waiting.delete(name); });
    const block = name => new Promise(resolve => { waiting.set(name, resolve); model.send({ name }); });
    const picked = rows => { model.set("rows", rows ? Array.from(rows) : null); model.save_changes(); };
    const root = h("div", { tabindex: -1 });
    el.append(root);
    mount(root, { head: model.get("head"), block }, { picked });
  },
};

const page = document.getElementById("neuroattn-explorer"), head = document.getElementById("head");
if (page && head) {
  const block = async name => {
    const text = document.getElementById(`block-${name}`).textContent;
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
    const letters = atob(text), bytes = new Uint8Array(letters.length);
    for (let k = 0; k < bytes.length; k++) bytes[k] = letters.charCodeAt(k);
    return bytes;
  };
  mount(page, { head: JSON.parse(head.textContent), block }, { keys: document, address: true });
}
