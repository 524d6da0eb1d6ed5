// Logging in, and what a person may do from here. Each thing is asked for in a dialog that says what it
// does, wants a reason, and shows what came of it; the server checks all of it again.

import { el, fill } from "./dom.js";
import { many, money } from "./words.js";

const OVER = ["done", "aborted", "rolled back", "superseded"];
const BACK = ["aborting", "rolling back"];
const TYPED = "flatten all";

async function ask(method, path, body, csrf) {
  const answer = await fetch(path, {
    method,
    headers: {
      ...(body ? { "Content-Type": "application/json" } : {}),
      ...(csrf ? { "X-CSRF-Token": csrf } : {}),
    },
    body: body ? JSON.stringify(body) : undefined,
  });
  return { code: answer.status, ok: answer.ok, ...(await answer.json()) };
}

export class Actions {
  constructor(stream) {
    this.stream = stream;
    this.user = null;
    this.csrf = null;
    this.people = true;
    this.root = el("span", { class: "group" });
    this.dialog = el("dialog", { "aria-labelledby": "dialog-title" });
    this.dialog.addEventListener("cancel", (event) => {
      if (this.busy) event.preventDefault();
    });
    this.look();
  }

  // Who is logged in: asked anew when the console was away, for a restart ends every session.
  async look() {
    try {
      this.be(await ask("GET", "/api/v1/session"));
    } catch {
      /* it does not answer: the banner says so */
    }
  }

  be({ user, csrf, people }) {
    [this.user, this.csrf, this.people] = [user, csrf, people ?? this.people];
    this.show();
  }

  show() {
    fill(this.root, [this.user], () => [
      el(
        "button",
        { type: "button", class: "danger", id: "flatten", onclick: () => this.flatten() },
        "Flatten all …",
      ),
      this.user
        ? el("button", { type: "button", id: "logout", onclick: () => this.logout() }, `Log out ${this.user}`)
        : el("button", { type: "button", id: "login", onclick: () => this.login() }, "Log in"),
    ]);
  }

  // --- dialogs ---

  open(title, body, buttons) {
    this.busy = false;
    this.dialog.replaceChildren(
      el("h2", { id: "dialog-title" }, title),
      ...body.flat().filter(Boolean),
      el("div", { class: "group" }, buttons),
    );
    if (!this.dialog.open) this.dialog.showModal();
    (this.dialog.querySelector("input") || this.dialog.querySelector("button")).focus();
  }

  close() {
    this.dialog.close();
  }

  cancel(text = "Cancel") {
    return el("button", { type: "button", id: "cancel", onclick: () => this.close() }, text);
  }

  form(title, body, submit, done) {
    const said = el("p", { class: "said bad", id: "said", role: "alert" });
    const button = el(
      "button",
      { type: "submit", id: "do", form: "form", class: submit.danger ? "danger" : "main" },
      submit.text,
    );
    const form = el(
      "form",
      {
        id: "form",
        onsubmit: async (event) => {
          event.preventDefault();
          if (this.busy) return;
          this.busy = button.disabled = true;
          said.textContent = "";
          said.className = "said dim";
          said.textContent = submit.working || "asked …";
          try {
            await done((text) => {
              said.className = "said bad";
              said.textContent = text;
            });
          } catch {
            said.className = "said bad";
            said.textContent = `The console does not answer; whether it was done is not known. The page shows it as soon as it is back.${submit.otherwise ? ` In a terminal of that machine: ${submit.otherwise}` : ""}`;
          }
          this.busy = button.disabled = false;
        },
      },
      body,
    );
    this.open(title, [form, said], [this.cancel(), button]);
  }

  // --- logging in ---

