// The rollout: its phases as a tree with what each gate says, and the three cohorts side by side.

import { el, fill } from "./dom.js";
import { capital, duration, many, mb, ms, percent, share } from "./words.js";

const SAYS = {
  pass: "good",
  fail: "bad",
  hold: "bad",
  inconclusive: "dim",
  unmeasurable: "warn",
  "nothing yet": "dim",
};
const badge = (says, overridden) =>
  el("span", { class: `badge ${SAYS[says] || "dim"}` }, overridden ? `${says}, overridden` : says);
const COLUMNS = [
  ["first", "First canary"],
  ["new", "Newly switched"],
  ["incumbent", "Incumbents"],
];
const TAIL = ["aborting", "rolling back"];

function progress(name, [seen, wanted], say) {
  if (!wanted) return el("div", {}, name, el("small", {}, "none asked for"));
  return el(
    "div",
    {},
    name,
    el(
      "div",
      { class: "meter", "aria-hidden": "true" },
      el("i", { "width%": Math.min((100 * seen) / wanted, 100) }),
    ),
    el("small", {}, `${say(seen)} of ${say(wanted)}`),
  );
}

// In minutes of the plan, which a rehearsal makes shorter: as what is missing and `rollout status` say
// it. A supervisor of an earlier release says seconds only.
function watched({ wall_minutes, wall_s }) {
  return wall_minutes ? wall_minutes.map((minutes) => 60 * minutes) : wall_s;
}

function gates(rows) {
  return rows.map((one) =>
    el(
      "div",
      { class: "gate" },
      el("span", {}, one.gate),
      badge(one.says, one.overridden),
      el("span", {}, one.sentence),
    ),
  );
}

function accounts(found, from, upto) {
  const rows = found.accounts.slice(from, upto);
  if (!rows.length) return null;
  const shown = rows.slice(0, 12);
  return el(
    "ul",
    { class: "chips", "aria-label": "Accounts of this phase" },
    shown.map((row) =>
      el(
        "li",
        { title: row.why },
        `${row.account} on ${row.release}, ${row.at}${row.smoke ? `, smoke ${row.smoke}` : ""}`,
      ),
    ),
    rows.length > 12 && el("li", {}, `and ${rows.length - 12} more`),
  );
}

function phase(found, one, before) {
  const isNow = one.state === "now";
  const css = { over: "over", now: "now" }[one.state] || "";
  return el(
    "li",
    { class: css, "aria-current": isNow ? "step" : undefined },
    el("span", { class: "phase" }, capital(one.phase)),
    ` ${one.accounts ? `up to ${many(one.accounts, "account")}` : "no account is switched"} `,
    el("span", { class: "dim" }, one.state),
    isNow &&
      el(
        "div",
        { class: "dwell" },
        progress("Watched", watched(one.dwell), duration),
        progress("Open market", one.dwell.open_minutes, (value) => `${value} min`),
        progress("Records", one.dwell.events, (value) => value.toLocaleString("en-US")),
      ),
    isNow && gates(one.gates),
    isNow &&
      one.unseen.length > 0 &&
      el("p", { class: "dim" }, `Not witnessed yet: ${one.unseen.join(", ")}`),
    (isNow || one.state === "over") && accounts(found, before, one.accounts),
  );
}

export class Rollout {
  constructor(stream, actions) {
    [this.stream, this.actions] = [stream, actions];
    this.title = el("h2", { id: "rollout-title" }, "Rollout");
    this.stage = el("span");
    this.notes = el("div", { "aria-live": "polite" });
    this.tree = el("ol", { class: "tree" });
    this.missing = el("div");
    this.buttons = el("div", { class: "group push" });
    this.cohorts = el("div", { class: "wide" });
    this.root = el(
      "section",
      { "aria-labelledby": "rollout-title" },
      el("div", { class: "bar" }, this.title, this.stage, this.buttons),
      this.notes,
      this.tree,
      this.missing,
      el("h2", {}, "Cohorts"),
      this.cohorts,
    );
  }

  show() {
    const found = this.stream.parts.get("rollout"),
      figures = this.stream.parts.get("figures");
    if (found === this.found && figures === this.figures) return;
    [this.found, this.figures] = [found, figures];
    fill(this.stage, found && [found.release, found.fallback, found.stage, found.part, found.on], () =>
      found
        ? [
            el(
              "span",
              { class: "state" },
              `${found.release} over ${found.fallback}: ${found.stage}${found.part ? `, ${found.part}` : ""}`,
            ),
            el(
              "span",
              { class: "dim" },
              `  accounts on ${Object.entries(found.on)
                .map(([name, count]) => `${name}: ${count}`)
                .join(", ")}`,
            ),
          ]
        : el("span", { class: "dim" }, "none was begun in this home"),
    );
    fill(this.notes, found && [found.holds, found.why, found.stuck, found.stage], () =>
      found ? notes(found) : null,
    );
    const missing = found ? shorter(found) : [];
    fill(
      this.missing,
      missing,
      () =>
        missing.length > 0 &&
        el(
          "div",
          { class: "note" },
          el("b", {}, "Before the next step: "),
          el(
            "ul",
            {},
            missing.map((one) => el("li", {}, one)),
          ),
        ),
    );
    fill(this.tree, found && [found.phases, found.accounts, found.gates, found.stage], () =>
      found ? this.phases(found) : null,
    );
    this.actions.buttons(this.buttons, found);
    this.showCohorts(found);
  }

