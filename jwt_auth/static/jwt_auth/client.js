// docs/concepts/browser-client.md has the reasons. Times are in ms.

const TIMEOUT = 15_000; // of one request
const PATIENCE = 30_000; // for the lock
const LEASE = 3_000; // if the browser has no locks
const LOOK = 30_000; // how often, as timers stop in sleep
const KEEP = 60_000; // of an answered key: cookies reach the disk late
const LIFE = 600_000; // of a key that is used again and again
const AGAIN = 10_000; // until another refresh for a refused token
const TRIES = 6;
const LONGEST = 3_600_000; // pause that a server may ask for
const LAST = ["busy", "closed", "unreadable_answer"]; // no more tries after them
const LOST = ["network_error", "unreadable_answer"];
const DAY = 86_400; // seconds; more comes from a wrong clock

const EVENTS = ["visibilitychange", "pageshow", "online", "focus"];

export class AuthError extends Error {
  name = "AuthError";
  constructor(status, code, message = code, retryAfter = null) {
    super(message);
    const temporary = !status || status === 409 || status === 429 || status >= 500;
    Object.assign(this, { status, code, retryAfter, temporary });
  }
}

export const createAuthClient = (options) => new AuthClient(options);

class AuthClient extends EventTarget {
  #token; // undefined: not known yet, null: logged out
  #former; // token, for a logout, which may still end its session
  #claims = null;
  #lifetime = 0;
  #due = 0;
  #wall = 0;
  #elapsed = () => Infinity;
  #barred; // by Retry-After: the error and for how long
  #base;
  #origins;
  #name;
  #send = fetch.bind(globalThis);
  #channel;
  #renewed; // the token that replaced a refused one
  #flight;
  #lost; // a one-time token: its answer was lost
  #heard; // another tab's session, while a refresh is under way
  #timer;
  #open = new AbortController();
  #ready;
  #settle; // until it is known whether there is a session