  login(then) {
    const user = el("input", {
      id: "user",
      name: "user",
      autocomplete: "username",
      required: true,
      autocapitalize: "none",
      spellcheck: "false",
    });
    const password = el("input", {
      id: "password",
      name: "password",
      type: "password",
      autocomplete: "current-password",
      required: true,
    });
    const hint = this.people
      ? "Without it this page only shows."
      : "Nobody has a password yet. Set one in a terminal of this machine: risk-daemon-admin dashboard password --user NAME";
    this.form(
      "Log in",
      [
        el("p", { class: "dim" }, hint),
        el("label", { for: "user" }, "Name"),
        user,
        el("label", { for: "password" }, "Password"),
        password,
      ],
      { text: "Log in", working: "looking …" },
      async (say) => {
        const answer = await ask("POST", "/api/v1/session", {
          user: user.value.trim(),
          password: password.value,
        });
        if (!answer.ok) {
          password.value = "";
          say(answer.error);
          password.focus();
          return;
        }
        this.be(answer);
        this.close();
        then?.();
      },
    );
  }

  async logout() {
    try {
      await ask("DELETE", "/api/v1/session", undefined, this.csrf);
    } finally {
      this.be({ user: null, csrf: null });
    }
  }

  // --- asking ---

  // `one`: action, title, what it does (sentences), button, danger, typed, and what the server needs to know.
  want(one) {
    if (!this.user) {
      this.login(() => this.want(one));
      return;
    }
    const reason = el("input", { id: "reason", required: true, maxlength: 500, autocomplete: "off" });
    const typed =
      one.typed &&
      el("input", {
        id: "typed",
        required: true,
        autocomplete: "off",
        spellcheck: "false",
        autocapitalize: "none",
      });
    const seen = one.seen;
    this.form(
      one.title,
      [
        one.says.map((text) => (typeof text === "string" ? el("p", {}, text) : text)),
        el("label", { for: "reason" }, "Reason (kept, and shown to everyone)"),
        reason,
        typed && [el("label", { for: "typed" }, `Type “${one.typed}” to have it done`), typed],
      ],
      { text: one.button, danger: one.danger, working: "being done …", otherwise: one.otherwise },
      async (say) => {
        const answer = await ask(
          "POST",
          "/api/v1/actions",
          {
            action: one.action,
            reason: reason.value,
            seen,
            typed: typed?.value || "",
            phase: one.phase || "",
            release: one.release || "",
          },
          this.csrf,
        );
        if (answer.code === 401) {
          this.be({ user: null, csrf: null });
          say(`${answer.error} Close this and log in again.`);
          return;
        }
        if (!answer.ok && !answer.lines) {
          say(answer.error);
          return;
        }
        this.tell(one, answer);
      },
    );
  }

  tell(one, answer) {
    this.open(
      answer.ok ? `${one.done || "Done"}` : "Not all of it is done",
      [
        el(
          "div",
          { class: answer.ok ? "" : "bad", id: "outcome", role: "status" },
          el(
            "ul",
            {},
            answer.lines.map((line) => el("li", {}, line)),
          ),
        ),
      ],
      [this.cancel("Close")],
    );
  }

  flatten() {
    const accounts = this.stream.accounts(),
      open = accounts.filter((one) => one.view?.positions.length);
    const list = el(
      "ul",
      {},
      open
        .slice(0, 10)
        .map((one) =>
          el(
            "li",
            {},
            `${one.name || one.account}: ${one.view.positions.map((position) => `${position.quantity > 0 ? "long" : "short"} ${Math.abs(position.quantity)} ${position.root}`).join(", ")}, day ${money(one.view.day_pnl)}`,
          ),
        ),
      open.length > 10 && el("li", {}, `and ${open.length - 10} more`),
    );
    this.want({
      otherwise: 'risk-daemon-admin emergency flatten-all --reason "…"',
      action: "flatten-all",
      typed: TYPED,
      danger: true,
      button: "Flatten all",
      title: "Flatten and lock every account",
      done: "Every account is flat and locked",
      seen: this.stream.parts.get("head")?.key || "",
      says: [
        `Every position of all ${many(accounts.length, "account")} is closed at the market, their orders are cancelled, and each account is fully locked until an admin ends that. It can't be undone.`,
        open.length
          ? `${many(open.length, "account")} now hold${open.length === 1 ? "s" : ""} positions:`
          : "No account holds a position now.",
        open.length ? list : null,
      ].filter(Boolean),
    });
  }

