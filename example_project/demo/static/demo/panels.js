// Forms that take the place of the page's sides: for a forgotten password, and for the links in mails.

import { byId } from "./dom.js";
import { focusSide } from "./sides.js";

let opener = null; // the button that has opened the panel

export function openPanel(name) {
  const focused = document.activeElement;
  for (const panel of document.querySelectorAll(".panel")) panel.hidden = panel.id !== `${name}-panel`;
  opener = focused?.closest("[data-when]") ? focused : null;
  document.documentElement.classList.add("with-panel");
  byId(`${name}-heading`).focus();
}

// The focus returns to where it came from, unless that has disappeared meanwhile.
export function closePanel() {
  document.documentElement.classList.remove("with-panel");
  for (const panel of document.querySelectorAll(".panel")) panel.hidden = true;
  if (opener?.closest("[hidden]") === null) opener.focus();
  else focusSide();
}