  constructor({ baseUrl, origins = [] }) {
    super();
    this.#base = new URL(baseUrl.replace(/\/*$/, "/"), location.href).href;
    this.#origins = [this.#base, ...origins].map(originOf);
    this.#name = `jwt_auth ${this.#base}`;
    if (globalThis.BroadcastChannel) {
      this.#channel = new BroadcastChannel(this.#name);
      this.#channel.onmessage = (event) => this.#hear(event.data);
    }
    for (const type of EVENTS) addEventListener(type, this.#look);
    this.#await();
    this.#look();
  }

  get ready() {
    return this.#ready;
  }

  get claims() {
    return this.#claims;
  }

  get expiresAt() {
    return this.#claims && this.#wall + this.#lifetime;
  }

  async login(username, password, { rememberMe: remember_me } = {}) {
    const others = [this.#claims?.sid, this.#heard, await this.#shared()];
    const isKnown = this.#token !== undefined || others.some(Boolean);
    try {
      return await this.#exchange("login/", { username, password, remember_me });
    } catch (error) {
      if (!isLost(error)) throw error;
      // The cookie may be the next user's by now. One try only: the user is waiting.
      this.#drop();
      await inTurn(this.#name, () => this.#rotate()).catch(() => this.#look());
      if (!this.#token || !isKnown || others.includes(this.#claims.sid)) throw error;
      return this.#claims;
    }
  }

  async changePassword(old_password, new_password) {
    const [token, sid] = await this.#own();
    const sub = this.#claims?.sub;
    try {
      return await this.#exchange("password/change/", { old_password, new_password }, token, sid);
    } catch (error) {
      // The answer was lost: a refresh with the same key gets it again.
      if (!isLost(error) || !(await this.refresh())) throw error;
      if (this.#claims.sub !== sub || this.#claims.sid === sid) throw error;
      return this.#claims;
    }
  }

  async requestPasswordReset(email) {
    await this.#post("password/reset/", json({ email }));
  }

  async resetPassword(token, new_password) {
    await this.#use("password/reset/confirm/", { token, new_password });
    // It ends the user's sessions. A refresh finds out whether this is one of them.
    if (this.#token) this.#drop();
    this.#look();
  }

  async sendEmailConfirmation() {
    await this.#post("email/send-confirmation/", { send: this.fetch });
  }

  async confirmEmail(token) {
    await this.#use("email/confirm/", { token });
  }

  async refresh() {
    this.#heed();
    this.#flight ??= this.#persist(() => this.#rotate())
      .catch((error) => this.#bar(error))
      .finally(() => (this.#flight = null));
    return this.#flight;
  }

  async logout() {
    const [token, elapsed, lifetime] = [this.#token ?? this.#former, this.#elapsed, this.#lifetime];
    const sid = this.#claims?.sid ?? (await this.#shared());
    const good = () => elapsed() < lifetime && token; // an expired token ends nothing
    await this.#persist(() => this.#leave("logout/", good(), sid), true);
  }

  async logoutAll() {
    const [token, sid] = await this.#own();
    const leave = (token) => this.#leave("logout-all/", token, sid);
    await inTurn(this.#name, () => leave(token), true).catch(async (error) => {
      if (error.status !== 401 || !(await this.refresh()) || this.#claims.sid !== sid) throw error;
      const renewed = this.#token;
      return inTurn(this.#name, () => leave(renewed), true);
    });
  }

  fetch = async (input, init) => {
    // Resolved here: in tests under Node, Request has no page's address.
    const base = globalThis.document?.baseURI ?? location.href;
    const request = new Request(input instanceof Request ? input : new URL(input, base), init);
    const own = this.#origins.includes(new URL(request.url).origin);
    if (!own || request.headers.has("Authorization")) return this.#send(request);
    const { signal } = request;
    const claims = this.#claims;
    await unless(signal, this.#freshen());
    const token = this.#token;
    const user = (claims ?? this.#claims)?.sub;
    if (!this.#is(user)) return this.#send(request, this.#token && { credentials: "omit" });
    const again = request.clone();
    const response = await this.#send(authorize(request, token));
    if (!(await isRefused(response))) return response;
    const isLatest = token === this.#token;
    if (isLatest && token === this.#renewed && this.#elapsed() < AGAIN) return response;
    await unless(signal, isLatest ? this.#renew() : this.#freshen());
    return this.#is(user) ? this.#send(authorize(again, this.#token)) : response;
  };

  close() {
    const error = new AuthError(0, "closed");
    this.#open.abort(error);
    this.#open.signal.reason ??= error; // old browsers don't set it
    this.#ready.catch(() => {}); // maybe no code awaits it
    this.#settle?.reject(error);
    for (const type of EVENTS) removeEventListener(type, this.#look);
    clearTimeout(this.#timer);
    this.#channel?.close();
  }

  #await() {
    this.#ready = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
  }

  // Reject `ready`, and replace it: the client tries again and may succeed.
  #despair(error) {
    const isOver = !error.temporary || error.code === "unreadable_answer";
    if (!isOver || !this.#settle || this.#open.signal.aborted) return;
    this.#settle.reject(error);
    this.#await();
    this.#ready.catch(() => {}); // reported once is enough
  }

  #drop() {
    this.#former = this.#token ?? this.#former;
    this.#token = undefined;
  }

  // So that no request is sent with another user's token.
  #is(user) {
    return this.#token && this.#claims.sub === user;
  }

  #bar(error) {
    const time = Math.min(error.retryAfter * 1000, LONGEST);
    if (time > 0) this.#barred = { error, time, elapsed: stopwatch() };
    throw error;
  }

  #heed() {
    if (!this.#barred) return;
    const { error, time, elapsed } = this.#barred;
    if (elapsed() >= time) return void (this.#barred = null);
    const rest = Math.ceil(error.retryAfter - elapsed() / 1000);
    throw new AuthError(error.status, error.code, error.message, rest);
  }

  async #freshen() {
    const over = this.#token && this.#lifetime - this.#elapsed() < 1000;
    if (over || this.#token === undefined) await this.refresh();
  }

  async #renew() {
    await this.refresh();
    this.#renewed = this.#token;
  }

  #look = (event) => {
    if (event?.persisted) this.#drop();
    const rest = this.#due - this.#elapsed();
    const due = this.#token && rest <= 0 && !globalThis.document?.hidden;
    if (due || this.#token === undefined) this.refresh().catch((error) => this.#despair(error));
    clearTimeout(this.#timer);
    if (this.#open.signal.aborted) return;
    this.#timer = setTimeout(() => this.#look(), rest > 0 && rest < LOOK ? rest : LOOK);
  };

  async #key() {
    const fresh = newKey(); // the same, even if `update` calls the function twice
    const { key } = await update(this.#name, (record) => {
      const sent = Date.now();
      const isRecent = (time, limit) => Math.abs(sent - (time ?? sent)) < limit;
      const isKept = record.answered
        ? isRecent(record.answered, KEEP) && isRecent(record.made, LIFE)
        : isRecent(record.sent, LIFE) && isRecent(record.made, DAY * 1000);
      const { key, made } = isKept && record.key ? record : { key: fresh, made: sent };
      return { ...record, key, made, sent, answered: 0 };
    });
    return key;
  }

  async #rotate() {
    const key = await this.#key();
    this.#heard = undefined; // the cookie is already that session's
    try {
      await this.#post("refresh/", { headers: { "Idempotency-Key": key } });
    } catch (error) {
      if (error.code !== "invalid_refresh_token") throw error;
      this.#end(this.#elapsed() < this.#lifetime ? "revoked" : "expired");
    }
    await this.#share(key);
    if (this.#token === undefined) throw new AuthError(409, "session_changed");
    return !!this.#token;
  }

  async #exchange(path, fields, token, sid) {
    const former = sid ?? (await this.#shared());
    const exchange = async () => {
      const current = await this.#shared();
      const isNew = current && current !== former && current !== this.#claims?.sid;
      if (isNew || !this.#has(sid, current)) throw new AuthError(409, "session_changed");
      const key = token && (await this.#key());
      const headers = key && { "Idempotency-Key": key };
      try {
        await this.#post(path, json(fields, headers), token);
      } catch (error) {
        if (!error.temporary) await this.#share(key);
        throw error;
      }
      await this.#share(key);
      return this.#claims;
    };
    return inTurn(this.#name, exchange, true);
  }

  // The request whose answer was lost may have used the token.
  async #use(path, fields) {
    try {
      await this.#post(path, json(fields));
    } catch (error) {
      if (isLost(error)) this.#lost = fields.token;
      if (error.code === "invalid_token" && this.#lost === fields.token) error.code = "answer_lost";
      throw error;
    }
  }

  // Without cookies if they belong to another session by now, which must not end.
  async #leave(path, token, sid) {
    const isCurrent = this.#has(sid, await this.#shared());
    if (!isCurrent && !token) throw new AuthError(409, "session_changed");
    await this.#post(path, { credentials: isCurrent ? "include" : "omit" }, token);
    if (isCurrent || this.#claims?.sid === sid) this.#end("logout", sid);
    else this.#tell({ ended: sid, reason: "logout" });
    if (isCurrent) await this.#share();
  }

  // The token and session at the call, not those that another tab has opened since.
  async #own() {
    const former = this.#claims?.sid;
    await this.#freshen();
    const { sid } = this.#claims ?? {};
    if (former && sid && former !== sid) throw new AuthError(409, "session_changed");
    return [this.#token, sid];
  }

  // Messages may be late, so the record on disk is compared, too.
  #has(sid, current) {
    const others = [current, this.#claims?.sid, this.#heard];
    return !sid || others.every((other) => !other || other === sid);
  }

  async #shared() {
    return (await update(this.#name, (record) => record)).sid;
  }

  // Share the session that the request with that key has returned.
  #share(key) {
    const [sid, now] = [this.#claims?.sid, Date.now()];
    return update(this.#name, (record) => {
      return { ...record, sid, answered: record.key === key ? now : record.answered };
    });
  }

  // Each try takes a new turn, so that other tabs needn't wait during the pause.
  async #persist(task, isAlone) {
    const { signal } = this.#open;
    for (let tries = 1; ; tries++) {
      await unless(signal, online());
      try {
        return await inTurn(this.#name, () => unless(signal).then(task), isAlone);
      } catch (error) {
        const pause = 500 * 2 ** tries * (0.5 + Math.random() / 2);
        const asked = error.retryAfter * 1000;
        const last = isAlone ? [...LAST, "session_changed"] : LAST;
        const isOver = !error.temporary || last.includes(error.code) || tries === TRIES;
        if (isOver || asked > PATIENCE) throw error;
        await unless(signal, sleep(Math.max(pause, asked)));
      }
    }
  }

  async #post(path, init, token) {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), TIMEOUT);
    const { signal } = abort;
    const [wall, elapsed] = [Date.now(), stopwatch()];
    let problem = "network_error";
    const common = { method: "POST", credentials: "include", redirect: "error", signal };
    try {
      const request = new Request(this.#base + path, { ...common, ...init });
      const { send = this.#send } = init;
      const response = await send(token ? authorize(request, token) : request);
      if (!response.ok) throw await refusal(response);
      if (response.status > 200 && /logout|reset|email/.test(path)) return;
      const text = await response.text();
      const heard = path === "refresh/" && this.#heard;
      problem = "unreadable_answer";
      this.#accept(JSON.parse(text), wall, elapsed, heard);
    } catch (error) {
      // Not the error itself: it may quote the unreadable answer.
      throw error instanceof AuthError ? error : new AuthError(0, problem);
    } finally {
      clearTimeout(timer);
    }
  }

  #accept({ access_token: token, expires_in: seconds }, wall, elapsed, heard) {
    const text = atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"));
    const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
    const claims = Object.freeze(JSON.parse(new TextDecoder().decode(bytes)));
    if (heard && heard !== claims.sid) throw new AuthError(409, "session_changed");
    this.#claims = claims;
    this.#former = this.#heard = undefined;
    this.#token = token;
    this.#lifetime = seconds * 1000;
    this.#due = this.#lifetime * (0.7 + Math.random() * 0.2);
    [this.#wall, this.#elapsed, this.#barred] = [wall, elapsed, null];
    this.#changed(true, { sid: this.#claims.sid });
    this.#look();
  }

  #end(reason, ended = this.#claims?.sid, told = false) {
    const [token, shown] = [this.#token, this.#claims];
    this.#token = this.#former = this.#claims = null;
    if (shown) this.dispatchEvent(new CustomEvent("sessionend", { detail: { reason } }));
    const news = ended || reason === "logout";
    if (news || token !== null) this.#changed(false, news && !told && { ended, reason });
  }

  #changed(found, message) {
    this.#settle?.resolve(found);
    this.#settle = null;
    if (message) this.#tell(message);
    this.dispatchEvent(new Event("change"));
  }

  #tell(message) {
    if (!this.#open.signal.aborted) this.#channel?.postMessage(message);
  }

  #hear({ sid, ended, reason }) {
    const own = this.#claims?.sid;
    if (ended && ended !== own) return; // not this tab's session
    if (ended) return this.#end(reason, ended, true);
    if (own === sid) return this.dispatchEvent(new Event("change"));
    // No more requests as the former user. A refresh that waits for its turn suffices.
    this.#drop();
    this.#barred = undefined;
    this.#heard = sid;
    this.#look();
  }
}

function originOf(url) {
  const { origin } = new URL(url);
  if (origin === "null") throw new TypeError(`"${url}" has no origin: write https:// before it`);
  return origin;
}

const isLost = ({ code, status }) => LOST.includes(code) || status >= 500;

const json = (fields, headers) => ({
  headers: { "Content-Type": "application/json", ...headers },
  body: JSON.stringify(fields),
});

function authorize(request, token) {
  request.headers.set("Authorization", `Bearer ${token}`);
  return request;
}

// By its challenge (RFC 6750 §3.1) or, if CORS hides that, by the body. Any other 401 comes from the
// application, which may have acted on the request.
async function isRefused(response) {
  if (response.status !== 401) return false;
  const { headers } = response;
  if (/\berror="?invalid_token\b/.test(headers.get("WWW-Authenticate"))) return true;
  if (!/json/.test(headers.get("Content-Type"))) return false;
  const body = await response.clone().json().catch(() => null);
  return body?.code === "invalid_token";
}

async function refusal(response) {
  const { code = "http_error", detail, errors } = await response.json().catch(() => ({}));
  const seconds = waitOf(response.headers);
  return Object.assign(new AuthError(response.status, code, detail, seconds), { errors });
}

// In seconds, or null. A date is compared with the server's clock if the page may read it.
function waitOf(headers) {
  const after = headers.get("Retry-After");
  const now = Date.parse(headers.get("Date")) || Date.now();
  const seconds = /^\d+$/.test(after) ? +after : (Date.parse(after) - now) / 1000;
  return seconds > 0 ? Math.min(Math.ceil(seconds), DAY) : null;
}

// The wall clock may be changed; the steady clock may stop in sleep.
function stopwatch() {
  const [wall, steady] = [Date.now(), performance.now()];
  return () => Math.max(Date.now() - wall, performance.now() - steady);
}

async function unless(signal, task) {
  let abort;
  const aborted = new Promise((_, reject) => {
    abort = () => reject(signal.reason ?? new DOMException("Aborted", "AbortError"));
  });
  signal.addEventListener("abort", abort);
  if (signal.aborted) abort();
  try {
    await Promise.race([aborted, task]);
  } finally {
    signal.removeEventListener("abort", abort); // it may outlive many requests
  }
}

const sleep = (time) => new Promise((resolve) => setTimeout(resolve, time));

const newKey = () => crypto.getRandomValues(new Uint32Array(5)).join("-");

function online() {
  if (navigator.onLine) return null;
  const event = new Promise((resolve) => addEventListener("online", resolve, { once: true }));
  return Promise.race([event, sleep(LOOK)]); // not all browsers send it
}

// Alone: no other request that may set or delete the cookie is under way. A refresh may overtake a
// frozen tab. Its key makes that safe, as long as only refreshes overtake.
async function inTurn(name, task, isAlone) {
  const turns = [];
  try {
    try {
      turns.push(await take(name, isAlone));
    } catch (error) {
      if (isAlone) throw error;
    }
    if (isAlone || !turns.length) turns.push(await take(`${name} overtaking`, isAlone));
    return await task();
  } finally {
    turns.forEach((end) => end());
  }
}

// Resolves when it is this tab's turn, with the function that ends the turn.
function take(name, isAlone) {
  return new Promise((begin, giveUp) => {
    let isLate = false;
    const hold = () => isLate || new Promise(begin);
    const { locks } = navigator;
    const lock = locks ? locks.request(name, hold) : lease(name, hold, isAlone);
    lock.catch(() => begin(() => {}));
    setTimeout(() => {
      isLate = true;
      giveUp(new AuthError(0, "busy"));
    }, PATIENCE);
  });
}

// A lapsed lease may be a frozen tab's, whose request may still be under way.
async function lease(name, hold, isAlone) {
  const owner = newKey();
  const renew = (record) => {
    const until = Date.now() + LEASE;
    const isLeft = record.until && record.until + (isAlone ? TIMEOUT : 0) > Date.now();
    const taken = record.owner !== owner && isLeft && record.until <= until;
    return taken ? record : { ...record, owner, until };
  };
  while ((await update(name, renew)).owner !== owner) await sleep(50 + Math.random() * 50);
  const timer = setInterval(() => update(name, renew), 1000);
  await hold();
  clearInterval(timer);
  await update(name, (record) => (record.owner === owner ? { ...record, until: 0 } : record));
}

// Changes the record that all tabs share; resolves once it is on disk.
const update = (name, change) => commit(name, change).catch(() => keep(name, change));

const commit = (name, change) =>
  new Promise((resolve, reject) => {
    setTimeout(reject, TIMEOUT);
    const opening = indexedDB.open("jwt_auth", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("records");
    opening.onerror = reject;
    opening.onsuccess = () => {
      const database = opening.result;
      const work = database.transaction("records", "readwrite", { durability: "strict" });
      const records = work.objectStore("records");
      const reading = records.get(name);
      let record;
      reading.onsuccess = () => {
        record = change(reading.result ?? {});
        if (record !== reading.result) records.put(record, name);
      };
      work.oncomplete = () => resolve(save(name, record));
      work.onabort = reject;
      database.close();
    };
  });

const memory = {};
const unsaved = new Set(); // newer here than on disk

function save(name, record) {
  memory[name] = record;
  try {
    localStorage.setItem(name, JSON.stringify(record));
    unsaved.delete(name);
  } catch {
    unsaved.add(name);
  }
  return record;
}

// Without IndexedDB: other processes see the change late.
function keep(name, change) {
  try {
    if (!unsaved.has(name)) memory[name] = JSON.parse(localStorage.getItem(name));
  } catch {}
  return save(name, change(memory[name] ?? {}));
}
