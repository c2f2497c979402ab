// Asks the machine once a second what it does, keeps two minutes of it, and shows them.

import { at, bar, bytes, duration, make, micros, number, percent, rate, short } from "/format.js";
import { Graph } from "/graph.js";
import { PolicyForm } from "/policy.js";
import { Plot, SPAN, sparkline } from "/plot.js";

const PERIOD_MS = 1000;
const PATIENCE_MS = 4000;
/** Seconds that the histogram looks back. */
const RECENT = 10;
const COLORS = 16;

/** Samples, oldest first: the stats, with `t` in seconds. */
let history = [];
let plots = null;
const graph = new Graph(at("graph"));
const form = new PolicyForm(() => refresh());
const colors = new Map();
const color = (name) => {
  if (!colors.has(name)) colors.set(name, colors.size % COLORS);
  return colors.get(name);
};

const pools = (stats) => stats.components.filter((c) => c.pool);

/** How a counter rose between two samples, a second; null where it began anew. */
function risen(read, before, now) {
  const [a, b] = [read(before), read(now)];
  return a == null || b == null || b < a || now.t <= before.t ? null : (b - a) / (now.t - before.t);
}

/** The rates of a counter at each sample but the first. */
const series = (read) => history.slice(1).map((now, n) => risen(read, history[n], now));
/** The newest rate, over the last three samples, so that it can be read. */
const newest = (read) => {
  const now = history.at(-1);
  const before = history.at(-4) ?? history[0];
  return before === now ? null : risen(read, before, now) ?? risen(read, history.at(-2), now);
};

const requests = (s) => s.http.requests;
const pool = (name) => (s) => s.components.find((c) => c.name === name)?.pool;
const sum = (field) => (s) => pools(s).reduce((all, c) => all + c.pool[field], 0);

/** Which bound a share of all requests between two samples stayed below, in µs. */
function quantile(counts, bounds, share) {
  const all = counts.reduce((a, b) => a + b, 0);
  let seen = 0;
  for (let n = 0; n < counts.length; n += 1) {
    seen += counts[n];
    if (all > 0 && seen >= share * all) return { us: bounds[Math.min(n, bounds.length - 1)], over: n === bounds.length };
  }
  return null;
}

const said = (q) => (q === null ? "–" : `${q.over ? ">" : "≤"} ${micros(q.us)}`);

/** Requests by bucket in the last seconds. */
function recent() {
  const now = history.at(-1);
  const before = history.find((s) => s.t >= now.t - RECENT) ?? now;
  const [a, b] = [before.http.latency.counts, now.http.latency.counts];
  // After a restart of the server, all that it has is new.
  return b.map((count, n) => (count >= a[n] ? count - a[n] : count));
}

function tiles(stats, counts) {
  const p99 = quantile(counts, stats.http.latency.bounds_us, 0.99);
  const free = stats.memory.buffers;
  const slowest = history.slice(1).map((now, n) => {
    const before = history[n].http.latency.counts;
    const counts = now.http.latency.counts.map((count, i) => Math.max(0, count - before[i]));
    return quantile(counts, now.http.latency.bounds_us, 0.99)?.us ?? null;
  });
  const lost = (s) => sum("blocked_us")(s) + sum("collecting_us")(s);
  const show = (value, format) => (value === null ? "–" : format(value));
  const all = [
    ["requests", show(newest(requests), short), "/s", series(requests)],
    ["latency, 99 of 100", p99 ? said(p99) : "–", "", slowest],
    ["invocations", show(newest((s) => s.kernel.invocations), short), "/s", series((s) => s.kernel.invocations)],
    ["time lost to memory", show(newest(lost), (us) => percent(us / 1e6)), "", series(lost)],
    ["memory in pools", free ? bytes(free.held) : "–", free ? `of ${bytes(free.total)}` : "", history.map((s) => s.memory.buffers?.held ?? null)],
    ["connections", show(stats.http.connections.open, number), "open", history.map((s) => s.http.connections.open)],
  ];
  at("tiles").replaceChildren(...all.map(([name, value, unit, line]) =>
    make("div", {}, make("dt", { text: name }), make("dd", {}, value, make("small", { text: unit })), sparkline(line))));
}

