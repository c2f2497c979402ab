// The form that chooses the policy. It shows what is, until a person begins to change it.

import { at, bytes, make, percent } from "/format.js";

const RULES = {
  throughput: "every pool what it wants, as long as there is memory",
  limited: "the least time lost in all under the limit",
  priority: "the most urgent pools first",
  qos: "targets kept first, the rest for the others",
  static: "nothing is decided: pools keep the sizes they were given",
};
const WORD = /^\d{1,9}$/;
const SHARE = /^\d{1,2}([.,]\d{1,3})?$/;

export class PolicyForm {
  /** `changed` is called when the server took a choice. */
  constructor(changed) {
    this.form = at("policy");
    this.changed = changed;
    this.dirty = false;
    this.form.addEventListener("input", () => this.edited());
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.send(); });
    this.form.addEventListener("reset", (event) => { event.preventDefault(); this.undo(); });
  }

  /** What the machine says now. */
  show(stats) {
    this.stats = stats;
    const rules = stats.policies.join();
    if (this.rules !== rules) this.build(stats);
    this.rules = rules;
    for (const label of at("rules").children) {
      label.querySelector(".now").textContent = label.dataset.name === stats.policy?.name ? "in force" : "";
    }
    const targets = stats.components.filter((c) => c.pool?.target_ppm);
    at("targets").textContent = targets.length
      ? `now: ${targets.map((c) => `${c.name} ${percent(c.pool.target_ppm / 1e6)}`).join(", ")}`
      : "no targets; 0.1 to 90";
    if (!this.dirty) this.fill();
    if (stats.policy === null) this.say("nobody answers for the policy just now", "bad");
  }

  build(stats) {
    at("rules").replaceChildren(...stats.policies.map((name) => {
      const input = make("input", { type: "radio", name: "rule", value: name, id: `rule-${name}` });
      const text = make("span", {}, make("b", { text: name }), make("small", { text: RULES[name] ?? "" }));
      const label = make("label", { for: `rule-${name}` }, input, text, make("span", { class: "now" }));
      label.dataset.name = name;
      return label;
    }));
    const pools = stats.components.filter((c) => c.pool);
    at("target-of").replaceChildren(...pools.map((c) => make("option", { value: c.name, text: c.name })));
    if (pools.some((c) => c.name === "webserver")) at("target-of").value = "webserver";
  }

  fill() {
    const { policy } = this.stats;
    const rule = at(`rule-${policy?.name}`);
    if (rule) rule.checked = true;
    at("limit").value = policy?.limit ?? "";
    at("target").value = "";
    this.explain();
  }

  edited() {
    this.dirty = true;
    at("apply").disabled = false;
    at("undo").hidden = false;
    this.say("");
    this.explain();
  }

  explain() {
    const limit = at("limit").value.trim();
    at("limit-size").textContent = limit === "" ? "empty: all memory there is" : WORD.test(limit) ? `that is ${bytes(+limit)}` : "a number of pages";
  }

  undo() {
    this.settle();
    this.say("");
    this.fill();
  }

  settle() {
    this.dirty = false;
    at("apply").disabled = true;
    at("undo").hidden = true;
  }

  /** The words of the kernel command line, of what differs; or what is wrong with them. */
  words() {
    const { policy } = this.stats;
    const words = [];
    const rule = this.form.elements.rule.value;
    if (rule && rule !== policy?.name) words.push(`policy=${rule}`);
    const limit = at("limit").value.trim();
    if (limit !== String(policy?.limit ?? "")) {
      if (limit !== "" && !(WORD.test(limit) && +limit > 0)) throw new Error("The limit is a number of pages above zero, or empty.");
      words.push(`memory-limit=${limit === "" ? "none" : `${limit}p`}`);
    }
    const target = at("target").value.trim().replace(/%$/, "");
    if (target !== "") {
      if (!SHARE.test(target)) throw new Error("The target is a share from 0.1 to 90 per cent.");
      words.push(`qos=${at("target-of").value}=${target.replace(",", ".")}%`);
    }
    return words;
  }

  async send() {
    let words;
    try {
      words = this.words();
    } catch (problem) {
      return this.say(problem.message, "bad");
    }
    if (words.length === 0) return this.undo();
    at("apply").disabled = true;
    try {
      const answer = await fetch("/api/policy", {
        method: "POST",
        headers: { "X-Cistern-Request": "policy", "Content-Type": "text/plain" },
        body: words.join(" "),
        signal: AbortSignal.timeout(5000),
      });
      const sentence = (await answer.text()).trim();
      if (!answer.ok) throw new Error(sentence);
      this.settle();
      this.say(`Chosen: ${words.join(" ")}`, "good");
      this.changed();
    } catch (problem) {
      at("apply").disabled = false;
      this.say(problem.name === "Error" ? problem.message : "No answer; nothing is known to have changed.", "bad");
    }
  }

  say(text, kind = "") {
    const answer = at("answer");
    if (answer.textContent !== text) answer.textContent = text;
    answer.className = `answer ${kind}`;
  }
}
