// A plot over time: lines or a stack, an axis, a cursor that pointer and arrow keys move.

import { compact, draw, make } from "/format.js";

/** Seconds that a plot shows at most, and at least. */
export const SPAN = 120;
const LEAST_SPAN = 20;
const LEFT = 40;
const BOTTOM = 20;
const TOP = 8;

/** A round number at or above `value` that splits into `parts` round steps. */
function ceiling(value, least) {
  const wanted = Math.max(value, least);
  const unit = 10 ** Math.floor(Math.log10(wanted / 4));
  const step = [1, 1.5, 2, 2.5, 3, 4, 5, 7.5, 10].map((n) => n * unit).find((n) => n * 4 >= wanted);
  return { top: step * 4, step };
}

export class Plot {
  /**
   * series: [{name, color (0 to 15)}]; options: stacked, least (top of the axis at least), axis and
   * value (formatters), empty (what to say while there is nothing), label (for screen readers).
   */
  constructor(box, series, options) {
    Object.assign(this, { box, series, options, samples: [], bound: null, cursor: null });
    this.svg = draw("svg", { role: "img", tabindex: 0 });
    this.tip = make("div", { class: "tip", "aria-live": "polite" });
    this.tip.hidden = true;
    this.note = make("p", { class: "empty" });
    box.append(this.svg, this.note, this.tip);
    this.svg.addEventListener("pointermove", (event) => this.point(event.offsetX));
    this.svg.addEventListener("pointerleave", () => this.point(null));
    this.svg.addEventListener("blur", () => this.point(null));
    this.svg.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.render()).observe(box);
  }

  /** samples: [{t: seconds, values: [number or null]}], oldest first; bound: {value, name} or null. */
  show(samples, bound = null) {
    Object.assign(this, { samples, bound });
    this.render();
  }

  point(x) {
    const now = this.samples.at(-1)?.t;
    if (x === null || now === undefined) this.cursor = null;
    else {
      const t = now - this.span * (1 - (x - LEFT) / (this.width - LEFT));
      const distance = (sample) => Math.abs(sample.t - t);
      this.cursor = this.samples.reduce((best, s) => (distance(s) < distance(best) ? s : best)).t;
    }
    this.render();
  }

  key(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -1e9, End: 1e9 };
    if (event.key === "Escape") this.cursor = null;
    else if (steps[event.key] && this.samples.length > 0) {
      const place = this.samples.findIndex((s) => s.t === this.cursor);
      const from = place < 0 ? this.samples.length : place;
      const to = Math.max(0, Math.min(this.samples.length - 1, from + steps[event.key]));
      this.cursor = this.samples[to].t;
    } else return;
    event.preventDefault();
    this.render();
  }

  /** Values of a sample as they are drawn: for a stack, upper and lower edges. */
  edges(sample) {
    let sum = 0;
    return sample.values.map((value) => {
      if (!this.options.stacked) return value === null ? null : [0, value];
      const from = sum;
      sum += value ?? 0;
      return value === null ? null : [from, sum];
    });
  }

  render() {
    const { width, height } = this.box.getBoundingClientRect();
    if (width === 0) return;
    this.width = width;
    const { samples, options, bound } = this;
    const drawn = samples.map((sample) => ({ t: sample.t, edges: this.edges(sample) }));
    const highest = drawn.flatMap((s) => s.edges).reduce((top, e) => Math.max(top, e ? e[1] : 0), bound?.value ?? 0);
    const { top, step } = ceiling(highest * 1.02, options.least);
    const now = samples.at(-1)?.t ?? 0;
    const span = Math.min(SPAN, Math.max(LEAST_SPAN, now - (samples[0]?.t ?? now)));
    this.span = span;
    const x = (t) => LEFT + (width - LEFT) * (1 - (now - t) / span);
    const y = (value) => TOP + (height - BOTTOM - TOP) * (1 - value / top);
    const parts = [];
    for (let value = 0; value <= top * 1.0001; value += step) {
      parts.push(draw("line", { class: "grid", x1: LEFT, x2: width, y1: y(value), y2: y(value) }));
      parts.push(draw("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end", text: (options.axis ?? compact)(value) }));
    }
    const marks = [[span, `${Math.round(span)} s ago`, "start"], [span / 2, `${Math.round(span / 2)} s`, "middle"], [0, "now", "end"]];
    for (const [ago, text, anchor] of marks) {
      parts.push(draw("text", { x: x(now - ago), y: height - 4, "text-anchor": anchor, text }));
    }
    this.series.forEach((series, n) => {
      for (const run of runs(drawn, n)) {
        const upper = run.map((s) => `${x(s.t).toFixed(1)},${y(s.edges[n][1]).toFixed(1)}`);
        const lower = run.map((s) => `${x(s.t).toFixed(1)},${y(s.edges[n][0]).toFixed(1)}`).reverse();
        const shape = `M${upper.join("L")}L${lower.join("L")}Z`;
        const name = options.stacked ? "stacked" : "area";
        parts.push(draw("path", { class: `${name} c${series.color}`, d: shape }));
        if (!options.stacked) parts.push(draw("path", { class: `line c${series.color}`, d: `M${upper.join("L")}` }));
      }
    });
    if (bound) {
      parts.push(draw("line", { class: "bound", x1: LEFT, x2: width, y1: y(bound.value), y2: y(bound.value) }));
      parts.push(draw("text", { class: "bound-name", x: width - 4, y: y(bound.value) - 5, "text-anchor": "end", text: bound.name }));
    }
    const at = samples.find((s) => s.t === this.cursor);
    if (at) parts.push(draw("line", { class: "cursor", x1: x(at.t), x2: x(at.t), y1: TOP, y2: height - BOTTOM }));
    this.svg.replaceChildren(...parts);
    this.svg.setAttribute("aria-label", this.label());
    this.note.textContent = samples.length < 2 ? "collecting the first seconds" : highest > 0 ? "" : options.empty;
    this.explain(at, at && x(at.t), now);
  }

  label() {
    const last = this.samples.at(-1);
    const said = last
      ? this.series.map((s, n) => `${s.name} ${last.values[n] === null ? "unknown" : this.options.value(last.values[n])}`)
      : ["no figures yet"];
    return `${this.options.label}: ${said.join(", ")}. Arrow keys look back.`;
  }

  explain(sample, x, now) {
    this.tip.hidden = !sample;
    if (!sample) return;
    const ago = Math.round(now - sample.t);
    const row = (series, n) => make("span", { class: `c${series.color}` }, make("i"), make("u", { text: series.name }),
      make("em", {}, make("u", { text: sample.values[n] === null ? "–" : this.options.value(sample.values[n]) })));
    const rows = this.series.map(row);
    if (this.options.stacked) {
      rows.reverse();
      const sum = sample.values.reduce((all, value) => all + (value ?? 0), 0);
      rows.push(make("span", {}, make("u", { text: "together" }), make("em", {}, make("u", { text: this.options.value(sum) }))));
    }
    this.tip.replaceChildren(make("b", { text: ago === 0 ? "now" : `${ago} s ago` }), ...rows);
    const right = x > this.width * 0.6;
    this.tip.style.left = right ? "" : `${x + 12}px`;
    this.tip.style.right = right ? `${this.width - x + 12}px` : "";
    this.tip.style.top = "0";
  }
}

/** Stretches of samples in which series `n` has values: a gap stays a gap. */
function runs(samples, n) {
  const found = [[]];
  for (const sample of samples) {
    if (sample.edges[n] == null) found.push([]);
    else found.at(-1).push(sample);
  }
  return found.filter((run) => run.length > 1);
}

/** A tile's little line. */
export function sparkline(values) {
  const top = Math.max(...values.map((v) => v ?? 0), 1e-9);
  const x = (i) => 100 - ((values.length - 1 - i) * 100) / Math.max(LEAST_SPAN, values.length - 1);
  const points = values.map((v, i) => `${x(i).toFixed(2)},${(29 - (25 * (v ?? 0)) / top).toFixed(2)}`);
  const svg = draw("svg", { viewBox: "0 0 100 30", preserveAspectRatio: "none", "aria-hidden": "true" });
  if (values.length > 1) {
    svg.append(draw("path", { class: "area", d: `M${x(0)},30L${points.join("L")}L100,30Z` }),
      draw("path", { class: "line", d: `M${points.join("L")}` }));
  }
  return svg;
}
