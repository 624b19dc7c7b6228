// A form that shows each error at its field, reads it out with the field, and focuses the first
// wrong field. If the server asks to wait, the form waits and shows how long.

import { byId, element, say } from "./dom.js";
import { span } from "./words.js";

export class Form {
  #form;
  #error;
  #onReady;
  #busy = false;
  #until = 0;
  #timer = null;

  constructor(form, { send, onReady }) {
    this.#form = form;
    this.#error = byId(`${form.id}-error`);
    this.#onReady = onReady;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit(send);
    });
  }

  // One request at a time, and none while the server asks to wait. The button isn't disabled, so that
  // it can keep the focus.
  async #submit(send) {
    if (this.#busy || this.#until > Date.now()) return;
    this.clear();
    this.#setBusy(true);
    try {
      await send(Object.fromEntries(new FormData(this.#form)));
    } finally {
      this.#setBusy(false);
    }
  }

  #setBusy(busy) {
    this.#busy = busy;
    this.#form.setAttribute("aria-busy", busy);
  }

  get #fields() {
    return [...this.#form.elements].filter((field) => field.matches("input"));
  }

  clear() {
    this.#stopWaiting();
    this.#error.replaceChildren();
    for (const field of this.#fields) this.#mark(field, "");
  }

  empty() {
    this.#form.reset();
    this.clear();
  }

  // Show an error of the whole form, and mark the fields that it is about.
  refuse(text, names = []) {
    say(this.#error, text);
    const wrong = this.#fields.filter((field) => names.includes(field.name));
    for (const field of wrong) field.setAttribute("aria-invalid", "true");
    wrong.at(-1)?.select();
    wrong.at(-1)?.focus();
  }

  // Show errors by field: { new_password: ["…", "…"] }. False if none belongs to a field of the form.
  refuseFields(errors) {
    const fields = this.#fields.filter((field) => errors[field.name]?.length);
    for (const field of fields) this.#mark(field, errors[field.name].join(" "));
    fields[0]?.focus();
    return fields.length > 0;
  }

  #mark(field, text) {
    if (text) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
    const message = byId(`${field.id}-error`);
    if (message !== null) say(message, text);
  }

  // The countdown is for sighted users; a screen reader reads the time once.
  wait(seconds) {
    const left = element("span", { attributes: { "aria-hidden": "true" } });
    const once = element("span", { className: "visually-hidden", textContent: span(seconds) });
    this.#error.replaceChildren("Too many attempts. Try again in ", left, once, ".");
    this.#until = Date.now() + seconds * 1000;
    const tick = () => {
      const rest = (this.#until - Date.now()) / 1000;
      if (rest > 0) left.textContent = span(Math.ceil(rest));
      else this.#ready();
    };
    tick();
    this.#timer = setInterval(tick, 1000);
  }

  #ready() {
    this.clear();
    this.#onReady();
  }

  #stopWaiting() {
    clearInterval(this.#timer);
    this.#until = 0;
  }
}