  phases(found) {
    let before = 0;
    const rows = found.phases.map((one) => {
      const row = phase(found, one, before);
      before = one.accounts;
      return row;
    });
    if (["draft", "gated"].includes(found.stage) && found.gates.length)
      rows.unshift(
        el(
          "li",
          { class: "now", "aria-current": "step" },
          el("span", { class: "phase" }, "Before the start"),
          gates(found.gates),
        ),
      );
    return rows;
  }

  showCohorts(found) {
    const { minute } = this.stream.parts.get("figures") || {};
    if (!minute) return;
    const processes = this.stream.parts.get("processes") || [];
    const isSplit = Object.keys(minute.cohorts).length > 0;
    const judged = Object.fromEntries((found?.judged?.cohorts || []).map((one) => [one.cohort, one]));
    const of = (name) => (isSplit ? minute.cohorts[name] : name === "incumbent" ? minute.everyone : null);
    const workers = (name) =>
      processes.filter(
        (one) =>
          ["active", "standby"].includes(one.role) &&
          (!isSplit ||
            (name === "incumbent" ? one.release !== found.release : one.release === found.release)),
      );
    const sum = (rows, key) => (rows.length ? rows.reduce((total, one) => total + (one[key] ?? 0), 0) : null);
    const cell = (name, say) => {
      const one = of(name);
      return one && one.accounts ? say(one, name) : "–";
    };
    const rows = [
      ["Accounts", (one) => `${one.accounts}`],
      ["Connected", (one) => `${one.connected} of ${one.accounts}`],
      ["Latency P50, last minute", (one) => ms(one.p50)],
      ["Latency P95", (one) => ms(one.p95)],
      ["Latency max", (one) => ms(one.max)],
      ["Records decided", (one, name) => (judged[name]?.records ?? one.records).toLocaleString("en-US")],
      [
        "Error rate",
        (one, name) => (judged[name] ? share(judged[name].error_ppm, 1e6) : share(one.episodes, one.records)),
      ],
      [
        "Rule evaluation accuracy",
        (one, name) =>
          name !== "incumbent" &&
          found?.judged?.accuracy_ppm !== null &&
          found?.judged?.accuracy_ppm !== undefined &&
          isSplit
            ? share(found.judged.accuracy_ppm, 1e6)
            : share(one.agreed, one.fired),
      ],
      [
        "Enforcement correctness",
        (one, name) =>
          judged[name]?.goals
            ? `${share(judged[name].correct_ppm, 1e6)} of ${judged[name].goals}`
            : one.goals
              ? `${share(one.clean, one.goals)} of ${one.goals}`
              : "nothing to enforce",
      ],
      ["Memory of its workers", (one, name) => mb(sum(workers(name), "memory_mb"))],
      ["CPU of its workers", (one, name) => percent(sum(workers(name), "cpu_percent"))],
    ].map(([title, say]) => [title, ...COLUMNS.map(([name]) => cell(name, say))]);
    const span = isSplit
      ? "Counts are of the present phase, latencies of the last minute."
      : "No rollout is under way: every account is an incumbent. Figures of the last minute.";
    fill(this.cohorts, [rows, span], () => [
      el("p", { class: "dim" }, span),
      el(
        "table",
        { class: "cohorts" },
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            el("td"),
            COLUMNS.map(([, title]) => el("th", { scope: "col", class: "num" }, title)),
          ),
        ),
        el(
          "tbody",
          {},
          rows.map(([title, ...cells]) =>
            el(
              "tr",
              {},
              el("th", { scope: "row" }, title),
              cells.map((text) => el("td", { class: "num" }, text)),
            ),
          ),
        ),
      ),
    ]);
  }
}

// What is missing, without repeating the sentences of the gates that stand above.
function shorter(found) {
  const shown = (found.phases.find((one) => one.state === "now")?.gates || found.gates)
    .filter((one) => one.sentence)
    .map((one) => one.gate);
  const said = found.missing.filter((one) => shown.some((gate) => one.startsWith(`${gate} says `)));
  const rest = found.missing.filter((one) => !said.includes(one));
  return said.length ? [...rest, `${many(said.length, "gate")} above to say pass`] : rest;
}

function notes(found) {
  const isBack = TAIL.includes(found.stage);
  return [
    found.stuck && el("div", { class: "note bad" }, el("b", {}, "Stands still: "), found.stuck),
    found.holds.map((one) =>
      el("div", { class: "note warn" }, el("b", {}, "On hold: "), `${one.actor} said: ${one.reason}`),
    ),
    found.why && el("div", { class: `note ${isBack ? "bad" : ""}` }, el("b", {}, "Why: "), found.why),
  ];
}
