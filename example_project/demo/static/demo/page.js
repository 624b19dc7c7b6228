// The page. It follows the client's events, whichever tab or device has caused them.

import { createAuthClient } from "../jwt_auth/client.js";
import { showCalls } from "./calls.js";
import { showClaims } from "./claims.js";
import { byId, element, say } from "./dom.js";
import { Form } from "./forms.js";
import { keyMarks, keyReading, loadKeys, showKeys } from "./keys.js";
import { CHANGED, MailForms } from "./mails.js";
import { SessionList, sessionMarks } from "./sessions.js";
import { showSide } from "./sides.js";
import { Story } from "./story.js";
import { cut, drawAxis, exampleMarks, Lane } from "./timeline.js";
import { clock, countdown, problem, REASONS, span, summary } from "./words.js";

const root = new URL(document.body.dataset.root, location.href);
const auth = createAuthClient({ baseUrl: new URL("api/auth/", root).href });
const send = (path, init) => auth.fetch(new URL(path, root).href, init);
const sendPlain = (path) => fetch(new URL(path, root));

// ---- What is known

let shown = null; // the claims that the page shows
let tokens = []; // the claims of this session's access tokens that this tab has seen, newest last
let keys = { dated: false, keys: [] };
let entering = false; // this tab's form is logging in
let leaving = ""; // the text for the end of the session, if this tab has asked for it
let isReset = false; // this tab has reset a password, perhaps that of its own session
let playing = false; // the story of the stolen cookie
let isStolen = false; // the story has come to the end of the session

// The server's time: the client knows by how much the device's clock differs.
function now() {
  const isKnown = shown !== null && auth.expiresAt !== null;
  return new Date(Date.now() + (isKnown ? shown.exp * 1000 - auth.expiresAt : 0));
}

// ---- What is said

function tell(text, kind = "") {
  const notice = byId("notice");
  notice.className = `notice ${kind}`;
  say(notice, text);
}

let noted = ["", ""];

function note(text, kind = "") {
  noted = [text, kind];
  tell(text, kind);
  const time = element("time", { textContent: clock(new Date()) });
  const line = element("li", { className: kind }, time, ` ${text}`);
  const log = byId("log");
  log.prepend(line);
  while (log.children.length > 8) log.lastChild.remove();
}

// Run a button's action. An error is reported and changes nothing else. A 401 isn't reported here: the
// client then ends the session, and its event reports that.
async function attempt(action) {
  const patience = setTimeout(() => tell(WAITING), 1500);
  try {
    await action();
  } catch (error) {
    if (error.status !== 401) note(error.status === 429 ? waitText(error) : problem(error), "bad");
  } finally {
    clearTimeout(patience);
    if (byId("notice").textContent === WAITING) tell(...noted);
  }
}

const WAITING = "Waiting for the server…";
const waitText = ({ retryAfter }) => `Too many requests. Try again in ${span(retryAfter)}.`;

// ---- What is shown

const lanes = Object.fromEntries(
  ["token", "session", "key"].map((name) => [name, new Lane(byId(`${name}-track`))]),
);
const sessionList = new SessionList(byId("sessions"), byId("all-sessions"), endSession);
const story = new Story(byId("steps"), root);

// Without a session: show the default lifetimes, as an example.
function showExample() {
  const marks = exampleMarks(new Date());
  for (const [name, lane] of Object.entries(lanes)) {
    lane.show(marks[name]);
    lane.tick(new Date());
  }
  byId("token-reading").textContent = "15 minutes"; // as in page.html
  byId("session-reading").textContent = "7 days";
  byId("key-reading").textContent = "90 days";
}

function showLoggedOut(text) {
  forget();
  story.clear();
  showExample();
  showSide("out");
  note(text);
}

// After the story, the timeline stops.
function showEnded(reason) {
  const end = now();
  lanes.token.show(cut(tokenMarks(), end));
  lanes.session.show(cut(sessionMarks(sessionList.sessions.filter(({ current }) => current)), end));
  for (const lane of Object.values(lanes)) lane.tick(end);
  forget();
  byId("token-reading").textContent = "refused";
  byId("session-reading").textContent = "ended";
  story.end(reason);
  showSide("ended");
  note("A used cookie came back, so the server has ended the session.", "bad");
}

