// The flow by hand: log in, call, refresh, log out.

const root = new URL(document.body.dataset.root, location.href);
const stateLine = document.getElementById("state");
const answerArea = document.getElementById("answer");
const loginForm = document.getElementById("login");

// Gone with the page. Not in localStorage: whatever script gets in could read it there later.
let accessToken = null;

function send(path, init = {}) {
  const headers = new Headers(init.headers);
  if (accessToken !== null) headers.set("Authorization", `Bearer ${accessToken}`);
  return fetch(new URL(path, root), { credentials: "same-origin", ...init, headers });
}

// The key outlives the page until an answer has come: a refresh whose answer was lost, in a
// reload for example, is then asked for again under the same key, and gets the same answer.
const PENDING = "jwt_auth demo: pending refresh";

function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function postRefresh() {
  const key = localStorage.getItem(PENDING) ?? newKey();
  localStorage.setItem(PENDING, key);
  accessToken = null; // it may be over, and the cookie is all that counts here
  const response = await send("api/auth/refresh/", {
    method: "POST",
    headers: { "Idempotency-Key": key },
  });
  localStorage.removeItem(PENDING);
  return response;
}

// One refresh at a time in all tabs: two at once would show the server the same token twice.
function inTurn(task) {
  return navigator.locks ? navigator.locks.request("jwt_auth demo", task) : task();
}

async function refresh() {
  return inTurn(async () => {
    let response = await postRefresh();
    // Another request had gone on with the session before this one arrived: use its cookie.
    if (response.status === 409) response = await postRefresh();
    return keepToken(response);
  });
}

async function login() {
  const response = await inTurn(() =>
    send("api/auth/login/", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(Object.fromEntries(new FormData(loginForm))),
    }),
  );
  if (response.ok) loginForm.reset();
  return keepToken(response);
}

async function logout() {
  const response = await inTurn(() => send("api/auth/logout/", { method: "POST" }));
  if (response.ok) accessToken = null;
  return { status: response.status, body: null };
}

async function hello() {
  let response = await send("api/hello/");
  if (response.status === 401 && accessToken !== null) {
    const refreshed = await refresh();
    if (accessToken === null) return refreshed;
    response = await send("api/hello/");
  }
  return { status: response.status, body: await response.json() };
}

async function keepToken(response) {
  const body = await response.json();
  if (!response.ok) return { status: response.status, body };
  accessToken = body.access_token;
  // The claims instead of the token: an answer is read over shoulders and in screenshots.
  return {
    status: response.status,
    body: { ...body, access_token: "(kept in a variable)", claims: claimsOf(accessToken) },
  };
}

function claimsOf(token) {
  const base64 = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}

async function run(name, action) {
  try {
    const { status, body } = await action();
    answerArea.textContent =
      `${name}: ${status}` + (body === null ? "" : `\n${JSON.stringify(body, null, 2)}`);
  } catch (error) {
    answerArea.textContent = `${name}: ${error.message}`;
  }
  stateLine.textContent = accessToken === null ? "Not logged in." : "Logged in.";
}

loginForm.addEventListener("submit", (event) => {
  event.preventDefault();
  run("Log in", login);
});
for (const [id, action] of Object.entries({ hello, refresh, logout })) {
  const button = document.getElementById(id);
  button.addEventListener("click", () => run(button.textContent, action));
}

// The silent refresh: a session that is still alive needs no log-in.
run("Refresh on load", refresh);
