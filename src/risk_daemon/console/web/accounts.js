// The accounts: who guards them, what they hold, how far from their limits, what locks them and why.

import { el, fill, keyed } from "./dom.js";
import { both, capital, many, money, ms } from "./words.js";

const MODES = {
  "": ["yes", "good"],
  "no-new-entry": ["no new entries", "warn"],
  "reduce-only": ["only to reduce", "warn"],
  full: ["locked", "bad"],
};
const COHORT = { first: "first canary", new: "newly switched", incumbent: "incumbent" };
const HEADS = ["Account", "Guard", "Position", "Day P&L", "Distance to limits", "May trade", "Release"];

const used = (one) => (one.used === null || one.used === undefined ? null : Number(one.used));
const byUse = (view) =>
  view.distances.filter((one) => one.observed && one.limit).sort((a, b) => (used(b) ?? -1) - (used(a) ?? -1));

function positions(view) {
  if (!view.positions.length) return el("span", { class: "dim" }, "flat");
  return view.positions.map((one) =>
    el(
      "div",
      {},
      `${one.quantity > 0 ? "long" : "short"} ${Math.abs(one.quantity)} ${one.root} at ${one.average}`,
      !one.agreed && el("small", {}, "being verified"),
    ),
  );
}

function distance(one) {
  const share = used(one);
  return el(
    "div",
    {},
    `${one.rule}: ${one.observed} of ${one.limit}`,
    one.mode !== "enforce" && el("small", {}, `${one.mode} only`),
    share !== null &&
      el(
        "div",
        { class: "meter", "aria-hidden": "true" },
        el("i", {
          "width%": Math.min(Math.max(share * 100, 0), 100),
          class: /breach/.test(one.state) ? "bad" : share >= 0.8 ? "warn" : "",
        }),
      ),
  );
}

function limits(view) {
  const found = byUse(view);
  if (!found.length) return el("span", { class: "dim" }, "no rule has spoken");
  return [
    ...found.slice(0, 2).map(distance),
    found.length > 2 && el("small", {}, `${many(found.length - 2, "more rule")} in the details`),
  ];
}

function mayTrade(view) {
  let [text, tone] = MODES[view.mode] || [view.mode, "warn"];
  if (view.can_trade === false) [text, tone] = ["no: the platform says so", "bad"];
  return [
    el("span", { class: `state ${tone}` }, text),
    view.locks.map((lock) =>
      el(
        "small",
        {},
        lock.reason || lock.rule,
        el("br"),
        lock.until ? `until ${both(lock.until)}` : "until an admin ends it",
      ),
    ),
  ];
}

