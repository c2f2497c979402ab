// Numbers as a person reads them, and small helpers for the document.

const grouped = new Intl.NumberFormat("en");
const exact = (digits) => new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
const [one, two] = [exact(1), exact(2)];

export const number = (value) => grouped.format(Math.round(value));

/** Three digits at least where there are any: 0.42, 7.1, 38, 12,400. */
export function short(value) {
  if (value === 0) return "0";
  if (value < 1) return two.format(value);
  return value < 10 ? one.format(value) : number(value);
}

/** Thousands and millions by their letters, for axes. */
export function compact(value) {
  if (value >= 1e6) return `${+(value / 1e6).toFixed(1)}M`;
  if (value >= 1e4) return `${+(value / 1e3).toFixed(1)}k`;
  return String(+value.toFixed(2));
}

export const rate = (value) => `${short(value)}/s`;
export const percent = (share) => (share > 0 && share < 0.001 ? "<0.1%" : `${one.format(share * 100)}%`);

/** Pages of 4 KiB. */
export function bytes(pages) {
  if (pages >= 2560) return `${number(pages / 256)} MiB`;
  return pages >= 256 ? `${one.format(pages / 256)} MiB` : `${number(pages * 4)} KiB`;
}

export function micros(us) {
  if (us < 1000) return `${number(us)} µs`;
  if (us < 1e6) return `${short(us / 1000)} ms`;
  return `${short(us / 1e6)} s`;
}

export function duration(seconds) {
  const [d, h, m] = [86400, 3600, 60].map((unit) => Math.floor(seconds / unit));
  if (d) return `${d} d ${h % 24} h`;
  if (h) return `${h} h ${m % 60} min`;
  return m ? `${m} min ${Math.floor(seconds % 60)} s` : `${Math.floor(seconds)} s`;
}

export const at = (id) => document.getElementById(id);

/** An element with attributes (or, for `text`, its contents) and children. */
export function make(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function draw(name, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "text") element.textContent = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** A bar in a box of its own: parts are [from, to, class], of a whole. */
export function bar(whole, parts, ticks = []) {
  const x = (value) => (whole > 0 ? Math.min(100, (100 * value) / whole) : 0);
  const rects = parts.map(([from, to, name]) =>
    draw("rect", { x: x(from), y: 0, width: Math.max(0, x(to) - x(from)), height: 10, class: name }));
  const lines = ticks.map(([value, name]) => draw("line", { x1: x(value), x2: x(value), y1: 0, y2: 10, class: name }));
  return draw("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" }, ...rects, ...lines);
}
