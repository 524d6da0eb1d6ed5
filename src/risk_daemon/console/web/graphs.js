// The eight graphs, the marks, and how far back they go.

import { el, fill } from "./dom.js";
import { Graph } from "./graph.js";
import { both, many, mb, ms, percent, share } from "./words.js";

const SPANS = [
  [15, "15 min"],
  [60, "1 h"],
  [360, "6 h"],
  [1440, "24 h"],
];
const POINTS = 400,
  TEN_S = 10000,
  WIDTH = 400;
const tone = (value, target, alert) =>
  value === null ? "dim" : value > alert ? "bad" : value > target ? "warn" : "good";
const rate = (part, whole) => (whole ? (100 * part) / whole : null);
const processes = (place) => (samples) => {
  const names = new Set();
  for (const one of samples.slice(-60))
    for (const [name, pair] of Object.entries(one.processes)) if (pair[place] !== null) names.add(name);
  return [...names]
    .sort()
    .slice(0, 8)
    .map((name) => ({ name, of: (one) => one.processes[name]?.[place] }));
};
// From what it fell to, up to all of it.
const nearAll = (values) => [Math.min(99, Math.floor(Math.min(100, ...values))), 100];

const SPECS = {
  latency: {
    title: "Event latency",
    say: ms,
    series: [
      { name: "P50", of: (one) => one.everyone.p50 },
      { name: "P95", of: (one) => one.everyone.p95, shape: "thick" },
      { name: "max", of: (one) => one.everyone.max, shape: "thin" },
    ],
    limits: [
      { at: 100, text: "target: P95 below 100 ms" },
      { at: 200, alert: true, text: "alert: above 200 ms" },
    ],
    empty: "no record was decided",
  },
  errors: {
    title: "Error rate",
    say: (value) => (value === null || value === undefined ? "–" : `${+value.toFixed(2)} %`),
    series: [
      { name: "episodes of 100 records", of: (one) => rate(one.everyone.episodes, one.everyone.records) },
    ],
    limits: [
      { at: 0.1, text: "target: below 0.1 %" },
      { at: 1, alert: true, text: "alert: above 1 %" },
    ],
    least: 0.1,
    empty: "no record was decided",
  },
  accuracy: {
    title: "Rule evaluation accuracy",
    say: percent,
    series: [{ name: "agreed", of: (one) => rate(one.everyone.agreed, one.everyone.fired) }],
    range: nearAll,
    empty: "no second release decides beside",
  },
  enforcement: {
    title: "Enforcement correctness",
    say: percent,
    series: [{ name: "goals without a flaw", of: (one) => rate(one.everyone.clean, one.everyone.goals) }],
    range: nearAll,
    empty: "nothing had to be enforced",
  },
  rate: {
    title: "Event rate",
    say: (value) => (value === undefined || value === null ? "–" : `${value.toFixed(value < 10 ? 1 : 0)} /s`),
    series: [{ name: "records", of: (one) => one.rate }],
    least: 1,
  },
  connection: {
    title: "Connection",
    say: (value) => (value === null || value === undefined ? "–" : String(Math.round(value))),
    series: [
      { name: "connected", of: (one) => one.everyone.connected, shape: "thick" },
      { name: "guarded", of: (one) => one.guarded, shape: "thin" },
    ],
    range: (values) => [0, Math.max(1, ...values)],
  },
  memory: {
    title: "Memory per process",
    say: mb,
    series: processes(0),
    limits: [
      { at: 500, text: "target: below 500 MB" },
      { at: 700, alert: true, text: "alert: above 700 MB" },
    ],
  },
  cpu: { title: "CPU per process", say: percent, series: processes(1), least: 10 },
};

export class Graphs {
  constructor(stream) {
    this.stream = stream;
    this.samples = [];
    this.minutes = 15;
    this.graphs = Object.fromEntries(Object.entries(SPECS).map(([name, spec]) => [name, new Graph(spec)]));
    this.buttons = el(
      "div",
      { class: "group push", role: "group", "aria-label": "How far back" },
      SPANS.map(([minutes, text]) =>
        el(
          "button",
          {
            type: "button",
            id: `span-${minutes}`,
            "aria-pressed": String(minutes === this.minutes),
            onclick: () => this.choose(minutes),
          },
          text,
        ),
      ),
    );
    this.list = el("ul", { class: "marks" });
    this.root = el(
      "section",
      { "aria-labelledby": "graphs-title" },
      el(
        "div",
        { class: "bar" },
        el("h2", { id: "graphs-title" }, "Figures"),
        el("span", { class: "dim" }, "times in Chicago; arrow keys walk along a graph"),
        this.buttons,
      ),
      el(
        "div",
        { class: "cards" },
        Object.values(this.graphs).map((one) => one.root),
      ),
      this.list,
    );
    new ResizeObserver(() => this.draw()).observe(this.root);
  }

  choose(minutes) {
    this.minutes = minutes;
    for (const button of this.buttons.children)
      button.setAttribute("aria-pressed", String(button.id === `span-${minutes}`));
    this.load();
  }

