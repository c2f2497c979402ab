// The component graph: callers above whom they invoke, lines as strong as they are busy.

import { at, bytes, draw, make, rate } from "/format.js";

const HEIGHT = 46;
const GAP = 48;
const ROW_GAP = 12;
const WIDEST = 138;
const NARROWEST = 76;
/** Edges in the list. */
const LISTED = 11;

/** For each component how far below the topmost caller it is: the longest way counts. */
function depths(components, edges) {
  const depth = new Map(components.map((c) => [c.id, 0]));
  for (let round = 0; round < components.length; round += 1) {
    for (const { from, to } of edges) {
      if (depth.get(to) <= depth.get(from)) depth.set(to, depth.get(from) + 1);
    }
  }
  return depth;
}

/** Rows of components, from the top; a layer that is too wide takes several. */
function rows(components, edges, width) {
  const depth = depths(components, edges);
  const most = Math.max(1, Math.floor((width + ROW_GAP) / (NARROWEST + ROW_GAP)));
  const layers = [];
  for (const c of components) (layers[depth.get(c.id)] ??= []).push(c);
  const place = new Map();
  return layers.filter(Boolean).flatMap((layer) => {
    const callers = (c) => edges.filter((e) => e.to === c.id && place.has(e.from)).map((e) => place.get(e.from));
    const middle = (c) => { const all = callers(c); return all.length ? all.reduce((a, b) => a + b) / all.length : 0.5; };
    const ordered = layer.map((c) => [middle(c), c]).sort((a, b) => a[0] - b[0] || a[1].id - b[1].id).map(([, c]) => c);
    ordered.forEach((c, n) => place.set(c.id, (n + 0.5) / ordered.length));
    const lines = Math.ceil(ordered.length / most);
    const each = Math.ceil(ordered.length / lines);
    return Array.from({ length: lines }, (_, n) => ordered.slice(n * each, (n + 1) * each));
  });
}

export class Graph {
  constructor(box) {
    Object.assign(this, { box, shape: "", nodes: new Map(), lines: new Map(), chosen: null });
    this.svg = draw("svg", { role: "group", "aria-label": "Components and their invocations" });
    box.append(this.svg);
    new ResizeObserver(() => { this.shape = ""; if (this.last) this.show(...this.last); }).observe(box);
  }

  /** rates: calls a second by "from>to". */
  show(components, edges, rates) {
    this.last = [components, edges, rates];
    const width = this.box.getBoundingClientRect().width;
    if (width === 0) return;
    const shape = `${width} ${components.map((c) => c.name)} ${edges.map((e) => [e.from, e.to])}`;
    if (shape !== this.shape) this.build(components, edges, width);
    this.shape = shape;
    for (const { from, to } of edges) {
      const calls = rates.get(`${from}>${to}`) ?? 0;
      const line = this.lines.get(`${from}>${to}`);
      line.classList.toggle("busy", calls > 0);
      line.style.strokeWidth = calls > 0 ? 0.8 + 0.75 * Math.log10(1 + calls) : 1;
      line.style.opacity = calls > 0 ? Math.min(0.95, 0.25 + 0.2 * Math.log10(1 + calls)) : 0.8;
      line.style.animationDuration = `${Math.max(0.35, 2.2 - 0.5 * Math.log10(1 + calls))}s`;
    }
    for (const c of components) {
      const { group, sub, about } = this.nodes.get(c.id);
      for (const state of ["dead", "restarting"]) group.classList.toggle(state, c.state === state);
      const into = edges.filter((e) => e.to === c.id);
      const calls = into.reduce((all, e) => all + (rates.get(`${e.from}>${e.to}`) ?? 0), 0);
      const runs = c.state === "running" || c.state === "unknown";
      sub.textContent = runs ? (into.length ? rate(calls) : "own thread") : c.state;
      const pool = c.pool ? `, a pool of ${bytes(c.pool.limit)}` : "";
      const restarts = c.restarts ? `, restarted ${c.restarts} times` : "";
      const said = `${c.name}: ${c.state}, invoked ${rate(calls)}${pool}${restarts}`;
      group.setAttribute("aria-label", said);
      about.textContent = said;
    }
    this.list();
  }

