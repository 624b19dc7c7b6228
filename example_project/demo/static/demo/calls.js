// Three endpoints, each with a stricter permission, a button, and the last answer.

import { element } from "./dom.js";
import { problem } from "./words.js";

const CALLS = [
  ["api/hello/", "any logged-in user"],
  ["api/tenant/", "tokens with the claim tenant"],
  ["api/admin/metrics/", "the role admin"],
];

export function showCalls(list, send) {
  list.replaceChildren(...CALLS.map(([path, who]) => callItem(path, who, send)));
}

function callItem(path, who, send) {
  // With the path as its label: to a screen reader, three answers that begin with a number sound alike.
  const answer = element("p", {
    className: "answer",
    attributes: { role: "status", "aria-label": `Answer of ${path}` },
  });
  const button = element("button", {
    type: "button",
    className: "quiet",
    textContent: "Call",
    attributes: { "aria-label": `Call ${path}` },
    onclick: () => call(path, answer, send),
  });
  const name = element("code", { textContent: `GET /${path}` });
  const about = element("span", { className: "who", textContent: `for ${who}` });
  return element("li", {}, element("div", { className: "what" }, name, about), button, answer);
}

async function call(path, answer, send) {
  answer.replaceChildren("…");
  try {
    const response = await send(path);
    show(answer, response.ok ? "good" : "bad", response.status, await response.json());
  } catch (error) {
    show(answer, "bad", "No answer", problem(error));
  }
}

function show(answer, kind, status, body) {
  const text = typeof body === "string" ? body : bodyText(body);
  const number = element("b", { className: kind, textContent: status });
  answer.replaceChildren(number, ` ${text}`);
}

const bodyText = (body) => body.detail ?? JSON.stringify(body);
