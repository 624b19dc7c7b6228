// Three endpoints, each with a stricter policy, a button, and the last answer.

import { element } from "./dom.js";
import { problem } from "./words.js";

const CALLS = [
  ["api/hello/", "any logged-in user", ""],
  ["api/tenant/", "tokens with the claim tenant", "TenantScoped"],
  ["api/admin/metrics/", "the role admin", "AdminOnly"],
];

export function showCalls(list, send) {
  list.replaceChildren(...CALLS.map((call) => callItem(call, send)));
}

// `policy` is a name of example_project/api/policies.py.
function callItem([path, who, policy], send) {
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
    onclick: () => call(path, policy, answer, send),
  });
  const name = element("code", { textContent: `GET /${path}` });
  const text = policy ? `${policy}: for ${who}` : `for ${who}`;
  const about = element("span", { className: "who", textContent: text });
  return element("li", {}, element("div", { className: "what" }, name, about), button, answer);
}

async function call(path, policy, answer, send) {
  answer.replaceChildren("…");
  try {
    const response = await send(path);
    const body = await response.json();
    if (response.ok) show(answer, "good", response.status, JSON.stringify(body));
    else show(answer, "bad", `${response.status} ${body.code}`, refusalText(response, body, policy));
  } catch (error) {
    show(answer, "bad", "No answer", problem(error));
  }
}

function show(answer, kind, status, text) {
  const number = element("b", { className: kind, textContent: status });
  answer.replaceChildren(number, ` ${text}`);
}

function refusalText({ status }, { detail }, policy) {
  return status === 403 && policy ? `refused by ${policy}: ${detail}` : detail;
}