  // From the console's own store; what comes live is put behind it.
  async load() {
    const minutes = this.minutes;
    try {
      const answer = await fetch(`/api/v1/history?minutes=${minutes}&points=${POINTS}`);
      if (!answer.ok) return;
      const found = (await answer.json()).samples;
      if (minutes !== this.minutes) return; // another was chosen meanwhile
      this.samples = found;
      this.draw();
    } catch {
      /* it does not answer: the banner says so, and the stream asks again */
    }
  }

  take() {
    const { tip } = this.stream.parts.get("figures") || {};
    if (!tip || tip === this.tip) return; // figures come once a second, whatever else comes
    // A sample is finished when the next ten seconds begin; until then it is redrawn each second.
    if (this.tip && Math.floor(tip.at / TEN_S) !== Math.floor(this.tip.at / TEN_S))
      this.samples.push(this.tip);
    this.tip = tip;
    const from = tip.at - this.minutes * 60000;
    while (this.samples.length && this.samples[0].at < from) this.samples.shift();
    this.heads();
    // Sooner than by a pixel nothing moves.
    if (tip.at - (this.drawnAt || 0) >= Math.min((this.minutes * 60000) / WIDTH, TEN_S)) this.draw();
  }

  draw() {
    if (document.hidden) return;
    this.drawnAt = this.tip?.at;
    const end = this.tip?.at ?? this.stream.now(),
      begin = end - this.minutes * 60000;
    const marks = this.marks(begin);
    for (const graph of Object.values(this.graphs))
      graph.show(this.tip ? [...this.samples, this.tip] : this.samples, begin, end, marks);
    fill(this.list, marks.slice(-8), () =>
      marks
        .slice(-8)
        .reverse()
        .map((one) =>
          el(
            "li",
            {},
            el(
              "span",
              { class: `state ${one.kind === "rollback" ? "bad" : one.kind === "alert" ? "warn" : "good"}` },
              `${one.kind} `,
            ),
            el("span", { class: "dim" }, `${both(one.at)} `),
            one.text,
          ),
        ),
    );
  }

  marks(begin) {
    const found = new Map();
    const known = this.stream.parts.get("marks") || [];
    for (const one of [...this.samples.flatMap((sample) => sample.marks), ...known])
      if (one.at >= begin) found.set(`${one.at} ${one.text}`, one);
    return [...found.values()].sort((a, b) => a.at - b.at);
  }

  heads() {
    const { tip, minute, quarter } = this.stream.parts.get("figures") || {};
    if (!tip || !minute) return;
    const { latency, errors, accuracy, enforcement, rate: events, connection, memory, cpu } = this.graphs;
    const now = minute.everyone;
    latency.head(
      `P95 ${ms(now.p95)}`,
      tone(now.p95, 100, 200),
      `last minute; P50 ${ms(now.p50)}, max ${ms(now.max)}; target P95 < 100 ms`,
    );
    const wrong = rate(quarter.episodes, quarter.records);
    errors.head(
      share(quarter.episodes, quarter.records),
      tone(wrong, 0.1, 1),
      `${quarter.episodes} in ${many(quarter.records, "record")}, 15 min; target < 0.1 %`,
    );
    accuracy.head(
      share(quarter.agreed, quarter.fired),
      quarter.fired ? (quarter.agreed === quarter.fired ? "good" : "warn") : "dim",
      quarter.fired
        ? `${quarter.agreed} of ${many(quarter.fired, "firing")} agree, 15 min`
        : "only one release decides",
    );
    enforcement.head(
      share(quarter.clean, quarter.goals),
      quarter.goals ? (quarter.clean === quarter.goals ? "good" : "bad") : "dim",
      quarter.goals
        ? `${quarter.clean} of ${many(quarter.goals, "goal")} reached cleanly, 15 min`
        : "nothing to enforce in 15 min",
    );
    events.head(`${tip.rate.toFixed(1)} /s`, "", "records of the journal, last 10 s");
    const all = tip.everyone.accounts;
    connection.head(
      `${tip.everyone.connected} of ${all}`,
      tip.everyone.connected === all && all ? "good" : "bad",
      `accounts connected; ${tip.guarded} guarded`,
    );
    const held = Object.entries(tip.processes)
      .filter(([, pair]) => pair[0] !== null)
      .sort((a, b) => b[1][0] - a[1][0]);
    const [largest] = held;
    memory.head(
      largest ? mb(largest[1][0]) : "–",
      largest ? tone(largest[1][0], 500, 700) : "dim",
      largest
        ? `largest: ${largest[0]}; all ${mb(held.reduce((sum, one) => sum + one[1][0], 0))}; target < 500 MB`
        : "",
    );
    const used = Object.values(tip.processes)
      .map((pair) => pair[1])
      .filter((one) => one !== null);
    cpu.head(
      used.length ? percent(used.reduce((sum, one) => sum + one, 0)) : "–",
      "",
      "of one core, all processes",
    );
  }
}
