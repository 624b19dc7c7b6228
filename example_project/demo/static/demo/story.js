// The story of a stolen cookie. A script can't copy the cookie of the refresh token, so the page does
// what the owner and a thief with a copy would do: it sends the same cookie twice. Each step shows the
// server's answer.

import { element } from "./dom.js";

const TRIES = 3;

export class Story {
  #list;
  #root;

  constructor(list, root) {
    this.#list = list;
    this.#root = root;
  }

  clear() {
    this.#list.replaceChildren();
  }

  // Play it up to the page's own next refresh, which finds out that the session has ended.
  async play() {
    this.clear();
    const [first, second] = await this.#sendTwice();
    const { access_token: token } = await first.json();
    this.#tell("POST /api/auth/refresh/", first, "The first of the two gets a new cookie and a new token.");
    const { code } = await second.json();
    this.#tell(
      "POST /api/auth/refresh/",
      second,
      "The second brings a cookie that has been used. The server can't know which of the two is the thief, so it ends the session.",
      code,
    );
    const path = "api/hello/";
    const call = await this.#fetch(path, { headers: { Authorization: `Bearer ${token}` } });
    this.#tell(`GET /${path}`, call, "The new token of the first is refused, too.", (await call.json()).code);
  }

  // The last step: the client's event.
  end(reason) {
    const text = "The page's next refresh is refused. Its client reports the end of the session.";
    this.#add("sessionend", reason, "bad", text);
  }

  // Both requests leave with the same cookie. If the first answer comes before the second request has
  // left, the second has the new cookie and is no replay: then try again.
  async #sendTwice() {
    for (let tries = 0; tries < TRIES; tries++) {
      const refresh = () => this.#fetch("api/auth/refresh/", { method: "POST" });
      const answers = await Promise.all([refresh(), refresh()]);
      const [first, second] = answers.sort((one, other) => one.status - other.status);
      if (first.ok && second.status === 401) return [first, second];
      if (!second.ok) throw await errorOf(second);
    }
    throw Object.assign(new Error(), { code: "accepted_twice" });
  }

  #fetch(path, init) {
    return fetch(new URL(path, this.#root), init);
  }

  #tell(request, response, text, code = "") {
    this.#add(request, `${response.status} ${code}`, response.ok ? "good" : "bad", text);
  }

  #add(request, answer, kind, text) {
    const sent = element("code", { textContent: request });
    const got = element("b", { className: kind, textContent: answer.trim() });
    const head = element("p", { className: "step" }, sent, " ", got);
    this.#list.append(element("li", {}, head, element("p", { className: "who", textContent: text })));
  }
}

async function errorOf(response) {
  const { status, headers } = response;
  const retryAfter = Number(headers.get("Retry-After"));
  const { code } = await response.json().catch(() => ({}));
  return Object.assign(new Error(), { status, code, retryAfter });
}