function makePlots(stats) {
  const each = pools(stats).map((c) => ({ name: c.name, color: color(c.name) }));
  const legend = make("ul", { class: "legend" }, ...each.map((s) => make("li", { class: `c${s.color}` }, make("i"), make("span", { text: s.name }))));
  for (const id of ["throughput", "pools", "lost"]) at(id).replaceChildren();
  at("pools").parentElement.querySelector(".legend")?.remove();
  at("pools").after(legend);
  const kinds = [{ name: "waiting for memory", color: 3 }, { name: "collecting", color: 1 }];
  at("lost").parentElement.querySelector(".legend")?.remove();
  at("lost").after(make("ul", { class: "legend" }, ...kinds.map((s) => make("li", { class: `c${s.color}` }, make("i"), make("span", { text: s.name })))));
  return {
    names: each.map((s) => s.name),
    throughput: new Plot(at("throughput"), [{ name: "requests", color: 0 }], { least: 4, value: rate, empty: "", label: "Requests a second" }),
    pools: new Plot(at("pools"), each, { stacked: true, least: 8, value: (n) => `${number(n)} pages`, empty: "no pools", label: "Pool sizes" }),
    lost: new Plot(at("lost"), kinds, {
      stacked: true, least: 0.004, value: percent, axis: (v) => `${+(v * 100).toFixed(2)}%`, empty: "no time is lost", label: "Share of time lost",
    }),
  };
}

/** What all pools together may have; no limit goes below the sum of their least sizes. */
function bound(stats) {
  const limit = stats.policy?.limit;
  if (!limit) return null;
  const least = sum("least")(stats);
  if (limit >= least) return { value: limit, name: `limit ${number(limit)} pages` };
  return { value: least, name: `least sizes ${number(least)} pages, over the limit of ${number(limit)}` };
}

function drawPlots(stats) {
  if (plots?.names.join() !== pools(stats).map((c) => c.name).join()) plots = makePlots(stats);
  const times = (values) => history.slice(1).map((s, n) => ({ t: s.t, values: values.map((v) => v[n]) }));
  plots.throughput.show(times([series(requests)]));
  const sizes = history.map((s) => ({ t: s.t, values: plots.names.map((name) => pool(name)(s)?.limit ?? null) }));
  plots.pools.show(sizes, bound(stats));
  const shares = ["blocked_us", "collecting_us"].map((f) => series(sum(f)).map((us) => (us === null ? null : us / 1e6)));
  plots.lost.show(times(shares));
}

function drawLatency(stats, counts) {
  const bounds = stats.http.latency.bounds_us;
  const all = counts.reduce((a, b) => a + b, 0);
  const [p50, p99] = [0.5, 0.99].map((share) => quantile(counts, bounds, share));
  const top = Math.max(...counts, 1);
  const head = make("p", { class: "quantiles" }, make("span", {}, "half ", make("b", { text: said(p50) })),
    make("span", {}, "99 of 100 ", make("b", { text: said(p99) })));
  const line = (count, n) => {
    const name = n < bounds.length ? `≤ ${micros(bounds[n])}` : "longer";
    return [make("span", { text: name }), make("div", { class: "bar" }, bar(top, [[0, count, "fill"]])), make("span", { text: all > 0 ? percent(count / all) : "–" })];
  };
  at("latency").replaceChildren(head, ...counts.flatMap(line));
}

