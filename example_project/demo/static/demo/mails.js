// What goes by mail: a link for a forgotten password, and one that confirms an address.

import { byId } from "./dom.js";
import { Form } from "./forms.js";
import { followLinks } from "./links.js";
import { closePanel, openPanel } from "./panels.js";
import { problem } from "./words.js";

// The same whatever the address is, as the server's answer.
const SENT = "If an account has this address, a mail with a link is on its way.";
const CONFIRMED = "The address is confirmed.";
const REFUSED = "The link has expired or has been used. Nothing was changed.";
// Of a first try with the same link, which most likely has done its work.
const LOST = {
  reset: "An answer was lost, and the link has been used: most likely your new password is set. Log in with it.",
  confirm: "An answer was lost, and the link has been used: most likely the address is confirmed.",
};

export const CHANGED = "The password is changed, and every session of the account has ended. Log in with it.";

export class MailForms {
  #note;
  #token = "";
  #forms;

  constructor({ note, ask, reset, confirm }) {
    this.#note = note;
    this.#forms = {
      forgot: this.#form("forgot", ({ email }) => ask(email), SENT),
      reset: this.#form("reset", (fields) => reset(this.#token, fields.new_password), CHANGED),
      confirm: this.#form("confirm", () => confirm(this.#token), CONFIRMED),
    };
    for (const id of ["forget", "another-link"])
      byId(id).addEventListener("click", () => this.#open("forgot"));
    for (const button of document.querySelectorAll("[data-close]"))
      button.addEventListener("click", () => this.#close());
    followLinks((purpose, token) => this.#open(purpose, token));
  }

  #open(name, token = "") {
    this.#empty();
    byId("another-link").hidden = true;
    this.#token = token;
    openPanel(name);
  }

  #close() {
    this.#empty();
    closePanel();
  }

  #empty() {
    this.#token = "";
    for (const form of Object.values(this.#forms)) form.empty();
  }

  #form(name, send, done) {
    const attempt = async (fields) => {
      const token = this.#token;
      try {
        await send(fields);
      } catch (error) {
        if (token === this.#token) this.#refuse(name, error);
        return;
      }
      if (token === this.#token) this.#close(); // otherwise another link was opened meanwhile
      this.#note(done, "good");
    };
    const onReady = () => this.#note("You can try again now.");
    return new Form(byId(name), { send: attempt, onReady });
  }

  #refuse(name, error) {
    const form = this.#forms[name];
    if (error.code === "answer_lost") {
      this.#close();
      return this.#note(LOST[name]);
    }
    byId("another-link").hidden = error.code !== "invalid_token";
    if (error.status === 429) form.wait(error.retryAfter);
    else if (error.code === "invalid_token") form.refuse(REFUSED);
    else if (!form.refuseFields(error.errors ?? {})) form.refuse(problem(error));
  }
}
