// Takes the server's page over: the same things in the same order, alive.

import { Accounts } from "./accounts.js";
import { Actions } from "./actions.js";
import { el, fill } from "./dom.js";
import { Graphs } from "./graphs.js";
import { Rollout } from "./rollout.js";
import { Stream } from "./stream.js";
import { both, capital, duration, many, mb, percent, second } from "./words.js";

const TONES = { healthy: "good", degraded: "warn" };
const SHOW_MS = 500;

const release = el("span", { class: "dim" }),
  time = el("span", { class: "dim" }),
  link = el("span", { class: "state", id: "link", role: "status" });
const verdict = el("p", { class: "verdict", role: "status", "aria-live": "assertive", id: "verdict" });
const notes = el("div", { "aria-live": "polite" });
const processes = el("div", { class: "wide" }),
  events = el("div", { class: "wide" }),
  alarms = el("div");

let lost = "",
  lostAt = 0,
  begun = false,
  wanted = 0,
  dismissed = "";
const stream = new Stream(
  (isWhole) => {
    if (isWhole) begin();
    want();
  },
  (why) => {
    lost = why;
    lostAt = why ? Date.now() : 0;
    showLink();
  },
);
const actions = new Actions(stream);
const graphs = new Graphs(stream),
  accounts = new Accounts(stream),
  rollout = new Rollout(stream, actions);

function build() {
  const section = (name, title, body) =>
    el("section", { "aria-labelledby": name }, el("h2", { id: name }, title), body);
  const main = el(
    "main",
    { id: "main" },
    verdict,
    notes,
    graphs.root,
    rollout.root,
    accounts.root,
    el(
      "div",
      { class: "two" },
      section("processes-title", "Processes", processes),
      section("alarms-title", "Alarms", alarms),
    ),
    section("events-title", "Latest events", events),
    el(
      "p",
      { class: "dim" },
      "Times without a place are Chicago's. This page tells; what protects the accounts is other processes.",
    ),
  );
  const head = el(
    "header",
    {},
    el("h1", {}, "Risk daemon"),
    release,
    time,
    el("span", { class: "push group" }, link, actions.root),
  );
  const places = [
    ["graphs-title", "Figures"],
    ["rollout-title", "Rollout and cohorts"],
    ["accounts-title", "Accounts"],
    ["processes-title", "Processes"],
    ["alarms-title", "Alarms"],
    ["events-title", "Events"],
  ];
  const nav = el(
    "nav",
    { "aria-label": "On this page" },
    places.map(([id, text]) => el("a", { href: `#${id}` }, text)),
  );
  document.body.replaceChildren(
    el("a", { class: "skip", href: "#main" }, "To the content"),
    head,
    main,
    actions.dialog,
  );
  notes.after(nav);
}

function begin() {
  if (begun) actions.look();
  else {
    begun = true;
    build();
  }
  graphs.load();
}

// However often something comes: shown a few times a second, and only while somebody looks.
function want() {
  if (wanted || document.hidden) return;
  wanted = setTimeout(() => {
    wanted = 0;
    show();
  }, SHOW_MS);
}

function show() {
  showHead();
  showMissed();
  graphs.take();
  accounts.show();
  rollout.show();
  place();
  showProcesses();
  showEvents();
}

// A rollout that is under way is what one came for; otherwise the figures are.
function place() {
  const stage = stream.parts.get("rollout")?.stage;
  const isLive = stage && !["done", "aborted", "rolled back", "superseded"].includes(stage);
  const [first, then] = isLive ? [rollout.root, graphs.root] : [graphs.root, rollout.root];
  if (first.nextElementSibling !== then) then.before(first);
}

function showHead() {
  const head = stream.parts.get("head");
  if (!head) return;
  const all = head.accounts === 1 ? "the one account is" : `all ${head.accounts} accounts are`;
  const known =
    head.state === "healthy"
      ? `Healthy: ${all} guarded and connected.`
      : `${capital(head.state)}: ${head.why}.`;
  // What was true some seconds ago may not be: it must never look like what is.
  const text = lost ? `Not known since ${second(stream.heardAt)}. Until then: ${known}` : known;
  fill(release, head.release, () => head.release);
  fill(verdict, text, () => text);
  verdict.className = `verdict ${(!lost && TONES[head.state]) || "bad"}`;
  const title = `Risk daemon: ${lost ? "no connection" : head.state}`;
  if (document.title !== title) document.title = title;
}