function drawRows(stats) {
  const rows = pools(stats).map((c) => {
    const { held, limit, wants } = c.pool;
    const of = (field) => newest((s) => pool(c.name)(s)?.[field]);
    const share = (field) => { const us = of(field); return us === null ? ["–", 0] : [percent(us / 1e6), us / 1e6]; };
    const cell = ([text, value]) => make("td", { class: value > 0.05 ? "n much" : "n", text });
    const whole = Math.max(limit, held, wants ?? 0);
    const calls = of("allocations");
    const use = make("td", { class: "use" }, make("div", {}, bar(whole, [[0, limit, "bed"], [0, held, "fill"]], wants === null ? [] : [[wants, "want"]])));
    use.title = `${number(held)} of ${number(limit)} pages (${bytes(limit)})${wants === null ? "" : `, ${number(wants)} wanted`}`;
    return make("tr", {}, make("th", { scope: "row", class: `c${color(c.name)}` }, make("i"), make("span", { text: c.name })),
      make("td", { text: `${number(held)} / ${number(limit)}` }), use,
      make("td", { class: "n", text: calls === null ? "–" : short(calls) }), cell(share("blocked_us")), cell(share("collecting_us")));
  });
  at("rows").replaceChildren(...rows);
}

function drawMemory(stats) {
  const { total, buffers } = stats.memory;
  const given = (field) => stats.components.reduce((all, c) => all + (c[field] ?? 0), 0);
  const parts = [["held by pools", buffers?.held ?? 0, 0], ["heaps", given("owned"), 1], ["data and stacks", given("static"), 4]];
  const used = parts.reduce((all, [, n]) => all + n, 0);
  const whole = Math.max(total ?? 0, used);
  let from = 0;
  const stack = parts.map(([, pages, c]) => [from, (from += pages), `c${c}`]);
  const key = ([name, pages, c]) => make("li", { class: `c${c}` }, make("i"), make("span", { text: `${name} ${bytes(pages)}` }));
  const rest = make("li", {}, make("span", { text: `free ${bytes(whole - used)} of ${bytes(whole)}` }));
  at("memory").replaceChildren(make("div", { class: "stack" }, bar(whole, stack)), make("ul", { class: "legend" }, ...parts.map(key), rest));
  const types = Object.entries(stats.capabilities?.types ?? {}).filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]);
  const top = types[0]?.[1] ?? 1;
  const line = ([name, count]) => make("li", {}, name, make("div", {}, bar(top, [[0, count, "fill"]])), make("em", { text: number(count) }));
  const shown = types.slice(0, 7);
  const others = types.slice(7).reduce((all, [, n]) => all + n, 0);
  at("kinds").replaceChildren(...shown.map(line), ...(others ? [line([`${types.length - 7} other types`, others])] : []),
    make("li", {}, make("b", { text: "in all" }), make("div"), make("em", { text: number(stats.capabilities?.total ?? 0) })));
}

function show(stats) {
  at("up").textContent = ` · up ${duration(stats.t)}`;
  const counts = recent();
  tiles(stats, counts);
  drawPlots(stats);
  drawLatency(stats, counts);
  const rates = new Map(stats.edges.map(({ from, to }) => {
    const calls = (s) => s.edges.find((e) => e.from === from && e.to === to)?.calls;
    return [`${from}>${to}`, newest(calls) ?? 0];
  }));
  graph.show(stats.components, stats.edges, rates);
  drawRows(stats);
  drawMemory(stats);
  form.show(stats);
}

function take(stats) {
  stats.t = stats.uptime_us / 1e6;
  const last = history.at(-1);
  // The machine began anew.
  if (last && stats.t < last.t) history = [];
  // The same look at the machine, told twice.
  if (last && stats.t === last.t) history.pop();
  history.push(stats);
  while (history[0].t < stats.t - SPAN) history.shift();
}

function state(kind, text) {
  const pill = at("state");
  if (pill.textContent !== text) pill.textContent = text;
  pill.className = `state ${kind}`;
  document.body.classList.toggle("stale", kind === "lost");
}

let lostAt = null;

async function refresh() {
  try {
    const answer = await fetch("/api/stats", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    take(await answer.json());
    lostAt = null;
    state("live", "live");
  } catch {
    lostAt ??= performance.now();
    const seconds = Math.round((performance.now() - lostAt) / 1000);
    state("lost", seconds < 3 ? "connection lost" : `connection lost for ${duration(seconds)}`);
    return;
  }
  show(history.at(-1));
}

async function watch() {
  // A page that nobody sees asks nothing.
  if (!document.hidden) await refresh();
  setTimeout(watch, PERIOD_MS);
}

watch();