// Leave no trace of the last user for the next one, not even in hidden elements.
function forget(isSameUser = false) {
  shown = null;
  tokens = [];
  sessionList.show([], now());
  for (const id of ["claims", "calls", "keys", "who", "summary", "address-about"]) byId(id).replaceChildren();
  if (!isSameUser) byId("log").replaceChildren();
  byId("greeting").textContent = "Logged in";
  changeForm.empty();
}

async function showToken(claims) {
  const isNewSession = shown?.sid !== claims.sid;
  if (isNewSession) {
    forget(shown?.sub === claims.sub);
    story.clear();
  }
  shown = claims;
  tokens = [...tokens, claims].slice(-6);
  byId("summary").textContent = summary(claims);
  showClaims(byId("claims"), claims);
  lanes.token.show(tokenMarks());
  if (isNewSession) showCalls(byId("calls"), send);
  showSide("in");
  tick();
  await Promise.all([isNewSession ? showUser() : null, showSessions(), showKeyRing()]);
}

function tokenMarks() {
  const at = (seconds) => new Date(seconds * 1000);
  return tokens.flatMap(({ iat, exp }, index) => [
    { from: at(iat), to: at(exp), kind: index === tokens.length - 1 ? "main" : "other" },
    { at: at(iat), kind: "start" },
  ]);
}

async function showUser() {
  const { sid } = shown;
  const { username, email } = await getJSON("api/auth/me/");
  if (shown?.sid !== sid) return; // another user by now
  byId("who").textContent = username;
  byId("greeting").textContent = `Logged in as ${username}`;
  byId("change-username").value = username;
  byId("address-about").textContent = email
    ? `A mail with a link goes to ${email}. Its owner opens the link and presses a button.`
    : "This account has no address.";
  byId("send-confirmation").hidden = !email;
}

async function showSessions() {
  const { sid } = shown;
  const sessions = await getJSON("api/auth/sessions/");
  if (shown?.sid !== sid) return;
  sessionList.show(sessions, now());
  lanes.session.show(sessionMarks(sessions));
  tick();
}

async function showKeyRing() {
  const { sid } = shown;
  const loaded = await loadKeys(send, sendPlain, shown);
  if (shown?.sid !== sid) return;
  keys = loaded;
  showKeys(byId("keys"), byId("keys-about"), keys);
  lanes.key.show(keyMarks(keys));
  tick();
}

async function getJSON(path) {
  const response = await send(path);
  const body = await response.json();
  if (!response.ok) throw Object.assign(new Error(body.detail), { status: response.status, ...body });
  return body;
}

// Called once a second; screen readers don't read out what it changes.
function tick() {
  if (shown === null) return;
  const time = now();
  const left = (auth.expiresAt - Date.now()) / 1000;
  byId("token-reading").textContent = left > 0 ? countdown(left) : "expired";
  byId("remaining").textContent = left > 0 ? `in ${countdown(left)}` : "now";
  const own = sessionList.sessions.find((session) => session.current);
  byId("session-reading").textContent =
    own === undefined ? "" : span((new Date(own.expires_at) - time) / 1000);
  byId("key-reading").textContent = keyReading(keys);
  for (const lane of Object.values(lanes)) lane.tick(time);
}

// ---- What a person does

const loginForm = new Form(byId("login"), {
  send: login,
  onReady: () => note("You can try to log in again now."),
});
const changeForm = new Form(byId("change"), {
  send: changePassword,
  onReady: () => note("You can try to change the password again now."),
});

async function login({ username, password, remember_me: remember }) {
  entering = true;
  try {
    await auth.login(username, password, { rememberMe: remember !== undefined });
  } catch (error) {
    if (error.status === 429) loginForm.wait(error.retryAfter);
    else loginForm.refuse(problem(error), error.status === 401 ? ["username", "password"] : []);
    return;
  } finally {
    entering = false;
  }
  loginForm.empty();
}

function loginAs(username, password) {
  byId("username").value = username;
  byId("password").value = password;
  byId("login").requestSubmit();
}

async function changePassword({ old_password: former, new_password: next }) {
  try {
    await auth.changePassword(former, next);
  } catch (error) {
    showRefusal(error);
    return;
  }
  changeForm.empty();
  byId("change-username").value = byId("who").textContent;
  note("The password is changed. Every other session has ended.", "good");
}

