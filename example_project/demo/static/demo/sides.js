// The page's sides: "in", "out", and "ended" after the story. A part of the page names those that it
// belongs to in `data-when`.

import { byId } from "./dom.js";

const HEADINGS = { in: "greeting", out: "login-heading", ended: "ended-heading" };

// The side that is shown, or that a panel covers.
let current = "out";

// If the focused element disappears, the focus moves to the heading of the side that appears.
export function showSide(side) {
  current = side;
  const focused = document.activeElement?.closest("[data-when]");
  for (const part of document.querySelectorAll("[data-when]"))
    part.hidden = !part.dataset.when.split(" ").includes(side);
  if (focused?.hidden) focusSide();
  remember(side);
}

export const focusSide = () => byId(HEADINGS[current]).focus();

// For first.js, at the next visit.
function remember(side) {
  document.documentElement.classList.remove("waiting");
  try {
    localStorage.setItem("jwt_auth demo", side);
  } catch {
    // Without storage, the next visit shows the login first.
  }
}