export class Accounts {
  constructor(stream) {
    [this.stream, this.open] = [stream, new Set()];
    this.filter = el("input", {
      class: "short",
      type: "search",
      id: "filter",
      placeholder: "name, number, locked, not guarded",
      "aria-label": "Show only some accounts",
      oninput: () => this.show(),
    });
    this.count = el("span", { class: "dim" });
    this.body = el("tbody");
    this.root = el(
      "section",
      { "aria-labelledby": "accounts-title" },
      el(
        "div",
        { class: "bar" },
        el("h2", { id: "accounts-title" }, "Accounts"),
        this.count,
        el("span", { class: "push" }, this.filter),
      ),
      el(
        "table",
        { class: "fold" },
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            HEADS.map((name) => el("th", { scope: "col", class: name === "Day P&L" ? "num" : "" }, name)),
          ),
        ),
        this.body,
      ),
    );
  }

  matches(one) {
    const wanted = this.filter.value.trim().toLowerCase();
    const { view } = one;
    const text = [
      one.account,
      one.name,
      one.login,
      one.release,
      COHORT[one.cohort],
      one.why ? "not guarded" : "",
      view?.locks.length ? "locked" : "",
      view?.positions.length ? "open" : "flat",
    ]
      .join(" ")
      .toLowerCase();
    return wanted.split(/\s*,\s*/).every((word) => text.includes(word));
  }

  show() {
    const all = this.stream.accounts(),
      found = all.filter((one) => this.matches(one));
    // What needs somebody comes first.
    found.sort(
      (a, b) =>
        Boolean(b.why) - Boolean(a.why) ||
        (b.view?.locks.length || 0) - (a.view?.locks.length || 0) ||
        a.account - b.account,
    );
    fill(this.count, [all.length, found.length], () =>
      found.length === all.length
        ? many(all.length, "account")
        : `${found.length} of ${many(all.length, "account")}`,
    );
    const rows = found.flatMap((one) =>
      this.open.has(one.account) ? [`${one.account}`, `${one.account}+`] : [`${one.account}`],
    );
    const known = new Map(found.map((one) => [String(one.account), one]));
    keyed(
      this.body,
      rows,
      (name) => (name.endsWith("+") ? this.makeDetail() : this.makeRow(name)),
      (node, name) => {
        const one = known.get(name.replace("+", ""));
        if (name.endsWith("+")) this.showDetail(node, one);
        else this.showRow(node, one);
      },
    );
  }

  makeRow(name) {
    const cells = HEADS.map((head) =>
      el(
        "td",
        {
          "data-label": head,
          class: head === "Day P&L" ? "num" : head.startsWith("Distance") ? "limits" : "",
        },
        el("div"),
      ),
    );
    const button = el("button", {
      type: "button",
      class: "link",
      id: `account-${name}`,
      "aria-expanded": "false",
      onclick: () => this.toggle(Number(name)),
    });
    cells[0].firstChild.append(button, el("small"));
    return el("tr", {}, cells);
  }

  toggle(number) {
    if (!this.open.delete(number)) {
      this.open.add(number);
      this.ask(number);
    }
    this.show();
  }

  showRow(node, one) {
    const isOpen = this.open.has(one.account);
    if (node.one === one && node.isOpen === isOpen) return; // an account that changed is another object
    [node.one, node.isOpen] = [one, isOpen];
    const [name, guard, position, pnl, limit, may, release] = [...node.cells].map((cell) => cell.firstChild);
    const { view } = one;
    const [button, small] = name.children;
    fill(button, one.name || one.account, () => one.name || String(one.account));
    button.setAttribute("aria-expanded", String(isOpen));
    fill(small, [one.account, one.login], () => [one.account, one.login].filter(Boolean).join(" · "));
    fill(guard, [one.why], () =>
      one.why
        ? [el("span", { class: "state bad" }, "not guarded"), el("small", {}, one.why)]
        : el("span", { class: "state good" }, "guarded"),
    );
    fill(release, [one.release, one.holder, one.epoch, one.cohort], () => [
      one.release,
      el("small", {}, `${one.holder}, epoch ${one.epoch}`),
      one.cohort && el("small", {}, COHORT[one.cohort]),
    ]);
    if (!view) {
      for (const cell of [position, pnl, limit, may])
        fill(cell, null, () => el("span", { class: "dim" }, "unknown"));
      return;
    }
    fill(position, view.positions, () => positions(view));
    fill(pnl, [view.pnl_known, view.day_pnl, view.realized, view.unrealized], () =>
      view.pnl_known
        ? [
            el(
              "span",
              { class: Number(view.day_pnl) < 0 ? "bad" : Number(view.day_pnl) > 0 ? "good" : "" },
              money(view.day_pnl),
            ),
            el("small", {}, `${money(view.realized)} realized, ${money(view.unrealized)} open`),
          ]
        : ["unknown", el("small", {}, `last known ${money(view.day_pnl)}`)],
    );
    fill(limit, view.distances, () => limits(view));
    fill(may, [view.mode, view.can_trade, view.locks], () => mayTrade(view));
  }

  makeDetail() {
    return el("tr", { class: "detail" }, el("td", { colspan: HEADS.length }, el("div", { class: "facts" })));
  }

  async ask(number) {
    try {
      const answer = await fetch(`/api/v1/figures?account=${number}`);
      if (answer.ok) (this.figures ||= new Map()).set(number, (await answer.json()).figures);
      if (this.open.has(number)) setTimeout(() => this.open.has(number) && this.ask(number), 2000);
      this.show();
    } catch {
      /* the banner says that the console does not answer */
    }
  }

  showDetail(node, one) {
    const { view } = one,
      mine = this.figures?.get(one.account);
    fill(node.firstChild.firstChild, [view, mine, one.feed], () => {
      const list = (title, lines, none) =>
        el(
          "div",
          {},
          el("h3", {}, title),
          lines.length
            ? el(
                "ul",
                {},
                lines.map((line) => el("li", {}, line)),
              )
            : el("div", { class: "dim" }, none),
        );
      if (!view) return el("div", { class: "dim" }, "its worker has not published it yet");
      return [
        el(
          "div",
          {},
          el("h3", {}, "All rules"),
          byUse(view).length ? byUse(view).map(distance) : el("div", { class: "dim" }, "no rule has spoken"),
        ),
        list(
          "Working orders",
          view.orders.map(
            (order) =>
              `${order.side} ${order.size - order.filled} ${order.contract} ${order.type}${order.price ? ` at ${order.price}` : ""}`,
          ),
          "none",
        ),
        list("Under way", view.underway, "nothing is being enforced"),
        list("Unknown at the moment", view.unknown, "nothing"),
        list("Earlier", view.reasons, "nothing happened here yet"),
        list(
          "Its own figures, last minute",
          mine
            ? [
                `${many(mine.records, "record")} decided, ${many(mine.episodes, "error episode")}`,
                `latency P50 ${ms(mine.p50)}, P95 ${ms(mine.p95)}, max ${ms(mine.max)}`,
                `goals: ${mine.clean} of ${mine.goals} reached cleanly`,
              ]
            : [],
          "asking ...",
        ),
        list(
          "Money",
          [
            `balance ${view.balance === null ? "unknown" : money(view.balance)}`,
            `trade date ${view.trade_date}`,
            `feed ${one.feed}${view.last_fact_at ? `, last told ${both(view.last_fact_at)}` : ""}`,
          ].map(capital),
          "",
        ),
      ];
    });
  }
}