  // --- a rollout ---

  buttons(root, found) {
    const isOver = !found || OVER.includes(found.stage),
      isBack = found && BACK.includes(found.stage);
    const names = found ? found.phases.map((one) => one.phase) : [];
    const next = names.includes(found?.stage) ? names[names.indexOf(found.stage) + 1] : undefined;
    // Of a rollout that is over nobody looks at its accounts any more: who has them is known from themselves.
    const away = this.stream.accounts().some((one) => one.release !== found?.fallback);
    const shown = found && [found.stage, found.key, found.holds.length, next, isOver && away];
    fill(root, shown, () => {
      if (!found || isBack) return null;
      const button = (id, text, one, css = "") =>
        el(
          "button",
          {
            type: "button",
            id,
            class: css,
            onclick: () => this.want({ seen: this.stream.parts.get("rollout")?.key || "", ...one }),
          },
          `${text} …`,
        );
      const about = `${found.release} over ${found.fallback}, now ${found.stage}.`;
      const everybody = many(found.accounts.length, "account");
      if (isOver) {
        return (
          away &&
          button(
            "rollback",
            `Roll back to ${found.fallback}`,
            {
              action: "rollback",
              release: found.fallback,
              danger: true,
              button: "Roll back",
              title: `Roll back to ${found.fallback}`,
              done: "Asked: accounts go back",
              says: [
                about,
                `Every account is given to ${found.fallback}, protected throughout; nothing is traded.`,
              ],
            },
            "danger",
          )
        );
      }
      const phase = found.phases.find((one) => one.phase === next);
      return [
        ["draft", "gated"].includes(found.stage) && [
          button("approve", "Approve the start", {
            action: "approve",
            phase: "start",
            button: "Approve",
            title: "Approve the start",
            done: "Approved",
            says: [about, "You agree that this release goes to accounts."],
          }),
          button(
            "start",
            "Start",
            {
              action: "start",
              button: "Start",
              title: "Start the rollout",
              done: "Started",
              says: [about, "Both releases are warmed and decide in shadow; nobody is switched yet."],
            },
            "main",
          ),
        ],
        found.holds.length > 0 &&
          button("resume", "End the hold", {
            action: "resume",
            button: "End the hold",
            title: "End the hold",
            done: "It goes on",
            says: [about, ...found.holds.map((one) => `${one.actor} said: ${one.reason}`)],
          }),
        next &&
          button(
            "promote",
            `Promote to ${next}`,
            {
              action: "promote",
              phase: next,
              button: "Promote",
              title: `Promote to ${next}`,
              done: `Entered ${next}`,
              says: [
                about,
                `The release then guards up to ${many(phase.accounts, "account")} of ${everybody}. It is refused if anything is missing.`,
              ],
            },
            "main",
          ),
        !next &&
          names.includes(found.stage) &&
          button(
            "complete",
            "Complete",
            {
              action: "complete",
              button: "Complete",
              title: "Complete the rollout",
              done: "Completed",
              says: [about, "The rollout is called done."],
            },
            "main",
          ),
        !found.holds.length &&
          button("hold", "Hold", {
            action: "hold",
            button: "Hold",
            title: "Hold the rollout",
            done: "Held: nobody is switched",
            says: [about, "Nothing more is switched; whoever has an account keeps it."],
          }),
        button(
          "abort",
          `Abort: back to ${found.fallback}`,
          {
            action: "abort",
            danger: true,
            button: "Abort",
            title: "Abort the rollout",
            done: "Aborted: accounts go back",
            says: [
              about,
              `All ${everybody} go back to ${found.fallback}, protected throughout; nothing is traded. This rollout can't be taken up again.`,
            ],
          },
          "danger",
        ),
      ];
    });
  }
}
