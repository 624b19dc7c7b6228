// The token's claims as a list, each with its meaning.

import { element } from "./dom.js";
import { clock } from "./words.js";

const MEANINGS = {
  iss: "who issued it",
  aud: "for which API",
  sub: "the user",
  iat: "issued",
  nbf: "not before",
  exp: "expires",
  jti: "this token",
  sid: "its session",
  token_version: "goes up when the user logs out everywhere",
  token_use: "not a refresh token",
  client_id: "which client it was issued to",
  roles: "the user's groups",
  tenant: "a claim of the project",
};
const TIMES = new Set(["iat", "nbf", "exp"]);

export function showClaims(list, claims) {
  list.replaceChildren(...Object.entries(claims).flatMap(([name, value]) => rows(name, value)));
}

function rows(name, value) {
  const meaning = MEANINGS[name];
  return [
    element("dt", {}, element("code", { textContent: name })),
    element(
      "dd",
      {},
      element("span", { className: "value", textContent: text(name, value) }),
      name === "exp" ? remaining() : null,
      meaning === undefined ? null : element("span", { className: "who", textContent: meaning }),
    ),
  ];
}

// The role "timer" isn't a live region: a screen reader reads it on request, not every second.
const remaining = () => element("span", { id: "remaining", attributes: { role: "timer" } });

function text(name, value) {
  if (TIMES.has(name)) return clock(new Date(value * 1000));
  if (Array.isArray(value)) return value.join(", ") || "none";
  return typeof value === "string" ? value : JSON.stringify(value);
}
