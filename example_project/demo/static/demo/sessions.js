// The user's open sessions, with this device first, and a button that ends another one.

import { element } from "./dom.js";
import { ago, moment } from "./words.js";

const FEW = 5;

export class SessionList {
  #list;
  #more;
  #end;
  #sessions = [];
  #all = false;

  constructor(list, more, end) {
    this.#list = list;
    this.#more = more;
    this.#end = end;
    more.addEventListener("click", () => this.#showAll());
  }

  get sessions() {
    return this.#sessions;
  }

  show(sessions, now) {
    const byUse = (a, b) => b.current - a.current || b.last_used_at.localeCompare(a.last_used_at);
    this.#sessions = [...sessions].sort(byUse);
    const shown = this.#all ? this.#sessions : this.#sessions.slice(0, FEW);
    this.#list.replaceChildren(...shown.map((session) => this.#item(session, now)));
    this.#more.hidden = shown.length === this.#sessions.length;
    this.#more.textContent = `Show all ${this.#sessions.length}`;
  }

  // The button disappears, so move the focus to the first session that was not shown before.
  #showAll() {
    this.#all = true;
    this.show(this.#sessions, new Date());
    this.#list.children[FEW]?.querySelector("button")?.focus();
  }

  #item(session, now) {
    const opened = new Date(session.created_at);
    // The server knows most browsers and apps by their user agents.
    const name = session.device || session.user_agent.slice(0, 60) || "Unknown device";
    const details = [
      session.ip_address,
      `opened ${moment(opened, now)}`,
      `used ${ago(new Date(session.last_used_at), now)}`,
    ];
    return element(
      "li",
      { className: session.current ? "current" : "" },
      element(
        "div",
        {},
        element("span", { className: "device", textContent: name }),
        session.current ? element("span", { className: "badge", textContent: "this device" }) : null,
        element("span", { className: "who", textContent: details.filter(Boolean).join(" · ") }),
      ),
      session.current ? null : this.#button(session, `${name}, opened ${moment(opened, now)}`),
    );
  }

  #button(session, name) {
    return element("button", {
      type: "button",
      className: "quiet",
      textContent: "End",
      attributes: { "aria-label": `End the session: ${name}` },
      onclick: () => this.#end(session, name),
    });
  }
}

// For the timeline: this device's session is a broad bar, the others are thin.
export function sessionMarks(sessions) {
  return sessions.map((session) => ({
    from: new Date(session.created_at),
    to: new Date(session.expires_at),
    kind: session.current ? "main" : "other",
  }));
}