function showLink() {
  const text = lost ? `No live data for ${duration((Date.now() - lostAt) / 1000)}` : "Live";
  fill(link, [text], () => text);
  link.className = `state ${lost ? "bad" : "good"}`;
  fill(time, Math.floor(stream.now() / 1000), () => both(stream.now()));
  document.body.classList.toggle("lost", Boolean(lost));
  if (lost && begun)
    fill(notes, ["lost", lost], () =>
      el(
        "div",
        { class: "note bad", id: "lost" },
        el("b", {}, "What you see is old: "),
        `${lost}. Other processes guard the accounts, whether this page works or not; it asks again every second. In a terminal of that machine `,
        el("code", {}, "risk-daemon-admin status"),
        " tells the same.",
      ),
    );
  if (lost) showHead();
}

function showMissed() {
  if (lost) return;
  const one = stream.missed;
  if (!one || one.since === dismissed) {
    fill(notes, null, () => null);
    return;
  }
  fill(notes, ["missed", one.since, one.seconds], () =>
    el(
      "div",
      { class: "note", id: "missed" },
      el("b", {}, `This page was without data for ${duration(one.seconds)}, since ${both(one.since)}. `),
      one.restarted && "The console was restarted. ",
      `Meanwhile: ${many(one.records, "record")}, ${one.all_known ? "" : "at least "}${many(one.events, "event")}, ${many(one.alarms.length, "alarm")}. Everything below is up to date again. `,
      (one.marks.length > 0 || one.alarms.length > 0) &&
        el(
          "ul",
          {},
          one.marks.map((mark) => el("li", {}, `${both(mark.at)} ${mark.kind}: ${mark.text}`)),
          one.alarms.map((alarm) => el("li", {}, `${both(alarm.at)} ${alarm.level}: ${alarm.text}`)),
        ),
      " ",
      el(
        "button",
        {
          type: "button",
          id: "dismiss",
          onclick: () => {
            dismissed = one.since;
            showMissed();
          },
        },
        "Understood",
      ),
    ),
  );
}

const table = (heads, rows, css = "fold") =>
  el(
    "table",
    { class: css },
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        heads.map(([name, kind]) => el("th", { scope: "col", class: kind }, name)),
      ),
    ),
    el(
      "tbody",
      {},
      rows.map((row) =>
        el(
          "tr",
          {},
          row.map((cell, number) =>
            el("td", { "data-label": heads[number][0], class: heads[number][1] }, el("span", {}, cell)),
          ),
        ),
      ),
    ),
  );

function showProcesses() {
  const rows = stream.parts.get("processes") || [];
  if (rows === processes.rows) return;
  processes.rows = rows;
  fill(
    processes,
    rows.map((one) => [
      one.name,
      one.state,
      one.release,
      duration(one.since_s),
      mb(one.memory_mb),
      percent(one.cpu_percent),
      one.restarts,
    ]),
    () =>
      table(
        [["Process"], ["State"], ["Release"], ["For", "num"], ["Memory", "num"], ["CPU", "num"]],
        rows.map((one) => [
          [one.name, one.role !== one.name && el("small", {}, one.role)],
          [
            el("span", { class: `state ${one.state === "running" ? "good" : "warn"}` }, one.state),
            one.restarts ? el("small", {}, many(one.restarts, "restart")) : null,
          ],
          one.release || "",
          duration(one.since_s),
          mb(one.memory_mb),
          percent(one.cpu_percent),
        ]),
        "",
      ),
  );
}

const line = (one, tone, kind, text) =>
  el(
    "li",
    {},
    el("span", { class: "dim", title: both(one.at) }, second(one.at)),
    el("span", { class: `state ${tone}` }, kind),
    el("span", {}, one.account ? `${nameOf(one.account)}: ` : "", text),
  );

function nameOf(account) {
  return stream.parts.get(`account/${account}`)?.name || String(account);
}

function showEvents() {
  const rows = stream.events.slice(-20).reverse();
  fill(
    events,
    rows.map((one) => one.seq),
    () =>
      rows.length
        ? el(
            "ul",
            { class: "lines" },
            rows.map((one) => line(one, "", one.kind.replaceAll("-", " "), one.words)),
          )
        : el("p", { class: "dim" }, "Nothing has happened yet."),
  );
  const loud = stream.alarms.slice(-10).reverse();
  fill(
    alarms,
    loud.map((one) => [one.seq, one.at]),
    () =>
      loud.length
        ? el(
            "ul",
            { class: "lines" },
            loud.map((one) =>
              line(
                one,
                ["urgent", "page"].includes(one.level) ? "bad" : one.level === "warn" ? "warn" : "",
                one.level,
                one.text,
              ),
            ),
          )
        : el("p", { class: "dim" }, "No alarm was raised."),
  );
}

setInterval(showLink, 1000);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && begun) {
    graphs.load();
    want();
  }
});