new MailForms({
  note,
  ask: (email) => auth.requestPasswordReset(email),
  reset: resetPassword,
  confirm: (token) => auth.confirmEmail(token),
});

async function resetPassword(token, password) {
  isReset = true;
  try {
    await auth.resetPassword(token, password);
  } catch (error) {
    isReset = error.code === "answer_lost";
    throw error;
  }
}

function showRefusal(error) {
  const errors =
    error.code === "invalid_password" ? { old_password: [error.message] } : (error.errors ?? {});
  if (error.status === 401) attempt(() => auth.refresh()); // it finds out whether the session has ended
  else if (error.status === 429) changeForm.wait(error.retryAfter);
  else if (!changeForm.refuseFields(errors)) changeForm.refuse(problem(error));
}

function endSession(session, name) {
  attempt(async () => {
    const response = await send(`api/auth/sessions/${session.id}/`, { method: "DELETE" });
    // 404: the session has already ended.
    if (!response.ok && response.status !== 404) throw response;
    await showSessions();
    note(`Ended: ${name}.`, "good");
    byId("sessions-heading").focus(); // the button is gone
  });
}

async function replay() {
  if (playing) return;
  playing = true;
  await attempt(async () => {
    try {
      await story.play();
      isStolen = true;
    } catch (error) {
      if (error.status !== 401) throw error; // the session has ended before the story
    }
    await auth.refresh();
  });
  playing = isStolen = false;
}

async function leave(action, text) {
  leaving = text;
  await attempt(action);
  leaving = "";
}

byId("accounts")?.addEventListener("click", ({ target, currentTarget }) => {
  const { username } = target.dataset;
  if (username !== undefined) loginAs(username, currentTarget.dataset.password);
});
byId("refresh").addEventListener("click", () => attempt(() => auth.refresh()));
byId("logout").addEventListener("click", () => leave(() => auth.logout(), "Logged out."));
byId("logout-all").addEventListener("click", () =>
  leave(() => auth.logoutAll(), "Logged out on every device."),
);
byId("send-confirmation").addEventListener("click", () =>
  attempt(async () => {
    await auth.sendEmailConfirmation();
    note("The mail is on its way.", "good");
  }),
);
byId("replay").addEventListener("click", replay);
byId("log-in-again").addEventListener("click", () => showLoggedOut("Not logged in."));
byId("reload-sessions").addEventListener("click", () =>
  attempt(async () => {
    await showSessions();
    note("The list of sessions is up to date.");
  }),
);

// ---- What happens by itself

auth.addEventListener("change", () => {
  const claims = auth.claims;
  if (claims === null || claims.jti === shown?.jti) return;
  const text = whatHappened(claims);
  isReset = false;
  attempt(() => showToken(claims));
  note(text, "good");
});

function whatHappened(claims) {
  if (shown === null) return entering ? "Logged in." : "Logged in by this browser's session.";
  if (shown.sub !== claims.sub) return "Another user has logged in, in another tab.";
  if (shown.sid !== claims.sid) return "A new session.";
  return "Refreshed: a new access token and a new cookie.";
}

auth.addEventListener("sessionend", ({ detail }) => {
  const text = leaving || (isReset ? CHANGED : REASONS[detail.reason]);
  isReset = false;
  if (isStolen) showEnded(detail.reason);
  else showLoggedOut(text);
});

addEventListener("offline", () => note("Offline. The session waits for the network.", "bad"));
addEventListener("online", () => note("Online again.", "good"));
// Update the list when the user returns to the tab: other devices may have changed it.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && shown !== null) attempt(showSessions);
});

drawAxis(byId("axis"));
showExample();
setInterval(tick, 1000);
// Until now, a form would have left the page.
for (const button of document.querySelectorAll("button:disabled")) button.disabled = false;

const patience = setTimeout(() => tell("The server does not answer yet. Still trying.", "bad"), 5000);
try {
  if (!(await auth.ready) && shown === null) {
    showSide("out");
    tell("Not logged in.");
  }
} catch (error) {
  showSide("out");
  note(problem(error), "bad");
} finally {
  clearTimeout(patience);
}