  build(components, edges, width) {
    const all = rows(components, edges, width);
    const places = new Map();
    all.forEach((row, n) => {
      const each = Math.min(WIDEST, (width - ROW_GAP * (row.length - 1)) / row.length);
      const step = Math.min((width - each) / Math.max(1, row.length - 1), each * 1.9);
      const left = (width - each - step * (row.length - 1)) / 2;
      row.forEach((c, i) => places.set(c.id, { x: left + i * step, y: 2 + n * (HEIGHT + GAP), width: each }));
    });
    const height = all.length * (HEIGHT + GAP) - GAP + 4;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.setAttribute("height", height);
    this.lines = new Map(edges.map((edge) => [`${edge.from}>${edge.to}`, line(places.get(edge.from), places.get(edge.to))]));
    this.nodes = new Map(components.map((c) => [c.id, this.node(c, places.get(c.id))]));
    this.svg.replaceChildren(...this.lines.values(), ...[...this.nodes.values()].map((n) => n.group));
    this.choose(this.chosen);
  }

  node(component, { x, y, width }) {
    const sub = draw("text", { class: "sub", x: width / 2, y: 35 });
    const about = draw("title");
    const group = draw("g", { class: "node", tabindex: 0, role: "img", transform: `translate(${x},${y})` },
      about, draw("rect", { width, height: HEIGHT, rx: 9 }),
      draw("circle", { cx: width - 9, cy: 9, r: 3 }),
      draw("text", { x: width / 2, y: 20, text: component.name }), sub);
    for (const [event, id] of [["pointerenter", component.id], ["focus", component.id], ["pointerleave", null], ["blur", null]]) {
      group.addEventListener(event, () => { this.choose(id); this.list(); });
    }
    return { group, sub, about };
  }

  /** Shows one component's edges alone, or all. */
  choose(id) {
    this.chosen = id;
    this.svg.classList.toggle("faded", id !== null);
    for (const [key, element] of this.lines) {
      const [from, to] = key.split(">").map(Number);
      const own = id === from || id === to;
      element.classList.toggle("shown", own);
      if (own && id !== null) for (const end of [from, to]) this.nodes.get(end).group.classList.add("shown");
    }
    if (id === null) for (const { group } of this.nodes.values()) group.classList.remove("shown");
    else this.nodes.get(id)?.group.classList.add("shown");
  }

  list() {
    if (!this.last) return;
    const [components, edges, rates] = this.last;
    const name = (id) => components.find((c) => c.id === id)?.name ?? "?";
    const calls = (e) => rates.get(`${e.from}>${e.to}`) ?? 0;
    const own = edges.filter((e) => this.chosen === null || e.from === this.chosen || e.to === this.chosen);
    const busiest = own.sort((a, b) => calls(b) - calls(a)).slice(0, LISTED);
    at("edges-title").textContent = this.chosen === null ? "Busiest edges" : `Edges of ${name(this.chosen)}`;
    at("edges").replaceChildren(...busiest.map((e) =>
      make("li", {}, make("span", { text: `${name(e.from)} → ${name(e.to)}` }), make("em", { text: rate(calls(e)) }))));
  }
}

/** From the bottom of the caller to the top of the callee; around, where that is no way down. */
function line(from, to) {
  const [x1, y1] = [from.x + from.width / 2, from.y + HEIGHT];
  const [x2, y2] = [to.x + to.width / 2, to.y];
  const bend = Math.max(GAP * 0.6, (y2 - y1) * 0.5);
  return draw("path", { class: "edge", d: `M${x1},${y1}C${x1},${y1 + bend} ${x2},${y2 - bend} ${x2},${y2}` });
}
