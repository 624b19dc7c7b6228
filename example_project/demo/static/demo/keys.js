// The key ring: its timeline for the role admin, otherwise the public kids.

import { element } from "./dom.js";

const STATES = {
  published: "published, does not sign yet",
  signing: "signs",
  verifying: "only verifies",
  expired: "expired",
};

// Request the dates only if the token has the role; otherwise the answer would be a 403. The JWK Set
// is public, so it is requested without the token.
export async function loadKeys(send, sendPlain, claims) {
  if (claims.roles.includes("admin")) {
    const response = await send("api/admin/keys/");
    if (response.ok) return { dated: true, keys: await response.json() };
  }
  const { keys } = await (await sendPlain(".well-known/jwks.json")).json();
  return { dated: false, keys: keys.map(({ kid, alg }) => ({ kid, algorithm: alg })) };
}

export function showKeys(list, about, { dated, keys }) {
  about.textContent = dated
    ? "A new key is published before it signs, and an old one verifies until its last token expires."
    : "From the published JWK Set. The role admin (log in as demo-admin) also sees the keys' dates.";
  list.replaceChildren(...keys.map(keyItem));
}

function keyItem(key) {
  return element(
    "li",
    { className: key.state ?? "" },
    element("code", { className: "kid", textContent: key.kid }),
    element(
      "span",
      { className: "who" },
      [key.algorithm, STATES[key.state], nextStep(key)].filter(Boolean).join(" · "),
    ),
  );
}

// The server writes times in UTC; show them in the reader's time zone.
function nextStep(key) {
  return key.next_step?.replace(/\d{4}-\d\d-\d\dT[\d:]+Z/, (time) =>
    new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" }).format(new Date(time)),
  );
}

// A key without an expiry date is drawn beyond the line's end; without any dates, beyond both ends.
export function keyMarks({ dated, keys }) {
  if (!dated) return [{ from: new Date(0), to: null, kind: "undated" }];
  return keys.flatMap((key) => {
    const [created, activates] = [new Date(key.created_at), new Date(key.activates_at)];
    const expires = key.expires_at === null ? null : new Date(key.expires_at);
    const successor = nextActivation(keys, activates);
    const marks = [{ from: activates, to: successor ?? expires, kind: "main" }];
    if (created < activates) marks.unshift({ from: created, to: activates, kind: "early" });
    if (successor !== null) marks.push({ from: successor, to: expires, kind: "late" });
    return marks;
  });
}

function nextActivation(keys, after) {
  const later = keys.map((key) => new Date(key.activates_at)).filter((date) => date > after);
  return later.length === 0 ? null : new Date(Math.min(...later));
}

export function keyReading({ dated, keys }) {
  if (!dated) return keys.length === 1 ? "1 published" : `${keys.length} published`;
  const signing = keys.find((key) => key.state === "signing");
  return signing === undefined ? "no key signs" : signing.algorithm;
}
